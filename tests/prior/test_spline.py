"""The spline representation against scipy and autograd."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad_vec
from scipy.interpolate import BSpline

from edmp.errors import InvalidInputError
from edmp.prior.spline import Spline, resample_polyline

SPLINE = Spline()


@pytest.mark.parametrize("spline", [SPLINE, Spline(10), Spline(8, degree=5), Spline(5, degree=2)])
@pytest.mark.parametrize("derivative", [0, 1, 2, 3])
def test_basis_and_its_derivatives_agree_with_scipy(spline, derivative):
    u = np.linspace(0, 1, 101)
    reference = BSpline(spline.knots, np.eye(spline.num_control_points), spline.degree)
    if derivative > spline.degree:
        expected = np.zeros((101, spline.num_control_points))
    else:
        expected = reference.derivative(derivative)(u) if derivative else reference(u)
    np.testing.assert_allclose(
        spline.basis_at(u, derivative), expected, rtol=1e-9, atol=1e-9 * 10.0 ** (3 * derivative)
    )
    matrix = spline.basis(101, derivative, dtype=torch.float64)
    np.testing.assert_array_equal(matrix.numpy(), spline.basis_at(u, derivative))
    assert spline.basis(101, derivative, dtype=torch.float64) is matrix


@given(seed=st.integers(0, 2**31), num=st.integers(2, 90), dof=st.integers(1, 8))
def test_ends_are_exact_and_zero_is_the_line_at_constant_speed(seed, num, dof):
    generator = torch.Generator().manual_seed(seed)
    start, goal = torch.randn(2, dof, generator=generator) * 3
    x = torch.randn(5, SPLINE.dim(dof), generator=generator)
    control_points = SPLINE.control_points(x, start, goal)
    assert control_points.shape == (5, 16, dof)
    waypoints = SPLINE.waypoints(control_points, num)
    for values in (control_points, waypoints):
        assert torch.equal(values[:, 0], start.expand(5, dof))
        assert torch.equal(values[:, -1], goal.expand(5, dof))
    torch.testing.assert_close(SPLINE.deviation(control_points), x, rtol=1e-5, atol=3e-6)
    line = SPLINE.waypoints(SPLINE.control_points(torch.zeros_like(x), start, goal), num)
    u = torch.linspace(0, 1, num)[:, None]
    torch.testing.assert_close(line[0], start * (1 - u) + goal * u, rtol=1e-5, atol=3e-6)


@pytest.mark.parametrize("derivative", [0, 1, 2, 3])
def test_pull_back_is_the_gradient(derivative, generator):
    start, goal = torch.randn(2, 7, generator=generator, dtype=torch.float64)
    x = torch.randn(3, 98, generator=generator, dtype=torch.float64, requires_grad=True)
    w = torch.randn(3, 64, 7, generator=generator, dtype=torch.float64)
    q = SPLINE.waypoints(SPLINE.control_points(x, start, goal), derivative=derivative)
    (q.sin() * w).sum().backward()
    torch.testing.assert_close(SPLINE.pull_back(q.detach().cos() * w, derivative=derivative), x.grad)


def test_fit_inverts_waypoints(generator):
    x = torch.randn(4, 98, generator=generator, dtype=torch.float64)
    start, goal = torch.randn(2, 4, 7, generator=generator, dtype=torch.float64)
    control_points = SPLINE.control_points(x, start, goal)
    torch.testing.assert_close(SPLINE.fit(SPLINE.waypoints(control_points), resample=False), control_points)


def test_fit_of_a_polyline_follows_it_at_constant_speed():
    corner = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]], dtype=torch.float64)[None]
    fitted = SPLINE.fit(corner)
    assert torch.equal(fitted[:, 0], corner[:, 0])
    assert torch.equal(fitted[:, -1], corner[:, -1])
    dense, polyline = SPLINE.waypoints(fitted, 200)[0], resample_polyline(corner, 2000)[0]
    assert torch.cdist(dense, polyline).min(dim=1).values.max() < 0.1
    speed = SPLINE.waypoints(fitted, 200, derivative=1)[0].norm(dim=-1)
    assert 0.5 * 3 < speed.min() <= speed.max() < 1.3 * 3


def test_fit_of_a_line_and_of_a_path_that_never_moves():
    line = torch.linspace(0, 1, 3)[None, :, None] * torch.tensor([1.0, -2.0, 0.5])
    assert SPLINE.deviation(SPLINE.fit(line)).abs().max() < 1e-5
    still = torch.ones(1, 5, 3)
    torch.testing.assert_close(SPLINE.fit(still), torch.ones(1, 16, 3))
    repeated = torch.cat([line[:, :1], line[:, :1], line, line[:, -1:]], dim=1)  # zero-length edges at both ends
    torch.testing.assert_close(SPLINE.fit(repeated), SPLINE.fit(line), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("derivative", [1, 2, 3])
def test_gram_is_the_integral_of_the_squared_derivative(derivative):
    curve = BSpline(SPLINE.knots, np.eye(16)[:, 1:-1], 3).derivative(derivative)
    breaks = np.unique(SPLINE.knots)
    expected = sum(
        quad_vec(lambda u: np.outer(curve(u), curve(u)), a + 1e-12, b - 1e-12)[0] for a, b in itertools.pairwise(breaks)
    )
    np.testing.assert_allclose(SPLINE.gram(derivative), expected, rtol=1e-7, atol=1e-6 * np.abs(expected).max())


def test_smoothing_inverts_the_metric_and_spreads_a_push():
    weights = (0.2, 1.0, 0.1)
    product = SPLINE.smoothing(weights) @ SPLINE.smoothness_metric(weights)
    np.testing.assert_allclose(product, np.eye(14) * product[0, 0], atol=1e-9 * product[0, 0])
    assert np.linalg.eigvalsh(SPLINE.smoothing()).min() > 0
    push = SPLINE.smoothing()[:, 6]
    assert (push > 0).all()
    assert np.argmax(push) in (6, 7)
    basis = SPLINE.basis_at(np.linspace(0, 1, 257))[:, 1:-1]
    assert np.einsum("ni,ij,nj->n", basis, SPLINE.smoothing(), basis).max() == pytest.approx(1.0)


def test_cached_matrices_made_in_inference_mode_still_differentiate():
    spline = Spline(9)
    with torch.inference_mode():
        spline.waypoints(torch.zeros(1, 9, 2), 33)
    control_points = torch.zeros(1, 9, 2, requires_grad=True)
    spline.waypoints(control_points, 33).sum().backward()
    assert control_points.grad is not None


def test_misuse_is_refused():
    with pytest.raises(InvalidInputError, match="control points"):
        Spline(3)
    with pytest.raises(InvalidInputError, match=r"\(batch, n >= 2, dof\)"):
        SPLINE.fit(torch.zeros(5, 7))
    with pytest.raises(InvalidInputError, match="at least 16 samples"):
        SPLINE.fit(torch.zeros(1, 5, 7), resample=False)
    with pytest.raises(InvalidInputError, match="weights"):
        SPLINE.smoothing((0.0, 0.0, 0.0))
