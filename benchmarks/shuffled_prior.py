r"""A planner whose prior sees the wrong scene, to see what seeing the right one is worth.

    PYTHONPATH=. edmp bench run --problems DIR --out results.jsonl \
        --planners edmp:prior=panda-scene,benchmarks.shuffled_prior.ShuffledPrior

The prior is shown the scene of the problem that was planned before, everything else of the planner the right one. The
first problem of a process sees an empty scene.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from edmp.baselines.base import Claim
from edmp.bench.planners import EdmpPlanner
from edmp.collision.world import World
from edmp.planner import Planner
from edmp.prior.base import Context, Denoiser, Prior
from edmp.problem import Problem
from edmp.robots.robot import Robot
from edmp.scenes import Scene


@dataclass(frozen=True)
class ShuffledPriorSettings:
    """Attributes:
    prior: the one that sees scenes.
    time_budget: for one plan [s].
    """

    prior: str = "panda-scene"
    time_budget: float = 10.0


class ShuffledPrior:
    """edmp, whose prior sees the scene of the problem before."""

    def __init__(self, settings: ShuffledPriorSettings | None = None) -> None:
        s = settings or ShuffledPriorSettings()
        self._inner = EdmpPlanner(prior=s.prior, time_budget=s.time_budget)
        self._planners: dict[Robot, Planner] = {}
        self._scene: Scene = Scene()
        self.world: World | None = None

    def plan(self, problem: Problem, seed: int) -> Claim:
        planner = self._inner.planner_for(problem.robot)
        if self._planners.get(problem.robot) is not planner:
            planner.prior = self.shuffled(planner.prior)
            self._planners[problem.robot] = planner
        self.world = World.of(problem.robot, self._scene)
        self._scene = problem.scene
        return self._inner.plan(problem, seed)

    def shuffled(self, prior: Prior) -> Prior:
        """The prior, bound to this planner's world instead of the one that it is given."""
        outer = self

        class Shuffled(type(prior)):  # type: ignore[misc]
            def bind(self, context: Context) -> Denoiser:
                return prior.bind(dataclasses.replace(context, world=outer.world))

        return Shuffled(**{field.name: getattr(prior, field.name) for field in dataclasses.fields(prior)})
