"""Time parameterisation: how fast a joint path may be run, as a smooth trajectory within all limits.

The path, a C2 curve ``p(s)``, is timed by TOPP-RA (`edmp.toppra`) under velocity and acceleration
limits. Its ``s(t)`` has jumps in acceleration, so ``s`` is then smoothed in time: its samples become the coefficients
of a uniform cubic B-spline, which averages ``s'`` and ``s''`` over a few sample periods and never overshoots. The
motion ``p(s(t))`` keeps to the geometry of the path exactly, starts and ends at rest with zero acceleration, and has
bounded jerk. Last, time is stretched until velocity, acceleration and jerk hold everywhere, on and between samples.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import BSpline

from edmp.errors import InvalidInputError
from edmp.ranges import Range
from edmp.robots.parts import Limits
from edmp.robots.robot import Robot
from edmp.toppra import time_path
from edmp.trajectory import Trajectory, clamped_spline, slowed

if TYPE_CHECKING:
    from edmp.tool_speed import ToolSpeed

Array = NDArray[np.float64]

_GRID = 80
"""Intervals of TOPP-RA's grid."""
_FINE = 5
"""Limits are checked at this many points per sample period."""
_MARGIN = 1.002
"""Time is stretched by this much more than the checked points ask, for what lies between them."""
_SAMPLED = 1.002
"""By this much the quintic between samples may pass a limit before the motion is slowed down."""


def retime_spline(
    control_points: ArrayLike,
    limits: Limits,
    *,
    joint_names: tuple[str, ...] | None = None,
    robot: Robot | None = None,
    velocity_scale: float = 1.0,
    acceleration_scale: float = 1.0,
    period: float = 0.01,
    grid: int = _GRID,
) -> Trajectory:
    """Time a clamped uniform cubic B-spline.

    Args:
        control_points: (k, dof), k >= 4 [rad or m]. If they respect the position limits, so does the whole motion.
        limits: of the joints; jerk limits that are not finite are ignored.
        joint_names: columns of the result; the robot's, else joint1 ..., by default.
        robot: whose tool is limited, if ``limits.tool`` is given.
        velocity_scale, acceleration_scale: fractions of the limits to use, in (0, 1].
        period: the sample period will be close to this, and divide the duration [s].
        grid: intervals in which the path is cut; fewer are quicker, and make slightly slower motions.

    Returns:
        The timed motion; from and to rest, its ends exactly the first and last control point.
    """
    points = _points(control_points, limits)
    if len(points) < 4:
        raise InvalidInputError(f"a cubic spline needs at least 4 control points, got {len(points)}")
    if not Range(8, whole=True).holds(grid):
        raise InvalidInputError(f"grid must be a whole number of at least 8, got {grid!r}")
    scales = _scales(velocity_scale, acceleration_scale, period)
    names = joint_names or _names(robot, points.shape[1])
    if not np.ptp(points, axis=0).max() > 1e-9:
        return _at_rest(points[0], names, period)
    path = clamped_spline(points)
    speed = np.linalg.norm(path.derivative()(np.linspace(0.0, 1.0, 2 * len(points))), axis=1)
    if speed.min() < 0.05 * speed.mean():  # the curve stalls: TOPP-RA needs p'(s) away from zero
        dense = path(np.linspace(0.0, 1.0, 16 * len(points)))
        path = clamped_spline(_even(dense, max(32, 2 * len(points))))
    return _timed(path, limits, names, *scales, grid=grid, robot=robot)


def retime_curve(
    path: BSpline,
    limits: Limits,
    *,
    joint_names: tuple[str, ...] | None = None,
    robot: Robot | None = None,
    period: float = 0.01,
    grid: int = _GRID,
) -> Trajectory:
    """Time any twice differentiable spline on [0, 1] whose knots are clamped at its ends.

    Arguments and result: as in `retime_spline`; between its control points the curve may be anything, so that it is the
    caller who sees to the position limits.
    """
    scales = _scales(1.0, 1.0, period)
    names = joint_names or _names(robot, path.c.shape[1])
    return _timed(path, limits, names, *scales, grid=grid, robot=robot)


