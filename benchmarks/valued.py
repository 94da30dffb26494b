r"""Does a value network's gradient guide? Samples with and without it, beside the clearance kernel's own pushes.

    PYTHONPATH=. python benchmarks/valued.py --problems DIR --value runs/value/value.safetensors --weights 0.5,2
    PYTHONPATH=. edmp bench run --problems DIR --out results.jsonl \
        --planners edmp,benchmarks.valued.ValuePlanner:value=runs/value/value.safetensors

Problems are those of `benchmarks/prior_seeds.py`. Rows: pushes of the kernel a denoising step, and the weight of the
value's gradient; ``*`` where the value network sees the scene of another problem, the prior the right one. Columns as
those of `benchmarks/few_steps.py`: of 24 samples the share that is free, hits (problems with a free one), distinct ways
round, and processor time; then the first look (8 seeds, one denoising step), as drawn and after its repair.
"""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass

import torch

from benchmarks.few_steps import Columns, first_look, sampled, shown_in
from benchmarks.prior_seeds import Case, Elsewhere, cases, elsewhere
from edmp.baselines.base import Claim
from edmp.bench.planners import EdmpPlanner
from edmp.errors import InvalidInputError
from edmp.guidance import GuidanceSettings
from edmp.planner import Planner, PlannerSettings
from edmp.prior.base import Context, Denoiser, Prior
from edmp.prior.checkpoint import load_prior
from edmp.prior.value import Value, ValueGuided
from edmp.problem import Problem
from edmp.robots import load_robot
from edmp.robots.robot import Robot


def loaded(path: str, robot: Robot) -> Value:
    value = load_prior(path, robot)
    if not isinstance(value, Value):
        raise InvalidInputError(f"{path} is no value network")
    return value


@dataclass(frozen=True)
class ValuePlannerSettings:
    """Attributes:
    value: file of a value network.
    weight: of its gradient.
    prior: the one that is guided.
    time_budget: for one plan [s].
    """

    value: str = ""
    weight: float = 0.5
    prior: str = ""
    time_budget: float = 10.0


class ValuePlanner:
    """edmp, whose prior climbs a value network."""

    def __init__(self, settings: ValuePlannerSettings | None = None) -> None:
        self.settings = s = settings or ValuePlannerSettings()
        self._inner = EdmpPlanner(prior=s.prior, time_budget=s.time_budget)
        self._guided: dict[Robot, Planner] = {}

    def plan(self, problem: Problem, seed: int) -> Claim:
        planner = self._inner.planner_for(problem.robot)
        if self._guided.get(problem.robot) is not planner:
            value = loaded(self.settings.value, problem.robot)
            planner.prior = ValueGuided.of(planner.prior, value, weight=self.settings.weight)
            self._guided[problem.robot] = planner
        return self._inner.plan(problem, seed)


def told_elsewhere(guided: ValueGuided, other: Elsewhere) -> Prior:
    """``guided``, whose value network sees another scene than its prior."""

    class Told(ValueGuided):
        def bind(self, context: Context) -> Denoiser:
            plain = guided.prior.bind(context)
            bound = _Fixed.of(guided.prior, plain)
            return dataclasses.replace(guided, prior=bound).bind(dataclasses.replace(context, world=other.world))

    return Told(**{field.name: getattr(guided, field.name) for field in dataclasses.fields(guided)})


@dataclass(frozen=True)
class _Fixed(Prior):
    """A prior that was bound already."""

    denoiser: Denoiser

    @classmethod
    def of(cls, prior: Prior, denoiser: Denoiser) -> _Fixed:
        return cls(**{field.name: getattr(prior, field.name) for field in dataclasses.fields(Prior)}, denoiser=denoiser)

    def bind(self, context: Context) -> Denoiser:
        return self.denoiser

    def to(self, device: torch.device | str) -> Prior:
        raise NotImplementedError


def measured(prior: Prior, pushes: int, problems: list[Case], other: Elsewhere | None) -> dict[str, Columns]:
    """Columns by kind of problem."""
    settings = PlannerSettings(guidance=GuidanceSettings(steps=pushes))
    planner = Planner(problems[0].problem.robot.name, prior=prior, settings=settings)
    table: dict[str, Columns] = {}
    with torch.inference_mode():
        for i, case in enumerate(problems):
            planner.robot = case.problem.robot
            if other is not None:
                other.world = elsewhere(problems, i)
            row = table.setdefault(case.kind, {})
            sampled(planner, case, "samples", row)
            first_look(planner, case, row)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", required=True, help="a folder as edmp bench run takes it")
    parser.add_argument("--value", required=True, help="a file of edmp finetune --method value")
    parser.add_argument("--weights", default="0.5", help="of its gradient, separated by commas; 0 and * come along")
    parser.add_argument("--robot", default="panda", help="whose problems these are")
    parser.add_argument("--prior", default=None, help="whose samples are guided; default: the robot's own")
    parser.add_argument("--given", type=int, default=20, help="problems of the folder")
    parser.add_argument("--generated", type=int, default=20, help="problems of the generators")
    options = parser.parse_args()
    problems = list(cases(options.problems, options.given, options.generated, options.robot))
    prior, value = Planner(options.robot, prior=options.prior).prior, loaded(options.value, load_robot(options.robot))
    other = Elsewhere(prior)
    rows: dict[str, tuple[Prior, int]] = {f"kernel {pushes}": (prior, pushes) for pushes in (0, 1, 2, 4)}
    for weight in map(float, options.weights.split(",")):
        guided = ValueGuided.of(prior, value, weight=weight)
        for pushes in (0, 1):
            rows[f"kernel {pushes}, value {weight:g}"] = (guided, pushes)
            rows[f"kernel {pushes}, value {weight:g}*"] = (told_elsewhere(guided, other), pushes)
    for name, (which, pushes) in rows.items():
        shuffled = other if name.endswith("*") else None
        for kind, row in measured(which, pushes, problems, shuffled).items():
            print(f"{name}  {kind}: {shown_in(row)}", flush=True)


if __name__ == "__main__":
    main()
