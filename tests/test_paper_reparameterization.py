"""Laws of z = T(eps; phi): draws follow q, densities change by the Jacobian, gradients are those of
the expectation.
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax import random
from scipy import stats

from aevb.errors import ConfigError
from aevb_paper import reparameterization
from aevb_paper.reparameterization import (
    FAMILIES,
    Elliptical,
    Erlang,
    FisherSnedecor,
    Rayleigh,
    Triangular,
    base,
    rsample,
    transform,
)
from aevb_paper.reparameterization.distributions import open_uniform

N = 1000  # draws; one size for all, so that compiled pieces are shared
NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)
L = np.array([[1.5, 0.0], [-0.6, 0.8]])

# One-dimensional families: parameters, and SciPy's distribution as the independent witness.
SCALAR: dict[type, tuple[dict[str, float], Any]] = {
    dist.Exponential: ({"rate": 1.7}, stats.expon(scale=1 / 1.7)),
    dist.Cauchy: ({"loc": -0.4, "scale": 1.3}, stats.cauchy(-0.4, 1.3)),
    dist.Logistic: ({"loc": 0.6, "scale": 0.7}, stats.logistic(0.6, 0.7)),
    Rayleigh: ({"scale": 1.6}, stats.rayleigh(scale=1.6)),
    dist.Pareto: ({"scale": 0.8, "alpha": 2.4}, stats.pareto(2.4, scale=0.8)),
    dist.Weibull: ({"scale": 1.4, "concentration": 1.8}, stats.weibull_min(1.8, scale=1.4)),
    dist.LogUniform: ({"low": 0.3, "high": 4.0}, stats.loguniform(0.3, 4.0)),
    dist.Gompertz: ({"concentration": 0.6, "rate": 1.5}, stats.gompertz(0.6, scale=1 / 1.5)),
    dist.Gumbel: ({"loc": 0.5, "scale": 1.2}, stats.gumbel_r(0.5, 1.2)),
    Erlang: ({"concentration": 3, "rate": 1.4}, stats.gamma(3, scale=1 / 1.4)),
    dist.Laplace: ({"loc": -0.3, "scale": 0.9}, stats.laplace(-0.3, 0.9)),
    dist.StudentT: ({"df": 4.5, "loc": 0.2, "scale": 1.1}, stats.t(4.5, 0.2, 1.1)),
    dist.Uniform: ({"low": -0.7, "high": 1.9}, stats.uniform(-0.7, 2.6)),
    Triangular: ({"low": -1.0, "high": 2.0, "peak": 0.2}, stats.triang(0.4, -1.0, 3.0)),
    dist.Normal: ({"loc": 0.7, "scale": 1.3}, stats.norm(0.7, 1.3)),
    dist.LogNormal: ({"loc": 0.2, "scale": 0.6}, stats.lognorm(0.6, scale=np.exp(0.2))),
    dist.Gamma: ({"concentration": 2.3, "rate": 0.9}, stats.gamma(2.3, scale=1 / 0.9)),
    dist.Beta: ({"concentration1": 1.8, "concentration0": 2.6}, stats.beta(1.8, 2.6)),
    dist.Chi2: ({"df": 3.3}, stats.chi2(3.3)),
    FisherSnedecor: ({"numerator_df": 4.2, "denominator_df": 6.4}, stats.f(4.2, 6.4)),
}
VECTOR: dict[type, dict[str, Any]] = {
    Elliptical: {"loc": np.array([0.5, -1.0]), "scale_tril": L, "radial": dist.Gamma(3.0, 2.0)},
    dist.MultivariateNormal: {"loc": np.array([0.5, -1.0]), "scale_tril": L},
    dist.MultivariateStudentT: {"df": 7.0, "loc": np.array([0.5, -1.0]), "scale_tril": L},
    dist.Dirichlet: {"concentration": np.array([0.7, 1.5, 2.6])},
}
ROUTES = [(route, family) for route, families in FAMILIES.items() for family in families]
SCALAR_ROUTES = [(route, family) for route, family in ROUTES if family not in VECTOR]
ONE_TO_ONE = [
    (route, family)
    for route, family in SCALAR_ROUTES
    if not base(family(**SCALAR[family][0]), route).event_dim
]
MOVING_SUPPORT = [dist.LogUniform, dist.Uniform, Triangular, dist.Pareto]  # with phi
STILL_SUPPORT = [(route, family) for route, family in SCALAR_ROUTES if family not in MOVING_SUPPORT]


def over(routes: list[tuple[str, type]]) -> Any:
    return pytest.mark.parametrize(
        ("route", "family"), routes, ids=lambda v: getattr(v, "__name__", v)
    )


each_scalar = pytest.mark.parametrize("family", SCALAR, ids=lambda v: v.__name__)


@pytest.fixture
def float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def parameters(family: type) -> dict[str, Any]:
    return SCALAR[family][0] if family in SCALAR else VECTOR[family]


def witness(family: type) -> Any:
    return SCALAR[family][1]


def build(family: type) -> Any:
    return family(**parameters(family))


def differentiable(family: type) -> dict[str, Any]:
    fixed = {"radial"} | ({"concentration"} if family is Erlang else set())
    return {k: np.asarray(v, float) for k, v in parameters(family).items() if k not in fixed}


def with_parameters(family: type, phi: dict[str, Any]) -> Any:
    return family(**{**parameters(family), **phi})


def test_the_registry_lists_what_the_paper_lists() -> None:
    paper = {
        "inverse CDF": "Exponential Cauchy Logistic Rayleigh Pareto Weibull LogUniform Gompertz Gumbel Erlang",
        "location-scale": "Laplace Elliptical StudentT Logistic Uniform Triangular Normal",
        "composition": "LogNormal Gamma Dirichlet Beta Chi2 FisherSnedecor",
    }
    for route, names in paper.items():
        assert {family.__name__ for family in FAMILIES[route]} >= set(names.split())
    assert {family for _, family in ROUTES} == SCALAR.keys() | VECTOR.keys(), (
        "a new family needs parameters here"
    )


def test_public_names_exist() -> None:
    assert all(hasattr(reparameterization, name) for name in reparameterization.__all__)


# The density


@each_scalar
@pytest.mark.usefixtures("float64")
def test_density_is_scipys_and_integrates_to_one(family: type) -> None:
    q, p = build(family), witness(family)
    at = p.ppf(np.linspace(0.001, 0.999, 101))
    np.testing.assert_allclose(q.log_prob(at), p.logpdf(at), atol=1e-9)
    ends = p.ppf([1e-9, 1e-6, 1e-3, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999, 1 - 1e-6, 1 - 1e-9])
    half = np.diff(ends)[:, None] / 2  # Gauss-Legendre on each piece
    density = jnp.exp(q.log_prob(ends[:-1, None] + half * (1 + NODES)))
    assert (density * WEIGHTS * half).sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    "family", [Rayleigh, Triangular, FisherSnedecor, Erlang], ids=lambda v: v.__name__
)
@pytest.mark.usefixtures("float64")
def test_our_distributions_agree_with_scipy(family: type) -> None:
    q, p = build(family), witness(family)
    u = np.linspace(0.01, 0.99, 50)
    np.testing.assert_allclose(q.cdf(p.ppf(u)), u, atol=1e-9)
    if family is not FisherSnedecor:
        np.testing.assert_allclose(q.icdf(u), p.ppf(u), rtol=1e-9)
    np.testing.assert_allclose([q.mean, q.variance], [p.mean(), p.var()], rtol=1e-9)
    if family is not Erlang:  # NumPyro's
        z = q.sample(random.key(1), (N,))
        assert stats.kstest(z, p.cdf).pvalue > 0.01
        assert bool(q.support(z).all())


@pytest.mark.usefixtures("float64")
def test_elliptical_with_a_rayleigh_radius_is_gaussian() -> None:
    loc, z = np.array([0.5, -1.0]), random.normal(random.key(0), (7, 2))
    np.testing.assert_allclose(
        Elliptical(loc, L, Rayleigh()).log_prob(z),
        dist.MultivariateNormal(loc, scale_tril=L).log_prob(z),
        rtol=1e-9,
    )


@pytest.mark.usefixtures("float64")
def test_elliptical_density_integrates_to_one() -> None:
    grid = np.linspace(-12, 12, 801) + 0.0037
    z = np.stack(np.meshgrid(grid, grid), axis=-1)
    assert jnp.exp(build(Elliptical).log_prob(z)).sum() * (grid[1] - grid[0]) ** 2 == pytest.approx(
        1, abs=1e-3
    )


# The sample


@over(SCALAR_ROUTES)
@pytest.mark.usefixtures("float64")
def test_transformed_noise_follows_the_density(route: str, family: type) -> None:
    q = build(family)
    z = transform(q, base(q, route).sample(random.key(7), (N,)), route)
    assert bool(q.support(z).all())
    assert stats.kstest(z, witness(family).cdf).pvalue > 0.01


@over(ONE_TO_ONE)
@pytest.mark.usefixtures("float64")
def test_change_of_variables(route: str, family: type) -> None:
    """q(z) |dz/d eps| = p(eps), where one eps makes one z."""
    q = build(family)
    noise = base(q, route)
    eps = noise.sample(random.key(3), (N,))
    z = transform(q, eps, route)
    slope = jax.vmap(jax.grad(lambda e: transform(q, e, route)))(eps)
    np.testing.assert_allclose(
        q.log_prob(z) + jnp.log(jnp.abs(slope)), noise.log_prob(eps), atol=1e-7
    )


@pytest.mark.parametrize("family", [dist.MultivariateNormal, dist.MultivariateStudentT, Elliptical])
@pytest.mark.usefixtures("float64")
def test_change_of_variables_of_vectors(family: type) -> None:
    q = build(family)
    eps = base(q).sample(random.key(3), (N,))
    jacobian = jax.vmap(jax.jacfwd(lambda e: transform(q, e)))(eps)
    log_det = jnp.linalg.slogdet(jacobian)[1]
    np.testing.assert_allclose(
        q.log_prob(transform(q, eps)) + log_det, base(q).log_prob(eps), atol=1e-9
    )


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("family", "spread"), [(dist.MultivariateNormal, 1.0), (dist.MultivariateStudentT, 7 / 5)]
)
def test_moments_of_vectors(family: type, spread: float) -> None:
    centred = rsample(build(family), random.key(5), (N,)) - parameters(family)["loc"]
    squares = jnp.einsum("ni,nj->nij", centred, centred)
    for draws, moment in ((centred, 0.0), (squares, spread * L @ L.T)):
        assert bool((jnp.abs(draws.mean(0) - moment) < 4 * draws.std(0) / N**0.5).all())


@pytest.mark.usefixtures("float64")
def test_elliptical_radius_and_direction() -> None:
    q = build(Elliptical)
    w = jnp.linalg.solve(L, (rsample(q, random.key(5), (N,)) - q.loc).T)
    assert stats.kstest(jnp.linalg.norm(w, axis=0), stats.gamma(3, scale=1 / 2).cdf).pvalue > 0.01
    assert stats.kstest(jnp.arctan2(w[1], w[0]), stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 0.01


@pytest.mark.usefixtures("float64")
def test_dirichlet_marginals_are_beta() -> None:
    q = build(dist.Dirichlet)
    z = rsample(q, random.key(5), (N,))
    np.testing.assert_allclose(z.sum(-1), 1, atol=1e-12)
    for a, column in zip(q.concentration, z.T, strict=True):
        assert stats.kstest(column, stats.beta(a, q.concentration.sum() - a).cdf).pvalue > 0.01


@pytest.mark.usefixtures("float64")
def test_erlang_by_both_routes_and_different_counts() -> None:
    q = Erlang(np.array([1, 4]), np.array([2.0, 0.5]))
    for route in ("inverse CDF", "composition"):
        z = rsample(q, random.key(4), (N,), route)
        for k, rate, column in zip((1, 4), (2.0, 0.5), z.T, strict=True):
            assert stats.kstest(column, stats.gamma(k, scale=1 / rate).cdf).pvalue > 0.01


def test_gaussian_is_mu_plus_sigma_eps_to_the_last_bit() -> None:
    key = random.key(0)
    mu, sigma = random.normal(key, (64,)), jnp.exp(random.normal(random.key(1), (64,)))
    q, eps = dist.Normal(mu, sigma).to_event(1), random.normal(key, (9, 64))
    assert jnp.array_equal(transform(q, eps), mu + sigma * eps)
    assert jnp.array_equal(rsample(q, key, (9,)), q.rsample(key, (9,)))


# NumPyro has no quantile function for the Weibull, and needs another library for the Gamma's.
@pytest.mark.parametrize(
    "family",
    [f for f in FAMILIES["inverse CDF"] if f not in (dist.Weibull, Erlang)],
    ids=lambda v: v.__name__,
)
@pytest.mark.usefixtures("float64")
def test_equations_are_numpyros_quantiles(family: type) -> None:
    q, u = build(family), jnp.linspace(0.001, 0.999, 99)
    np.testing.assert_allclose(transform(q, u, "inverse CDF"), q.icdf(u), rtol=1e-9)


# The gradient


def squash(z: Any) -> Any:
    """A bounded test function, so that heavy tails have an expectation."""
    return jnp.tanh(0.7 * z - 0.2).sum(-1) if jnp.ndim(z) > 1 else jnp.tanh(0.7 * z - 0.2)


def slope(function: Any, at: Any) -> Any:
    return jax.jvp(function, (at,), (jnp.ones_like(at),))[1]


@pytest.mark.parametrize("family", [*MOVING_SUPPORT, *VECTOR, dist.Gamma], ids=lambda v: v.__name__)
@pytest.mark.usefixtures("float64")
def test_gradient_of_an_expectation_is_its_finite_difference(family: type) -> None:
    """With the same eps on both sides."""
    eps = base(build(family)).sample(random.key(11), (N,))

    def expectation(phi: dict[str, Any]) -> Any:
        return squash(transform(with_parameters(family, phi), eps)).mean()

    phi = differentiable(family)
    for name, value in phi.items():
        for index in np.ndindex(value.shape):
            if name == "scale_tril" and index[0] < index[1]:
                continue
            step = np.zeros_like(value)
            step[index] = 1e-5
            along = slope(
                lambda s, name=name, value=value, step=step: expectation(
                    {**phi, name: value + s * step}
                ),
                0.0,
            )
            up, down = (expectation({**phi, name: value + s * step}) for s in (1, -1))
            assert along == pytest.approx(float(up - down) / 2, abs=1e-12)


@over(STILL_SUPPORT)
@pytest.mark.usefixtures("float64")
def test_both_gradients_of_an_expectation_agree(route: str, family: type) -> None:
    """E[grad f(T(eps; phi))] = integral of f grad q: the second knows nothing of T."""
    phi, p = differentiable(family), witness(family)
    if route == "location-scale":
        phi = {k: v for k, v in phi.items() if k not in ("df", "peak")}  # these stay in p(eps)
    noise = base(build(family), route)
    eps = noise.sample(random.key(2), (N,))
    z = p.ppf((NODES + 1) / 2)

    for name in phi:
        each = slope(
            lambda v, name=name: squash(
                transform(with_parameters(family, {**phi, name: v}), eps, route)
            ),
            phi[name],
        )
        score = slope(
            lambda v, name=name: with_parameters(family, {**phi, name: v}).log_prob(z), phi[name]
        )
        exact = float((WEIGHTS / 2 * squash(z) * score).sum())  # q dz = dF
        assert each.mean() == pytest.approx(exact, abs=4 * float(each.std()) / N**0.5 + 1e-4)


def gamma_moment(concentration: Any, rate: Any) -> Any:
    return concentration * (1 + concentration) / rate**2


def triangular_moment(low: Any, high: Any, peak: Any) -> Any:
    return (low**2 + high**2 + peak**2 + low * high + low * peak + high * peak) / 6


SECOND_MOMENTS = [
    (dist.Gamma, {"concentration": 2.3, "rate": 0.9}, gamma_moment),
    (
        dist.StudentT,
        {"df": 9.0, "loc": 0.0, "scale": 1.0},
        lambda df, loc, scale: loc**2 + scale**2 * df / (df - 2),
    ),
    (Triangular, {"low": 0.0, "high": 2.0, "peak": 0.5}, triangular_moment),
]


@pytest.mark.parametrize(
    ("family", "phi", "second_moment"),
    SECOND_MOMENTS,
    ids=[row[0].__name__ for row in SECOND_MOMENTS],
)
@pytest.mark.usefixtures("float64")
def test_gradient_of_the_second_moment_in_every_parameter(
    family: type, phi: dict[str, float], second_moment: Any
) -> None:
    for name, value in phi.items():
        each = slope(
            lambda v, name=name: rsample(family(**{**phi, name: v}), random.key(8), (N,)) ** 2,
            value,
        )
        exact = slope(lambda v, name=name: second_moment(**{**phi, name: v}), value)
        assert each.mean() == pytest.approx(float(exact), abs=4 * float(each.std()) / N**0.5)


# Numbers in single precision, shapes, compilation


@over(ROUTES)
def test_single_precision_is_finite_at_the_ends_of_eps(route: str, family: type) -> None:
    q = build(family)
    noise = base(q, route)
    ends = jnp.array([jnp.finfo(jnp.float32).eps / 2, 1 - jnp.finfo(jnp.float32).eps])
    eps = noise.sample(random.key(0), (N,))
    if family not in VECTOR and bool(((eps > 0) & (eps < 1)).all()):  # uniform noise
        eps = eps.at[:2].set(ends.reshape(2, *[1] * (eps.ndim - 1)))
    phi = jax.tree.map(lambda v: jnp.asarray(v, jnp.float32), differentiable(family))
    ones = jax.tree.map(jnp.ones_like, phi)
    z, slopes = jax.jvp(
        lambda phi: transform(with_parameters(family, phi), eps, route), (phi,), (ones,)
    )
    assert z.dtype == slopes.dtype == jnp.float32
    assert bool(jnp.isfinite(z).all())
    assert bool(jnp.isfinite(slopes).all())


@pytest.mark.parametrize("concentration", [0.01, 0.1, 1.0, 1e3])
def test_small_and_large_concentrations_stay_inside_the_support(concentration: float) -> None:
    for q in (
        dist.Gamma(concentration),
        dist.Beta(concentration, concentration),
        dist.Dirichlet(jnp.full(3, concentration)),
    ):
        z = rsample(q, random.key(0), (N,))
        assert bool(jnp.isfinite(q.log_prob(z)).all())


@over(ROUTES)
def test_shapes_of_batches_and_expansions(route: str, family: type) -> None:
    three = build(family).expand((3,))
    traced = (
        () if (family, route) == (Erlang, "composition") else (three,)
    )  # there the number of uniforms is a shape
    shape = jax.eval_shape(lambda q=three: rsample(q, random.key(6), (5,), route), *traced)
    assert shape.shape == three.shape((5,))


@pytest.mark.parametrize(
    "family", [dist.Gamma, dist.StudentT, dist.MultivariateNormal], ids=lambda v: v.__name__
)
def test_compiled_and_mapped_draws_are_the_same(family: type) -> None:
    q, keys = build(family), random.split(random.key(6), 3)
    one_by_one = jnp.stack([rsample(q, key) for key in keys])
    together = jax.jit(lambda q: jax.vmap(lambda key: rsample(q, key))(keys))(q)
    np.testing.assert_allclose(together, one_by_one, rtol=1e-4, atol=1e-6)


def test_vmap_over_parameters() -> None:
    rates, eps = jnp.array([0.5, 1.0, 2.0]), jnp.array([0.1, 0.5, 0.9])
    mapped = jax.vmap(transform)(jax.vmap(dist.Exponential)(rates), eps)
    np.testing.assert_allclose(mapped, transform(dist.Exponential(rates), eps), rtol=1e-6)


def test_open_uniform_never_meets_its_ends() -> None:
    draws = open_uniform().sample(random.key(0), (1_000_000,))
    assert draws.min() > 0
    assert draws.max() < 1


def test_what_has_no_route_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="got Poisson; add its Route"):
        base(dist.Poisson(1.0))
    with pytest.raises(ConfigError, match="by inverse CDF, got Normal"):
        transform(dist.Normal(), jnp.zeros(()), "inverse CDF")
    with pytest.raises(ConfigError, match="expected a route among"):
        rsample(dist.Normal(), random.key(0), (), "rejection")
