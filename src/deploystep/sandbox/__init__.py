"""A stand-in for CircleCI's API on loopback: for newcomers to try, and for the tests to run against."""

from .faults import FAULTS, Fault, FaultError, parse_fault
from .gate import Client
from .jobs import JobState
from .recorder import Recorded
from .runs import Pace, Run, RunError, Workflow, WorkflowRun
from .sandbox import Sandbox
from .wire import Delivery, Reply

__all__ = [
    "FAULTS",
    "Client",
    "Delivery",
    "Fault",
    "FaultError",
    "JobState",
    "Pace",
    "Recorded",
    "Reply",
    "Run",
    "RunError",
    "Sandbox",
    "Workflow",
    "WorkflowRun",
    "parse_fault",
]
