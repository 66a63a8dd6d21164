"""`assert_never` for Python 3.10."""

from typing import NoReturn


def assert_never(value: NoReturn) -> NoReturn:
    """Fail where the type checker has shown that no value can arrive."""
    raise AssertionError(value)
