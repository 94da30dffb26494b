"""Which seeds are worth repairing? A value network against the clearance kernel itself, at equal candidates.

    PYTHONPATH=. python benchmarks/ranked.py --problems DIR --value runs/value/value.safetensors

A whole round's 48 seeds (24 guided samples of the prior, 24 of the Gaussian process) are the same in each row. ``all``
repairs all of them, as the planner does; the others keep 12: ``value`` those of the highest V, ``kernel`` those of the
lowest clearance cost (best of N), ``first`` the first six of either kind. Then repair, polish, judge. Columns: problems
solved, edges that the judge looked at, processor time from the ranking on, both medians, and length over the straight
line. ``AUC`` is how well V and the kernel's cost tell seeds that repair makes free from those that it does not.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from benchmarks.prior_seeds import Case, cases
from edmp.planner import Planner, rounds
from edmp.planner.call import Call
from edmp.planner.candidates import Candidates
from edmp.planner.settings import Round
from edmp.prior.checkpoint import load_prior
from edmp.prior.value import Value
from edmp.robots import load_robot

KEPT = 12

Rank = Callable[[Call, Candidates], Tensor]
"""``rank(call, seeds) -> (n,)``, the least first."""


def kernel(call: Call, seeds: Candidates) -> Tensor:
    cost, _ = call.descent.cost_gradient(seeds.control_points, torch.full((len(seeds),), 0.02))
    return cost.sum(dim=1)


def first(call: Call, seeds: Candidates) -> Tensor:
    return torch.arange(len(seeds)) % (len(seeds) // 2)


def separation(score: Tensor, good: Tensor) -> float:
    """Probability that a good one scores less than a bad one (area under the ROC curve)."""
    a, b = score[good], score[~good]
    if not len(a) or not len(b):
        return float("nan")
    return float((a[:, None] < b).double().mean() + 0.5 * (a[:, None] == b).double().mean())


def outcome(planner: Planner, case: Case, rank: Rank | None) -> dict[str, float]:
    call = planner.prepare(case.query, case.judge, seed=0)
    seeds = rounds.seeds(call, planner.settings)
    begin = time.process_time()
    if rank is not None:
        seeds = seeds.rows(torch.argsort(rank(call, seeds), stable=True)[:KEPT])
    rounds.onward(call, planner.settings, seeds)
    spent = time.process_time() - begin
    line = float(np.linalg.norm(case.query.goals - case.query.start, axis=1).min())
    found = call.docket.solutions
    length = found[0].length / line if found else float("nan")
    return {"solved": float(bool(found)), "edges": call.docket.edges_checked, "ms": 1e3 * spent, "length": length}


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", required=True, help="a folder as edmp bench run takes it")
    parser.add_argument("--value", required=True, help="a file of edmp finetune --method value")
    parser.add_argument("--robot", default="panda", help="whose problems these are")
    parser.add_argument("--prior", default=None, help="whose samples are ranked; default: the robot's own")
    parser.add_argument("--given", type=int, default=20, help="problems of the folder")
    parser.add_argument("--generated", type=int, default=20, help="problems of the generators")
    options = parser.parse_args()
    value = load_prior(options.value, load_robot(options.robot))
    if not isinstance(value, Value):
        raise SystemExit(f"{options.value} is no value network")
    planner = Planner(options.robot, prior=options.prior)
    problems = list(cases(options.problems, options.given, options.generated, options.robot))

    def by_value(call: Call, seeds: Candidates) -> Tensor:
        return -value.network.value(call.descent.world, seeds.control_points)

    ranks: dict[str, Rank | None] = {"all": None, "value": by_value, "kernel": kernel, "first": first}
    for kind in ("given", "generated"):
        chosen = [case for case in problems if case.kind == kind]
        rows: dict[str, list[dict[str, float]]] = {name: [] for name in ranks}
        areas: dict[str, list[float]] = {"value": [], "kernel": []}
        for case in chosen:
            planner.robot = case.problem.robot
            for name, rank in ranks.items():
                rows[name].append(outcome(planner, case, rank))
            call = planner.prepare(case.query, case.judge, seed=0)
            seeds = rounds.seeds(call, planner.settings)
            whole = Round(repair_iterations=32, enough_valid=len(seeds))
            good = rounds.repair(seeds, call.descent, round_=whole, settings=planner.settings).valid
            for name, score in (("value", by_value), ("kernel", kernel)):
                areas[name].append(separation(score(call, seeds), good))
        both = [i for i in range(len(chosen)) if all(row[i]["solved"] for row in rows.values())]
        for name, found in rows.items():
            solved = sum(row["solved"] for row in found)
            edges, ms = (np.median([row[column] for row in found]) for column in ("edges", "ms"))
            mean = np.mean([row["ms"] for row in found])
            length = np.mean([found[i]["length"] for i in both])
            print(
                f"{name}  {kind}: solved {solved:.0f}/{len(found)}; edges {edges:.0f}; ms {ms:.1f}, mean {mean:.1f}; "
                f"length {length:.3f} of {len(both)} that all solve",
                flush=True,
            )
        print(
            f"AUC  {kind}: " + ", ".join(f"{name} {np.nanmean(area):.3f}" for name, area in areas.items()), flush=True
        )


if __name__ == "__main__":
    main()
