"""A sandbox that listens, on a clock that only the test moves."""

from collections.abc import Iterator

import pytest
from sandbox.calls import Clock

from deploystep.sandbox import Sandbox


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(now=clock) as running:
        yield running
