"""A mock CircleCI server on loopback: for newcomers to try, and for the tests to run against."""

from .faults import FAULTS, Fault, FaultError, parse_fault
from .messages import Client, Delivery, Recorded, Reply
from .sandbox import Sandbox
from .state import Change, JobState, Pace, Run, RunOverride, TriggerBody, Workflow, WorkflowRun

__all__ = [
    "FAULTS",
    "Change",
    "Client",
    "Delivery",
    "Fault",
    "FaultError",
    "JobState",
    "Pace",
    "Recorded",
    "Reply",
    "Run",
    "RunOverride",
    "Sandbox",
    "TriggerBody",
    "Workflow",
    "WorkflowRun",
    "parse_fault",
]
