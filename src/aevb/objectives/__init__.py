"""Section 2.2: one function per estimator of the bound; each takes a model, one row and a key, and returns nats."""

from aevb.objectives.sgvb import sgvb_a, sgvb_b

__all__ = ["sgvb_a", "sgvb_b"]
