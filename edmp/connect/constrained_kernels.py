# ruff: noqa: UP018, RUF046, SIM102, SIM110 (in a kernel int(0) and float(0.0) make variables, a bare number makes a
# constant; its `and` does not stop early, and it has no generators)
"""CBiRRT and shortcutting on what constraints leave, as kernels: one problem a thread (Berenson et al. 2009)."""

from edmp.collision.kernels.bands import Bands, projected, worst_excess
from edmp.collision.kernels.chain import Chain, Configuration
from edmp.collision.kernels.free import between, edge_free
from edmp.collision.kernels.obstacles import Obstacles
from edmp.connect.kernels import move_tail, nearest, node, plant, write_path
from edmp.warp_start import wp

wp.set_module_options({"enable_backward": False})

MIDWAY = wp.constant(0.04)  # bands are looked at along an edge this often [rad]
SHORTEST = wp.constant(0.01)  # steps shorter than this lead nowhere [rad]


@wp.struct
class Step:
    """Where a step ended, and whether it could be made."""

    q: Configuration
    made: bool


@wp.func
def edge_keeps(chain: Chain, bands: Bands, a: Configuration, b: Configuration) -> bool:
    """Do all bands hold between ``a`` and ``b``, at samples?"""
    count = int(wp.ceil(wp.length(b - a) / MIDWAY))
    for i in range(1, count):
        if worst_excess(chain, bands, between(a, b, float(i) / float(count)), 0.0) > 0.0:
            return False
    return True


@wp.func
def constrained_step(
    chain: Chain,
    obstacles: Obstacles,
    bands: Bands,
    near: Configuration,
    target: Configuration,
    lower: wp.array(dtype=float),
    upper: wp.array(dtype=float),
    reach: float,
    step: float,
    margin: float,
) -> Step:
    """From ``near`` towards ``target`` by at most ``reach``, projected; shorter where bands break on the way."""
    out = Step()
    distance = wp.length(target - near)
    stride = wp.min(reach, distance)
    while stride >= wp.min(SHORTEST, distance):
        x = near + (target - near) * (stride / distance)
        arrives = stride >= distance
        if not arrives:
            found = projected(chain, bands, x, lower, upper, 12)
            if not found.holds:
                return out
            x = found.q
        moved = wp.length(x - near)
        closer = distance - wp.length(target - x)
        if arrives or (closer > 0.1 * stride and moved > 0.2 * stride and moved < 2.0 * stride):
            if edge_keeps(chain, bands, near, x):
                out.q = x
                out.made = edge_free(chain, obstacles, near, x, step, margin)
                return out
        stride *= 0.5
    return out


@wp.func
def walk(
    chain: Chain,
    obstacles: Obstacles,
    bands: Bands,
    nodes: wp.array(dtype=float, ndim=4),
    parents: wp.array(dtype=int, ndim=3),
    problem: int,
    tree: int,
    count: int,
    target: Configuration,
    lower: wp.array(dtype=float),
    upper: wp.array(dtype=float),
    reach: float,
    step: float,
    margin: float,
) -> wp.vec2i:
    """Grow a tree of ``count`` nodes towards ``target`` as far as it goes: where that ends, and the new count."""
    dof = chain.dof
    k = nearest(nodes, problem, tree, count, target, dof)
    near = node(nodes, problem, tree, k, dof)
    c = count
    while c < nodes.shape[2] and wp.length(target - near) > 1.0e-6:
        made = constrained_step(chain, obstacles, bands, near, target, lower, upper, reach, step, margin)
        if not made.made:
            break
        for j in range(dof):
            nodes[problem, tree, c, j] = made.q[j]
        parents[problem, tree, c] = k
        near = made.q
        k = c
        c += 1
    return wp.vec2i(k, c)


