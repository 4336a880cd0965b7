"""Factor analysis and probabilistic PCA, exact, with missing cells: where a model starts, and what
it must beat.

    z ~ N(0, I),    x | z ~ N(mean + W z, Psi),    Psi = diag(noise)

A row's missing cells are marginalised by leaving their features out of W and Psi. With

    M_o = I + W_o' Psi_o^-1 W_o        (k x k, the posterior's precision given the observed cells o)

the posterior is N(M_o^-1 W_o' Psi_o^-1 (x_o - mean_o), M_o^-1) and log det Sigma_o = log det Psi_o
+ log det M_o, so no F x F matrix is ever needed (Woodbury). Rows that miss the same cells share
M_o.
"""

from collections.abc import Callable
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
        return np.concatenate(
            [
                _expect(self, block).log_likelihood
                for block in _blocks(features, self.loadings.shape[1])
            ]
        )

    def posterior(self, features: ArrayLike) -> Array:
        """E[z | x_o], the posterior means given the observed cells, shape (n, k)."""
        return np.concatenate(
            [_expect(self, block).means for block in _blocks(features, self.loadings.shape[1])]
        )

    def filled(self, features: ArrayLike) -> Array:
        """The rows with each missing cell replaced by E[x_m | x_o] = mean_m + W_m E[z | x_o], shape
        (n, F).
        """
        cells = np.asarray(features, dtype=np.float64)
        return np.where(np.isnan(cells), self.mean + self.posterior(cells) @ self.loadings.T, cells)


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
    """The maximum-likelihood factor analysis (or, isotropic, probabilistic PCA) of rows with NaN
    for missing cells.

    Complete rows: probabilistic PCA in closed form (Tipping & Bishop 1999); factor analysis by
    maximising the likelihood profiled over W (Joreskog 1967). Missing cells: parameter-expanded EM
    (Liu, Rubin & Wu 1998), started there with cells at their features' means, on at most
    `MAXIMUM_ROWS` rows and about `MAXIMUM_CELLS` cells, drawn with a fixed seed; so is factor
    analysis of more than `DENSE_FEATURES` features.

    Parameters
    ----------
    features
        Shape (n, F), standardised if `noise_floor` is left alone.
    latent_dim
        k. More than F - 1 factors add nothing to a Gaussian of F features: their loadings are zero.
    isotropic
        One noise variance for all features.
    weights
        Of the rows, shape (n,); only their ratios matter.
    noise_floor
        Least noise variance, one for all or one for each feature.
    max_iterations, tolerance
        Stop after so many iterations, or when the mean log-likelihood of a row rises by less than
        this (nats a feature).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(2000, 1)) @ [[3.0, -2.0, 1.0]] + rng.normal(size=(2000, 3))
    >>> model = fit(x, 1)
    >>> np.round(model.loadings[:, 0]), np.round(model.noise)
    (array([ 3., -2.,  1.]), array([1., 1., 1.]))
    """
    cells = np.asarray(features, dtype=np.float64)
    row_weights = np.ones(len(cells)) if weights is None else np.asarray(weights, dtype=np.float64)
    floor = np.broadcast_to(np.asarray(noise_floor, dtype=np.float64), cells.shape[1:])
    cells, row_weights = cells[row_weights > 0], row_weights[row_weights > 0]
    missing = np.isnan(cells)
    if missing.any() or cells.shape[1] > DENSE_FEATURES:
        kept = _subsample(*cells.shape)
        cells, row_weights, missing = cells[kept], row_weights[kept], missing[kept]

    share = row_weights / max(row_weights.sum(), np.finfo(np.float64).tiny)
    observed_share = share @ ~missing
    mean = share @ np.where(missing, 0.0, cells) / np.where(observed_share > 0, observed_share, 1.0)
    rank = min(latent_dim, cells.shape[1] - 1)
    settings = _Settings(floor, isotropic, max_iterations, tolerance)
    model = _fit_complete(
        np.sqrt(share)[:, None] * np.where(missing, 0.0, cells - mean), rank, settings
    )
    if missing.any():
        model = _fit_incomplete(model, cells - mean, row_weights, settings)
    return _rotated(replace(model, mean=mean + model.mean), latent_dim)


