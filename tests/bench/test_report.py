"""Reports: the statistics against references, and what the pages hold."""

from __future__ import annotations

import base64
import math
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from command import run
from report_cases import line, read, write
from scipy import stats

from edmp.bench.report.build import build, write_report
from edmp.bench.report.definitions import METRICS
from edmp.bench.report.html import as_html
from edmp.bench.report.sources import Results, load
from edmp.bench.report.style import COLORS, looks
from edmp.bench.statistics import (
    best_known,
    geometric_mean,
    mcnemar,
    pairs,
    seed_series,
    signed_rank,
    solved_within,
    split_seeds,
    wilson,
)
from edmp.errors import InvalidInputError, UnknownNameError

# --- statistics ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "n"), [(0, 5), (5, 5), (1, 3), (347, 350), (50, 100)])
def test_wilson_is_scipys(k: int, n: int) -> None:
    reference = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert wilson(k, n) == pytest.approx((reference.low, reference.high), abs=1e-9)


def test_wilson_at_the_edges() -> None:
    assert all(map(math.isnan, wilson(0, 0)))
    with pytest.raises(InvalidInputError, match="3 successes of 2"):
        wilson(3, 2)


def test_mcnemar_is_a_binomial_sum() -> None:
    def upper(k: int, n: int) -> float:
        return sum(math.comb(n, i) for i in range(k, n + 1)) / 2**n

    assert mcnemar(8, 2, alternative="greater") == pytest.approx(upper(8, 10))
    assert mcnemar(8, 2) == mcnemar(2, 8) == pytest.approx(2 * upper(8, 10))
    assert mcnemar(2, 8, alternative="greater") == pytest.approx(upper(2, 10))
    assert mcnemar(0, 0) == mcnemar(0, 0, alternative="greater") == 1.0


def test_signed_rank() -> None:
    # All of n differences positive: one of the 2^n ways to choose signs is as extreme.
    assert signed_rank([0.1, 0.3, 0.2, 0.5, 0.4], alternative="greater") == pytest.approx(2**-5)
    assert signed_rank([0.1, 0.3, 0.2, 0.5, 0.4, 0.01, -0.01, 0.0], noise=0.02) == pytest.approx(2 * 2**-5)
    assert signed_rank([]) == signed_rank([0.0, 0.0]) == signed_rank([0.01, -0.01], noise=0.02) == 1.0
    assert geometric_mean([0.5, 2.0]) == pytest.approx(1.0)
    assert math.isnan(geometric_mean([]))


def test_pairs_are_of_the_same_problems(tmp_path: Path) -> None:
    a = [line("a", 1), line("a", 2), line("a", 3, solved=False), line("a", 9)]
    b = [line("b", 1, length_rad=5.0, min_clearance_m=0.03), line("b", 2, solved=False), line("b", 3), line("b", 8)]
    both = read(tmp_path, *a, *b)
    pair = pairs(both[:4], both[4:])
    assert (pair.problems, pair.both, pair.only_first) == (3, (("shelf", 1),), (("shelf", 2),))
    assert pair.only_second == (("shelf", 3),)
    assert pair.length_ratios.tolist() == [1.25]
    assert pair.clearance_changes.tolist() == [pytest.approx(0.02)]
    assert pair.time_ratios.tolist() == [1.0]


def test_best_known_is_given_or_the_shortest_certified(tmp_path: Path) -> None:
    lines = [
        line("a", 1, best_known_rad=3.5, length_rad=3.0),
        line("a", 2, best_known_rad=None, length_rad=4.0),
        line("b", 2, best_known_rad=None, length_rad=3.0),
        line("b", 3, best_known_rad=None, solved=False, length_rad=1.0, status="REFUTED", refuted="it touches"),
    ]
    best = best_known(read(tmp_path, *lines))
    assert best.lengths == {("shelf", 1): 3.5, ("shelf", 2): 3.0}  # a refuted path is no reference
    assert (best.given, best.found) == (1, 1)
    assert best_known(read(tmp_path, *lines[:2])).lengths == {("shelf", 1): 3.5}  # nobody is a reference for itself


