"""Pick and place through the front door."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from task_cases import BLOCK, START, THERE, object_at, table_with_block

import edmp
from edmp.geometry.poses import pose
from edmp.geometry.tool_path import ToolPath
from edmp.result import Status
from edmp.robots import tool_pose
from edmp.robots.parts import AllowedContact
from edmp.validate import judge_task

DOWN = np.diag([1.0, -1.0, -1.0])
"""The tool looks down."""


@pytest.fixture(scope="module")
def moved() -> edmp.TaskPlan:
    return edmp.pick_and_place(table_with_block(), START, "block", THERE)


def certified(plan: edmp.TaskPlan) -> None:
    assert plan.solved, plan.message
    verdict = judge_task(plan)
    assert verdict.valid, verdict.message()


def test_a_block_is_picked_from_a_table_and_put_down_elsewhere(moved: edmp.TaskPlan) -> None:
    certified(moved)
    assert [phase.name for phase in moved.phases] == ["reach", "close", "carry", "let go", "retreat"]
    np.testing.assert_allclose(moved.scene_after["block"].X_WO, THERE, atol=1e-4)
    assert not any(link.attached for link in moved.robot_after.links)


def test_the_object_never_jumps(moved: edmp.TaskPlan) -> None:
    times = np.linspace(0.0, moved.duration, 400)
    places = np.array([object_at(moved, t, "block")[:3, 3] for t in times])
    speed = np.linalg.norm(np.diff(places, axis=0), axis=1).max() / np.diff(times)[0]
    assert speed < 3.0  # [m/s]: a jump of the hand's size would be a hundred


def test_it_is_one_motion_with_stops_where_the_gripper_moves(moved: edmp.TaskPlan) -> None:
    whole = moved.trajectory
    assert whole is not None
    assert whole.duration == pytest.approx(moved.duration)
    assert (np.diff(whole.times) > 0).all()
    for begin, phase in zip(moved.begins, moved.phases, strict=False):
        if phase.solution is None:
            still = whole.at(begin + np.linspace(0.0, phase.duration, 5))
            np.testing.assert_allclose(still, np.tile(phase.start, (5, 1)), atol=1e-9)
            assert phase.width != phase.width_before


def test_straight_parts_are_proved_to_keep_to_their_lines(moved: edmp.TaskPlan) -> None:
    """And a dumb look every 2 ms finds nothing worse than what was proved."""
    lines = {(phase, part): proof for phase, part, proof in judge_task(moved).lines}
    assert list(lines) == [("reach", "approach"), ("carry", "lift"), ("carry", "lower"), ("retreat", "retreat")]
    for phase in moved.phases:
        begin = 0.0
        for part in phase.parts:
            if part.line is not None:
                proof = lines[phase.name, part.name]
                assert proof.valid
                assert phase.solution is not None
                assert phase.solution.tool_deviation is not None
                assert proof.deviation <= phase.solution.tool_deviation[0] + 1e-4 < part.line.tolerance + 1e-4
                off, turned = off_line(phase, part.line, np.arange(begin, part.until, 0.002))
                assert off < proof.deviation + 5e-5
                assert turned < proof.rotation + 2e-4
            begin = part.until
    reach, carry = moved.phases[0], moved.phases[2]
    for part, asked in ((reach.parts[-1], 0.1), (carry.parts[0], 0.1), (carry.parts[-1], 0.1)):
        assert part.line is not None
        assert part.line.length == pytest.approx(asked - 0.025)  # all of it but the corner


def off_line(phase: edmp.Phase, line: ToolPath, times: np.ndarray) -> tuple[float, float]:
    """How far the tool is from a line, and turned from it, at most, by the arithmetic of torch."""
    q = phase.trajectory.at(times)
    X = tool_pose(phase.robot, torch.as_tensor(q)).numpy()
    axis = np.diff(line.X_WT[[0, -1], :3, 3], axis=0)[0] / line.length
    away = X[:, :3, 3] - line.X_WT[0, :3, 3]
    off = np.linalg.norm(away - (away @ axis)[:, None] * axis, axis=1).max()
    cosine = 0.5 * (np.einsum("nij,ij->n", X[:, :3, :3], line.X_WT[0, :3, :3]) - 1.0)
    return float(off), float(np.arccos(np.clip(cosine, -1.0, 1.0)).max())


def test_the_judge_refuses_a_straight_part_that_is_not(moved: edmp.TaskPlan) -> None:
    reach, *rest = moved.phases
    approach = reach.parts[-1]
    assert approach.line is not None
    aside = dataclasses.replace(approach, line=dataclasses.replace(approach.line, X_WT=bent(approach.line.X_WT)))
    longer = dataclasses.replace(reach.parts[0], until=0.5 * reach.parts[0].until)  # so the approach begins too early
    for parts in ((reach.parts[0], aside), (longer, approach)):
        verdict = judge_task(dataclasses.replace(moved, phases=(dataclasses.replace(reach, parts=parts), *rest)))
        assert not verdict.valid
        assert verdict.failed == "reach"
        assert "off its line" in verdict.message()


def bent(X_WT: np.ndarray) -> np.ndarray:
    """The same poses, of which the first is 3 mm aside."""
    moved_X = X_WT.copy()
    moved_X[0, :3, 3] += X_WT[0, :3, :3] @ (3e-3, 0.0, 0.0)
    return moved_X


def test_a_straight_motion_that_is_blocked_says_how_far_it_goes() -> None:
    from edmp.tasks import Move

    scene = edmp.Scene.of({"ceiling": (edmp.Box((0.6, 0.6, 0.02)), (0.4, 0.0, 0.80))})
    plan = edmp.Sequence([Move(None, "up", depart=(0.0, 0.0, 0.3))]).plan(scene, START)
    assert plan.status is Status.LINE_BLOCKED
    assert plan.failed == "up"
    assert "% of the way" in plan.message
    assert "ceiling" in plan.message


def test_it_is_saved_and_loaded(moved: edmp.TaskPlan, tmp_path: Path) -> None:
    moved.save(tmp_path / "task.json")
    again = edmp.load_task(tmp_path / "task.json")
    certified(again)
    assert [phase.name for phase in again.phases] == [phase.name for phase in moved.phases]
    assert again.trajectory is not None
    assert moved.trajectory is not None
    np.testing.assert_array_equal(again.trajectory.positions, moved.trajectory.positions)
    assert [line[:2] for line in judge_task(again).lines] == [line[:2] for line in judge_task(moved).lines]
    assert [phase.solution and phase.solution.tool_deviation for phase in again.phases] == [
        phase.solution and phase.solution.tool_deviation for phase in moved.phases
    ]
    with pytest.raises(edmp.FileFormatError, match="load_task"):
        edmp.load_plan(tmp_path / "task.json")


def test_a_can_is_taken_out_of_a_shelf() -> None:
    can = edmp.Cylinder(0.03, 0.12)
    scene = edmp.Scene.of(
        {
            "lower": (edmp.Box((0.3, 0.8, 0.02)), (0.62, 0.0, 0.29)),
            "upper": (edmp.Box((0.3, 0.8, 0.02)), (0.62, 0.0, 0.61)),
            "back": (edmp.Box((0.02, 0.8, 0.34)), (0.78, 0.0, 0.45)),
            "table": (edmp.Box((0.4, 0.4, 0.02)), (0.4, -0.45, 0.09)),
            "can": (can, (0.6, 0.1, 0.36)),
        }
    )
    plan = edmp.pick_and_place(scene, START, "can", pose((0.4, -0.45, 0.16)))
    certified(plan)


def test_a_ball_is_put_down_where_its_hull_fits() -> None:
    """Its hull sticks out by half a millimetre: it is let go that much above the table, and not refused."""
    scene = edmp.Scene.of(
        {
            "table": (edmp.Box((0.8, 1.2, 0.05)), (0.6, 0.0, 0.175)),
            "ball": (edmp.Sphere(0.03), (0.5, 0.2, 0.23)),
        }
    )
    plan = edmp.pick_and_place(scene, START, "ball", pose((0.5, -0.2, 0.23)))
    certified(plan)
    np.testing.assert_allclose(plan.scene_after["ball"].X_WO[:3, 3], (0.5, -0.2, 0.23), atol=1e-3)


def test_a_grasp_without_a_placement_is_not_chosen() -> None:
    """From above would do for taking the block, but not for putting it under a board."""
    scene = table_with_block().without("wall").with_obstacle("board", edmp.Box((0.4, 0.3, 0.02)), (0.55, -0.3, 0.4))
    above = pose((0.0, 0.0, 0.03), DOWN @ np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    aside = pose((0.0, 0.0, 0.02), np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]))
    grasps = edmp.Grasps(np.stack([above, above, aside]), 0.075)
    there = pose((0.5, -0.3, 0.25))
    assert edmp.pick(scene, START, "block", edmp.Grasps(above, 0.075)).solved
    plan = edmp.pick_and_place(scene, START, "block", there, grasps)
    certified(plan)
    assert plan.grasp == 2
    refused = edmp.pick_and_place(scene, START, "block", there, edmp.Grasps(above, 0.075))
    assert not refused.solved
    assert "placement" in refused.message
    assert "board" in refused.message
    assert refused.failed == "carry"


def test_the_judge_lets_the_fingers_alone_touch_and_only_where_they_close(moved: edmp.TaskPlan) -> None:
    reach, close, *rest = moved.phases
    fingers = {(contact.link, contact.obstacle) for contact in close.robot.allowed_contacts}
    assert fingers == {("panda_leftfinger", "block"), ("panda_rightfinger", "block")}
    assert not reach.robot.allowed_contacts
    for changed in (
        {"width": close.width - 2e-3},  # they press into it
        {"robot": dataclasses.replace(close.robot, allowed_contacts=(AllowedContact("panda_hand", "block"),))},
        {"width": 0.2},
    ):
        phases = (reach, dataclasses.replace(close, **changed), *rest)
        assert not judge_task(dataclasses.replace(moved, phases=phases)).valid
    narrow = dataclasses.replace(reach, robot=reach.robot.with_gripper(0.05), width=0.05)
    assert "block" in judge_task(dataclasses.replace(moved, phases=(narrow,))).message()


def test_the_judge_wants_phases_that_join(moved: edmp.TaskPlan) -> None:
    reach, close, carry, let_go, retreat = moved.phases
    assert carry.held is not None
    elsewhere = dataclasses.replace(carry.held, X_LA=carry.held.X_LA @ pose((0.01, 0.0, 0.0)))
    for phases, fault in (
        ((close, carry, let_go, retreat), "begin where"),
        ((reach, carry, let_go, retreat), "open"),
        ((reach, close, dataclasses.replace(carry, held=elsewhere)), "where it should be"),
        ((reach, close, dataclasses.replace(carry, scene=carry.scene.without("wall"))), "scene"),
        ((reach, close, carry, dataclasses.replace(let_go, scene=let_go.scene.without("block"))), "nowhere"),
    ):
        verdict = judge_task(dataclasses.replace(moved, phases=phases))
        assert not verdict.valid
        assert fault in verdict.message()


def test_fingers_that_close_on_a_neighbour_are_refused() -> None:
    """A thin post stands where a finger closes; the only grasp given is not taken, and the message says why."""
    scene = table_with_block().with_obstacle("post", edmp.Box((0.004, 0.004, 0.14)), (0.5, 0.2 + 0.034, 0.27))
    above = pose((0.0, 0.0, 0.03), DOWN)
    plan = edmp.pick(scene, START, "block", edmp.Grasps(above, 0.08))
    assert not plan.solved
    assert "post" in plan.message


def test_an_object_that_is_too_wide_is_told() -> None:
    scene = edmp.Scene.of({"crate": (edmp.Box((0.2, 0.2, 0.2)), (0.5, 0.0, 0.1))})
    plan = edmp.pick(scene, START, "crate")
    assert plan.status is Status.GOAL_UNREACHABLE
    assert "too wide" in plan.message
    assert "80 mm" in plan.message


def test_what_is_out_of_reach_is_told_with_numbers() -> None:
    scene = edmp.Scene.of({"block": (BLOCK, (2.0, 0.0, 0.3))})
    plan = edmp.pick(scene, START, "block")
    assert plan.status is Status.GOAL_UNREACHABLE
    count = len(edmp.grasps_for(BLOCK, edmp.load_robot("panda").gripper))
    assert f"of {count} grasps: {count} unreachable" in plan.message


def test_a_place_inside_something_is_told() -> None:
    plan = edmp.pick_and_place(table_with_block(), START, "block", pose((0.5, -0.25, 0.22)))
    assert plan.failed == "carry"
    assert plan.status is Status.GOAL_IN_COLLISION
    assert '30.0 mm inside "table"' in plan.message


def test_an_arm_without_a_gripper_is_told_what_it_needs() -> None:
    with pytest.raises(edmp.InvalidInputError, match=r"ur5 has no gripper.*with_attachment"):
        edmp.pick(table_with_block(), np.zeros(6), "block", robot="ur5")


def test_it_is_carried_upright(moved: edmp.TaskPlan) -> None:
    from edmp.constraints import Upright

    keep = Upright(0.15, frame="block")
    plan = edmp.pick_and_place(table_with_block(), START, "block", THERE, constraints=[keep])
    certified(plan)
    carry = next(phase for phase in plan.phases if phase.name == "carry")
    begin = plan.begins[plan.phases.index(carry)]
    tilts = [np.arccos(object_at(plan, begin + t, "block")[2, 2]) for t in np.linspace(0.0, carry.duration, 100)]
    assert max(tilts) < 0.15


def test_picked_now_placed_later() -> None:
    picked = edmp.pick(table_with_block(), START, "block")
    certified(picked)
    assert picked.phases[-1].name == "lift"
    assert "block" not in picked.scene_after
    assert any(link.attached for link in picked.robot_after.links)
    placed = edmp.place(picked.scene_after, picked.configuration_after, "block", THERE, robot=picked.robot_after)
    certified(placed)
    np.testing.assert_allclose(placed.scene_after["block"].X_WO, THERE, atol=1e-4)


def test_picking_and_placing_call_a_start_that_is_refused_by_the_same_name() -> None:
    """As planning does: beyond a limit, in an obstacle, in oneself, against a constraint."""
    from edmp.constraints import Upright

    robot = edmp.load_robot("panda").with_gripper(0.06)
    holding = robot.with_attachment("block", BLOCK, pose((0.0, 0.0, 0.11)), link="panda_hand")
    scene = table_with_block().with_obstacle("pillar", edmp.Box((0.2, 0.2, 0.4)), (0.1, 0.45, 0.9))
    beyond, lying = np.array(START), np.array(START)
    beyond[0], lying[5] = 3.0, 3.0
    inside, folded = np.array([1.4, -0.3, 0.0, -1.6, 0.0, 1.4, 0.785]), np.array([0.0, -1.0, 0.0, -1.5, 0.0, 0.0, 0.0])
    for start, status in (
        (beyond, Status.START_OUT_OF_LIMITS),
        (inside, Status.START_IN_COLLISION),
        (folded, Status.START_IN_SELF_COLLISION),
    ):
        plain = edmp.plan(scene, start, START, robot=robot)
        picked = edmp.pick(scene, start, "block", robot=robot)
        placed = edmp.place(scene.without("block"), start, "block", THERE, robot=holding)
        assert [plain.status, picked.status, placed.status] == [status] * 3, (picked.message, placed.message)
    kept = [Upright(0.1, frame="block", axis=(0, 0, -1))]
    placed = edmp.place(scene.without("block"), lying, "block", THERE, robot=holding, constraints=kept)
    assert placed.status is Status.START_BREAKS_CONSTRAINT


def test_nothing_is_taken_that_the_fingers_do_not_hold() -> None:
    """A sequence of one's own that attaches the block from afar plans every motion, and the judge refuses it."""
    from edmp.tasks import Attach, Move

    there = (0.5, *START[1:])
    plan = edmp.Sequence([Move(there), Attach("block"), Move(START)]).plan(table_with_block(), START)
    assert not plan.solved
    assert "did not close on it" in plan.message


def test_phases_of_ones_own(tmp_path: Path) -> None:
    """What `pick_and_place` is built on: here the arm pushes nothing, it opens, goes, and comes back."""
    from edmp.tasks import Grip, Move

    there = (0.5, *START[1:])
    steps = [Grip(0.02, name="narrow"), Move(there, "there"), Move(START, "back", depart=(0.0, 0.0, 0.05))]
    plan = edmp.Sequence(steps).plan(table_with_block(), START)
    certified(plan)
    assert [phase.name for phase in plan.phases] == ["narrow", "there", "back"]
    assert {phase.width for phase in plan.phases} == {0.02}
