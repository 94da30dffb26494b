"""From a plan to a moving arm: drivers, executors, recordings."""

from edmp.execution.driver import ArmDriver, ArmState, Command, DriverError
from edmp.execution.executor import Execution, ExecutionSettings, Outcome, refuse, run
from edmp.execution.monitor import Fault, MonitorSettings, Violation
from edmp.execution.recording import Recording, Summary, summarise

__all__ = [
    "ArmDriver",
    "ArmState",
    "Command",
    "DriverError",
    "Execution",
    "ExecutionSettings",
    "Fault",
    "MonitorSettings",
    "Outcome",
    "Recording",
    "Summary",
    "Violation",
    "refuse",
    "run",
    "summarise",
]
