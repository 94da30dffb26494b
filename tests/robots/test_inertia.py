"""Efforts and masses: in descriptions and URDFs, and what stands in for them."""

import dataclasses

import numpy as np
import pytest
import yaml

from edmp.errors import FileFormatError
from edmp.robots import load_robot, save_robot
from edmp.robots.description import robot_from_document
from edmp.robots.description_writer import departs_from_built_in, document_of, format_document
from edmp.robots.inertia import DENSITY, link_inertia
from edmp.robots.parts import Limits, Link
from edmp.robots.urdf import urdf_document

BOX = np.array([[x, y, z] for x in (0, 0.2) for y in (0, 0.1) for z in (0, 0.4)])
URDF = """<robot name="arm"><link name="base"/>
<link name="a"><inertial><origin xyz="0.1 0 0"/><mass value="2.5"/></inertial>
  <collision><geometry><box size="0.1 0.1 0.1"/></geometry></collision></link>
<link name="b"><inertial><mass value="0"/></inertial>
  <collision><geometry><box size="0.1 0.1 0.1"/></geometry></collision></link>
<joint name="j1" type="revolute"><parent link="base"/><child link="a"/><axis xyz="0 0 1"/>
  <limit lower="-1" upper="1" velocity="2" effort="30"/></joint>
<joint name="j2" type="revolute"><parent link="a"/><child link="b"/><axis xyz="0 0 1"/>
  <limit lower="-1" upper="1" velocity="2" effort="0"/></joint></robot>"""


def link(**changes):
    return Link("box", 1, np.eye(4), (BOX,), np.empty((0, 4)), None, **changes)


def test_a_box_has_the_inertia_of_a_box():
    found = link_inertia(link(mass=3.0))
    np.testing.assert_allclose(found.com_B, [0.1, 0.05, 0.2], atol=1e-12)
    x, y, z = 0.2**2, 0.1**2, 0.4**2
    np.testing.assert_allclose(found.I_C_B, 3.0 / 12.0 * np.diag([y + z, x + z, x + y]), atol=1e-12)


def test_two_halves_are_the_whole():
    halves = link(mass=3.0)
    low, high = BOX.copy(), BOX.copy()
    low[:, 2] *= 0.5
    high[:, 2] = 0.2 + 0.5 * high[:, 2]
    split = link_inertia(dataclasses.replace(halves, hulls_B=(low, high)))
    whole = link_inertia(halves)
    np.testing.assert_allclose(split.com_B, whole.com_B, atol=1e-12)
    np.testing.assert_allclose(split.I_C_B, whole.I_C_B, atol=1e-12)


def test_density_stands_in_for_a_mass_and_nothing_weighs_nothing():
    assert link_inertia(link()).mass == pytest.approx(DENSITY * 0.008)
    assert link_inertia(dataclasses.replace(link(), hulls_B=())) is None
    point = link_inertia(dataclasses.replace(link(mass=2.0), hulls_B=()))
    assert point.mass == 2.0
    assert not point.I_C_B.any()


@pytest.mark.parametrize("name", ["panda", "ur5"])
def test_every_body_of_a_built_in_robot_is_physical(name):
    robot = load_robot(name)
    assert np.isfinite(robot.limits.effort).all()
    for body in range(1, robot.num_bodies):
        parts = [i for i in map(link_inertia, (e for e in robot.links if e.body == body)) if i is not None]
        assert sum(part.mass for part in parts) > 0.1
    for entry in filter(None, map(link_inertia, robot.links)):
        a, b, c = np.linalg.eigvalsh(entry.I_C_B)
        assert 0 < a <= b <= c <= a + b + 1e-12, "the triangle inequality of principal moments"


@pytest.mark.parametrize("name", ["panda", "ur5"])
def test_efforts_and_masses_survive_writing(name, tmp_path):
    robot = load_robot(name)
    save_robot(robot, tmp_path / "again.yaml")
    again = load_robot(tmp_path / "again.yaml")
    np.testing.assert_array_equal(again.limits.effort, robot.limits.effort)
    for one, other in zip(robot.links, again.links, strict=True):
        assert one.mass == other.mass
        if one.com_B is None:
            assert other.com_B is None
        else:
            np.testing.assert_allclose(other.com_B, one.com_B, atol=1e-9)
    assert departs_from_built_in(again) is None


def test_fingers_take_their_centre_of_mass_along():
    robot = load_robot("panda")
    one, other = (robot.with_gripper(width).links[robot.link_index("panda_leftfinger")] for width in (0.0, 0.06))
    assert np.linalg.norm(one.com_B - other.com_B) == pytest.approx(0.03)


def test_without_efforts_there_is_no_limit():
    one = np.ones(2)
    assert np.isinf(Limits(-one, one, one, one, one).effort).all()
    document = yaml.safe_load(format_document(document_of(load_robot("panda"))))
    for joint in document["joints"]:
        del joint["effort"]
    bare = robot_from_document(document)
    assert np.isinf(bare.limits.effort).all()
    assert "effort" not in document_of(bare)["joints"][0]


@pytest.mark.parametrize(("where", "key", "value"), [("joints", "effort", -1.0), ("links", "mass", 0.0)])
def test_numbers_that_make_no_sense_are_named(where, key, value):
    document = document_of(load_robot("panda"))
    document[where][1][key] = value
    with pytest.raises(FileFormatError, match=rf"{where}\[1\].*{key}"):
        robot_from_document(document)


def test_a_urdf_brings_efforts_and_masses(tmp_path):
    path = tmp_path / "arm.urdf"
    path.write_text(URDF)
    document = urdf_document(path)
    assert document["joints"][0]["effort"] == 30.0
    assert "effort" not in document["joints"][1], "0 stands for not known"
    a, b = (next(entry for entry in document["links"] if entry["name"] == name) for name in "ab")
    assert (a["mass"], a["com"]) == (2.5, [0.1, 0.0, 0.0])
    assert "mass" not in b
