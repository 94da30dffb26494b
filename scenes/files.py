"""Read and write scenes, whatever the format, told apart by content: edmp's own YAML, MoveIt's, RViz's text, clouds."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.errors import EdmpWarning, unknown_name
from edmp.files.yaml_nodes import YamlNode, parse_yaml, read_text
from edmp.scenes.clouds import is_sensed, load_sensed_scene
from edmp.scenes.moveit import MoveItScene, is_moveit_scene, parse_moveit_scene
from edmp.scenes.native import SceneFile, is_native, parse_scene_file, save_scene_file
from edmp.scenes.rviz import is_rviz_scene, parse_rviz_scene
from edmp.scenes.scene import Scene

Array = NDArray[np.float64]


@checked
def load_scene(path: str | Path) -> Scene:
    """The obstacles in a scene file: edmp's own YAML, a MoveIt planning scene, or a ``.scene`` of RViz.

    What a sensor saw is a scene, too (`edmp.scenes.clouds` says which files): one obstacle, named after its file.

    What a planning scene says of the robot is left out (attached objects with a warning);
    `edmp.load_problem` keeps it.

    Raises:
        FileFormatError: with file and line, for malformed or foreign files and degenerate obstacles.
    """
    source = open_scene(path)
    if isinstance(source, Scene):
        return source
    content = parse_scene(source)
    if isinstance(content, MoveItScene) and content.held:
        held = ", ".join(sorted({one.object for one in content.held}))
        warnings.warn(f"{path}: attached to the robot, and so no part of the scene: {held}", EdmpWarning, stacklevel=2)
    return content.scene


def open_scene(path: str | Path) -> YamlNode | Scene:
    """The root of a YAML file, for `parse_scene`; or the scene, if it is one of RViz or what a sensor saw."""
    if is_sensed(path):
        return load_sensed_scene(path)
    text = read_text(path)
    return parse_rviz_scene(text, str(path)) if is_rviz_scene(text) else parse_yaml(text, str(path))


def parse_scene(root: YamlNode, frames: Mapping[str, Array] | None = None) -> SceneFile | MoveItScene:
    """A scene in YAML, told apart by content; ``frames`` as in `parse_moveit_scene`."""
    if is_native(root):
        return parse_scene_file(root)
    if is_moveit_scene(root):
        return parse_moveit_scene(root, frames)
    root.fail(
        "neither an edmp scene (a mapping with edmp_scene: 1 and obstacles) nor a MoveIt planning scene (with world); "
        f"its keys are: {', '.join(root.mapping()) or '(none)'}"
    )


@checked
def save_scene(path: str | Path, scene: Scene, *, name: str = "") -> None:
    """Write a scene in edmp's own YAML; `edmp.scenes.moveit_write.save_moveit_scene` writes MoveIt's.

    Raises:
        InvalidInputError: if the file cannot be written.
    """
    save_scene_file(path, SceneFile(scene, name))


def example_names() -> tuple[str, ...]:
    """Names of the problems that come with edmp."""
    folder = resources.files("edmp.scenes") / "examples"
    return tuple(sorted(Path(file.name).stem for file in folder.iterdir() if file.name.endswith(".yaml")))


@contextmanager
def example_path(name: str) -> Iterator[Path]:
    """The file of a shipped problem.

    Raises:
        UnknownNameError: listing the names that there are.
    """
    if name not in example_names():
        raise unknown_name("example", name, example_names())
    with resources.as_file(resources.files("edmp.scenes") / "examples" / f"{name}.yaml") as path:
        yield path
