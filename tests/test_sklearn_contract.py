"""What scikit-learn asks of an estimator: its own checks, pipelines and searches."""

import copy
import io
import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from aevb import VAE
from conftest import SMALL, X


@pytest.mark.long
def test_scikit_learn_finds_nothing_wrong() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checks fit constant columns and identifiers
        check_estimator(VAE(**SMALL), on_fail="raise", on_skip=None)


@pytest.mark.parametrize(
    "copied",
    [
        lambda vae: pickle.loads(pickle.dumps(vae)),
        copy.deepcopy,
        lambda vae: joblib.load(_file(vae)),
    ],
    ids=["pickle", "deepcopy", "joblib"],
)
def test_copies_of_a_fitted_estimator_score_the_same_to_the_last_bit(vae: VAE, copied) -> None:
    other = copied(vae)
    assert np.array_equal(
        other.score_samples(X[:5], samples=50), vae.score_samples(X[:5], samples=50)
    )
    assert np.array_equal(other.transform(X), vae.transform(X))


def _file(vae: VAE) -> io.BytesIO:
    file = io.BytesIO()
    joblib.dump(vae, file)
    file.seek(0)
    return file


def test_a_pickle_made_after_the_report_holds_it_and_the_rows_for_the_baselines(vae: VAE) -> None:
    report = vae.report_
    other = pickle.loads(pickle.dumps(vae))
    assert other.report_ == report
    assert other.evaluate(X[:10], samples=20) == vae.evaluate(X[:10], samples=20)


def test_a_clone_has_the_parameters_and_nothing_fitted(vae: VAE) -> None:
    other = clone(vae)
    assert other.get_params() == vae.get_params()
    assert not hasattr(other, "model_")
    assert [name for name in vars(other) if name.startswith("_")] == []


def test_in_a_pipeline_it_embeds_and_scores() -> None:
    pipeline = make_pipeline(StandardScaler(), VAE(**SMALL)).fit(X)
    assert pipeline.transform(X).shape == (60, 2)
    assert np.isfinite(pipeline.score(X[:5]))
    assert pipeline.get_feature_names_out().tolist() == ["vae0", "vae1"]


@pytest.mark.long
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_grid_search_picks_the_better_score(jobs: int) -> None:
    search = GridSearchCV(
        VAE(**SMALL), {"epochs": [0, 2]}, cv=2, n_jobs=jobs, error_score="raise"
    ).fit(X)
    means = search.cv_results_["mean_test_score"]
    assert np.isfinite(means).all()
    assert search.best_params_ == {"epochs": [0, 2][int(np.argmax(means))]}


def test_cross_validation_scores_fresh_rows_in_nats() -> None:
    scores = cross_val_score(VAE(**SMALL), X, cv=2, error_score="raise")
    fold = VAE(**SMALL).fit(X[30:])
    assert scores[0] == fold.score(X[:30])


def test_output_is_a_frame_where_asked(vae: VAE) -> None:
    frame = pd.DataFrame(X, columns=list("abcd"), index=np.arange(60) + 100)
    codes = VAE(**SMALL).set_output(transform="pandas").fit(frame).transform(frame)
    assert codes.columns.tolist() == ["vae0", "vae1"]
    assert codes.index.equals(frame.index)
    assert np.array_equal(codes.to_numpy(), vae.transform(X))


def test_names_of_columns_are_kept_and_checked() -> None:
    frame = pd.DataFrame(X, columns=list("abcd"))
    vae = VAE(**SMALL).fit(frame)
    assert vae.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="same order"):
        vae.transform(frame[list("bacd")])
    with pytest.raises(ValueError, match=r"missing|Feature names"):
        vae.transform(frame[list("abc")])
