"""Laws of latent classes: likelihoods are distributions, EM climbs, missing cells add nothing."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import logistic, nbinom, norm, poisson
from sklearn.mixture import GaussianMixture

from aevb.baselines import LatentClassBaseline, ascent, fit_baselines, from_stored, to_stored
from aevb.baselines.base import Task
from aevb.baselines.cells import Cells, merged
from aevb.baselines.latent_class import LatentClasses, Training, class_likelihoods
from aevb.likelihoods import Product, StudentT, likelihoods_of
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


def training_of(values, schema, **options):
    return Training.of(class_likelihoods(schema, values), schema, values, **options)


def fit_classes(values, schema, classes, **options):
    """Latent classes as a baseline, which scores values."""
    return LatentClassBaseline(
        {}, schema, training_of(values, schema).fit(classes, **options).model
    )


def log_joint(baseline, values):
    return baseline.model.log_joint(baseline.schema.in_units(values))


def column(values, *, kind="continuous", **options):
    """One column of these values, and its schema."""
    values = np.asarray(values, dtype=np.float64)[:, None]
    return values, Schema((Column("a", kind, **options),)).scaled(values)


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("name", SUPPORT)
def test_masses_sum_to_one(name, classes):
    """Of levels with the share of those never met, which an infinite value stands for."""
    values, schema = table([name])
    model = fit_classes(values, schema, classes)
    (column,) = schema.columns
    total = np.exp(model.score_samples(SUPPORT[name][:, None])).sum()
    unseen = np.exp(model.score_samples(np.array([[np.inf]])))[0]
    if column.kind != "pixel":  # of which other values are an error
        assert unseen == pytest.approx(np.exp(column.log_unseen), rel=1e-9)
        assert unseen <= column.unseen * (1 + 1e-9)
    if column.categories:
        assert unseen == pytest.approx(1 / 201, rel=1e-9)
        assert total + unseen == pytest.approx(1.0, abs=1e-6)
    else:
        assert total == pytest.approx(1.0, abs=1e-6)


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
    training = training_of(*table(names))
    for seed in range(3):
        trace = training.fit(4, seed=seed, tolerance=-np.inf, max_iterations=40).trace
        assert len(trace) == 40
        assert np.diff(trace).min() > -1e-10


def test_all_gaussian_classes_match_scikit_learn_from_the_same_start():
    centers = np.repeat([[-3.0, 0.0], [3.0, 1.0], [0.0, 6.0]], 200, axis=0)
    values = centers + np.random.default_rng(1).normal(size=centers.shape)
    schema = Schema((Column("a", "continuous"), Column("b", "continuous"))).scaled(values)
    training = replace(training_of(values, schema, pseudo_rows=1e-9), class_rows=0.0)
    model = training.fit(3, tolerance=1e-14, max_iterations=2000).model
    ours = LatentClassBaseline({}, schema, model)
    labels = np.exp(log_joint(ours, values) - ours.score_samples(values)[:, None])
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
    expected += np.log1p(-1 / 201)  # what both levels leave to levels never met
    np.testing.assert_allclose(model.score_samples(values), expected, atol=5e-3)


def test_counts_are_negative_binomial_and_poisson_where_they_do_not_spread():
    x = np.arange(10.0)[:, None]
    values, schema = column(np.random.default_rng(0).negative_binomial(3, 0.4, 2000), kind="count")

    def p(parameters):
        m, c = np.exp(parameters)
        return nbinom(c, c / (c + m))

    best = minimize(lambda t: -p(t).logpmf(values[:, 0]).mean(), [1.0, 1.0], tol=1e-12).x
    ours = fit_classes(values, schema, 1, tolerance=1e-12).score_samples(x)
    np.testing.assert_allclose(ours, p(best).logpmf(x[:, 0]), atol=1e-3)
    narrow, schema = column(np.random.default_rng(0).binomial(8, 0.5, 2000), kind="count")
    ours = fit_classes(narrow, schema, 1, tolerance=1e-12).score_samples(x)
    np.testing.assert_allclose(ours, poisson.logpmf(x[:, 0], narrow.mean()), atol=1e-3)


def test_gridded_masses_are_the_maximum_and_keep_their_digits_in_the_tails():
    values = np.random.default_rng(0).normal(100, 3, 20_000).round()
    values, schema = column(values, resolution=1.0)
    model = fit_classes(values, schema, 1, tolerance=1e-12)

    def log_p(x, parameters):
        own = logistic(parameters[0], np.exp(parameters[1]))
        return np.log(own.cdf(x + 0.5) - own.cdf(x - 0.5))

    met, counts = np.unique(values, return_counts=True)
    best = minimize(lambda t: -(log_p(met, t) @ counts) / 20_000, [100.0, 0.5], tol=1e-12).x
    x = np.array([100.0, 104.0])
    np.testing.assert_allclose(model.score_samples(x[:, None]), log_p(x, best), atol=1e-4)
    far = model.score_samples(np.array([[-1e4], [1e4]]))
    m, s = best[0], np.exp(best[1])
    width = 1 / s
    tail = -(np.abs(np.array([-1e4, 1e4]) - m) - 0.5) / s + np.log(-np.expm1(-width))
    np.testing.assert_allclose(far, tail, rtol=1e-4)


def test_a_mixture_of_kinds_finds_its_classes():
    rng = np.random.default_rng(2)
    label = rng.integers(0, 2, 400)
    values = np.column_stack(
        [rng.normal(4 * label, 1), rng.random(400) < 0.1 + 0.8 * label, rng.poisson(1 + 9 * label)]
    )
    schema = Schema(
        (Column("a", "continuous"), Column("b", "binary", categories=(0, 1)), Column("c", "count"))
    ).scaled(values)
    model = LatentClassBaseline.fit(Task(values[:300], values[300:], schema))
    assert model.settings == {"classes": 2, "rows": 300, "chosen_on": "validation"}
    found = log_joint(model, values).argmax(axis=1)
    assert max(np.mean(found == label), np.mean(found != label)) > 0.95


def test_no_structure_means_one_class():
    values, schema = table(["continuous", "binary", "count"])
    assert (
        LatentClassBaseline.fit(Task(values[:150], values[150:], schema)).settings["classes"] == 1
    )


def test_missing_cells_are_marginalized():
    values, schema = table()
    model = fit_classes(values, schema, 3)
    hidden = values[:20].copy()
    hidden[:, 1:] = np.nan
    joint = log_joint(model, hidden)
    part, raw = next(zip(model.model.parts, model.model.raw, strict=True))
    assert part.columns[0] == 0
    with jax.enable_x64(True):
        mean, deviation = (np.asarray(each)[:, 0] for each in jax.vmap(part.location_scale)(raw))
    u = schema.in_units(hidden)[:, :1]
    expected = model.model.log_weights + norm.logpdf(u, mean, deviation)
    expected -= np.log(schema.columns[0].scale)
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
    model = fit_classes(values, schema, 2)
    scaled = fit_classes(values * 1e6, schema.scaled(values * 1e6), 2)
    shift = model.score_samples(values) - scaled.score_samples(values * 1e6)
    np.testing.assert_allclose(shift, 2 * np.log(1e6), atol=1e-6)


def test_the_same_seed_gives_the_same_model():
    values, schema = table(["atoms", "count", "categorical"])
    task = Task(values[:150], values[150:], schema, seed=3)
    first, second = (LatentClassBaseline.fit(task).score_samples(values) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_what_was_recorded_to_a_grid_is_never_known_better():
    values, schema = column(np.repeat([1.0, 2.0], 50), grid=1.0)
    model = fit_classes(values, schema, 2)
    assert (
        model.score_samples(values).max() <= np.log(0.5) + norm.logpdf(0, 0, 1 / np.sqrt(12)) + 0.1
    )


def test_levels_never_met_have_a_share_in_every_class():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 3, (100, 2)).astype(float)
    few = Schema(tuple(Column(n, "categorical", categories=tuple(range(3))) for n in "ab"))
    many = Schema((few.columns[0], replace(few.columns[1], categories=tuple(range(30)))))
    model = fit_classes(values, many, 2)
    grid = np.stack(np.meshgrid(np.arange(3.0), np.arange(30.0)), axis=-1).reshape(-1, 2)
    scores = model.score_samples(grid)
    assert logsumexp(scores) == pytest.approx(0.0, abs=1e-9)
    assert scores.min() > np.log(1e-2 / 30 / len(values))


def test_the_event_is_that_of_the_decoder():
    """log p(x) = log sum_k pi_k p(x | raw_k), by the same distribution as the VAE's p(x|z)."""
    values, schema = table()
    values[::3, ::2] = np.nan
    model = fit_classes(values, schema, 3).model
    for x in schema.in_units(values[:20]):
        joint = []
        for k, log_weight in enumerate(model.log_weights):
            with jax.enable_x64(True):
                pieces = zip(model.parts, model.raw, strict=True)
                product = Product(model.parts, tuple(part(raw[k]) for part, raw in pieces))
                joint.append(float(log_weight + product.log_prob(x)))
        assert model.log_likelihood(x[None])[0] == pytest.approx(logsumexp(joint), abs=1e-9)


