"""Distributions over one cell that NumPyro lacks, in NumPyro's form."""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.nn import log_sigmoid, softplus
from jax.scipy.special import log_ndtr, ndtr
from jax.typing import ArrayLike
from jaxtyping import Array, PRNGKeyArray
from numpyro.distributions import constraints
from numpyro.distributions.constraints import Constraint

__all__ = [
    "Atoms",
    "Bernoulli",
    "ContinuousBernoulli",
    "CumulativeLogistic",
    "DiscretizedLogistic",
    "MappedNormal",
    "Poisson",
    "UnitBins",
    "log_logistic_interval",
    "log_normal_interval",
    "unit_of",
]


def log_logistic_interval(lower: Array, width: Array) -> Array:
    """log[F(lower + width) - F(lower)] of the standard logistic F, without cancellation.

    `width` is above 0. F(b) - F(a) = F(b) F(-a) (1 - exp(-(b - a))), so the logarithm is a sum of
    three terms of bounded gradient.
    """
    width = jnp.maximum(width, 1e-30)
    # Each branch sees only widths it can take: the gradient of an unused one must be finite too.
    narrow = jnp.log(-jnp.expm1(-jnp.minimum(width, 0.7)))
    wide = jnp.log1p(-jnp.exp(-jnp.maximum(width, 0.7)))
    log_one_minus_exp = jnp.where(width < 0.7, narrow, wide)
    return log_sigmoid(lower + width) + log_sigmoid(-lower) + log_one_minus_exp


def log_normal_interval(lower: Array, upper: Array, width: Array) -> Array:
    """log[Phi(upper) - Phi(lower)] of the standard normal, for lower < upper, without cancellation.

    `width` is upper - lower, which the rounding of both ends would blur in a narrow interval.

    On the left of the mean it is log Phi(b) + log(1 - Phi(a) / Phi(b)); intervals on the right are
    mirrored. A narrow one of width w around m is w phi(m) (1 + w^2 (m^2 - 1) / 24), up to terms in
    w^4.
    """
    mirrored = lower + upper > 0
    a = jnp.where(mirrored, -upper, lower)
    b = jnp.where(mirrored, -lower, upper)
    width = jnp.maximum(width, 1e-30)
    middle = (a + b) / 2
    is_narrow = width * (1 + jnp.abs(middle)) < 0.1
    # Each branch sees only what it can take: the gradient of an unused one must be finite too.
    w = jnp.where(is_narrow, width, 0.01)
    m = jnp.where(is_narrow, middle, 0.0)
    log_density = -0.5 * m**2 - 0.5 * jnp.log(2 * jnp.pi)
    narrow = log_density + jnp.log(w) + jnp.log1p(w**2 * (m**2 - 1) / 24)
    log_below = log_ndtr(jnp.where(is_narrow, -1.0, a))
    log_above = log_ndtr(jnp.where(is_narrow, 0.0, b))
    ratio = jnp.minimum(log_below - log_above, -1e-7)
    wide = log_above + jnp.log(-jnp.expm1(ratio))
    return jnp.where(is_narrow, narrow, wide)


class UnitBins(NamedTuple):
    """The bins of `aevb.table.marginals.Marginal` of d columns, (d, K + 1) and (d, K).

    Columns with fewer bins are padded with infinite heights. Values are in standard units of the
    data, (x - center) / spread.
    """

    #: u at the edges of the bins.
    heights: Array
    #: Values at the edges.
    edges: Array
    #: u of the middle of each bin's probability.
    centers: Array
    #: Whether the bin holds one cell of a grid.
    single: Array
    #: Width in u of a cell of the grid; 0 for a density.
    cells: Array
    #: log(du/dx), x in the units of the data, of a density; 0 where a bin is a mass.
    log_slopes: Array