def test_series_over_the_number_of_seeds(tmp_path: Path) -> None:
    assert split_seeds("edmp:num_seeds=8:prior=process") == ("edmp:prior=process", 8)
    assert split_seeds("edmp") == ("edmp", None)
    specs = ("edmp", "edmp:num_seeds=4", "edmp:num_seeds=4:prior=process", "chomp")
    records = read(tmp_path, *(line(spec, i, solved=i > 1 or spec == "edmp") for spec in specs for i in (1, 2, 3)))
    (points,) = seed_series(records, {"edmp": 48}).values()
    assert [(p.num_seeds, p.solved, p.valid) for p in points] == [(4, 2, 3), (48, 3, 3)]
    assert points[0].time_median == pytest.approx(0.2)
    assert seed_series(records, {}) == {}


def test_solved_within(tmp_path: Path) -> None:
    lines = [line("a", 1, time_s=0.5), line("a", 2, time_s=0.2), line("a", 3, time_s=0.1, solved=False), line("a", 4)]
    times, shares = solved_within(read(tmp_path, *lines))
    np.testing.assert_allclose(times, [0.2, 0.4, 0.5])
    np.testing.assert_allclose(shares, [0.25, 0.5, 0.75])


def test_what_is_ready_counts_where_the_file_says_it(tmp_path: Path) -> None:
    times, shares = solved_within(read(tmp_path, line("a", 1, time_s=0.1, ready_s=0.3), line("a", 2, time_s=0.2)))
    np.testing.assert_allclose(times, [0.2, 0.3])  # an older line has the time of the plan only
    np.testing.assert_allclose(shares, [0.5, 1.0])


# --- sources ---------------------------------------------------------------------------------------------------------


def test_several_files(tmp_path: Path) -> None:
    old = write(tmp_path / "old.jsonl", line("edmp", 1), line("chomp", 1), run=True)
    new = write(tmp_path / "new.jsonl", line("edmp", 1), line("chomp", 2))
    results = load([old, new])
    assert [r.planner for r in results.records] == ["edmp [old]", "chomp", "edmp [new]", "chomp"]
    assert [name for name, _ in results.runs] == ["old.jsonl"]
    assert [r.planner for r in load([old, old]).records] == ["edmp", "chomp"]
    assert [r.planner for r in load([old], planners=["chomp"]).records] == ["chomp"]
    with pytest.raises(UnknownNameError, match="valid: chomp, edmp"):
        load([old], planners=["stomp"])
    with pytest.raises(InvalidInputError, match=r"holds edmp on shelf/1 twice"):
        load([write(tmp_path / "twice.jsonl", line("edmp", 1), line("edmp", 1))])
    with pytest.raises(InvalidInputError, match="several robots"):
        load([old, write(tmp_path / "ur5.jsonl", line("edmp", 9, robot="ur5"))])


# --- pages -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Two planners on two sets, and one of them with fewer seeds."""
    lines = [
        line(planner, i, of=name, solved=planner == "a" or i % 2 == 0, length_rad=3.0 + 0.1 * i)
        for planner in ("a", "b<fast>", "a:num_seeds=8")
        for name in ("shelf", "cage_tall")
        for i in range(1, 5)
    ]
    lines.append(line("b<fast>", 5, solved=False, status="CRASHED", message="<script>alert('x')</script>"))
    return load([write(tmp_path_factory.mktemp("results") / "results.jsonl", *lines, run=True)])


