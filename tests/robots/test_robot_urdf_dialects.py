"""Traits of URDFs met in the wild: what loads, with which note, and what is refused, with which remedy."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import trimesh

import edmp
from edmp.cli import main
from edmp.robots import FitSettings
from edmp.robots.urdf import urdf_document

QUICK = FitSettings(max_spheres=2, relocations=0, num_samples=100)
BODY = '<collision><origin xyz="0 0 0.1"/><geometry><box size="0.05 0.05 0.15"/></geometry></collision>'
LIMIT = '<limit lower="-2" upper="2" velocity="1.5" effort="10"/>'


def joint(name: str, parent: str, child: str, kind: str = "revolute", inside: str = "") -> str:
    """A joint 0.25 m above its parent."""
    return (
        f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="0 0 0.25"/>{inside}</joint>'
    )


def link(name: str, inside: str = BODY) -> str:
    return f'<link name="{name}">{inside}</link>'


def shaped(shape: str) -> str:
    return f"<collision><geometry>{shape}</geometry></collision>"


AXIS = '<axis xyz="0 1 0"/>'
LINKS = "".join(link(name) for name in ("base", "one", "two", "three", "four"))
CHAIN = ["base", "one", "two", "three", "four"]
JOINTS = "".join(
    joint(f"a{i}", CHAIN[i - 1], CHAIN[i], inside=AXIS + LIMIT) for i in range(1, 5)
)  # a1 to a4, of which a1 is the one that the tests vary
A1 = joint("a1", "base", "one", inside=AXIS + LIMIT)


def robot(*extra: str, joints: str = JOINTS, links: str = LINKS) -> str:
    return f'<?xml version="1.0"?>\n<robot name="four">\n{links}\n{joints}\n{"".join(extra)}\n</robot>\n'


@pytest.fixture
def read(tmp_path: Path):
    def read(text: str | bytes, name: str = "arm.urdf", **options: object) -> dict:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return urdf_document(path, acceleration=5, jerk=100, **options)

    return read


@contextlib.contextmanager
def noting(pattern: str | None, *, beside: str | None = None) -> Iterator[None]:
    """One note, which matches, none at all for None; those that match ``beside`` do not count."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    told = [str(each.message) for each in caught if issubclass(each.category, edmp.EdmpWarning)]
    told = [message for message in told if beside is None or not re.search(beside, message)]
    if pattern is None:
        assert told == []
    else:
        assert len([message for message in told if re.search(pattern, message)]) == 1, told


def names(document: dict) -> list[str]:
    return [entry["name"] for entry in document["joints"]]


def test_the_plain_arm_is_read_without_a_note(read) -> None:
    with noting(None):
        document = read(robot())
    assert names(document) == ["a1", "a2", "a3", "a4"]
    assert document["tool"] == "four"


def changed(old: str, new: str) -> str:
    """The plain arm with the first of ``old`` changed."""
    assert old in robot()
    return robot().replace(old, new, 1)


