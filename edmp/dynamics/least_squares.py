"""Inertia, motors and friction from torques: linear least squares with a prior at the described arm.

The torques of a recording fix only some combinations of an arm's parameters, and a short or still one few of these
(Atkeson, An and Hollerbach 1986). So the estimate is Bayesian: of all arms, one like the description is the likeliest
before anything is seen, and in ways that are usual: everything heavier by one factor, something at the tool, each body
a little different by itself. What is not seen stays as described, with the spread that it had.

    pi = (1 + s) pi_0 + m_p u + delta,   tau = Y pi + armature a + viscous v + coulomb tanh(v / v_s) + noise

with pi_0 the description and u a unit mass at the tool. How far bodies differ (delta) is what makes the recording the
likeliest (empirical Bayes); the noise of each joint is what is left over, not below a share of its effort limit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from edmp.dynamics.arm import ArmDynamics, effort_scale
from edmp.dynamics.regressor import friction_columns, inertial_regressor
from edmp.dynamics.signals import Signals, thinned
from edmp.ranges import Range, check_fields
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

_ROUNDS = 4
"""Of noise and estimate in turn; it settles in three."""
_SAID = 10.0
"""Information [1 / scale^2] above which something is said of a direction of the parameters."""
_LENGTH = 0.1
"""Of a body, by which moments are made comparable to masses [m]."""
_LEAST = 1e-6
"""Share of the trace of a body's pseudo-inertia below which no eigenvalue may be."""


@dataclass(frozen=True)
class PriorSettings:
    """What is expected of an arm before it has moved; all of them standard deviations.

    Attributes:
        mass_factor: of the factor by which all of the arm is heavier [1].
        payload: of what is at the tool and not described [kg].
        bodies: scales that are tried for how much bodies differ by themselves, as shares of their masses [1].
        armature: of the motors' inertias, as a share of them [1].
        friction: of viscous and of Coulomb friction, as a share of the effort limit, by rad/s for the former [1].
        noise: of torques, as a share of the effort limit: it is not taken for less [1].
    """

    mass_factor: float = 0.3
    payload: float = 1.0
    bodies: tuple[float, ...] = (0.05, 0.15, 0.4)
    armature: float = 0.3
    friction: float = 0.05
    noise: float = 0.001

    def __post_init__(self) -> None:
        positive = Range(0, above=True)
        check_fields(self, {name: positive for name in vars(self) if name != "bodies"})
        check_fields(self, {"bodies": Range(0, above=True, several=True)})

    def widened(self, ratio: float) -> PriorSettings:
        """Variances so many times as large; the noise is as it was."""
        by = float(np.sqrt(ratio))
        wide = {name: value * by for name, value in vars(self).items() if name not in ("bodies", "noise")}
        return replace(self, **wide, bodies=tuple(by * scale for scale in self.bodies))


@dataclass(frozen=True, eq=False)
class Evidence:
    """What something else than torques says, as so many more rows of the least squares would.

    Attributes:
        information: (d, d) of the parameters.
        vector: (d,) information times how far the parameters are from the described.
        delay, delay_deviation: of the commands [s].
        far: by how much more than others this arm differs from what was expected, in squares, at least 1; information
            is so much less, and where nothing else speaks, variances of the prior are so many times as large [1].
    """

    information: Array
    vector: Array
    delay: float
    delay_deviation: float
    far: float = 1.0

    def beside(self, nominal: ArmDynamics, fit: Fit) -> Evidence:
        """The same, less sure if it contradicts ``fit``: by as much as they differ by more than both allow.

        Birge 1932, The calculation of errors by the method of least squares.
        """
        scales = scales_of(nominal)
        values, vectors = np.linalg.eigh(scales[:, None] * self.information * scales)
        said = values > _SAID
        values, U = values[said], vectors[:, said]
        found = (parameters_of(fit.arm) - parameters_of(nominal)) / scales
        off = U.T @ (scales * self.vector) / values - U.T @ found
        S = np.diag(1.0 / values) + U.T @ (fit.covariance / np.outer(scales, scales)) @ U
        ratio = max(1.0, float(off @ np.linalg.solve(S, off)) / max(len(off), 1))
        return replace(self, information=self.information / ratio, vector=self.vector / ratio)