class Page(HTMLParser):
    """Checks that tags nest, and collects headings, links, images and the number of cells in each row."""

    VOID = frozenset({"meta", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.sources: list[str] = []
        self.rows: list[list[int]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "table":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1][-1] += 1
        if tag == "tr":
            self.rows[-1].append(0)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone(results: Results, tmp_path: Path) -> None:
    files = write_report(results, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text()
    parsed = Page(page)
    assert not {"script", "link", "iframe", "a"} & set(parsed.seen)
    assert all(source.startswith("data:image/svg+xml;base64,") for source in parsed.sources)
    assert "@import" not in page
    assert "url(" not in page
    assert "&lt;script&gt;alert" in page
    for rows in parsed.rows:
        assert len(set(rows)) == 1, rows
    for source in parsed.sources:
        assert ET.fromstring(base64.b64decode(source.split(",")[1])).tag.endswith("svg")
    assert len(parsed.sources) == 6
    names = {path.name for path in files}
    assert names == {path.name for path in (tmp_path / "report").iterdir()}
    assert len([name for name in names if name.endswith(".png")]) == 6


def test_the_markdown_shows_its_figures_and_keeps_its_tables(results: Results, tmp_path: Path) -> None:
    write_report(results, tmp_path)
    text = (tmp_path / "report.md").read_text()
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert {path.name for path in tmp_path.glob("*.png")} == set(shown)
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1, table
    assert "b&lt;fast>" in text
    assert "<script>" not in text
    assert "stuck \\| at a_board" in text


def test_the_report_says_what_is_there(results: Results) -> None:
    page = as_html(build(results))
    for text in (
        "a:num_seeds=8", "cage_tall", "edmp bench run --planners a|b", "A CPU &lt;fast&gt;, 2 cores", "edmp 0.1.0",
        "8/8", "4/9", "seed 0", "python 3.11.9", "given with 9 problems", "CRASHED", "num_seeds=48",
        *(metric.name for metric in METRICS),
    ):  # fmt: skip
        assert text in page, text
    titles = [section.title for section in build(results).sections]
    assert titles == [
        "Overview", "Success", "Success within a deadline", "Time", "Length, clearance, smoothness", "Number of seeds",
        "Pairs of planners", "Failures", "Runs", "Definitions",
    ]  # fmt: skip


def test_the_same_results_give_the_same_files(results: Results, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_report(results, tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    "lines",
    [
        [line("a", 1)],
        [line("a", 1, solved=False)],
        [line("a", 1, solved=False, status="START_IN_COLLISION")],
        [{"planner": "a", "set": "s", "index": 1, "solved": True, "status": "SOLVED"}],
        [line(f"p:k={k}", i) for k in range(15) for i in (1, 2)],
    ],
    ids=["one", "none solved", "none valid", "old", "many planners"],
)
def test_little_and_much_can_be_reported(lines: list[dict], tmp_path: Path) -> None:
    write_report(load([write(tmp_path / "r.jsonl", *lines)]), tmp_path / "out")
    Page((tmp_path / "out" / "index.html").read_text())


def test_colours_last_for_more_planners_than_there_are() -> None:
    names = [f"p{i}" for i in range(2 * len(COLORS))]
    found = looks(names)
    assert len({(look.color, str(look.dashes)) for look in found.values()}) == len(names)
    assert len({(look.color, look.marker) for look in found.values()}) == len(names)
    assert looks(names[:3]) == {name: found[name] for name in names[:3]}


def test_the_documentation_has_the_same_definitions() -> None:
    text = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text()
    for metric in METRICS:
        assert f"| {metric.name} | {metric.unit} | {metric.better or '-'} | {metric.definition} |" in text


def test_what_was_seen_otherwise_has_a_section(tmp_path: Path) -> None:
    lines = (line("a", 1, sight="shapes"), line("a as clouds", 1, sight="clouds", untrue="hand touches shelf"))
    write_report(load([write(tmp_path / "r.jsonl", *lines)]), tmp_path)
    assert "## Seen otherwise than as shapes" in (tmp_path / "report.md").read_text()
    assert "a as clouds" in (tmp_path / "report.md").read_text()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "r.jsonl", line("a", 1), line("b", 1))
    assert run("bench", "report", path, "--out", tmp_path / "report") == 0
    assert "index.html" in capsys.readouterr().out
    assert run("bench", "report", path, "--planners", "b", "--markdown") == 0
    assert "| a |" not in capsys.readouterr().out
    (tmp_path / "file").write_text("")
    assert run("bench", "report", path, "--out", tmp_path / "file") == 2
    assert "cannot make folder" in capsys.readouterr().err


def test_the_page_follows_dark_mode_and_figures_keep_their_paper(results):
    dark = as_html(build(results)).split("prefers-color-scheme: dark", 1)[1]
    assert "figure img { background: #fff" in dark
