"""Linear arms with coupled masses, friction and a spring, each different: quick windows for training."""

from pathlib import Path

import numpy as np
import torch

from edmp.learning.tensors import write_tensors


def windows(num: int, *, dof: int, steps: int, dt: float, seed: int, substeps: int = 5) -> dict[str, np.ndarray]:
    """Drive, positions and velocities (n, T, dof) of ``num`` arms driven by chirps; rows hold the mean drive."""
    rng = np.random.default_rng(seed)
    mass = rng.uniform(0.3, 3.0, (num, dof))
    mix = np.eye(dof) + 0.2 * rng.standard_normal((num, dof, dof))
    inverse = np.linalg.inv(mix * mass[:, None] @ mix.transpose(0, 2, 1) + 0.3 * np.eye(dof))
    viscous, coulomb, spring = (rng.uniform(*bounds, (num, dof)) for bounds in ((0.5, 3.0), (0.0, 0.5), (1.0, 3.0)))
    q0 = q = rng.uniform(-1, 1, (num, dof))
    v = np.zeros_like(q)
    first, rate, phase = (rng.uniform(*bounds, (num, dof)) for bounds in ((0.2, 0.4), (0.0, 0.05), (0, 6.3)))
    drive, positions, velocities = (np.empty((num, steps, dof)) for _ in range(3))
    h = dt / substeps
    for i in range(steps):
        total = np.zeros_like(q)
        for j in range(substeps):
            t = (i * substeps + j) * h
            u = 4.0 * np.sin(phase + 2 * np.pi * (first * t + rate * t * t))
            force = u - viscous * v - coulomb * np.tanh(v / 0.01) - spring * (q - q0)
            v = v + h * np.einsum("nij,nj->ni", inverse, force)
            q = q + h * v
            total += u / substeps
        drive[:, i], positions[:, i], velocities[:, i] = total, q, v
    return {"excitation": drive, "positions": positions, "velocities": velocities}


def write_shards(folder: Path, num: int, *, shards: int = 2, robot: str, dof: int, steps: int, dt: float) -> None:
    """A folder as `edmp dynamics generate` leaves it."""
    for k in range(shards):
        made = windows(num, dof=dof, steps=steps, dt=dt, seed=k)
        tensors = {name: torch.tensor(array, dtype=torch.float32) for name, array in made.items()}
        header = {"version": 1, "robot": robot, "dt": dt, "excitation": "chirp", "band": "D2", "seed": k}
        write_tensors(folder / f"shard-{k:05d}.safetensors", tensors, header)