@dataclass(frozen=True, eq=False)
class Expected:
    """The likeliest arm before anything is seen, how heavy that is as a whole [1], and what of it is payload [kg]."""

    arm: ArmDynamics
    mass_factor: float
    payload: float


@dataclass(frozen=True, eq=False)
class Fit:
    """The estimate; d is 13 dof: inertial parameters body by body, then armature, viscous and Coulomb friction.

    Attributes:
        arm: the mean, made physical.
        covariance: (d, d) of the parameters.
        mass_factor, payload: mean and standard deviation of 1 + s, and of m_p [kg].
        residual: (dof,) standard deviation of what is left of the torques [Nm or N].
        explained: (dof,) share of the torques' mean square that the estimate explains [1].
        spread: (d,) standard deviations of the parameters divided by those before anything was seen.
        told: combinations of inertial parameters that the torques tell, to within what bodies usually have.
        alone: (dof,) share of each body's mass that lies in these combinations: 1 if it is told by itself [1].
        projected: largest change, of the noise, that making the arm physical made to the torques [1].
    """

    arm: ArmDynamics
    covariance: Array
    mass_factor: tuple[float, float]
    payload: tuple[float, float]
    residual: Array
    explained: Array
    spread: Array
    told: int
    alone: Array
    projected: float


def fit_torques(
    nominal: ArmDynamics,
    signals: Signals | None,
    cutoff: float,
    prior: PriorSettings,
    evidence: Evidence | None = None,
    around: Expected | None = None,
) -> Fit:
    """The arm that explains the torques of a recording.

    Args:
        nominal: the arm as described.
        signals: smooth; see `edmp.dynamics.signals`. None if no torques were recorded, or they are not to count.
        cutoff: of torques and columns [Hz].
        prior: see `PriorSettings`.
        evidence: that counts beside torques.
        around: the arm that is the likeliest before anything is seen, if that is not the described one.
    """
    robot, dof = nominal.robot, nominal.dof
    A, tau = (np.zeros((0, dof, 13 * dof)), np.zeros((0, dof))) if signals is None else _rows(robot, signals, cutoff)
    around = around or Expected(nominal, 1.0, 0.0)
    mean = parameters_of(around.arm)
    if evidence is not None:
        further = evidence.information @ (mean - parameters_of(nominal))
        evidence = replace(evidence, vector=evidence.vector - further)
    middle = prior.bodies[len(prior.bodies) // 2]
    scales = prior.bodies if len(A) or evidence is not None else (middle,)
    tried = [_settled(A, tau, nominal, prior, scale, evidence, mean) for scale in scales]
    best, T, deviations, sigma = max(tried, key=lambda one: one[0].evidence)
    before = (T * deviations**2) @ T.T
    estimate = mean + T @ best.mean
    covariance = T @ best.covariance @ T.T
    arm = arm_of(nominal, estimate)
    left = tau - A @ parameters_of(arm)
    moved = A @ (parameters_of(arm) - estimate) / sigma
    usual = middle * _scales(nominal)
    informing = [A[:, j, : 10 * dof] / sigma[j] for j in range(dof)]
    if evidence is not None:
        values, vectors = np.linalg.eigh(evidence.information[: 10 * dof, : 10 * dof])
        informing.append(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T)
    weighted = np.concatenate(informing) * usual
    _, singular, rows = np.linalg.svd(weighted, full_matrices=False)
    directions = rows[singular > 1.0]
    return Fit(
        arm,
        covariance,
        (around.mass_factor + float(best.mean[0]), float(np.sqrt(best.covariance[0, 0]))),
        (around.payload + float(best.mean[1]), float(np.sqrt(best.covariance[1, 1]))),
        np.sqrt(np.sum(left**2, axis=0) / max(len(left), 1)),
        1.0 - np.sum(left**2, axis=0) / np.maximum(np.sum(tau**2, axis=0), 1e-12),
        np.sqrt(np.diag(covariance) / np.maximum(np.diag(before), 1e-300)),
        len(directions),
        np.sum(directions[:, 0 : 10 * dof : 10] ** 2, axis=0),
        float(np.abs(moved).max(initial=0.0)),
    )


def left_over(arm: ArmDynamics, signals: Signals, cutoff: float) -> Array:
    """(dof,) standard deviation of what this arm leaves of the torques [Nm or N]."""
    A, tau = _rows(arm.robot, signals, cutoff)
    return np.asarray(np.sqrt(np.mean((tau - A @ parameters_of(arm)) ** 2, axis=0)))


def parameters_of(arm: ArmDynamics) -> Array:
    """(13 dof,): inertial parameters body by body, armature, viscous and Coulomb friction."""
    return np.concatenate([arm.inertial_parameters().ravel(), arm.armature, arm.viscous, arm.coulomb])


def arm_of(like: ArmDynamics, parameters: Array) -> ArmDynamics:
    """The arm with these parameters (13 dof,), or the one nearest to them that can exist.

    A body can exist if its pseudo-inertia [[S, m c], [m c^T, m]], S = tr(I) / 2 - I, is positive definite (Wensing, Kim
    and Slotine 2018): eigenvalues are cut off from below. Friction and motors are not below zero.
    """
    dof = like.dof
    inertial = np.array([_physical(body) for body in parameters[: 10 * dof].reshape(dof, 10)])
    armature, viscous, coulomb = np.maximum(parameters[10 * dof :].reshape(3, dof), 0.0)
    return like.with_parameters(inertial, armature=armature, viscous=viscous, coulomb=coulomb)


@dataclass(frozen=True, eq=False)
class _Posterior:
    mean: Array
    covariance: Array
    evidence: float

    @classmethod
    def none(cls) -> _Posterior:
        return cls(np.zeros(0), np.eye(0), -np.inf)


def _settled(
    A: Array, tau: Array, nominal: ArmDynamics, prior: PriorSettings, scale: float, beside: Evidence | None, mean: Array
) -> tuple[_Posterior, Array, Array, Array]:
    """Posterior, T and deviations of its prior, and the noise of each joint (dof,), found in turn with the estimate."""
    effort = effort_scale(nominal.robot)
    T, deviations = _prior(nominal, prior, scale)
    sigma, posterior = 0.02 * effort, _Posterior.none()
    for _ in range(_ROUNDS if len(A) else 1):
        posterior = _posterior(A, tau - A @ mean, sigma, T, deviations, mean, beside)
        if not len(A):
            return posterior, T, deviations, sigma
        used, left = sigma, tau - A @ (mean + T @ posterior.mean)
        sigma = np.maximum(np.sqrt(np.mean(left**2, axis=0)), prior.noise * effort)
    evidence = posterior.evidence - len(A) * float(np.log(used).sum())
    return _Posterior(posterior.mean, posterior.covariance, evidence), T, deviations, sigma


def _rows(robot: Robot, signals: Signals, cutoff: float) -> tuple[Array, Array]:
    """(n, dof, 13 dof) columns and (n, dof) torques, filtered alike and thinned out."""
    n, dof = signals.torques.shape
    A = np.zeros((n, dof, 13 * dof))
    A[:, :, : 10 * dof] = inertial_regressor(robot, signals.positions, signals.velocities, signals.accelerations)
    own = np.arange(dof)
    for k, columns in enumerate((signals.accelerations, *friction_columns(signals.velocities))):
        A[:, own, (10 + k) * dof + own] = columns
    rate = 1.0 / (signals.times[1] - signals.times[0])
    used = np.abs(A).max(axis=0) > 0.0  # most columns of most joints are nothing: not filtered
    thin = np.zeros((len(thinned(signals.torques, cutoff, rate)), dof, 13 * dof))
    thin[:, used] = thinned(A[:, used], cutoff, rate)
    return thin, thinned(signals.torques, cutoff, rate)


def _prior(nominal: ArmDynamics, prior: PriorSettings, scale: float) -> tuple[Array, Array]:
    """T (d, 2 + d) from s, m_p and the deviations to the parameters, and the standard deviations of all these."""
    dof, d = nominal.dof, 13 * nominal.dof
    T = np.zeros((d, 2 + d))
    T[: 10 * dof, 0] = nominal.inertial_parameters().ravel()
    unit = nominal.with_payload(1.0).inertial_parameters() - nominal.inertial_parameters()
    T[: 10 * dof, 1] = unit.ravel()
    T[:, 2:] = np.eye(d)
    friction = prior.friction * effort_scale(nominal.robot)
    deviations = np.concatenate(
        [
            [prior.mass_factor, prior.payload],
            scale * _scales(nominal),
            prior.armature * nominal.armature + 1e-6,
            friction,
            friction,
        ]
    )
    return T, deviations


def scales_of(nominal: ArmDynamics) -> Array:
    """(13 dof,) how large the parameters of such arms are; of friction, the effort limit."""
    effort = effort_scale(nominal.robot)
    return np.concatenate([_scales(nominal), nominal.armature + 1e-6, effort, effort])


def _scales(nominal: ArmDynamics) -> Array:
    """(10 dof,) how large parameters of such bodies are: mass, mass times `_LENGTH`, and the trace of the inertia."""
    of_body = nominal.inertial_parameters()
    trace = of_body[:, [4, 7, 9]].sum(axis=1)
    inertia = np.repeat(trace[:, None], 6, axis=1)
    moment = np.repeat(of_body[:, :1] * _LENGTH, 3, axis=1)
    return np.concatenate([of_body[:, :1], moment, inertia], axis=1).ravel()


def _posterior(
    A: Array, left: Array, sigma: Array, T: Array, deviations: Array, mean: Array, beside: Evidence | None
) -> _Posterior:
    """Of x ~ N(0, deviations^2) given left = A T x + noise, and evidence of T x beside these rows.

    Friction and armature (the last of ``mean``) stay >= 0.
    """
    n, dof, d = A.shape
    rows = (A / sigma[None, :, None]).reshape(n * dof, d) @ (T * deviations)
    wanted = (left / sigma).ravel()
    H = rows.T @ rows + np.eye(rows.shape[1])
    g = rows.T @ wanted
    if beside is not None:
        scaled = T * deviations
        H += scaled.T @ beside.information @ scaled
        g += scaled.T @ beside.vector
    L = np.linalg.cholesky(H)
    free = np.linalg.solve(H, g)
    lower = np.full(len(g), -np.inf)
    inertial = 10 * dof
    lower[2 + inertial :] = -mean[inertial:] / deviations[2 + inertial :]
    x = free
    if (free < lower).any():  # min |L^T x - L^-1 g|^2 is the same problem, small
        x = lsq_linear(L.T, np.linalg.solve(L, g), bounds=(lower, np.inf)).x
    evidence = -0.5 * (wanted @ wanted - g @ free) - np.log(np.diag(L)).sum()
    covariance = deviations[:, None] * np.linalg.inv(H) * deviations
    return _Posterior(deviations * x, covariance, float(evidence))


def _physical(body: Array) -> Array:
    """The ten parameters of the nearest body that can exist."""
    m, h, (xx, xy, xz, yy, yz, zz) = body[0], body[1:4] / _LENGTH, body[4:] / _LENGTH**2
    inertia = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    P = np.empty((4, 4))
    P[:3, :3] = 0.5 * np.trace(inertia) * np.eye(3) - inertia
    P[:3, 3] = P[3, :3] = h
    P[3, 3] = m
    values, vectors = np.linalg.eigh(P)
    least = _LEAST * max(float(np.trace(P)), 1e-3)
    if values[0] >= least:
        return body
    P = (vectors * np.maximum(values, least)) @ vectors.T
    inertia = (np.trace(P[:3, :3]) * np.eye(3) - P[:3, :3]) * _LENGTH**2
    return np.concatenate([[P[3, 3]], P[:3, 3] * _LENGTH, inertia[np.triu_indices(3)]])
