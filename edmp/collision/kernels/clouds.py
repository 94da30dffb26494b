"""Distances to clouds of points: a grid whose cells know which occupied cell is nearest, and eight points of each.

The eight cells round a point asked for name the few occupied cells where its nearest point is. So a query costs the
same in a thousand points as in a million, next to them as far away.
"""

# ruff: noqa: UP018, RUF046 -- float(0.0) and int(0) are how a Warp kernel declares a variable

from edmp.collision.kernels.chain import Lanes
from edmp.warp_start import wp

wp.set_module_options({"enable_backward": False, "fast_math": True})

FURTHER = wp.constant(1.9)
"""How much nearer than the middle of the cell nearest to it, seen from the middle of its own, a point of a cell may be
to a point of the other, in edges: half a diagonal at either end, and a little for a nearest cell that is not quite."""
STEPS = wp.constant(4.0)
"""An edge, in what 1 means in ``Cloud.gap``."""
MAX_CELLS = wp.constant(512)
"""Along an axis."""


@wp.struct
class Cloud:
    """Points about the centre of the obstacle's box; lengths in [m]."""

    radius: float
    corner: wp.vec3  # of the grid
    edge: float  # of its cells
    nearest: wp.array(dtype=int, ndim=3)  # the number of the occupied cell that is nearest to the middle of a cell
    gap: wp.array(dtype=wp.uint8, ndim=3)  # at most how far any point of a cell is from the cloud, in edges / STEPS
    points: wp.array(dtype=Lanes)  # three for each occupied cell: x, y and z of eight points


@wp.struct
class Clouds:
    each: wp.array(dtype=Cloud)


@wp.func
def within_grid(cloud: Cloud, p: wp.vec3) -> wp.vec3:
    """The point nearest to ``p`` of the grid, in edges from its corner."""
    u = (p - cloud.corner) / cloud.edge
    return wp.vec3(
        wp.clamp(u[0], 0.0, float(cloud.gap.shape[0])),
        wp.clamp(u[1], 0.0, float(cloud.gap.shape[1])),
        wp.clamp(u[2], 0.0, float(cloud.gap.shape[2])),
    )


@wp.func
def least_gap(cloud: Cloud, p: wp.vec3) -> float:
    """At most the distance from ``p`` to the nearest point of the cloud.

    All points are in the grid, which is convex: so beyond it, what is between is at least both ways at a right angle.
    """
    q = within_grid(cloud, p)
    i = wp.min(int(q[0]), cloud.gap.shape[0] - 1)
    j = wp.min(int(q[1]), cloud.gap.shape[1] - 1)
    k = wp.min(int(q[2]), cloud.gap.shape[2] - 1)
    there = float(cloud.gap[i, j, k]) / STEPS
    off = (p - cloud.corner) / cloud.edge - q
    return wp.sqrt(wp.dot(off, off) + there * there) * cloud.edge


_NEAREST_POINT = """
    #ifdef __CUDACC__
    #define NOT_INLINED
    #else
    #define NOT_INLINED __attribute__((noinline))
    #endif
    // Squares of distances as integers of the same order, with the lane in the last three bits: one minimum finds both.
    union Key { float value; int bits; };
    auto least = [](const float* points, float x, float y, float z) {
        int keys[8];
        for (int i = 0; i < 8; ++i) {
            const float u = points[i] - x, v = points[8 + i] - y, w = points[16 + i] - z;
            Key key;
            key.value = u * u + v * v + w * w;
            keys[i] = (key.bits & ~7) | i;
        }
        int found = keys[0];
        for (int i = 1; i < 8; ++i) found = keys[i] < found ? keys[i] : found;
        return found;
    };
    auto ask = [&]() NOT_INLINED -> int {
    const int n0 = cloud.nearest.shape[0], n1 = cloud.nearest.shape[1], n2 = cloud.nearest.shape[2];
    const int i = q[0] < 0.5f ? 0 : (int)(q[0] - 0.5f), j = q[1] < 0.5f ? 0 : (int)(q[1] - 0.5f);
    const int k = q[2] < 0.5f ? 0 : (int)(q[2] - 0.5f);
    const int di = i < n0 - 1 ? n1 * n2 : 0, dj = j < n1 - 1 ? n2 : 0, dk = k < n2 - 1 ? 1 : 0;
    const int* cells = cloud.nearest.data + ((size_t)i * n1 + j) * n2 + k;
    const float* points = (const float*)cloud.points.data;
    Key limit;
    limit.value = within * within;
    int best = limit.bits, found = -1, last = -1, before = -1;
    for (int c = 0; c < 8; ++c) {
        const int cell = cells[(c >> 2) * di + (c >> 1 & 1) * dj + (c & 1) * dk];
        if (cell == last || cell == before) continue;
        before = last;
        last = cell;
        const int key = least(points + 24 * (size_t)cell, p[0], p[1], p[2]);
        if ((key & ~7) < best) { best = key & ~7; found = 8 * cell + (key & 7); }
    }
    return found;
    };
    return ask();
"""


