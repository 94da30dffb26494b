"""Benchmarks: many problems, one judge, one line of JSON a problem."""

from edmp.bench.planners import PLANNERS, make_planner
from edmp.bench.problems import BenchProblem, find_problems
from edmp.bench.records import Record, read_records
from edmp.bench.runner import run

__all__ = ["PLANNERS", "BenchProblem", "Record", "find_problems", "make_planner", "read_records", "run"]
