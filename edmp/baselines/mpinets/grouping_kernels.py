# ruff: noqa: UP018, RUF046 -- float(0.0) is how a Warp kernel declares a variable; 0.0 would be a constant
# mypy: ignore-errors
"""Farthest point sampling and ball query for the CPU; `edmp.baselines.mpinets.grouping` says what they compute."""

from edmp.warp_start import wp

wp.set_module_options({"enable_backward": False})

ORIGIN_SQUARED = wp.constant(1.0e-3)
"""Points whose squared distance from the origin is at most this are not chosen [m^2]."""

BOXED = 32
"""Points in a row that have a box about them."""
_BOXED = wp.constant(BOXED)


@wp.kernel
def farthest_points(
    p: wp.array2d(dtype=wp.vec3),
    first: int,
    nearest: wp.array2d(dtype=float),
    chosen: wp.array2d(dtype=int),
):
    row = wp.tid() + first
    n = p.shape[1]
    for k in range(n):
        nearest[row, k] = 1.0e10
        if wp.length_sq(p[row, k]) <= ORIGIN_SQUARED:
            nearest[row, k] = -1.0
    last = int(0)
    chosen[row, 0] = 0
    for i in range(1, chosen.shape[1]):
        center = p[row, last]
        best = float(-1.0)
        farthest = int(0)
        for k in range(n):
            d = wp.min(nearest[row, k], wp.length_sq(p[row, k] - center))
            nearest[row, k] = d
            if d > best:
                best = d
                farthest = k
        last = farthest
        chosen[row, i] = last


@wp.kernel
def ball_query(
    p: wp.array2d(dtype=wp.vec3),
    center: wp.array2d(dtype=wp.vec3),
    radius: float,
    first: int,
    index: wp.array3d(dtype=int),
):
    row, ball = wp.tid()
    row += first
    count = index.shape[2]
    found = int(0)
    k = int(0)
    c = center[row, ball]
    while k < p.shape[1] and found < count:
        if wp.length_sq(p[row, k] - c) < radius * radius:
            index[row, ball, found] = k
            found += 1
        k += 1
    filler = int(0)
    if found > 0:
        filler = index[row, ball, 0]
    for i in range(found, count):
        index[row, ball, i] = filler


@wp.kernel
def nearest_points(
    p: wp.array2d(dtype=wp.vec3),
    lower: wp.array2d(dtype=wp.vec3),
    upper: wp.array2d(dtype=wp.vec3),
    cloud: wp.array(dtype=int),
    center: wp.array2d(dtype=wp.vec3),
    radius: float,
    first: int,
    index: wp.array3d(dtype=int),
    squared: wp.array3d(dtype=float),
):
    row, ball = wp.tid()
    row += first
    count = index.shape[2]
    for i in range(count):
        index[row, ball, i] = -1
        squared[row, ball, i] = radius * radius
    c = center[row, ball]
    g = cloud[row]
    worst = radius * radius
    for box in range(lower.shape[1]):
        away = wp.max(wp.max(lower[g, box] - c, c - upper[g, box]), wp.vec3(0.0, 0.0, 0.0))
        if wp.length_sq(away) < worst:
            for k in range(box * _BOXED, wp.min((box + 1) * _BOXED, p.shape[1])):
                d = wp.length_sq(p[g, k] - c)
                if d < worst:  # put in its place among those found, nearest first; the farthest falls off the end
                    i = int(count - 1)
                    while i > 0 and squared[row, ball, i - 1] > d:
                        squared[row, ball, i] = squared[row, ball, i - 1]
                        index[row, ball, i] = index[row, ball, i - 1]
                        i -= 1
                    squared[row, ball, i] = d
                    index[row, ball, i] = k
                    worst = squared[row, ball, count - 1]
