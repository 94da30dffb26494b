"""Evidence from commands and positions by the closed loop itself: the arm under which it does what was measured.

Closed-loop output error (as Gautier, Janot and Vandanjon 2013, A new closed-loop output error method for parameter
identification of robot dynamics, with positions where they have torques): parameters, delay and gains are moved by
Gauss-Newton, damped by what was known before, until the simulated loop does what was measured. Mass and gain, which
trade off in a quick look, do not in the loop. It finds what lies near its beginning, so a network says where to begin.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.dynamics.arm import ArmDynamics
from edmp.dynamics.closed_loop import CANDIDATES, reference_at
from edmp.dynamics.delay import correlated
from edmp.dynamics.least_squares import Evidence, arm_of, parameters_of
from edmp.dynamics.signals import columns_at
from edmp.dynamics.simulate import CONTROLS, Controller, track
from edmp.recordings.log import Log

Array = NDArray[np.float64]

_DT, _EVERY = 1e-3, 20
"""Of the simulation [s], and its steps from one row that is compared to the next."""
_LONGEST = 4.0
"""So much of a recording is simulated [s]."""
_ROUNDS, _LOOK = 15, 3
"""Of Gauss-Newton; after so many, one kind of controller is left."""
_HOPELESS = 5.0
"""A kind of controller that begins so many times as far off as the other is left at once [1]."""
_SETTLED = 5e-3
"""Share of the cost by which it has to fall for another round [1]."""
_LEAST = 3e-5
"""Positions are not believed to be nearer to the simulated ones than that [rad or m]."""
_SHARES = np.array([1.0, 0.5, 0.25, 0.1, 0.03])
"""Of a step, of which the best is taken [1]."""
_MOVED = 0.02
"""By which derivatives are taken [standard deviations]."""
_GAINS = {"inverse-dynamics": (("bandwidth", 28.0),), "impedance": (("stiffness", 6.0), ("damping", 0.85))}
"""What is found of each controller, and where it is expected."""
_GAIN_SPREAD = 0.5
"""Of the logarithm of a gain, before anything is seen [1]."""


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Directions z of an arm's parameters, and the delay, as they are expected: mean 0 and variance 1 each.

    Attributes:
        mean: (d,) of the parameters.
        directions: (d, r); parameters = mean + directions z.
        projection: (r, d); z = projection (parameters - mean).
        delay: mean and standard deviation [s].
    """

    mean: Array
    directions: Array
    projection: Array
    delay: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Found:
    """Where Gauss-Newton ended: evidence of the parameters, and the controller with its delay."""

    evidence: Evidence
    controller: Controller


@dataclass(frozen=True, eq=False)
class _State:
    """x (m,) of one kind of controller, what it leaves of the positions (T, dof), its slope (T dof, m), and cost."""

    x: Array
    left: Array
    slope: Array
    cost: float


def closed_loop_evidence(
    nominal: ArmDynamics,
    log: Log,
    coordinates: Coordinates,
    start: ArmDynamics,
    delay: float,
    *,
    lead: float,
    far: float,
) -> Found:
    """What commands and positions say of the parameters.

    Args:
        nominal: what the controller believes.
        log: without gaps, from rest, with commands.
        coordinates: in which the arm is looked for.
        start: the arm where to begin.
        delay: of its commands, likewise [s].
        lead: commands were sent this much before they were to be reached [s].
        far: variances of ``coordinates`` are so many times as large [1].
    """
    loops = [_Loop(nominal, log, coordinates, control, lead, far) for control in CONTROLS]
    z = coordinates.projection @ (parameters_of(start) - coordinates.mean)
    begun = [loop.begun(z, delay) for loop in loops]
    least = min(off for _, off in begun)
    kept = [(loop, x) for loop, (x, off) in zip(loops, begun, strict=True) if off <= _HOPELESS * least]
    states = [loop.settled(loop.at(x), _LOOK) for loop, x in kept]
    best = int(np.argmin([np.log(np.mean(state.left**2, axis=0) + _LEAST**2).sum() for state in states]))
    loop = kept[best][0]
    return loop.found(loop.settled(states[best], _ROUNDS))


