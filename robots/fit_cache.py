"""Fits kept between runs, found again by the content of what was fitted: a robot is fitted once.

An entry is a JSON file in the user's cache folder, under a digest of all that a fit depends on: joints, links, the
geometry itself, the settings and `FIT_VERSION`. Its first line is a digest of the rest: what is damaged is fitted
again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edmp.errors import EdmpWarning, InvalidInputError
from edmp.files.writing import write_text
from edmp.robots.description import Document
from edmp.robots.geometry_fit import FitSettings, SourceGeometry

FIT_VERSION = 1
"""To be raised whenever the same input is fitted otherwise than before."""

Fit = dict[str, Any]
"""links: geometry keys by link name; collision_pairs: as in a description; notes: what is to be told of the fit."""

_APART = {
    "joints": ("velocity", "acceleration", "jerk", "effort"),
    "links": ("source", "mass", "com"),
}
"""Keys that a fit does not depend on; a link's source counts by the geometry that it names."""


def cache_folder() -> Path:
    """Where fits are kept: ``edmp/fits`` in ``XDG_CACHE_HOME``, or in ``~/.cache``."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # which includes that it is not set
        base = Path("~/.cache").expanduser()
    return base / "edmp" / "fits"


def fit_key(document: Document, loaded: Mapping[str, Sequence[SourceGeometry]], settings: FitSettings) -> str:
    """Digest of all that the fit of a document depends on.

    Args:
        document: without fitted geometry.
        loaded: the geometry of each link, by name.
        settings: how closely to fit.
    """
    said = {
        "version": FIT_VERSION,
        "settings": dataclasses.asdict(settings),
        "home": document["home"],
        "gripper": document.get("gripper"),
        **{
            part: [{key: value for key, value in entry.items() if key not in apart} for entry in document[part]]
            for part, apart in _APART.items()
        },
    }
    digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=repr).encode())
    for name, geometries in loaded.items():
        for geometry in geometries:
            triangles = b"" if geometry.triangles is None else geometry.triangles.tobytes()
            digest.update(f"{name} {len(geometry.points)} {len(triangles)}".encode())
            digest.update(geometry.points.tobytes() + triangles)
    return digest.hexdigest()


def read_fit(key: str) -> Fit | None:
    """The fit kept under a key; None if there is none, or a damaged one."""
    try:
        checksum, _, text = (cache_folder() / f"{key}.json").read_text("utf-8").partition("\n")
    except (OSError, RuntimeError, ValueError):
        return None
    return json.loads(text) if checksum == _digest(text) else None


def write_fit(key: str, fit: Fit) -> None:
    """Keep a fit, whole or not at all; where that cannot be, one line says so."""
    text = json.dumps(fit)
    folder = Path("the user's cache folder")
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / f"{key}.json", f"{_digest(text)}\n{text}")
    except (OSError, RuntimeError, InvalidInputError) as error:  # RuntimeError: there is no home
        why = getattr(error, "strerror", None) or error
        warnings.warn(
            f"the fit cannot be kept in {folder} ({why}) and will be made anew next time; "
            "set XDG_CACHE_HOME to a folder that can be written, or keep it by save_robot or edmp robot fit",
            EdmpWarning,
            stacklevel=2,
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
