"""The recognition model q(z|x), section 2.3: a module whose call returns a distribution over z."""

from aevb.encoders import Encoder, Features, LinearPosterior, Moments, Posterior
from aevb.posteriors.discrete import BernoulliPosterior, CategoricalPosterior
from aevb.posteriors.gaussian import DiagonalGaussian, FlowPosterior, FullGaussian
from aevb.posteriors.two_layers import ConditionalGaussian, TwoLayerPosterior

__all__ = [
    "BernoulliPosterior",
    "CategoricalPosterior",
    "ConditionalGaussian",
    "DiagonalGaussian",
    "Encoder",
    "Features",
    "FlowPosterior",
    "FullGaussian",
    "LinearPosterior",
    "Moments",
    "Posterior",
    "TwoLayerPosterior",
]
