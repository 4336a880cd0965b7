"""p(x|z), appendix C: one likelihood for each kind of column, and their product over a row.

A new likelihood is one class: it registers its name, and says which columns it is for, how it is
built from them and what distribution raw numbers make. See ``docs/extending.md``.
"""

from aevb.likelihoods import base, columns, continuous, discrete, mapped, product, units
from aevb.likelihoods.base import *
from aevb.likelihoods.columns import *
from aevb.likelihoods.continuous import *
from aevb.likelihoods.discrete import *
from aevb.likelihoods.mapped import *
from aevb.likelihoods.product import *
from aevb.likelihoods.units import *

__all__ = [
    *base.__all__,
    *columns.__all__,
    *continuous.__all__,
    *discrete.__all__,
    *mapped.__all__,
    *product.__all__,
    *units.__all__,
]
