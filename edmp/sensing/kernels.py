"""One depth image into a grid of log-odds: which cells rays ended in, and which were seen through as a whole.

A cell is taken to the image, not a ray through the cells: each cell is looked at once, whatever the number of pixels.
Most are settled by two by two texels of a pyramid of shortest and longest rays; the others, near surfaces, by every ray
that crosses them. One source for CPU and CUDA. ``first`` is the row that thread index 0 stands for (see
`edmp.collision.launch`).
"""

# ruff: noqa: UP018, RUF046 -- float(0.0) and int(0) are how a Warp kernel declares a variable

from __future__ import annotations

from edmp.warp_start import wp

_BIG = wp.constant(1.0e30)
BLOCK = wp.constant(4)
"""Cells along each axis of a block, which is looked at as one first."""


@wp.struct
class View:
    """A camera C and a grid whose corner is V, its axes along the grid's.

    Attributes:
        R_CV: (3, 3) turns the grid's axes into the camera's.
        p_VC: where the camera is in the grid [m].
        half: half the extents of a cell along the camera's axes [m].
        focal, centre: of the image [pixel].
        near, far: depths that count [m].
        beyond: depth that a ray is free to where nothing was within range [m]; 0 if that says nothing.
        edge: of a cell [m].
    """

    R_CV: wp.mat33
    p_VC: wp.vec3
    half: wp.vec3
    focal: wp.vec2
    centre: wp.vec2
    near: float
    far: float
    beyond: float
    edge: float


@wp.struct
class Evidence:
    """Log-odds of one hit and of one miss, the ends that they are kept between, and the share of rays for a miss."""

    hit: float
    miss: float
    least: float
    most: float
    share: float


@wp.kernel(enable_backward=False)
def mark_points(
    view: View,
    depth: wp.array2d(dtype=float),
    robot: wp.array3d(dtype=wp.int32),
    frame: wp.int32,
    first: int,
    rays: wp.array2d(dtype=float),
    hit: wp.array3d(dtype=wp.int32),
    hit_blocks: wp.array3d(dtype=wp.int32),
):
    """Per pixel: how far its ray was free, 0 if it says nothing; the cell it ended in, if not the robot's, and the
    block of that."""
    row, u = wp.tid()
    v = first + row
    z = depth[v, u]
    free = float(0.0)
    if wp.isinf(z):
        if z > 0.0:
            free = view.beyond
    elif z > view.far:
        free = view.far
    elif z >= view.near:  # false for NaN
        free = z
        p_C = wp.vec3((float(u) - view.centre[0]) / view.focal[0], (float(v) - view.centre[1]) / view.focal[1], 1.0) * z
        p = (wp.transpose(view.R_CV) * p_C + view.p_VC) / view.edge
        i = int(wp.floor(p[0]))
        j = int(wp.floor(p[1]))
        k = int(wp.floor(p[2]))
        inside = i >= 0 and j >= 0 and k >= 0 and i < hit.shape[0] and j < hit.shape[1] and k < hit.shape[2]
        if inside and robot[i, j, k] != frame:
            hit[i, j, k] = frame
            hit_blocks[i / BLOCK, j / BLOCK, k / BLOCK] = frame
    rays[v, u] = free


@wp.kernel(enable_backward=False)
def finest_level(rays: wp.array2d(dtype=float), first: int, level: wp.array2d(dtype=wp.vec4)):
    """Of two by two rays: the shortest and the longest that says something; the share that does, as mean and least."""
    row, x = wp.tid()
    y = first + row
    low = float(_BIG)
    high = float(0.0)
    said = float(0.0)
    for dv in range(2):
        for du in range(2):
            z = rays[wp.min(2 * y + dv, rays.shape[0] - 1), wp.min(2 * x + du, rays.shape[1] - 1)]
            if z > 0.0:
                low = wp.min(low, z)
                high = wp.max(high, z)
                said += 0.25
    level[y, x] = wp.vec4(low, high, said, said)


