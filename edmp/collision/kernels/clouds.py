"""Distances to clouds of points: a tree of boxes, eight by eight, over points along a space-filling curve.

Node n of a level holds the boxes of the nodes, or groups of points, 8 n to 8 n + 7 of the level below: a tree without
links. A coarse grid, which knows from each of its cells how far the points are at least, answers for empty space.
"""

# ruff: noqa: UP018, RUF046 -- float(0.0) and int(0) are how a Warp kernel declares a variable

from edmp.collision.kernels.chain import Lanes
from edmp.warp_start import wp

wp.set_module_options({"enable_backward": False, "fast_math": True})

MAX_LEVELS = wp.constant(10)
Levels = wp.types.vector(length=10, dtype=wp.int32)
SPENT = wp.constant(1.0e30)
"""The square of the distance to what has been looked at."""


NOWHERE = wp.constant(1.0e15)
"""A coordinate whose square is still a number."""


@wp.struct
class Cloud:
    """Points about the centre of the obstacle's box; lengths in [m]."""

    radius: float
    points: wp.array(dtype=Lanes)  # three a group: x, y and z of eight points
    top: int  # levels of boxes; level 0 is that of the groups of points
    first: Levels  # where the nodes of each level begin
    boxes: wp.array(dtype=Lanes)  # six a node: x, y and z of eight centres, then of eight half extents
    corner: wp.vec3  # of the grid
    edge: float  # of its cells
    step: float  # what 1 means in ``gap``
    gap: wp.array(dtype=wp.uint8, ndim=3)  # at most the distance from any point of a cell to the nearest of the cloud


@wp.struct
class Clouds:
    each: wp.array(dtype=Cloud)


@wp.func
def least_gap(cloud: Cloud, p: wp.vec3) -> float:
    """At most the distance from ``p`` to the nearest point of the cloud."""
    u = (p - cloud.corner) / cloud.edge
    i = wp.clamp(int(wp.floor(u[0])), 0, cloud.gap.shape[0] - 1)
    j = wp.clamp(int(wp.floor(u[1])), 0, cloud.gap.shape[1] - 1)
    k = wp.clamp(int(wp.floor(u[2])), 0, cloud.gap.shape[2] - 1)
    return float(cloud.gap[i, j, k]) * cloud.step


@wp.func
def box_squares(cloud: Cloud, node: int, p: wp.vec3) -> Lanes:
    """Squares of the distances to the eight boxes of a node."""
    zero = Lanes(0.0)
    x = wp.max(wp.abs(cloud.boxes[6 * node] - Lanes(p[0])) - cloud.boxes[6 * node + 3], zero)
    y = wp.max(wp.abs(cloud.boxes[6 * node + 1] - Lanes(p[1])) - cloud.boxes[6 * node + 4], zero)
    z = wp.max(wp.abs(cloud.boxes[6 * node + 2] - Lanes(p[2])) - cloud.boxes[6 * node + 5], zero)
    return wp.cw_mul(x, x) + wp.cw_mul(y, y) + wp.cw_mul(z, z)


@wp.func
def point_squares(cloud: Cloud, group: int, p: wp.vec3) -> Lanes:
    x = cloud.points[3 * group] - Lanes(p[0])
    y = cloud.points[3 * group + 1] - Lanes(p[1])
    z = cloud.points[3 * group + 2] - Lanes(p[2])
    return wp.cw_mul(x, x) + wp.cw_mul(y, y) + wp.cw_mul(z, z)


@wp.func
def least_lane(v: Lanes) -> int:
    """Which of the eight is the least: a tree without branches."""
    i = wp.where(v[1] < v[0], 1, 0)
    j = wp.where(v[3] < v[2], 3, 2)
    k = wp.where(v[5] < v[4], 5, 4)
    m = wp.where(v[7] < v[6], 7, 6)
    a = wp.min(v[0], v[1])
    b = wp.min(v[2], v[3])
    c = wp.min(v[4], v[5])
    d = wp.min(v[6], v[7])
    i = wp.where(b < a, j, i)
    k = wp.where(d < c, m, k)
    return wp.where(wp.min(c, d) < wp.min(a, b), k, i)


@wp.func
def nearest_point(cloud: Cloud, p: wp.vec3, within: float) -> int:
    """Eight times the group of the nearest point of the cloud, and its place there; -1 if none is ``within``.

    Depth first, the nearest box first; what has been looked at on the way down is spent.
    """
    best = within * within
    found = int(-1)
    todo = wp.zeros(shape=(MAX_LEVELS,), dtype=Lanes)
    level = cloud.top
    node = int(0)
    todo[level] = box_squares(cloud, cloud.first[level], p)
    while level <= cloud.top:
        squares = todo[level]
        lane = least_lane(squares)
        if squares[lane] >= best:
            level += 1
            node = node >> 3
        else:
            squares[lane] = SPENT
            todo[level] = squares
            node = 8 * node + lane
            if level > 1:
                level -= 1
                todo[level] = box_squares(cloud, cloud.first[level] + node, p)
            else:
                there = point_squares(cloud, node, p)
                lane = least_lane(there)
                if there[lane] < best:
                    best = there[lane]
                    found = 8 * node + lane
                node = node >> 3
    return found