class MappedNormal(dist.Distribution):
    """A normal u of columns whose values are a map of it, with masses where a bin has one value.

    u ~ N(loc, scale^2), both of batch shape (d,), and x = T(u) monotone, linear within each bin.
    The nats of u are those of x: log N(u) + log(du/dx) of a density, and the probability of the
    interval of u that a cell of a grid, or a single value, is.

    Examples
    --------
    >>> from aevb.likelihoods.mapped import bins_of
    >>> from aevb.table.marginals import Marginal
    >>> bins = bins_of([Marginal((-0.5, 0.5, 1.5), (-40.0, 0.0, 40.0), 1.0)])
    >>> coin = MappedNormal(jnp.zeros(1), jnp.ones(1), bins)
    >>> jnp.exp(coin.log_prob(bins.centers)).round(3).tolist()
    [[0.5, 0.5]]
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real
    pytree_data_fields = ("loc", "scale", "bins")

    def __init__(self, loc: Array, scale: Array, bins: UnitBins) -> None:
        self.loc, self.scale, self.bins = loc, scale, bins
        super().__init__(batch_shape=jnp.shape(loc))

    def log_prob(self, value: Array) -> Array:
        """Nats of each cell in the units of the data."""
        bins = self.bins
        place = self._place(value)
        cell = _at(bins.cells, place)
        single = _at(bins.single, place)
        begin, end = _at(bins.heights[..., :-1], place), _at(bins.heights[..., 1:], place)
        lower = jnp.where(single, begin, value - cell / 2)
        upper = jnp.where(single, end, value + cell / 2)
        width = jnp.where(single, end - begin, cell)
        is_mass = single | (cell > 0)
        # The gradient of the unused branch must be finite too.
        lower = jnp.where(is_mass, lower, self.loc - self.scale)
        upper = jnp.where(is_mass, upper, self.loc + self.scale)
        width = jnp.where(is_mass, width, 2 * self.scale)
        mass = log_normal_interval(
            (lower - self.loc) / self.scale, (upper - self.loc) / self.scale, width / self.scale
        )
        density = dist.Normal(self.loc, self.scale).log_prob(value)
        return jnp.where(is_mass, mass, density + _at(bins.log_slopes, place))

    def sample(self, key: PRNGKeyArray, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws of u; within a cell of a grid, or a single value, the unit that stands for it."""
        shape = (*sample_shape, *self.batch_shape)
        noise = jax.random.normal(key, shape, self.loc.dtype)
        return self.on_values(self.loc + self.scale * noise)

    def on_values(self, u: Array) -> Array:
        """The unit that stands for the value at each u."""
        bins = self.bins
        place = self._place(u)
        begin, cell = _at(bins.heights[..., :-1], place), _at(bins.cells, place)
        width = jnp.where(cell > 0, cell, 1.0)
        middle = begin + (jnp.floor((u - begin) / width) + 0.5) * width
        u = jnp.where(cell > 0, middle, u)
        return jnp.where(_at(bins.single, place), _at(bins.centers, place), u)

    @property
    def mean(self) -> Array:
        """E[u]."""
        return self.loc

    @property
    def probabilities(self) -> Array:
        """P of each bin, shape (d, K); the first and the last reach to the ends of u."""
        below = ndtr(self._standard[..., 1:-1])
        below = jnp.where(self._is_inner, below, 1.0)
        ends = jnp.zeros_like(self._standard[..., :1])
        return jnp.diff(jnp.concatenate([ends, below, ends + 1], axis=-1))

    @property
    def mean_value(self) -> Array:
        """E[x] in standard units of the data, shape (d,).

        x is linear in each bin, so that its mean is a sum of those of u over the bins.
        """
        bins = self.bins
        present = jnp.isfinite(bins.heights)
        heights = jnp.where(present, bins.heights, 0.0)
        middle = (heights[..., 1:] + heights[..., :-1]) / 2
        widths = jnp.diff(heights)
        value = (bins.edges[..., 1:] + bins.edges[..., :-1]) / 2
        slope = jnp.diff(bins.edges) / jnp.where(widths > 0, widths, 1.0)
        slope = jnp.where(bins.single, 0.0, slope)
        density = jnp.exp(-0.5 * self._standard**2) / jnp.sqrt(2 * jnp.pi)
        ends = jnp.zeros_like(density[..., :1])
        inner = jnp.where(self._is_inner, density[..., 1:-1], 0.0)
        density = jnp.concatenate([ends, inner, ends], axis=-1)
        p = self.probabilities
        centered = (self.loc[..., None] - middle) * p - self.scale[..., None] * jnp.diff(density)
        each = p * value + slope * centered
        return jnp.where(present[..., 1:], each, 0.0).sum(-1)

    @property
    def _standard(self) -> Array:
        """The heights in deviations from the mean; far out past a column's own."""
        return (self.bins.heights - self.loc[..., None]) / self.scale[..., None]

    @property
    def _is_inner(self) -> Array:
        """Which heights part two bins of a column, and are neither its end nor padding."""
        return jnp.isfinite(self.bins.heights[..., 2:])

    def _place(self, u: Array) -> Array:
        """The bin of each u."""
        above = u[..., None] >= self.bins.heights[..., 1:-1]
        return (above & self._is_inner).sum(-1)


