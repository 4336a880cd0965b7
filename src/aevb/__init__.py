"""Fit a variational auto-encoder to your own data, and know how far to trust it."""
