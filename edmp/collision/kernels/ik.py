"""Kernel of inverse kinematics: many poses, several seeds each, one a thread.

The method of `edmp.robots.damped_least_squares`, with its weight of a rotation and its longest step, on the kernels'
own chain and in single precision: for the grasps of a task, which are a batch of poses with seeds of their own, spread
over the cores. Double precision, self-motion and an end as soon as enough have arrived are what that module has.
"""

# ruff: noqa: UP018, SIM108 -- float(0.0) is how a Warp kernel declares a variable

from edmp.collision.kernels.chain import (
    MAX_BODIES,
    REVOLUTE,
    Chain,
    Configuration,
    configuration,
    forward_kinematics,
)
from edmp.warp_start import wp

wp.set_module_options({"enable_backward": False})

Twist = wp.types.vector(length=6, dtype=wp.float32)
Square = wp.types.matrix(shape=(6, 6), dtype=wp.float32)
Columns = wp.types.matrix(shape=(24, 6), dtype=wp.float32)
ROTATION_WEIGHT = wp.constant(0.2)  # [m/rad]: 1 rad counts like 0.2 m


@wp.func
def rotation_vector(R: wp.mat33) -> wp.vec3:
    """Axis times angle; near a half turn the axis is noise."""
    v = wp.vec3(R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]) * 0.5
    sine = wp.length(v)
    angle = wp.atan2(sine, (R[0, 0] + R[1, 1] + R[2, 2] - 1.0) * 0.5)
    return v * (angle / wp.max(sine, 1.0e-9))


@wp.func
def solve(A: Square, b: Twist) -> Twist:
    """x with A x = b, for a positive definite A, by Cholesky's factorisation."""
    L = Square()
    for i in range(6):
        for j in range(i + 1):
            s = A[i, j]
            for k in range(j):
                s -= L[i, k] * L[j, k]
            if i == j:
                L[i, i] = wp.sqrt(wp.max(s, 1.0e-12))
            else:
                L[i, j] = s / L[j, j]
    y = Twist()
    for i in range(6):
        s = b[i]
        for k in range(i):
            s -= L[i, k] * y[k]
        y[i] = s / L[i, i]
    x = Twist()
    for back in range(6):
        i = 5 - back
        s = y[i]
        for k in range(i + 1, 6):
            s -= L[k, i] * x[k]
        x[i] = s / L[i, i]
    return x


@wp.func
def bounded_step(
    dof: int,
    columns: Columns,
    e: Twist,
    damping: float,
    q: Configuration,
    lower: wp.array(dtype=float),
    upper: wp.array(dtype=float),
) -> Configuration:
    """Damped least-squares step (dof); joints that it would push through their limit are held, and it is made again."""
    step = Configuration()
    free = Configuration()
    for j in range(dof):
        free[j] = 1.0
    for _ in range(2):
        A = Square()
        for j in range(dof):
            for a in range(6):
                for b in range(a + 1):
                    A[a, b] += free[j] * columns[j, a] * columns[j, b]
        for a in range(6):
            A[a, a] += damping
            for b in range(a):
                A[b, a] = A[a, b]
        y = solve(A, e)
        largest = float(0.0)
        for j in range(dof):
            s = float(0.0)
            for a in range(6):
                s += columns[j, a] * y[a]
            step[j] = s * free[j]
            largest = wp.max(largest, wp.abs(step[j]))
        if largest > 0.8:
            for j in range(dof):
                step[j] *= 0.8 / largest
        for j in range(dof):
            if (q[j] <= lower[j] and step[j] < 0.0) or (q[j] >= upper[j] and step[j] > 0.0):
                free[j] = 0.0
    return step


@wp.kernel
def reach_poses(
    chain: Chain,
    moves_tool: wp.array(dtype=int),
    body: int,
    R_BT: wp.mat33,
    p_BT: wp.vec3,
    lower: wp.array(dtype=float),
    upper: wp.array(dtype=float),
    X_WT: wp.array(dtype=wp.mat44),
    iterations: int,
    tolerance: float,
    q: wp.array(dtype=float, ndim=3),
    first: int,
    best: wp.array(dtype=float, ndim=3),
    error: wp.array(dtype=float, ndim=3),
):
    """Levenberg-Marquardt (Sugihara 2011: damping proportional to the remaining error) from seed q[pose, s].

    ``best[pose, s]`` is the configuration with the least error on the way; ``error[pose, s]`` its distance [m] and
    angle [rad] from the pose.
    """
    row, s = wp.tid()
    b = row + first
    x = configuration(q, b, s)
    goal = X_WT[b]
    p_goal = wp.vec3(goal[0, 3], goal[1, 3], goal[2, 3])
    R_goal = wp.mat33(
        goal[0, 0], goal[0, 1], goal[0, 2], goal[1, 0], goal[1, 1], goal[1, 2], goal[2, 0], goal[2, 1], goal[2, 2]
    )
    R = wp.zeros(shape=(MAX_BODIES,), dtype=wp.mat33)
    p = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    columns = Columns()
    factor = float(1.0e-2)
    previous = float(1.0e12)
    least = float(1.0e12)
    for _ in range(iterations):
        forward_kinematics(chain, x, R, p)
        p_WT = p[body] + R[body] * p_BT
        offset = p_goal - p_WT
        turn = rotation_vector(R_goal * wp.transpose(R[body] * R_BT))
        distance = wp.length(offset)
        angle = wp.length(turn)
        cost = distance * distance + ROTATION_WEIGHT * ROTATION_WEIGHT * angle * angle
        if cost < least:
            least = cost
            for j in range(chain.dof):
                best[b, s, j] = x[j]
            error[b, s, 0] = distance
            error[b, s, 1] = angle
        if distance < tolerance and angle < 10.0 * tolerance:
            break
        if cost < previous:
            factor = wp.max(factor * 0.4, 1.0e-6)
        else:
            factor = wp.min(factor * 4.0, 1.0)
        previous = cost
        e = Twist()
        for a in range(3):
            e[a] = offset[a]
            e[3 + a] = ROTATION_WEIGHT * turn[a]
        for j in range(chain.dof):
            for a in range(6):
                columns[j, a] = 0.0
            if moves_tool[j] == 1:
                R_WJ = R[j + 1]
                axis = wp.vec3(R_WJ[0, 2], R_WJ[1, 2], R_WJ[2, 2])
                if chain.joint_kind[j] == REVOLUTE:
                    linear = wp.cross(axis, p_WT - p[j + 1])
                    for a in range(3):
                        columns[j, a] = linear[a]
                        columns[j, 3 + a] = ROTATION_WEIGHT * axis[a]
                else:
                    for a in range(3):
                        columns[j, a] = axis[a]
        step = bounded_step(chain.dof, columns, e, factor * cost + 1.0e-8, x, lower, upper)
        for j in range(chain.dof):
            x[j] = wp.clamp(x[j] + step[j], lower[j], upper[j])
