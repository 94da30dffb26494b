"""Settings refuse nonsense: the field, its value, and what would be right."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from edmp.errors import InvalidInputError
from edmp.guidance import GuidanceSettings
from edmp.planner import PlannerSettings
from edmp.planner.settings import _RANGES, _ROUND, Round


@pytest.mark.parametrize(
    ("field", "value", "right"),
    [
        ("num_seeds", 0, "in [1, 100000]"),
        ("num_seeds", 2.5, "in [1, 100000] and whole"),
        ("max_rounds", 0, "in [1, 100000]"),
        ("rounds", 0, "in [1, 100000]"),
        ("repair_clearances", (), "one or more"),
        ("repair_clearances", (0.01, -0.01), "each at least 0"),
        ("repair_clearances", 0.01, "a tuple"),
        ("repair_pulls", (), "one or more"),
        ("repair_pulls", (-0.1,), "each in [0, 1]"),
        ("num_alternatives", -1, "at least 0"),
        ("path_waypoints", 1, "in [2, 100000]"),
        ("num_waypoints", 1, "in [2, 10000]"),
        ("edge_step", 0.0, "positive"),
        ("edge_step", math.nan, "positive"),
        ("prior_share", 1.1, "in [0, 1]"),
        ("prior_share", "half", "in [0, 1]"),
        ("enough_valid", 0, "in [1, 100000]"),
        ("repair_iterations", -1, "at least 0"),
        ("polish_iterations", -1, "at least 0"),
        ("fallback_iterations", -1, "at least 0"),
        ("polish_candidates", 0, "in [1, 100000]"),
        ("polish_clearance", -0.01, "at least 0"),
        ("margin", math.inf, "at least 0"),
        ("fallback_attempts", 0, "in [1, 100000]"),
        ("repair_max_move", 0.0, "positive"),
        ("guidance", None, "GuidanceSettings"),
        ("first_look", 1.1, "a Round or None"),
        ("fresh", 1.1, "a Round or None"),
        ("refine", Round(), "a Round with a sigma to re-noise to or None"),
        ("warm", None, "a Round with a sigma to re-noise to"),
        ("repair_every", 0, "in [1, 10]"),
        ("long", 0.9, "at least 1"),
    ],
)
def test_planner_settings(field, value, right):
    with pytest.raises(
        InvalidInputError, match=f"{field} must be .*{re.escape(right)}.*, got {re.escape(repr(value))}"
    ):
        PlannerSettings(**{field: value})


@pytest.mark.parametrize(
    ("field", "value", "right"),
    [
        ("steps", -1, "at least 0 and whole"),
        ("steps", None, "at least 0 and whole"),
        ("max_move", 0.0, "positive"),
        ("max_scale", math.nan, "positive"),
    ],
)
def test_guidance_settings(field, value, right):
    with pytest.raises(InvalidInputError, match=f"{field} must be {right}, got {value}"):
        GuidanceSettings(**{field: value})


def test_every_field_has_its_range():
    assert set(_ROUND) | {"sigma", "near", "quick"} == set(Round.__dataclass_fields__)
    own = set(PlannerSettings.__dataclass_fields__) - set(Round.__dataclass_fields__)
    assert set(_RANGES) | {"guidance", "first_look", "fresh", "refine", "warm"} == own


def test_numbers_of_numpy_and_lists_are_fine():
    PlannerSettings(num_seeds=np.int64(3), edge_step=np.float32(0.01), repair_pulls=[0.0, 1], prior_share=0)
