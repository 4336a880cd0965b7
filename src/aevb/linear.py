"""Factor analysis and probabilistic PCA, exact, with missing cells: where a model starts.

    z ~ N(0, I),    x | z ~ N(mean + W z, Psi),    Psi = diag(noise)

A row's missing cells are marginalized by leaving their features out of W and Psi. With

    M_o = I + W_o' Psi_o^-1 W_o        (k x k, the posterior's precision given the observed cells o)

the posterior is N(M_o^-1 W_o' Psi_o^-1 (x_o - mean_o), M_o^-1) and log det Sigma_o = log det Psi_o
+ log det M_o, so no F x F matrix is ever needed (Woodbury). Rows that miss the same cells share
M_o.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.optimize
from numpy.typing import ArrayLike, NDArray

__all__ = ["LinearModel", "fit"]

Array = NDArray[np.float64]
Leading = Callable[[Array], tuple[Array, Array]]

#: Most rows, and cells, an iterative fit looks at; features above which only leading singular
#: vectors are computed.
MAXIMUM_ROWS = 10_000
MAXIMUM_CELLS = 4_000_000
DENSE_FEATURES = 1_024
BLOCK_CELLS = 2_000_000
TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class LinearModel:
    """A linear Gaussian latent-variable model, x = mean + W z + noise.

    Parameters
    ----------
    mean
        Shape (F,).
    loadings
        W, shape (F, k); W' Psi^-1 W is diagonal and decreasing, the largest loading of each factor
        positive.
    noise
        Variances, the diagonal of Psi, shape (F,).
    """

    mean: Array
    loadings: Array
    noise: Array

    def log_likelihood(self, features: ArrayLike) -> Array:
        """log N(x_o; mean_o, W_o W_o' + Psi_o) of the observed cells of each row, nats, shape (n,).

        NaN is missing; a row without cells has log-likelihood 0.
        """
        return np.concatenate([found.log_likelihood for found in self._expectations(features)])

    def posterior(self, features: ArrayLike) -> Array:
        """E[z | x_o], the posterior means given the observed cells, shape (n, k)."""
        return np.concatenate([found.means for found in self._expectations(features)])

    def filled(self, features: ArrayLike) -> Array:
        """The rows with each missing cell replaced by E[x_m | x_o] = mean_m + W_m E[z | x_o], shape
        (n, F).
        """
        cells = np.asarray(features, dtype=np.float64)
        return np.where(np.isnan(cells), self.mean + self.posterior(cells) @ self.loadings.T, cells)

    def _expectations(self, features: ArrayLike) -> Iterator["_Expectation"]:
        for block in _blocks(features, self.loadings.shape[1]):
            yield _expect(self, block)


def fit(
    features: ArrayLike,
    latent_dim: int,
    *,
    isotropic: bool = False,
    weights: ArrayLike | None = None,
    noise_floor: float | ArrayLike = 1e-6,
    max_iterations: int = 500,
    tolerance: float = 1e-7,
) -> LinearModel:
    """The maximum-likelihood factor analysis (isotropic: probabilistic PCA) of rows, shape (n, F).

    NaN is a missing cell. More than F - 1 factors add nothing to a Gaussian of F features: their
    loadings are zero. Weights of the rows, shape (n,), count by their ratios; `noise_floor` is the
    least variance of all features, or of each. It stops after `max_iterations`, or when the mean
    log-likelihood of a row rises by less than `tolerance` nats per feature.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(2000, 1)) @ [[3.0, -2.0, 1.0]] + rng.normal(size=(2000, 3))
    >>> model = fit(x, 1)
    >>> np.round(model.loadings[:, 0]), np.round(model.noise)
    (array([ 3., -2.,  1.]), array([1., 1., 1.]))
    """
    cells, row_weights = _weighted_cells(features, weights)
    floor = np.broadcast_to(np.asarray(noise_floor, dtype=np.float64), cells.shape[1:])
    settings = _Settings(floor, isotropic, max_iterations, tolerance)
    missing = np.isnan(cells)
    share = row_weights / max(row_weights.sum(), TINY)
    observed_share = share @ ~missing
    mean = share @ np.where(missing, 0.0, cells) / np.where(observed_share > 0, observed_share, 1.0)
    centered = np.where(missing, 0.0, cells - mean)
    rank = min(latent_dim, cells.shape[1] - 1)
    model = _fit_complete(np.sqrt(share)[:, None] * centered, rank, settings)
    if missing.any():
        model = _fit_incomplete(model, cells - mean, row_weights, settings)
    return _rotated(replace(model, mean=mean + model.mean), latent_dim)


def _weighted_cells(features: ArrayLike, weights: ArrayLike | None) -> tuple[Array, Array]:
    """The rows of positive weight, and their weights.

    Where the fit is iterative, at most `MAXIMUM_ROWS` rows and about `MAXIMUM_CELLS` cells, drawn
    with a fixed seed.
    """
    cells = np.asarray(features, dtype=np.float64)
    row_weights = np.ones(len(cells))
    if weights is not None:
        row_weights = np.asarray(weights, dtype=np.float64)
    cells, row_weights = cells[row_weights > 0], row_weights[row_weights > 0]
    rows, features_of_row = cells.shape
    if features_of_row <= DENSE_FEATURES and not np.isnan(cells).any():
        return cells, row_weights
    most = min(rows, MAXIMUM_ROWS, max(MAXIMUM_CELLS // max(features_of_row, 1), 1_000))
    kept = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
    return cells[kept], row_weights[kept]


class _Settings(NamedTuple):
    floor: Array  # (F,)
    isotropic: bool
    max_iterations: int
    tolerance: float


# Complete rows: probabilistic PCA in closed form (Tipping & Bishop 1999); factor analysis by
# maximizing the likelihood profiled over W (Joreskog 1967).


def _fit_complete(centered: Array, rank: int, settings: _Settings) -> LinearModel:
    """The model of centered rows, each times the root of its share.

    So centered' centered is the covariance.
    """
    variances = np.einsum("nf,nf->f", centered, centered)
    large = centered.shape[1] > DENSE_FEATURES
    covariance = np.empty((0, 0)) if large else centered.T @ centered

    def leading(noise: Array) -> tuple[Array, Array]:
        """The first eigenvalues and eigenvectors of Psi^-1/2 S Psi^-1/2."""
        root = np.sqrt(noise)
        if large:
            return _randomized(centered / root, rank)
        return _leading_eigen(covariance / np.outer(root, root), rank)

    eigenvalues, eigenvectors = leading(np.ones(len(variances)))
    left = (variances.sum() - eigenvalues.sum()) / max(len(variances) - rank, 1)
    noise = np.maximum(left, settings.floor)  # the mean of the eigenvalues left out
    loadings = eigenvectors * np.sqrt(np.maximum(eigenvalues - max(left, 0.0), 0.0))
    model = LinearModel(np.zeros(len(variances)), loadings, noise)
    if settings.isotropic:
        return model
    if rank == 0:
        return replace(model, noise=np.maximum(variances, settings.floor))
    start = np.maximum(variances - np.sum(loadings**2, axis=1), 0.05 * variances)
    if large:
        settings = settings._replace(max_iterations=min(settings.max_iterations, 30))
    return _profile(leading, variances, start, settings)


def _profile(leading: Leading, variances: Array, start: Array, settings: _Settings) -> LinearModel:
    """Minimize -2 log p over log Psi, with W at its optimum given Psi.

    With l_j the leading eigenvalues of Psi^-1/2 S Psi^-1/2 and v_j its eigenvectors, W = Psi^1/2 v
    (l - 1)^1/2 and

        -2 log p = sum log Psi + sum_j (log l_j + 1 - l_j) + tr(Psi^-1 S),

    whose gradient is (diag(W W') + Psi - S) / Psi.
    """

    def at(log_noise: Array) -> tuple[Array, Array, Array]:
        noise = np.exp(log_noise)
        eigenvalues, eigenvectors = leading(noise)
        eigenvalues = np.maximum(eigenvalues, 1.0)
        loadings = np.sqrt(noise)[:, None] * eigenvectors * np.sqrt(eigenvalues - 1.0)
        return noise, eigenvalues, loadings

    def negative(log_noise: Array) -> tuple[float, Array]:
        noise, eigenvalues, loadings = at(log_noise)
        fit_of_leading = np.sum(np.log(eigenvalues) + 1.0 - eigenvalues)
        value = log_noise.sum() + fit_of_leading + np.sum(variances / noise)
        return float(value), (np.sum(loadings**2, axis=1) + noise - variances) / noise

    low = np.log(settings.floor)
    high = np.maximum(np.log(np.maximum(variances, TINY)), low)  # noise is part of the variance
    first = np.clip(np.log(np.maximum(start, TINY)), low, high)
    limits = {"maxiter": settings.max_iterations, "ftol": settings.tolerance / 100, "gtol": 1e-5}
    bounds = np.column_stack([low, high])
    solution = scipy.optimize.minimize(
        negative, first, jac=True, method="L-BFGS-B", bounds=bounds, options=limits
    )
    noise, _, loadings = at(solution.x)
    return LinearModel(np.zeros(len(variances)), loadings, noise)


def _leading_eigen(matrix: Array, rank: int) -> tuple[Array, Array]:
    if rank == 0:
        return np.empty(0), np.empty((len(matrix), 0))
    values, vectors = scipy.linalg.eigh(
        matrix, subset_by_index=(len(matrix) - rank, len(matrix) - 1)
    )
    return values[::-1], vectors[:, ::-1]


def _randomized(rows: Array, rank: int) -> tuple[Array, Array]:
    from sklearn.utils.extmath import randomized_svd

    _, singular, right = randomized_svd(rows, min(rank, *rows.shape), n_iter=4, random_state=0)
    padding = rank - len(singular)
    return np.pad(singular**2, (0, padding)), np.pad(right.T, ((0, 0), (0, padding)))


# Rows with missing cells: parameter-expanded EM (Liu, Rubin & Wu 1998), started at the model of
# complete rows with missing cells at their features' means.


class _Block(NamedTuple):
    """Rows, ordered so that those that miss the same cells follow each other."""

    cells: Array  # (n, F), zero where missing
    observed: Array  # (P, F), the patterns of observed cells, 0 or 1
    pattern: NDArray[np.intp]  # (n,) row of `observed`, not decreasing where `order` sorted them
    weights: Array  # (n,)


class _Expectation(NamedTuple):
    means: Array  # (n, k), E[z | x_o]
    covariances: Array  # (P, k, k), M_o^-1
    log_likelihood: Array  # (n,)


def _blocks(features: ArrayLike, latent_dim: int, weights: Array | None = None) -> list[_Block]:
    cells = np.asarray(features, dtype=np.float64)
    row_weights = np.ones(len(cells)) if weights is None else weights
    size = max(BLOCK_CELLS // (latent_dim + 1) ** 2, 1)
    blocks = []
    for start in range(0, max(len(cells), 1), size):
        rows = slice(start, start + size)
        blocks.append(_block(cells[rows], row_weights[rows]))
    return blocks


def _block(cells: Array, weights: Array) -> _Block:
    observed = ~np.isnan(cells)
    bits = np.packbits(observed, axis=1)
    _, first, pattern = np.unique(bits, axis=0, return_index=True, return_inverse=True)
    patterns = observed[first].astype(np.float64)
    return _Block(np.where(observed, cells, 0.0), patterns, pattern.reshape(-1), weights)


def _expect(model: LinearModel, block: _Block) -> _Expectation:
    """The E-step: each row's posterior and log-likelihood given its observed cells."""
    loadings, latent_dim = model.loadings, model.loadings.shape[1]
    scaled = loadings / model.noise[:, None]
    products = (loadings[:, :, None] * scaled[:, None, :]).reshape(len(loadings), latent_dim**2)
    by_pattern = block.observed @ products
    by_pattern = by_pattern.reshape(len(by_pattern), latent_dim, latent_dim)
    precisions = np.eye(latent_dim) + by_pattern
    covariances = np.linalg.inv(precisions).astype(np.float64, copy=False)
    observed = block.observed[block.pattern]
    centered = block.cells - observed * model.mean
    means = np.einsum("njk,nk->nj", covariances[block.pattern], centered @ scaled)
    # r' Sigma^-1 r = |Psi^-1/2 (r - W m)|^2 + |m|^2: a sum of squares, so that nothing cancels
    residual = centered - observed * (means @ loadings.T)
    distances = residual**2 @ (1.0 / model.noise) + np.sum(means**2, axis=1)
    log_noise = block.observed @ np.log(2.0 * np.pi * model.noise)
    log_determinants = np.linalg.slogdet(precisions)[1] + log_noise
    return _Expectation(means, covariances, -0.5 * (log_determinants[block.pattern] + distances))


def _fit_incomplete(
    model: LinearModel, cells: Array, weights: Array, settings: _Settings
) -> LinearModel:
    """EM from `model` until the mean log-likelihood of a row rises by less than the tolerance."""
    # As np.unique orders the patterns.
    order = np.lexsort(np.packbits(~np.isnan(cells), axis=1).T[::-1])
    weights = weights / weights.mean()
    blocks = _blocks(cells[order], model.loadings.shape[1], weights[order])
    previous = -np.inf
    for _ in range(settings.max_iterations):
        following, log_likelihood = _em_step(model, blocks, settings)
        if log_likelihood - previous < settings.tolerance * cells.shape[1]:
            break
        model, previous = following, log_likelihood
    return model


def _em_step(
    model: LinearModel, blocks: list[_Block], settings: _Settings
) -> tuple[LinearModel, float]:
    """One step of EM, and the mean log-likelihood of a row before it.

    With y = (z, 1) and each feature's own observed rows, (W, mean) = (sum x E[y]') (sum E[y
    y'])^-1; then the distribution of z, expanded to N(a, C), is folded back: mean += W a, W <- W
    C^1/2.
    """
    size = model.loadings.shape[1] + 1
    counts, squares = np.zeros(len(model.mean)), np.zeros(len(model.mean))
    first, second = np.zeros((len(model.mean), size)), np.zeros((len(model.mean), size, size))
    latent, total, log_likelihood = np.zeros((size, size)), 0.0, 0.0
    for block in blocks:
        expected = _expect(model, block)
        moments, pattern_weights = _moments(expected, block)
        weighted = block.weights[:, None] * block.cells
        ones = np.column_stack([expected.means, np.ones(len(block.cells))])
        counts += pattern_weights @ block.observed
        squares += np.sum(weighted * block.cells, axis=0)
        first += weighted.T @ ones
        second += (block.observed.T @ moments).reshape(-1, size, size)
        latent += moments.sum(axis=0).reshape(size, size)
        total += block.weights.sum()
        log_likelihood += float(block.weights @ expected.log_likelihood)

    coefficients = np.linalg.solve(second + 1e-9 * np.eye(size), first[:, :, None])[:, :, 0]
    residual = squares - np.sum(coefficients * first, axis=1)
    noise = residual / np.maximum(counts, 1e-12)
    if settings.isotropic:
        noise = np.full(len(counts), residual.sum() / max(counts.sum(), 1e-12))
    # Of a feature without cells any noise is as likely.
    noise = np.where(counts > 0, np.maximum(noise, settings.floor), 1.0)
    loadings, mean = coefficients[:, :-1], coefficients[:, -1]
    center = latent[:-1, -1] / total
    spread = np.linalg.cholesky(latent[:-1, :-1] / total - np.outer(center, center))
    return LinearModel(mean + loadings @ center, loadings @ spread, noise), log_likelihood / total


def _moments(expected: _Expectation, block: _Block) -> tuple[Array, Array]:
    """sum E[y y'] over the rows of each pattern, y = (z, 1), shape (P, (k + 1)^2), and weights."""
    ones = np.column_stack([expected.means, np.ones(len(block.pattern))])
    starts = np.searchsorted(block.pattern, np.arange(len(block.observed)))
    outer = block.weights[:, None, None] * ones[:, :, None] * ones[:, None, :]
    moments = np.add.reduceat(outer, starts, axis=0)
    weights = np.add.reduceat(block.weights, starts)
    moments[:, :-1, :-1] += weights[:, None, None] * expected.covariances
    return moments.reshape(len(moments), -1), weights


# What both share.


def _rotated(model: LinearModel, latent_dim: int) -> LinearModel:
    """The same Gaussian with W' Psi^-1 W diagonal and decreasing, each largest loading positive."""
    scaled = model.loadings / np.sqrt(model.noise)[:, None]
    _, _, rotation = np.linalg.svd(scaled, full_matrices=False)
    loadings = model.loadings @ rotation.T
    largest = np.take_along_axis(loadings, np.abs(loadings).argmax(axis=0)[None], axis=0)
    loadings = loadings * np.where(largest < 0, -1.0, 1.0)
    return replace(model, loadings=np.pad(loadings, ((0, 0), (0, latent_dim - loadings.shape[1]))))
