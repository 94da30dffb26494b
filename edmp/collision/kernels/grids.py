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

    features: wp.array(dtype=int, ndim=3)  # of the nodes: x << 21 | y << 11 | z << 1 | whether the cell beyond is taken
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


_FEATURES_Z = """
    const int n = nearest.shape[2], width = cells.shape[2];
    const unsigned char* c00 = cells.data + ((size_t)i * cells.shape[1] + j) * width;
    const unsigned char *c01 = c00 + width, *c10 = c00 + (size_t)cells.shape[1] * width, *c11 = c10 + width;
    const size_t start = ((size_t)i * nearest.shape[1] + j) * n;
    unsigned char* octant = octants.data + start;
    short* line = nearest.data + start;
    for (int k = 0; k < n; ++k) {  // the four cells of either height that meet in the node
        const int below = c00[k] | c01[k] << 2 | c10[k] << 4 | c11[k] << 6;
        octant[k] = below | c00[k + 1] << 1 | c01[k + 1] << 3 | c10[k + 1] << 5 | c11[k + 1] << 7;
    }
    int last = -1;
    for (int k = 0; k < n; ++k) {
        if (octant[k] != 0 && octant[k] != 255) last = k;
        line[k] = last;
    }
    last = -1;
    for (int k = n - 1; k >= 0; --k) {
        const int before = line[k];
        if (before == k) last = k;
        else if (last >= 0 && (before < 0 || last - k < k - before)) line[k] = last;
    }
"""

_ENVELOPE = """
    // The lower envelope of parabolas f + (x - q)^2: `sum` is f + q^2 of each, `begin` where it begins to be lowest.
    int place[1024];
    float sum[1024], begin[1024];
    int top = 0;
    auto add = [&](int q, float f) {
        const float own = f + (float)(q * q);
        float start = -1.e9f;
        while (top > 0) {
            start = (own - sum[top - 1]) / (float)(2 * (q - place[top - 1]));
            if (start > begin[top - 1]) break;
            --top;
            start = -1.e9f;
        }
        place[top] = q; sum[top] = own; begin[top] = start;
        ++top;
    };
"""

_FEATURES_Y = (
    _ENVELOPE
    + """
    const int n = nearest.shape[1], width = nearest.shape[2];
    const short* in = nearest.data + (size_t)i * n * width;
    int* out = found.data + (size_t)i * n * width;
    for (int k = 0; k < width; ++k) {
        top = 0;
        for (int j = 0; j < n; ++j) {
            const int z = in[j * width + k];
            if (z >= 0) add(j, (float)((z - k) * (z - k)));
        }
        for (int j = 0, at = 0; j < n; ++j) {
            while (at + 1 < top && begin[at + 1] < (float)j) ++at;
            out[j * width + k] = top == 0 ? -1 : place[at] << 11 | in[place[at] * width + k] << 1;
        }
    }
"""
)

_FEATURES_X = (
    _ENVELOPE
    + """
    int in_plane[1024];
    const int n = features.shape[0], width = features.shape[2];
    const size_t stride = (size_t)features.shape[1] * width, first = (size_t)j * width;
    for (int k = 0; k < width; ++k) {
        top = 0;
        int* line = features.data + first + k;
        const unsigned char* octant = octants.data + first + k;
        for (int i = 0; i < n; ++i) {
            const int yz = in_plane[i] = line[i * stride];
            if (yz < 0) continue;
            const int y = (yz >> 11) - j, z = (yz >> 1 & 1023) - k;
            add(i, (float)(y * y + z * z));
        }
        for (int i = 0, at = 0; i < n; ++i) {
            while (at + 1 < top && begin[at + 1] < (float)i) ++at;
            line[i * stride] = place[at] << 21 | in_plane[place[at]] | octant[i * stride] >> 7;
        }
    }
"""
)


@wp.func_native(_FEATURES_Z)
def features_along_z(
    cells: wp.array(dtype=wp.uint8, ndim=3), i: int, j: int,
    octants: wp.array(dtype=wp.uint8, ndim=3), nearest: wp.array(dtype=wp.int16, ndim=3),
):  # fmt: skip
    """`feature_z` on line (i, j); in C++, as the other passes, where they take half the time."""
    ...


@wp.func_native(_FEATURES_Y)
def features_along_y(nearest: wp.array(dtype=wp.int16, ndim=3), i: int, found: wp.array(dtype=int, ndim=3)):
    """`feature_y` in plane ``i``."""
    ...


@wp.func_native(_FEATURES_X)
def features_along_x(octants: wp.array(dtype=wp.uint8, ndim=3), j: int, features: wp.array(dtype=int, ndim=3)):
    """`feature_x` in plane ``j``."""
    ...


@wp.kernel
def feature_z(
    cells: wp.array(dtype=wp.uint8, ndim=3), first: int,
    octants: wp.array(dtype=wp.uint8, ndim=3), nearest: wp.array(dtype=wp.int16, ndim=3),
):  # fmt: skip
    """Octants of every node, and the nearest node of the surface along z, -1 if there is none.

    ``cells`` are 0 or 1; node (i, j, k) is the upper corner of cell (i, j, k): there is one cell more along each axis.
    """
    row, j = wp.tid()
    features_along_z(cells, row + first, j, octants, nearest)


@wp.kernel
def feature_y(nearest: wp.array(dtype=wp.int16, ndim=3), first: int, found: wp.array(dtype=int, ndim=3)):
    """The features, all indices but the first, of the nodes of the surface in the plane of x; -1 if there is none."""
    features_along_y(nearest, wp.tid() + first, found)


@wp.kernel
def feature_x(octants: wp.array(dtype=wp.uint8, ndim=3), first: int, features: wp.array(dtype=int, ndim=3)):
    """The features, in place of those of `feature_y`."""
    features_along_x(octants, wp.tid() + first, features)
