"""URDF reading: kinematics as in the file, frames turned to ours, faults named."""

import re
import textwrap

import numpy as np
import pytest
import torch
from robot_cases import bare_urdf, random_configurations

from edmp.errors import EdmpError, EdmpWarning, FileFormatError, InvalidInputError, UnknownNameError
from edmp.robots import FitSettings, body_poses, load_robot, load_urdf, save_robot, tool_pose
from edmp.robots.description import read_built_in
from edmp.robots.fit import fit_description
from edmp.robots.urdf import urdf_document

QUICK = FitSettings(max_spheres=3, relocations=0, num_samples=150)

ARM = """
<robot name="small">
  <link name="base"><collision><geometry><cylinder radius="0.05" length="0.1"/></geometry></collision></link>
  <link name="one"><collision><origin xyz="0 0 0.2" rpy="0.1 0 0"/><geometry><box size="0.05 0.05 0.3"/></geometry>
    </collision></link>
  <link name="two"><collision><geometry><sphere radius="0.04"/></geometry></collision></link>
  <link name="plate"/>
  <link name="three"/>
  <link name="tip"/>
  <joint name="a" type="revolute"><parent link="base"/><child link="one"/><origin xyz="0 0 0.1" rpy="0.2 0.1 0.3"/>
    <axis xyz="0 1 0"/><limit lower="-1" upper="2" velocity="1.5" effort="1"/></joint>
  <joint name="b" type="prismatic"><parent link="one"/><child link="two"/><origin xyz="0.1 0 0.3"/>
    <axis xyz="-1 0 0"/><limit lower="0" upper="0.3" velocity="0.2" effort="1"/></joint>
  <joint name="bolt" type="fixed"><parent link="two"/><child link="plate"/><origin xyz="0 0 0.05" rpy="0 0 1"/></joint>
  <joint name="c" type="continuous"><parent link="plate"/><child link="three"/><axis xyz="1 1 0"/></joint>
  <joint name="nut" type="fixed"><parent link="three"/><child link="tip"/><origin xyz="0.02 0 0.1"/></joint>
</robot>
"""


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "arm.urdf"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text).strip())
        return path

    return write


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "small.urdf"
    path.write_text(ARM.strip())
    return load_urdf(path, settings=QUICK)


def test_chain_matches_pytorch_kinematics(small):
    pk = pytest.importorskip("pytorch_kinematics")
    robot = small
    assert robot.joint_names == ("a", "b", "c")
    assert [joint.kind for joint in robot.joints] == ["revolute", "prismatic", "revolute"]
    assert robot.tool.name == "tip"
    chain = pk.build_serial_chain_from_urdf(ARM.encode(), "tip").to(dtype=torch.float64)
    q = random_configurations(robot, 20)
    theirs = chain.forward_kinematics(torch.as_tensor(q), end_only=False)
    np.testing.assert_allclose(
        tool_pose(robot, torch.as_tensor(q)).numpy(), theirs["tip"].get_matrix().numpy(), atol=1e-6
    )
    X_WB = body_poses(robot, torch.as_tensor(q)).numpy()
    for link in robot.links:
        expected = theirs[link.name].get_matrix().expand(20, 4, 4).numpy()
        np.testing.assert_allclose(X_WB[:, link.body] @ link.X_BL, expected, atol=1e-6)


def test_limits_and_stated_defaults(write):
    with pytest.warns(EdmpWarning) as notes:
        joints = urdf_document(write(ARM))["joints"]
    np.testing.assert_allclose([joint["position"][0] for joint in joints], [-1, 0, -2 * np.pi])
    velocity = np.array([joint["velocity"] for joint in joints])
    np.testing.assert_allclose(velocity, [1.5, 0.2, 1.0])
    np.testing.assert_allclose([joint["acceleration"] for joint in joints], velocity / 0.25)
    told = "\n".join(str(each.message) for each in notes)
    assert "no acceleration limits" in told
    assert re.search(r"arm\.urdf:\d+: joint c: no velocity limit.*taking 1 per second", told)
    given = urdf_document(write(ARM), acceleration=[1, 2, 3], jerk=40)["joints"]
    assert [joint["acceleration"] for joint in given] == [1, 2, 3]
    assert [joint["jerk"] for joint in given] == [40] * 3
    with pytest.raises(InvalidInputError, match="acceleration: expected one number, or 3"):
        load_urdf(write(ARM), acceleration=[1, 2])


def test_saved_urdf_loads_the_same(small, tmp_path):
    save_robot(small, tmp_path / "small.yaml")
    again = load_robot(tmp_path / "small.yaml")
    q = torch.as_tensor(random_configurations(small, 5))
    torch.testing.assert_close(tool_pose(again, q), tool_pose(small, q), atol=1e-9, rtol=0)
    np.testing.assert_allclose(again.spheres, small.spheres, atol=1e-9)


