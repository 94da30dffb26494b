# ruff: noqa: UP018, RUF046 (in a kernel int(0) and float(0.0) make variables, a bare number makes a constant)
"""RRT-Connect and shortcutting as kernels: one problem a thread, from the first sample to the path."""

from edmp.collision.kernels.chain import Chain, Configuration
from edmp.collision.kernels.free import edge_free
from edmp.collision.kernels.obstacles import Obstacles
from edmp.warp_start import wp

wp.set_module_options({"enable_backward": False})


@wp.func
def node(nodes: wp.array(dtype=float, ndim=4), problem: int, tree: int, k: int, dof: int) -> Configuration:
    x = Configuration()
    for j in range(dof):
        x[j] = nodes[problem, tree, k, j]
    return x


@wp.func
def nearest(
    nodes: wp.array(dtype=float, ndim=4), problem: int, tree: int, count: int, q: Configuration, dof: int
) -> int:
    best = int(0)
    best_square = float(1.0e30)
    for k in range(count):
        square = float(0.0)
        for j in range(dof):
            e = nodes[problem, tree, k, j] - q[j]
            square += e * e
        if square < best_square:
            best_square = square
            best = k
    return best


@wp.func
def plant(
    nodes: wp.array(dtype=float, ndim=4),
    parents: wp.array(dtype=int, ndim=3),
    problem: int,
    start: wp.array(dtype=float, ndim=2),
    goal: wp.array(dtype=float, ndim=2),
    dof: int,
):
    """The roots of both trees."""
    for j in range(dof):
        nodes[problem, 0, 0, j] = start[problem, j]
        nodes[problem, 1, 0, j] = goal[problem, j]
    parents[problem, 0, 0] = -1
    parents[problem, 1, 0] = -1


@wp.func
def write_path(
    nodes: wp.array(dtype=float, ndim=4),
    parents: wp.array(dtype=int, ndim=3),
    problem: int,
    meet: wp.vec2i,
    dof: int,
    path: wp.array(dtype=float, ndim=3),
    length: wp.array(dtype=int),
):
    """From root to root through the nodes ``meet`` of the two trees, if there is room for it."""
    count = int(0)
    k = meet[0]
    while k >= 0:
        count += 1
        k = parents[problem, 0, k]
    total = count
    k = parents[problem, 1, meet[1]]
    while k >= 0:
        total += 1
        k = parents[problem, 1, k]
    if total > path.shape[1]:
        return
    i = count - 1
    k = meet[0]
    while k >= 0:
        for j in range(dof):
            path[problem, i, j] = nodes[problem, 0, k, j]
        i -= 1
        k = parents[problem, 0, k]
    i = count
    k = parents[problem, 1, meet[1]]
    while k >= 0:
        for j in range(dof):
            path[problem, i, j] = nodes[problem, 1, k, j]
        i += 1
        k = parents[problem, 1, k]
    length[problem] = total


SHORTEST = wp.constant(4.0)
"""Local samples are as far from their node as the longest edge, or nearer by a factor of up to 2 to so many [1]."""
SPREAD = wp.constant(0.4)
"""Of a local sample in each joint, as a share of that distance: in seven joints it is about as far then."""


