"""What a network is told of a window, and how it is normalised.

A window is T steps of an arm's motion: drive u (torques), positions q and velocities v. Its first m steps are the
context; the drive is known all the way; the rest of the positions is asked for, as what they deviate from the last
position of the context. All statistics are of the training set: nothing that is computed here reads positions after
the context, and no window is normalised by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from edmp.ranges import Range, check_fields


@dataclass(frozen=True)
class ForecastConfig:
    """Sizes of a forecasting network and of the windows that it is for.

    Attributes:
        num_steps: steps T of a window.
        num_context: steps m of its context.
        dt: time of a step [s].
        drive: what u is: ``"excitation"`` (torque beside gravity compensation and spring) or ``"torques"`` (all).
        width: of a token.
        depth: blocks over the tokens that are asked for.
        context_depth: blocks over the tokens of the context.
        heads: of each attention.
        patch: steps of a token, and of a place of the U-Net.
        widths: channels of the U-Net, level by level.
        kernel: of its convolutions.
        groups: of its GroupNorm.
        cond: width of the condition: noise level and where the arm is.
        drop_context: share of training windows whose context is blanked out but for its last step, so that a network
            can be asked what it would say without.
        sigma_min, sigma_max: noise levels that sampling ends and begins at [1].
        p_mean, p_std: of log sigma in training.
    """

    num_steps: int = 160
    num_context: int = 32
    dt: float = 0.05
    drive: str = "torques"
    width: int = 128
    depth: int = 4
    context_depth: int = 2
    heads: int = 4
    patch: int = 8
    widths: tuple[int, ...] = (64, 128, 128)
    kernel: int = 5
    groups: int = 8
    cond: int = 128
    drop_context: float = 0.1
    sigma_min: float = 0.02
    sigma_max: float = 40.0
    p_mean: float = 0.3
    p_std: float = 1.5

    def __post_init__(self) -> None:
        size, positive = Range(1, 1 << 12, whole=True), Range(0, 1e6, above=True)
        sizes = ("num_steps", "num_context", "width", "depth", "context_depth", "heads", "patch", "kernel", "groups")
        check_fields(self, {**dict.fromkeys((*sizes, "cond"), size), "drop_context": Range(0, 1)})
        check_fields(self, dict.fromkeys(("dt", "sigma_min", "sigma_max", "p_std"), positive))
        check_fields(self, {"p_mean": Range(-100, 100), "widths": Range(1, 1 << 12, whole=True, several=True)})
        if self.drive not in DRIVES:
            raise ValueError(f"drive must be one of {', '.join(DRIVES)}, got {self.drive!r}")
        if not self.num_context < self.num_steps:
            raise ValueError(f"a context of {self.num_context} steps leaves nothing of {self.num_steps}")
        for what, number in (("num_context", self.num_context), ("num_steps", self.num_steps)):
            if number % self.patch:
                raise ValueError(f"{what} {number} is no multiple of patch {self.patch}")

    @property
    def num_asked(self) -> int:
        """Steps that are asked for."""
        return self.num_steps - self.num_context


DRIVES = ("excitation", "torques")


class Condition(NamedTuple):
    """What a network is told, normalised.

    Attributes:
        last: (n, 2 dof) position and velocity at the last step of the context.
        past: (n, m, 3 dof + 1) drive, position relative to the last, velocity; and 1, or all zero if blanked out.
        drive: (n, T - m, 3 dof) drive after the context, and its first and second integral since then: what it would
            add to velocity and position of a unit mass.
    """

    last: Tensor
    past: Tensor
    drive: Tensor

    def repeated(self, times: int) -> Condition:
        """Each row ``times`` times in a row."""
        return Condition(*(part.repeat_interleave(times, dim=0) for part in self))


@dataclass(frozen=True)
class Ablation:
    """Contexts that are not the windows' own, for ablations: blanked out, or those of other arms.

    Attributes:
        kind: ``"none"`` blanks it out; ``"other"`` gives each window that of the next one.
    """

    kind: Literal["none", "other"]

    def __call__(self, condition: Condition) -> Condition:
        past = condition.past
        return condition._replace(past=torch.zeros_like(past) if self.kind == "none" else past.roll(1, dims=0))


class Normaliser(nn.Module):
    """Means and standard deviations of the training set, joint by joint; those of what is asked for step by step."""

    mean: Tensor
    std: Tensor
    past_std: Tensor
    drive_std: Tensor
    asked_mean: Tensor
    asked_std: Tensor

    def __init__(self, config: ForecastConfig, dof: int) -> None:
        super().__init__()
        self.config, self.dof = config, dof
        self.register_buffer("mean", torch.zeros(3 * dof))
        self.register_buffer("std", torch.ones(3 * dof))
        self.register_buffer("past_std", torch.ones(dof))
        self.register_buffer("drive_std", torch.ones(2 * dof))
        self.register_buffer("asked_mean", torch.zeros(config.num_asked, dof))
        self.register_buffer("asked_std", torch.ones(config.num_asked, dof))

    def fit(self, windows: Tensor) -> None:
        """Take the statistics of training windows (n, T, 3 dof): drive [Nm], position [rad], velocity [rad/s]."""
        flat, m, dof = windows.flatten(0, 1).double(), self.config.num_context, self.dof
        self.mean.copy_(flat.mean(dim=0))
        self.std.copy_(flat.std(dim=0, unbiased=False).clamp_min(1e-6))
        self.drive_std.copy_(self._integrals(windows[:, m:, :dof]).double().square().mean(dim=(0, 1)).sqrt())
        q = windows[..., dof : 2 * dof].double()
        relative = q - q[:, m - 1 : m]
        self.past_std.copy_(relative[:, :m].square().mean(dim=(0, 1)).sqrt().clamp_min(1e-6))
        self.asked_mean.copy_(relative[:, m:].mean(dim=0))
        std = relative[:, m:].std(dim=0, unbiased=False)
        # The first steps after the context deviate least: a floor keeps them from weighing as much as all the others.
        self.asked_std.copy_(torch.maximum(std, 0.03 * std.amax(dim=0)).clamp_min(1e-6))

    def condition(self, drive: Tensor, context: Tensor) -> Condition:
        """What a network is told of ``drive`` (n, T, dof) and ``context`` (n, m, 2 dof): position and velocity."""
        m, dof = self.config.num_context, self.dof
        known = (torch.cat([drive[:, :m], context], dim=-1) - self.mean) / self.std
        relative = (context[..., :dof] - context[:, -1:, :dof]) / self.past_std
        past = torch.cat([known[..., :dof], relative, known[..., 2 * dof :], torch.ones_like(known[..., :1])], dim=-1)
        now = (drive[:, m:] - self.mean[:dof]) / self.std[:dof]
        ahead = torch.cat([now, self._integrals(drive[:, m:]) / self.drive_std.clamp_min(1e-6)], dim=-1)
        return Condition(known[:, -1, dof:], past, ahead)

    def _integrals(self, drive: Tensor) -> Tensor:
        """(n, T - m, 2 dof) first and second integral of ``drive`` (n, T - m, dof) less its mean in training."""
        once = (drive - self.mean[: self.dof]).cumsum(dim=1) * self.config.dt
        return torch.cat([once, once.cumsum(dim=1) * self.config.dt], dim=-1)

    def asked(self, positions: Tensor, last: Tensor) -> Tensor:
        """(n, T - m, dof) what is asked for, of ``positions`` (n, T - m, dof) and the ``last`` (n, dof) known [rad]."""
        return (positions - last[:, None] - self.asked_mean) / self.asked_std

    def positions(self, asked: Tensor, last: Tensor) -> Tensor:
        """The inverse of `asked` [rad]."""
        return last[:, None] + self.asked_mean + self.asked_std * asked
