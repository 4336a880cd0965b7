"""`VAEOutlierDetector`: the score, the threshold and its false alarms, and what scikit-learn asks
of a detector.
"""

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.estimator_checks import check_estimator

from aevb import VAE, VAEOutlierDetector
from aevb.errors import ConfigError
from aevb.sklearn.outliers import threshold
from conftest import SMALL

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 1)) * [1.0, 2.0, -1.0] + 0.3 * RNG.normal(size=(300, 3))


@pytest.fixture(scope="module")
def detector() -> VAEOutlierDetector:
    return VAEOutlierDetector(**SMALL).fit(X)


@pytest.mark.long
def test_scikit_learn_finds_nothing_wrong() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_estimator(
            VAEOutlierDetector(latent_dim=1, hidden=(), epochs=1, random_state=0),
            on_fail="raise",
            on_skip=None,
        )


def test_the_score_is_log_p_and_the_decision_its_distance_to_the_offset(
    detector: VAEOutlierDetector,
) -> None:
    scores = detector.score_samples(X)
    assert np.array_equal(scores, detector.vae_.score_samples(X))
    assert np.array_equal(detector.decision_function(X), scores - detector.offset_)
    assert np.array_equal(detector.predict(X), np.where(scores < detector.offset_, -1, 1))


def test_rows_unlike_all_others_are_outliers(detector: VAEOutlierDetector) -> None:
    assert detector.predict([[9.0, -9.0, 9.0], [0.0, 0.0, 0.0]]).tolist() == [-1, 1]


def test_auto_looks_at_the_rows_held_out(detector: VAEOutlierDetector) -> None:
    held_out = detector.vae_.score_samples(detector.vae_.fit_.parts.validation)
    assert detector.offset_ == threshold(held_out, VAEOutlierDetector.false_alarms)


def test_a_fraction_calls_that_fraction_of_the_rows_outliers() -> None:
    assert (VAEOutlierDetector(**SMALL, contamination=0.1).fit_predict(X) == -1).sum() == 30


def test_with_a_fitted_vae_the_given_rows_set_the_offset(detector: VAEOutlierDetector) -> None:
    fresh = np.vstack([X[:40], [[9.0, -9.0, 9.0]]])
    over = VAEOutlierDetector(vae=detector.vae_).fit(fresh)
    assert over.vae_ is detector.vae_
    assert over.offset_ == threshold(
        detector.vae_.score_samples(fresh), VAEOutlierDetector.false_alarms
    )


@pytest.mark.parametrize("contamination", [0.0, -0.1, 0.6, 1, True, "some", None, float("nan")])
def test_a_contamination_that_is_no_fraction_is_an_error(contamination: object) -> None:
    with pytest.raises(ConfigError, match="contamination must be"):
        VAEOutlierDetector(**SMALL, contamination=contamination).fit(X)


def test_it_takes_the_parameters_of_vae() -> None:
    assert VAEOutlierDetector().get_params() == {
        "vae": None,
        "contamination": "auto",
        **VAE().get_params(),
    }


def test_a_pickle_decides_the_same(detector: VAEOutlierDetector) -> None:
    assert np.array_equal(
        pickle.loads(pickle.dumps(detector)).decision_function(X[:9]),
        detector.decision_function(X[:9]),
    )


@pytest.mark.long
@given(st.integers(1, 400), st.floats(0.001, 0.5))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_false_alarms_are_as_few_as_said(rows: int, false_alarms: float) -> None:
    """Of m + 1 exchangeable rows each is as likely to be the fresh one: count those below the
    threshold of the rest.
    """
    scores = np.random.default_rng(rows).permutation(rows + 1).astype(float)
    alarms = sum(
        score < threshold(np.delete(scores, i), false_alarms) for i, score in enumerate(scores)
    )
    assert alarms <= max(1, false_alarms * (rows + 1))
    assert alarms > false_alarms * (rows + 1) - 1
