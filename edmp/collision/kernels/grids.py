"""Distances that are read from grids: occupied cells by the features of their nodes, fields by interpolation.

A node of `VoxelGrid` knows the nearest node of the surface, its feature, and which of the eight cells round that are
occupied. `feature_z`, `feature_y` and `feature_x` find the features, an axis a pass (Felzenszwalb and Huttenlocher
2012, "Distance Transforms of Sampled Functions", with the position of the minimum kept as well).
"""

# ruff: noqa: UP018, RUF046 -- float(0.0) and int(0) are how a Warp kernel declares a variable

from edmp.collision.kernels.chain import Lanes
from edmp.warp_start import wp

wp.set_module_options({"enable_backward": False, "fast_math": True})

MAX_NODES = wp.constant(1024)
"""Along an axis: a feature is three indices of ten bits, above one that tells whether the cell beyond is occupied."""


@wp.struct
class VoxelGrid:
    """Cells with one that is free on all sides; node (i, j, k) is the lower corner of cell (i, j, k)."""

    features: wp.array(dtype=int, ndim=3)  # of the nodes
    octants: wp.array(dtype=wp.uint8, ndim=3)  # which of the eight cells round a node are occupied
    corner: wp.vec3  # of node (0, 0, 0), from the centre of the obstacle's box [m]
    edge: float  # of a cell [m]


@wp.struct
class Voxels:
    grid: wp.array(dtype=VoxelGrid)


@wp.struct
class FieldGrid:
    value: wp.array(dtype=float, ndim=3)  # at the nodes, no steeper than a distance [m]
    corner: wp.vec3  # of node (0, 0, 0), from the centre of the obstacle's box [m]
    edge: float  # between nodes [m]


@wp.struct
class Fields:
    grid: wp.array(dtype=FieldGrid)


# --- distances --------------------------------------------------------------------------------------------------------


@wp.func
def clamped(u: wp.vec3, n0: int, n1: int, n2: int) -> wp.vec3:
    """The point nearest to ``u`` of a grid with so many nodes along each axis; in nodes."""
    return wp.vec3(
        wp.clamp(u[0], 0.0, float(n0 - 1)), wp.clamp(u[1], 0.0, float(n1 - 1)), wp.clamp(u[2], 0.0, float(n2 - 1))
    )


@wp.func
def trilinear(value: Lanes, t: wp.vec3) -> wp.vec4:
    """Gradient and value, at ``t`` in the unit cube, of what interpolates the values of its corners, z fastest."""
    z00 = value[0] + t[2] * (value[1] - value[0])
    z01 = value[2] + t[2] * (value[3] - value[2])
    z10 = value[4] + t[2] * (value[5] - value[4])
    z11 = value[6] + t[2] * (value[7] - value[6])
    y0 = z00 + t[1] * (z01 - z00)
    y1 = z10 + t[1] * (z11 - z10)
    dy = (1.0 - t[0]) * (z01 - z00) + t[0] * (z11 - z10)
    dz0 = (1.0 - t[1]) * (value[1] - value[0]) + t[1] * (value[3] - value[2])
    dz1 = (1.0 - t[1]) * (value[5] - value[4]) + t[1] * (value[7] - value[6])
    return wp.vec4(y1 - y0, dy, (1.0 - t[0]) * dz0 + t[0] * dz1, y0 + t[0] * (y1 - y0))


@wp.func
def beyond_grid(inner: wp.vec4, off: wp.vec3) -> wp.vec4:
    """A lower bound of the distance ``off`` a grid's nearest point, where it is ``inner``, and its gradient.

    All obstacles are in the grid, which is convex: so the angle at its nearest point, between the way to the point
    asked for and that to an obstacle, is obtuse.
    """
    there = wp.max(inner[3], 0.0)
    d = wp.sqrt(wp.dot(off, off) + there * there)
    n = (off + wp.vec3(inner[0], inner[1], inner[2]) * there) / wp.max(d, 1.0e-9)
    return wp.vec4(n[0], n[1], n[2], d)


@wp.func
def excess(w: float) -> wp.vec2:
    """How far ``w`` is from the intervals [-1, 0] and [0, 1], with its sign."""
    return wp.vec2(wp.max(w, 0.0) + wp.min(w + 1.0, 0.0), wp.min(w, 0.0) + wp.max(w - 1.0, 0.0))


