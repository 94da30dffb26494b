"""A Gaussian-process prior on the spline: smooth random motions, for any robot, with an exact denoiser.

Interior control points of each joint deviate from the straight line by x = a * s_j * L w, with w standard normal,
L L^T = C the inverse of a smoothness metric (`Spline.smoothing`), s_j the range of joint j and the amplitude a drawn
from a few: a scale mixture of Gaussians, most motions mild and some wide. Its posterior mean has a closed form.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from edmp.arguments import checked
from edmp.errors import InvalidInputError
from edmp.prior.base import Context, Denoiser, Prior
from edmp.prior.spline import Spline
from edmp.robots.robot import Robot


@checked
@dataclass(frozen=True)
class ProcessSettings:
    """Settings of `ProcessPrior`.

    Attributes:
        amplitudes: standard deviations at the middle of the motion, as fractions of each joint's range; equally likely.
        smoothness: weights of squared velocity, acceleration and jerk in the smoothness metric.
        max_range: joints that turn further than this count as having this range [rad].
        spline: representation.
    """

    amplitudes: tuple[float, ...] = (0.04, 0.12)
    smoothness: tuple[float, float, float] = (0.2, 1.0, 0.0)
    max_range: float = 2 * math.pi
    spline: Spline = field(default_factory=Spline)


@dataclass(frozen=True)
class ProcessPrior(Prior):
    """The Gaussian-process prior; build it with `ProcessPrior.for_robot`.

    Attributes:
        modes: (K - 2, K - 2) eigenvectors of C in its columns, C the covariance of one joint's control points.
        variances: (K - 2,) eigenvalues of C.
        amplitudes: (A,) amplitudes relative to the noise scale.
    """

    modes: Tensor
    variances: Tensor
    amplitudes: Tensor

    @classmethod
    @checked
    def for_robot(cls, robot: Robot, settings: ProcessSettings = ProcessSettings()) -> ProcessPrior:
        """The prior of ``robot``; only its name, dof and joint ranges matter."""
        joint_range = np.asarray(robot.limits.upper) - np.asarray(robot.limits.lower)
        return cls.for_ranges(joint_range, robot_name=robot.name, settings=settings)

    @classmethod
    @checked
    def for_ranges(
        cls, joint_range: np.ndarray, *, robot_name: str = "", settings: ProcessSettings = ProcessSettings()
    ) -> ProcessPrior:
        """The prior of an arm whose joints have these ranges (dof,) [rad or m]."""
        if not settings.amplitudes or min(settings.amplitudes) <= 0:
            raise InvalidInputError(f"amplitudes must be positive, got {settings.amplitudes}")
        joint_range = np.clip(np.nan_to_num(joint_range, posinf=settings.max_range), 0.0, settings.max_range)
        covariance = settings.spline.smoothing(settings.smoothness)
        variances, modes = np.linalg.eigh(covariance)
        reference = math.sqrt(np.square(settings.amplitudes).mean() * np.diag(covariance).mean())
        scale = torch.tensor(reference * joint_range, dtype=torch.float32, device="cpu")
        return cls(
            name="process",
            robot_name=robot_name,
            dof=len(joint_range),
            spline=settings.spline,
            noise_scale=scale.repeat(settings.spline.num_interior),
            sigma_min=0.01,
            sigma_max=20.0,
            sigma_data=1.0,
            modes=torch.tensor(modes, dtype=torch.float32, device="cpu"),
            variances=torch.tensor(variances, dtype=torch.float32, device="cpu"),
            amplitudes=torch.tensor(np.array(settings.amplitudes) / reference, dtype=torch.float32, device="cpu"),
        )

    def bind(self, context: Context) -> Denoiser:
        self.check(
            context.start, context.goal
        )  # the deviation from the straight line does not depend on where the line runs
        return self._posterior_mean

    def to(self, device: torch.device | str) -> ProcessPrior:
        moved = {name: getattr(self, name).to(device) for name in ("noise_scale", "modes", "variances", "amplitudes")}
        return dataclasses.replace(self, **moved)

    def sample(self, num: int, start: Tensor, goal: Tensor, *, generator: torch.Generator) -> Tensor:
        """(num, dim) exact samples x [rad or m]; amplitudes take turns, so that each is represented equally."""
        self.check(start, goal)
        eps = torch.randn(num, self.spline.num_interior, self.dof, generator=generator, device=generator.device)
        amplitude = self.amplitudes[torch.arange(num, device=self.device) % len(self.amplitudes)]
        z = self.modes @ (self.variances.sqrt()[:, None] * eps.to(self.device))
        return (amplitude[:, None, None] * z).flatten(1) * self.noise_scale

    def _posterior_mean(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """E[x_0 | x]: for each amplitude the Wiener filter in the eigenbasis, mixed by the posterior of the amplitude.

        With v = a^2 lambda the prior variance of a mode and y its noisy coefficient,
        E[y_0 | y, a] = v / (v + sigma^2) y, and p(a | y) is proportional to prod N(y; 0, v + sigma^2).
        """
        scale = self.noise_scale.to(x)
        modes, variances, amplitudes = self.modes.to(x), self.variances.to(x), self.amplitudes.to(x)
        y = modes.T @ (x / scale).unflatten(-1, (self.spline.num_interior, self.dof))
        noise = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).square().reshape(-1, 1, 1)
        prior = amplitudes.square()[:, None] * variances
        total = prior + noise  # (batch or 1, A, mode)
        energy = y.square().sum(dim=-1).unsqueeze(1)
        log_likelihood = -0.5 * (energy / total + self.dof * total.log()).sum(dim=-1)
        gain = (torch.softmax(log_likelihood, dim=-1).unsqueeze(-1) * (prior / total)).sum(dim=1)
        return (modes @ (gain.unsqueeze(-1) * y)).flatten(1) * scale
