"""The paper's rows: which are for training, in what units, and what is drawn from gray."""

import os

import jax
import numpy as np
import pytest

from aevb_paper.experiments.data import paper_data

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        "AEVB_DATA" not in os.environ, reason="AEVB_DATA names no folder of MNIST and Frey Face"
    ),
]


def test_mnist_is_trained_on_gray_drawn_afresh_and_tested_on_images_drawn_once() -> None:
    data = paper_data("mnist")
    assert (data.train.shape, data.test.shape) == ((50_000, 784), (10_000, 784))
    assert (data.likelihood, data.hidden) == ("bernoulli", 500)
    assert set(np.unique(data.test)) == {0.0, 1.0}
    assert data.train.max() == 1.0
    assert len(np.unique(data.train)) == 256
    assert data.resample is not None
    one, other = (
        np.asarray(data.resample(data.train[:200], jax.random.key(seed))) for seed in (0, 1)
    )
    assert set(np.unique(one)) == {0.0, 1.0}
    assert (one != other).any()
    assert ((one + other)[data.train[:200] == 0] == 0).all()
    error = np.sqrt(np.mean(data.train[:200] * (1 - data.train[:200])) / one.size)
    assert abs(one.mean() - data.train[:200].mean()) < 4 * error


def test_gray_values_of_mnist_are_those_the_test_images_were_drawn_from() -> None:
    gray, drawn = paper_data("mnist-gray"), paper_data("mnist")
    assert gray.resample is None
    np.testing.assert_array_equal(gray.train, drawn.train)
    assert len(np.unique(gray.test)) == 256
    assert (drawn.test[gray.test == 0] == 0).all()
    assert (drawn.test[gray.test == 1] == 1).all()


def test_frey_face_is_gray_inside_the_unit_interval_and_split_at_random() -> None:
    data = paper_data("frey-face")
    assert (data.train.shape, data.test.shape) == ((1_600, 560), (365, 560))
    assert (data.likelihood, data.hidden, data.resample) == ("gaussian", 200, None)
    assert 0 <= data.train.min() < data.train.max() <= 255 / 256
    rows = np.concatenate([data.train, data.test]) * 256
    np.testing.assert_array_equal(rows, np.round(rows))
    steps = np.abs(
        np.diff(data.test, axis=0)
    ).mean()  # neighbors in time are alike, and are not neighbors here
    assert steps > 0.5 * np.abs(data.test[:180] - data.test[180:360]).mean()