def test_entries_of_cells_are_the_rows():
    """places @ values gives the rows back, missing cells as nothing."""
    values, schema = table()
    values[::3, ::2] = np.nan
    units = schema.in_units(values)
    cells = Cells.of(class_likelihoods(schema, values), units, block_rows=64)
    assert [block.shape[0] for block in cells.blocks] == [64, 64, 64, 8]
    entries = np.concatenate([np.nan_to_num(each).ravel() for each in cells.values])
    sums = np.concatenate([block @ entries for block in cells.blocks])
    np.testing.assert_allclose(sums, np.nansum(units, axis=1), atol=1e-12)


@pytest.mark.parametrize("name", COLUMNS)
def test_repeated_cells_weigh_as_much_as_weights_say(name):
    values, schema = table([name])
    (part,) = class_likelihoods(schema, values)
    units = schema.in_units(values[:50])
    weights = RNG.integers(0, 4, (2, 50, 1)).astype(float)
    for repeats, raw in zip(weights[..., 0], part.start(units, weights), strict=True):
        rows = np.repeat(units, repeats.astype(int), axis=0)
        np.testing.assert_allclose(raw, part.start(rows, np.ones_like(rows)), atol=1e-9)


@pytest.mark.parametrize("name", COLUMNS)
def test_one_class_is_the_maximum(name):
    """No other raw numbers give the training rows more than marginals do, but for the prior."""
    values, schema = table([name])
    units = schema.in_units(values)
    model = training_of(values, schema, pseudo_rows=1e-3).fit(1, tolerance=1e-9).model
    best = model.log_likelihood(units).mean()
    (raw,) = model.raw
    for shift in [*np.eye(raw.shape[-1]), *-np.eye(raw.shape[-1])]:
        for length in (0.03, 0.3):
            other = LatentClasses(model.parts, (raw + length * shift,), model.log_weights)
            assert other.log_likelihood(units).mean() < best + 1e-4