@wp.func
def cloud_distance(cloud: Cloud, p: wp.vec3, reach: float) -> wp.vec4:
    """Distance to the balls round the points, negative within one, and its gradient; beyond ``reach`` that."""
    within = reach + cloud.radius
    if least_gap(cloud, p) >= within:
        return wp.vec4(0.0, 0.0, 0.0, reach)
    found = nearest_point(cloud, p, within)
    if found < 0:
        return wp.vec4(0.0, 0.0, 0.0, reach)
    group = 3 * (found >> 3)
    lane = found & 7
    v = p - wp.vec3(cloud.points[group][lane], cloud.points[group + 1][lane], cloud.points[group + 2][lane])
    d = wp.length(v)
    if d < 1.0e-9:
        return wp.vec4(1.0, 0.0, 0.0, -cloud.radius)
    return wp.vec4(v[0] / d, v[1] / d, v[2] / d, d - cloud.radius)


# --- packing ----------------------------------------------------------------------------------------------------------


@wp.func
def spread(v: int) -> int:
    """The ten bits of ``v``, each three apart."""
    v = (v | (v << 16)) & 0x030000FF
    v = (v | (v << 8)) & 0x0300F00F
    v = (v | (v << 4)) & 0x030C30C3
    return (v | (v << 2)) & 0x09249249


@wp.kernel
def curve_places(
    points: wp.array(dtype=wp.vec3),
    corner: wp.vec3,
    scale: float,
    place: wp.array(dtype=int),
    index: wp.array(dtype=int),
):
    """Place of every point on Morton's curve through the cube at ``corner`` with 1024 / ``scale`` edges."""
    i = wp.tid()
    u = (points[i] - corner) * scale
    x = wp.clamp(int(u[0]), 0, 1023)
    y = wp.clamp(int(u[1]), 0, 1023)
    z = wp.clamp(int(u[2]), 0, 1023)
    place[i] = spread(x) | (spread(y) << 1) | (spread(z) << 2)
    index[i] = i


@wp.kernel
def gather(
    points: wp.array(dtype=wp.vec3), center: wp.vec3, index: wp.array(dtype=int), count: int,
    first: int, lanes: wp.array(dtype=float, ndim=3), edges: wp.array(dtype=float, ndim=2),
):  # fmt: skip
    """The points of a group, the last one again where there are no more, and the box round them."""
    row, _ = wp.tid()
    group = row + first
    low = wp.vec3(SPENT)
    high = wp.vec3(-SPENT)
    for lane in range(8):
        p = points[index[wp.min(8 * group + lane, count - 1)]] - center
        for axis in range(3):
            lanes[group, axis, lane] = p[axis]
        low = wp.min(low, p)
        high = wp.max(high, p)
    for axis in range(3):
        edges[group, axis] = low[axis]
        edges[group, 3 + axis] = high[axis]


@wp.kernel
def gather_boxes(
    below: wp.array(dtype=float, ndim=2), count: int, begin: int,
    lanes: wp.array(dtype=float, ndim=3), edges: wp.array(dtype=float, ndim=2),
):  # fmt: skip
    """The boxes of a node, far away where there are no more, and the box round them."""
    node = wp.tid()
    for axis in range(3):
        low = float(SPENT)
        high = float(-SPENT)
        for lane in range(8):
            child = 8 * node + lane
            if child < count:
                a = below[child, axis]
                b = below[child, 3 + axis]
                lanes[begin + node, axis, lane] = 0.5 * (a + b)
                lanes[begin + node, 3 + axis, lane] = 0.5 * (b - a)
                low = wp.min(low, a)
                high = wp.max(high, b)
            else:
                lanes[begin + node, axis, lane] = NOWHERE
                lanes[begin + node, 3 + axis, lane] = 0.0
        edges[node, axis] = low
        edges[node, 3 + axis] = high


@wp.kernel
def occupied_cells(
    lanes: wp.array(dtype=float, ndim=3), corner: wp.vec3, edge: float, square: wp.array(dtype=wp.uint16, ndim=3)
):
    """0 for the cells in which there is a point."""
    group = wp.tid()
    for lane in range(8):  # no negative numbers: cells are counted from beyond the box
        i = int((lanes[group, 0, lane] - corner[0]) / edge)
        j = int((lanes[group, 1, lane] - corner[1]) / edge)
        k = int((lanes[group, 2, lane] - corner[2]) / edge)
        square[i, j, k] = wp.uint16(0)
