"""From a plan to a moving arm: drivers, executors, recordings."""

from edmp.execution.driver import ArmDriver, ArmState, Command, DriverError
from edmp.execution.executor import Execution, ExecutionSettings, Outcome, refuse, run
from edmp.execution.monitor import Fault, MonitorSettings, Violation
from edmp.execution.recording import Recording, Summary, summarise
from edmp.execution.tube import Tube, TubeSettings

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
    "Tube",
    "TubeSettings",
    "Violation",
    "refuse",
    "run",
    "summarise",
]
