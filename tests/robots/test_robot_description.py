"""Description files: what is read, what is refused, and that writing and reading agree."""

import copy

import numpy as np
import pytest
import yaml

from edmp.errors import FileFormatError, InvalidInputError, UnknownNameError
from edmp.robots import Robot, built_in_robots, load_robot, save_robot
from edmp.robots.description import read_built_in, robot_from_document
from edmp.robots.description_writer import format_document


def assert_same(a: Robot, b: Robot) -> None:
    assert (a.name, a.joint_names, a.link_names, a.collision_pairs) == (
        b.name,
        b.joint_names,
        b.link_names,
        b.collision_pairs,
    )
    for field in ("lower", "upper", "velocity", "acceleration", "jerk"):
        np.testing.assert_allclose(getattr(a.limits, field), getattr(b.limits, field), atol=1e-9)
    for one, other in zip(a.joints, b.joints, strict=True):
        assert (one.kind, one.continuous) == (other.kind, other.continuous)
        np.testing.assert_allclose(one.X_PJ, other.X_PJ, atol=1e-9)
    for one, other in zip(a.links, b.links, strict=True):
        assert one.body == other.body
        np.testing.assert_allclose(one.X_BL, other.X_BL, atol=1e-9)
        np.testing.assert_allclose(one.spheres_B, other.spheres_B, atol=1e-9)
        np.testing.assert_allclose(np.concatenate(one.hulls_B), np.concatenate(other.hulls_B), atol=1e-9)
        np.testing.assert_allclose(one.box.X_BX, other.box.X_BX, atol=1e-9)
    assert {tool.name for tool in a.tools} == {tool.name for tool in b.tools}
    assert a.tool.name == b.tool.name
    np.testing.assert_allclose(a.tool.X_BT, b.tool.X_BT, atol=1e-9)
    np.testing.assert_allclose(a.X_W0, b.X_W0, atol=1e-9)


@pytest.mark.parametrize("name", built_in_robots())
def test_save_and_load_agree(name, tmp_path):
    robot = load_robot(name)
    path = tmp_path / "robot.yaml"
    save_robot(robot, path)
    assert_same(load_robot(path), robot)
    assert [entry.name for entry in tmp_path.iterdir()] == ["robot.yaml"]


def test_save_keeps_opening_tool_and_base(panda, tmp_path):
    X_W0 = np.array([[0.0, -1, 0, 0.1], [1, 0, 0, 0.2], [0, 0, 1, 0.9], [0, 0, 0, 1]])
    robot = panda.with_gripper(0.02).with_tool("panda_hand").with_base(X_W0)
    save_robot(robot, tmp_path / "robot.yaml")
    assert_same(load_robot(tmp_path / "robot.yaml"), robot)
    assert_same(load_robot(tmp_path / "robot.yaml", gripper_width=0.08), panda.with_tool("panda_hand").with_base(X_W0))


@pytest.mark.parametrize("name", built_in_robots())
def test_built_in_files_are_as_the_writer_writes_them(name):
    from importlib.resources import files

    assert format_document(read_built_in(name)) == (files("edmp.robots") / f"{name}.yaml").read_text()


def test_gripper_opens_by_its_width(panda):
    for width in (0.0, 0.04, 0.13):
        robot = load_robot("panda", gripper_width=width)
        left, right = (robot.links[robot.link_index(f"panda_{side}finger")] for side in ("left", "right"))
        hand = robot.links[robot.link_index("panda_hand")]
        p_hand = [(np.linalg.inv(hand.X_BL) @ finger.X_BL)[:3, 3] for finger in (left, right)]
        np.testing.assert_allclose(p_hand, [[0, width / 2, 0.0584], [0, -width / 2, 0.0584]], atol=1e-9)
        # The gap between the fingers' geometry is the width, but for the stick-out of the fitted hulls.
        axis = hand.X_BL[:3, 1]
        gap = (left.hulls_B[0] @ axis).min() - (right.hulls_B[0] @ axis).max()
        assert gap == pytest.approx(width, abs=1.5e-3)
        np.testing.assert_allclose(left.spheres_B[:, 3], panda.links[-1].spheres_B[:, 3])


def test_loading_is_cached():
    assert load_robot("panda") is load_robot("panda")
    assert load_robot("panda", gripper_width=0.13) is load_robot("panda", gripper_width=0.13)


def test_misuse_names_what_is_valid(panda):
    with pytest.raises(UnknownNameError, match=r"panda.*Did you mean 'panda'"):
        load_robot("pandaa")
    with pytest.raises(FileFormatError, match="no such"):
        load_robot("nowhere/robot.yaml")
    with pytest.raises(InvalidInputError, match=r"opens 0 to 0.14 m"):
        load_robot("panda", gripper_width=0.2)
    with pytest.raises(InvalidInputError, match="no gripper"):
        load_robot("ur5", gripper_width=0.02)
    with pytest.raises(UnknownNameError, match="panda_hand_tcp"):
        panda.with_tool("panda_hand_tpc")
    with pytest.raises(UnknownNameError, match="panda_link7"):
        panda.link_index("link7")