def retime_waypoints(
    path: ArrayLike,
    limits: Limits,
    *,
    deviation: float = 5e-3,
    joint_names: tuple[str, ...] | None = None,
    robot: Robot | None = None,
    velocity_scale: float = 1.0,
    acceleration_scale: float = 1.0,
    period: float = 0.01,
) -> Trajectory:
    """Time a polyline with waypoints ``path`` (n, dof): its corners are rounded by at most ``deviation`` [rad].

    The curve is a cubic B-spline whose control points lie on the polyline, close together round sharp corners. So it
    stays within the convex hull of neighbouring waypoints, hence within the position limits, follows straight
    stretches exactly, and passes each corner at a joint-space distance of at most ``deviation``.
    Judge the result again.

    Other arguments and the result: as in `retime_spline`.
    """
    points = _points(path, limits)
    if not deviation > 0.0:
        raise InvalidInputError(f"deviation must be positive, got {deviation}")
    scales = _scales(velocity_scale, acceleration_scale, period)
    names = joint_names or _names(robot, points.shape[1])
    points = points[np.concatenate([[True], np.abs(np.diff(points, axis=0)).max(axis=1) > 1e-9])]
    if len(points) < 2:
        return _at_rest(points[0], names, period)
    points = _thin(points, 0.25 * deviation)
    timed = _timed(clamped_spline(_round_corners(points, 0.75 * deviation)), limits, names, *scales, robot=robot)
    return _slow_enough(timed, limits.scaled(velocity=scales[0], acceleration=scales[1]))


def _slow_enough(trajectory: Trajectory, limits: Limits) -> Trajectory:
    """The motion, slowed down where what `Trajectory.sample` makes of its samples passes a limit.

    The curve itself keeps them; round a corner that is shorter than the period the quintic between two samples may not.
    """
    bounded = dataclasses.replace(limits, jerk=np.where(limits.jerk > 0.0, limits.jerk, np.inf))
    velocity, acceleration, jerk = (float(share.max()) for share in sampled_shares(trajectory, bounded))
    stretch = max(velocity, math.sqrt(acceleration), float(np.cbrt(jerk)))
    return trajectory if stretch <= _SAMPLED else slowed(trajectory, 1.0 / stretch)


def sampled_shares(trajectory: Trajectory, limits: Limits) -> tuple[Array, Array, Array]:
    """(dof,) each: most of the limits of velocity, acceleration and jerk that a motion uses, between its samples, too.

    Looked at four times a sample; jerk is the change of acceleration from one look to the next.
    """
    fine = np.linspace(0.0, trajectory.duration, 4 * len(trajectory.times) + 1)
    _, v, a = trajectory.sample(fine)
    jerk = np.diff(a, axis=0) / np.diff(fine)[:, None]
    used = ((v, limits.velocity), (a, limits.acceleration), (jerk, limits.jerk))
    velocity, acceleration, change = ((np.abs(values) / limit).max(axis=0) for values, limit in used)
    return velocity, acceleration, change


# -- the path -----------------------------------------------------------------------------------------------------


def _thin(points: Array, tolerance: float) -> Array:
    """Leave out waypoints that lie within ``tolerance`` of the straight line between those that stay."""
    keep, k, n = [0], 0, len(points)
    while k < n - 1:
        end = k + 1
        while end + 1 < n and _off_line(points[k : end + 2]) <= tolerance:
            end += 1
        keep.append(end)
        k = end
    return points[keep]


def _off_line(points: Array) -> float:
    """Largest distance of inner points from the segment between the first and the last."""
    a, d = points[0], points[-1] - points[0]
    t = np.clip((points[1:-1] - a) @ d / max(float(d @ d), 1e-300), 0.0, 1.0)
    return float(np.linalg.norm(points[1:-1] - a - t[:, None] * d, axis=1).max())