def unit_of(bins: UnitBins, value: Array) -> Array:
    """u of values in standard units of the data, shape (d,)."""
    above = value[..., None] >= bins.edges[..., 1:-1]
    inside = (above & jnp.isfinite(bins.heights[..., 2:])).sum(-1)
    begin, end = _at(bins.edges[..., :-1], inside), _at(bins.edges[..., 1:], inside)
    low, high = _at(bins.heights[..., :-1], inside), _at(bins.heights[..., 1:], inside)
    width = jnp.where(end > begin, end - begin, 1.0)
    u = low + (value - begin) / width * (high - low)
    return jnp.where(_at(bins.single, inside), _at(bins.centers, inside), u)


def _at(table: Array, place: Array) -> Array:
    """The entry of each column, (d, K), at its place, (..., d)."""
    table = jnp.broadcast_to(table, (*place.shape, table.shape[-1]))
    return jnp.take_along_axis(table, place[..., None], -1)[..., 0]


class DiscretizedLogistic(dist.Distribution):
    """Mass of a logistic variable rounded to a grid.

    P(x) = F((x + r/2 - m)/s) - F((x - r/2 - m)/s), with F the standard logistic. The cells at `low`
    and `high` hold the whole tail beyond them (Salimans et al. 2017, PixelCNN++, eq. 2), so the
    mass sums to one on the grid between them; infinite ends are allowed.

    m, s and r are `loc`, `scale` and `resolution`, all of the batch shape, and `anchor` is any
    point of the grid.

    Examples
    --------
    >>> d = DiscretizedLogistic(loc=1.3, scale=0.5, resolution=1.0, low=0.0, high=3.0)
    >>> float(jnp.exp(d.log_prob(jnp.arange(4.0))).sum())
    1.0
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "resolution": constraints.positive,
        "low": constraints.dependent,
        "high": constraints.dependent,
        "anchor": constraints.real,
    }
    support = constraints.real

    def __init__(
        self,
        loc: ArrayLike,
        scale: ArrayLike,
        resolution: ArrayLike,
        low: ArrayLike = -jnp.inf,
        high: ArrayLike = jnp.inf,
        anchor: ArrayLike = 0.0,
    ) -> None:
        arrays = jnp.broadcast_arrays(loc, scale, resolution, low, high, anchor)
        self.loc, self.scale, self.resolution, self.low, self.high, self.anchor = arrays
        super().__init__(batch_shape=jnp.shape(self.loc))

    def log_prob(self, value: Array) -> Array:
        """Logarithm of the mass of each grid point, in nats."""
        half = self.resolution / 2
        lower = (value - half - self.loc) / self.scale
        upper = (value + half - self.loc) / self.scale
        at_low = value < self.low + half
        at_high = value > self.high - half
        inside = log_logistic_interval(lower, self.resolution / self.scale)
        tails = jnp.where(at_low, log_sigmoid(upper), log_sigmoid(-lower))
        return jnp.where(at_low & at_high, 0.0, jnp.where(at_low | at_high, tails, inside))

    def sample(self, key: PRNGKeyArray, sample_shape: tuple[int, ...] = ()) -> Array:
        """Logistic draws rounded to the grid and kept between its ends."""
        noise = jax.random.logistic(key, (*sample_shape, *self.batch_shape), self.loc.dtype)
        steps = jnp.round((self.loc + self.scale * noise - self.anchor) / self.resolution)
        return jnp.clip(self.anchor + steps * self.resolution, self.low, self.high)

    @property
    def mean(self) -> Array:
        """E[min(max(y, low), high)] of the logistic y: exact up to the rounding to the grid."""
        below = softplus((self.low - self.loc) / self.scale)
        above = softplus((self.loc - self.high) / self.scale)
        return self.loc + self.scale * (below - above)


class CumulativeLogistic(dist.Distribution):
    """Ordered levels 0..K-1 cut out of a logistic variable.

    P(k) = F((c_{k+1} - m)/s) - F((c_k - m)/s) (McCullagh 1980), with a scale s as well as a
    location m, both of the batch shape; c_0 = -inf, c_K = inf, and c_1..c_{K-1}, shape
    (..., K - 1), increase; entries past a column's own levels are inf.

    Examples
    --------
    >>> d = CumulativeLogistic(0.0, 1.0, jnp.array([-1.0, 0.0, 2.0]))
    >>> float(jnp.exp(d.log_prob(jnp.arange(4))).sum())
    1.0
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "cutpoints": constraints.dependent,
    }
    support = constraints.nonnegative_integer

    def __init__(self, loc: ArrayLike, scale: ArrayLike, cutpoints: Array) -> None:
        shape = jnp.broadcast_shapes(jnp.shape(loc), jnp.shape(scale), cutpoints.shape[:-1])
        self.loc = jnp.broadcast_to(loc, shape)
        self.scale = jnp.broadcast_to(scale, shape)
        self.cutpoints = jnp.broadcast_to(cutpoints, (*shape, cutpoints.shape[-1]))
        super().__init__(batch_shape=shape)

    @property
    def log_probs(self) -> Array:
        """Log-probability of every level, shape (..., K); below -1e8 past a column's own levels."""
        finite = jnp.isfinite(self.cutpoints)
        cutpoints = jnp.where(finite, self.cutpoints, 0.0)
        cuts = (cutpoints - self.loc[..., None]) / self.scale[..., None]
        first = cuts[..., :1]
        inside = log_logistic_interval(cuts[..., :-1], cuts[..., 1:] - cuts[..., :-1])
        is_last = finite & ~jnp.concatenate([finite[..., 1:], jnp.zeros_like(finite[..., :1])], -1)
        above = jnp.where(is_last, log_sigmoid(-cuts), -1e9)
        inside = jnp.concatenate([inside, jnp.full_like(first, -1e9)], -1)
        above = jnp.where(finite & ~is_last, inside, above)
        return jnp.concatenate([log_sigmoid(first), above], -1)

    @property
    def probs(self) -> Array:
        """Probability of every level, shape (..., K)."""
        return jnp.exp(self.log_probs)

    def log_prob(self, value: Array) -> Array:
        """Logarithm of the probability of each level index, in nats."""
        index = jnp.asarray(value, jnp.int32)[..., None]
        log_probs = jnp.broadcast_to(self.log_probs, (*index.shape[:-1], self.log_probs.shape[-1]))
        return jnp.take_along_axis(log_probs, index, -1)[..., 0]

    def sample(self, key: PRNGKeyArray, sample_shape: tuple[int, ...] = ()) -> Array:
        """How many cut points a logistic draw lies above."""
        noise = jax.random.logistic(key, (*sample_shape, *self.batch_shape), self.loc.dtype)
        return jnp.sum((self.loc + self.scale * noise)[..., None] > self.cutpoints, -1)


