"""The planners that can be compared, and how they are named.

A planner under test is named by a spec ``name`` or ``name:key=value:key=value``, such as ``edmp:num_seeds=16`` or
``chomp:time_budget=5``. Values are numbers, ``true``, ``false`` or words; those of text settings are taken as they
stand. A spec has no room for a value with a colon or a comma in it.

To add a planner, write one class with ``plan(problem, seed) -> Claim`` (most simply an `edmp.baselines.Baseline`) and,
if it has settings, a frozen dataclass called ``<Class>Settings`` beside it, which its constructor takes; then add a row
to `PLANNERS`. Outside this package no row is needed: ``my_package.my_module.MyPlanner`` is a name, too.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from edmp.errors import InvalidInputError, unknown_name

if TYPE_CHECKING:
    from edmp.baselines.base import Claim
    from edmp.planner import Planner, PlannerSettings
    from edmp.problem import Problem
    from edmp.robots.robot import Robot

Scalar = bool | int | float | str


class BenchPlanner(Protocol):
    """A planner under test."""

    def plan(self, problem: Problem, seed: int) -> Claim:
        """Plan once. The caller takes the time."""


@dataclass(frozen=True)
class PlannerSpec:
    """Which planner, with which settings.

    Attributes:
        text: the spec as it was written; what records are filed under.
        name: row of `PLANNERS`, or a class by its full name.
        options: the settings that were chosen.
        sight: how it is given problems, see `edmp.bench.sight`.
    """

    text: str
    name: str
    options: Mapping[str, Scalar] = field(default_factory=dict)
    sight: str = "shapes"


class PlannerRow(ABC):
    """How a planner is made from settings."""

    @abstractmethod
    def defaults(self) -> Mapping[str, Scalar | None]:
        """Every key that a spec may set, with its default.

        Raises:
            MissingDependencyError: the planner needs a package that is not installed.
        """

    @abstractmethod
    def make(self, options: Mapping[str, Scalar]) -> BenchPlanner:
        """The planner with some settings chosen.

        Raises:
            InvalidInputError: a setting makes no sense.
            UnknownNameError: a setting names something that does not exist.
            MissingDependencyError: the planner needs a package that is not installed.
        """


# --- classes with settings of their own ------------------------------------------------------------------------------


@dataclass(frozen=True)
class ClassRow(PlannerRow):
    """A class by its full name, imported when it is needed, and its dataclass of settings ``<Class>Settings``.

    Attributes:
        path: ``package.module.Class``.
        fixed: settings that make this row what it is; a spec cannot change them.
    """

    path: str
    fixed: Mapping[str, Scalar] = field(default_factory=dict)

    def defaults(self) -> Mapping[str, Scalar | None]:
        _, settings = self._load()
        return {} if settings is None else _scalars(settings(), "", without=self.fixed)

    def make(self, options: Mapping[str, Scalar]) -> BenchPlanner:
        planner, settings = self._load()
        return planner() if settings is None else planner(settings(**self.fixed, **options))

    def _load(self) -> tuple[Any, Any]:
        """The class and its dataclass of settings, None if it has none."""
        home, _, name = self.path.rpartition(".")
        try:
            module = importlib.import_module(home)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{home}.".startswith(f"{error.name}."):
                raise  # the module is there; something that it needs is not
            raise InvalidInputError(f"planner {self.path!r}: there is no module {error.name!r}") from None
        planner = getattr(module, name, None)
        if not callable(getattr(planner, "plan", None)):
            raise InvalidInputError(f"planner {self.path!r}: {home} has no class {name} with plan(problem, seed)")
        return planner, getattr(module, f"{name}Settings", None)


def _scalars(settings: Any, prefix: str, *, without: Mapping[str, Any]) -> dict[str, Scalar | None]:
    """The fields of a settings object that a spec can write, with their values."""
    found = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings) if f.init}
    return {
        f"{prefix}{name}": value
        for name, value in found.items()
        if name not in without and (value is None or isinstance(value, Scalar))
    }


# --- edmp itself -----------------------------------------------------------------------------------------------------


_SETTINGS_PARTS = ("guidance", "first_look")
"""Settings within the settings of the planner, whose fields are keys with a dot."""


class EdmpRow(PlannerRow):
    """`edmp.Planner`, with the arguments of `edmp.plan` and the scalar fields of its settings as keys.

    ``prior=process`` denoises with the Gaussian-process prior in place of the trained one; ``prior=none`` denoises
    nothing: all seeds are plain samples of the Gaussian process. ``guidance.steps=0`` leaves guidance out,
    ``repair_iterations=0`` and ``first_look.repair_iterations=0`` repair, ``fallback=false`` the search.
    """

    def defaults(self) -> Mapping[str, Scalar | None]:
        from edmp.planner import PlannerSettings

        settings = PlannerSettings()
        own: dict[str, Scalar | None] = {"fallback": True, "time_budget": 10.0, "ensemble": "default", "prior": ""}
        for part in _SETTINGS_PARTS:
            own |= _scalars(getattr(settings, part), f"{part}.", without={})
        return own | _scalars(settings, "", without={})

    def make(self, options: Mapping[str, Scalar]) -> BenchPlanner:
        return EdmpPlanner(**_edmp_arguments(options))


def _edmp_arguments(options: Mapping[str, Scalar]) -> dict[str, Any]:
    """The arguments of `EdmpPlanner` for the options of a spec."""
    from edmp.planner import PlannerSettings

    chosen = dict(options)
    own: dict[str, Any] = {
        key: chosen.pop(key) for key in ("fallback", "time_budget", "ensemble", "prior") if key in chosen
    }
    if own.get("prior") == "none":
        if chosen.setdefault("prior_share", 0.0) != 0:
            raise InvalidInputError(f"prior=none means prior_share=0, not {chosen['prior_share']}")
        own["prior"] = "process"
    settings = PlannerSettings()
    parts: dict[str, Any] = {}
    for part in _SETTINGS_PARTS:
        of_part = [key for key in chosen if key.startswith(f"{part}.")]
        inner: dict[str, Any] = {key.removeprefix(f"{part}."): chosen.pop(key) for key in of_part}
        parts[part] = dataclasses.replace(getattr(settings, part), **inner)
    return {**own, "settings": dataclasses.replace(settings, **parts, **chosen)}  # type: ignore[arg-type]


class EdmpPlanner:
    """One `edmp.Planner` a robot, kept as `edmp.plan` keeps them."""

    def __init__(
        self,
        *,
        fallback: bool = True,
        time_budget: float = 10.0,
        ensemble: str = "default",
        prior: str = "",
        settings: PlannerSettings | None = None,
    ) -> None:
        from edmp.costs import ensemble_by_name
        from edmp.prior.checkpoint import prior_info

        if not time_budget > 0:
            raise InvalidInputError(f"time_budget must be positive, got {time_budget}")
        ensemble_by_name(ensemble)
        if prior not in ("", "process"):
            prior_info(prior)
        self._fallback, self._time_budget, self._ensemble, self._prior = fallback, time_budget, ensemble, prior
        self._settings = settings
        self.planner_for = functools.lru_cache(maxsize=8)(self._make_planner)

    def _make_planner(self, robot: Robot) -> Planner:
        import edmp

        return edmp.Planner(robot, prior=self._prior or None, ensemble=self._ensemble, settings=self._settings)

    def plan(self, problem: Problem, seed: int) -> Claim:
        from edmp.baselines.base import Claim

        planner = self.planner_for(problem.robot)
        result = planner.plan(
            problem.scene,
            problem.start,
            problem.goal,
            seed=seed,
            time_budget=self._time_budget,
            fallback=self._fallback,
            **problem.options,
        )
        return Claim(
            result.status,
            result.message,
            path=result.path,
            trajectory=result.trajectory,
            stage=result.stats.stage,
            timings=result.stats.timings,
            num_alternatives=len(result.alternatives),
            first_s=result.stats.first_s,
        )


# --- the table -------------------------------------------------------------------------------------------------------

_PROJECTED = "edmp.baselines.projected.Projected"
_OPTIMAL = "edmp.baselines.sampling_based.AsymptoticallyOptimal"

PLANNERS: dict[str, PlannerRow] = {
    "edmp": EdmpRow(),
    "chomp": ClassRow("edmp.baselines.chomp.Chomp"),
    "stomp": ClassRow("edmp.baselines.stomp.Stomp"),
    "rrtconnect": ClassRow("edmp.baselines.sampling_based.RrtConnect"),
    "rrtstar": ClassRow(_OPTIMAL, {"algorithm": "rrtstar"}),
    "informed_rrtstar": ClassRow(_OPTIMAL, {"algorithm": "informed_rrtstar"}),
    "bitstar": ClassRow(_OPTIMAL, {"algorithm": "bitstar"}),
    "aorrtc": ClassRow(_OPTIMAL, {"algorithm": "aorrtc"}),
    "projected_rrtconnect": ClassRow(_PROJECTED, {"algorithm": "rrtconnect"}),
    "projected_bkpiece": ClassRow(_PROJECTED, {"algorithm": "bkpiece"}),
    "vamp": ClassRow("edmp.baselines.vamp.Vamp"),
    "mpinets": ClassRow("edmp.baselines.mpinets.planner.Mpinets"),
    "edmp12": ClassRow("edmp.baselines.edmp_paper.EdmpPaper"),
    "edmp1": ClassRow("edmp.baselines.edmp_paper.EdmpPaper", {"guide": 1}),
}
"""Planners by name; add a row to add one."""


def row(name: str) -> PlannerRow:
    """The row called ``name``, or one for a class by its full name.

    Raises:
        UnknownNameError: lists those there are.
    """
    if "." in name:
        return ClassRow(name)
    if name not in PLANNERS:
        raise unknown_name("planner", name, PLANNERS)
    return PLANNERS[name]


def make_planner(spec: PlannerSpec | str) -> BenchPlanner:
    """The planner that a spec names. Raises as `parse_spec` and `PlannerRow.make` do."""
    if isinstance(spec, str):
        spec = parse_spec(spec)
    return row(spec.name).make(spec.options)


def parse_spec(text: str) -> PlannerSpec:
    """A spec from what was written.

    Raises:
        UnknownNameError: no such planner, or it has no such setting; lists those there are.
        InvalidInputError: not ``name:key=value:key=value``, or a value of another type than the setting.
        MissingDependencyError: the planner needs a package that is not installed.
    """
    text = text.strip()
    name, *settings = text.split(":")
    if not settings:
        row(name).defaults()
        return PlannerSpec(text, name)
    defaults = row(name).defaults()
    options: dict[str, Scalar] = {}
    for setting in settings:
        key, sign, value = (part.strip() for part in setting.partition("="))
        if not sign or not key or not value:
            raise InvalidInputError(f"planner {text!r}: expected name:key=value:key=value, found {setting!r}")
        if key not in defaults:
            raise unknown_name(f"setting of planner {name}", key, defaults)
        if key in options:
            raise InvalidInputError(f"planner {text!r}: {key} is given twice")
        options[key] = _value(value, defaults[key], f"planner {text!r}: {key}")
    return PlannerSpec(text, name, options)


def _value(text: str, default: Scalar | None, what: str) -> Scalar:
    """What stands for a setting whose default is ``default``."""
    if isinstance(default, str):
        return text
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if not isinstance(value, Scalar):
        value = text
    if default is None:
        return value
    if isinstance(default, bool):
        wanted, fits = "true or false", isinstance(value, bool)
    elif isinstance(default, int):
        wanted, fits = "a whole number", isinstance(value, int) and not isinstance(value, bool)
    else:
        wanted, fits = "a number", isinstance(value, int | float) and not isinstance(value, bool)
    if not fits:
        raise InvalidInputError(f"{what} must be {wanted}, got {text!r}")
    return value


def parse_specs(texts: Sequence[str], shorthands: Mapping[str, Scalar | None]) -> list[PlannerSpec]:
    """Specs from what was written, with settings added to every planner that has them and does not set them itself.

    Args:
        texts: specs; one that is there twice counts once.
        shorthands: settings by key; None was not given.

    Raises:
        InvalidInputError: ``texts`` is empty, or no planner has a setting of ``shorthands``; and as `parse_spec`.
    """
    if not texts:
        raise InvalidInputError("planners: name at least one")
    specs = [parse_spec(text) for text in dict.fromkeys(texts)]
    for key, value in shorthands.items():
        if value is None:
            continue
        having = [spec for spec in specs if key in row(spec.name).defaults()]
        if not having:
            raise InvalidInputError(f"{key}: none of the planners {', '.join(s.text for s in specs)} has this setting")
        word = value if isinstance(value, str) else json.dumps(value)
        specs = [
            parse_spec(f"{spec.text}:{key}={word}") if spec in having and key not in spec.options else spec
            for spec in specs
        ]
    return list({spec.text: spec for spec in specs}.values())
