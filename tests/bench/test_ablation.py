"""The ablation: variants that the planner knows, and what is said about them."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench_cases import write_free_problems
from command import run
from report_cases import line, read, write

import edmp
from edmp.bench import make_planner, parse_specs
from edmp.bench.ablation import ABLATION, DEFAULT, HEADINGS, Variant, cells, effects, questions, variants_of
from edmp.bench.planners import row
from edmp.errors import InvalidInputError, UnknownNameError


@pytest.mark.parametrize("variant", ABLATION, ids=lambda variant: variant.spec)
def test_every_variant_is_a_planner(variant: Variant) -> None:
    make_planner(variant.spec)


def test_variants_are_distinct_and_none_is_the_default() -> None:
    assert len(set(ABLATION)) == len(ABLATION)
    defaults = row(DEFAULT).defaults()
    for spec in parse_specs([variant.spec for variant in ABLATION], {}):
        assert any(defaults[key] != value for key, value in spec.options.items()), spec.text


def test_questions_are_chosen_by_name() -> None:
    assert {variant.question for variant in variants_of(["polish", "prior"])} == {"polish", "prior"}
    assert variants_of() == ABLATION
    with pytest.raises(UnknownNameError, match="repair"):
        variants_of(["repiar"])
    with pytest.raises(InvalidInputError, match="at least one of prior"):
        variants_of([])
    assert len(questions()) == len(set(questions()))


def test_effects_are_paired_with_the_default(tmp_path: Path) -> None:
    variants = (Variant("polish", "edmp:polish_iterations=0"), Variant("seeds", "edmp:num_seeds=4"))
    spec = variants[0].spec
    records = read(
        tmp_path,
        *(line(DEFAULT, i) for i in (1, 2, 3)),
        line(DEFAULT, 4, solved=False),
        line(spec, 1, length_rad=4.4, time_s=0.05),
        line(spec, 2, length_rad=4.0, time_s=0.2),
        line(spec, 3, solved=False),
        line(spec, 4),
    )
    (effect,) = effects(records, variants)  # nothing was run for the other
    assert (effect.solved, effect.valid, effect.lost, effect.won) == (3, 4, 1, 1)
    assert effect.length_ratio == pytest.approx(1.1**0.5)
    assert effect.time_ratio == pytest.approx(0.5**0.5)  # half and the same
    assert effect.p_success == 1.0
    table = cells(records, variants)
    assert [row[1] for row in table] == ["edmp", "polish_iterations=0"]
    assert {len(row) for row in table} == {len(HEADINGS)}
    with pytest.raises(InvalidInputError, match="none of edmp"):
        effects([r for r in records if r.planner != DEFAULT], variants)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On results that are complete, so that nothing is planned."""
    problems = write_free_problems(tmp_path / "problems", {"free": 2})
    variant = "polish_iterations=0:first_look.polish_iterations=0"
    specs = (DEFAULT, f"{DEFAULT}:{variant}")
    lines = [line(spec, i, of="free", version=edmp.__version__, options={}) for spec in specs for i in (1, 2)]
    out = write(tmp_path / "ablation.jsonl", *lines)
    options = ("--problems", problems, "--out", out, "--questions", "polish")
    assert run("bench", "ablate", *options) == 2  # the file exists
    assert run("bench", "ablate", *options, "--resume", "--markdown") == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("| question | variant | solved |")
    assert [row.split(" | ")[1] for row in printed[2:]] == [
        "edmp",
        "polish_iterations=0:first_look.polish_iterations=0",
    ]
    assert run("bench", "ablate", *options, "--resume") == 0
    assert "Tests are two-sided" in capsys.readouterr().out
    assert run("bench", "ablate", *options[:4], "--questions", "nonsense", "--resume") == 2
    assert "unknown question" in capsys.readouterr().err
