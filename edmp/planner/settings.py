"""The planner's settings, with the defaults that the benchmarks were run with."""

from __future__ import annotations

from dataclasses import dataclass, field

from edmp.guidance import GuidanceSettings
from edmp.ranges import Range, check_fields
from edmp.robots.errors import InvalidInputError

_COUNT = Range(1, whole=True)
_NONE_OR_MORE = Range(0, whole=True)
_SHARE = Range(0, 1)
_LENGTH = Range(0)
_STEP = Range(0, above=True)


@dataclass(frozen=True)
class WarmStart:
    """Replanning from an earlier plan: it is re-noised to a middle level and denoised in the new scene.

    Attributes:
        num_seeds: candidates, the earlier plan itself among them.
        sigma: noise level to start from; 1 is the spread of the prior.
        sampler_steps: denoising steps from there.
        repair_iterations: covariant steps before a plan from scratch is made.
        check_every: steps between two tests of validity.
        enough_valid: repair stops when so many are free.
        polish_candidates: how many free candidates are shortened.
        polish_iterations: covariant steps of shortening.
    """

    num_seeds: int = 6
    sigma: float = 0.6
    sampler_steps: int = 1
    repair_iterations: int = 30
    check_every: int = 3
    enough_valid: int = 1
    polish_candidates: int = 1
    polish_iterations: int = 3

    def __post_init__(self) -> None:
        counts = ("num_seeds", "sampler_steps", "check_every", "enough_valid", "polish_candidates")
        check_fields(self, {**dict.fromkeys(counts, _COUNT), "sigma": _STEP})
        check_fields(self, dict.fromkeys(("repair_iterations", "polish_iterations"), _NONE_OR_MORE))


@dataclass(frozen=True)
class FirstLook:
    """A look with a few seeds before the first round; what it finds is taken if it is nearly straight.

    No motion is shorter than the distance of its ends, so that little can be gained by looking further. Who wants
    alternatives, too, gets whole rounds.

    Attributes:
        near: how long a motion may be to be taken, as a multiple of the distance from the start to the nearest goal;
            below 1 there is no first look [1].
        num_seeds: candidates.
        sampler_steps: denoising steps.
        repair_iterations: covariant steps.
        polish_candidates: how many free candidates are shortened.
        polish_iterations: covariant steps of shortening.
    """

    near: float = 1.1
    num_seeds: int = 8
    sampler_steps: int = 1
    repair_iterations: int = 16
    polish_candidates: int = 1
    polish_iterations: int = 16

    def __post_init__(self) -> None:
        counts = ("num_seeds", "sampler_steps", "polish_candidates")
        check_fields(self, {**dict.fromkeys(counts, _COUNT), "near": _LENGTH})
        check_fields(self, dict.fromkeys(("repair_iterations", "polish_iterations"), _NONE_OR_MORE))


@dataclass(frozen=True)
class PlannerSettings:
    """Settings of `Planner`.

    Attributes:
        num_seeds: candidates of one round.
        prior_share: share of the seeds that come from the prior by denoising; the rest are drawn from the Gaussian
            process, which is more diverse. The first of those is the straight line.
        num_waypoints: samples along a spline where costs are felt.
        sampler_steps: denoising steps.
        guidance: see `GuidanceSettings`.
        repair_clearances: distances at which obstacles push back during repair; seeds take turns [m].
        repair_iterations: covariant steps on a round of seeds before it is given up.
        repair_pulls: fractions of the way to the straight line that each repair step adds; seeds take turns.
        repair_max_move: how far the farthest waypoint moves in one repair step [rad].
        check_every: steps between two tests of validity.
        enough_valid: repair of a round stops when so many seeds are free.
        rounds: rounds of seeds before sampling-based search may help.
        max_rounds: rounds after which there is no path; with the fallback it helps in each after the first `rounds`.
        detour: a motion from the first round that is longer than so many times the distance of its ends is not taken
            before a second round had its chance [1].
        polish_candidates: how many free candidates are shortened.
        polish_iterations: covariant steps of shortening.
        polish_clearance: distance at which obstacles push back during shortening [m].
        margin: distance that polished candidates keep in the sphere model [m].
        edge_step: no point of the arm moves farther than this between two checks of the sphere model [m].
        fallback_attempts: RRT-Connect trees grown side by side in the fallback.
        fallback_iterations: samples of each tree.
        num_alternatives: how many other motions to certify, of those that a round finds.
        distinct: motions are different if they are somewhere at least this far apart [rad].
        path_waypoints: waypoints of the returned path.
        first_look: see `FirstLook`.
        warm: see `WarmStart`.
    """

    num_seeds: int = 48
    prior_share: float = 0.5
    num_waypoints: int = 40
    sampler_steps: int = 6
    guidance: GuidanceSettings = field(default_factory=GuidanceSettings)
    repair_clearances: tuple[float, ...] = (0.01, 0.02, 0.04)
    repair_iterations: int = 120
    repair_pulls: tuple[float, ...] = (0.0, 0.06)
    repair_max_move: float = 0.1
    check_every: int = 8
    enough_valid: int = 6
    rounds: int = 2
    max_rounds: int = 20
    detour: float = 2.5
    polish_candidates: int = 6
    polish_iterations: int = 24
    polish_clearance: float = 0.03
    margin: float = 0.002
    edge_step: float = 0.02
    fallback_attempts: int = 8
    fallback_iterations: int = 4000
    num_alternatives: int = 0
    distinct: float = 0.5
    path_waypoints: int = 100
    first_look: FirstLook = field(default_factory=FirstLook)
    warm: WarmStart = field(default_factory=WarmStart)

    def __post_init__(self) -> None:
        check_fields(self, _RANGES)
        if not isinstance(self.guidance, GuidanceSettings):
            raise InvalidInputError(f"guidance must be GuidanceSettings, got {self.guidance!r}")
        if not isinstance(self.first_look, FirstLook):
            raise InvalidInputError(f"first_look must be FirstLook, got {self.first_look!r}")
        if not isinstance(self.warm, WarmStart):
            raise InvalidInputError(f"warm must be WarmStart, got {self.warm!r}")


_RANGES = {
    "num_seeds": _COUNT,
    "prior_share": _SHARE,
    "num_waypoints": Range(2, whole=True),
    "sampler_steps": _COUNT,
    "repair_clearances": Range(0, several=True),
    "repair_iterations": _NONE_OR_MORE,
    "repair_pulls": Range(0, 1, several=True),
    "repair_max_move": _STEP,
    "check_every": _COUNT,
    "enough_valid": _COUNT,
    "rounds": _COUNT,
    "max_rounds": _COUNT,
    "detour": Range(1),
    "polish_candidates": _COUNT,
    "polish_iterations": _NONE_OR_MORE,
    "polish_clearance": _LENGTH,
    "margin": _LENGTH,
    "edge_step": _STEP,
    "fallback_attempts": _COUNT,
    "fallback_iterations": _NONE_OR_MORE,
    "num_alternatives": _NONE_OR_MORE,
    "distinct": _LENGTH,
    "path_waypoints": Range(2, whole=True),
}