@wp.func_native(_NEAREST_POINT)
def nearest_point(cloud: Cloud, p: wp.vec3, q: wp.vec3, within: float) -> int:
    """Eight times the cell of the nearest point that the eight cells round ``q`` know, and its place there; else -1.

    ``q`` is where ``p`` is in the grid. In C++: the same in Warp's Python makes kernels slower that never come here.
    """
    ...


@wp.func
def cloud_distance(cloud: Cloud, p: wp.vec3, reach: float) -> wp.vec4:
    """Distance to the balls round the points, negative within one, and its gradient; beyond ``reach`` that.

    Exact, but for the points that cells with more than eight have left out, and where none of the eight cells round
    ``p`` has the nearest as its own.
    """
    within = reach + cloud.radius
    if least_gap(cloud, p) >= within:
        return wp.vec4(0.0, 0.0, 0.0, reach)
    found = nearest_point(cloud, p, within_grid(cloud, p), within)
    if found < 0:
        return wp.vec4(0.0, 0.0, 0.0, reach)
    row = 3 * (found >> 3)
    lane = found & 7
    v = p - wp.vec3(cloud.points[row][lane], cloud.points[row + 1][lane], cloud.points[row + 2][lane])
    d = wp.length(v)
    if d < 1.0e-9:
        return wp.vec4(1.0, 0.0, 0.0, -cloud.radius)
    return wp.vec4(v[0] / d, v[1] / d, v[2] / d, d - cloud.radius)


# --- packing ----------------------------------------------------------------------------------------------------------


@wp.kernel
def number_cells(
    points: wp.array(dtype=wp.vec3), corner: wp.vec3, edge: float, nearest: wp.array(dtype=int, ndim=3),
    cell: wp.array(dtype=int), number: wp.array(dtype=int),
):  # fmt: skip
    """One thread for all: number the occupied cells as they appear, and write down the cell of every point.

    ``nearest`` is -1 where nothing is; ``number[0]`` how many are occupied.
    """
    count = int(0)
    for n in range(points.shape[0]):
        u = (points[n] - corner) / edge
        i = int(u[0])
        j = int(u[1])
        k = int(u[2])
        there = nearest[i, j, k]
        if there < 0:
            there = count
            nearest[i, j, k] = count
            count += 1
        cell[n] = there
    number[0] = count


@wp.kernel
def fill_cells(
    points: wp.array(dtype=wp.vec3), cell: wp.array(dtype=int), center: wp.vec3, corner: wp.vec3, edge: float,
    held: wp.array(dtype=int), middle: wp.array(dtype=wp.vec3), lanes: wp.array(dtype=float, ndim=3),
):  # fmt: skip
    """One thread for all: the points of every cell about ``center``, and the middle of the first ones.

    A cell that gets more than eight keeps one for each octant, that which is nearest to the octant's middle.
    """
    for n in range(points.shape[0]):
        c = cell[n]
        p = points[n] - center
        count = held[c]
        if count < 8:
            lanes[c, 0, count] = p[0]
            lanes[c, 1, count] = p[1]
            lanes[c, 2, count] = p[2]
            middle[c] = (middle[c] * float(count) + p) / float(count + 1)
        elif count == 8:
            for a in range(8):  # those of the same octant stay where they are until a better one comes
                put_into_octant(lanes, c, wp.vec3(lanes[c, 0, a], lanes[c, 1, a], lanes[c, 2, a]), corner, edge)
            put_into_octant(lanes, c, p, corner, edge)
        else:
            put_into_octant(lanes, c, p, corner, edge)
        held[c] = wp.min(count + 1, 9)


