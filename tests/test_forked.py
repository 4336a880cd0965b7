"""A process forked after JAX has started scores the same numbers or refuses; it never hangs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = '''
import json, multiprocessing, sys, warnings
from concurrent.futures import ProcessPoolExecutor
import numpy as np
import aevb
from aevb import VAE, VAEOutlierDetector
from aevb.errors import ConfigError
from aevb.forked import is_forked

X = np.random.default_rng(0).normal(size=(40, 2))
SMALL = dict(latent_dim=1, hidden=(), epochs=1, random_state=0)

class Mine(VAE):
    """Of this script, which no other process has."""

def fitted(rows):
    return is_forked(), VAE(**SMALL).fit(rows).score(rows)

def all_verbs(vae, rows):
    refitted = VAE(**SMALL)
    assert refitted.fit(rows) is refitted
    detector = VAEOutlierDetector(**SMALL).fit(rows)
    return [
        is_forked(), vae.transform(rows), vae.score(rows), vae.sample(3), vae.impute(rows),
        vae.reconstruct(rows), refitted.score(rows), detector.offset_,
        aevb.load(sys.argv[1]).score(rows),
    ]

def inherited(queue):
    queue.put(vae.score(X))

def refused(kind):
    try:
        if kind == "function":
            VAE(**SMALL).fit(X, progress=lambda line: None)
        elif kind == "class":
            Mine(**SMALL).fit(X)
        else:
            aevb.marginal.importance(vae.model_, X.astype(np.float32))
    except ConfigError as error:
        return str(error)

def failing(vae):
    try:
        vae.score(X[:, :1])
    except ValueError as error:
        return type(error).__name__

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    fork = multiprocessing.get_context("fork")
    with fork.Pool(1) as pool:
        before = pool.apply_async(fitted, (X,)).get(100)
    vae = VAE(**SMALL).fit(X)
    vae.save(sys.argv[1])
    want = all_verbs(vae, X)
    with fork.Pool(1) as pool:
        got = pool.apply_async(all_verbs, (vae, X)).get(200)
        error = pool.apply_async(failing, (vae,)).get(100)
    with ProcessPoolExecutor(1, mp_context=fork) as pool:
        lines = [pool.submit(refused, kind).result(100) for kind in ("function", "class", "low")]
        after = pool.submit(vae.score, X).result(100)
    queue = fork.Queue()
    process = fork.Process(target=inherited, args=(queue,))
    process.start()
    score = queue.get(timeout=100)
    process.join(20)
    print(json.dumps({
        "before": [before[0], before[1] == vae.score(X)],
        "in the child": got[0],
        "same": [np.array_equal(a, b) for a, b in zip(got[1:], want[1:])],
        "inherited": score == vae.score(X),
        "ended": process.exitcode,
        "error": error,
        "lines": lines,
        "after": after == vae.score(X),
        "here": is_forked(),
    }))
'''


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    if not hasattr(os, "register_at_fork"):
        pytest.skip("this system does not fork")
    folder: Path = tmp_path_factory.mktemp("forked")
    script = folder / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), str(folder / "run")],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_fork_before_jax_has_started_fits_by_itself(answers):
    assert answers["before"] == [False, True]


def test_every_verb_gives_the_same_numbers_after_a_fork(answers):
    assert answers["in the child"] is True
    assert answers["same"] == [True] * 8
    assert answers["here"] is False


def test_a_model_that_a_child_inherits_scores_the_same(answers):
    assert answers["inherited"] is True
    assert answers["ended"] == 0


def test_errors_are_those_of_the_verb(answers):
    assert answers["error"] == "ValueError"


def test_what_cannot_be_handed_over_is_refused_with_the_remedy(answers):
    for line in answers["lines"]:
        assert "spawn" in line
        assert "threads" in line
        assert "\n" not in line
    assert answers["after"] is True
