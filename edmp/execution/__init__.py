"""From a plan to a moving arm: drivers, executors, recordings."""

from edmp.execution.adapt import Adaptation, AdaptSettings
from edmp.execution.driver import ArmDriver, ArmState, Command, DriverError
from edmp.execution.executor import Execution, ExecutionSettings, Outcome, refuse, run
from edmp.execution.gripper import Gripper, GripperState
from edmp.execution.monitor import Fault, MonitorSettings, Violation
from edmp.execution.prepared import Prepared, execute, prepare
from edmp.execution.recorder import Summary, summarise
from edmp.execution.tasks import ObjectEnd, PreparedTask, TaskExecution, prepare_task
from edmp.execution.tube import Tube, TubeSettings
from edmp.recordings.recording import Recording

__all__ = [
    "AdaptSettings",
    "Adaptation",
    "ArmDriver",
    "ArmState",
    "Command",
    "DriverError",
    "Execution",
    "ExecutionSettings",
    "Fault",
    "Gripper",
    "GripperState",
    "MonitorSettings",
    "ObjectEnd",
    "Outcome",
    "Prepared",
    "PreparedTask",
    "Recording",
    "Summary",
    "TaskExecution",
    "Tube",
    "TubeSettings",
    "Violation",
    "execute",
    "prepare",
    "prepare_task",
    "refuse",
    "run",
    "summarise",
]
