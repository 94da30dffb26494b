"""What a source does not say, given to the verbs as keywords: the way until 0.2."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from numpy.typing import ArrayLike

from edmp.problem import Problem
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.trace import Trace
from edmp.viz.subject import subject_of

P = ParamSpec("P")
T = TypeVar("T")


def takes_setting(verb: Callable[P, T]) -> Callable[P, T]:
    """A verb that until 0.3 also takes robot, scene, problem, request and q, which belong to `subject_of`.

    A result knows its problem, and `subject_of` adds what other sources do not say.
    """

    @functools.wraps(verb)
    def either(
        source: Any,
        *arguments: Any,
        robot: Robot | str | Path | None = None,
        scene: Scene | None = None,
        problem: Problem | None = None,
        request: str | Path | None = None,
        q: ArrayLike | str | None = None,
        **options: Any,
    ) -> T:
        setting: dict[str, Any] = {"robot": robot, "scene": scene, "problem": problem, "request": request, "q": q}
        given = {name: value for name, value in setting.items() if value is not None}
        if given:
            words = ", ".join(f"{name}=..." for name in given)
            warnings.warn(
                f"{verb.__name__}(source, {words}) goes in 0.3: a result of plan needs none of these, and for other "
                f"sources give {verb.__name__} what edmp.viz.subject_of(source, {words}) returns",
                DeprecationWarning,
                stacklevel=2,
            )
            if not isinstance(source, Trace):
                source = subject_of(source, **given)
        return verb(source, *arguments, **options)

    return either  # type: ignore[return-value]
