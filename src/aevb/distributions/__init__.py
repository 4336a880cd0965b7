"""Distributions that NumPyro lacks: of cells, of latents, and flows."""
