"""What does each part of edmp buy? Variants of the planner as data, and a table of what changes against the default.

To ask another question, add a `Variant`: its spec sets what differs, everything else stays at its default.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edmp.bench.records import Record
from edmp.bench.statistics import by_planner, geometric_mean, pairs
from edmp.bench.table import number, summarise
from edmp.errors import InvalidInputError, unknown_name

DEFAULT = "edmp"
"""Spec of the planner that variants are compared with."""


@dataclass(frozen=True)
class Variant:
    """Attributes:
    question: what is asked; variants of one question stand together.
    spec: the planner, as `edmp.bench.planners.parse_spec` takes it.
    """

    question: str
    spec: str


def _variants(question: str, *settings: str) -> tuple[Variant, ...]:
    return tuple(Variant(question, f"{DEFAULT}:{setting}") for setting in settings)


ABLATION: tuple[Variant, ...] = (
    # Where candidates come from. The default mixes the trained prior and the Gaussian process half and half.
    *_variants("prior", "prior=process", "prior=none", "prior_share=1"),
    # Steering while sampling, and its costs: each of the four distances off, then 1 to 3 of them, then EDMP's.
    *_variants("guidance", "guidance.steps=0", "guidance.steps=2", "guidance.steps=3"),
    *_variants("cost", *(f"ensemble=default@{'+'.join(str(k) for k in range(4) if k != off)}" for off in range(4))),
    *_variants("ensemble", "ensemble=default@1", "ensemble=default@0+1", "ensemble=default@0+1+2"),
    # EDMP's twelve guides in their place: one, three, six and all of them, spread over both kinds; then one kind alone.
    *_variants("EDMP's guides", *(f"ensemble=edmp12{some}" for some in ("@1", "@1+5+7", "@0+1+2+5+7+9", ""))),
    *_variants("EDMP's guides", "ensemble=edmp12@0+1+2+3+4", "ensemble=edmp12@5+6+7+8+9+10+11"),
    *_variants("first look", "first_look.near=0", "first_look.near=1.02", "first_look.num_seeds=16"),
    # What comes after sampling; without the fallback, too, which otherwise makes up for what is missing.
    *_variants(
        "repair",
        "repair_iterations=0:first_look.repair_iterations=0",
        "repair_iterations=0:first_look.repair_iterations=0:fallback=false",
        "repair_iterations=30",
    ),
    *_variants("polish", "polish_iterations=0:first_look.polish_iterations=0"),
    *_variants("fallback", "fallback=false"),
    *_variants(
        "only samples",
        "first_look.near=0:repair_iterations=0:polish_iterations=0:fallback=false",
        "first_look.near=0:repair_iterations=0:polish_iterations=0:fallback=false:guidance.steps=0",
        "first_look.near=0:repair_iterations=0:polish_iterations=0:fallback=false:prior=none",
    ),
    *_variants("sampler steps", *(f"first_look.near=0:sampler_steps={n}" for n in (1, 2, 4, 16))),
    *_variants("seeds", *(f"first_look.near=0:num_seeds={n}" for n in (4, 8, 16, 24, 96))),
)


def questions() -> tuple[str, ...]:
    """Every question of the ablation, in order."""
    return tuple(dict.fromkeys(variant.question for variant in ABLATION))


def variants_of(chosen: Sequence[str] | None = None) -> tuple[Variant, ...]:
    """The variants of some questions, or of all.

    Raises:
        UnknownNameError: a question that is not asked; lists those that are.
        InvalidInputError: none is chosen.
    """
    if chosen is None:
        return ABLATION
    if not chosen:
        raise InvalidInputError(f"questions: choose at least one of {', '.join(questions())}")
    for question in chosen:
        if question not in questions():
            raise unknown_name("question of the ablation", question, questions())
    return tuple(variant for variant in ABLATION if variant.question in chosen)


@dataclass(frozen=True)
class Effect:
    """One variant against the default, on the problems that both have tried.

    Attributes:
        variant: which.
        solved, valid: of the variant.
        lost, won: problems that only the default, or only the variant solves.
        p_success: McNemar's exact test, two-sided.
        length_ratio: variant / default, geometric mean over problems that both solve [1].
        p_length: signed-rank test, two-sided.
        time_median: of the variant [s].
        time_ratio: variant / default, geometric mean over problems that both solve [1].
    """

    variant: Variant
    solved: int
    valid: int
    lost: int
    won: int
    p_success: float
    length_ratio: float
    p_length: float
    time_median: float
    time_ratio: float


def effects(records: Sequence[Record], variants: Sequence[Variant]) -> list[Effect]:
    """What each variant changes, in the order of ``variants``; those without results are left out.

    Raises:
        InvalidInputError: there are no results of the default.
    """
    groups = by_planner(records)
    if DEFAULT not in groups:
        raise InvalidInputError(f"results: none of {DEFAULT}, which variants are compared with")
    overall = {row.planner: row for row in summarise(records)}  # a planner's last row is over all its sets
    found = []
    for variant in variants:
        if variant.spec not in groups:
            continue
        pair, row = pairs(groups[DEFAULT], groups[variant.spec]), overall[variant.spec]
        found.append(
            Effect(
                variant, row.solved, row.valid, len(pair.only_first), len(pair.only_second), pair.p_success,
                geometric_mean(pair.length_ratios), pair.p_length, row.time_median,
                geometric_mean(pair.time_ratios),
            )
        )  # fmt: skip
    return found


HEADINGS = (
    "question", "variant", "solved", "%", "lost", "won", "p", "length", "p (length)", "median [s]", "time",
)  # fmt: skip


NOTE = (
    "% of valid problems; lost, won: solved by the default only, by the variant only, p by McNemar's exact test; "
    "length and time: variant / default, geometric means over problems that both solve, p (length) by Wilcoxon's "
    "signed ranks. Tests are two-sided and not corrected for their number."
)


def cells(records: Sequence[Record], variants: Sequence[Variant]) -> list[tuple[str, ...]]:
    """The table as text, a row of `HEADINGS` each: the default, then the variants. Raises as `effects`."""
    found = effects(records, variants)
    default = {row.planner: row for row in summarise(records)}[DEFAULT]
    rows: list[tuple[str, ...]] = [
        (
            "", DEFAULT, f"{default.solved}/{default.valid}", number(default.success, 1), "", "", "", "", "",
            number(default.time_median, 3), "",
        )
    ]  # fmt: skip
    for effect in found:
        percent = 100 * effect.solved / effect.valid if effect.valid else float("nan")
        rows.append(
            (
                effect.variant.question, effect.variant.spec.removeprefix(f"{DEFAULT}:"),
                f"{effect.solved}/{effect.valid}", number(percent, 1), str(effect.lost), str(effect.won),
                f"{effect.p_success:.2g}", number(effect.length_ratio, 3), f"{effect.p_length:.2g}",
                number(effect.time_median, 3), number(effect.time_ratio, 2),
            )
        )  # fmt: skip
    return rows
