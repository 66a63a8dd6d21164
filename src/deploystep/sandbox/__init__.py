"""A mock CircleCI server on loopback: for newcomers to try, and for the tests to run against."""

from .faults import FAULTS, Fault, parse_fault
from .messages import Client, RefusedError, Reply
from .sandbox import Sandbox
from .state import Change, Pace, Run, RunOverride, TriggerBody, Workflow, WorkflowRun
from .store import JobView

__all__ = ["FAULTS", "Change", "Client", "Fault", "JobView", "Pace", "RefusedError", "Reply", "Run"]
__all__ += ["RunOverride", "Sandbox", "TriggerBody", "Workflow", "WorkflowRun", "parse_fault"]