@wp.kernel
def rrt_connect(
    chain: Chain,
    obstacles: Obstacles,
    start: wp.array(dtype=float, ndim=2),
    goal: wp.array(dtype=float, ndim=2),
    seed: wp.array(dtype=int),
    lower: wp.array(dtype=float),
    upper: wp.array(dtype=float),
    reach: float,
    step: float,
    margin: float,
    max_iterations: int,
    local: int,
    first: int,
    nodes: wp.array(dtype=float, ndim=4),
    parents: wp.array(dtype=int, ndim=3),
    path: wp.array(dtype=float, ndim=3),
    length: wp.array(dtype=int),
):
    """Kuffner and LaValle 2000. ``path[problem, :length[problem]]`` runs from start to goal; length 0: none found.

    Every ``local``-th sample (0: none) is drawn about a node of the tree, near or far, and joined to it (as by Hsu et
    al. 1999): an arm gets out of a narrow passage by short moves, and samples from everywhere ask for long ones.
    """
    problem = wp.tid() + first
    dof = chain.dof
    capacity = nodes.shape[2]
    state = wp.rand_init(seed[problem], problem)
    length[problem] = 0
    plant(nodes, parents, problem, start, goal, dof)
    counts = wp.vec2i(1, 1)
    a = int(0)
    meet = wp.vec2i(-1, -1)
    iteration = int(0)
    while iteration < max_iterations and meet[0] < 0 and counts[0] < capacity - 1 and counts[1] < capacity - 1:
        target = Configuration()
        if iteration == 0:
            target = node(nodes, problem, 1 - a, 0, dof)
        else:
            for j in range(dof):
                target[j] = lower[j] + (upper[j] - lower[j]) * wp.randf(state)
        k = int(0)
        if local > 0 and iteration % wp.max(local, 1) == 1:
            k = wp.min(int(wp.randf(state) * float(counts[a])), counts[a] - 1)
            near = node(nodes, problem, a, k, dof)
            far = reach * wp.pow(2.0, -SHORTEST * wp.randf(state))
            for j in range(dof):
                target[j] = wp.clamp(near[j] + SPREAD * far * wp.randn(state), lower[j], upper[j])
        else:
            k = nearest(nodes, problem, a, counts[a], target, dof)
        iteration += 1
        # extend tree a towards the sample, then tree b greedily towards the new node
        near = node(nodes, problem, a, k, dof)
        distance = wp.length(target - near)
        if distance < 1.0e-6:
            continue
        new = near + (target - near) * wp.min(1.0, reach / distance)
        if edge_free(chain, obstacles, near, new, step, margin):
            c = counts[a]
            for j in range(dof):
                nodes[problem, a, c, j] = new[j]
            parents[problem, a, c] = k
            counts[a] = c + 1
            b = 1 - a
            m = nearest(nodes, problem, b, counts[b], new, dof)
            near = node(nodes, problem, b, m, dof)
            going = bool(True)
            while going and counts[b] < capacity - 1:
                distance = wp.length(new - near)
                if distance < 1.0e-6:
                    meet[a] = c
                    meet[b] = m
                    going = False
                else:
                    toward = near + (new - near) * wp.min(1.0, reach / distance)
                    if distance <= reach:
                        toward = new
                    if edge_free(chain, obstacles, near, toward, step, margin):
                        d = counts[b]
                        for j in range(dof):
                            nodes[problem, b, d, j] = toward[j]
                        parents[problem, b, d] = m
                        counts[b] = d + 1
                        m = d
                        near = toward
                    else:
                        going = False
        if counts[1 - a] < counts[a]:
            a = 1 - a
    if meet[0] < 0:
        return
    write_path(nodes, parents, problem, meet, dof, path, length)


@wp.func
def on_path(path: wp.array(dtype=float, ndim=3), problem: int, i: int, t: float, dof: int) -> Configuration:
    x = Configuration()
    for j in range(dof):
        x[j] = path[problem, i, j] + t * (path[problem, i + 1, j] - path[problem, i, j])
    return x


@wp.func
def move_tail(path: wp.array(dtype=float, ndim=3), problem: int, first: int, n: int, shift: int, dof: int):
    """Move the vertices from ``first`` on, of ``n``, by so many places."""
    if shift > 0:
        for r in range(n - first):
            for j in range(dof):
                path[problem, n - 1 - r + shift, j] = path[problem, n - 1 - r, j]
    if shift < 0:
        for r in range(first, n):
            for j in range(dof):
                path[problem, r + shift, j] = path[problem, r, j]


@wp.kernel
def shortcut(
    chain: Chain,
    obstacles: Obstacles,
    seed: wp.array(dtype=int),
    step: float,
    margin: float,
    iterations: int,
    first: int,
    path: wp.array(dtype=float, ndim=3),
    length: wp.array(dtype=int),
):
    """Replace random stretches of the polyline by straight edges where those are free (Geraerts and Overmars 2007)."""
    problem = wp.tid() + first
    dof = chain.dof
    capacity = path.shape[1]
    state = wp.rand_init(seed[problem] + 7919, problem)
    n = length[problem]
    for _attempt in range(iterations):
        if n < 3:
            break
        u = wp.randf(state) * float(n - 1)
        v = wp.randf(state) * float(n - 1)
        i = wp.min(int(wp.min(u, v)), n - 2)
        k = wp.min(int(wp.max(u, v)), n - 2)
        s = wp.min(u, v) - float(i)
        t = wp.max(u, v) - float(k)
        if wp.randf(state) < 0.3:  # try whole stretches too, from vertex to vertex
            s = 0.0
            t = 1.0
        if i == k:
            continue
        shift = 2 - (k - i)  # vertices i+1..k give way to the two new ones
        if n + shift > capacity:
            continue
        a = on_path(path, problem, i, s, dof)
        b = on_path(path, problem, k, t, dof)
        if edge_free(chain, obstacles, a, b, step, margin):
            move_tail(path, problem, k + 1, n, shift, dof)
            for j in range(dof):
                path[problem, i + 1, j] = a[j]
                path[problem, i + 2, j] = b[j]
            n += shift
    length[problem] = n