@wp.func
def nearest_octant(w: wp.vec3, octants: int) -> wp.vec4:
    """From the nearest of the unit cells round the origin that ``octants`` names to ``w``: the way, and its square."""
    x = excess(w[0])
    y = excess(w[1])
    z = excess(w[2])
    best = float(1.0e12)
    chosen = int(0)
    for o in range(8):
        if (octants >> o) & 1 == 1:
            a = x[o >> 2]
            b = y[(o >> 1) & 1]
            c = z[o & 1]
            square = a * a + b * b + c * c
            if square < best:
                best = square
                chosen = o
    return wp.vec4(x[chosen >> 2], y[(chosen >> 1) & 1], z[chosen & 1], best)


@wp.func
def packed(x: int, y: int, z: int, occupied: int) -> int:
    return (x << 21) | (y << 11) | (z << 1) | occupied


@wp.func
def voxel_distance(grid: VoxelGrid, p: wp.vec3, reach: float) -> wp.vec4:
    """Signed distance to the occupied cells, and its gradient; may answer ``reach`` for anything farther away.

    The features of the eight nodes round a point name all cells that are less than an edge away from it: so up to there
    the distance is exact, as it is inside. Farther away they may miss the nearest, where the distances of the nodes,
    interpolated, are less than that: then these are taken.
    """
    u = (p - grid.corner) / grid.edge
    q = clamped(u, grid.octants.shape[0], grid.octants.shape[1], grid.octants.shape[2])
    i = wp.min(int(q[0]), grid.octants.shape[0] - 2)
    j = wp.min(int(q[1]), grid.octants.shape[1] - 2)
    k = wp.min(int(q[2]), grid.octants.shape[2] - 2)
    node = wp.vec3(float(i), float(j), float(k))
    off = u - q
    first = grid.features[i, j, k]
    inside = (first & 1) != 0
    if not inside:
        s = wp.vec3(float(first >> 21), float((first >> 11) & 1023), float((first >> 1) & 1023))
        away = wp.length(node - s) - wp.length(q - node)
        away = wp.max(away, 0.0)
        if wp.dot(off, off) + away * away > (reach / grid.edge) * (reach / grid.edge):
            return wp.vec4(0.0, 0.0, 0.0, reach)
    best = wp.vec4(0.0, 0.0, 0.0, 1.0e12)
    at_nodes = Lanes()
    for c in range(8):
        feature = grid.features[i + (c >> 2), j + ((c >> 1) & 1), k + (c & 1)]
        x = feature >> 21
        y = (feature >> 11) & 1023
        z = (feature >> 1) & 1023
        octants = int(grid.octants[x, y, z])
        if inside:
            octants = 255 - octants
        s = wp.vec3(float(x), float(y), float(z))
        at_nodes[c] = wp.length(node + wp.vec3(float(c >> 2), float((c >> 1) & 1), float(c & 1)) - s)
        way = nearest_octant(q - s, octants)
        if way[3] < best[3]:
            best = way
    d = wp.sqrt(best[3])
    n = wp.vec3(best[0], best[1], best[2]) / wp.max(d, 1.0e-9)
    if inside:
        return wp.vec4(-n[0], -n[1], -n[2], -d * grid.edge)
    if d > 1.0:
        between = trilinear(at_nodes, q - node)
        if between[3] < d:
            d = wp.max(between[3], 1.0)
            n = wp.vec3(between[0], between[1], between[2])
    nd = wp.vec4(n[0], n[1], n[2], d)
    if wp.dot(off, off) > 0.0:
        nd = beyond_grid(nd, off)
    return wp.vec4(nd[0], nd[1], nd[2], nd[3] * grid.edge)


@wp.func
def field_distance(grid: FieldGrid, p: wp.vec3) -> wp.vec4:
    """The trilinear interpolant of the nodes, and its gradient; beyond the grid a lower bound of the distance."""
    u = (p - grid.corner) / grid.edge
    q = clamped(u, grid.value.shape[0], grid.value.shape[1], grid.value.shape[2])
    i = wp.min(int(q[0]), grid.value.shape[0] - 2)
    j = wp.min(int(q[1]), grid.value.shape[1] - 2)
    k = wp.min(int(q[2]), grid.value.shape[2] - 2)
    at_nodes = Lanes()
    for c in range(8):
        at_nodes[c] = grid.value[i + (c >> 2), j + ((c >> 1) & 1), k + (c & 1)]
    inner = trilinear(at_nodes, q - wp.vec3(float(i), float(j), float(k)))
    nd = wp.vec4(inner[0] / grid.edge, inner[1] / grid.edge, inner[2] / grid.edge, inner[3])
    off = (u - q) * grid.edge
    if wp.dot(off, off) > 0.0:
        return beyond_grid(nd, off)
    return nd


# --- features ---------------------------------------------------------------------------------------------------------


