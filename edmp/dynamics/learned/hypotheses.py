"""What a stretch of an arm's motion says of its parameters, in numbers of which there are always as many.

Torques are linear in what an arm differs from its description by, so each stretch has a closed answer, if they were
recorded. Where they were not, commands and positions tell them if the controller is known: tau = M_0 (...) + C_0 v -
tau_g0 with the laws of `edmp.execution.drivers.drake_sim`. It is not, so all of a grid of controllers and delays are
tried; for each, the answer is a sum of few that are computed once, and how well it explains the motion is a quadratic
form. A network (`edmp.dynamics.learned.recogniser`) makes of these numbers what it has seen them to be worth.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline

from edmp.dynamics.arm import ArmDynamics, effort_scale
from edmp.dynamics.regressor import friction_columns, inertial_regressor
from edmp.dynamics.simulate import inverse_dynamics

Array = NDArray[np.float64]

DELAYS = 5e-3 * np.arange(13)
"""Of the commands [s]."""
_BANDWIDTHS = 12.0 * 5.0 ** np.linspace(0.0, 1.0, 12)
_STIFFNESSES = 2.0 * 7.0 ** np.linspace(0.0, 1.0, 8)
_DAMPINGS = (0.6, 0.9, 1.2)
_NOISE = 0.01
"""Of torques, as a share of the effort limit [1]."""
_TEMPER = 0.1
"""Rows that say the same as one: how much less sure of the controller one is than if all rows were independent."""
_INDEPENDENT = 0.2
"""Share of the rows that noise is independent in [1]."""
_BETWEEN = 5
"""Delays from one of `DELAYS` to the next."""
_STEP = 0.02
"""Between rows, about [s]."""
_CHUNK = 50
"""Stretches at a time."""


def _coefficients() -> tuple[Array, NDArray[np.bool_], Array]:
    """(h, 7) of the parts of `_parts`, whether it is impedance control (h,), and the logarithm of its gain (h,)."""
    inverse = [(1.0, 3 * w, 3 * w**2, w**3, 0.0, 0.0, 1.0) for w in _BANDWIDTHS]
    pairs = list(itertools.product(_STIFFNESSES, _DAMPINGS))
    impedance = [(1.0, 0.0, 0.0, 0.0, k, 2.0 * z * np.sqrt(k), 1.0) for k, z in pairs]
    gains = np.log(np.concatenate([_BANDWIDTHS, [k for k, _ in pairs]]))
    return np.array(inverse + impedance), np.arange(len(gains)) >= len(inverse), gains


@dataclass(frozen=True, eq=False)
class Stretch:
    """Motions of n arms at T even times, in the middle between two rows of what was recorded.

    Attributes:
        q, v, a: (n, T, dof) [rad or m].
        torques: (n, T, dof) that the motors exerted, or None.
        commanded: for each of `DELAYS` (n, D, T, dof): acceleration that is commanded, and position error, its rate
            and its integral from the first row of the recording on; or None.
    """

    q: Array
    v: Array
    a: Array
    torques: Array | None
    commanded: tuple[Array, Array, Array, Array] | None

    def part(self, arms: slice, rows: slice) -> Stretch:
        """Some arms, some rows."""
        commanded = self.commanded
        if commanded is not None:
            commanded = tuple(x[arms, :, rows] for x in commanded)  # type: ignore[assignment]
        torques = None if self.torques is None else self.torques[arms, rows]
        return Stretch(self.q[arms, rows], self.v[arms, rows], self.a[arms, rows], torques, commanded)


def stretch_of(
    dt: float,
    positions: Array,
    velocities: Array,
    torques: Array | None,
    commanded: tuple[Array, Array] | None,
    *,
    lead: float = 0.0,
) -> Stretch:
    """From even rows (n, T + 1, dof), each torque the mean since the row before; from rest, with nothing summed up.

    Args:
        dt: between rows [s].
        positions, velocities: measured.
        torques: of the motors.
        commanded: positions and velocities.
        lead: commands were sent this much before they were to be reached [s].
    """
    before, after = slice(0, -1), slice(1, None)
    q = 0.5 * (positions[:, before] + positions[:, after]) + dt / 8 * (velocities[:, before] - velocities[:, after])
    v = 0.5 * (velocities[:, before] + velocities[:, after])
    a = (velocities[:, after] - velocities[:, before]) / dt
    tau = None if torques is None else torques[:, after]
    if commanded is None:
        return Stretch(q, v, a, tau, None)
    times = dt * np.arange(positions.shape[1], dtype=np.float64)
    middle = times[:-1] + 0.5 * dt
    position = CubicHermiteSpline(times, *commanded, axis=1)
    velocity = position.derivative()
    parts: list[list[Array]] = [[], [], [], []]
    for delay in DELAYS:
        at = np.clip(middle + lead - delay, times[0], times[-1])
        ends = np.clip(times + lead - delay, times[0], times[-1])
        rates = velocity(ends)
        e = position(at) - q
        integral = dt * (np.cumsum(e, axis=1) - 0.5 * e)
        for part, values in zip(parts, ((np.diff(rates, axis=1)) / dt, e, velocity(at) - v, integral), strict=True):
            part.append(values)
    stacked = [np.stack(part, axis=1) for part in parts]
    return Stretch(q, v, a, tau, (stacked[0], stacked[1], stacked[2], stacked[3]))


@dataclass(frozen=True, eq=False)
class Basis:
    """Directions of parameters that motions tell of: parameters = described + mean + directions z, z of unit variance.

    Attributes:
        mean: (d,) [in the units of the parameters].
        directions: (d, r).
    """

    mean: Array
    directions: Array


def summaries(nominal: ArmDynamics, basis: Basis, stretch: Stretch) -> dict[str, Array]:
    """Tables (n, ...) of numbers: ``motion``, and ``torques`` and ``commands`` as far as these were recorded."""
    found: dict[str, list[Array]] = {}
    for begin in range(0, len(stretch.q), _CHUNK):
        part = stretch.part(slice(begin, begin + _CHUNK), slice(None))
        for name, values in _summaries(nominal, basis, part).items():
            found.setdefault(name, []).append(values)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def table_widths(directions: int) -> dict[str, int]:
    """Columns of the tables of `summaries`."""
    return {"motion": directions + 1, "torques": directions + 1, "commands": 4 * directions + 12}


def columns_of(nominal: ArmDynamics, q: Array, v: Array, a: Array) -> Array:
    """(m, dof, 13 dof) what torques are linear in, for rows (m, dof)."""
    m, dof = q.shape
    A = np.zeros((m, dof, 13 * dof))
    A[:, :, : 10 * dof] = inertial_regressor(nominal.robot, q, v, a)
    own = np.arange(dof)
    for k, columns in enumerate((a, *friction_columns(v))):
        A[:, own, (10 + k) * dof + own] = columns
    return A


def _summaries(nominal: ArmDynamics, basis: Basis, s: Stretch) -> dict[str, Array]:
    n, T, dof = s.q.shape
    r = basis.directions.shape[1]
    flat = [x.reshape(n * T, dof) for x in (s.q, s.v, s.a)]
    scale = _NOISE * effort_scale(nominal.robot)
    A = columns_of(nominal, *flat) / scale[:, None]
    rows = (A.reshape(n * T * dof, -1) @ np.column_stack([basis.directions, basis.mean])).reshape(n, T, dof, r + 1)
    smooth = _smooth(rows, 1).reshape(n, -1, r + 1)
    J, usual = smooth[..., :r], smooth[..., r]
    H = np.eye(r) + J.transpose(0, 2, 1) @ J
    covariance = np.asarray(np.linalg.inv(H), dtype=np.float64)
    spread = np.log(np.diagonal(covariance, axis1=1, axis2=2))
    tables = {"motion": np.column_stack([spread, np.full(n, np.log(T))])}
    if s.torques is not None:
        known = inverse_dynamics(nominal, *flat).reshape(n, T, dof)
        left = _smooth((s.torques - known) / scale, 1).reshape(n, -1) - usual
        z = (covariance @ (J.transpose(0, 2, 1) @ left[..., None]))[..., 0]
        energy = np.mean((left - (J @ z[..., None])[..., 0]) ** 2, axis=1)
        tables["torques"] = np.column_stack([z, np.log(energy + 1e-6)])
    if s.commanded is not None:
        tables["commands"] = _of_commands(*_parts(nominal, s, scale, usual), J, covariance)
    return tables


def _smooth(values: Array, axis: int) -> Array:
    """Rows without what changes within two of them: there, what is between rows is guessed."""
    values = np.moveaxis(values, axis, 0)
    n = len(values) - 4
    smooth = sum(w * values[k : k + n] for k, w in enumerate(np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0))
    return np.moveaxis(smooth, 0, axis)


def _parts(nominal: ArmDynamics, s: Stretch, scale: Array, usual: Array) -> tuple[Array, Array, int]:
    """(n, D, 7, m) of which torques beyond the described arm's are sums, by `_coefficients`.

    Then, by hypothesis (n, h), the mean logarithm of what a torque changes by with the position of its row, beside that
    of no controller: a density of positions, not of torques, says how likely a motion is. And the rows of that.
    """
    n, T, dof = s.q.shape
    M = _mass_matrices(nominal, s.q.reshape(n * T, dof)).reshape(n, 1, T, dof, dof)
    effort = effort_scale(nominal.robot)
    root = np.sqrt(effort)
    values, vectors = np.linalg.eigh(M / np.outer(root, root))
    geometric = (vectors * np.sqrt(values)[..., None, :]) @ vectors.swapaxes(-1, -2) * np.outer(root, root)
    assert s.commanded is not None
    wanted, e, rate, integral = s.commanded
    parts = [(M @ x[..., None])[..., 0] for x in (wanted - s.a[:, None], rate, e, integral)]
    parts += [effort * e, (geometric @ rate[..., None])[..., 0]]
    stacked = _smooth(np.stack(parts, axis=2) / scale, 3)
    stacked = stacked.reshape(n, len(DELAYS), 6, -1)
    own = np.broadcast_to(-usual[:, None, None], (n, len(DELAYS), 1, usual.shape[1]))
    stiff = [_STEP**2 * w**2 * 0.75 + 1.5 * _STEP * w for w in _BANDWIDTHS]
    volume = [np.full(n, np.log1p(x)) for x in stiff]
    of_modes = 1.0 / values[:, 0]
    for k, z in itertools.product(_STIFFNESSES, _DAMPINGS):
        stiffer = 0.25 * _STEP**2 * k * of_modes + _STEP * z * np.sqrt(k * of_modes)
        volume.append(np.log1p(stiffer).mean(axis=(1, 2)))
    return np.concatenate([stacked, own], axis=2), np.column_stack(volume), T * dof


def _of_commands(parts: Array, volume: Array, rows: int, J: Array, covariance: Array) -> Array:
    """What the likeliest controllers say, and the mean of all of them; delays between two are mixtures of these."""
    n, m = parts.shape[0], parts.shape[3]
    pairs = np.concatenate([parts[:, :-1], parts[:, 1:]], axis=2)  # (n, D - 1, 2 7, m)
    projected = np.einsum("ndkm,nmr->ndkr", pairs, J, optimize=True)
    solved = projected @ covariance[:, None]
    Q = pairs @ pairs.swapaxes(-1, -2) - solved @ projected.swapaxes(-1, -2)
    one, impedance, gains = _coefficients()
    share = np.arange(_BETWEEN) / _BETWEEN
    mixed = np.stack([np.concatenate([(1.0 - t) * one, t * one], axis=1) for t in share])  # (b, h, 2 K)
    energy = np.einsum("bhk,ndkl,bhl->ndbh", mixed, Q, mixed, optimize=True)
    loss = 0.5 * energy - _INDEPENDENT * rows * volume[:, None, None]
    late = (DELAYS[:-1, None] + share * (DELAYS[1] - DELAYS[0]))[..., None]
    late, gain, soft = np.broadcast_arrays(late, gains, impedance)
    weight = np.exp(-_TEMPER * (loss - loss.min(axis=(1, 2, 3), keepdims=True)))
    weight /= weight.sum(axis=(1, 2, 3), keepdims=True)
    first = np.einsum("ndbh,bhk->ndk", weight, mixed, optimize=True)
    second = np.einsum("ndbh,bhk,bhl->ndkl", weight, mixed, mixed, optimize=True)
    mean = np.einsum("ndk,ndkr->nr", first, solved)
    variance = np.einsum("ndkl,ndkr,ndlr->nr", second, solved, solved, optimize=True) - mean**2
    found = [mean, np.log(np.maximum(variance, 0.0) + 1e-4), np.einsum("ndbh,dbh->n", weight, soft)[:, None]]
    for values in (late / DELAYS[-1], gain):
        expected = np.einsum("ndbh,dbh->n", weight, values)
        squares = np.einsum("ndbh,dbh->n", weight, values**2)
        found += [expected[:, None], np.sqrt(np.maximum(squares - expected**2, 0.0))[:, None]]
    every, shape = np.arange(n), loss.shape[1:]
    for kind in (~soft, soft):
        best = np.where(kind, loss, np.inf).reshape(n, -1).argmin(axis=1)
        d, b, h = np.unravel_index(best, shape)
        z = np.einsum("nk,nkr->nr", mixed[b, h], solved[every, d])
        least = np.log(energy[every, d, b, h] / m + 1e-6)
        found += [z, np.column_stack([least, late[d, b, h] / DELAYS[-1], gain[d, b, h]])]
    likeliest = [np.where(kind, loss, np.inf).min(axis=(1, 2, 3)) / rows for kind in (~soft, soft)]
    return np.concatenate([*found, (likeliest[0] - likeliest[1])[:, None]], axis=1)


def _mass_matrices(nominal: ArmDynamics, q: Array) -> Array:
    """(m, dof, dof): columns are torques of unit accelerations at rest, without what holds the arm up."""
    still = np.zeros_like(q)
    held = inverse_dynamics(nominal, q, still, still)
    columns = []
    for j in range(nominal.dof):
        one = still.copy()
        one[:, j] = 1.0
        columns.append(inverse_dynamics(nominal, q, still, one) - held)
    M = np.stack(columns, axis=2)
    return 0.5 * (M + M.swapaxes(1, 2))
