"""The map against the truth: what is seen is there, what is free is free, what is gone disappears; bad input."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import sights
from numpy.typing import NDArray

import edmp
from edmp.errors import EdmpWarning, InvalidInputError
from edmp.geometry.kinds import hull_points
from edmp.sensing import DepthCamera, Map, MapSettings
from edmp.sensing.grow import grown
from edmp.sensing.pieces import arm_pieces

ROBOT = edmp.load_robot("panda")


def truth(cells: Map, scene: edmp.Scene, overlap: float = 1e-6) -> NDArray[np.bool_]:
    """Cells that boxes reach into by more than ``overlap`` [m]."""
    low = np.stack(np.meshgrid(*(np.arange(n) for n in cells.shape), indexing="ij"), axis=-1) * cells.resolution
    low = low + cells.corner
    there = np.zeros(cells.shape, dtype=bool)
    for obstacle in scene:
        half, middle = np.array(obstacle.shape.size) / 2, obstacle.X_WO[:3, 3]
        shared = np.minimum(low + cells.resolution, middle + half) - np.maximum(low, middle - half)
        there |= (shared > overlap).all(axis=-1)
    return there


def test_no_free_cell_holds_anything_and_no_occupied_cell_is_empty() -> None:
    scene = sights.scene()
    map = sights.seen(scene, resolution=0.027)  # no multiple of anything: surfaces lie within cells
    free = map.log_odds < 0
    assert free.mean() > 0.4
    between_rays = 0.008
    assert not (free & truth(map, scene, overlap=between_rays)).any()
    assert not (map.occupied & ~truth(map, scene, overlap=-1e-4)).any()
    # What lies open before a camera is free, and what it looks at is occupied.
    there = truth(map, scene)
    below_open = there[:, :, :-1] & free[:, :, 1:]
    assert (map.occupied[:, :, :-1] & below_open).sum() > 0.95 * below_open.sum() > 500


def test_cells_of_a_surface_between_pixels_that_are_wider_than_cells_are_not_free() -> None:
    scene = sights.scene(sights.TABLE)
    map = Map(sights.BOUNDS, 0.01)
    camera = sights.eyes(1, width=32)[0]
    map.integrate(sights.image(camera, scene), camera)
    low = np.array([0.0, -0.6, -0.13]) - map.corner  # well within the table's edges
    inner = tuple(
        slice(*np.round([a / 0.01, b / 0.01]).astype(int))
        for a, b in zip(low, low + np.array([1, 1.2, 0.12]), strict=True)
    )
    assert (map.log_odds < 0).any()
    assert not (map.log_odds[inner] < 0).any()


def test_what_is_gone_disappears_after_the_stated_number_of_frames_and_what_appears_is_there_at_once() -> None:
    settings = MapSettings()
    both, table = sights.scene(), sights.scene(sights.TABLE)
    map = sights.seen(both, frames=5)
    camera = sights.eyes(1)[0]
    front = map.occupied & truth(map, sights.scene(sights.WALL))
    # Of the face to the first camera, which sees all of it.
    face = front & (np.arange(map.shape[0])[:, None, None] == np.argwhere(front)[:, 0].max())
    face[:, :, : int((0.1 - map.corner[2]) / map.resolution)] = False
    assert face.sum() > 50
    for frame in range(settings.frames_to_vanish):
        assert (map.occupied & face).sum() > 0.9 * face.sum(), frame
        map.integrate(sights.image(camera, table), camera)
    assert settings.frames_to_vanish == 4
    assert not (map.occupied & face).any()
    for _ in range(10):
        map.integrate(sights.image(camera, table), camera)
    map.integrate(sights.image(camera, both), camera)
    assert (map.occupied & face).sum() > 0.9 * face.sum()


def test_the_robot_is_removed_from_its_own_image() -> None:
    from edmp.sensing import SimulatedCameras

    table = sights.scene(sights.TABLE)
    cameras = sights.eyes(3, width=320)
    rod = np.eye(4)
    rod[2, 3] = 0.2
    held = ROBOT.with_attachment("rod", edmp.Cylinder(0.02, 0.3), rod, link="panda_hand")
    q = [0.3, -0.5, 0.2, -2.0, 0.1, 1.6, 0.5]
    images = SimulatedCameras(cameras, table, robot=held).look(q)
    maps = {}
    for name, robot in (("nobody", None), ("arm", ROBOT), ("held", held)):
        maps[name] = Map(sights.BOUNDS, 0.02, robot=robot)
        for camera, depth in zip(cameras, images, strict=True):
            maps[name].integrate(depth, camera, None if robot is None else q)
    above = {name: map.occupied & ~truth(map, table, overlap=-1e-3) for name, map in maps.items()}
    assert above["nobody"].sum() > 500
    assert 10 < above["arm"].sum() < 100  # the rod
    assert above["held"].sum() == 0
    assert maps["held"].occupied.sum() > 1000  # the table is still there
    # Where the arm is, it is known to be free, seen or not.
    held_scene = maps["held"].scene(unseen="occupied", padding=0.02)
    assert edmp.Judge(held, held_scene).check(np.array(q)).valid


def test_pieces_of_the_arm_are_those_of_the_judge() -> None:
    q = np.array(sights.READY)
    for piece in arm_pieces(ROBOT, q):
        assert ((piece.planes[:, :3] @ piece.vertices.T) <= piece.planes[:, 3:] + 1e-6).all()


def test_growing_reaches_exactly_the_cells_that_are_near() -> None:
    rng = np.random.default_rng(0)
    cells = rng.random((14, 11, 9)) < 0.004
    at = np.argwhere(cells)
    index = np.stack(np.meshgrid(*map(np.arange, cells.shape), indexing="ij"), axis=-1)
    for distance in (0.0, 0.004, 0.01, 0.017, 0.02, 0.035):
        gap = np.maximum(np.abs(index[..., None, :] - at) - 1, 0) * 0.01
        near = (np.linalg.norm(gap, axis=-1) < distance - 1e-9).any(axis=-1) | cells
        assert (grown(cells, distance, 0.01) == near).all(), distance


def test_nothing_is_known_from_pixels_that_say_nothing() -> None:
    camera = DepthCamera.looking((1.7, 0.3, 1.3), (0.4, 0.0, 0.3), width=64, height=48)
    told = {0.05: "100 % of the image .* inside an obstacle, or covered", np.inf: None}  # the first is too near
    for nothing in (0.0, np.nan, np.inf, -np.inf, -1.0, 0.05):
        map = Map(sights.BOUNDS, 0.05)
        message = told.get(nothing, "no pixel of the image says anything")
        with contextlib.nullcontext() if message is None else pytest.warns(EdmpWarning, match=message):
            map.integrate(np.full((48, 64), nothing), camera)
        assert map.unseen.all(), nothing
    far = Map(sights.BOUNDS, 0.05)
    far.integrate(np.full((48, 64), 50.0), camera)  # out of range, but measured: free up to there
    assert (far.log_odds < 0).any()
    assert not far.occupied.any()


def test_few_pixels_that_say_nothing_do_no_harm_and_many_hide() -> None:
    scene, camera = sights.scene(), sights.eyes(1, width=320)[0]
    depth, rng = sights.image(camera, scene), np.random.default_rng(1)
    free = []
    for share in (0.0, 0.1, 0.9):
        map = Map(sights.BOUNDS, 0.04)
        map.integrate(np.where(rng.random(depth.shape) < share, 0.0, depth).astype(np.float32), camera)
        free.append((map.log_odds < 0).sum())
    assert free[1] > 0.95 * free[0]
    assert free[2] < 0.05 * free[0]


def test_released_space_is_free_and_all_else_stays() -> None:
    scene = sights.scene()
    map = sights.seen(scene)
    wall = scene["wall"]
    known = sights.scene(sights.WALL)
    with_wall = map.scene(unseen="occupied", base_scene=known)
    without = map.scene(unseen="occupied", base_scene=known, released=["wall"], margin=0.03)
    assert without.names == ("wall", "map")
    gone = with_wall["map"].shape.occupancy & ~without["map"].shape.occupancy
    inside = truth(map, known)
    assert gone[inside].mean() > 0.95
    assert not (without["map"].shape.occupancy & inside).any()
    assert with_wall["map"].shape.occupancy[~inside].sum() > without["map"].shape.occupancy[~inside].sum() > 1000
    with pytest.raises(edmp.UnknownNameError, match="bottle"):
        map.scene(unseen="free", base_scene=known, released=["bottle"])
    map.release(wall.shape, wall.X_WO)
    assert (map.log_odds[inside] < 0).all()
    assert len(hull_points(wall.shape)) == 8


def test_a_wall_closes_what_is_taken_for_occupied() -> None:
    map = sights.seen(sights.scene())
    occupied = map.scene(unseen="occupied")["map"].shape.occupancy
    assert all(occupied.take(side, axis).all() for axis in range(3) for side in (0, -1))
    empty = Map(((0, 0, 0), (1, 1, 1)), 0.1)
    assert len(empty.scene(unseen="free")) == 0
    everything = empty.scene(unseen="occupied")
    assert everything["map"].shape.occupancy.all()
    assert everything.unseen.share == 1.0


BAD = {
    "shape": (lambda: DepthCamera(np.eye(4), np.eye(4)), r"intrinsics must be a matrix \(3, 3\).*\(4, 4\)"),
    "text": (lambda: DepthCamera("K", np.eye(4)), r"intrinsics must be a matrix \(3, 3\)"),
    "skew": (lambda: DepthCamera([[500, 1, 320], [0, 500, 240], [0, 0, 1]], np.eye(4)), "without skew"),
    "focal": (lambda: DepthCamera([[-500, 0, 320], [0, 500, 240], [0, 0, 1]], np.eye(4)), "focal lengths"),
    "rotation": (lambda: DepthCamera(K, 2 * np.eye(4)), "X_WC"),
    "range": (lambda: DepthCamera(K, np.eye(4), near=2.0, far=1.0), "near must be less than far"),
    "width": (lambda: DepthCamera(K, np.eye(4), width=0), "width must be a whole number"),
    "eye": (lambda: DepthCamera.looking((0, 0, 1), (0, 0, 1)), "different points"),
    "bounds": (lambda: Map(((0, 0, 0), (1, 0, 1))), "above the lower one"),
    "corner": (lambda: Map((0, 1)), "bounds, lower corner"),
    "cells": (lambda: Map(((0, 0, 0), (9, 9, 9)), 0.01), "too large.*coarser"),
    "millimetres": (lambda: small().integrate(np.ones((48, 64), np.uint16), CAMERA), r"depth \* 0.001"),
    "image": (lambda: small().integrate(np.ones((64, 48)), CAMERA), r"\(48, 64\).*\(64, 48\)"),
    "robot": (lambda: small().integrate(np.ones((48, 64)), CAMERA, np.zeros(7)), "q needs a robot"),
    "q": (lambda: small().integrate(np.ones((48, 64)), CAMERA, robot=ROBOT), "needs q"),
    "policy": (lambda: small().scene(unseen="maybe"), 'must be "free" or "occupied"'),
    "padding": (lambda: small().scene(unseen="free", padding=-0.1), "at least 0"),
    "vanish": (lambda: MapSettings(hit=0.5, least=-1.0), "hit \\+ least must be positive"),
    "share": (lambda: edmp.scenes.Unseen("free", 1.5), r"in \[0, 1\]"),
}
K = [[500, 0, 320], [0, 500, 240], [0, 0, 1]]
CAMERA = DepthCamera.looking((1.7, 0.3, 1.3), (0.4, 0.0, 0.3), width=64, height=48)


def small() -> Map:
    return Map(((0, 0, 0), (1, 1, 1)), 0.1)


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told(case: str) -> None:
    call, message = BAD[case]
    with pytest.raises(InvalidInputError, match=message):
        call()


def test_depths_that_look_like_millimetres_are_told() -> None:
    with pytest.warns(EdmpWarning, match="millimetres"):
        small().integrate(np.full((48, 64), 1500.0), CAMERA)


def test_a_camera_inside_an_obstacle_is_told() -> None:
    scene = sights.scene()
    from edmp.sensing import SimulatedCameras

    inside = DepthCamera.looking((0.5, 0.0, 0.3), (0.5, 0.0, 1.0), width=64, height=48)
    with pytest.raises(InvalidInputError, match=r"camera 0 .* inside obstacle 'wall'"):
        SimulatedCameras([inside], scene)
    map = sights.seen(scene)
    face = np.argwhere(map.occupied)[0] * map.resolution + map.corner + map.resolution / 2
    there = DepthCamera.looking(face, face + np.array([0.0, 0.0, 0.5]), width=64, height=48)
    with pytest.warns(EdmpWarning, match="inside an obstacle, as the map has it"):
        map.integrate(np.full((48, 64), np.inf), there)
