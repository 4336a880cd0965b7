"""Laws of latent classes: every family is a distribution, EM climbs, missing cells say nothing."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import nbinom, norm, poisson
from sklearn.mixture import GaussianMixture

from aevb.baselines import latent_class
from aevb.baselines.latent_class import fit, fit_classes
from aevb.table.schema import Column, Schema

RNG = np.random.default_rng(0)

COLUMNS = {
    "continuous": (Column("a", "continuous"), RNG.normal(3, 2, 200)),
    "atoms": (
        Column("a", "continuous", atoms=(0.0,)),
        np.where(RNG.random(200) < 0.6, 0.0, RNG.normal(5, 1, 200)),
    ),
    "positive": (Column("a", "positive"), np.exp(RNG.normal(1, 0.5, 200))),
    "proportion": (Column("a", "proportion"), np.r_[RNG.beta(2, 5, 190), np.zeros(5), np.ones(5)]),
    "integers": (Column("a", "continuous", resolution=1.0), RNG.normal(40, 4, 200).round()),
    "integers with atoms": (
        Column("a", "continuous", resolution=1.0, atoms=(40.0,)),
        np.where(RNG.random(200) < 0.5, 40.0, RNG.normal(38, 6, 200).round()),
    ),
    "pixel": (
        Column("a", "pixel", resolution=1.0, lower=0.0, upper=16.0),
        RNG.integers(0, 17, 200).astype(float),
    ),
    "count": (Column("a", "count"), RNG.negative_binomial(2, 0.3, 200).astype(float)),
    "categorical": (
        Column("a", "categorical", categories=tuple("xyz")),
        RNG.integers(0, 2, 200).astype(float),
    ),
    "ordinal": (
        Column("a", "ordinal", categories=(1, 2, 3)),
        RNG.integers(0, 3, 200).astype(float),
    ),
    "binary": (Column("a", "binary", categories=(0, 1)), RNG.integers(0, 2, 200).astype(float)),
}
SUPPORT = {
    "integers": np.arange(-100.0, 200.0),
    "integers with atoms": np.arange(-100.0, 200.0),
    "pixel": np.arange(17.0),
    "count": np.arange(400.0),
    "categorical": np.arange(3.0),
    "ordinal": np.arange(3.0),
    "binary": np.arange(2.0),
}
RANGE = {
    "continuous": (-30.0, 40.0),
    "atoms": (-30.0, 40.0),
    "positive": (1e-9, 60.0),
    "proportion": (0.0, 1.0),
}


def table(names=tuple(COLUMNS)):
    schema = Schema(tuple(replace(COLUMNS[name][0], name=name) for name in names))
    return np.column_stack([COLUMNS[name][1] for name in names]), schema


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("name", SUPPORT)
def test_masses_sum_to_one(name, classes):
    values, schema = table([name])
    model = fit_classes(values, schema, classes)
    assert np.exp(model.score_samples(SUPPORT[name][:, None])).sum() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("name", RANGE)
def test_densities_integrate_to_one(name, classes):
    values, schema = table([name])
    model = fit_classes(values, schema, classes)

    def density(x):
        return float(np.exp(model.score_samples(np.array([[x]])))[0])

    low, high = RANGE[name]
    total, _ = quad(density, low, high, points=[low + 1e-3 * (high - low)], limit=400, epsabs=1e-8)
    atoms = sum(density(atom) for atom in schema.columns[0].atoms)
    assert total + atoms == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    "names", [("continuous", "positive"), ("binary", "categorical", "ordinal"), ("atoms",)]
)
def test_em_never_lowers_its_objective(names):
    values, schema = table(names)
    for seed in range(3):
        trace = fit_classes(
            values, schema, 4, seed=seed, tolerance=-np.inf, max_iterations=40
        ).trace
        assert len(trace) == 40
        assert np.diff(trace).min() > -1e-10


def test_all_gaussian_classes_match_scikit_learn_from_the_same_start(monkeypatch):
    centres = np.repeat([[-3.0, 0.0], [3.0, 1.0], [0.0, 6.0]], 200, axis=0)
    values = centres + np.random.default_rng(1).normal(size=centres.shape)
    schema = Schema((Column("a", "continuous"), Column("b", "continuous")))
    monkeypatch.setattr("aevb.baselines.families.PRIOR_ROWS", 1e-9)
    monkeypatch.setattr(latent_class, "CLASS_ROWS", 0.0)
    ours = fit_classes(values, schema, 3, tolerance=1e-14, max_iterations=2000)
    labels = np.exp(ours.log_joint(values) - ours.score_samples(values)[:, None])
    counts = labels.sum(axis=0)
    peer = GaussianMixture(
        3,
        covariance_type="diag",
        tol=1e-14,
        max_iter=2000,
        reg_covar=0.0,
        means_init=labels.T @ values / counts[:, None],
        weights_init=counts / counts.sum(),
    ).fit(values)
    np.testing.assert_allclose(ours.score_samples(values), peer.score_samples(values), atol=1e-4)


def test_marginals_are_the_columns_own_maximum_likelihood():
    values, schema = table(["continuous", "positive", "binary"])
    model = fit_classes(values, schema, 1)
    normal, positive, binary = values.T
    logs = np.log(positive)
    expected = (
        norm.logpdf(normal, normal.mean(), normal.std())
        + norm.logpdf(logs, logs.mean(), logs.std())
        - logs
    )
    expected += np.where(binary == 1, np.log(binary.mean()), np.log1p(-binary.mean()))
    np.testing.assert_allclose(model.score_samples(values), expected, atol=5e-3)


def test_counts_are_negative_binomial_by_moments_and_poisson_where_they_do_not_spread():
    x = np.arange(10.0)[:, None]
    schema = Schema((Column("a", "count"),))
    spread = np.random.default_rng(0).negative_binomial(3, 0.4, 2000).astype(float)[:, None]
    m, v = spread.mean(), spread.var()
    ours = fit_classes(spread, schema, 1).score_samples(x)
    np.testing.assert_allclose(ours, nbinom.logpmf(x[:, 0], m**2 / (v - m), m / v), atol=1e-3)
    narrow = np.random.default_rng(0).binomial(8, 0.5, 2000).astype(float)[:, None]
    ours = fit_classes(narrow, schema, 1).score_samples(x)
    np.testing.assert_allclose(ours, poisson.logpmf(x[:, 0], narrow.mean()), atol=1e-3)


def test_gridded_masses_correct_for_the_grid_and_keep_their_digits_in_the_tails():
    values = np.random.default_rng(0).normal(100, 3, 20_000).round()[:, None]
    model = fit_classes(values, Schema((Column("a", "continuous", resolution=1.0),)), 1)
    deviation = np.sqrt(values.var() - 1 / 12)
    x = np.array([100.0, 104.0])
    expected = np.log(
        norm.cdf(x + 0.5, values.mean(), deviation) - norm.cdf(x - 0.5, values.mean(), deviation)
    )
    np.testing.assert_allclose(model.score_samples(x[:, None]), expected, atol=1e-4)
    far = model.score_samples(np.array([[-1e4], [1e4]]))
    assert np.isfinite(far).all()
    assert far.max() < -1e6


def test_a_mixture_of_kinds_finds_its_classes():
    rng = np.random.default_rng(2)
    label = rng.integers(0, 2, 400)
    values = np.column_stack(
        [rng.normal(4 * label, 1), rng.random(400) < 0.1 + 0.8 * label, rng.poisson(1 + 9 * label)]
    )
    schema = Schema(
        (Column("a", "continuous"), Column("b", "binary", categories=(0, 1)), Column("c", "count"))
    )
    model = fit(values[:300], values[300:], schema)
    assert model.classes == 2
    found = model.log_joint(values).argmax(axis=1)
    assert max(np.mean(found == label), np.mean(found != label)) > 0.95


def test_no_structure_means_one_class():
    values, schema = table(["continuous", "binary", "count"])
    assert fit(values[:150], values[150:], schema).classes == 1


def test_missing_cells_are_marginalised():
    values, schema = table()
    model = fit_classes(values, schema, 3)
    hidden = values[:20].copy()
    hidden[:, 1:] = np.nan
    joint = model.log_joint(hidden)
    only = latent_class._parts(Schema(schema.columns[:1]), values[:, :1])
    part = next(i for i, part in enumerate(model.parts) if 0 in part.columns and not part.coded)
    where = int(np.flatnonzero(model.parts[part].columns == 0)[0])
    mean, variance = (p[:, where] for p in model.parameters[part])
    family = only[0].family
    u = (hidden[:, :1] - family.location) / family.scale
    expected = model.log_weights + norm.logpdf(u, mean, np.sqrt(variance)) - np.log(family.scale)
    np.testing.assert_allclose(joint, expected, atol=1e-8)
    np.testing.assert_allclose(
        model.score_samples(np.full((2, len(schema)), np.nan)), 0.0, atol=1e-12
    )


def test_scores_do_not_depend_on_company():
    values, schema = table()
    model = fit_classes(values, schema, 3)
    np.testing.assert_allclose(
        model.score_samples(values)[::7], model.score_samples(values[::7]), atol=1e-9
    )


def test_a_change_of_units_is_a_constant():
    values, schema = table(["continuous", "positive"])
    model, scaled = fit_classes(values, schema, 2), fit_classes(values * 1e6, schema, 2)
    shift = model.score_samples(values) - scaled.score_samples(values * 1e6)
    np.testing.assert_allclose(shift, 2 * np.log(1e6), atol=1e-6)


def test_the_same_seed_gives_the_same_model():
    values, schema = table(["atoms", "count", "categorical"])
    first, second = (
        fit(values[:150], values[150:], schema, seed=3).score_samples(values) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_what_was_recorded_to_a_grid_is_never_known_better():
    values = np.repeat([1.0, 2.0], 50)[:, None]
    model = fit_classes(values, Schema((Column("a", "continuous", grid=1.0),)), 2)
    assert (
        model.score_samples(values).max() <= np.log(0.5) + norm.logpdf(0, 0, 1 / np.sqrt(12)) + 0.1
    )


def test_sparse_levels_equal_dense_ones():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 3, (100, 2)).astype(float)
    few = Schema(tuple(Column(n, "categorical", categories=tuple(range(3))) for n in "ab"))
    many = Schema((few.columns[0], replace(few.columns[1], categories=tuple(range(30)))))
    model = fit_classes(values, many, 2)
    grid = np.stack(np.meshgrid(np.arange(3.0), np.arange(30.0)), axis=-1).reshape(-1, 2)
    assert logsumexp(model.score_samples(grid)) == pytest.approx(0.0, abs=1e-9)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    rows=st.integers(1, 12),
    classes=st.integers(1, 4),
    holes=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 9),
)
def test_every_shape_gives_finite_scores(rows, classes, holes, seed):
    values, schema = table()
    rng = np.random.default_rng(seed)
    chosen = values[rng.choice(200, rows)]
    chosen[rng.random(chosen.shape) < holes] = np.nan
    model = fit_classes(chosen, schema, classes, seed=seed)
    assert np.isfinite(model.score_samples(values)).all()
