"""`identify`: from a recording of an arm to a model of it, by least squares, by a network, or by both."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.dynamics.arm import ArmDynamics
from edmp.dynamics.closed_loop import tuned_controller, unexplained
from edmp.dynamics.delay import Delay, find_delay
from edmp.dynamics.learned.recogniser import PRIOR, Recogniser, load_recogniser, shipped
from edmp.dynamics.least_squares import Evidence, Expected, Fit, PriorSettings, fit_torques, left_over
from edmp.dynamics.model import ArmModel
from edmp.dynamics.output_error import Found, closed_loop_evidence
from edmp.dynamics.signals import SignalSettings, smooth_signals
from edmp.dynamics.untold import untold
from edmp.errors import EdmpWarning, FileFormatError, InvalidInputError, unknown_name
from edmp.ranges import Range, check_fields
from edmp.recordings.log import Log
from edmp.recordings.log_file import read_log
from edmp.recordings.recording import Recording
from edmp.robots import load_robot
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

METHODS = ("least-squares", "learned", "both")
_FAR = 2.0
"""`Evidence.far` from which on it is said [1]."""
_EXERTED = 1.5
"""Measured torques are believed up to so much of the effort limit [1]."""


@checked
@dataclass(frozen=True)
class IdentifySettings:
    """Settings of `identify`.

    Attributes:
        least_motion: a recording in which no joint moves further is too still to tell anything [rad or m].
        least_explained: share of the torques' mean square that the best arm must explain; a recording of which it
            explains less is of another robot, or its columns are of other joints [1].
        heaviest: so many times as heavy as described, or light, and an arm is taken to be another one [1].
        signals: see `SignalSettings`.
        prior: see `PriorSettings`.
    """

    least_motion: float = 0.05
    least_explained: float = 0.5
    heaviest: float = 2.5
    signals: SignalSettings = field(default_factory=SignalSettings)
    prior: PriorSettings = field(default_factory=PriorSettings)

    def __post_init__(self) -> None:
        check_fields(self, {"least_motion": Range(0, above=True), "least_explained": Range(0, 1)})
        check_fields(self, {"heaviest": Range(1, above=True)})


@checked
def identify(
    recording: Recording | Log | str | Path,
    *,
    robot: Robot | str | None = None,
    method: str = "least-squares",
    network: Recogniser | str | Path | None = None,
    settings: IdentifySettings | None = None,
) -> ArmModel:
    """Recognise an arm from its own motion: masses, payload, friction, and how late it takes commands.

    By least squares, torques give masses, motors and friction (`edmp.dynamics.least_squares`), commands and positions
    the delay (`edmp.dynamics.delay`). A network (`edmp.dynamics.learned.recogniser`) looks at all that was recorded and
    says what arm it may be; if there are commands, the closed loop of that arm is then fitted to the positions
    (`edmp.dynamics.output_error`), which gives all of these. By both, torques are for least squares, commands and
    positions for the latter, and each counts as much as it is sure of: nothing counts twice. What is left
    unexplained is kept as noise. What the recording does not tell is as described, with its spread, and named in
    `ArmModel.unidentified`.

    Args:
        recording: of a motion, in memory or as a file; of one with contact, what was before it.
        robot: the arm, or its name; by default the one of the plan in the recording (.mcap).
        method: ``least-squares``, ``learned`` or ``both``.
        network: of the latter two, or its file; by default the one that ships for this robot.
        settings: see `IdentifySettings`.

    Raises:
        InvalidInputError: it is too short, too still, has gaps all over, holds numbers that are not finite or a clock
            that runs backwards, or is not of this robot; the robot is not known; or the network is of another one, or
            there is none for this robot.
        FileFormatError: the file cannot be read as a recording, or log (`edmp.recordings.read_log`).
    """
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)
    settings = settings or IdentifySettings()
    log, robot, lead = _read(recording, robot)
    recogniser = _recogniser(network, robot, method)
    log = _whole(log.for_robot(robot), settings)
    if log.torques is None and log.commanded is None:
        raise InvalidInputError(
            f"{log.source}: holds neither commands nor torques: delays are unidentifiable without the one, masses "
            "and friction without the other (edmp logs label guesses both)"
        )
    nominal = ArmDynamics.of(robot)
    evidence: Evidence | None = None
    if recogniser is not None:
        if method == "learned" or log.commanded is not None:
            evidence = recogniser.evidence(nominal, log, lead=lead, torques=method == "learned")
        else:
            warnings.warn(f"{log.source}: holds no commands: the network adds nothing", EdmpWarning, stacklevel=2)
    delay, guesses = _delay(log, lead, evidence)
    alone = evidence is not None and (method == "learned" or log.torques is None)
    expected = recogniser.expected(nominal) if recogniser is not None and alone else None
    fit = _fit(nominal, log, settings, evidence, expected)
    found: Found | None = None
    if recogniser is not None and evidence is not None and log.commanded is not None:
        coordinates = recogniser.coordinates(nominal)
        found = closed_loop_evidence(nominal, log, coordinates, fit.arm, delay.delay, lead=lead, far=evidence.far)
        evidence = found.evidence
        fit = _fit(nominal, log, settings, evidence, expected)
    _like(nominal, fit, log, settings)
    missing = _not_told(nominal, log, fit, evidence)
    if found is not None:
        controller, deviation = found.controller, found.evidence.delay_deviation
        left = unexplained(fit.arm, nominal, log, controller, controller.delay - lead)
    else:
        controller, late, left = tuned_controller(
            fit.arm, nominal, log, [guess - lead for guess in guesses], delay.deviation
        )
        controller, deviation = dataclasses.replace(controller, delay=max(late + lead, 0.0)), delay.deviation
    return ArmModel(
        nominal,
        fit.arm,
        fit.covariance,
        controller,
        deviation,
        fit.residual,
        left,
        fit.mass_factor,
        fit.payload,
        missing,
        method,
        log.source,
    )


def _not_told(nominal: ArmDynamics, log: Log, fit: Fit, evidence: Evidence | None) -> tuple[str, ...]:
    """What the recording did not tell, in sentences; warns where torques are missing."""
    missing: tuple[str, ...] = ()
    if log.torques is None:
        said = "masses, motors and friction are as described, none was told"
        if evidence is not None:
            said = "masses, motors and friction are told by commands and positions alone, from where a network said"
        missing = (f"no torques are recorded: {said}",)
        warnings.warn(f"{log.source}: {missing[0]}", EdmpWarning, stacklevel=3)
    if log.torques is not None or evidence is not None:
        missing += untold(nominal, log, fit)
    if evidence is not None and evidence.far > _FAR:
        missing += (
            f"this arm is unlike those that the network was trained on, by a ratio of {evidence.far:.1f} (of these "
            f"one in twenty is by {_FAR:g}): what is said of it is less sure",
        )
    return missing


def _recogniser(network: Recogniser | str | Path | None, robot: Robot, method: str) -> Recogniser | None:
    """The network that is asked for, or the one that ships."""
    if method == "least-squares":
        if network is not None:
            raise InvalidInputError("network: only for method learned or both, not for least-squares")
        return None
    if network is None:
        network = shipped(robot)
    if not isinstance(network, Recogniser):
        network = load_recogniser(network)
    network.check(robot)
    return network


@checked
def arm_model(path: str | Path, *, robot: Robot | None = None) -> ArmModel:
    """The model in a file (.safetensors), or the one that is identified from a recording.

    Args:
        path: of either.
        robot: whose it must be; by default the one that is named in it.

    Raises:
        InvalidInputError: it is of another robot, or what is recorded tells nothing, see `identify`.
        FileFormatError: it is neither.
    """
    if Path(path).suffix.lower() != ".safetensors":
        return identify(path, robot=robot)
    return ArmModel.load(path, robot=robot)


def _read(recording: Recording | Log | str | Path, robot: Robot | str | None) -> tuple[Log, Robot, float]:
    """The log, whose it is, and by how much its commands were sent ahead [s]."""
    if isinstance(robot, str):
        robot = load_robot(robot)
    if isinstance(recording, Log):
        log, lead, described = recording, 0.0, None
    elif isinstance(recording, Recording):
        log, lead, described = _untouched(recording, "recording"), recording.lead, None
    else:
        log, lead, described = _read_file(Path(recording), robot)
    if robot is None and described is None:
        raise InvalidInputError(f"{log.source}: does not say which arm it is of: give robot=")
    if robot is not None and described is not None and robot.name != described.name:
        raise InvalidInputError(f"{log.source}: is a recording of {described.name}, not of {robot.name}")
    robot = robot or described
    assert robot is not None
    if set(log.joint_names) < set(robot.joint_names) or not set(log.joint_names) & set(robot.joint_names):
        raise InvalidInputError(
            f"{log.source}: is of joints {', '.join(log.joint_names)}; {robot.name} has {', '.join(robot.joint_names)}"
        )
    return log, robot, lead


def _read_file(path: Path, robot: Robot | None) -> tuple[Log, float, Robot | None]:
    """As `_read`, with the arm of the plan that a recording of ours holds."""
    if path.suffix.lower() == ".mcap":
        from edmp.recordings.mcap_file import load_recording

        with contextlib.suppress(FileFormatError):  # others write this container, too
            file = load_recording(path)
            run = file.plan.problem if file.plan is not None else file.task
            return _untouched(file.recording, str(path)), file.recording.lead, None if run is None else run.robot
    return read_log(path, robot=robot), 0.0, None


def _untouched(recording: Recording, source: str) -> Log:
    """What was before anything was touched: from then on, torques are not the arm's alone."""
    if recording.contacts:
        tick, one, other = recording.contacts[0]
        warnings.warn(
            f"{source}: {one} touches {other} at tick {tick}: what comes after that is left out",
            EdmpWarning,
            stacklevel=4,
        )
        tables = ("times", "seen", "commanded", "measured", "commanded_velocities", "measured_velocities")
        cut = {name: getattr(recording, name)[:tick] for name in (*tables, "torques", "external_torques")}
        recording = dataclasses.replace(recording, contacts=(), **cut)
    return Log.of(recording, source=source)