def _round_corners(points: Array, deviation: float) -> Array:
    """Control points on the polyline so that the spline rounds each corner by at most ``deviation``.

    Near a vertex P with control points P - u, P, P + v the spline passes it at |v - u| / 6.
    """
    steps = np.diff(points, axis=0)
    length = np.linalg.norm(steps, axis=1)
    unit = steps / length[:, None]
    turn = np.linalg.norm(np.diff(unit, axis=0), axis=1)
    # Spacing d on both sides of a corner rounds it by d * turn / 6.
    allowed = 6.0 * deviation / np.maximum(turn, 1e-12)
    near = np.concatenate([[np.inf], allowed, [np.inf]])
    pieces = [points[:1]]
    for k, step in enumerate(steps):
        knots = _spread(min(near[k], length[k]), min(near[k + 1], length[k]), float(length[k])) / length[k]
        pieces.append(points[k] + knots[1:, None] * step)
    control = np.concatenate(pieces)
    if len(control) < 4:  # one or two straight edges
        control = np.concatenate(
            [points[k] + np.array([[0.0], [1 / 3], [2 / 3]]) * step for k, step in enumerate(steps)]
        )
        control = np.concatenate([control, points[-1:]])
    control[-1] = points[-1]
    return control


def _spread(left: float, right: float, length: float) -> Array:
    """Distances 0 .. length that begin with a step ``left`` and end with ``right``, growing by half in between."""
    if left >= length and right >= length:
        return np.array([0.0, length])
    left, right = min(left, length / 3.0), min(right, length / 3.0)
    a, b = [0.0, left], [length, length - right]
    da, db = left, right
    while b[-1] - a[-1] > 1.5 * (da + db):
        if da <= db:
            da *= 1.5
            a.append(a[-1] + da)
        else:
            db *= 1.5
            b.append(b[-1] - db)
    middle = b[-1] - a[-1]
    inner = max(1, round(middle / max(da, db)))
    return np.concatenate([a, a[-1] + middle * np.arange(1, inner) / inner, b[::-1]])


def _even(points: Array, count: int) -> Array:
    """``count`` points (count, dof) at even distances along a polyline."""
    length = np.concatenate([[0.0], np.linalg.norm(np.diff(points, axis=0), axis=1).cumsum()])
    at = np.linspace(0.0, length[-1], count)
    even = np.stack([np.interp(at, length, column) for column in points.T], axis=1)
    even[-1] = points[-1]
    return even


# -- the timing ---------------------------------------------------------------------------------------------------


def _timed(
    path: BSpline,
    limits: Limits,
    names: tuple[str, ...],
    velocity_scale: float,
    acceleration_scale: float,
    period: float,
    grid: int = _GRID,
    robot: Robot | None = None,
) -> Trajectory:
    tool = _tool_speed(path, limits, robot)
    velocity, acceleration = velocity_scale * limits.velocity, acceleration_scale * limits.acceleration
    jerk = np.where(np.isfinite(limits.jerk) & (limits.jerk > 0.0), limits.jerk, np.inf)
    fastest = time_path(path, velocity, acceleration, _grid(path, grid), tool)
    count = max(4, round(fastest.duration / period))
    h = fastest.duration / count
    # Cubic B-spline in time with the samples of s as coefficients, at rest before and after.
    coefficients = np.concatenate([[0.0] * 3, fastest(np.linspace(0.0, fastest.duration, count + 1)), [1.0] * 3])
    coefficients = np.maximum.accumulate(np.clip(coefficients, 0.0, 1.0))
    n = len(coefficients) - 3  # knot intervals
    s = BSpline(h * np.arange(-3, n + 4), coefficients, 3)
    derivatives = [s, s.derivative(1), s.derivative(2), s.derivative(3)]

    inner = h * np.arange(n * _FINE + 1, dtype=np.float64) / _FINE
    q1, q2, q3 = _motion(path, derivatives, inner)
    stretch = max(
        float((np.abs(q1) / velocity).max()),
        float(np.sqrt((np.abs(q2) / acceleration).max())),
        float(np.cbrt((np.abs(q3) / jerk).max())),
    )
    if tool is not None:
        speed, change = tool.shares_at(np.clip(s(inner), 0.0, 1.0), derivatives[1](inner), derivatives[2](inner))
        stretch = max(stretch, speed, float(np.sqrt(change)))
    stretch = max(1.0, stretch * _MARGIN)
    knots = h * np.arange(n + 1, dtype=np.float64)
    q1, q2, _ = _motion(path, derivatives, knots)
    positions = path(np.clip(s(knots), 0.0, 1.0))
    positions[0], positions[-1] = path.c[0], path.c[-1]
    q1[[0, -1]] = q2[[0, -1]] = 0.0  # exactly, where rounding leaves 1e-16
    return Trajectory(names, knots * stretch, positions, q1 / stretch, q2 / stretch**2)


