"""The MLP denoiser: conditioning, preconditioning, determinism."""

import pytest
import torch

from edmp.errors import InvalidInputError
from edmp.learning.edm import karras_sigmas, sample_dpmpp_2m, scalings
from edmp.prior.base import Context
from edmp.prior.mlp import MlpConfig, MlpNetwork, MlpPrior

SMALL = MlpConfig(width=32, depth=2, cond_width=16)


@pytest.fixture
def network() -> MlpNetwork:
    torch.manual_seed(0)
    network = MlpNetwork(SMALL, 7)
    torch.nn.init.normal_(network.write.weight, std=0.1)
    for block in network.blocks:
        torch.nn.init.normal_(block.film.weight, std=0.5)
    control_points = torch.randn(300, 16, 7).cumsum(dim=1) * torch.arange(1, 8) + 1.0
    network.set_statistics(control_points, -torch.ones(7), torch.ones(7))
    return network


def test_default_size_ships():
    network = MlpNetwork(MlpConfig(), 7)
    assert 4.0e6 < sum(parameter.numel() for parameter in network.parameters()) < 6.0e6


def test_one_condition_serves_the_whole_batch(network, generator):
    prior = MlpPrior.of(network, robot_name="panda")
    start, goal = torch.randn(2, 7, generator=generator)
    x = prior.noise(5, generator=generator)
    once = prior.denoise(x, 0.7, Context(start, goal))
    each = prior.denoise(x, torch.full((5,), 0.7), Context(start.expand(5, 7), goal.expand(5, 7)))
    torch.testing.assert_close(once, each)
    assert (once - prior.denoise(x, 0.7, Context(goal, start))).abs().max() > 1e-4
    assert (once - prior.denoise(x, 0.8, Context(start, goal))).abs().max() > 1e-4


def test_one_start_serves_several_goals(network, generator):
    prior = MlpPrior.of(network, robot_name="panda")
    start, goals = torch.randn(1, 7, generator=generator), torch.randn(5, 7, generator=generator)
    x = prior.noise(5, generator=generator)
    together = prior.denoise(x, 0.7, Context(start, goals))
    for i in range(5):
        torch.testing.assert_close(
            together[i : i + 1], prior.denoise(x[i : i + 1], 0.7, Context(start, goals[i : i + 1]))
        )


def test_denoiser_is_the_preconditioned_network(network, generator):
    prior = MlpPrior.of(network, robot_name="panda")
    start, goal = torch.randn(2, 1, 7, generator=generator)
    x, sigma = prior.noise(3, generator=generator), torch.tensor([[0.4]])
    c_skip, c_out, c_in, c_noise = scalings(sigma, network.mode_std)
    y = (x / network.noise_scale - network.mean) @ network.modes
    raw = network(c_in * y, network.problem_embedding(start, goal) + network.sigma_embedding(c_noise))
    expected = network.noise_scale * (network.mean + (c_skip * y + c_out * raw) @ network.modes.T)
    torch.testing.assert_close(prior.denoise(x, 0.4, Context(start, goal)), expected)


@pytest.mark.parametrize("sigma", [0.1, 1.0, 8.0])
def test_untrained_it_is_the_best_linear_denoiser(sigma, generator):
    network = MlpNetwork(SMALL, 7)
    control_points = torch.randn(2000, 16, 7, generator=generator).cumsum(dim=1) + 1.0
    network.set_statistics(control_points, -torch.ones(7), torch.ones(7))
    z = network.spline.deviation(control_points) / network.noise_scale
    mean, covariance = z.mean(dim=0), z.T.cov(correction=0)
    x = MlpPrior.of(network, robot_name="panda").noise(50, sigma=3.0, generator=generator)
    problem = network.problem_embedding(torch.zeros(1, 7), torch.ones(1, 7))
    denoised = network.denoise(x, torch.tensor([[sigma]]), problem)
    gain = torch.linalg.solve(covariance + sigma**2 * torch.eye(98), covariance)
    expected = (mean + (x / network.noise_scale - mean) @ gain) * network.noise_scale
    torch.testing.assert_close(denoised, expected, rtol=1e-3, atol=1e-3)
    loss = network.loss(control_points, generator)
    assert float(loss.mean()) == pytest.approx(1.0, abs=0.02)


def test_estimates_can_be_differentiated_by_guidance(network, generator):
    prior = MlpPrior.of(network, robot_name="panda")
    denoised = prior.denoise(prior.noise(2, generator=generator), 1.0, Context(torch.zeros(7), torch.ones(7)))
    assert not denoised.requires_grad
    denoised.requires_grad_().square().sum().backward()
    assert denoised.grad is not None


def test_same_generator_same_samples(network):
    prior = MlpPrior.of(network, robot_name="panda")
    sigmas = karras_sigmas(8, sigma_min=prior.sigma_min, sigma_max=prior.sigma_max)

    def sample(seed):
        x = prior.noise(4, sigma=prior.sigma_max, generator=torch.Generator().manual_seed(seed))
        return sample_dpmpp_2m(prior.bind(Context(torch.zeros(7), torch.ones(7))), x, sigmas)

    assert torch.equal(sample(1), sample(1))
    assert not torch.equal(sample(1), sample(2))


def test_statistics_make_unit_coordinates(network, generator):
    control_points = torch.randn(500, 16, 7, generator=generator) * torch.arange(1, 8)
    network.set_statistics(control_points, -torch.ones(7), torch.ones(7))
    z = network.spline.deviation(control_points) / network.noise_scale
    torch.testing.assert_close(z.std(dim=0, unbiased=False), torch.ones(98))
    covariance = ((z - network.mean) @ network.modes).T.cov(correction=0)
    torch.testing.assert_close(covariance, network.mode_std.square().diag(), rtol=1e-4, atol=1e-4)
    still = control_points.clone()
    still[..., 3] = 0.0  # a joint that never moves must not divide by zero
    network.set_statistics(still, -torch.ones(7), torch.ones(7))
    assert (network.noise_scale > 0).all()


def test_misuse_is_refused(network):
    prior = MlpPrior.of(network, robot_name="panda")
    with pytest.raises(InvalidInputError, match="panda with 7 joints"):
        prior.bind(Context(torch.zeros(6), torch.zeros(6)))
    with pytest.raises(InvalidInputError, match="2 entries for a batch of 3"):
        prior.bind(Context(torch.zeros(7), torch.zeros(7)))(torch.zeros(3, 98), torch.ones(2))
