"""Meshes from files: units, what is mended with a note, thin shells of open surfaces, and files that lie."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

import edmp
from edmp.geometry.distance import signed_distance
from edmp.robots import FitSettings
from edmp.scenes import Mesh, load_scene

BOX = trimesh.creation.box((0.2, 0.2, 0.2))
QUICK = FitSettings(max_spheres=2, relocations=0, num_samples=100)


def text_stl(facets: np.ndarray) -> str:
    """Facets (F, 3, 3) as an STL file in text, to the last digit."""
    rows = []
    for corners in facets:
        rows.append("facet normal 0 0 0\nouter loop")
        rows += [f"vertex {x!r} {y!r} {z!r}" for x, y, z in corners.tolist()]
        rows.append("endloop\nendfacet")
    return "solid thing\n" + "\n".join(rows) + "\nendsolid thing\n"


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Mesh]:
    """The shape that a scene with one mesh file holds."""

    def read(content: str | bytes | np.ndarray, name: str = "thing.stl", keys: str = "") -> Mesh:
        if isinstance(content, np.ndarray):
            content = text_stl(content)
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        scene = tmp_path / "scene.yaml"
        scene.write_text(f"edmp_scene: 1\nobstacles:\n  thing: {{type: mesh, file: '{name}'{keys}}}\n")
        return load_scene(scene).obstacles[0].shape

    return read


# --- mended ----------------------------------------------------------------------------------------------------------


def with_doubled(facets: np.ndarray) -> np.ndarray:
    return np.concatenate([facets, facets[3:4]])


def with_doubled_backwards(facets: np.ndarray) -> np.ndarray:
    return np.concatenate([facets, facets[3:4, [1, 0, 2]]])


def with_point(facets: np.ndarray) -> np.ndarray:
    return np.concatenate([facets, facets[3:4, [0, 1, 1]]])


def with_sliver(facets: np.ndarray) -> np.ndarray:
    a, b, _ = facets[3]
    return np.concatenate([facets, [[a, b, (a + b) / 2]]])


def with_gap(facets: np.ndarray) -> np.ndarray:
    moved = facets.copy()
    moved[5, 1] += [1e-7, -0.5e-7, 0]
    return moved


def with_wider_gap(facets: np.ndarray) -> np.ndarray:
    moved = facets.copy()
    moved[7, 2] += [0, 4e-6, 0]
    return moved


def with_all(facets: np.ndarray) -> np.ndarray:
    return with_gap(with_sliver(with_point(with_doubled(facets))))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (with_doubled, "1 doubled facets left out"),
        (with_doubled_backwards, "doubled facets left out"),
        (with_point, "1 facets without area left out"),
        (with_sliver, "1 facets without area left out"),
        (with_gap, "vertices up to 1e-06 m apart joined"),
        (with_wider_gap, "vertices up to 1e-05 m apart joined"),
        (with_all, "joined, 1 doubled facets left out, 2 facets without area left out"),
    ],
)
def test_what_is_no_part_of_the_shape_is_mended_with_a_note(spoil, told, read) -> None:
    facets = np.array(BOX.triangles)
    with pytest.warns(edmp.EdmpWarning, match=rf"scene\.yaml:3: obstacles\.thing: .*not closed.*{told}"):
        mesh = read(spoil(facets))
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces)
    assert len(mesh.faces) == 12
    assert solid.volume == pytest.approx(0.008, rel=1e-4)
    points = torch.tensor([[0.0, 0.0, 0.15], [0.0, 0.0, 0.0], [0.2, 0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(
        signed_distance(mesh, points), torch.tensor([0.05, -0.1, 0.1]).double(), atol=2e-5, rtol=0
    )
    with pytest.warns(edmp.EdmpWarning, match="Mesh: the surface was not closed"):
        Mesh(spoil(facets).reshape(-1, 3), np.arange(3 * len(spoil(facets))).reshape(-1, 3))


def test_a_closed_mesh_is_left_as_it_is(read, recwarn) -> None:
    mesh = Mesh(BOX.vertices, BOX.faces)
    np.testing.assert_array_equal(mesh.vertices, BOX.vertices)
    np.testing.assert_array_equal(mesh.faces, BOX.faces)
    read(np.array(BOX.triangles))
    assert not [each for each in recwarn if issubclass(each.category, edmp.EdmpWarning)]


def test_many_vertices_in_one_place_do_not_fill_the_memory() -> None:
    vertices = np.random.default_rng(0).uniform(0, 1e-8, (60_000, 3))
    vertices[-1] = 1.0
    with pytest.raises(edmp.InvalidInputError, match="not closed"):
        Mesh(vertices, np.arange(60_000).reshape(-1, 3))


# --- shells ----------------------------------------------------------------------------------------------------------


def test_an_open_surface_is_refused_with_the_remedy_and_a_shell_on_request(read) -> None:
    sheet = np.array([[[0, 0, 0], [1, 0, 0], [1, 1, 0]], [[0, 0, 0], [1, 1, 0], [0, 1, 0]]], dtype=float)
    with pytest.raises(edmp.FileFormatError, match=r"scene\.yaml:3: obstacles\.thing: .*not closed.*key thickness"):
        read(sheet)
    mesh = read(sheet, keys=", thickness: 0.01")
    assert trimesh.Trimesh(mesh.vertices, mesh.faces).volume == pytest.approx(0.01)
    points = torch.tensor([[0.5, 0.3, 0.105], [0.5, 0.3, 0.0], [0.5, 0.3, -0.055]], dtype=torch.float64)
    torch.testing.assert_close(
        signed_distance(mesh, points), torch.tensor([0.1, -0.005, 0.05]).double(), atol=1e-6, rtol=0
    )
    scaled = read(sheet * 1000, keys=", thickness: 0.01, scale: 0.001")
    np.testing.assert_allclose(scaled.vertices, mesh.vertices, atol=1e-12)  # the thickness is in metres


def test_any_surface_has_a_shell_that_contains_it() -> None:
    rng = np.random.default_rng(1)
    soup = rng.uniform(-0.3, 0.3, (60, 3))  # triangles that cross each other, wound as chance has it
    mesh = Mesh.shell(soup, np.arange(60).reshape(-1, 3), thickness=0.004)
    weights = rng.dirichlet([1, 1, 1], 200)
    points = np.einsum("nk,nkd->nd", weights, soup.reshape(-1, 3, 3)[rng.integers(0, 20, 200)])
    assert (signed_distance(mesh, torch.as_tensor(points)) < 1e-6).all()


def test_a_shell_of_a_closed_surface_is_the_solid(read) -> None:
    with pytest.warns(edmp.EdmpWarning, match=r"scene\.yaml:3: obstacles\.thing: the surface is closed"):
        mesh = read(np.array(BOX.triangles), keys=", thickness: 0.01")
    assert len(mesh.faces) == 12
    with pytest.warns(edmp.EdmpWarning, match=r"Mesh\.shell: the surface is closed"):
        Mesh.shell(BOX.vertices, BOX.faces, thickness=0.01)


@pytest.mark.parametrize("thickness", [0, -1, np.nan, np.inf, "thin", None])
def test_a_thickness_is_a_positive_length(thickness, read) -> None:
    with pytest.raises(edmp.InvalidInputError, match=r"Mesh\.shell thickness must be"):
        Mesh.shell(BOX.vertices, BOX.faces[1:], thickness=thickness)
    with pytest.raises(edmp.FileFormatError, match=r"thing\.thickness"):
        read(np.array(BOX.triangles)[1:], keys=f", thickness: {thickness}")


def test_a_wall_of_two_triangles_is_planned_around(read) -> None:
    wall = np.array([[[0.4, 0, 0], [0.7, 0, 0], [0.7, 0, 0.9]], [[0.4, 0, 0], [0.7, 0, 0.9], [0.4, 0, 0.9]]])
    scene = edmp.Scene.of({"wall": (read(wall, keys=", thickness: 0.01"), (0.0, 0.0, 0.0))})
    start, goal = ([x, -0.3, 0.0, -2.2, 0.0, 2.0, 0.8] for x in (-0.8, 0.8))
    result = edmp.plan(scene, start, goal, seed=0)
    assert result.solved
    assert not edmp.Judge(edmp.load_robot("panda"), scene).check_path([start, goal]).valid  # straight through the wall
    assert result.path.shape[0] > 2


# --- units -----------------------------------------------------------------------------------------------------------


def collada(unit: str, mesh: trimesh.Trimesh = BOX) -> bytes:
    pytest.importorskip("collada")
    text = mesh.export(file_type="dae")
    assert b"<created>" in text
    return text.replace(b"<created>", unit.encode() + b"<created>", 1)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ('<unit name="millimeter" meter="0.001"/>', 0.001),
        ("<unit meter='0.0254'/>", 0.0254),
        ("<unit meter='1'/>", 1.0),
        ("", 1.0),
    ],
)
def test_collada_says_its_unit(unit: str, factor: float, read) -> None:
    mesh = read(collada(unit), "thing.dae")
    np.testing.assert_allclose(np.ptp(mesh.vertices, axis=0), 0.2 * factor, rtol=1e-6)


def test_collada_says_its_unit_for_robots_as_well(tmp_path: Path) -> None:
    (tmp_path / "link.dae").write_bytes(collada("<unit meter='0.001'/>", trimesh.creation.box((50, 60, 100))))
    (tmp_path / "arm.urdf").write_text(
        '<robot name="a"><link name="base"/><link name="one"><collision><geometry><mesh filename="link.dae"/>'
        '</geometry></collision></link><joint name="j" type="revolute"><parent link="base"/><child link="one"/>'
        '<limit lower="-1" upper="1" velocity="1" effort="1"/></joint></robot>'
    )
    with pytest.warns(edmp.EdmpWarning):
        arm = edmp.load_urdf(tmp_path / "arm.urdf", settings=QUICK)
    np.testing.assert_allclose(sorted(arm.links[0].box.size), [0.05, 0.06, 0.1], atol=2e-3)


@pytest.mark.parametrize("unit", ["0", "-1", "nan", "inf", "1e300", "mm"])
def test_units_that_are_none(unit: str, read) -> None:
    with pytest.raises(edmp.FileFormatError, match=rf"thing\.dae: <unit meter='{unit}'>"):
        read(collada(f"<unit meter='{unit}'/>"), "thing.dae")


# --- files that lie --------------------------------------------------------------------------------------------------

FORMATS = ("stl", "ply", "obj", "glb", "off")


def glb(change: Callable[[dict], None]) -> bytes:
    """The box as binary glTF with its description changed."""
    data = BOX.export(file_type="glb")
    length = struct.unpack_from("<I", data, 12)[0]
    tree = json.loads(data[20 : 20 + length])
    change(tree)
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + length :]
    return struct.pack("<4sIIII", b"glTF", 2, 20 + len(text) + len(rest), len(text), 0x4E4F534A) + text + rest


def far_node(tree: dict) -> None:
    tree["nodes"] = [{"children": [i + 1, i + 1]} for i in range(40)] + [{"mesh": 0}]


def huge_accessor(tree: dict) -> None:
    tree["accessors"][0]["count"] = 2_000_000


def zeros(tree: dict) -> None:
    tree["accessors"].append({"componentType": 5126, "type": "MAT4", "count": 40_000_000})


PLY = BOX.export(file_type="ply")
OFF = BOX.export(file_type="off").encode()
ENTITY = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><COLLADA>&b;</COLLADA>'

LIES: dict[str, tuple[str, bytes, str]] = {
    "nothing": ("a.stl", b"", "the file is empty"),
    "no mesh": ("a.txt", b"hello", r"meshes are read from \.stl, \.obj"),
    "an archive": ("a.zip", b"PK", "meshes are read from"),
    "a page": ("a.stl", b"<html>404</html>", "no STL"),
    "a count": ("a.stl", b" " * 80 + b"\0\0\0\xf0", "84 bytes; a binary STL of 4026531840 triangles"),
    "a text cut off": ("a.stl", text_stl(np.array(BOX.triangles))[:-60].encode(), "ends without 'endsolid'"),
    "only solid": ("a.stl", b"solid a\nendsolid a\n", r"a\.stl"),
    "rows": ("a.ply", PLY.replace(b"vertex 8", b"vertex 30000000"), "promises 30000012 rows"),
    "more rows": ("a.ply", PLY.replace(b"vertex 8", b"vertex 99999999999"), "promises 99999999999"),
    "negative rows": ("a.ply", PLY.replace(b"vertex 8", b"vertex -8"), "promises -8"),
    "words": ("a.ply", PLY.replace(b"vertex 8", b"vertex x"), "b'x' is no number of rows"),
    "OFF rows": ("a.off", OFF.replace(b"8 12", b"8 9000000", 1), "promises 9000008 rows"),
    "an index": ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 2 900\n", r"a\.obj"),
    "an accessor": ("a.glb", glb(huge_accessor), "an accessor promises more"),
    "zeros": ("a.glb", glb(zeros), "an accessor promises more"),
    "nodes": ("a.glb", glb(far_node), "a node has two parents"),
    "a glTF length": ("a.glb", b"glTF\2\0\0\0\0\0\0\xf0" + b"\0" * 8, "promises 4026531840"),
    "infinity": ("a.obj", b"v 0 0 inf\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "vertex 0 is"),
    "entities": ("a.dae", ENTITY, "entities of its own"),
    "Collada cut off": ("a.dae", b"<COLLADA><asset>", "ends without </COLLADA>"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_files_that_lie_are_refused_by_name(lie: str, read, tmp_path: Path) -> None:
    name, data, message = LIES[lie]
    with pytest.raises(edmp.FileFormatError, match=f"scene\\.yaml:3: obstacles\\.thing\\.file: .*{message}"):
        read(data, name)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_read_alike_and_cut_off_nowhere_else_than_in_words(kind: str, read) -> None:
    ball = trimesh.creation.icosphere(subdivisions=1, radius=0.1)
    data = ball.export(file_type=kind)
    data = data if isinstance(data, bytes) else data.encode()
    mesh = read(data, f"ball.{kind}")
    assert trimesh.Trimesh(mesh.vertices, mesh.faces).volume == pytest.approx(ball.volume, rel=1e-4)
    assert read(data, f"BALL.{kind.upper()}") == mesh
    for length in np.linspace(0, len(data) - 40, 23).astype(int):
        with pytest.raises(edmp.FileFormatError, match=r"scene\.yaml:3: obstacles\.thing"):
            read(data[:length], f"ball.{kind}")


def test_files_that_are_not_there_and_folders(read, tmp_path: Path) -> None:
    (tmp_path / "folder.stl").mkdir()
    scene = tmp_path / "scene.yaml"
    for name, message in (("folder.stl", "this is a folder"), ("none.stl", "no such mesh file"), ("x" * 999, "x")):
        scene.write_text(f"edmp_scene: 1\nobstacles:\n  thing: {{type: mesh, file: {name}}}\n")
        with pytest.raises(edmp.FileFormatError, match=rf"scene\.yaml:3: obstacles\.thing\.file: .*{message}"):
            load_scene(scene)