class _Settings(NamedTuple):
    floor: Array  # (F,)
    isotropic: bool
    max_iterations: int
    tolerance: float


# Complete rows.


def _fit_complete(centred: Array, rank: int, settings: _Settings) -> LinearModel:
    """The model of centred rows, each times the root of its share: centred' centred is the
    covariance.
    """
    variances = np.einsum("nf,nf->f", centred, centred)
    large = centred.shape[1] > DENSE_FEATURES
    covariance = np.empty((0, 0)) if large else centred.T @ centred

    def leading(noise: Array) -> tuple[Array, Array]:
        """The first eigenvalues and eigenvectors of Psi^-1/2 S Psi^-1/2."""
        root = np.sqrt(noise)
        return (
            _randomised(centred / root, rank)
            if large
            else _leading_eigen(covariance / np.outer(root, root), rank)
        )

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
    """Minimise -2 log p over log Psi, with W at its optimum given Psi.

    With l_j the leading eigenvalues of Psi^-1/2 S Psi^-1/2 and v_j its eigenvectors, W = Psi^1/2 v
    (l - 1)^1/2 and

        -2 log p = sum log Psi + sum_j (log l_j + 1 - l_j) + tr(Psi^-1 S),

    whose gradient is (diag(W W') + Psi - S) / Psi.
    """

    def at(log_noise: Array) -> tuple[Array, Array, Array]:
        noise = np.exp(log_noise)
        eigenvalues, eigenvectors = leading(noise)
        eigenvalues = np.maximum(eigenvalues, 1.0)
        return (
            noise,
            eigenvalues,
            np.sqrt(noise)[:, None] * eigenvectors * np.sqrt(eigenvalues - 1.0),
        )

    def negative(log_noise: Array) -> tuple[float, Array]:
        noise, eigenvalues, loadings = at(log_noise)
        value = (
            log_noise.sum()
            + np.sum(np.log(eigenvalues) + 1.0 - eigenvalues)
            + np.sum(variances / noise)
        )
        return float(value), (np.sum(loadings**2, axis=1) + noise - variances) / noise

    low = np.log(settings.floor)
    high = np.maximum(
        np.log(np.maximum(variances, np.finfo(np.float64).tiny)), low
    )  # noise is part of the variance
    solution = scipy.optimize.minimize(
        negative,
        np.clip(np.log(np.maximum(start, np.finfo(np.float64).tiny)), low, high),
        jac=True,
        method="L-BFGS-B",
        bounds=np.column_stack([low, high]),
        options={
            "maxiter": settings.max_iterations,
            "ftol": settings.tolerance / 100,
            "gtol": 1e-5,
        },
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


def _randomised(rows: Array, rank: int) -> tuple[Array, Array]:
    from sklearn.utils.extmath import randomized_svd

    _, singular, right = randomized_svd(rows, min(rank, *rows.shape), n_iter=4, random_state=0)
    padding = rank - len(singular)
    return np.pad(singular**2, (0, padding)), np.pad(right.T, ((0, 0), (0, padding)))


# Rows with missing cells.


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
    starts = range(0, max(len(cells), 1), size)
    return [
        _block(cells[start : start + size], row_weights[start : start + size]) for start in starts
    ]


def _block(cells: Array, weights: Array) -> _Block:
    observed = ~np.isnan(cells)
    _, first, pattern = np.unique(
        np.packbits(observed, axis=1), axis=0, return_index=True, return_inverse=True
    )
    return _Block(
        np.where(observed, cells, 0.0),
        observed[first].astype(np.float64),
        pattern.reshape(-1),
        weights,
    )


def _expect(model: LinearModel, block: _Block) -> _Expectation:
    """The E-step: each row's posterior and log-likelihood given its observed cells."""
    loadings, latent_dim = model.loadings, model.loadings.shape[1]
    scaled = loadings / model.noise[:, None]
    products = (loadings[:, :, None] * scaled[:, None, :]).reshape(len(loadings), latent_dim**2)
    identity = np.eye(latent_dim)
    precisions = identity + (block.observed @ products).reshape(
        len(block.observed), *identity.shape
    )
    covariances = np.linalg.inv(precisions).astype(np.float64, copy=False)
    observed = block.observed[block.pattern]
    centred = block.cells - observed * model.mean
    means = np.einsum("njk,nk->nj", covariances[block.pattern], centred @ scaled)
    # r' Sigma^-1 r = |Psi^-1/2 (r - W m)|^2 + |m|^2: a sum of squares, so that nothing cancels
    residual = centred - observed * (means @ loadings.T)
    distances = residual**2 @ (1.0 / model.noise) + np.sum(means**2, axis=1)
    log_determinants = np.linalg.slogdet(precisions)[1] + block.observed @ np.log(
        2.0 * np.pi * model.noise
    )
    return _Expectation(means, covariances, -0.5 * (log_determinants[block.pattern] + distances))


def _fit_incomplete(
    model: LinearModel, cells: Array, weights: Array, settings: _Settings
) -> LinearModel:
    """EM from `model` until the mean log-likelihood of a row rises by less than the tolerance."""
    order = np.lexsort(
        np.packbits(~np.isnan(cells), axis=1).T[::-1]
    )  # as np.unique orders the patterns
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
    """One step of parameter-expanded EM, and the mean log-likelihood of a row before it.

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
    noise = (
        np.full(len(counts), residual.sum() / max(counts.sum(), 1e-12))
        if settings.isotropic
        else residual / np.maximum(counts, 1e-12)
    )
    noise = np.where(
        counts > 0, np.maximum(noise, settings.floor), 1.0
    )  # a feature without cells: any noise is as likely
    loadings, mean = coefficients[:, :-1], coefficients[:, -1]
    centre = latent[:-1, -1] / total
    spread = np.linalg.cholesky(latent[:-1, :-1] / total - np.outer(centre, centre))
    return LinearModel(mean + loadings @ centre, loadings @ spread, noise), log_likelihood / total


def _moments(expected: _Expectation, block: _Block) -> tuple[Array, Array]:
    """sum E[y y'] over the rows of each pattern, y = (z, 1), shape (P, (k + 1)^2), and the sum of
    their weights.
    """
    ones = np.column_stack([expected.means, np.ones(len(block.pattern))])
    starts = np.searchsorted(block.pattern, np.arange(len(block.observed)))
    outer = block.weights[:, None, None] * ones[:, :, None] * ones[:, None, :]
    moments = np.add.reduceat(outer, starts, axis=0)
    weights = np.add.reduceat(block.weights, starts)
    moments[:, :-1, :-1] += weights[:, None, None] * expected.covariances
    return moments.reshape(len(moments), -1), weights


# What both share.


def _rotated(model: LinearModel, latent_dim: int) -> LinearModel:
    """The same Gaussian, with W' Psi^-1 W diagonal, decreasing, each factor's largest loading
    positive.
    """
    _, _, rotation = np.linalg.svd(
        model.loadings / np.sqrt(model.noise)[:, None], full_matrices=False
    )
    loadings = model.loadings @ rotation.T
    largest = np.take_along_axis(loadings, np.abs(loadings).argmax(axis=0)[None], axis=0)
    loadings = loadings * np.where(largest < 0, -1.0, 1.0)
    return replace(model, loadings=np.pad(loadings, ((0, 0), (0, latent_dim - loadings.shape[1]))))


def _subsample(rows: int, features: int) -> NDArray[np.intp]:
    kept = min(rows, MAXIMUM_ROWS, max(MAXIMUM_CELLS // max(features, 1), 1_000))
    return np.sort(np.random.default_rng(0).choice(rows, kept, replace=False))
