"""Estimates of log p(x) and of their error."""