class _Loop:
    """The closed loop with one kind of controller, as a function of x: z, the delay and the gains, of variance 1."""

    def __init__(
        self, nominal: ArmDynamics, log: Log, coordinates: Coordinates, control: str, lead: float, far: float
    ) -> None:
        self._nominal, self._log, self._c, self._control = nominal, log, coordinates, control
        self._lead, self._far, self._r = lead, far, len(coordinates.projection)
        end = min(log.duration, _LONGEST)
        self._times = _DT * np.arange(1, round(end / _DT) + 1, dtype=np.float64)
        self._measured = columns_at(self._times, log.times - log.times[0], log.positions)[_EVERY - 1 :: _EVERY]
        m = self._r + 1 + len(_GAINS[control])
        self._variance = np.concatenate([np.full(self._r + 1, far), np.ones(m - self._r - 1)])
        self._sigma = np.ones(log.dof)
        self._alike = 1.0

    def controller(self, x: Array) -> Controller:
        mean, deviation = self._c.delay
        gains = {
            name: usual * float(np.exp(np.clip(_GAIN_SPREAD * value, -2.0, 2.0)))
            for (name, usual), value in zip(_GAINS[self._control], x[self._r + 1 :], strict=True)
        }
        return Controller(self._control, delay=max(mean + deviation * float(x[self._r]), 0.0), **gains)

    def arm(self, x: Array) -> ArmDynamics:
        return arm_of(self._nominal, self._c.mean + self._c.directions @ x[: self._r])

    def left(self, every: Array) -> Array:
        """(k, T, dof) of the measured positions, for (k, m) x."""
        controllers = [self.controller(x) for x in every]
        late = [reference_at(self._log, self._times + self._lead - one.delay) for one in controllers]
        q, v, a = (np.stack([one[k] for one in late]) for k in range(3))
        prompt = [dataclasses.replace(one, delay=0.0) for one in controllers]
        arms = [self.arm(x) for x in every]
        return track(arms, self._nominal, (q, v, a), prompt, _DT, every=_EVERY)[0] - self._measured

    def begun(self, z: Array, delay: float) -> tuple[Array, float]:
        """x with the gains, of the usual, under which the arm does most nearly what was measured, and how far off."""
        mean, deviation = self._c.delay
        x = np.concatenate([z, [(delay - mean) / deviation]])
        tried = []
        for one in CANDIDATES:
            if one.control == self._control:
                gains = [np.log(getattr(one, name) / usual) / _GAIN_SPREAD for name, usual in _GAINS[self._control]]
                tried.append(np.concatenate([x, gains]))
        left = self.left(np.array(tried))
        best = int(np.argmin(np.sum(left**2, axis=(1, 2))))
        self._trust(left[best])
        return tried[best], float(np.sqrt(np.mean(left[best] ** 2)))

    def settled(self, state: _State, rounds: int) -> _State:
        """After rounds of Gauss-Newton, each with the noise that the last one left."""
        for _ in range(rounds):
            H, g = self._normal(state)
            step = np.linalg.solve(H, g - state.x / self._variance)
            tried = state.x + _SHARES[:, None] * step
            left = self.left(tried)
            costs = [self._cost(x, one) for x, one in zip(tried, left, strict=True)]
            best = int(np.argmin(costs))
            if not costs[best] < (1.0 - _SETTLED) * state.cost:
                break
            self._trust(left[best])
            state = self.at(tried[best])
        return state

    def found(self, state: _State) -> Found:
        """Evidence of the parameters: delay and gains are integrated out, with what was known of them."""
        r, c = self._r, self._c
        H, g = self._normal(state)
        A = H - np.diag(1.0 / self._variance)
        h = A @ state.x + g
        both = np.linalg.inv(H)
        shrunk = np.linalg.solve(H[r:, r:], A[:r, r:].T).T
        information, vector = A[:r, :r] - shrunk @ A[r:, :r], h[:r] - shrunk @ h[r:]
        P = c.projection
        controller = self.controller(state.x)
        evidence = Evidence(
            P.T @ information @ P,
            P.T @ (vector + information @ (P @ (c.mean - parameters_of(self._nominal)))),
            controller.delay,
            c.delay[1] * float(np.sqrt(both[r, r])),
            self._far,
        )
        return Found(evidence, controller)

    def _trust(self, left: Array) -> None:
        """Noise of each joint, and how many rows in a row say the same."""
        self._sigma = np.maximum(np.sqrt(np.mean(left**2, axis=0)), _LEAST)
        self._alike = correlated(left)

    def at(self, x: Array) -> _State:
        """With slopes by differences."""
        moved = np.concatenate([x[None], x + _MOVED * np.eye(len(x))])
        left = self.left(moved)
        slope = (left[1:] - left[0]) / _MOVED / self._sigma
        return _State(x, left[0], slope.reshape(len(x), -1).T, self._cost(x, left[0]))

    def _cost(self, x: Array, left: Array) -> float:
        fitted = float(np.sum((left / self._sigma) ** 2)) / self._alike
        return 0.5 * (fitted + float(np.sum(x**2 / self._variance)))

    def _normal(self, state: _State) -> tuple[Array, Array]:
        """Information with what was known before, and the gradient of the fit towards less."""
        H = state.slope.T @ state.slope / self._alike + np.diag(1.0 / self._variance)
        return H, -state.slope.T @ (state.left / self._sigma).ravel() / self._alike
