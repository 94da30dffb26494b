"""The judge: dense validation of configurations and paths, independent of costs, guidance and prior."""

from edmp.validate.judge import Judge
from edmp.validate.probe import CONTACT_TOLERANCE
from edmp.validate.tasks import TaskVerdict, judge_task
from edmp.validate.verdict import Cause, Contact, LimitViolation, Verdict

__all__ = [
    "CONTACT_TOLERANCE",
    "Cause",
    "Contact",
    "Judge",
    "LimitViolation",
    "TaskVerdict",
    "Verdict",
    "judge_task",
]
