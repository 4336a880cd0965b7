"""Laws of z = T(eps; phi): draws follow q, densities change by the Jacobian, gradients agree."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax import random
from scipy import stats

from aevb_paper.distributions import Elliptical, FisherSnedecor, Triangular, open_uniform
from aevb_paper.reparameterization import (
    FAMILIES,
    Family,
)

N = 1000  # draws; one size for all, so that compiled pieces are shared
NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)
L = np.array([[1.5, 0.0], [-0.6, 0.8]])


class Witness(NamedTuple):
    """A family with other parameters than its example, and the same distribution in SciPy."""

    q: Callable[..., dist.Distribution]
    phi: dict[str, Any]
    scipy: Any = None

    def build(self, **other: Any) -> dist.Distribution:
        return self.q(**{**self.phi, **other})


def rayleigh(scale: Any) -> dist.Distribution:
    return dist.Weibull(scale * np.sqrt(2), 2.0)


def erlang(rate: Any) -> dist.Distribution:
    return dist.Gamma(3.0, rate)


def elliptical(loc: Any, scale_tril: Any) -> dist.Distribution:
    return Elliptical(loc, scale_tril, dist.Gamma(3.0, 2.0))


def gaussian(loc: Any, scale_tril: Any) -> dist.Distribution:
    return dist.MultivariateNormal(loc, scale_tril=scale_tril)


WITNESSES = {
    "Exponential": Witness(dist.Exponential, {"rate": 1.7}, stats.expon(scale=1 / 1.7)),
    "Cauchy": Witness(dist.Cauchy, {"loc": -0.4, "scale": 1.3}, stats.cauchy(-0.4, 1.3)),
    "Logistic": Witness(dist.Logistic, {"loc": 0.6, "scale": 0.7}, stats.logistic(0.6, 0.7)),
    "Rayleigh": Witness(rayleigh, {"scale": 1.6}, stats.rayleigh(scale=1.6)),
    "Pareto": Witness(dist.Pareto, {"scale": 0.8, "alpha": 2.4}, stats.pareto(2.4, scale=0.8)),
    "Weibull": Witness(
        dist.Weibull, {"scale": 1.4, "concentration": 1.8}, stats.weibull_min(1.8, scale=1.4)
    ),
    "Reciprocal": Witness(dist.LogUniform, {"low": 0.3, "high": 4.0}, stats.loguniform(0.3, 4.0)),
    "Gompertz": Witness(
        dist.Gompertz, {"concentration": 0.6, "rate": 1.5}, stats.gompertz(0.6, scale=1 / 1.5)
    ),
    "Gumbel": Witness(dist.Gumbel, {"loc": 0.5, "scale": 1.2}, stats.gumbel_r(0.5, 1.2)),
    "Erlang": Witness(erlang, {"rate": 1.4}, stats.gamma(3, scale=1 / 1.4)),
    "Laplace": Witness(dist.Laplace, {"loc": -0.3, "scale": 0.9}, stats.laplace(-0.3, 0.9)),
    "Student's t": Witness(
        dist.StudentT, {"df": 4.5, "loc": 0.2, "scale": 1.1}, stats.t(4.5, 0.2, 1.1)
    ),
    "Uniform": Witness(dist.Uniform, {"low": -0.7, "high": 1.9}, stats.uniform(-0.7, 2.6)),
    "Triangular": Witness(
        Triangular, {"low": -1.0, "high": 2.0, "peak": 0.2}, stats.triang(0.4, -1.0, 3.0)
    ),
    "Gaussian": Witness(dist.Normal, {"loc": 0.7, "scale": 1.3}, stats.norm(0.7, 1.3)),
    "Log-Normal": Witness(
        dist.LogNormal, {"loc": 0.2, "scale": 0.6}, stats.lognorm(0.6, scale=np.exp(0.2))
    ),
    "Gamma": Witness(
        dist.Gamma, {"concentration": 2.3, "rate": 0.9}, stats.gamma(2.3, scale=1 / 0.9)
    ),
    "Beta": Witness(
        dist.Beta, {"concentration1": 1.8, "concentration0": 2.6}, stats.beta(1.8, 2.6)
    ),
    "Chi-Squared": Witness(dist.Chi2, {"df": 3.3}, stats.chi2(3.3)),
    "F": Witness(FisherSnedecor, {"numerator_df": 4.2, "denominator_df": 6.4}, stats.f(4.2, 6.4)),
    "Elliptical": Witness(elliptical, {"loc": np.array([0.5, -1.0]), "scale_tril": L}),
    "Gaussian, full covariance": Witness(gaussian, {"loc": np.array([0.5, -1.0]), "scale_tril": L}),
    "Student's t, of vectors": Witness(
        dist.MultivariateStudentT, {"df": 7.0, "loc": np.array([0.5, -1.0]), "scale_tril": L}
    ),
    "Dirichlet": Witness(dist.Dirichlet, {"concentration": np.array([0.7, 1.5, 2.6])}),
}
ALL = [(technique, family) for technique, group in FAMILIES.items() for family in group]
SCALAR = [pair for pair in ALL if WITNESSES[pair[1].name].scipy is not None]
MOVING_SUPPORT = ["Reciprocal", "Uniform", "Triangular", "Pareto"]  # with phi
VECTORS = ["Elliptical", "Gaussian, full covariance", "Student's t, of vectors"]


def over(pairs: list[tuple[str, Family]]) -> pytest.MarkDecorator:
    ids = [f"{family.name} by {technique}" for technique, family in pairs]
    return pytest.mark.parametrize(("technique", "family"), pairs, ids=ids)


def named(name: str) -> tuple[Family, Witness]:
    """The first family of a name, and its witness."""
    return next(family for _, family in ALL if family.name == name), WITNESSES[name]


def draw(family: Family, q: dist.Distribution, seed: int) -> jax.Array:
    return family.transform(q, family.noise(q).sample(random.key(seed), (N,)))


def slope(function: Callable[[Any], Any], at: Any) -> Any:
    return jax.jvp(function, (at,), (jnp.ones_like(at),))[1]


@pytest.fixture
def float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def test_the_registry_has_what_the_paper_lists() -> None:
    paper = {
        "inverse CDF": "Exponential Cauchy Logistic Rayleigh Pareto Weibull Reciprocal Gompertz "
        "Gumbel Erlang",
        "location-scale": "Laplace Elliptical Student's_t Logistic Uniform Triangular Gaussian",
        "composition": "Log-Normal Gamma Dirichlet Beta Chi-Squared F",
    }
    for technique, names in paper.items():
        found = {family.name.replace(" ", "_") for family in FAMILIES[technique]}
        assert found >= set(names.split())
    assert {family.name for _, family in ALL} == WITNESSES.keys(), "a new family needs a witness"


# The density


@over(SCALAR)
@pytest.mark.usefixtures("float64")
def test_density_is_scipys_and_integrates_to_one(technique: str, family: Family) -> None:
    witness = WITNESSES[family.name]
    q, p = witness.build(), witness.scipy
    at = p.ppf(np.linspace(0.001, 0.999, 101))
    np.testing.assert_allclose(q.log_prob(at), p.logpdf(at), atol=1e-9)
    inner = [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99]
    ends = p.ppf([1e-9, 1e-6, 1e-3, *inner, 0.999, 1 - 1e-6, 1 - 1e-9])
    half = np.diff(ends)[:, None] / 2  # Gauss-Legendre on each piece
    density = jnp.exp(q.log_prob(ends[:-1, None] + half * (1 + NODES)))
    assert (density * WEIGHTS * half).sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.usefixtures("float64")
def test_elliptical_density_integrates_to_one() -> None:
    grid = np.linspace(-12, 12, 801) + 0.0037
    z = np.stack(np.meshgrid(grid, grid), axis=-1)
    total = jnp.exp(WITNESSES["Elliptical"].build().log_prob(z)).sum() * (grid[1] - grid[0]) ** 2
    assert total == pytest.approx(1, abs=1e-3)


# The sample


@over(SCALAR)
@pytest.mark.usefixtures("float64")
def test_transformed_noise_follows_the_density(technique: str, family: Family) -> None:
    witness = WITNESSES[family.name]
    z = draw(family, witness.build(), 7)
    low, high = witness.scipy.support()
    assert bool(((z >= low) & (z <= high)).all())
    assert stats.kstest(z, witness.scipy.cdf).pvalue > 0.01


@over(SCALAR)
@pytest.mark.usefixtures("float64")
def test_change_of_variables(technique: str, family: Family) -> None:
    """q(z) |dz/d eps| = p(eps), where one eps makes one z."""
    q = WITNESSES[family.name].build()
    noise = family.noise(q)
    if noise.event_dim:
        pytest.skip("several eps make one z")
    eps = noise.sample(random.key(3), (N,))
    log_slope = jnp.log(jnp.abs(slope(lambda eps: family.transform(q, eps), eps)))
    log_q = q.log_prob(family.transform(q, eps))
    np.testing.assert_allclose(log_q + log_slope, noise.log_prob(eps), atol=1e-7)


@pytest.mark.parametrize("name", VECTORS)
@pytest.mark.usefixtures("float64")
def test_change_of_variables_of_vectors(name: str) -> None:
    family, witness = named(name)
    q = witness.build()
    eps = family.noise(q).sample(random.key(3), (N,))
    jacobian = jax.vmap(jax.jacfwd(lambda eps: family.transform(q, eps)))(eps)
    log_q = q.log_prob(family.transform(q, eps)) + jnp.linalg.slogdet(jacobian)[1]
    np.testing.assert_allclose(log_q, family.noise(q).log_prob(eps), atol=1e-9)


@pytest.mark.parametrize(
    ("name", "spread"), [("Gaussian, full covariance", 1.0), ("Student's t, of vectors", 7 / 5)]
)
@pytest.mark.usefixtures("float64")
def test_moments_of_vectors(name: str, spread: float) -> None:
    family, witness = named(name)
    centered = draw(family, witness.build(), 5) - witness.phi["loc"]
    squares = jnp.einsum("ni,nj->nij", centered, centered)
    for draws, moment in ((centered, 0.0), (squares, spread * L @ L.T)):
        assert bool((jnp.abs(draws.mean(0) - moment) < 4 * draws.std(0) / N**0.5).all())


@pytest.mark.usefixtures("float64")
def test_elliptical_radius_and_direction() -> None:
    family, witness = named("Elliptical")
    w = jnp.linalg.solve(L, (draw(family, witness.build(), 5) - witness.phi["loc"]).T)
    assert stats.kstest(jnp.linalg.norm(w, axis=0), stats.gamma(3, scale=1 / 2).cdf).pvalue > 0.01
    assert stats.kstest(jnp.arctan2(w[1], w[0]), stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 0.01


@pytest.mark.usefixtures("float64")
def test_dirichlet_marginals_are_beta() -> None:
    family, witness = named("Dirichlet")
    z, concentration = draw(family, witness.build(), 5), witness.phi["concentration"]
    np.testing.assert_allclose(z.sum(-1), 1, atol=1e-12)
    for a, column in zip(concentration, z.T, strict=True):
        assert stats.kstest(column, stats.beta(a, concentration.sum() - a).cdf).pvalue > 0.01


def test_gaussian_is_numpyros_to_the_last_bit() -> None:
    key = random.key(0)
    mu, sigma = random.normal(key, (64,)), jnp.exp(random.normal(random.key(1), (64,)))
    family, q = named("Gaussian")[0], dist.Normal(mu, sigma)
    eps = dist.Normal().sample(key, (9, 64))
    assert jnp.array_equal(family.transform(q, eps), q.rsample(key, (9,)))


# NumPyro has no quantile function for the Weibull, and needs another library for the Gamma's.
@over([pair for pair in ALL[:10] if pair[1].name not in ("Weibull", "Rayleigh", "Erlang")])
@pytest.mark.usefixtures("float64")
def test_equations_are_numpyros_quantiles(technique: str, family: Family) -> None:
    q, u = WITNESSES[family.name].build(), jnp.linspace(0.001, 0.999, 99)
    np.testing.assert_allclose(family.transform(q, u), q.icdf(u), rtol=1e-9)


# The gradient


def squash(z: Any) -> Any:
    """A bounded test function, so that heavy tails have an expectation."""
    return jnp.tanh(0.7 * z - 0.2).sum(-1) if jnp.ndim(z) > 1 else jnp.tanh(0.7 * z - 0.2)


@pytest.mark.parametrize("name", [*MOVING_SUPPORT, *VECTORS, "Dirichlet", "Gamma"])
@pytest.mark.usefixtures("float64")
def test_gradient_of_an_expectation_is_its_finite_difference(name: str) -> None:
    """With the same eps on both sides."""
    family, witness = named(name)
    eps = family.noise(witness.build()).sample(random.key(11), (N,))
    for parameter, value in witness.phi.items():
        for index in np.ndindex(np.shape(value)):
            if parameter == "scale_tril" and index[0] < index[1]:
                continue
            step = np.zeros(np.shape(value))
            step[index] = 1e-5

            def expectation(s: Any, parameter=parameter, value=value, step=step) -> Any:
                q = witness.build(**{parameter: value + s * step})
                return squash(family.transform(q, eps)).mean()

            difference = (expectation(1.0) - expectation(-1.0)) / 2
            assert slope(expectation, 0.0) == pytest.approx(float(difference), abs=1e-12)


@over([pair for pair in SCALAR if pair[1].name not in MOVING_SUPPORT])
@pytest.mark.usefixtures("float64")
def test_both_gradients_of_an_expectation_agree(technique: str, family: Family) -> None:
    """E[grad f(T(eps; phi))] = integral of f grad q: the second knows nothing of T."""
    witness = WITNESSES[family.name]
    eps = family.noise(witness.build()).sample(random.key(2), (N,))
    z = witness.scipy.ppf((NODES + 1) / 2)
    for name, value in witness.phi.items():
        if technique == "location-scale" and name == "df":
            continue  # it stays in p(eps)

        def at(value: Any, name: str = name) -> dist.Distribution:
            return witness.build(**{name: value})

        each = slope(lambda v, at=at: squash(family.transform(at(v), eps)), value)
        score = slope(lambda v, at=at: at(v).log_prob(z), value)
        exact = float((WEIGHTS / 2 * squash(z) * score).sum())  # q dz = dF
        assert each.mean() == pytest.approx(exact, abs=4 * float(each.std()) / N**0.5 + 1e-4)


def gamma_moment(concentration: Any, rate: Any) -> Any:
    return concentration * (1 + concentration) / rate**2


def student_moment(df: Any, loc: Any, scale: Any) -> Any:
    return loc**2 + scale**2 * df / (df - 2)


def triangular_moment(low: Any, high: Any, peak: Any) -> Any:
    return (low**2 + high**2 + peak**2 + low * high + low * peak + high * peak) / 6


@pytest.mark.parametrize(
    ("name", "phi", "second_moment"),
    [
        ("Gamma", {"concentration": 2.3, "rate": 0.9}, gamma_moment),
        ("Student's t", {"df": 9.0, "loc": 0.0, "scale": 1.0}, student_moment),
        ("Triangular", {"low": 0.0, "high": 2.0, "peak": 0.5}, triangular_moment),
    ],
)
@pytest.mark.usefixtures("float64")
def test_gradient_of_the_second_moment_in_every_parameter(
    name: str, phi: dict[str, float], second_moment: Callable[..., Any]
) -> None:
    """The draw of p(eps) carries the gradient of the parameters it holds."""
    family, witness = named(name)
    for parameter, value in phi.items():

        def squares(v: Any, parameter: str = parameter) -> Any:
            return draw(family, witness.q(**{**phi, parameter: v}), 8) ** 2

        each = slope(squares, value)
        exact = slope(lambda v, name=parameter: second_moment(**{**phi, name: v}), value)
        assert each.mean() == pytest.approx(float(exact), abs=4 * float(each.std()) / N**0.5)


# Single precision


@over(ALL)
def test_single_precision_is_finite_at_the_ends_of_eps(technique: str, family: Family) -> None:
    witness = WITNESSES[family.name]
    eps = family.noise(witness.build()).sample(random.key(0), (N,))
    if bool(((eps > 0) & (eps < 1)).all()) and technique != "location-scale":  # uniform noise
        tiny = jnp.finfo(jnp.float32).eps
        ends = jnp.array([tiny / 2, 1 - tiny])
        eps = eps.at[:2].set(ends.reshape(2, *[1] * (eps.ndim - 1)))
    phi = jax.tree.map(lambda v: jnp.asarray(v, jnp.float32), witness.phi)
    ones = jax.tree.map(jnp.ones_like, phi)
    z, slopes = jax.jvp(lambda phi: family.transform(witness.q(**phi), eps), (phi,), (ones,))
    assert z.dtype == slopes.dtype == jnp.float32
    assert bool(jnp.isfinite(z).all())
    assert bool(jnp.isfinite(slopes).all())


@pytest.mark.parametrize("concentration", [0.01, 0.1, 1.0, 1e3])
def test_small_and_large_concentrations_stay_inside_the_support(concentration: float) -> None:
    for name, q in (
        ("Gamma", dist.Gamma(concentration)),
        ("Beta", dist.Beta(concentration, concentration)),
        ("Dirichlet", dist.Dirichlet(jnp.full(3, concentration))),
    ):
        assert bool(jnp.isfinite(q.log_prob(draw(named(name)[0], q, 0))).all())


def test_open_uniform_never_meets_its_ends() -> None:
    draws = open_uniform().sample(random.key(0), (1_000_000,))
    assert draws.min() > 0
    assert draws.max() < 1