class Bernoulli(dist.BernoulliLogits):
    """Eq. 11 in logits t: log p(x) = x t - log(1 + e^t), for 0 and 1 and finite t.

    NumPyro's checks every cell for infinite logits and other values, which costs as much as the
    logarithm.

    Examples
    --------
    >>> float(Bernoulli(0.0).log_prob(1.0))
    -0.693147
    """

    def log_prob(self, value: Array) -> Array:
        """Logarithm of the mass of each 0 or 1, in nats."""
        t = self.logits
        size = jnp.abs(t)
        larger = 0.5 * (t + size)  # of t and 0
        return value * t - (larger + jnp.log1p(jnp.exp(-size)))


class Poisson(dist.Poisson):
    """The Poisson, with the digits that x log(rate) - rate - log x! loses for large counts.

    Loader (2000): log P(x) = -r [(1 + t) log(1 + t) - t] - log(2 pi x) / 2 - 1 / (12 x)
    + 1 / (360 x^3), with r the rate and t = (x - r) / r; no term is larger than the result.

    Examples
    --------
    >>> float(Poisson(1e6).log_prob(1e6))
    -7.8267
    """

    def log_prob(self, value: Array) -> Array:
        """Logarithm of the mass of each count, in nats."""
        value = jnp.asarray(value, float)
        large = value > 16
        x = jnp.where(large, value, 17.0)
        t = (x - self.rate) / self.rate
        deviance = self.rate * ((1 + t) * jnp.log1p(t) - t)
        saddle = -deviance - 0.5 * jnp.log(2 * jnp.pi * x) - 1 / (12 * x) + 1 / (360 * x**3)
        return jnp.where(large, saddle, super().log_prob(jnp.where(large, 0.0, value)))