@wp.kernel(enable_backward=False)
def coarser_level(finer: wp.array2d(dtype=wp.vec4), first: int, level: wp.array2d(dtype=wp.vec4)):
    """The next level of the pyramid: its last number is the least share of any two by two rays."""
    row, x = wp.tid()
    y = first + row
    found = wp.vec4(_BIG, 0.0, 0.0, 1.0)
    for dv in range(2):
        for du in range(2):
            one = finer[wp.min(2 * y + dv, finer.shape[0] - 1), wp.min(2 * x + du, finer.shape[1] - 1)]
            found = wp.vec4(
                wp.min(found[0], one[0]),
                wp.max(found[1], one[1]),
                found[2] + 0.25 * one[2],
                wp.min(found[3], one[3]),
            )
    level[y, x] = found


@wp.struct
class Sight:
    """What all rays say that come near a box: depths of its ends, rows and columns of pixels, lengths of rays.

    Attributes:
        whole: it is in view as a whole, and within range.
        ahead, behind: least and largest depth of the box [m].
        u0, u1, v0, v1: first and last column and row.
        shortest, longest: of the rays that say something [m].
        said: share of those that do.
        least: that share in the two by two rays that say least, of all these.
    """

    whole: bool
    ahead: float
    behind: float
    u0: int
    u1: int
    v0: int
    v1: int
    shortest: float
    longest: float
    said: float
    least: float


@wp.func
def _sight(
    view: View,
    p: wp.vec3,
    half: wp.vec3,
    columns: int,
    rows: int,
    levels: wp.array(dtype=wp.vec4),
    offsets: wp.array(dtype=wp.vec3i),
) -> Sight:
    """Of the box about ``p`` (3,), in the camera's frame, with half its extents along the camera's axes."""
    sight = Sight()
    sight.whole = False
    sight.longest = float(_BIG)
    sight.ahead = p[2] - half[2]
    sight.behind = p[2] + half[2]
    if sight.ahead > view.far or sight.behind < view.near:
        sight.longest = -float(_BIG)
        return sight
    if sight.ahead < view.near:
        return sight
    x0 = p[0] - half[0]
    x1 = p[0] + half[0]
    y0 = p[1] - half[1]
    y1 = p[1] + half[1]
    fore = 1.0 / sight.ahead
    back = 1.0 / sight.behind
    sight.u0 = int(wp.floor(view.focal[0] * x0 * wp.where(x0 < 0.0, fore, back) + view.centre[0]))
    sight.u1 = int(wp.ceil(view.focal[0] * x1 * wp.where(x1 > 0.0, fore, back) + view.centre[0]))
    sight.v0 = int(wp.floor(view.focal[1] * y0 * wp.where(y0 < 0.0, fore, back) + view.centre[1]))
    sight.v1 = int(wp.ceil(view.focal[1] * y1 * wp.where(y1 > 0.0, fore, back) + view.centre[1]))
    if sight.u1 < 0 or sight.v1 < 0 or sight.u0 >= columns or sight.v0 >= rows:
        sight.longest = -float(_BIG)  # no ray comes near
        return sight
    if sight.u0 < 0 or sight.v0 < 0 or sight.u1 >= columns or sight.v1 >= rows:
        return sight
    sight.whole = True
    # The finest level of which two by two texels hold all rays.
    level = int(0)
    while level < offsets.shape[0] - 1 and (
        (sight.u1 >> (level + 1)) - (sight.u0 >> (level + 1)) > 1
        or (sight.v1 >> (level + 1)) - (sight.v0 >> (level + 1)) > 1
    ):
        level += 1
    at = offsets[level]
    sight.shortest = float(_BIG)
    sight.longest = 0.0
    sight.least = 1.0
    texels = float(0.0)
    for y in range(sight.v0 >> (level + 1), (sight.v1 >> (level + 1)) + 1):
        for x in range(sight.u0 >> (level + 1), (sight.u1 >> (level + 1)) + 1):
            one = levels[at[0] + y * at[2] + x]
            sight.shortest = wp.min(sight.shortest, one[0])
            sight.longest = wp.max(sight.longest, one[1])
            sight.said += one[2]
            sight.least = wp.min(sight.least, one[3])
            texels += 1.0
    sight.said /= texels
    return sight


