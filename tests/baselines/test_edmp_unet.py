"""The published architecture: its size, schedule and sampler."""

import functools

import pytest
import torch

from edmp.baselines.edmp_paper.ddpm import DdpmPrior, with_ends
from edmp.baselines.edmp_paper.unet import UnetConfig, UnetNetwork
from edmp.learning.ddpm import NoiseSchedule, sample_ddpm

SMALL = UnetConfig(widths=(16, 32), num_timesteps=20, num_waypoints=20)


def test_published_size_and_shapes():
    network = UnetNetwork(UnetConfig(), 7)
    assert [level.first.first[0].out_channels for level in network.down] == [32, 64, 128, 256, 512, 512]
    convolution, norm, activation = network.down[0].first.first
    assert convolution.kernel_size == (5,)
    assert norm.num_groups == 8
    assert isinstance(activation, torch.nn.Mish)
    assert sum(parameter.numel() for parameter in network.parameters()) == 29_938_471
    with torch.no_grad():
        assert network(torch.randn(2, 7, 50), torch.tensor([1, 255])).shape == (2, 7, 50)


def test_schedule():
    schedule = NoiseSchedule.linear()
    assert schedule.num_timesteps == 255
    assert schedule.beta[-1] == pytest.approx(0.02)
    torch.testing.assert_close(schedule.beta.diff(), torch.full((254,), 0.02 / 255, dtype=torch.float64))
    assert schedule.beta[0] == pytest.approx(0.02 / 255)
    torch.testing.assert_close(schedule.alpha_bar, (1 - schedule.beta).cumprod(0))


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def prior() -> DdpmPrior:
    torch.manual_seed(0)
    return DdpmPrior.of(UnetNetwork(SMALL, 7), robot_name="panda")


def test_start_and_goal_stand_at_every_step_and_guidance_comes_after_it(prior, generator):
    start, goal = torch.randn(2, 7, generator=generator)
    seen = []

    def guide(x, t):
        seen.append(t)
        assert torch.equal(x[..., 0], start.expand(3, 7))
        assert torch.equal(x[..., -1], goal.expand(3, 7))
        return x + 100.0 if t == 1 else x

    paths = prior.sample(3, start, goal, generator=generator, guide=guide)
    assert paths.shape == (3, 20, 7)
    assert seen == list(range(20, 0, -1))
    assert torch.equal(paths[:, 0], start.expand(3, 7))
    assert torch.equal(paths[:, -1], goal.expand(3, 7))
    assert paths[:, 1:-1].mean() > 90


def test_same_generator_same_paths(prior):
    def sample(seed, **options):
        generator = torch.Generator().manual_seed(seed)
        return prior.sample(2, torch.zeros(7), torch.ones(7), generator=generator, **options)

    assert torch.equal(sample(1), sample(1))
    assert not torch.equal(sample(1), sample(2))
    assert not torch.equal(sample(1), sample(1, as_published=True))


@pytest.mark.parametrize("as_published", [False, True])
def test_ancestral_sampling_of_an_analytic_gaussian(as_published, generator):
    """White Gaussian data of standard deviation s: the exact noise estimate is linear; the fault shrinks the result."""
    schedule, s = NoiseSchedule.linear(100, 0.1), 0.6

    def epsilon(x, t):
        alpha_bar = float(schedule.alpha_bar[int(t[0]) - 1])
        return (1 - alpha_bar) ** 0.5 * x / (alpha_bar * s**2 + 1 - alpha_bar)

    hold = functools.partial(with_ends, start=torch.zeros(1, 1), goal=torch.zeros(1, 1))
    x = torch.randn(4000, 1, 12, generator=generator)
    x = sample_ddpm(epsilon, x, schedule, hold=hold, generator=generator, as_published=as_published)
    std = float(x[..., 1:-1].std())
    if as_published:
        assert std < 0.5 * s
    else:
        assert std == pytest.approx(s, rel=0.06)


def test_overfits_a_few_trajectories():
    torch.manual_seed(0)
    network = UnetNetwork(SMALL, 7)
    generator = torch.Generator().manual_seed(0)
    control_points = torch.randn(4, 16, 7, generator=generator).repeat(16, 1, 1)
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-3)
    losses = []
    for _ in range(100):
        loss = network.loss(control_points, generator).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[:5]) / 5 > 0.9
    assert sum(losses[-10:]) / 10 < 0.75 * sum(losses[:5]) / 5