def _tool_speed(path: BSpline, limits: Limits, robot: Robot | None) -> ToolSpeed | None:
    if limits.tool is None:
        return None
    if robot is None:
        raise InvalidInputError("limits of the tool need the robot whose tool it is: robot=...")
    from edmp.tool_speed import ToolSpeed

    return ToolSpeed(robot, path, limits.tool)


def _names(robot: Robot | None, dof: int) -> tuple[str, ...]:
    return tuple(f"joint{i + 1}" for i in range(dof)) if robot is None else robot.joint_names


def _motion(path: BSpline, s: list[BSpline], t: Array) -> tuple[Array, Array, Array]:
    """First three time derivatives of p(s(t)), each (n, dof), by the chain rule."""
    at = np.clip(s[0](t), 0.0, 1.0)
    s1, s2, s3 = (f(t)[:, None] for f in s[1:])
    p1, p2, p3 = (path.derivative(k)(at) for k in (1, 2, 3))
    return p1 * s1, p2 * s1**2 + p1 * s2, p3 * s1**3 + 3.0 * p2 * s1 * s2 + p1 * s3


def _grid(path: BSpline, count: int) -> Array:
    """Grid points in [0, 1], even in a mix of arc length, turning and parameter: close where the path bends."""
    s = np.linspace(0.0, 1.0, 1 + 4 * max(count, len(path.c)))
    first, second = path.derivative(1)(s), path.derivative(2)(s)
    speed = np.linalg.norm(first, axis=1)
    along = np.sum(first * second, axis=1) / np.maximum(speed, 1e-12)
    bend = np.sqrt(np.maximum(np.sum(second * second, axis=1) - along**2, 0.0))  # speed^2 * curvature
    turning = bend / np.maximum(speed, 1e-12)
    density = sum(x / max(float(x.mean()), 1e-12) * w for x, w in ((speed, 1.0), (np.minimum(turning, 1e3), 1.0)))
    density = density + 0.5 + 0.5 / np.sqrt(np.minimum(s, 1.0 - s) + 1e-4)  # from rest s grows as t^2
    mass = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    grid = np.interp(np.linspace(0.0, mass[-1], count + 1), mass, s)
    grid[0], grid[-1] = 0.0, 1.0
    return grid


def _at_rest(q: Array, names: tuple[str, ...], period: float) -> Trajectory:
    """Staying where one is, for one period."""
    zero = np.zeros((2, len(q)))
    return Trajectory(names, np.array([0.0, period]), np.stack([q, q]), zero, zero.copy())


def _points(values: ArrayLike, limits: Limits) -> Array:
    points = np.asarray(values, dtype=np.float64)
    dof = len(limits.velocity)
    if points.ndim != 2 or points.shape[1] != dof or len(points) == 0:
        raise InvalidInputError(f"expected (n, {dof}) joint values, got shape {points.shape}")
    if not np.isfinite(points).all():
        raise InvalidInputError("the path holds values that are not finite")
    return points


def _scales(velocity_scale: float, acceleration_scale: float, period: float) -> tuple[float, float, float]:
    for name, scale in (("velocity_scale", velocity_scale), ("acceleration_scale", acceleration_scale)):
        if not 0.0 < scale <= 1.0:
            raise InvalidInputError(f"{name} must be in (0, 1], got {scale}")
    if not 0.0 < period <= 1.0:
        raise InvalidInputError(f"period must be in (0, 1] s, got {period}")
    return velocity_scale, acceleration_scale, period
