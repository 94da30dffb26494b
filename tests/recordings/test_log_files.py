"""Logs of every kind of file: what they hold is put in order by names and units, what cannot be is told."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from log_cases import JOINTS, motion, write_bag, write_lerobot, write_robomimic

from edmp.errors import EdmpWarning, FileFormatError, InvalidInputError, UnknownNameError
from edmp.recordings import Log, read_log, write_log


def write_table(path: Path, header: Sequence[str], columns: Sequence[np.ndarray], sign: str = ",") -> Path:
    rows = [sign.join(header), *(sign.join(f"{x:.12g}" for x in row) for row in zip(*columns, strict=True))]
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize(
    "pattern",
    [
        "position_{}",
        "{}/position",
        "{}",
        "/joint_states/{}/position",
        "joint_position_{}[rad]",
        "q.{}",
        "Position {} (rad)",
    ],
)
@pytest.mark.filterwarnings("error")
def test_columns_are_found_by_name_and_put_in_the_order_of_the_robot(tmp_path: Path, pattern: str) -> None:
    times, q, _ = motion()
    header = ["time", *(pattern.format(name) for name in JOINTS[::-1])]
    path = write_table(tmp_path / "log.csv", header, [times + 5.0, *q.T[::-1]])
    log = read_log(path, robot="panda")
    assert log.joint_names == JOINTS
    np.testing.assert_allclose(log.positions, q, atol=1e-9)
    np.testing.assert_allclose(log.times, times, atol=1e-9)
    if pattern != "{}":
        assert read_log(path).joint_names == JOINTS[::-1]


@pytest.mark.parametrize(
    ("pattern", "first"), [("q{}", 0), ("q{}", 1), ("actual_q_{}", 0), ("q[{}]", 0), ("pos.{}", 1)]
)
@pytest.mark.parametrize("sign", [",", ";", "\t", " "])
def test_columns_are_found_by_number(tmp_path: Path, pattern: str, first: int, sign: str) -> None:
    times, q, v = motion()
    header = ["t", *(pattern.format(k + first) for k in range(7)), *(f"qd{k + first}" for k in range(7))]
    log = read_log(write_table(tmp_path / "log.csv", header, [times, *q.T, *v.T], sign), robot="panda")
    np.testing.assert_allclose(log.positions, q, atol=1e-9)
    np.testing.assert_allclose(log.velocities, v, atol=1e-9)


def test_units_are_read_from_the_names(tmp_path: Path) -> None:
    times, q, v = motion()
    header = ["stamp[ms]", *(f"q{k}[deg]" for k in range(7)), *(f"dq{k}[deg/s]" for k in range(7))]
    path = write_table(tmp_path / "log.csv", header, [1e3 * times, *np.degrees(q).T, *np.degrees(v).T])
    log = read_log(path, robot="panda")
    np.testing.assert_allclose(log.positions, q, atol=1e-9)
    np.testing.assert_allclose(log.velocities, v, atol=1e-9)
    np.testing.assert_allclose(log.times, times, atol=1e-9)
    header[1] = "q0[Nm]"
    with pytest.raises(FileFormatError, match=r"column 'q0\[Nm\]': unit \[nm\] of positions; known: rad, deg, m, mm"):
        read_log(write_table(tmp_path / "log.csv", header, [1e3 * times, *q.T, *v.T]), robot="panda")


@pytest.mark.parametrize(("factor", "unit"), [(1e3, "ms"), (1e6, "us"), (1e9, "ns")])
def test_times_in_other_units_are_told(tmp_path: Path, factor: float, unit: str) -> None:
    times, q, _ = motion()
    stamps = 1_700_000_000 * int(factor) + np.round(times * factor).astype(np.int64)
    rows = [
        ",".join(["time", *JOINTS]),
        *(f"{at}," + ",".join(map(str, row)) for at, row in zip(stamps, q, strict=True)),
    ]
    (tmp_path / "log.csv").write_text("\n".join(rows))
    with pytest.warns(EdmpWarning, match=f"without a unit: read as {unit}"):
        log = read_log(tmp_path / "log.csv", robot="panda")
    np.testing.assert_allclose(log.times, times, atol=1e-9)


def test_degrees_that_are_not_called_so_are_told_not_guessed(tmp_path: Path) -> None:
    times, q, _ = motion()
    path = write_table(tmp_path / "log.csv", ["t", *JOINTS], [times, *np.degrees(q).T])
    with pytest.raises(FileFormatError, match=r"panda_joint4 goes .* but not if the numbers are degrees: say"):
        read_log(path, robot="panda")
    columns = {f"position_{name}": f"{name}[deg]" for name in JOINTS}
    np.testing.assert_allclose(read_log(path, robot="panda", columns=columns).positions, q, atol=1e-9)


def test_joints_in_another_order_are_suspected(tmp_path: Path) -> None:
    times, q, _ = motion()
    path = write_table(tmp_path / "log.csv", ["t", *(f"q{k}" for k in range(7))], [times, *q.T[::-1]])
    with pytest.warns(EdmpWarning, match=r"panda_joint6 goes .* beyond its limits: another robot, another order"):
        read_log(path, robot="panda")


def test_other_names_are_given_by_hand(tmp_path: Path) -> None:
    times, q, v = motion()
    header = ["Zeit", *(f"Achse {k} ist" for k in range(7)), *(f"M{k}" for k in range(7))]
    path = write_table(tmp_path / "log.csv", header, [times, *q.T, *v.T])
    with pytest.raises(FileFormatError, match="no column of times, such as time"):
        read_log(path, robot="panda")
    columns = {"time": "Zeit[s]"} | {f"position_{name}": f"Achse {k} ist" for k, name in enumerate(JOINTS)}
    with pytest.warns(EdmpWarning, match="columns not read: M0, M1"):
        log = read_log(path, robot="panda", columns=columns)
    np.testing.assert_allclose(log.positions, q, atol=1e-9)
    with pytest.raises(UnknownNameError, match=r"unknown column in .* 'Zeitt'; valid: .*Did you mean 'Zeit'"):
        read_log(path, columns={"time": "Zeitt"})
    with pytest.raises(UnknownNameError, match=r"unknown quantity in columns 'weight'; valid: .*position_JOINT"):
        read_log(path, columns={"weight": "Zeit"})


def test_other_robots_and_missing_joints_are_told(tmp_path: Path) -> None:
    times, q, v = motion()
    path = write_table(tmp_path / "a.csv", ["t", *JOINTS[:6], "gripper/position"], [times, *q.T])
    with pytest.raises(FileFormatError, match="positions: no joint panda_joint7 of panda; it has panda_joint1"):
        read_log(path, robot="panda")
    with pytest.raises(FileFormatError, match=r"positions: no joint shoulder_pan_joint, .* of ur5"):
        read_log(path, robot="ur5")
    some = write_table(tmp_path / "b.csv", ["t", *JOINTS, "velocity_panda_joint3"], [times, *q.T, v[:, 2]])
    with pytest.raises(FileFormatError, match="velocities of some joints only: none of panda_joint1, panda_joint2"):
        read_log(some, robot="panda")
    few = write_table(tmp_path / "c.csv", ["t", *(f"q{k}" for k in range(6))], [times, *q.T[:6]])
    with pytest.raises(FileFormatError, match="positions of 6 joints; panda has 7: of another robot"):
        read_log(few, robot="panda")


def test_what_cannot_be_is_told_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    for text, message in (
        ("t[s],q0\n0,1\n1,2\n0.5,3\n", "runs backwards at row 2"),
        ("t,q0\n0,1\n0.1,\n0.2,3\n", "positions: row 1, joint joint0 is nan"),
        ("t,q0\n0,1\n0.1,x\n", "row 1: q0: 'x' is not a number"),
        ("t,q0\n0,1\n0.1\n", r"log.csv:3: 1 cells; the first line has 2"),
        ("t,q0\n0,1\n", "1 rows; a log has"),
        ("t[s],q0,q2\n0,1,1\n1,1,1\n", "joints 0, 2: they should be numbered without holes"),
        ("t[s],q0,q_0\n0,1,1\n1,1,1\n", "columns 'q0' and 'q_0': both are positions of one joint"),
        ("t[s],force\n0,1\n1,1\n", "no column of positions"),
    ):
        path.write_text(text)
        with pytest.raises(FileFormatError, match=message):
            read_log(path)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("suffix", [".csv", ".npz", ".mcap"])
def test_what_is_written_is_read_again(tmp_path: Path, suffix: str) -> None:
    times, q, v = motion()
    spread = {"torques": 0.1 + np.abs(v), "commanded": 0.01 + 0 * q}
    log = Log(JOINTS, times, q, v, 10 * v, q + 0.01, None, "log", spread)
    path = tmp_path / f"log{suffix}"
    write_log(path, log)
    found = read_log(path, robot="panda")
    for name in ("times", "positions", "velocities", "torques", "commanded"):
        np.testing.assert_allclose(getattr(found, name), getattr(log, name), rtol=1e-9, atol=1e-9)
    assert found.commanded_velocities is None
    assert set(found.spread) == set(spread)
    for name, values in spread.items():
        np.testing.assert_allclose(found.spread[name], values, rtol=1e-9)


def test_a_log_is_written_where_it_can_be(tmp_path: Path) -> None:
    times, q, _ = motion()
    log = Log(JOINTS, times, q)
    with pytest.raises(InvalidInputError, match=r"expected a name that ends in \.csv, \.mcap, \.npz"):
        write_log(tmp_path / "log.bin", log)
    with pytest.raises(FileFormatError, match=r"not a log: expected a file \.csv"):
        read_log(tmp_path / "log.bin")
    write_log(tmp_path / "log.mcap", log)
    bare = read_log(tmp_path / "log.mcap")
    assert bare.velocities is bare.torques is bare.commanded is None


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("encoding", ["cdr", "json"])
@pytest.mark.parametrize("stamped", [True, False])
def test_bags_of_ros_are_read(tmp_path: Path, encoding: str, stamped: bool) -> None:
    path = tmp_path / "bag.mcap"
    write_bag(path, encoding=encoding, stamped=stamped, names=JOINTS[::-1])
    log = read_log(path, robot="panda")
    times, q, v = motion()
    np.testing.assert_allclose(log.times, times, atol=1e-9)
    np.testing.assert_allclose(log.positions, q)
    np.testing.assert_allclose(log.velocities, v)
    np.testing.assert_allclose(log.torques, 10 * v)
    assert read_log(path).joint_names == JOINTS[::-1]


def test_bags_with_more_than_an_arm_and_the_other_byte_order(tmp_path: Path) -> None:
    path = tmp_path / "bag.mcap"
    write_bag(path, names=(*JOINTS, "panda_finger_joint1"), sign=">")
    with pytest.warns(EdmpWarning, match="not read: panda_finger_joint1"):
        log = read_log(path, robot="panda")
    np.testing.assert_allclose(log.positions, motion()[1])
    write_bag(path, topics=("/left/joint_states", "/right/joint_states"))
    with pytest.raises(FileFormatError, match="joint states in topics /left/joint_states, /right/joint_states: choose"):
        read_log(path)
    log = read_log(path, robot="panda", columns={"positions": "/left/joint_states"})
    np.testing.assert_allclose(log.positions, motion()[1])
    write_bag(path, encoding="json", names=("a", "b"))
    with pytest.raises(FileFormatError, match="no joint panda_joint1"):
        read_log(path, robot="panda")


def test_robomimic_is_read(tmp_path: Path) -> None:
    path = tmp_path / "demos.hdf5"
    write_robomimic(path)
    times, q, v = motion()
    with pytest.warns(EdmpWarning, match="actions not read, they are of a controller OSC_POSE"):
        log = read_log(path, robot="panda", episode=1)
    np.testing.assert_allclose(log.times, times)
    np.testing.assert_allclose(log.positions, q + 0.01)
    np.testing.assert_allclose(log.velocities, v)
    assert log.commanded is None
    assert read_log(path, robot="panda", columns={"commanded": "actions"}).commanded is not None
    with pytest.raises(UnknownNameError, match=r"unknown episode in .* 'demo_7'; valid: demo_0, demo_1"):
        read_log(path, episode=7)
    write_robomimic(path, rate=None)
    with pytest.raises(FileFormatError, match=r"neither times nor the rate of its rows: give rate= \(--rate\)"):
        read_log(path, columns={"commanded": "actions"})
    log = read_log(path, rate=20.0, columns={"commanded": "actions"})
    assert log.period == pytest.approx(0.05)


@pytest.mark.parametrize("version", [2, 3])
def test_lerobot_is_read(tmp_path: Path, version: int) -> None:
    file = write_lerobot(tmp_path / "set", version=version, names=JOINTS[::-1])
    times, q, _ = motion()
    for path in (file, tmp_path / "set"):
        with pytest.warns(EdmpWarning, match="not read: gripper"):
            log = read_log(path, robot="panda", episode=1)
        np.testing.assert_allclose(log.times, times, atol=1e-6)
        np.testing.assert_allclose(log.positions, q + 0.01, atol=1e-6)
        np.testing.assert_allclose(log.commanded[:-1], log.positions[1:], atol=1e-6)
    assert read_log(file, episode=1).joint_names == (*JOINTS[::-1], "gripper")
    with pytest.raises(UnknownNameError, match="no episode 9"):
        read_log(tmp_path / "set", episode=9)


def test_lerobot_in_degrees(tmp_path: Path) -> None:
    file = write_lerobot(tmp_path / "set", degrees=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EdmpWarning)
        with pytest.raises(FileFormatError, match="say the unit"):
            read_log(file, robot="panda", episode=1)
        columns = {"positions": "observation.state[deg]", "commanded": "action[deg]"}
        log = read_log(file, robot="panda", episode=1, columns=columns)
    np.testing.assert_allclose(log.positions, motion()[1] + np.radians(0.01), atol=1e-5)
    assert np.abs(log.commanded[:-1] - log.positions[1:]).max() < 1e-5


def test_a_file_that_was_cut_off_is_told(tmp_path: Path) -> None:
    write_log(tmp_path / "log.npz", Log(JOINTS, *motion()[:2]))
    (tmp_path / "log.npz").write_bytes((tmp_path / "log.npz").read_bytes()[:-30])
    with pytest.raises(FileFormatError, match="not a log, or damaged"):
        read_log(tmp_path / "log.npz")
