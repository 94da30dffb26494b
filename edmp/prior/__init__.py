"""What good arm motion looks like: trajectory distributions as denoisers, and the samplers that draw from them."""

from edmp.prior.base import Context, Denoiser, Prior
from edmp.prior.process import ProcessPrior, ProcessSettings
from edmp.prior.spline import Spline

__all__ = ["Context", "Denoiser", "Prior", "ProcessPrior", "ProcessSettings", "Spline"]