SIDE = link("side")
FIXED = joint("f", "four", "side", "fixed")
VARIANTS: dict[str, tuple[str, str | None]] = {
    "a fixed joint without an axis": (
        robot(SIDE, joint("bolt", "four", "side", "fixed", '<axis xyz="0 0 0"/>')),
        None,
    ),
    "a fixed joint with nonsense beside it": (
        robot(SIDE, joint("bolt", "four", "side", "fixed", '<axis xyz="a b"/><limit lower="1" upper="-1"/>')),
        None,
    ),
    "a wheel that cannot turn": (
        robot(SIDE, joint("w", "base", "side", inside=AXIS + '<limit lower="0" upper="0" velocity="0" effort="0"/>')),
        r"lower = upper count as fixed: w$",
    ),
    "a finger with limits in the wrong order": (
        robot(SIDE, joint("w", "base", "side", "prismatic", AXIS + '<limit lower="2" upper="1" velocity="-3"/>')),
        r"not part of the arm stand still: w at 0; frozen=",
    ),
    "a caster without axis or limits": (
        robot(SIDE, joint("w", "base", "side", inside='<axis xyz="0 0 0"/>')),
        r"stand still: w at 0",
    ),
    "a joint beside the arm that mimics nothing": (
        robot(SIDE, joint("w", "four", "side", "prismatic", AXIS + LIMIT + '<mimic joint="gone"/>')),
        r"stand still: w at 0",
    ),
    "a mimic that cannot be read": (
        robot(SIDE, joint("w", "four", "side", "prismatic", AXIS + LIMIT + '<mimic multiplier="x"/>')),
        r"w: mimic: expected one number, got 'x'; the joint stands still",
    ),
    "a ball joint beside the arm": (
        robot(SIDE, joint("w", "base", "side", "spherical")),
        r"held at zero.*: w \(spherical\)",
    ),
    "a second root": (robot(link("camera")), r"no joint connects to base are left out.*: camera$"),
    "a second tree": (
        robot(link("camera"), link("lens"), joint("zoom", "camera", "lens", "prismatic", AXIS + LIMIT)),
        r"left out.*: camera$",
    ),
    "a world that the base floats in": (
        robot(link("world", ""), joint("free", "world", "base", "floating")),
        r"held at zero.*: free \(floating\)",
    ),
    "no sizes": (
        robot(
            link("side", shaped("<sphere radius='0'/>")),
            joint("f", "four", "side", "fixed"),
        ),
        r"sphere: all sizes are zero",
    ),
    "an empty collision": (robot(link("side", "<collision/>"), joint("f", "four", "side", "fixed")), None),
    "seen but not felt": (
        robot(link("side", "<visual/>"), joint("f", "four", "side", "fixed")),
        r"visual but no collision geometry cannot collide: side",
    ),
    "an impossible mass": (
        robot(link("side", '<inertial><mass value="-1"/></inertial>'), joint("f", "four", "side", "fixed")),
        r"link side: mass -1 kg is left out",
    ),
    "no number for a mass": (
        robot(link("side", '<inertial><mass value="nan"/></inertial>'), joint("f", "four", "side", "fixed")),
        r"link side: mass.*left out",
    ),
    "an axis that is not of unit length": (changed(AXIS, '<axis xyz="0 2 0"/>'), None),
    "a namespace that nothing uses": (
        robot().replace("<robot ", '<robot xmlns:xacro="http://ros.org/wiki/xacro" '),
        None,
    ),
    "prefixes that nobody declares": (robot("<gazebo><controller:gazebo_x/></gazebo>"), None),
    "xacro in what edmp does not read": (robot("<gazebo><p>$(find x)/y</p></gazebo>", "<!-- ${a} -->"), None),
    "a byte-order mark and an empty line": ("\ufeff\n" + robot(), None),
    "an arm that ends in a jaw": (
        robot(SIDE, joint("gripper", "four", "side", inside=AXIS + LIMIT)),
        r"joint gripper: by its name a gripper.*tool='side' would make it one",
    ),
    "an arm that ends in a jaw, by the name of the link": (
        robot('<link name="moving_jaw"/>', joint("6", "four", "moving_jaw", inside=AXIS + LIMIT)),
        r"joint 6: by its name a gripper.*tool='moving_jaw' would make it one",
    ),
}


@pytest.mark.parametrize("trait", VARIANTS)
def test_the_arm_loads_whatever_is_beside_it(trait: str, read) -> None:
    text, pattern = VARIANTS[trait]
    with noting(pattern):
        document = read(text)
    assert names(document) == ["a1", "a2", "a3", "a4"]


@pytest.mark.parametrize(
    ("inside", "pattern", "expected"),
    [
        (AXIS + '<limit lower="-inf" upper="inf" velocity="1"/>', "a1: limits -inf to inf rad.*continuous", "a1"),
        (AXIS + '<limit lower="-1e16" upper="1e16" velocity="1"/>', "a1: limits .*continuous", "a1"),
        (AXIS + '<limit lower="-1" upper="1"/>', "a1: no velocity limit, or 0: taking 1 per second", "a1"),
        (AXIS + '<limit lower="-1" upper="1" velocity="0" effort="0"/>', "a1: no velocity limit, or 0", "a1"),
        (AXIS + '<limit lower="0.3" upper="0.3" velocity="1"/>', "lower = upper count as fixed: a1", "a2"),
        (AXIS + '<limit velocity="1" effort="3"/>', "lower = upper count as fixed: a1", "a2"),
    ],
)
def test_limits_of_the_arm(inside: str, pattern: str, expected: str, read) -> None:
    with noting(pattern):
        document = read(robot(joints=JOINTS.replace(A1, joint("a1", "base", "one", inside=inside))))
    assert names(document)[0] == expected