@wp.kernel
def constrained_rrt_connect(
    chain: Chain,
    obstacles: Obstacles,
    bands: Bands,
    start: wp.array(dtype=float, ndim=2),
    goal: wp.array(dtype=float, ndim=2),
    seed: wp.array(dtype=int),
    lower: wp.array(dtype=float),
    upper: wp.array(dtype=float),
    reach: float,
    step: float,
    margin: float,
    max_iterations: int,
    first: int,
    nodes: wp.array(dtype=float, ndim=4),
    parents: wp.array(dtype=int, ndim=3),
    path: wp.array(dtype=float, ndim=3),
    length: wp.array(dtype=int),
):
    """``path[problem, :length[problem]]`` runs from start to goal inside all bands; length 0: none found."""
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
        iteration += 1
        # tree a towards the sample, then tree b towards where that led, each as far as it goes
        grown = walk(
            chain, obstacles, bands, nodes, parents, problem, a, counts[a], target, lower, upper, reach, step, margin
        )
        if grown[1] > counts[a]:
            counts[a] = grown[1]
            b = 1 - a
            target = node(nodes, problem, a, grown[0], dof)
            b_count = counts[b]
            met = walk(
                chain, obstacles, bands, nodes, parents, problem, b, b_count, target, lower, upper, reach, step, margin
            )
            counts[b] = met[1]
            if wp.length(target - node(nodes, problem, b, met[0], dof)) < 1.0e-6:
                meet[a] = grown[0]
                meet[b] = met[0]
        if counts[1 - a] < counts[a]:
            a = 1 - a
    if meet[0] < 0:
        return
    write_path(nodes, parents, problem, meet, dof, path, length)


@wp.func
def vertex(path: wp.array(dtype=float, ndim=3), problem: int, i: int, dof: int) -> Configuration:
    x = Configuration()
    for j in range(dof):
        x[j] = path[problem, i, j]
    return x


@wp.kernel
def constrained_shortcut(
    chain: Chain,
    obstacles: Obstacles,
    bands: Bands,
    seed: wp.array(dtype=int),
    lower: wp.array(dtype=float),
    upper: wp.array(dtype=float),
    reach: float,
    step: float,
    margin: float,
    iterations: int,
    first: int,
    way: wp.array(dtype=float, ndim=3),
    path: wp.array(dtype=float, ndim=3),
    length: wp.array(dtype=int),
):
    """Replace random stretches of the polyline by projected walks from end to end where those arrive, and are shorter.

    ``way`` is room for a walk.
    """
    problem = wp.tid() + first
    dof = chain.dof
    capacity = path.shape[1]
    state = wp.rand_init(seed[problem] + 7919, problem)
    n = length[problem]
    for _attempt in range(iterations):
        if n < 3:
            break
        u = int(wp.randf(state) * float(n))
        v = int(wp.randf(state) * float(n))
        i = wp.min(u, v)
        k = wp.min(wp.max(u, v), n - 1)
        if k - i < 2:
            continue
        before = float(0.0)
        for r in range(i, k):
            before += wp.length(vertex(path, problem, r + 1, dof) - vertex(path, problem, r, dof))
        near = vertex(path, problem, i, dof)
        target = vertex(path, problem, k, dof)
        if wp.length(target - near) > 0.99 * before:
            continue
        after = float(0.0)
        m = int(0)  # new vertices between i and k
        arrived = bool(False)
        going = bool(True)
        while going:
            made = constrained_step(chain, obstacles, bands, near, target, lower, upper, reach, step, margin)
            after += wp.length(made.q - near)
            if not made.made or after + wp.length(target - made.q) > 0.99 * before or m >= way.shape[1]:
                going = False
            elif wp.length(target - made.q) < 1.0e-6:
                arrived = True
                going = False
            else:
                for j in range(dof):
                    way[problem, m, j] = made.q[j]
                near = made.q
                m += 1
        shift = m - (k - i - 1)
        if arrived and n + shift <= capacity:
            move_tail(path, problem, k, n, shift, dof)
            for r in range(m):
                for j in range(dof):
                    path[problem, i + 1 + r, j] = way[problem, r, j]
            n += shift
    length[problem] = n