def test_fit_description_writes_what_it_returns(write, tmp_path):
    output = tmp_path / "small.yaml"
    told: list[str] = []
    shares: list[float] = []

    def progress(what: str, done: float) -> None:
        told.append(what)
        shares.append(done)

    document = fit_description(write(ARM), output=output, settings=QUICK, progress=progress, cache=False)
    assert any("one" in line for line in told)
    assert shares == sorted(shares)
    assert 0 == shares[0] < 0.5 < shares[-1] < 1
    again = fit_description(output, settings=QUICK)
    assert again == document
    with pytest.raises(InvalidInputError, match="does not exist"):
        fit_description(write(ARM), output=tmp_path / "nowhere" / "small.yaml")


def test_panda_urdf_is_our_panda(panda, robot_data, write):
    with pytest.warns(EdmpWarning, match="not part of the arm stand still: panda_finger_joint1 at 0"):
        document = urdf_document(robot_data / "panda_description/urdf/panda.urdf")
    ours = read_built_in("panda")
    assert document["tool"] == ours["tool"]
    for theirs, joint in zip(document["joints"], ours["joints"], strict=True):
        assert theirs["name"] == joint["name"]
        for key in ("xyz", "position", "velocity"):
            np.testing.assert_allclose(theirs[key], joint[key], atol=1e-9)
    opened = urdf_document(robot_data / "panda_description/urdf/panda.urdf", frozen={"panda_finger_joint1": 0.03})
    left = next(entry for entry in opened["links"] if entry["name"] == "panda_leftfinger")
    shut = next(entry for entry in document["links"] if entry["name"] == "panda_leftfinger")
    assert np.linalg.norm(np.subtract(left["xyz"], shut["xyz"])) == pytest.approx(0.03)


def test_tool_shortens_the_chain(robot_data):
    path = robot_data / "panda_description/urdf/panda.urdf"
    assert len(urdf_document(path, tool="panda_link4")["joints"]) == 4
    with pytest.raises(UnknownNameError, match="Did you mean 'panda_hand_tcp'"):
        urdf_document(path, tool="panda_hand_tpc")
    with pytest.raises(UnknownNameError, match="panda_finger_joint1"):
        urdf_document(path, frozen={"finger": 0.01})


def test_ur5_is_what_its_urdf_says(robot_data):
    pk = pytest.importorskip("pytorch_kinematics")
    robot = load_robot("ur5")
    assert robot.joint_names[0] == "shoulder_pan_joint"
    chain = pk.build_chain_from_urdf(bare_urdf(robot_data / "ur_description/urdf/ur5_robot.urdf").encode())
    chain = pk.SerialChain(chain, robot.tool.name).to(dtype=torch.float64)
    q = torch.as_tensor(random_configurations(robot, 20))
    expected = chain.forward_kinematics(q).get_matrix()
    torch.testing.assert_close(tool_pose(robot, q), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("</robot>", "", r"arm.urdf:\d+: not XML"),
        ("robot", "model", "root element is <model>"),
        ('type="revolute"', 'type="ball"', "joint a: type 'ball'; supported"),
        ('<child link="one"/>', '<child link="won"/>', "joint a: child link 'won' does not exist"),
        ('<axis xyz="0 1 0"/>', '<axis xyz="0 0 0"/>', "joint a: the axis is zero"),
        (
            '<axis xyz="0 1 0"/>',
            '<axis xyz="0 1"/>',
            "joint a: axis: expected 3 numbers.*got '0 1'",
        ),
        ('<limit lower="-1" upper="2" velocity="1.5" effort="1"/>', "", "joint a: a revolute joint needs <limit"),
        ('lower="-1"', 'lower="3"', "joint a: limit: lower 3.0 is not below upper 2.0"),
        ('<sphere radius="0.04"/>', "<cone/>", "link two: collision: geometry must be one of mesh, box"),
        ('<sphere radius="0.04"/>', '<sphere radius="-1"/>', "link two: .*positive"),
        ('<sphere radius="0.04"/>', '<mesh filename="two.stl"/>', r"link two.*mesh two.stl not found \(looked at"),
        ('<sphere radius="0.04"/>', '<mesh filename="package://nope/two.stl"/>', "no such package"),
        ('<parent link="plate"/>', '<parent link="base"/>', r"not a serial arm: after base .* fork \(a, c\)"),
        ('<child link="tip"/>', '<child link="one"/>', "two parents"),
    ],
)
def test_faults_are_named(old, new, message, write):
    assert old in ARM
    with pytest.raises(FileFormatError, match=message):
        load_urdf(write(ARM.replace(old, new)), settings=QUICK)


def test_missing_file_and_wrong_loader(tmp_path, write):
    with pytest.raises(FileFormatError, match="no such URDF"):
        load_urdf(tmp_path / "none.urdf")
    with pytest.raises(FileFormatError, match="load_urdf"):
        load_robot(write(ARM))


def test_a_broken_mesh_file_is_named(write, tmp_path):
    (tmp_path / "two.stl").write_text("solid nothing\nendsolid")
    with pytest.raises(EdmpError, match=r"two\.stl"):
        load_urdf(write(ARM.replace('<sphere radius="0.04"/>', '<mesh filename="two.stl"/>')), settings=QUICK)
