"""Results from one or more files, as one."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edmp.bench.provenance import RunDescription
from edmp.bench.records import Record, read_records, read_runs
from edmp.bench.statistics import by_planner
from edmp.errors import InvalidInputError, unknown_name


@dataclass(frozen=True)
class Results:
    """Attributes:
    records: of all files, in order.
    runs: name of the file, and what is known of a run that made it.
    """

    records: Sequence[Record]
    runs: Sequence[tuple[str, RunDescription]]

    @property
    def default_seeds(self) -> Mapping[str, int]:
        """``num_seeds`` by planner, where a run or an older record says it."""
        found = {r.planner: r.options["num_seeds"] for r in self.records if _is_count(r.options.get("num_seeds"))}
        for _, run in self.runs:
            for planner, options in run.options.items():
                if _is_count(options.get("num_seeds")):
                    found.setdefault(planner, options["num_seeds"])
        return found


def load(paths: Sequence[str | Path], *, planners: Collection[str] | None = None) -> Results:
    """Read results.

    A planner that has results for the same problem in several files, such as an older and a newer version of it, is
    called ``planner [file]`` in all of them.

    Args:
        paths: of results files.
        planners: only these.

    Raises:
        InvalidInputError: no such file, none with a result in it, results of several robots, or one problem twice in
            one file.
        FileFormatError: with the line that is not a record.
        UnknownNameError: a planner that is in no file.
    """
    sources = [Path(path) for path in dict.fromkeys(map(str, paths))]
    files = [read_records(path) for path in sources]
    if not any(files):
        raise InvalidInputError(f"results: no whole line of results in {', '.join(map(str, sources))}")
    for path, records in zip(sources, files, strict=True):
        if twice := [key for key, count in Counter(record.key for record in records).items() if count > 1]:
            planner, name, index = twice[0]
            raise InvalidInputError(f"results: {path} holds {planner} on {name}/{index} twice")
    runs = [(path.name, run) for path in sources for run in read_runs(path)]
    records = [record for labelled in _labelled(sources, files) for record in labelled]
    robots = {record.robot for record in records if record.robot}
    if len(robots) > 1:
        raise InvalidInputError(f"results of several robots ({', '.join(sorted(robots))}): make a report of each")
    if planners is not None:
        there = by_planner(records)
        for planner in planners:
            if planner not in there:
                raise unknown_name("planner in the results", planner, there)
        records = [record for planner in dict.fromkeys(planners) for record in there[planner]]
    return Results(records, runs)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _labelled(paths: Sequence[Path], files: Sequence[list[Record]]) -> list[list[Record]]:
    """The records of each file, with planners renamed whose results meet those of another file."""
    counts = Counter(record.key for records in files for record in records)
    ambiguous = {planner for (planner, _, _), count in counts.items() if count > 1}
    stems = [path.stem for path in paths]
    names = stems if len(set(stems)) == len(stems) else [str(path) for path in paths]
    return [
        [dataclasses.replace(r, planner=f"{r.planner} [{name}]") if r.planner in ambiguous else r for r in records]
        for name, records in zip(names, files, strict=True)
    ]