def _whole(log: Log, settings: IdentifySettings) -> Log:
    """The longest piece without a gap, in which enough happens."""
    signals = settings.signals
    gaps = [gap for gap in log.gaps() if gap.duration > signals.longest_gap]
    ends = [0, *(gap.row + 1 for gap in gaps), len(log.times)]
    begin, end = max(itertools.pairwise(ends), key=lambda piece: piece[1] - piece[0])
    if gaps:
        worst = max(gaps, key=lambda gap: gap.duration)
        message = (
            f"{log.source}: {len(gaps)} gaps, the longest {worst.duration:.2f} s after row {worst.row} "
            f"({worst.time:.2f} s)"
        )
        if end - begin < 2 or log.times[end - 1] - log.times[begin] < signals.shortest:
            raise InvalidInputError(f"{message}; no piece between them is as long as {signals.shortest:g} s")
        warnings.warn(
            f"{message}; only rows {begin} to {end - 1}, {log.times[end - 1] - log.times[begin]:.2f} s without one, "
            "are used",
            EdmpWarning,
            stacklevel=3,
        )
        log = log.piece(begin, end)
    if log.duration < signals.shortest:
        raise InvalidInputError(
            f"{log.source}: is {log.duration:.2f} s long, too short to identify anything: masses, friction and delay "
            f"are unidentifiable from less than {signals.shortest:g} s"
        )
    if 1.0 / log.period < signals.slowest:
        raise InvalidInputError(
            f"{log.source}: has {1.0 / log.period:.3g} rows a second, too few to identify anything: at least "
            f"{signals.slowest:g} are needed (are its times seconds?)"
        )
    moved = np.ptp(log.positions, axis=0)
    if moved.max() < settings.least_motion:
        each = ", ".join(f"{name} {by:.3f}" for name, by in zip(log.joint_names, moved, strict=True))
        raise InvalidInputError(
            f"{log.source}: is too still to identify anything: inertias, friction and delay of all joints are "
            f"unidentifiable where none moves by {settings.least_motion:g} rad (they moved by {each})"
        )
    return log