def test_a_likelihood_of_ones_own_is_climbed_too():
    """Without a closed form, and with its weighted start left at the marginal."""

    class Own(StudentT):
        def start(self, units, weights=None):
            raw = super().start(units)
            return raw if weights is None else np.broadcast_to(raw, (len(weights), *raw.shape))

    values, schema = table(["continuous"])
    values = np.concatenate([values, values + 20])
    schema = schema.scaled(values)
    units = schema.in_units(values)
    own = likelihoods_of(schema, (Own,), units, np.zeros(1))
    climb = Training.of(own, schema, values).fit(2, tolerance=1e-7)
    assert np.diff(climb.trace).min() > -1e-10
    scores = LatentClassBaseline({}, schema, climb.model).score_samples(values)
    gaussian = fit_classes(values, schema, 2).score_samples(values)
    assert scores.mean() == pytest.approx(gaussian.mean(), abs=0.05)


def test_many_rows_choose_on_a_sample_and_learn_from_all(monkeypatch):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 3000)
    values = np.column_stack([rng.normal(4 * label, 1.0), rng.poisson(1 + 5 * label)])
    schema = Schema((Column("a", "continuous"), Column("b", "count"))).scaled(values)
    task = Task(values[:2500], values[2500:], schema)
    monkeypatch.setattr(LatentClassBaseline, "classes", (1, 3))
    of_all = LatentClassBaseline.fit(task)
    monkeypatch.setattr(LatentClassBaseline, "sample_rows", 500)
    of_some = LatentClassBaseline.fit(task)
    assert of_some.settings == of_all.settings
    scores = [each.score_samples(values).mean() for each in (of_all, of_some)]
    assert scores[0] == pytest.approx(scores[1], abs=2e-3)


def test_close_values_merge_where_there_are_very_many_and_atoms_stay():
    rng = np.random.default_rng(0)
    zeros = rng.random(20_000) < 0.3
    values = np.column_stack([np.where(zeros, 0.0, rng.normal(size=20_000)), zeros])
    columns = (Column("a", "continuous", atoms=(0.0,)), Column("b", "binary", categories=(0, 1)))
    schema = Schema(columns).scaled(values)
    units = schema.in_units(values)
    fewer = merged(schema, units)
    assert len(np.unique(fewer[:, 0])) < 1_000
    assert np.abs(fewer - units).max() < 0.05
    np.testing.assert_array_equal(fewer[zeros], units[zeros])
    np.testing.assert_array_equal(merged(schema, units[:900]), units[:900])


@pytest.mark.parametrize("kind", ["count", "grid"])
def test_masses_of_very_many_values_stay_finite_and_come_back(kind: str) -> None:
    """A merged value lies in the support of a mass: between whole numbers there is none."""
    rng = np.random.default_rng(0)
    column = Column("a", "count", resolution=1.0, lower=0.0)
    drawn = rng.negative_binomial(0.5, 1e-4, 4_000).astype(float)
    if kind == "grid":
        column = Column("a", "continuous", resolution=1.0, grid=1.0)
        drawn = np.round(rng.normal(0, 2_000, 4_000))
    values = drawn[:, None]
    assert len(np.unique(values)) > 1_500
    schema = Schema((column,)).scaled(values)
    fitted, _ = fit_baselines(values[:3_500], values[3_500:], schema)
    again, _ = from_stored(*to_stored(fitted, {}), schema)
    for name in ("independent marginals", "latent classes"):
        scores = fitted[name].score_samples(values)
        assert np.isfinite(scores).all()
        np.testing.assert_array_equal(again[name].score_samples(values), scores)


def test_programs_serve_any_number_of_classes():
    """Compiling takes longer than fitting a small table: it must not grow with the sizes tried."""
    training = training_of(*table(["integers", "count"]))
    training.fit(1)
    programs = ascent.for_classes._cache_size()
    training.fit(20, max_iterations=2)
    assert ascent.for_classes._cache_size() == programs


@pytest.mark.long
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