class ContinuousBernoulli(dist.Distribution):
    """Density on [0, 1]: p(x) = C(l) l^x (1 - l)^(1 - x), with l = sigmoid(logits).

    Loaiza-Ganem and Cunningham (2019). In logits t the constant C = 2 atanh(1 - 2 l) / (1 - 2 l)
    makes it log p(x) = x t - log[(e^t - 1) / t], a truncated exponential.

    Examples
    --------
    >>> float(ContinuousBernoulli(0.0).log_prob(0.3))
    0.0
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {"logits": constraints.real}
    support = constraints.unit_interval

    def __init__(self, logits: ArrayLike) -> None:
        self.logits = jnp.asarray(logits)
        super().__init__(batch_shape=self.logits.shape)

    def log_prob(self, value: Array) -> Array:
        """Log-density in nats; even around t = 0, where (e^t - 1) / t -> 1 is expanded in t."""
        # p(x; -t) = p(1 - x; t): one side suffices, and exp(-t) cannot overflow. Not abs, whose
        # gradient at 0 is 0.
        t = jnp.where(self.logits < 0, -self.logits, self.logits)
        small = t < 1e-2
        safe = jnp.where(small, 1.0, t)
        exact = safe + jnp.log(-jnp.expm1(-safe)) - jnp.log(safe)
        log_normalizer = jnp.where(small, t / 2 + t**2 / 24, exact)
        return jnp.where(self.logits < 0, 1 - value, value) * t - log_normalizer

    def icdf(self, q: Array) -> Array:
        """x with P(X <= x) = q: log(1 + q (e^t - 1)) / t, written for t < 0 to avoid overflow."""
        t = -jnp.abs(self.logits)
        small = t > -1e-2
        safe = jnp.where(small, -1.0, t)
        q_down = jnp.where(self.logits < 0, q, 1 - q)
        near = q_down + t * q_down * (1 - q_down) * -0.5
        far = jnp.log1p(q_down * jnp.expm1(safe)) / safe
        x = jnp.where(small, near, far)
        return jnp.clip(jnp.where(self.logits < 0, x, 1 - x), 0.0, 1.0)

    def sample(self, key: PRNGKeyArray, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws by the inverse CDF, shape sample_shape + batch_shape."""
        shape = (*sample_shape, *self.batch_shape)
        q = jax.random.uniform(key, shape, self.logits.dtype, minval=1e-7, maxval=1 - 1e-7)
        return self.icdf(q)

    @property
    def mean(self) -> Array:
        """1 / (1 - e^-t) - 1 / t, and 1/2 + t/12 around t = 0."""
        t = self.logits
        small = jnp.abs(t) < 1e-1
        safe = jnp.where(small, 1.0, t)
        return jnp.where(small, 0.5 + t / 12 - t**3 / 720, -1 / jnp.expm1(-safe) - 1 / safe)