def _delay(log: Log, lead: float, evidence: Evidence | None) -> tuple[Delay, tuple[float, ...]]:
    """Of the commands, and guesses between which the closed loop decides; 0 where none are recorded, which is told.

    What sags under a soft controller and rubs looks late to a shift of positions, which is sure of it all the same. So
    where a network has spoken, its deviation counts.
    """
    if log.commanded is None:
        warnings.warn(f"{log.source}: holds no commands: their delay is taken for 0", EdmpWarning, stacklevel=3)
        return Delay(0.0, 0.0, (0.0,) * log.dof), (0.0,)
    found = find_delay(log.times, log.commanded, log.positions, earliest=-lead)
    found = dataclasses.replace(found, delay=max(found.delay + lead, 0.0))
    if evidence is None:
        return found, (found.delay,)
    guess = max(evidence.delay, 0.0)
    return dataclasses.replace(found, delay=guess, deviation=evidence.delay_deviation), (guess, found.delay)


def _like(nominal: ArmDynamics, fit: Fit, log: Log, settings: IdentifySettings) -> None:
    """Whether the arm that was found can be one like the described, and the torques ones that it can exert."""
    weighs = float(fit.arm.mass.sum() / nominal.mass.sum())
    if not 1.0 / settings.heaviest <= weighs <= settings.heaviest:
        raise InvalidInputError(
            f"{log.source}: is of no arm like {nominal.robot.name}: the likeliest one weighs {weighs:.2f} of what is "
            "described; it is another robot's, its columns are of other joints or in other units, or its torques are "
            "without gravity"
        )
    limits = nominal.robot.limits.effort
    if log.torques is not None:
        most = np.abs(log.torques).max(axis=0)
        j = int(np.argmax(most / limits))
        if most[j] > _EXERTED * limits[j]:
            warnings.warn(
                f"{log.source}: torques of {log.joint_names[j]} reach {most[j]:.4g}, beyond its effort limit "
                f"{limits[j]:g}: another unit, or a sensor that jumps?",
                EdmpWarning,
                stacklevel=3,
            )


