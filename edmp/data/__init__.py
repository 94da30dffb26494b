"""Expert data: making it, and training priors on it."""
