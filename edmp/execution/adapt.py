"""How to run a motion on an arm that is not as described, so that it stays where it was proved free.

Three things are chosen from a model of the arm (`edmp.dynamics.ArmModel`), and a fourth follows from them:

- **lead**: commands are sent ahead by the delay that was found, and the arm is watched by what it should have reached;
- **feed-forward**: the acceleration that is commanded is the one for which a controller with the described masses
  exerts the torques that the real arm needs;
- **speed**: the largest share of the planned speed at which the predicted tracking error, torques and room that is used
  up stay below their limits for nearly all arms that the recording leaves possible;
- **braking distance**: an arm that is late brakes late, so the tube looks further ahead by the delay.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.dynamics.feed_forward import FeedForward
from edmp.dynamics.model import ArmModel
from edmp.dynamics.prediction import Prediction
from edmp.execution.driver import ArmDriver, ArmState, Command
from edmp.execution.executor import ExecutionSettings
from edmp.execution.monitor import MonitorSettings
from edmp.execution.tube import Tube
from edmp.ranges import Range, check_fields
from edmp.trajectory import Trajectory

Array = NDArray[np.float64]

_LOOK = 5e-3
"""The tube is asked so often along a predicted motion [s]."""
_HALVINGS = 5
"""Of the range in which the speed is looked for."""
_WORTH_SAYING = 0.05
"""Of payload [kg]."""
_WORST = 2
"""Predicted motions, beside the likeliest, that are held against the tube: those furthest off."""


@checked
@dataclass(frozen=True)
class AdaptSettings:
    """How motions are adapted.

    Attributes:
        quantile: share of the arms that the recording leaves possible for which the motion must stay within limits.
        num_samples: of these arms that are tried.
        error_share: of the monitor's limit of the tracking error, and of what the tube lets be used up, that may be
            reached.
        effort: share of the effort limits that may be needed: what is left is for braking.
        slowest: share of the planned speed below which a motion is not run.
        lead: whether commands are sent ahead of the delay.
        feed_forward: whether accelerations are commanded that make up for what the description does not know.
    """

    quantile: float = 0.99
    num_samples: int = 24
    error_share: float = 0.8
    effort: float = 0.95
    slowest: float = 0.1
    lead: bool = True
    feed_forward: bool = True

    def __post_init__(self) -> None:
        check_fields(self, dict.fromkeys(("quantile", "error_share", "effort", "slowest"), Range(0, 1, above=True)))
        check_fields(self, {"num_samples": Range(1, whole=True)})

    @checked
    def within(self, takes_accelerations: bool) -> AdaptSettings:
        """The same, without feed-forward for a driver that takes no accelerations."""
        return dataclasses.replace(self, feed_forward=self.feed_forward and takes_accelerations)


@dataclass(frozen=True, eq=False)
class Adaptation:
    """What was chosen.

    Attributes:
        model: of the arm.
        speed: share of the planned speed.
        lead: commands are sent this much before they are to be reached [s].
        feed_forward: whether commands hold accelerations that make up for the arm.
        reaction: time until braking works, the delay included [s].
        tracking_error: largest that is predicted for a joint, at this speed [rad or m].
        torque: largest share of an effort limit that is predicted [1].
        room: largest share of the proved clearance that is predicted to be used up [1].
        message: one sentence that says what was chosen and why.
        refusal: why the motion must not be run at any speed; None if it may.
    """

    model: ArmModel
    speed: float
    lead: float
    feed_forward: bool
    reaction: float
    tracking_error: float
    torque: float
    room: float
    message: str
    refusal: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """What was chosen, as plain data."""
        return {
            "message": self.message,
            "speed": self.speed,
            "lead_s": self.lead,
            "feed_forward": self.feed_forward,
            "reaction_s": self.reaction,
            "predicted_tracking_mrad": 1e3 * self.tracking_error,
            "predicted_torque_share": self.torque,
            "predicted_room_share": self.room,
            "mass_factor": self.model.mass_factor[0],
            "payload_kg": self.model.payload[0],
            "delay_s": self.model.delay,
        }

    def corrector(self) -> Callable[[Command], Command] | None:
        """What makes of each command the one that is sent; None if commands are sent as they are."""
        if not self.feed_forward:
            return None
        accelerations = FeedForward(self.model.arm, self.model.nominal)

        def correct(command: Command) -> Command:
            q, v, a = command.positions, command.velocities, command.accelerations
            return Command(q, v, accelerations(q, v, a))

        return correct


def unfed(adaptation: Adaptation | None, arm: ArmDriver) -> str | None:
    """Why a driver cannot do what was chosen: it takes no accelerations. None if it can."""
    if adaptation is None or not adaptation.feed_forward or arm.takes_accelerations:
        return None
    return (
        f"driver {arm.name} takes no accelerations, so nothing can be fed forward: prepare the motion with "
        "AdaptSettings(feed_forward=False)"
    )


@dataclass(frozen=True)
class _Rules:
    """What holds for a predicted motion."""

    monitor: MonitorSettings
    tube: Tube | None
    adapting: AdaptSettings

    @property
    def tracking(self) -> float:
        """Largest tracking error [rad or m]."""
        return self.adapting.error_share * self.monitor.tracking_error

    @property
    def room(self) -> float:
        """Largest share of the proved clearance that may be used up [1]."""
        return 0.0 if self.tube is None else self.adapting.error_share * self.tube.settings.share


@dataclass(frozen=True)
class _Outlook:
    """What is predicted at a speed, each as a share of what is allowed."""

    speed: float
    tracking: float
    joint: str
    torque: float
    motor: str
    room: float

    @property
    def worst(self) -> float:
        return max(self.tracking, self.torque, self.room)

    def why(self, rules: _Rules) -> str:
        """What is closest to its limit, or beyond it."""
        if self.worst == self.tracking:
            return (
                f"{self.joint} would be up to {1e3 * self.tracking * rules.tracking:.0f} mrad off its command, "
                f"{1e3 * rules.tracking:.0f} are allowed"
            )
        if self.worst == self.torque:
            effort = rules.adapting.effort
            return f"{self.motor} would need up to {self.torque * effort:.0%} of its torque, {effort:.0%} are allowed"
        return f"up to {self.room * rules.room:.0%} of the proved clearance would be used up, {rules.room:.0%} may be"


def adapted(
    model: ArmModel,
    trajectory: Trajectory,
    *,
    settings: ExecutionSettings,
    tube: Tube | None,
    adapting: AdaptSettings,
) -> Adaptation:
    """Choose lead, feed-forward and speed for a motion.

    Args:
        model: of the arm, as the plan has it.
        trajectory: the motion.
        settings: its speed is not passed, and its monitor stops the motion.
        tube: room round the motion, whose reaction counts the delay already; None if it is not watched.
        adapting: see `AdaptSettings`.
    """
    lead = model.delay if adapting.lead else 0.0
    rules = _Rules(settings.monitor, tube, adapting)

    def outlook(speed: float) -> _Outlook:
        predicted = model.predict(
            trajectory,
            num_samples=adapting.num_samples,
            speed=speed,
            lead=lead,
            feed_forward=adapting.feed_forward,
        )
        return _outlook(predicted, speed, rules)

    fast = best = outlook(settings.speed)
    if fast.worst > 1.0:
        best = outlook(min(adapting.slowest, fast.speed))
        low, high = best.speed, fast.speed
        for _ in range(_HALVINGS if best.worst <= 1.0 else 0):
            middle = outlook(0.5 * (low + high))
            if middle.worst <= 1.0:
                low, best = middle.speed, middle
            else:
                high = middle.speed
    refusal = None
    if best.worst > 1.0:
        refusal = f"even at {best.speed:.0%} of the planned speed {best.why(rules)}: this arm must not run this motion"
    return Adaptation(
        model,
        best.speed,
        lead,
        adapting.feed_forward,
        0.0 if tube is None else tube.settings.reaction,
        best.tracking * rules.tracking,
        best.torque * adapting.effort,
        best.room * rules.room,
        _sentence(model, lead, fast, best, rules),
        refusal,
    )


def _outlook(predicted: Prediction, speed: float, rules: _Rules) -> _Outlook:
    adapting, tube = rules.adapting, rules.tube
    errors, torques = predicted.peak_errors(adapting.quantile), predicted.peak_torques(adapting.quantile)
    j, motor = int(errors.argmax()), int(torques.argmax())
    room, beyond = 0.0, errors[j] > rules.tracking or torques[motor] > adapting.effort
    if tube is not None and tube.margins.links and not beyond:  # it takes longest, and would change nothing
        off = np.abs(predicted.errors).max(axis=(1, 2))
        chosen = dict.fromkeys([0, *np.argsort(off)[::-1][:_WORST].tolist()])
        room = max(_used(tube, predicted, sample) for sample in chosen) / rules.room
    names = predicted.joint_names
    return _Outlook(
        speed,
        float(errors[j]) / rules.tracking,
        names[j],
        float(torques[motor]) / adapting.effort,
        names[motor],
        room,
    )


def _used(tube: Tube, predicted: Prediction, sample: int) -> float:
    """Largest share of the proved clearance that one predicted motion uses up."""
    tube = copy.copy(tube)
    tube.restart()
    step = max(1, round(_LOOK / (predicted.times[1] - predicted.times[0])))
    nothing = np.zeros(len(predicted.joint_names))
    most = 0.0
    for k in range(0, len(predicted.times), step):
        q, v = predicted.positions[sample, k], predicted.velocities[sample, k]
        most = max(most, tube.used(ArmState(float(predicted.times[k]), q, v, nothing, nothing))[0])
    return most


def _sentence(model: ArmModel, lead: float, fast: _Outlook, best: _Outlook, rules: _Rules) -> str:
    does = []
    if rules.adapting.lead:
        does.append(f"commands are sent {1e3 * lead:.1f} ms ahead")
    if rules.adapting.feed_forward:
        heavier, carries = model.mass_factor[0] - 1.0, ""
        if abs(model.payload[0]) > _WORTH_SAYING:
            carries = f" and {model.payload[0]:+.2f} kg at the tool"
        does.append(f"torques are fed forward for {heavier:+.0%} of mass{carries}")
    why = "" if best.speed == fast.speed else f": at {fast.speed:.0%} {fast.why(rules)}"
    off = 1e3 * best.tracking * rules.tracking
    does.append(f"{best.speed:.0%} of the planned speed, off by {off:.1f} mrad at worst{why}")
    return "; ".join(does)
