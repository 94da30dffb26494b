"""Benchmarks: many problems, one judge, one line of JSON a problem and planner."""

from edmp.bench.planners import PLANNERS, PlannerSpec, make_planner, parse_spec, parse_specs
from edmp.bench.problems import BenchProblem, find_problems
from edmp.bench.records import Record, read_records, read_runs
from edmp.bench.runner import RunSettings, run
from edmp.bench.sight import SIGHTS, with_sight

__all__ = [
    "PLANNERS",
    "SIGHTS",
    "BenchProblem",
    "PlannerSpec",
    "Record",
    "RunSettings",
    "find_problems",
    "make_planner",
    "parse_spec",
    "parse_specs",
    "read_records",
    "read_runs",
    "run",
    "with_sight",
]