HIDDEN = wp.constant(0)
THROUGH = wp.constant(1)
MIXED = wp.constant(2)
"""What a block of cells is: beyond all rays, or not near any; seen through; or neither as a whole."""


@wp.kernel(enable_backward=False)
def judge_blocks(
    view: View,
    evidence: Evidence,
    columns: int,
    rows: int,
    levels: wp.array(dtype=wp.vec4),
    offsets: wp.array(dtype=wp.vec3i),
    first: int,
    blocks: wp.array3d(dtype=wp.int32),
):
    """Per block of `BLOCK` cells along each axis: `HIDDEN`, `THROUGH` or `MIXED`.

    ``offsets`` holds for each level of the pyramid where it begins in ``levels``, its rows and its columns.
    """
    row, j, k = wp.tid()
    i = first + row
    edge = view.edge * float(BLOCK)
    p = view.R_CV * (wp.vec3(float(i) + 0.5, float(j) + 0.5, float(k) + 0.5) * edge - view.p_VC)
    sight = _sight(view, p, view.half * float(BLOCK), columns, rows, levels, offsets)
    found = MIXED
    if sight.longest < sight.ahead:
        found = HIDDEN
    elif sight.whole and sight.shortest > sight.behind and sight.least >= evidence.share:
        found = THROUGH
    blocks[i, j, k] = found


@wp.func
def _blocked(view: View, u: int, v: int, z: float, low: wp.vec3) -> bool:
    """Whether the ray of a pixel crosses the cell with the lower corner ``low``, and ends before it leaves it."""
    ray = wp.transpose(view.R_CV) * wp.vec3(
        (float(u) - view.centre[0]) / view.focal[0], (float(v) - view.centre[1]) / view.focal[1], 1.0
    )
    enter = float(0.0)
    leave = float(_BIG)
    for axis in range(3):
        d = ray[axis]
        a = low[axis] - view.p_VC[axis]
        b = a + view.edge
        if wp.abs(d) < 1.0e-9:
            if a > 0.0 or b < 0.0:
                leave = float(-1.0)
        else:
            enter = wp.max(enter, wp.min(a / d, b / d))
            leave = wp.min(leave, wp.max(a / d, b / d))
    return leave > enter and z < leave - 1.0e-3 * view.edge


@wp.func
def _all_through(view: View, rays: wp.array2d(dtype=float), sight: Sight, low: wp.vec3, share: float) -> bool:
    """Whether no ray ends in or before a cell that it crosses, and a share of those around it say something."""
    if sight.u1 - sight.u0 < 3 or sight.v1 - sight.v0 < 3:
        return False  # there may be none
    said = int(0)
    u = (sight.u0 + sight.u1) / 2
    v = (sight.v0 + sight.v1) / 2
    z = rays[v, u]
    if z > 0.0 and z < sight.behind and _blocked(view, u, v, z, low):  # most are
        return False
    for v in range(sight.v0, sight.v1 + 1):
        for u in range(sight.u0, sight.u1 + 1):
            z = rays[v, u]
            if z > 0.0:
                if z < sight.behind and _blocked(view, u, v, z, low):
                    return False
                said += 1
    return float(said) >= share * float((sight.u1 - sight.u0 + 1) * (sight.v1 - sight.v0 + 1))


@wp.func
def _through(
    view: View,
    evidence: Evidence,
    rays: wp.array2d(dtype=float),
    levels: wp.array(dtype=wp.vec4),
    offsets: wp.array(dtype=wp.vec3i),
    low: wp.vec3,
) -> bool:
    """Whether the cell with the lower corner ``low`` was seen through as a whole."""
    p = view.R_CV * (low + wp.vec3(0.5, 0.5, 0.5) * view.edge - view.p_VC)
    sight = _sight(view, p, view.half, rays.shape[1], rays.shape[0], levels, offsets)
    if not sight.whole or sight.longest < sight.ahead:
        return False
    if sight.shortest > sight.behind:
        return sight.said >= evidence.share
    return _all_through(view, rays, sight, low, evidence.share)


