"""p(x|z), appendix C: one likelihood for each kind of column, and their product over a row."""

from aevb.likelihoods.base import Likelihood, Located
from aevb.likelihoods.continuous import (
    AtomsAndRest,
    DiscretizedLogisticColumns,
    Gaussian,
    LogNormal,
    Proportion,
)
from aevb.likelihoods.discrete import Bernoulli, Categorical, NegativeBinomial, Ordinal, Poisson
from aevb.likelihoods.product import Decoder, Product

__all__ = [
    "AtomsAndRest",
    "Bernoulli",
    "Categorical",
    "Decoder",
    "DiscretizedLogisticColumns",
    "Gaussian",
    "Likelihood",
    "Located",
    "LogNormal",
    "NegativeBinomial",
    "Ordinal",
    "Poisson",
    "Product",
    "Proportion",
]
