"""What a viewer with a clock shows and which keys it obeys, without any window: `edmp.viz.window_app` draws it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.errors import InvalidInputError, unknown_name
from edmp.viz.subject import Subject

Array = NDArray[np.float64]

SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0)
"""Motion time per time on the clock."""
STEP = 0.02
"""How far a step key moves the motion [s]."""


@dataclass(frozen=True)
class Overlay:
    """Something that can be shown or hidden.

    Attributes:
        name: what it is called on screen.
        key: that toggles it.
        shown: whether it is at first.
        moving: whether it takes a motion.
    """

    name: str
    key: str
    shown: bool
    moving: bool = False


OVERLAYS: tuple[Overlay, ...] = (
    Overlay("robot", "r", shown=True),
    Overlay("start", "a", shown=True),
    Overlay("goal", "g", shown=True),
    Overlay("goal pose", "f", shown=True),
    Overlay("tool path", "t", shown=True, moving=True),
    Overlay("obstacles", "o", shown=True),
    Overlay("regions", "z", shown=True),
    Overlay("spheres", "s", shown=False),
    Overlay("boxes", "b", shown=False),
    Overlay("swept volume", "w", shown=False, moving=True),
    Overlay("clearance", "c", shown=False),
)

KEY_OF = {overlay.name: overlay.key for overlay in OVERLAYS}


class Playback:
    """The state of a viewer: which motion, at what time, how fast, and what is visible.

    Attributes:
        subject: what is shown.
        motion: index of the motion that plays.
        time: of the motion [s].
        playing: whether the clock runs.
        repeat: whether the motion begins again after its end.
        help: whether the keys are explained on screen.
        visible: for every overlay that this subject has, whether it is shown.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.motion = 0
        self.time = 0.0
        self.playing = bool(subject.motions)
        self.repeat = True
        self.help = True
        self.visible = {overlay.name: overlay.shown for overlay in OVERLAYS if _has(subject, overlay)}
        self._speed = SPEEDS.index(1.0)

    # --- what is shown now ---

    @property
    def duration(self) -> float:
        """Of the motion in front [s]; 0 without one."""
        return self.subject.motions[self.motion].duration if self.subject.motions else 0.0

    @property
    def speed(self) -> float:
        """One of `SPEEDS`."""
        return SPEEDS[self._speed]

    @property
    def configuration(self) -> Array:
        """(dof,) where the robot is [rad or m]."""
        if not self.subject.motions:
            return self.subject.standing
        return self.subject.motions[self.motion].at(self.time)

    @property
    def ends(self) -> Mapping[str, Array]:
        """``"start"`` and ``"goal"``, as far as they are known: those of the motion in front, if there is one."""
        subject = self.subject
        if subject.motions:
            q = subject.motions[self.motion].positions
            return {"start": q[0], "goal": q[-1]}
        return {name: q for name, q in (("start", subject.start), ("goal", subject.goal)) if q is not None}

    @property
    def clock(self) -> str:
        return f"{self.time:.2f} / {self.duration:.2f} s"

    # --- what a user does ---

    def advance(self, elapsed: float) -> bool:
        """Let ``elapsed`` [s] of real time pass; returns whether the robot has moved."""
        if not self.playing or elapsed <= 0 or not self.subject.motions:
            return False
        before, self.time = self.time, self.time + elapsed * self.speed
        if self.time > self.duration:
            self.time, self.playing = (0.0, True) if self.repeat else (self.duration, False)
        return self.time != before

    def seek(self, time: float) -> None:
        """Pause at a time of the motion [s]; beyond an end, at that end."""
        self.playing = False
        self.time = float(np.clip(time, 0.0, self.duration))

    def play(self, wanted: bool) -> None:
        """Play, from the beginning if the motion is over, or pause."""
        self.playing = wanted and bool(self.subject.motions)
        if self.playing and self.time >= self.duration:
            self.time = 0.0

    def set_speed(self, speed: float) -> None:
        if speed not in SPEEDS:
            raise InvalidInputError(f"speed must be one of {SPEEDS}, got {speed}")
        self._speed = SPEEDS.index(speed)

    def change_speed(self, steps: int) -> None:
        """Faster or slower by ``steps`` of `SPEEDS`, as far as they go."""
        self._speed = min(max(self._speed + steps, 0), len(SPEEDS) - 1)

    def choose(self, motion: int) -> None:
        """Put another motion in front; its time goes on from where it was."""
        count = len(self.subject.motions)
        if not 0 <= motion < count:
            raise InvalidInputError(f"no motion {motion}: there are {count}, numbered from 0")
        self.motion = motion
        self.time = min(self.time, self.duration)

    def toggle(self, overlay: str) -> None:
        if overlay not in self.visible:
            raise unknown_name("overlay", overlay, self.visible)
        self.visible[overlay] = not self.visible[overlay]

    # --- keys ---

    def press(self, key: str) -> bool:
        """Do what ``key`` asks for; returns whether it means anything here."""
        command = self._commands.get(key)
        if command is None:
            return False
        command()
        return True

    @property
    def _commands(self) -> Mapping[str, Callable[[], None]]:
        commands: dict[str, Callable[[], None]] = {
            overlay.key: lambda name=overlay.name: self.toggle(name)  # type: ignore[misc]
            for overlay in OVERLAYS
            if overlay.name in self.visible
        }
        commands["h"] = lambda: setattr(self, "help", not self.help)
        count = len(self.subject.motions)
        if count:
            commands |= {
                "space": lambda: self.play(not self.playing),
                "left": lambda: self.seek(self.time - STEP),
                "right": lambda: self.seek(self.time + STEP),
                "home": lambda: self.seek(0.0),
                "end": lambda: self.seek(self.duration),
                "minus": lambda: self.change_speed(-1),
                "plus": lambda: self.change_speed(1),
                "l": lambda: setattr(self, "repeat", not self.repeat),
            }
        if count > 1:
            commands["n"] = lambda: self.choose((self.motion + 1) % count)
            commands["p"] = lambda: self.choose((self.motion - 1) % count)
        return commands

    @property
    def key_help(self) -> tuple[tuple[str, str], ...]:
        """Keys and what they do, for the screen, but for those of overlays; only what this subject has."""
        rows: list[tuple[str, str]] = []
        if self.subject.motions:
            rows += [
                ("space", "play or pause"),
                ("arrows", "step"),
                ("home", "to the start"),
                ("end", "to the goal"),
                ("- +", "slower, faster"),
                ("L", "repeat"),
            ]
        if len(self.subject.motions) > 1:
            rows.append(("N P", "other motion"))
        return (*rows, ("V", "first view"), ("H", "these keys"), ("Q", "close"))


def _has(subject: Subject, overlay: Overlay) -> bool:
    """Whether there is such a thing to show."""
    if overlay.moving and not subject.motions:
        return False
    if overlay.name in ("obstacles", "clearance"):
        return len(subject.scene) > 0
    if overlay.name == "regions":
        return len(subject.scene.regions) > 0
    if overlay.name == "start":  # a robot that stands at the start needs no ghost there
        return bool(subject.motions)
    if overlay.name == "goal pose":
        return subject.pose_goal is not None
    return overlay.name != "goal" or subject.goal is not None
