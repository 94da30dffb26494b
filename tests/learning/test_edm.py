"""Preconditioning identities, the schedule, and samplers against an analytic Gaussian."""

import math

import pytest
import torch

from edmp.errors import InvalidInputError, UnknownNameError
from edmp.learning.edm import (
    SAMPLERS,
    Churn,
    edm_loss,
    karras_sigmas,
    preconditioned,
    sample_heun,
    sampler,
    scalings,
)


def test_preconditioning_identities():
    sigma, data = torch.tensor([0.01, 0.3, 1.0, 7.0, 20.0], dtype=torch.float64), 0.7
    c_skip, c_out, c_in, c_noise = scalings(sigma, data)
    one = torch.ones_like(sigma)
    torch.testing.assert_close(c_in**2 * (sigma**2 + data**2), one)  # unit variance input, EDM eq. 117
    target_variance = ((1 - c_skip) ** 2 * data**2 + c_skip**2 * sigma**2) / c_out**2
    torch.testing.assert_close(target_variance, one)  # unit variance target, eq. 131
    torch.testing.assert_close((1 - c_skip) * data**2, c_skip * sigma**2)  # c_out is smallest, eq. 137
    torch.testing.assert_close(c_noise, sigma.log() / 4)


def test_schedule():
    sigmas = karras_sigmas(8, sigma_min=0.01, sigma_max=20.0)
    assert sigmas.shape == (9,)
    assert (sigmas.diff() < 0).all()
    assert sigmas[0] == pytest.approx(20.0)
    assert sigmas[-2] == pytest.approx(0.01)
    assert sigmas[-1] == 0
    torch.testing.assert_close(sigmas[:-1].pow(1 / 7).diff(), sigmas[:-1].pow(1 / 7).diff()[:1].expand(7))
    assert karras_sigmas(1, sigma_min=0.01, sigma_max=20.0).tolist() == pytest.approx([20.0, 0.0])
    with pytest.raises(InvalidInputError):
        karras_sigmas(0, sigma_min=0.01, sigma_max=20.0)


MEAN = torch.tensor([0.5, -1.0, 0.2], dtype=torch.float64)
FACTOR = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.5, 0.0], [-0.3, 0.2, 0.1]], dtype=torch.float64)
COVARIANCE = FACTOR @ FACTOR.T


def gaussian_denoiser(x, sigma):
    """Exact posterior mean for N(MEAN, COVARIANCE): mean + C (C + sigma^2 I)^-1 (x - mean)."""
    gain = COVARIANCE @ torch.linalg.inv(COVARIANCE + sigma**2 * torch.eye(3, dtype=torch.float64))
    return MEAN + (x - MEAN) @ gain.T


def moments(x):
    return x.mean(dim=0), x.T.cov()


@pytest.mark.parametrize(("name", "steps"), [("euler", 400), ("heun", 64), ("dpmpp_2m", 64)])
def test_deterministic_samplers_recover_a_gaussian(name, steps, generator):
    sigmas = karras_sigmas(steps, sigma_min=0.002, sigma_max=80.0)
    x = 80.0 * torch.randn(40_000, 3, generator=generator, dtype=torch.float64)
    mean, covariance = moments(sampler(name)(gaussian_denoiser, x, sigmas))
    torch.testing.assert_close(mean, MEAN, rtol=0, atol=0.03)
    torch.testing.assert_close(covariance, COVARIANCE, rtol=0, atol=0.03)


def test_churn_keeps_the_distribution_and_changes_the_samples(generator):
    sigmas = karras_sigmas(120, sigma_min=0.002, sigma_max=80.0)
    x = 80.0 * torch.randn(40_000, 3, generator=generator, dtype=torch.float64)
    churn = Churn(noise=lambda n: torch.randn(n, 3, generator=generator, dtype=torch.float64), s_churn=20.0)
    noisy = sample_heun(gaussian_denoiser, x, sigmas, churn=churn)
    mean, covariance = moments(noisy)
    torch.testing.assert_close(mean, MEAN, rtol=0, atol=0.03)
    torch.testing.assert_close(covariance, COVARIANCE, rtol=0, atol=0.03)
    assert (noisy - sample_heun(gaussian_denoiser, x, sigmas)).abs().mean() > 0.05


def test_second_order_samplers_converge_faster(generator):
    """For a Gaussian the flow is known: x(0) = mean + sqrt(C) (C + s^2)^-1/2 (x - mean)."""
    x = 20.0 * torch.randn(64, 3, generator=generator, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(COVARIANCE)
    exact = MEAN + (x - MEAN) @ vectors @ torch.diag((values / (values + 400.0)).sqrt()) @ vectors.T

    def error(name, steps):
        sigmas = karras_sigmas(steps, sigma_min=1e-3, sigma_max=20.0)
        return float((sampler(name)(gaussian_denoiser, x, sigmas) - exact).norm(dim=-1).mean())

    for name in ("heun", "dpmpp_2m"):
        assert error(name, 32) < 0.3 * error("euler", 32)
        assert error(name, 64) < 0.4 * error(name, 32)
    assert error("dpmpp_2m", 10) < error("euler", 10)
    assert error("euler", 64) == pytest.approx(error("euler", 32) / 2, rel=0.25)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_callback_sees_every_step_and_can_watch_but_not_disturb(name, generator):
    x = 5.0 * torch.randn(4, 3, generator=generator, dtype=torch.float64)
    sigmas = karras_sigmas(6, sigma_min=0.01, sigma_max=5.0)
    seen = []
    watched = sampler(name)(gaussian_denoiser, x, sigmas, callback=seen.append)
    assert torch.equal(watched, sampler(name)(gaussian_denoiser, x, sigmas))
    assert [step.index for step in seen] == list(range(6))
    assert [step.sigma for step in seen] == pytest.approx(sigmas[:-1].tolist())
    assert torch.equal(seen[-1].denoised, watched) or name == "heun"
    assert all(math.isfinite(float(step.x.sum())) for step in seen)


def test_one_step_returns_the_estimate(generator):
    x = 5.0 * torch.randn(4, 3, generator=generator, dtype=torch.float64)
    for sample in SAMPLERS.values():
        once = sample(gaussian_denoiser, x, torch.tensor([5.0, 0.0], dtype=torch.float64))
        torch.testing.assert_close(once, gaussian_denoiser(x, 5.0))


def test_unknown_sampler_lists_the_known():
    with pytest.raises(UnknownNameError, match="dpmpp_2m"):
        sampler("dpmpp_3m")


def test_the_loss_of_the_best_denoiser_of_unit_data_is_one(generator):
    """F = 0 is the best linear denoiser, and best of all for data that are Gaussian noise of unit variance."""
    x = torch.randn(4000, 3, 5, generator=generator)
    loss = edm_loss(lambda y, c: torch.zeros_like(y), x, p_mean=0.0, p_std=1.0, generator=generator)
    assert loss.shape == (4000,)
    assert float(loss.mean()) == pytest.approx(1.0, abs=0.02)
    denoise = preconditioned(lambda y, c: torch.zeros_like(y))
    assert torch.allclose(denoise(x, 1.0), x / 2)
    assert torch.allclose(denoise(x, torch.full((4000,), 3.0)), x / 10)
