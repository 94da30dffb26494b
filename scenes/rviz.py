"""The ``.scene`` text files that RViz's MotionPlanning panel saves, in both of their versions.

    kitchen                 # name of the scene
    * desk                  # one object ...
    0.6 0 0.2               # (newer version only) its pose: position, then quaternion (x, y, z, w)
    0 0 0 1
    1                       # number of shapes
    box                     # box: x y z; sphere: radius; cylinder and cone: radius length; mesh: see `_mesh`
    0.8 1.2 0.04
    0 0 0                   # pose of the shape, in the object's frame (in the world in the older version)
    0 0 0 1
    0 0 0 0                 # colour
    0                       # (newer version only) number of subframes, each a name and a pose
    .                       # the end

Poses are in the planning frame, which is the world. Which version it is the line after the first object's name says:
three numbers in the newer one, one in the older.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from edmp.errors import FileFormatError, InvalidInputError
from edmp.geometry.shapes import Box, Cylinder, Mesh, Shape, Sphere
from edmp.scenes.moveit_nodes import cone, ros_pose
from edmp.scenes.scene import Obstacle, Scene

Array = NDArray[np.float64]


def is_rviz_scene(text: str) -> bool:
    """Whether a text is a scene of RViz: after the line with its name come objects (``* id``), or the end (``.``)."""
    after = next((line for line in itertools.islice(text.splitlines(), 1, None) if line.strip()), "")
    return re.match(r"\*\s|\.\s*$", after) is not None


def parse_rviz_scene(text: str, file: str) -> Scene:
    """The scene in ``text``; ``file`` is its name in messages.

    Raises:
        FileFormatError: with file and line, for what is no such scene, planes and degenerate values.
    """
    words = _Words(text, file)
    obstacles: list[Obstacle] = []
    words.line()
    newer = words.several_follow()
    while (mark := words.line()) != ".":
        if not mark.startswith("*"):
            words.fail(f"expected an object ('* id') or the end ('.'), got {mark!r:.40}")
        obstacles += _object(words, newer)
    try:
        return Scene(tuple(obstacles))
    except InvalidInputError as error:
        raise FileFormatError(f"{file}: {error}") from None


class _Words:
    """A text, taken word by word or line by line; knows where it is."""

    def __init__(self, text: str, file: str) -> None:
        lines = text.splitlines()
        self._file, self._lines = file, lines
        self._at, self._words = 1, list[str]()  # line that comes next, from 0; what is left of the one before

    @property
    def more(self) -> bool:
        return self._at < len(self._lines)

    def fail(self, message: str) -> NoReturn:
        raise FileFormatError(f"{self._file}:{min(self._at, len(self._lines))}: {message}")

    def line(self) -> str:
        """The next line that is not empty, without taking it; it must be there."""
        if self._words:
            self.fail(f"more on this line than was expected: {' '.join(self._words)!r:.40}")
        while self.more and not self._lines[self._at].strip():
            self._at += 1
        if not self.more:
            self.fail("the file ends early: no '.' at its end")
        return self._lines[self._at].strip()

    def skip_line(self) -> None:
        self._at += 1

    def several_follow(self) -> bool:
        """Has the line after the next more than one word?"""
        return self._at + 1 < len(self._lines) and len(self._lines[self._at + 1].split()) > 1

    def word(self) -> str:
        while not self._words:
            if not self.more:
                self.fail("the file ends early")
            self._words = self._lines[self._at].split()
            self._at += 1
        return self._words.pop(0)

    def number(self) -> float:
        word = self.word()
        try:
            value = float(word)
        except ValueError:
            self.fail(f"expected a number, got {word!r:.40}")
        if not math.isfinite(value):
            self.fail(f"expected a finite number, got {word}")
        return value

    def numbers(self, count: int) -> list[float]:
        return [self.number() for _ in range(count)]

    def count(self) -> int:
        value = self.number()
        if value != int(value) or value < 0:
            self.fail(f"expected a number of things, got {value:g}")
        return int(value)

    def pose(self) -> Array:
        """(4, 4) of position and quaternion (x, y, z, w)."""
        position, quaternion = self.numbers(3), self.numbers(4)
        try:
            return ros_pose(position, quaternion, f"{self._file}:{self._at}")
        except InvalidInputError as error:
            self.fail(str(error))


def _object(words: _Words, newer: bool) -> list[Obstacle]:
    """One object: named after itself if it has one shape, else ``id[0]``, ``id[1]``, ..."""
    name = words.line()[1:].strip()
    words.skip_line()
    X_WB = words.pose() if newer else np.eye(4)
    pieces = []
    for _ in range(words.count()):
        shape = _shape(words)
        X_BO = words.pose()
        words.numbers(4)  # the colour
        pieces.append((shape, X_BO))
    if newer:
        for _ in range(words.count()):
            words.word()
            words.pose()
    names = [name] if len(pieces) == 1 else [f"{name}[{i}]" for i in range(len(pieces))]
    try:
        return [Obstacle(piece, shape, X_WB @ X_BO) for piece, (shape, X_BO) in zip(names, pieces, strict=True)]
    except InvalidInputError as error:
        words.fail(str(error))


def _shape(words: _Words) -> Shape:
    kind = words.word()
    if kind not in _SHAPES:
        hint = "; planes are infinite: use a large thin box instead" if kind == "plane" else ""
        words.fail(f"unknown shape {kind!r:.40}; known: {', '.join(_SHAPES)}{hint}")
    try:
        return _SHAPES[kind](words)
    except InvalidInputError as error:
        words.fail(str(error))


def _box(words: _Words) -> Shape:
    x, y, z = words.numbers(3)
    return Box((x, y, z))


def _mesh(words: _Words) -> Shape:
    """Numbers of vertices and of triangles, then all vertices (x y z) and all triangles (three vertices, from 0)."""
    num_vertices, num_faces = words.count(), words.count()
    # Lists grow only as far as the file goes: what the counts promise takes no memory.
    vertices = [words.numbers(3) for _ in range(num_vertices)]
    faces = [[words.count() for _ in range(3)] for _ in range(num_faces)]
    if any(corner >= num_vertices for face in faces for corner in face):
        words.fail(f"a triangle has a vertex beyond the {num_vertices} that there are")
    if not faces:
        words.fail("a mesh needs triangles")
    return Mesh(np.array(vertices), np.array(faces, dtype=np.int32))


_SHAPES: dict[str, Callable[[_Words], Shape]] = {
    "box": _box,
    "sphere": lambda words: Sphere(words.number()),
    "cylinder": lambda words: Cylinder(*words.numbers(2)),
    "cone": lambda words: cone(*words.numbers(2)),
    "mesh": _mesh,
}