def _fit(
    nominal: ArmDynamics, log: Log, settings: IdentifySettings, evidence: Evidence | None, expected: Expected | None
) -> Fit:
    """By torques and evidence; by evidence alone if it says what arm was ``expected`` before."""
    signals = None
    if log.torques is not None:
        signals = smooth_signals(log.times, log.positions, log.velocities, log.torques, settings.signals)
    cutoff = settings.signals.at(1.0 / log.period).cutoff
    if expected is not None:
        assert evidence is not None
        fit = fit_torques(nominal, None, cutoff, PRIOR.widened(evidence.far), evidence, expected)
    else:
        if signals is not None and evidence is not None:
            evidence = evidence.beside(nominal, fit_torques(nominal, signals, cutoff, settings.prior))
        fit = fit_torques(nominal, signals, cutoff, settings.prior, evidence)
    if log.torques is None or signals is None:
        return fit
    if expected is not None:
        fit = dataclasses.replace(fit, residual=left_over(fit.arm, signals, cutoff))
    total = 1.0 - float(np.sum(fit.residual**2)) / max(float(np.mean(np.sum(log.torques**2, axis=1))), 1e-12)
    if total < settings.least_explained:
        raise InvalidInputError(
            f"{log.source}: no arm like {nominal.robot.name} explains these torques (at best {max(total, 0.0):.0%} of "
            "their mean square): they are of another robot, their columns of other joints, or without gravity"
        )
    return fit
