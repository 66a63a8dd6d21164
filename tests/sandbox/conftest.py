"""A sandbox that listens, on a clock that only the test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sandbox.calls import Clock

from deploystep.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(now=clock) as running:
        yield running