@wp.kernel(enable_backward=False)
def update_cells(
    view: View,
    evidence: Evidence,
    rays: wp.array2d(dtype=float),
    levels: wp.array(dtype=wp.vec4),
    offsets: wp.array(dtype=wp.vec3i),
    blocks: wp.array3d(dtype=wp.int32),
    hit: wp.array3d(dtype=wp.int32),
    hit_blocks: wp.array3d(dtype=wp.int32),
    frame: wp.int32,
    first: int,
    log_odds: wp.array3d(dtype=float),
):
    """Per block, of each cell: more likely occupied if a ray ended in it, less if it was seen through as a whole, else
    as before."""
    row, block_j, block_k = wp.tid()
    block_i = first + row
    block = blocks[block_i, block_j, block_k]
    hits = hit_blocks[block_i, block_j, block_k] == frame
    if block == HIDDEN and not hits:
        return
    for i in range(block_i * BLOCK, wp.min((block_i + 1) * BLOCK, log_odds.shape[0])):
        for j in range(block_j * BLOCK, wp.min((block_j + 1) * BLOCK, log_odds.shape[1])):
            for k in range(block_k * BLOCK, wp.min((block_k + 1) * BLOCK, log_odds.shape[2])):
                before = log_odds[i, j, k]
                if hits and hit[i, j, k] == frame:
                    log_odds[i, j, k] = wp.min(wp.where(wp.isnan(before), 0.0, before) + evidence.hit, evidence.most)
                elif before == evidence.least or block == HIDDEN:
                    continue  # it cannot become less
                else:
                    through = block == THROUGH
                    if block == MIXED:
                        low = wp.vec3(float(i), float(j), float(k)) * view.edge
                        through = _through(view, evidence, rays, levels, offsets, low)
                    if through:
                        less = wp.where(wp.isnan(before), 0.0, before) - evidence.miss
                        log_odds[i, j, k] = wp.max(less, evidence.least)


@wp.kernel(enable_backward=False)
def mark_inside(
    planes: wp.array(dtype=wp.vec4),
    begins: wp.array(dtype=wp.int32),
    columns: wp.array(dtype=wp.vec3i),
    edge: float,
    mark: wp.int32,
    first: int,
    cells: wp.array3d(dtype=wp.int32),
):
    """Per column of cells (piece, i, j): mark the cells that a convex piece touches.

    A piece p is where n x <= d for its planes (n, d), rows ``begins[p]`` to ``begins[p + 1]``, in the grid's frame.
    """
    column = columns[first + wp.tid()]
    low = float(0.0)
    high = float(cells.shape[2]) - 1.0
    for r in range(begins[column[0]], begins[column[0] + 1]):
        plane = planes[r]
        # The corner of a cell that is deepest in the half space: n x + slope k <= d.
        deepest = wp.vec3(
            (float(column[1]) + wp.where(plane[0] < 0.0, 1.0, 0.0)) * edge,
            (float(column[2]) + wp.where(plane[1] < 0.0, 1.0, 0.0)) * edge,
            wp.where(plane[2] < 0.0, 1.0, 0.0) * edge,
        )
        room = plane[3] - plane[0] * deepest[0] - plane[1] * deepest[1] - plane[2] * deepest[2]
        slope = plane[2] * edge
        if wp.abs(slope) < 1.0e-9:
            if room < 0.0:
                return
        elif slope > 0.0:
            high = wp.min(high, room / slope)
        else:
            low = wp.max(low, room / slope)
        if low > high:
            return
    for k in range(int(wp.ceil(low)), int(wp.floor(high)) + 1):
        cells[column[1], column[2], k] = mark
