"""The planner's settings, with the defaults that the benchmarks were run with."""

from __future__ import annotations

from dataclasses import dataclass, field

from edmp.costs.ensemble import MOST_SEEDS
from edmp.errors import InvalidInputError
from edmp.guidance import GuidanceSettings
from edmp.ranges import Range, check_fields
from edmp.robots.parts import START_TOLERANCE

_COUNT = Range(1, MOST_SEEDS, whole=True)
_NONE_OR_MORE = Range(0, whole=True)
_SHARE = Range(0, 1)
_LENGTH = Range(0)
_STEP = Range(0, above=True)


@dataclass(frozen=True)
class Round:
    """Seeds on their way to a certified motion: sampled, repaired, polished, judged.

    Attributes:
        num_seeds: candidates.
        prior_share: share of the seeds that come from the prior by denoising; the rest are drawn from the Gaussian
            process, which is more diverse. The first of those is the straight line.
        sampler_steps: denoising steps; a prior tuned for one call is called once, and pushed as often.
        sigma: noise level to start from, 1 is the spread of the prior; None is nothing but noise.
        repair_iterations: covariant steps on the seeds before they are given up.
        check_every: steps between two tests of validity.
        enough_valid: repair stops when so many seeds are free.
        polish_candidates: how many free candidates are shortened.
        polish_iterations: covariant steps of shortening.
        near: a motion is taken only if it is at most so many times as long as the distance from the start to the
            nearest goal; None takes any; below 1 there is no such round [1].
        judge_anyway: so many of the candidates that collide least are put before the judge where nothing else was
            certified: spheres stick out of the arm, and what they call a collision may be none.
        quick: only the timed motion is judged, whose samples then are the path, too.
    """

    num_seeds: int = 48
    prior_share: float = 0.5
    sampler_steps: int = 6
    sigma: float | None = None
    repair_iterations: int = 120
    check_every: int = 8
    enough_valid: int = 6
    polish_candidates: int = 6
    polish_iterations: int = 24
    near: float | None = None
    judge_anyway: int = 3
    quick: bool = False

    def __post_init__(self) -> None:
        check_fields(self, _ROUND)
        for name, allowed in (("sigma", _STEP), ("near", _LENGTH)):
            if getattr(self, name) is not None:
                check_fields(self, {name: allowed})
        if not isinstance(self.quick, bool):
            raise InvalidInputError(f"quick must be True or False, got {self.quick!r}")


_ROUND = {
    "num_seeds": _COUNT,
    "prior_share": _SHARE,
    "sampler_steps": _COUNT,
    "repair_iterations": _NONE_OR_MORE,
    "check_every": _COUNT,
    "enough_valid": _COUNT,
    "polish_candidates": _COUNT,
    "polish_iterations": _NONE_OR_MORE,
    "judge_anyway": _NONE_OR_MORE,
}

FIRST_LOOK = Round(
    num_seeds=8,
    sampler_steps=1,
    repair_iterations=16,
    enough_valid=1,
    polish_candidates=1,
    polish_iterations=16,
    near=1.1,
    judge_anyway=0,
)
"""A look with a few seeds before the first whole round; what it finds is taken if it is nearly straight.

No motion is shorter than the distance of its ends, so that little can be gained by looking further. Who wants
alternatives, too, or has costs of one's own, gets whole rounds.
"""

WARM_START = Round(
    num_seeds=6,
    prior_share=1.0,
    sampler_steps=1,
    sigma=0.6,
    repair_iterations=30,
    check_every=3,
    enough_valid=1,
    polish_candidates=1,
    polish_iterations=3,
    judge_anyway=0,
    quick=True,
)
"""Replanning from an earlier plan: it is one of the seeds, and re-noised to a middle level and denoised in the new
scene the others are near it."""

REFINE = Round(
    num_seeds=24,
    prior_share=1.0,
    sampler_steps=2,
    sigma=2.0,
    repair_iterations=48,
    enough_valid=24,
    polish_candidates=4,
    judge_anyway=0,
)
"""Seeds round a certified motion, re-noised to a high level, in search of a shorter one."""

FRESH = Round(num_seeds=16, sampler_steps=2, enough_valid=2, polish_candidates=2)
"""Seeds from nothing, where what is certified is long: another way round may be shorter."""