@wp.func
def put_into_octant(lanes: wp.array(dtype=float, ndim=3), c: int, p: wp.vec3, corner: wp.vec3, edge: float):
    u = (p - corner) * (2.0 / edge)
    i = int(u[0])
    j = int(u[1])
    k = int(u[2])
    octant = 4 * (i & 1) + 2 * (j & 1) + (k & 1)
    m = corner + (wp.vec3(float(i), float(j), float(k)) + wp.vec3(0.5)) * (edge * 0.5)
    held = wp.vec3(lanes[c, 0, octant], lanes[c, 1, octant], lanes[c, 2, octant])
    if wp.length_sq(p - m) < wp.length_sq(held - m):
        lanes[c, 0, octant] = p[0]
        lanes[c, 1, octant] = p[1]
        lanes[c, 2, octant] = p[2]


_NEAREST_ON_LINE = """
    // Lengths in edges; positions along the line are those of the middles of its cells.
    float apex[512], height[512], begin[512];
    int place[512];
    const float* middles = (const float*)middle.data;
    const float per_edge = 1.f / edge;
    const int other = axis == 0 ? 1 : 0, third = axis == 2 ? 1 : 2;
    int top = 0;
    for (int t = 0; t < count; ++t) {
        const int cell = nearest.data[start + (size_t)t * stride];
        if (cell < 0) continue;
        const float* m = middles + 3 * (size_t)cell;
        const float x = (m[axis] - corner[axis]) * per_edge - 0.5f;
        const float v = (m[other] - corner[other]) * per_edge - 0.5f - (float)a;
        const float w = (m[third] - corner[third]) * per_edge - 0.5f - (float)b;
        const float h = v * v + w * w;
        if (top > 0 && place[top - 1] == cell) continue;  // known from the axes before
        float from = -1.e9f;
        while (top > 0) {
            const float apart = x - apex[top - 1];
            from = 0.5f * (x + apex[top - 1] + (h - height[top - 1]) / (apart > 1.e-6f ? apart : 1.e-6f));
            if (from > begin[top - 1]) break;
            --top;
            from = -1.e9f;
        }
        place[top] = cell; apex[top] = x; height[top] = h; begin[top] = from;
        ++top;
    }
    if (top == 0) return;
    for (int t = 0, i = 0; t < count; ++t) {
        while (i + 1 < top && begin[i + 1] < (float)t) ++i;
        nearest.data[start + (size_t)t * stride] = place[i];
        if (axis == 0) {
            const float x = (float)t - apex[i];
            const float steps = (sqrtf(height[i] + x * x) - further) * steps_per_edge;
            gap.data[start + (size_t)t * stride] = steps < 0.f ? 0 : steps > 255.f ? 255 : (unsigned char)steps;
        }
    }
"""


@wp.func_native(_NEAREST_ON_LINE)
def nearest_on_line(
    middle: wp.array(dtype=wp.vec3), corner: wp.vec3, edge: float, axis: int, a: int, b: int,
    start: int, stride: int, count: int, further: float, steps_per_edge: float,
    nearest: wp.array(dtype=int, ndim=3), gap: wp.array(dtype=wp.uint8, ndim=3),
):  # fmt: skip
    """`nearest_along` for the line (a, b); in C++, since the same in Warp's Python takes five times as long."""
    ...


@wp.kernel
def nearest_along(
    middle: wp.array(dtype=wp.vec3), corner: wp.vec3, edge: float, axis: int, first: int,
    nearest: wp.array(dtype=int, ndim=3), gap: wp.array(dtype=wp.uint8, ndim=3),
):  # fmt: skip
    """The nearest occupied cell along one axis more, and how far it is: the lower envelope of parabolas over a line.

    Felzenszwalb and Huttenlocher 2012, "Distance Transforms of Sampled Functions"; but the distances are those to the
    middle of what a cell holds, wherever in it that is.
    """
    row, b = wp.tid()
    a = row + first
    n1 = nearest.shape[1]
    n2 = nearest.shape[2]
    start = a * n2 + b
    stride = n1 * n2
    if axis == 1:
        start = a * n1 * n2 + b
        stride = n2
    elif axis == 2:
        start = (a * n1 + b) * n2
        stride = 1
    count = nearest.shape[axis]
    nearest_on_line(middle, corner, edge, axis, a, b, start, stride, count, FURTHER, STEPS, nearest, gap)