def broken(path: tuple, value) -> dict:
    """The Panda's document with one entry replaced, or removed if the value is KeyError."""
    document = copy.deepcopy(read_built_in("panda"))
    place = document
    for key in path[:-1]:
        place = place[key]
    if value is KeyError:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("joints",), KeyError, "missing joints"),
        (("joints",), [], "at least one joint"),
        (("joints", 2, "kind"), "ball", r"joints\[2\].*revolute or prismatic"),
        (("joints", 2, "position"), [1.0, -1.0], r"joints\[2\].*lower < upper"),
        (("joints", 2, "velocity"), 0.0, r"joints\[2\]"),
        (("joints", 2, "jerk"), float("nan"), r"joints\[2\]: jerk: expected a number"),
        (("joints", 2, "xyz"), [0, "a", 0], r"joints\[2\]: xyz"),
        (("joints", 2, "name"), "panda_joint1", "repeated name panda_joint1"),
        (("joints", 2, "colour"), "red", r"joints\[2\]: unknown key colour; valid"),
        (("links", 3, "body"), 8, r"links\[3\]: body 8; expected an integer from 0 to 7"),
        (("links", 3, "spheres"), [[0, 0, 0, -1.0]], r"links\[3\]: spheres"),
        (("links", 3, "spheres"), [[0, 0, 0]], r"links\[3\]: spheres: expected finite numbers of shape \(n, 4\)"),
        (("links", 3, "box", "size"), [1, 0, 1], r"links\[3\]: box"),
        (("links", 3), "link", r"links\[3\]: expected a mapping"),
        (("home",), [0.0], "home: expected finite numbers"),
        (("collision_pairs", 0), ["panda_link0"], r"collision_pairs\[0\]"),
        (("gripper", "width"), 1.0, "gripper: width 1.0 is not between"),
        (("base",), {"quaternion": [1, 1, 0, 0]}, "base: quaternion"),
    ],
)
def test_faults_are_located(path, value, message):
    with pytest.raises(FileFormatError, match=message):
        robot_from_document(broken(path, value), source="robot.yaml")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("tool",), "tcp"),
        (("collision_pairs", 0), ["panda_link0", "panda_link9"]),
        (("gripper", "fingers", 0, "link"), "finger"),
        (("links", 10, "like"), "finger"),
    ],
)
def test_unknown_names_in_files(path, value):
    with pytest.raises(UnknownNameError, match=r"valid: .*panda"):
        robot_from_document(broken(path, value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1,\nb: }", r"robot.yaml:2: not YAML"),
        ("- 1", "no top-level key 'edmp_robot'"),
        ("edmp_robot: 7", "format 7; this edmp reads 1"),
    ],
)
def test_files_that_are_no_description(text, message, tmp_path):
    path = tmp_path / "robot.yaml"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=message):
        load_robot(path)


def test_a_continuous_joint_is_kept_as_one(tmp_path):
    document = read_built_in("panda")
    document["joints"][6] |= {"continuous": True, "position": [-6.28, 6.28]}
    robot = robot_from_document(document)
    assert robot.continuous.tolist() == [False] * 6 + [True]
    save_robot(robot, tmp_path / "robot.yaml")
    assert_same(load_robot(tmp_path / "robot.yaml"), robot)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"continuous": "yes"}, r"joints\[0\]: continuous 'yes'; expected true or false"),
        ({"continuous": True, "kind": "prismatic"}, r"joints\[0\]: continuous: true; only a revolute joint can be"),
    ],
)
def test_what_cannot_be_continuous_is_refused(entry, says):
    document = read_built_in("panda")
    document["joints"][0] |= entry
    with pytest.raises(FileFormatError, match=says):
        robot_from_document(document)


TINY = """
edmp_robot: 1
name: tiny
home: [0.0]
tool: tip
joints:
  - {name: j1, kind: revolute, position: [-2, 2], velocity: 1, acceleration: 4, jerk: 80}
links:
  - {name: base, body: 0, spheres: [[0, 0, 0, 0.1]], hulls: [[[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]]]}
  - {name: arm, body: 1, like: base}
tools: [{name: tip, body: 1, xyz: [0, 0, 0.1]}]
collision_pairs: []
"""
BOMB = (
    "[&a [0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "
    + ", ".join(f"&{y} [{f'*{x}, ' * 10}]" for x, y in zip("abcdefgh", "bcdefghi", strict=True))
    + "]"
)


