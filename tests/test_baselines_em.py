"""Laws of latent classes: each likelihood is a distribution, EM climbs, missing cells add nothing."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import simpson
from scipy.special import logsumexp
from scipy.stats import norm, poisson
from sklearn.mixture import GaussianMixture

from aevb.baselines import Latent, em
from aevb.baselines.base import Task
from aevb.baselines.cells import Cells, merged
from aevb.baselines.em import LatentClasses, Training
from aevb.likelihoods import Product, split
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
    values = np.column_stack([COLUMNS[name][1] for name in names])
    return values, schema.scaled(values)


def fitted(values, schema, classes, **options):
    """Latent classes as a baseline, which scores values."""
    model = Training.of(schema, schema.to_model_units(values)).fit(classes, **options).model
    return Latent({}, schema, model)


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("name", SUPPORT)
def test_masses_sum_to_one(name, classes):
    model = fitted(*table([name]), classes)
    total = np.exp(model.score_samples(SUPPORT[name][:, None])).sum()
    precision = 2e-4 if name == "count" else 1e-5  # of log-gamma in single precision
    assert total == pytest.approx(1.0, abs=precision)


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("name", RANGE)
def test_densities_integrate_to_one(name, classes):
    values, schema = table([name])
    model = fitted(values, schema, classes)
    low, high = RANGE[name]
    x = np.linspace(low, high, 20_001)  # zero, an atom, is not among them
    total = simpson(np.exp(model.score_samples(x[:, None])), x=x)
    for atom in schema.columns[0].atoms:
        total += np.exp(model.score_samples(np.array([[atom]])))[0]
    assert total == pytest.approx(1.0, abs=1e-5)


def test_the_event_is_that_of_the_decoder():
    """log p(x) = log sum_k pi_k p(x | raw_k), by the same distribution as the VAE's p(x|z)."""
    values, schema = table()
    units = schema.to_model_units(values)
    units[::3, ::2] = np.nan
    model = Training.of(schema, units).fit(3).model
    for x in units[:20]:
        joint = []
        for log_weight, raw in zip(model.log_weights, model.raw, strict=True):
            pieces = zip(model.parts, split(model.parts, raw), strict=True)
            p = Product(model.parts, tuple(part(piece) for part, piece in pieces))
            joint.append(float(log_weight + p.log_prob(x)))
        assert model.log_likelihood(x[None])[0] == pytest.approx(logsumexp(joint), abs=1e-4)


