"""The process: `python -m deploystep` and the console script."""

import os
import sys

from deploystep.core.nodes import other_node


def main() -> int:
    """Run the command line of this process and give its exit code."""
    arguments = sys.argv[1:]
    words = other_node(os.environ) if arguments[:1] == ["run"] else None
    if words is not None and not ({"--json", "-h", "--help"} & {*arguments}) and not os.environ.get("DEPLOYSTEP_JSON"):
        sys.stdout.write(words + "\n")
        return 0
    from deploystep.cli.main import main as command_line  # noqa: PLC0415 - everything else costs time

    return command_line(arguments, os.environ, sys.stdin, sys.stdout, sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
