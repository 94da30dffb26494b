"""What an arm's torques are linear in: tau = Y(q, v, a) pi + armature a + viscous v + coulomb tanh(v / v_s).

pi holds ten inertial parameters a body: m, m c, and the inertia about the body's origin (Khalil and Dombre, Modeling,
Identification and Control of Robots, chapter 12). Written in numpy for all rows at once, apart from the kernels that
simulate: each is a check of the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edmp.robots.robot import Robot

Array = NDArray[np.float64]

GRAVITY = 9.81
"""Along -z of the world [m/s^2]."""
STICTION_SPEED = 0.01
"""v_s: faster than a few times this, Coulomb friction is all there [rad/s or m/s]."""
PARAMETERS = ("m", "mx", "my", "mz", "Ixx", "Ixy", "Ixz", "Iyy", "Iyz", "Izz")
"""Of a body, in the order of columns."""


def inertial_regressor(robot: Robot, q: Array, v: Array, a: Array) -> Array:
    """(n, dof, 10 dof) columns of the inertial parameters of body 1 to dof, gravity included.

    Args:
        robot: the arm; only its kinematics count.
        q, v, a: (n, dof) [rad or m], and by seconds.
    """
    n, dof = q.shape
    R_PB, p_PB = _joint_poses(robot, q)
    wrenches = _body_wrenches(robot, R_PB, p_PB, v, a)
    Y = np.zeros((n, dof, 10 * dof))
    for body in range(dof):
        W, joint = wrenches[body], body
        columns = slice(10 * body, 10 * (body + 1))
        while True:  # from the body to the base: what each joint on the way has to hold
            Y[:, joint, columns] = W[:, 5] if robot.joints[joint].kind == "revolute" else W[:, 2]
            parent = robot.parents[joint] - 1
            if parent < 0:
                break
            force = np.einsum("nij,njk->nik", R_PB[:, joint], W[:, :3])
            moment = np.einsum("nij,njk->nik", R_PB[:, joint], W[:, 3:])
            moment += _cross(p_PB[:, joint])[:, :, :] @ force
            W, joint = np.concatenate([force, moment], axis=1), parent
    return Y


def friction_columns(v: Array) -> tuple[Array, Array]:
    """(n, dof) each: what viscous and Coulomb friction of each joint are multiplied by."""
    return v, np.tanh(v / STICTION_SPEED)


def _joint_poses(robot: Robot, q: Array) -> tuple[Array, Array]:
    """(n, dof, 3, 3) and (n, dof, 3): each body in the frame of the one that carries it."""
    n, dof = q.shape
    R, p = np.empty((n, dof, 3, 3)), np.empty((n, dof, 3))
    for j, joint in enumerate(robot.joints):
        R_PJ, p_PJ = joint.X_PJ[:3, :3], joint.X_PJ[:3, 3]
        if joint.kind == "revolute":
            c, s = np.cos(q[:, j]), np.sin(q[:, j])
            R_z = np.zeros((n, 3, 3))
            R_z[:, 0, 0], R_z[:, 0, 1], R_z[:, 1, 0], R_z[:, 1, 1], R_z[:, 2, 2] = c, -s, s, c, 1.0
            R[:, j], p[:, j] = R_PJ @ R_z, p_PJ
        else:
            R[:, j], p[:, j] = R_PJ, p_PJ + q[:, j, None] * R_PJ[:, 2]
    return R, p


def _body_wrenches(robot: Robot, R_PB: Array, p_PB: Array, v: Array, a: Array) -> list[Array]:
    """(n, 6, 10) a body: force and moment about its origin, in its axes, by its ten parameters (Newton-Euler)."""
    n = len(v)
    z = np.array([0.0, 0.0, 1.0])
    up = robot.X_W0[:3, :3].T @ (GRAVITY * z)  # a base that is pushed up feels like gravity
    still = np.zeros((n, 3))
    motions = [(still, still, np.broadcast_to(up, (n, 3)))]
    wrenches = []
    for j, joint in enumerate(robot.joints):
        w_P, alpha_P, a_P = motions[robot.parents[j]]
        p, to_B = p_PB[:, j], np.swapaxes(R_PB[:, j], 1, 2)
        w = np.einsum("nij,nj->ni", to_B, w_P)
        alpha = np.einsum("nij,nj->ni", to_B, alpha_P)
        linear = a_P + np.cross(alpha_P, p) + np.cross(w_P, np.cross(w_P, p))
        linear = np.einsum("nij,nj->ni", to_B, linear)
        if joint.kind == "revolute":
            alpha = alpha + np.cross(w, z * v[:, j, None]) + z * a[:, j, None]
            w = w + z * v[:, j, None]
        else:
            linear = linear + 2.0 * np.cross(w, z * v[:, j, None]) + z * a[:, j, None]
        motions.append((w, alpha, linear))
        wrenches.append(_wrench(w, alpha, linear))
    return wrenches


def _wrench(w: Array, alpha: Array, linear: Array) -> Array:
    """F = m a + alpha x h + w x (w x h); N = I alpha + w x I w + h x a, with h = m c, as (n, 6, 10)."""
    W = np.zeros((len(w), 6, 10))
    turning = _cross(w)
    W[:, :3, 0] = linear
    W[:, :3, 1:4] = _cross(alpha) + turning @ turning
    W[:, 3:, 1:4] = -_cross(linear)
    W[:, 3:, 4:] = _times_inertia(alpha) + turning @ _times_inertia(w)
    return W


def _times_inertia(x: Array) -> Array:
    """(n, 3, 6): I x by Ixx, Ixy, Ixz, Iyy, Iyz, Izz."""
    L = np.zeros((len(x), 3, 6))
    L[:, 0, 0], L[:, 0, 1], L[:, 0, 2] = x[:, 0], x[:, 1], x[:, 2]
    L[:, 1, 1], L[:, 1, 3], L[:, 1, 4] = x[:, 0], x[:, 1], x[:, 2]
    L[:, 2, 2], L[:, 2, 4], L[:, 2, 5] = x[:, 0], x[:, 1], x[:, 2]
    return L


def _cross(x: Array) -> Array:
    """(n, 3, 3): the matrix of x cross."""
    S = np.zeros((len(x), 3, 3))
    S[:, 0, 1], S[:, 0, 2], S[:, 1, 2] = -x[:, 2], x[:, 1], -x[:, 0]
    return S - np.swapaxes(S, 1, 2)
