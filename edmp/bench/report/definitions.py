"""What every number of a report means: unit, which way is better, definition."""

from __future__ import annotations

from dataclasses import dataclass

from edmp.bench.examine import CLEARANCE_TIGHTNESS, COARSE_ANGLE, COARSE_POSITION, END_TOLERANCE

HIGHER, LOWER, NEITHER = "higher", "lower", ""


@dataclass(frozen=True)
class Metric:
    """Attributes:
    name: as it stands in tables.
    unit: in brackets; 1 for none.
    better: ``higher``, ``lower``, or nothing for what only describes.
    definition: how it is computed.
    """

    name: str
    unit: str
    better: str
    definition: str


METRICS = (
    Metric(
        "solved",
        "problems",
        HIGHER,
        "Claimed by the planner and certified by the judge: the path begins at the start and ends at a goal (joint "
        f"values within {END_TOLERANCE:g} rad; a pose goal within 1 mm and 10 mrad), keeps the joint limits, and every "
        "edge between waypoints is proved free of obstacles and of self-collision. A path that fails any of this does "
        "not count, whatever the planner says.",
    ),
    Metric(
        "invalid",
        "problems",
        NEITHER,
        "A planner says that start or goal is out of limits, in collision or unreachable, no planner in the files was "
        "certified to solve the problem, and no certified path came with it. Left out of all rates and times, for "
        "every planner.",
    ),
    Metric("success", "%", HIGHER, "Solved part of the valid problems."),
    Metric(
        "95 % interval",
        "%",
        NEITHER,
        "Wilson's score interval of success, taking the problems as a random sample of their kind. Planners that met "
        "the same problems are better compared pair by pair.",
    ),
    Metric(
        "coarse success",
        "%",
        HIGHER,
        f"Success as Motion Policy Networks count it: the tool within {COARSE_POSITION * 100:g} cm and "
        f"{round(COARSE_ANGLE * 180 / 3.141592653589793):g} degrees of the goal, limits kept, no collision. Edges are "
        "judged here, which is stricter than judging waypoints.",
    ),
    Metric("refuted", "paths", LOWER, "Paths that a planner claimed to be solutions and that the judge refuted."),
    Metric(
        "broken",
        "motions",
        LOWER,
        "Of problems with constraints: motions certified by the judge in which a dumb checker, which looks at path and "
        "timed motion every 1 mrad, finds a constraint broken.",
    ),
    Metric(
        "untrue",
        "motions",
        LOWER,
        "Seen otherwise than as shapes: motions that the judge certified among what was seen and refutes among the "
        "true shapes.",
    ),
    Metric(
        "time",
        "s",
        LOWER,
        "Wall time of one plan on a warm planner, until it answers, over valid problems, solved or not. Importing, "
        "compiling, and the harness's judging and measuring are outside the clock. Median, mean, 95th percentile and "
        "largest.",
    ),
    Metric(
        "ready",
        "s",
        LOWER,
        "Time until there is a motion that is judged and timed, and so can be run: the time, and where the planner "
        "does not do so itself, what judging and timing took here. Median over solved.",
    ),
    Metric(
        "within a deadline",
        "%",
        HIGHER,
        "Valid problems for which a motion was certified and timed within so much time: one run of a plan, and when "
        "its first answer was ready decides for all deadlines. No plan is told of them. Lines of older files that do "
        "not say when a motion was ready count by the time.",
    ),
    Metric("length", "rad", LOWER, "Joint-space length of the path, the sum of |dq| over its edges; mean over solved."),
    Metric(
        "length ratio",
        "1",
        LOWER,
        "Sum of the lengths over the sum of the best known ones, solved problems. Best known is the length that comes "
        "with the problem, else the shortest certified one of the planners in the files; a reference, not an optimum.",
    ),
    Metric(
        "duration",
        "s",
        LOWER,
        "Of the motion, timed under the robot's velocity and acceleration limits: by the planner if it times its "
        "paths, else time-optimally by the harness; mean over solved.",
    ),
    Metric(
        "clearance",
        "mm",
        HIGHER,
        "Smallest distance between robot and obstacles along a path, proved by the judge to within "
        f"{CLEARANCE_TIGHTNESS * 1e3:g} mm; median over solved.",
    ),
    Metric(
        "SPARC",
        "1",
        HIGHER,
        "Smoothness of the joint-space speed of the timed motion: the negative arc length of its normalised amplitude "
        "spectrum up to 10 Hz (Balasubramanian et al. 2012, 2015). At most 0; median over solved.",
    ),
    Metric(
        "rms jerk",
        "rad/s^3",
        LOWER,
        "Root of the time average of the squared joint-space jerk of the timed motion; median over solved.",
    ),
    Metric(
        "stages",
        "problems",
        NEITHER,
        "Of edmp, what solved them: samples as they were / repair / stitching / the fallback.",
    ),
    Metric("memory", "MB", LOWER, "Largest resident memory of the planner's process."),
    Metric(
        "p (success)",
        "1",
        NEITHER,
        "McNemar's exact test, two-sided: how likely so uneven a split of the problems that only one of two planners "
        "solves would be if both were equally good. Not corrected for the number of pairs.",
    ),
    Metric(
        "p (length)",
        "1",
        NEITHER,
        "Wilcoxon's signed-rank test, two-sided, on the logarithms of the ratios of lengths, over problems that both "
        "planners solve. Not corrected for the number of pairs.",
    ),
)