class Atoms(dist.Distribution):
    """Point masses at known values and a rest: pi_k at atom k, pi_0 times the base elsewhere.

    Where the base is a density, an atom's mass is pi_k alone; where it is a mass on grid points of
    which the atoms are some (`on_grid`), the base's own share of that point is added, so that the
    whole sums to one. Atoms have shape (..., K), padded with NaN; logits are log pi up to a
    constant, shape (..., K + 1), the rest first.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "atoms": constraints.dependent,
        "logits": constraints.real_vector,
    }
    support = constraints.real
    pytree_data_fields = ("base", "atoms", "logits")
    pytree_aux_fields = ("on_grid",)

    def __init__(
        self, base: dist.Distribution, atoms: Array, logits: Array, *, on_grid: bool = False
    ) -> None:
        self.base, self.atoms, self.on_grid = base, atoms, on_grid
        present = jnp.concatenate([jnp.ones_like(atoms[..., :1], bool), ~jnp.isnan(atoms)], -1)
        self.logits = jnp.where(present, logits, -1e9)
        super().__init__(batch_shape=base.batch_shape)

    @property
    def log_weights(self) -> Array:
        """log pi, shape (..., K + 1), the rest first."""
        return jax.nn.log_softmax(self.logits, -1)

    def log_prob(self, value: Array) -> Array:
        """log pi_k at an atom, log pi_0 + log base(x) elsewhere, in nats."""
        at = value[..., None] == self.atoms
        atom = jnp.sum(jnp.where(at, self.log_weights[..., 1:], 0.0), -1)
        rest = self.log_weights[..., 0] + self.base.log_prob(value)
        if self.on_grid:
            atom = jnp.logaddexp(atom, rest)
        return jnp.where(at.any(-1), atom, rest)

    def sample(self, key: PRNGKeyArray, sample_shape: tuple[int, ...] = ()) -> Array:
        """A choice between the rest and the atoms, then the value."""
        key_choice, key_base = jax.random.split(key)
        shape = (*sample_shape, *self.batch_shape)
        choice = jax.random.categorical(key_choice, self.log_weights, -1, shape=shape)
        atoms = jnp.broadcast_to(self.atoms, (*shape, self.atoms.shape[-1]))
        atom = jnp.take_along_axis(atoms, jnp.maximum(choice - 1, 0)[..., None], -1)[..., 0]
        return jnp.where(choice == 0, self.base.sample(key_base, sample_shape), atom)

    @property
    def mean(self) -> Array:
        """Sum of pi_k a_k + pi_0 E[base]."""
        weights = jnp.exp(self.log_weights)
        atoms = jnp.sum(weights[..., 1:] * jnp.nan_to_num(self.atoms), -1)
        return weights[..., 0] * self.base.mean + atoms
