"""A stand-in for CircleCI's API on loopback: for newcomers to try, and for the tests to run against."""

from .faults import FAULTS, Fault, FaultError, parse_fault
from .jobs import JobState
from .recorder import Recorded
from .runs import Pace, Run, RunError, Workflow, WorkflowRun
from .sandbox import Sandbox

__all__ = [
    "FAULTS",
    "Fault",
    "FaultError",
    "JobState",
    "Pace",
    "Recorded",
    "Run",
    "RunError",
    "Sandbox",
    "Workflow",
    "WorkflowRun",
    "parse_fault",
]