def test_a_joint_without_range_stands_where_its_limits_say(read) -> None:
    inside = AXIS + '<limit lower="0.3" upper="0.3" velocity="1"/>'
    document = read(robot(joints=JOINTS.replace(A1, joint("a1", "base", "one", inside=inside))))
    one = next(entry for entry in document["links"] if entry["name"] == "one")
    assert one["body"] == 0
    np.testing.assert_allclose(one["rpy"], [0, 0.3, 0], atol=1e-12)


OTHER = ["base", "r1", "r2", "r3", "r4"]
SECOND_ARM = "".join(link(OTHER[i]) + joint(f"b{i}", OTHER[i - 1], OTHER[i], inside=AXIS + LIMIT) for i in range(1, 5))


REFUSED: dict[str, tuple[str, str]] = {
    "negative velocity": (
        changed('velocity="1.5"', 'velocity="-1.5"'),
        r"a1: limit: velocity -1\.5 is negative.*velocity='1\.5'",
    ),
    "negative effort": (changed('effort="10"', 'effort="-10"'), "a1: limit: effort -10 is negative"),
    "no number": (changed('velocity="1.5"', 'velocity="nan"'), "a1: limit velocity"),
    "half infinite": (changed('lower="-2"', 'lower="-inf"'), "a1: limit: lower -inf and upper 2.0 must both be finite"),
    "an endless slide": (
        robot().replace("revolute", "prismatic").replace('upper="2"', 'upper="1e9"'),
        "a1: limit: -2 to 1e.09 m is no travel",
    ),
    "xacro expression": (
        changed('lower="-2"', 'lower="${-pi}"'),
        r"a1: limit lower: '\$\{-pi\}': this is xacro.*xacro FILE",
    ),
    "xacro argument": (robot().replace('name="a1"', 'name="$(arg prefix)a1"'), "this is xacro"),
    "xacro macro": (robot("<xacro:arm name='x'/>"), r"arm\.urdf:\d+: <xacro:arm>: this is xacro"),
    "commas": (
        changed('xyz="0 0 0.25"', 'xyz="0, 0, 0.25"'),
        r"a1: origin xyz: expected 3 numbers.*without commas, got '0, 0, 0\.25'",
    ),
    "too few": (changed('xyz="0 0 0.25"', 'xyz="0 0.25"'), r"a1: origin xyz: expected 3 numbers.*got '0 0\.25'"),
    "not a number": (changed('xyz="0 0 0.25"', 'xyz="0 0 nan"'), "a1: origin xyz"),
    "huge": (changed('xyz="0 0 0.25"', 'xyz="0 0 1e300"'), "a1: origin xyz"),
    "zero axis": (changed(AXIS, '<axis xyz="0 0 0"/>'), "a1: the axis is zero: give the direction"),
    "a planar joint between joints": (
        robot(link("x"), link("y"), joint("p", "four", "x", "planar"), joint("a5", "x", "y", inside=AXIS + LIMIT)),
        "joint p: type 'planar'; supported on the way",
    ),
    "no collision geometry": (
        robot().replace("collision", "visual"),
        r"no link has collision geometry \(base, one.*<collision> elements",
    ),
    "no geometry at all": (robot().replace(BODY, ""), r"no link has collision geometry: nothing could collide"),
    "a link twice": (robot(link("two")), r"link two: the name is taken by the link in line 3"),
    "a joint twice": (robot(link("x"), joint("a2", "four", "x", "fixed")), "joint a2: the name is taken"),
    "a link that nobody has": (robot(joint("f", "four", "five", "fixed")), "joint f: child link 'five' does not exist"),
    "a loop": (
        robot(link("x"), link("y"), joint("f", "x", "y", "fixed"), joint("g", "y", "x", "fixed")),
        "joints in a loop, not a tree: f, g",
    ),
    "only a loop": (robot(joint("f", "four", "base", "fixed")), "joints in a loop"),
    "a flat box": (
        changed("0.05 0.05 0.15", "0.05 0 0.15"),
        r"link base: collision: box: every size must be positive.*'0.05 0 0.15'",
    ),
    "a plane": (robot(link("x", shaped("<plane/>"))), "geometry must be one of mesh.*got <plane>"),
    "a mesh scaled to nothing": (
        robot(link("x", shaped("<mesh filename='a.stl' scale='1 1 0'/>"))),
        "leaves nothing of the mesh",
    ),
    "entities": (
        '<!DOCTYPE robot [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>' + robot("&b;").split("\n", 1)[1],
        r"arm\.urdf:1: declares the entity 'a'",
    ),
    "depth": (robot("<a>" * 200 + "</a>" * 200), "more than 100 elements inside one another"),
    "not UTF-8": (robot().replace("four", "vier\xfc"), r"arm\.urdf:\d+: not XML.*line 2 is not UTF-8"),
    "nothing": ("", "the file is empty"),
    "SDF": ("<sdf version='1.6'/>", "root element is <sdf>, expected <robot>: this is SDF"),
    "MJCF": ("<mujoco/>", r"this is MJCF \(MuJoCo\)"),
    "SRDF": ("<robot name='a'><group name='arm'/></robot>", "this is an SRDF"),
    "an unknown encoding": (robot().replace('"1.0"?', '"1.0" encoding="klingon"?'), "not XML"),
    "two arms": (robot(SECOND_ARM), "not a serial arm: after base .* fork .a1, b1.; choose one"),
    "nothing moves": (robot().replace("revolute", "fixed"), "no moving joint between base and any link"),
}


