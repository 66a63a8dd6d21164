"""Where Python begins with deploystep.pyz. A Python that is too old must be able to read this module, too."""

import sys

if sys.version_info < (3, 10):  # noqa: UP036 - this file meets any Python
    sys.stderr.write(
        "error[python]: this is Python %d.%d, and deploystep needs 3.10 or newer\n" % sys.version_info[:2]  # noqa: UP031
        + "  hint: name another interpreter, for example  python3.12 deploystep.pyz run\nexit 4 (environment)\n"
    )
    sys.exit(4)

import bytecode

bytecode.use()

from deploystep.__main__ import main  # noqa: E402 - found only now

sys.exit(main())
