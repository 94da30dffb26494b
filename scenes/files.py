"""Read and write scenes, whatever the format: edmp's own YAML or MoveIt's, told apart by content; shipped examples."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from edmp.robots.arguments import checked
from edmp.robots.errors import unknown_name
from edmp.scenes.moveit import MoveItScene, is_moveit_scene, parse_moveit_scene
from edmp.scenes.native import SceneFile, is_native, parse_scene_file, save_scene_file
from edmp.scenes.scene import Scene
from edmp.scenes.yaml_nodes import YamlNode, read_yaml


@checked
def load_scene(path: str | Path) -> Scene:
    """The obstacles in a scene file: edmp's own YAML, or a MoveIt planning scene.

    Raises:
        FileFormatError: with file and line, for malformed or foreign files and degenerate obstacles.
    """
    return parse_scene(read_yaml(path)).scene


def parse_scene(root: YamlNode) -> SceneFile | MoveItScene:
    """A scene of either format, told apart by content."""
    if is_native(root):
        return parse_scene_file(root)
    if is_moveit_scene(root):
        return parse_moveit_scene(root)
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
