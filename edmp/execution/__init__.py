"""From a plan to a moving arm: drivers, executors, recordings."""

from edmp.execution.driver import ArmDriver, ArmState, Command, DriverError
from edmp.execution.executor import Execution, ExecutionSettings, Outcome, refuse, run
from edmp.execution.monitor import Fault, MonitorSettings, Violation
from edmp.execution.prepared import Prepared, execute, prepare
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
    "Prepared",
    "Recording",
    "Summary",
    "Tube",
    "TubeSettings",
    "Violation",
    "execute",
    "prepare",
    "refuse",
    "run",
    "summarise",
]
