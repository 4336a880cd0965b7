"""q(z|x) over levels: bits, or one-hot groups."""

import equinox as eqx
import numpyro.distributions as dist
from jaxtyping import Array

from aevb.distributions.latents import StraightThroughBernoulli, StraightThroughCategorical
from aevb.encoders import Encoder, Posterior

__all__ = ["BernoulliPosterior", "CategoricalPosterior"]

#: Levels of each categorical latent.
LEVELS = 10


class BernoulliPosterior(Posterior):
    """q(z|x) = prod_j Bernoulli(z_j; p_j(x)), z_j in {0, 1}."""

    encoder: Encoder
    latent_dim: int = eqx.field(static=True)

    def __call__(self, x: Array) -> dist.Distribution:
        """Independent bits; a draw has a straight-through slope."""
        return StraightThroughBernoulli(self.encoder.outputs(x))

    @staticmethod
    def outputs(latent_dim: int) -> int:
        """A logit for each latent."""
        return latent_dim


class CategoricalPosterior(Posterior):
    """q(z|x) = prod_g Categorical(z_g; p_g(x)): groups of `LEVELS` latents, one of which is 1."""

    encoder: Encoder
    latent_dim: int = eqx.field(static=True)

    def __call__(self, x: Array) -> dist.Distribution:
        """Independent one-hot groups; a draw has a straight-through slope."""
        return StraightThroughCategorical(self.encoder.outputs(x).reshape(-1, LEVELS))

    @staticmethod
    def outputs(latent_dim: int) -> int:
        """A logit for each level of each group."""
        return latent_dim