@wp.func
def quadrants(cells: wp.array(dtype=wp.uint8, ndim=3), x: int, y: int, z: int) -> int:
    """Which of the four cells at height ``z`` that meet in the edge above (x, y) are occupied, as octants of a node."""
    lower = int(cells[x, y, z]) + 4 * int(cells[x, y + 1, z])
    return lower + 16 * int(cells[x + 1, y, z]) + 64 * int(cells[x + 1, y + 1, z])


@wp.kernel
def feature_z(
    cells: wp.array(dtype=wp.uint8, ndim=3),
    first: int,
    octants: wp.array(dtype=wp.uint8, ndim=3),
    nearest: wp.array(dtype=wp.int16, ndim=3),
):
    """Octants of every node, and the nearest node of the surface along z, -1 if there is none.

    ``cells`` are 0 or 1; node (i, j, k) is the upper corner of cell (i, j, k): there is one cell more along each axis.
    """
    row, j = wp.tid()
    i = row + first
    n = nearest.shape[2]
    below = quadrants(cells, i, j, 0)
    last = int(-1)
    for k in range(n):
        above = quadrants(cells, i, j, k + 1)
        mask = below + 2 * above
        below = above
        octants[i, j, k] = wp.uint8(mask)
        if mask != 0 and mask != 255:
            last = k
        nearest[i, j, k] = wp.int16(last)
    last = int(-1)
    for b in range(n):
        k = n - 1 - b
        before = int(nearest[i, j, k])
        if before == k:
            last = k
        elif last >= 0 and (before < 0 or last - k < k - before):
            nearest[i, j, k] = wp.int16(last)


@wp.func
def lowered(
    place: wp.array(dtype=int),
    height: wp.array(dtype=float),
    begin: wp.array(dtype=float),
    count: int,
    q: int,
    f: float,
) -> int:
    """Add the parabola f + (x - q)^2 to the lower envelope of ``count`` earlier ones; how many it then has.

    ``begin`` is where each begins to be the lowest.
    """
    top = count
    start = float(-1.0e9)
    while top > 0:
        v = place[top - 1]
        start = (f + float(q * q) - height[top - 1] - float(v * v)) / float(2 * (q - v))
        if start > begin[top - 1]:
            break
        top -= 1
    if top == 0:
        start = float(-1.0e9)
    place[top] = q
    height[top] = f
    begin[top] = start
    return top + 1


@wp.kernel
def feature_y(nearest: wp.array(dtype=wp.int16, ndim=3), first: int, found: wp.array(dtype=int, ndim=3)):
    """The features, all indices but the first, of the nodes of the surface in the plane of x; -1 if there is none."""
    i = wp.tid() + first
    n = nearest.shape[1]
    place = wp.zeros(shape=(MAX_NODES,), dtype=int)
    height = wp.zeros(shape=(MAX_NODES,), dtype=float)
    begin = wp.zeros(shape=(MAX_NODES,), dtype=float)
    for k in range(nearest.shape[2]):
        count = int(0)
        for j in range(n):
            z = int(nearest[i, j, k])
            if z >= 0:
                count = lowered(place, height, begin, count, j, float((z - k) * (z - k)))
        at = int(0)
        for j in range(n):
            if count == 0:
                found[i, j, k] = -1
            else:
                while at + 1 < count and begin[at + 1] < float(j):
                    at += 1
                found[i, j, k] = packed(0, place[at], int(nearest[i, place[at], k]), 0)


@wp.kernel
def feature_x(octants: wp.array(dtype=wp.uint8, ndim=3), first: int, features: wp.array(dtype=int, ndim=3)):
    """The features, in place of those of `feature_y`."""
    j = wp.tid() + first
    n = features.shape[0]
    place = wp.zeros(shape=(MAX_NODES,), dtype=int)
    height = wp.zeros(shape=(MAX_NODES,), dtype=float)
    begin = wp.zeros(shape=(MAX_NODES,), dtype=float)
    in_plane = wp.zeros(shape=(MAX_NODES,), dtype=int)
    for k in range(features.shape[2]):
        count = int(0)
        for i in range(n):
            yz = features[i, j, k]
            in_plane[i] = yz
            if yz >= 0:
                y = (yz >> 11) - j
                z = ((yz >> 1) & 1023) - k
                count = lowered(place, height, begin, count, i, float(y * y + z * z))
        at = int(0)
        for i in range(n):
            while at + 1 < count and begin[at + 1] < float(i):
                at += 1
            features[i, j, k] = packed(place[at], 0, 0, int(octants[i, j, k]) >> 7) | in_plane[place[at]]