def test_entries_of_cells_are_the_rows():
    """places @ values gives the rows back, missing cells as nothing."""
    values, schema = table()
    values[::3, ::2] = np.nan
    units = schema.to_model_units(values)
    parts = Training.of(schema, units).parts
    cells = Cells.of(parts, units, block_rows=64)
    assert [block.shape[0] for block in cells.blocks] == [64, 64, 64, 8]
    entries = np.concatenate([np.nan_to_num(each).ravel() for each in cells.values])
    sums = np.concatenate([block @ entries for block in cells.blocks])
    np.testing.assert_allclose(sums, np.nansum(units, axis=1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", COLUMNS)
def test_repeated_cells_weigh_as_much_as_weights_say(name):
    values, schema = table([name])
    units = schema.to_model_units(values[:50])
    (part,) = Training.of(schema, units).parts
    weights = RNG.integers(0, 4, (2, 50, 1)).astype(float)
    for repeats, raw in zip(weights[..., 0], part.start(units, weights), strict=True):
        rows = np.repeat(units, repeats.astype(int), axis=0)
        np.testing.assert_allclose(raw, part.start(rows, np.ones_like(rows)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", COLUMNS)
def test_one_class_is_the_maximum(name):
    """No other raw numbers give the training rows more than marginals do, but for the prior."""
    values, schema = table([name])
    units = schema.to_model_units(values)
    training = Training.of(schema, units, pseudo_rows=1e-3)
    model = training.fit(1, tolerance=1e-7).model
    best = model.log_likelihood(units).mean()
    for shift in [*np.eye(model.raw.shape[1]), *-np.eye(model.raw.shape[1])]:
        for length in (0.03, 0.3):
            other = LatentClasses(model.parts, model.raw + length * shift, model.log_weights)
            assert other.log_likelihood(units).mean() < best + 1e-4


@pytest.mark.parametrize(
    "names",
    [
        ("continuous", "positive"),
        ("binary", "categorical", "ordinal"),
        ("atoms",),
        ("integers", "integers with atoms"),
        ("count", "proportion", "pixel"),
    ],
)
def test_em_never_lowers_its_objective(names):
    values, schema = table(names)
    training = Training.of(schema, schema.to_model_units(values))
    for seed in range(3):
        trace = training.fit(4, seed=seed, tolerance=-np.inf, max_iterations=40).trace
        assert len(trace) == 40
        assert np.diff(trace).min() > -1e-5  # of single precision


def test_all_gaussian_classes_match_scikit_learn_from_the_same_start():
    centers = np.repeat([[-3.0, 0.0], [3.0, 1.0], [0.0, 6.0]], 200, axis=0)
    values = centers + np.random.default_rng(1).normal(size=centers.shape)
    schema = Schema((Column("a", "continuous"), Column("b", "continuous"))).scaled(values)
    units = schema.to_model_units(values)
    training = replace(Training.of(schema, units, pseudo_rows=1e-9), class_rows=0.0)
    model = training.fit(3, tolerance=-np.inf, max_iterations=200).model
    labels = np.exp(model.log_joint(units) - model.log_likelihood(units)[:, None])
    counts = labels.sum(axis=0)
    peer = GaussianMixture(
        3,
        covariance_type="diag",
        tol=1e-10,
        max_iter=2000,
        reg_covar=0.0,
        means_init=labels.T @ values / counts[:, None],
        weights_init=counts / counts.sum(),
    ).fit(values)
    np.testing.assert_allclose(model.log_likelihood(units), peer.score_samples(values), atol=1e-4)


def test_marginals_are_the_columns_own_maximum_likelihood():
    values, schema = table(["continuous", "positive", "binary"])
    normal, positive, binary = values.T
    logs = np.log(positive)
    expected = (
        norm.logpdf(normal, normal.mean(), normal.std())
        + norm.logpdf(logs, logs.mean(), logs.std())
        - logs
    )
    expected += np.where(binary == 1, np.log(binary.mean()), np.log1p(-binary.mean()))
    np.testing.assert_allclose(fitted(values, schema, 1).score_samples(values), expected, atol=5e-3)


def test_counts_that_do_not_spread_are_poisson():
    schema = Schema((Column("a", "count"),))
    narrow = np.random.default_rng(0).binomial(8, 0.5, 2000).astype(float)[:, None]
    x = np.arange(10.0)
    ours = fitted(narrow, schema, 1, tolerance=-np.inf).score_samples(x[:, None])
    np.testing.assert_allclose(ours, poisson.logpmf(x, narrow.mean()), atol=5e-3)


def test_masses_keep_their_digits_in_the_tails():
    values = np.random.default_rng(0).normal(100, 3, 20_000).round()[:, None]
    schema = Schema((Column("a", "continuous", resolution=1.0),)).scaled(values)
    far = fitted(values, schema, 1).score_samples(np.array([[-1e4], [1e4]]))
    assert np.isfinite(far).all()
    assert far.max() < -1e3


def test_a_mixture_of_kinds_finds_its_classes():
    rng = np.random.default_rng(2)
    label = rng.integers(0, 2, 400)
    values = np.column_stack(
        [rng.normal(4 * label, 1), rng.random(400) < 0.1 + 0.8 * label, rng.poisson(1 + 9 * label)]
    )
    columns = (
        Column("a", "continuous"),
        Column("b", "binary", categories=(0, 1)),
        Column("c", "count"),
    )
    schema = Schema(columns).scaled(values)
    latent = Latent.fit(Task(values[:300], values[300:], schema))
    settings = latent.settings
    assert settings == {"classes": settings["classes"], "rows": 300, "chosen_on": "validation"}
    assert settings["classes"] > 1
    found = latent.model.log_joint(schema.to_model_units(values)).argmax(axis=1)
    ones = [label[found == k] for k in range(settings["classes"])]
    assert sum(max(each.sum(), (1 - each).sum()) for each in ones) > 0.95 * len(label)


def test_no_structure_means_one_class():
    values, schema = table(["continuous", "binary", "count"])
    assert Latent.fit(Task(values[:150], values[150:], schema)).chosen["classes"] == 1


def test_missing_cells_are_marginalized():
    values, schema = table()
    model = fitted(values, schema, 3)
    units = schema.to_model_units(values[:20])
    first = np.where(np.arange(len(schema)) == 0, units, np.nan)
    others = np.where(np.arange(len(schema)) == 0, np.nan, units)
    log_joint = model.model.log_joint
    both = log_joint(first) + log_joint(others) - model.model.log_pi
    np.testing.assert_allclose(log_joint(units), both, rtol=1e-5)
    nothing = model.score_samples(np.full((2, len(schema)), np.nan))
    np.testing.assert_allclose(nothing, 0.0, atol=1e-12)


def test_scores_do_not_depend_on_company():
    values, schema = table()
    model = fitted(values, schema, 3)
    np.testing.assert_array_equal(
        model.score_samples(values)[::7], model.score_samples(values[::7])
    )


def test_a_change_of_units_is_a_constant():
    values, schema = table(["continuous", "positive"])
    model, scaled = fitted(values, schema, 2), fitted(values * 1e6, schema.scaled(values * 1e6), 2)
    shift = model.score_samples(values) - scaled.score_samples(values * 1e6)
    np.testing.assert_allclose(shift, 2 * np.log(1e6), atol=1e-4)


def test_the_same_seed_gives_the_same_model():
    values, schema = table(["atoms", "count", "categorical"])
    task = Task(values[:150], values[150:], schema, seed=3)
    first, second = (Latent.fit(task).score_samples(values) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_what_was_recorded_to_a_grid_is_never_known_better():
    values = np.repeat([1.0, 2.0], 50)[:, None]
    schema = Schema((Column("a", "continuous", grid=1.0),)).scaled(values)
    highest = np.log(0.5) + norm.logpdf(0, 0, 1 / np.sqrt(12))
    assert fitted(values, schema, 2).score_samples(values).max() <= highest + 0.1


def test_levels_never_met_have_a_share_in_every_class():
    values = np.random.default_rng(0).integers(0, 3, (100, 2)).astype(float)
    levels = (Column("a", "categorical", categories=tuple(range(3))),)
    schema = Schema((*levels, Column("b", "ordinal", categories=tuple(range(30)))))
    model = fitted(values, schema, 2)
    grid = np.stack(np.meshgrid(np.arange(3.0), np.arange(30.0)), axis=-1).reshape(-1, 2)
    scores = model.score_samples(grid)
    assert logsumexp(scores) == pytest.approx(0.0, abs=1e-6)
    assert scores.min() > np.log(1e-2 / 30 / len(values))


def test_many_rows_climb_a_sample_first_and_then_all():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 3000)
    values = np.column_stack([rng.normal(4 * label, 1.0), rng.poisson(1 + 5 * label)])
    schema = Schema((Column("a", "continuous"), Column("b", "count"))).scaled(values)
    units = schema.to_model_units(values)
    two_stages = Training.of(schema, units, sample_rows=500)
    assert [stage.rows for stage in two_stages.stages] == [500, 3000]
    scores = [
        each.fit(3).model.log_likelihood(units) for each in (two_stages, Training.of(schema, units))
    ]
    assert scores[0].mean() == pytest.approx(scores[1].mean(), abs=2e-3)


def test_close_values_merge_where_there_are_very_many_and_atoms_stay():
    rng = np.random.default_rng(0)
    zeros = rng.random(20_000) < 0.3
    values = np.column_stack([np.where(zeros, 0.0, rng.normal(size=20_000)), zeros])
    columns = (Column("a", "continuous", atoms=(0.0,)), Column("b", "binary", categories=(0, 1)))
    schema = Schema(columns).scaled(values)
    units = schema.to_model_units(values)
    fewer = merged(schema, units)
    assert len(np.unique(fewer[:, 0])) < 3_000
    assert np.abs(fewer - units).max() < 0.01
    np.testing.assert_array_equal(fewer[zeros], units[zeros])
    np.testing.assert_array_equal(merged(schema, units[:1_000]), units[:1_000])


def test_programs_serve_any_number_of_classes():
    """Compiling takes longer than fitting a small table: it must not grow with the sizes tried."""
    values, schema = table(["integers", "count"])
    training = Training.of(schema, schema.to_model_units(values))
    training.fit(1)
    programs = em.in_chunks._cache_size()
    training.fit(20, max_iterations=2)
    assert em.in_chunks._cache_size() == programs


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
    model = fitted(chosen, schema, classes, seed=seed)
    assert np.isfinite(model.score_samples(values)).all()