def changed(old: str, new: str) -> str:
    assert old in TINY
    return TINY.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (changed("name: tiny", "name: !!int foo"), r"robot\.yaml:3: 'foo' is no number"),
        (changed("name: tiny", "name: !!python/name:os.system x"), r"robot\.yaml:3: 'x' with the tag"),
        (changed("name: tiny", "name: !!bool maybe"), r"robot\.yaml:3: 'maybe' with the tag"),
        (changed("name: tiny", "name: {a: 1}"), r"robot\.yaml: name: expected text, got \{'a': 1\}"),
        (changed("name: tiny", "name: tiny\nname: small"), r"robot\.yaml:4: the key 'name' stands twice"),
        (changed("name: tiny", "? [a, b]\n: 1"), r"robot\.yaml:3: keys must be plain names"),
        (changed("edmp_robot: 1", f"edmp_robot: {BOMB}"), "aliases repeat so much"),
        (changed("name: tiny", f"name: {BOMB}"), "aliases repeat so much"),
        (changed("[[0, 0, 0, 0.1]]", BOMB), "aliases repeat so much"),
        (changed("name: tiny", "name: &a [*a]"), "more than 50 lists or mappings"),
        (changed("name: tiny", "name: " + "[" * 200 + "]" * 200), "more than 50 lists or mappings"),
        (changed("name: tiny", "name: " + "[" * 50_000), "not YAML"),
        (changed("tool: tip", "tool: [[1]]"), r"tool frame: expected text, got \[\[1\]\]"),
        (changed("like: base", "like: [base]"), r"links\[1\]: like: link: expected text"),
        (changed("like: base", "hulls: 5"), r"links\[1\]: hulls: expected a list, got 5"),
        (changed("like: base", "spheres: {a: 1}"), r"links\[1\]: spheres: expected a list"),
        (changed("like: base", "source: [box]"), r"links\[1\]: source\[0\]: expected a mapping, got 'box'"),
        (changed("like: base", "fit: 3"), r"links\[1\]: fit: expected a mapping"),
        (changed("{name: arm", "{name: []"), r"links\[1\]: name: expected text"),
        (changed("body: 1, like", "body: true, like"), r"links\[1\]: body True; expected an integer"),
        (changed("velocity: 1", "velocity: 1" + "0" * 400), r"joints\[0\]: velocity: expected a number, got 1000"),
        (changed("velocity: 1", "velocity: 1e300"), r"joints\[0\]: velocity: '1e300': numbers beyond 1e\+09"),
        (changed("velocity: 1", "velocity: " + "9" * 5000), "is no number"),
        (changed("velocity: 1", "velocity: 2001-01-01"), r"velocity: expected a number, got '2001-01-01'"),
        (
            changed("collision_pairs: []", "collision_pairs: [[[base], arm]]"),
            r"collision_pairs\[0\]: link: expected text",
        ),
        ("---\n" + TINY + "---\n" + TINY, "not YAML: but found another document"),
        ("", "not a robot description"),
        ("- 1", "not a robot description"),
        (changed("tiny", "t\0ny"), "not YAML"),
    ],
)
def test_hostile_files_are_refused_by_name_and_place(text, message, tmp_path):
    path = tmp_path / "robot.yaml"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=rf"(?s)robot\.yaml.*{message}" if "yaml" not in message else message):
        load_robot(path)


def test_files_that_are_no_text_or_cannot_be_read(tmp_path):
    path = tmp_path / "robot.yaml"
    path.write_bytes(TINY.encode().replace(b"tiny", b"t\xffny"))
    with pytest.raises(FileFormatError, match=r"robot\.yaml:3: not text"):
        load_robot(path)
    path.write_bytes(b"\xef\xbb\xbf" + TINY.encode())
    assert load_robot(path).name == "tiny"
    with pytest.raises(FileFormatError, match="no such robot description file"):
        load_robot(tmp_path)
    with pytest.raises(FileFormatError, match=r"a/a/\.\.\. \(\d+ characters\): no such"):
        load_robot("a/" * 3000 + "a.yaml")
    with pytest.raises(UnknownNameError, match=r"5000 characters"):
        load_robot("a" * 5000)


def test_aliases_that_do_not_multiply_are_read(tmp_path):
    path = tmp_path / "robot.yaml"
    path.write_text(
        changed("xyz: [0, 0, 0.1]", "xyz: &up [0, 0, 0.1]").replace("like: base", "spheres: &s [[0, 0, 0, 0.1]]")
    )
    assert load_robot(path).links[1].spheres_B.shape == (1, 4)


@pytest.mark.parametrize("name", built_in_robots())
def test_reading_agrees_with_pyyaml(name):
    from importlib.resources import files

    assert read_built_in(name) == yaml.safe_load((files("edmp.robots") / f"{name}.yaml").read_text())