@pytest.mark.parametrize("trait", REFUSED)
def test_what_cannot_be_is_refused_with_place_and_remedy(trait: str, read) -> None:
    text, message = REFUSED[trait]
    with pytest.raises(edmp.FileFormatError, match=f"(?s)arm\\.urdf.*{message}" if "arm" not in message else message):
        read(text.encode("latin-1") if trait == "not UTF-8" else text)


@pytest.mark.parametrize("name", ["ARM.URDF", "arm.xml", "arm", "Arm für Ümläute/模型.Urdf", "arm.urdf.xml"])
def test_a_urdf_is_known_by_its_content_and_loads_and_fits(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    text = robot().replace(BODY, "").replace('<link name="four">', f'<link name="four">{BODY}')
    path.write_text(text, encoding="utf-8")
    arm = edmp.load_urdf(path, settings=QUICK)
    assert arm.joint_names == ("a1", "a2", "a3", "a4")
    with pytest.raises(edmp.FileFormatError, match="load_urdf"):
        edmp.load_robot(path)


def test_utf16_is_read(read) -> None:
    assert len(names(read(robot().replace('"1.0"?', '"1.0" encoding="utf-16"?').encode("utf-16")))) == 4


def test_wheels_and_head_do_not_hide_the_arm(read) -> None:
    head = [link("neck"), link("face"), joint("pan", "base", "neck", inside=AXIS + LIMIT)]
    head.append(joint("tilt", "neck", "face", inside=AXIS + LIMIT))
    wheels = [link("left"), joint("wl", "base", "left", "continuous", AXIS)]
    with noting("stand still: pan at 0, tilt at 0, wl at 0"):
        document = read(robot(*head, *wheels))
    assert names(document) == ["a1", "a2", "a3", "a4"]
    assert names(read(robot(*head, *wheels), tool="face")) == ["pan", "tilt"]
    assert len({entry["name"] for entry in document["links"]}) == 8  # what stands still can be hit all the same


def test_fingers_follow_the_one_that_they_mimic(read) -> None:
    fingers = [link("left"), link("right")]
    slide = '<axis xyz="1 0 0"/><limit lower="0" upper="0.04" velocity="1"/>'
    fingers.append(joint("l", "four", "left", "prismatic", slide))
    fingers.append(joint("r", "four", "right", "prismatic", slide + '<mimic joint="l" multiplier="-1" offset="0.01"/>'))
    document = read(robot(*fingers), frozen={"l": 0.03})
    at = {entry["name"]: entry["xyz"][0] for entry in document["links"]}
    assert at["left"] == pytest.approx(0.03)
    assert at["right"] == pytest.approx(-0.02)


def test_a_joint_of_the_arm_can_be_held_still(read) -> None:
    document = read(robot(), frozen={"a1": 0.5})
    assert names(document) == ["a2", "a3", "a4"]
    one = next(entry for entry in document["links"] if entry["name"] == "one")
    np.testing.assert_allclose(one["rpy"], [0, 0.5, 0], atol=1e-12)
    with pytest.raises(edmp.InvalidInputError, match="frozen: a1 at 3: its limits are -2 to 2"):
        read(robot(), frozen={"a1": 3})
    with pytest.raises(edmp.InvalidInputError, match="frozen: a1: expected a position"):
        read(robot(), frozen={"a1": "up"})
    with pytest.raises(edmp.UnknownNameError, match="joint to freeze 'a9'"):
        read(robot(), frozen={"a9": 0})


def test_a_capsule_is_a_cylinder_with_caps(read) -> None:
    shape = "<collision><origin xyz='0 0 1'/><geometry><capsule radius='0.1' length='0.4'/></geometry></collision>"
    document = read(robot(link("x", shape), joint("f", "four", "x", "fixed")))
    source = document["links"][-1]["source"]
    assert source[0] == {"cylinder": [0.1, 0.4], "xyz": [0, 0, 1]}
    assert [(part["sphere"], part["xyz"][2]) for part in source[1:]] == [(0.1, 0.8), (0.1, 1.2)]


def test_long_chains_and_wide_trees_take_no_recursion(read) -> None:
    links = [link(f"x{i}", "") for i in range(3000)]
    joints = [joint(f"x{i}", f"x{i - 1}" if i else "base", f"x{i}", "fixed") for i in range(3000)]
    assert names(read(robot(*links, *joints))) == ["a1", "a2", "a3", "a4"]


# --- where meshes lie ------------------------------------------------------------------------------------------------


MESHED = shaped("<mesh filename='{}'/>")


@pytest.fixture
def meshed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Loads an arm whose link names a mesh by a URI; the mesh lies at a path of its own."""
    for variable in ("ROS_PACKAGE_PATH", "AMENT_PREFIX_PATH", "COLCON_PREFIX_PATH", "GZ_SIM_RESOURCE_PATH"):
        monkeypatch.delenv(variable, raising=False)

    def meshed(uri: str, lies_at: str, urdf: str = "arm.urdf", **options: object) -> edmp.Robot:
        mesh = tmp_path / lies_at
        mesh.parent.mkdir(parents=True, exist_ok=True)
        mesh.write_bytes(trimesh.creation.box((0.05, 0.05, 0.1)).export(file_type="stl"))
        path = tmp_path / urdf
        path.parent.mkdir(parents=True, exist_ok=True)
        bare = robot().replace(BODY, "")
        path.write_text(bare.replace('<link name="four">', f'<link name="four">{MESHED.format(uri)}'), encoding="utf-8")
        return edmp.load_urdf(path, settings=QUICK, **options)

    return meshed


@pytest.mark.parametrize(
    ("uri", "lies_at", "urdf", "variable"),
    [
        ("meshes/a.stl", "meshes/a.stl", "arm.urdf", None),
        (
            "package://arm_description/meshes/a.stl",
            "arm_description/meshes/a.stl",
            "arm_description/urdf/arm.urdf",
            None,
        ),
        (
            "package://arm_description/meshes/a.stl",
            "arm_description-1.2/meshes/a.stl",
            "arm_description-1.2/urdf/arm.urdf",
            None,
        ),
        ("package://other/meshes/a.stl", "other/meshes/a.stl", "arm_description/urdf/arm.urdf", None),
        ("model://arm/meshes/a.stl", "arm/meshes/a.stl", "arm/arm.urdf", None),
        ("package://far/a.stl", "ws/src/far/a.stl", "here/arm.urdf", ("ROS_PACKAGE_PATH", "ws/src")),
        ("package://far/a.stl", "ws/src/repo/far/a.stl", "here/arm.urdf", ("ROS_PACKAGE_PATH", "ws/src")),
        ("package://far/a.stl", "install/share/far/a.stl", "here/arm.urdf", ("AMENT_PREFIX_PATH", "install")),
        ("my%20meshes/%C3%BCber.stl", "my meshes/über.stl", "arm.urdf", None),
        ("meshes\\a.stl", "meshes/a.stl", "arm.urdf", None),
    ],
)
def test_meshes_are_found(uri, lies_at, urdf, variable, meshed, tmp_path, monkeypatch) -> None:
    if variable:
        monkeypatch.setenv(variable[0], os.pathsep.join(["/nowhere", str(tmp_path / variable[1])]))
    with noting("package arm_description is taken to be" if "-1.2" in lies_at else None, beside="URDF has no"):
        assert meshed(uri, lies_at, urdf).links[0].name == "four"


def test_a_mesh_that_is_nowhere_is_named_with_where_was_looked(meshed, tmp_path, monkeypatch) -> None:
    with pytest.raises(edmp.FileFormatError, match=r"link four.*mesh b\.stl not found \(looked at: .*b\.stl"):
        meshed("b.stl", "a.stl")
    with pytest.raises(edmp.FileFormatError, match=r"there is .*A\.STL"):
        meshed("arm/a.stl", "arm/A.STL")
    monkeypatch.setenv("ROS_PACKAGE_PATH", str(tmp_path / "ws"))
    with pytest.raises(edmp.FileFormatError, match=r"package://far/b\.stl.*ws/far/b\.stl.*ROS_PACKAGE_PATH"):
        meshed("package://far/b.stl", "a.stl")
    with pytest.raises(edmp.FileFormatError, match=r"https:// is not read"):
        meshed("https://example.com/a.stl", "a.stl")
    with pytest.raises(edmp.FileFormatError, match="not found"):
        meshed("package://" + "x" * 5000 + "/c.stl", "a.stl")


def test_the_command_line_says_each_note_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "arm.urdf"
    path.write_text(changed('lower="-2"', 'lower="3"').replace("</robot>", link("camera") + "</robot>"))
    with pytest.raises(SystemExit) as raised:
        main(["robot", "fit", str(path), "--out", str(tmp_path / "arm.yaml")])
    assert raised.value.code == 2
    note, error = capsys.readouterr().err.strip().splitlines()
    assert re.match(r"warning: .*arm\.urdf: links that no joint connects to base are left out.*camera$", note)
    assert re.match(r"error: .*arm\.urdf:\d+: joint a1: limit: ", error)


def test_the_command_line_holds_joints_still(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "arm.urdf"
    path.write_text(robot())
    for frozen, message in (("a1=9", "frozen: a1 at 9.0: its limits"), ("a1", "--frozen: expected JOINT=POSITION")):
        with pytest.raises(SystemExit) as raised:
            main(["robot", "fit", str(path), "--out", str(tmp_path / "arm.yaml"), "--frozen", frozen])
        assert raised.value.code == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("height", [0.0, 0.2])
def test_a_flat_collision_mesh_is_a_thin_body(height: float, tmp_path: Path) -> None:
    corners = [(0, 0, 0), (0.1, 0, 0), (0.1, 0.1, height), (0, 0.1, height)]
    rows = [f"v {x} {y} {z}" for x, y, z in corners] + ["f 1 2 3", "f 1 3 4"]
    (tmp_path / "sheet.obj").write_text("\n".join(rows) + "\n")
    (tmp_path / "arm.urdf").write_text(robot(link("side", shaped("<mesh filename='sheet.obj'/>")), FIXED))
    with noting(r"link side.*mesh sheet\.obj is flat: taken as a body of 1 mm", beside="URDF has no"):
        arm = edmp.load_urdf(tmp_path / "arm.urdf", settings=QUICK)
    size = sorted(arm.links[arm.link_index("side")].box.size)
    np.testing.assert_allclose(size, [1e-3, 0.1, np.hypot(0.1, height)], atol=2e-3)