@dataclass(frozen=True)
class PlannerSettings(Round):
    """Settings of `Planner`: a whole round (see `Round`), and what all rounds share.

    Attributes:
        num_waypoints: samples along a spline where costs are felt.
        guidance: see `GuidanceSettings`.
        repair_clearances: distances at which obstacles push back during repair; seeds take turns [m].
        repair_pulls: fractions of the way to the straight line that each repair step adds; seeds take turns.
        repair_every: each repair step feels clearance at every so many-th waypoint, in turn.
        repair_max_move: how far the farthest waypoint moves in one repair step [rad].
        rounds: rounds of seeds before sampling-based search may help.
        max_rounds: rounds after which there is no path; with the fallback it helps in each after the first `rounds`.
        detour: a motion from the first round that is longer than so many times the distance of its ends is not taken
            before a second round had its chance [1].
        polish_clearance: distance at which obstacles push back during shortening [m].
        margin: distance that polished candidates keep in the sphere model [m].
        edge_step: no point of the arm moves farther than this between two checks of the sphere model [m].
        fallback_attempts: RRT-Connect trees grown side by side in the fallback.
        fallback_iterations: samples of each tree; where that was too few, later rounds take four times as many each.
        num_alternatives: how many other motions to certify, of those that a round finds.
        distinct: motions are different if they are somewhere at least this far apart [rad].
        path_waypoints: waypoints of the returned path.
        start_tolerance: a start may be beyond a limit by this; the motion leads inside first [rad or m].
        first_look: see `FIRST_LOOK`; None leaves it out.
        first_search: RRT-Connect trees grown side by side, for a short time, where the first look found nothing; from
            what they find on, a shorter motion is looked for. 0 leaves it out, as ``fallback=False`` does.
        refine: a round of seeds round what the first search, or a whole round, found, see `REFINE`; None leaves it out.
        fresh: a round of seeds from nothing, if the motion is still long, and another `refine` round what then is
            known; see `FRESH`; None leaves it out.
        long: a motion is, if it is longer than so many times the distance from the start to the nearest goal [1].
        warm: see `WARM_START`.
    """

    num_waypoints: int = 40
    guidance: GuidanceSettings = field(default_factory=GuidanceSettings)
    repair_clearances: tuple[float, ...] = (0.01, 0.02, 0.04)
    repair_pulls: tuple[float, ...] = (0.0, 0.06)
    repair_every: int = 2
    repair_max_move: float = 0.1
    rounds: int = 2
    max_rounds: int = 20
    detour: float = 2.5
    polish_clearance: float = 0.03
    margin: float = 0.002
    edge_step: float = 0.02
    fallback_attempts: int = 8
    fallback_iterations: int = 4000
    num_alternatives: int = 0
    distinct: float = 0.5
    path_waypoints: int = 100
    start_tolerance: float = START_TOLERANCE
    first_look: Round | None = FIRST_LOOK
    first_search: int = 8
    refine: Round | None = REFINE
    fresh: Round | None = FRESH
    long: float = 1.2
    warm: Round = WARM_START

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, _RANGES)
        if not isinstance(self.guidance, GuidanceSettings):
            raise InvalidInputError(f"guidance must be GuidanceSettings, got {self.guidance!r}")
        for name, may_lack, noised in (
            ("first_look", True, False),
            ("fresh", True, False),
            ("refine", True, True),
            ("warm", False, True),
        ):
            round_ = getattr(self, name)
            if may_lack and round_ is None:
                continue
            if not isinstance(round_, Round) or (noised and round_.sigma is None):
                what = "a Round" + " with a sigma to re-noise to" * noised + " or None" * may_lack
                raise InvalidInputError(f"{name} must be {what}, got {round_!r}")


_RANGES = {
    "num_waypoints": Range(2, 10_000, whole=True),
    "repair_clearances": Range(0, several=True),
    "repair_pulls": Range(0, 1, several=True),
    "repair_every": Range(1, 10, whole=True),
    "repair_max_move": _STEP,
    "rounds": _COUNT,
    "max_rounds": _COUNT,
    "detour": Range(1),
    "long": Range(1),
    "polish_clearance": _LENGTH,
    "margin": _LENGTH,
    "edge_step": _STEP,
    "first_search": _NONE_OR_MORE,
    "fallback_attempts": _COUNT,
    "fallback_iterations": _NONE_OR_MORE,
    "num_alternatives": _NONE_OR_MORE,
    "distinct": _LENGTH,
    "path_waypoints": Range(2, 100_000, whole=True),
    "start_tolerance": Range(0, 0.1),
}
