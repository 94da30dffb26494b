"""Networks modulated by a condition (FiLM, Perez et al. 2018). Each is a trunk: what goes in and out is its user's."""
