"""The process prior's denoiser against brute force, and its samples against its covariance."""

import dataclasses

import numpy as np
import pytest
import torch

from edmp.errors import InvalidInputError
from edmp.learning.edm import karras_sigmas, sample_dpmpp_2m
from edmp.prior import ProcessPrior, ProcessSettings
from edmp.prior.base import Context


def double(prior):
    names = ("noise_scale", "modes", "variances", "amplitudes")
    return dataclasses.replace(prior, **{name: getattr(prior, name).double() for name in names})


def covariance(prior, amplitude_index):
    """(dim, dim) covariance of x for one amplitude, from the eigen-decomposition, in joint units."""
    joint = prior.modes @ torch.diag(prior.variances) @ prior.modes.T * prior.amplitudes[amplitude_index] ** 2
    full = torch.kron(joint.contiguous(), torch.eye(prior.dof, dtype=joint.dtype))
    return prior.noise_scale[:, None] * full * prior.noise_scale


@pytest.mark.parametrize("amplitudes", [(0.1,), (0.03, 0.2)])
@pytest.mark.parametrize("sigma", [0.05, 1.0, 10.0])
def test_denoiser_is_the_posterior_mean(robot, amplitudes, sigma, generator):
    prior = double(ProcessPrior.for_robot(robot, ProcessSettings(amplitudes=amplitudes)))
    start, goal = torch.zeros(7), torch.ones(7)
    x = prior.sample(6, start, goal, generator=generator).double()
    x = x + sigma * prior.noise_scale * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    noise = torch.diag((sigma * prior.noise_scale) ** 2)
    means, log_likelihoods = [], []
    for k in range(len(amplitudes)):
        c = covariance(prior, k)
        means.append(x @ torch.linalg.solve(c + noise, c))
        normal = torch.distributions.MultivariateNormal(torch.zeros(98, dtype=torch.float64), c + noise)
        log_likelihoods.append(normal.log_prob(x))
    weight = torch.softmax(torch.stack(log_likelihoods), dim=0)
    expected = (weight.unsqueeze(-1) * torch.stack(means)).sum(dim=0)
    torch.testing.assert_close(prior.denoise(x, sigma, Context(start, goal)), expected, rtol=1e-5, atol=1e-6)


def test_denoiser_takes_one_noise_level_per_row(robot, generator):
    prior = ProcessPrior.for_robot(robot)
    start, goal = torch.zeros(7), torch.ones(7)
    x, sigma = prior.noise(3, generator=generator), torch.tensor([0.1, 1.0, 5.0])
    rows = [prior.denoise(x[i : i + 1], float(sigma[i]), Context(start, goal)) for i in range(3)]
    torch.testing.assert_close(prior.denoise(x, sigma, Context(start, goal)), torch.cat(rows))


def test_a_sampler_with_its_denoiser_recovers_the_process(robot, generator):
    prior = ProcessPrior.for_robot(robot, ProcessSettings(amplitudes=(0.1,)))
    start, goal = torch.zeros(7), torch.ones(7)
    sigmas = karras_sigmas(40, sigma_min=1e-3, sigma_max=80.0)
    x = sample_dpmpp_2m(prior.bind(Context(start, goal)), prior.noise(8000, sigma=80.0, generator=generator), sigmas)
    direct = prior.sample(8000, start, goal, generator=generator)
    expected = covariance(prior, 0)
    scale = expected.diagonal().max()
    for samples in (x, direct):
        torch.testing.assert_close(samples.T.cov() / scale, expected / scale, rtol=0, atol=0.06)


def test_amplitude_is_a_fraction_of_each_joints_range(robot, generator):
    prior = ProcessPrior.for_robot(robot, ProcessSettings(amplitudes=(0.1,)))
    start, goal = torch.zeros(7), torch.zeros(7)
    x = prior.sample(5000, start, goal, generator=generator)
    std = prior.spline.waypoints(prior.spline.control_points(x, start, goal)).std(dim=0)
    expected = 0.1 * (robot.limits.upper - robot.limits.lower)
    np.testing.assert_allclose(std.max(dim=0).values, expected, rtol=0.05)
    assert (prior.noise_scale > 0).all()
    assert float((x / prior.noise_scale).std()) == pytest.approx(1.0, abs=0.05)


def test_same_generator_same_samples_any_robot(make_robot):
    prior = ProcessPrior.for_robot(make_robot("other", dof=6))
    start, goal = torch.zeros(6), torch.ones(6)
    one, two = (prior.sample(4, start, goal, generator=torch.Generator().manual_seed(s)) for s in (3, 3))
    assert one.shape == (4, 84)
    assert torch.equal(one, two)
    unlimited = ProcessPrior.for_ranges(np.array([np.inf, 1.0]))
    assert torch.isfinite(unlimited.noise_scale).all()


def test_wrong_dof_is_named(robot):
    prior = ProcessPrior.for_robot(robot)
    with pytest.raises(InvalidInputError, match="7 joints"):
        prior.bind(Context(torch.zeros(6), torch.zeros(6)))
