"""At every moment there is a checkpoint that can be trusted, and one that cannot is never used."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aevb import VAE
from aevb.disk import checkpoints
from aevb.disk.checkpoints import Checkpoint
from aevb.errors import AevbWarning, CheckpointError, ConfigError, DataError


def save(folder: Path, epoch: int) -> Path:
    arrays = {"w": np.full(5, epoch, np.float32), "key": np.uint32(epoch)}
    return checkpoints.save(folder, arrays, {"epoch": epoch})


def epoch_of(folder: Path) -> int:
    loaded = checkpoints.load(folder)
    assert loaded is not None
    arrays, document = loaded
    np.testing.assert_array_equal(arrays["w"], np.full(5, document["epoch"], np.float32))
    assert arrays["key"] == document["epoch"]
    return int(document["epoch"])


def numbers(folder: Path) -> list[str]:
    """Numbers of the checkpoints; anything else in the folder fails."""
    names = sorted(entry.name for entry in folder.iterdir())
    assert all(re.fullmatch(r"\d{8}-[0-9a-f]{64}\.safetensors", name) for name in names)
    return [name[:8] for name in names]


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    assert checkpoints.load(folder) is None
    assert not checkpoints.exists(folder)
    for epoch in range(1, 5):
        save(folder, epoch)
        assert epoch_of(folder) == epoch
    assert numbers(folder) == ["00000003", "00000004"]
    checkpoints.clear(folder)
    assert not list(folder.iterdir())


def test_every_flipped_bit_is_found_and_the_one_before_is_used(tmp_path: Path) -> None:
    save(tmp_path, 1)
    path = save(tmp_path, 2)
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.warns(AevbWarning, match=r"00000002.*going on from 00000001"):
            assert epoch_of(tmp_path) == 1


def test_none_that_can_be_trusted(tmp_path: Path) -> None:
    path = save(tmp_path, 1)
    for content in (b"", path.read_bytes()[:-1]):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="start afresh"):
            checkpoints.load(tmp_path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, call: str
) -> None:
    """A failed flush is a failed checkpoint: not tried again as a success, and nothing is left of
    it.
    """
    save(tmp_path, 1)
    save(tmp_path, 2)

    def failing(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        with pytest.raises(
            CheckpointError, match="bytes needed" if code == errno.ENOSPC else "cannot write"
        ):
            save(tmp_path, 3)
    assert numbers(tmp_path) == ["00000001", "00000002"]
    assert epoch_of(tmp_path) == 2
    save(tmp_path, 3)
    assert epoch_of(tmp_path) == 3


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot write"):
        save(tmp_path / "file" / "checkpoints", 1)


def test_a_kill_at_any_point_leaves_a_checkpoint(tmp_path: Path) -> None:
    script = Path(__file__).with_name("killed_writes.py")
    program = [sys.executable, "-W", "error", script, "checkpoint", tmp_path]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    epochs = done.stdout.split()
    assert set(epochs) == {"2", "3"}
    assert epochs == sorted(epochs)


# The state of a training loop

STATE = {"w": jnp.arange(3.0), "steps": jnp.zeros((), int), "static": None}
DOCUMENT = {
    "epoch": 3,
    "history": [{"epoch": 0, "train_bound": float("nan"), "validation_bound": 1 / 3}],
}


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    assert Checkpoint(tmp_path).load(STATE) is None
    Checkpoint(tmp_path, {"hidden": (2, 3), "data": "abc"}).save(STATE, DOCUMENT)
    loaded = Checkpoint(tmp_path, {"hidden": [2, 3], "data": "abc"}).load(STATE)
    assert loaded is not None
    state, document = loaded
    assert jax.tree.structure(state) == jax.tree.structure(STATE)
    assert all(map(np.array_equal, jax.tree.leaves(state), jax.tree.leaves(STATE)))
    first = document["history"][0]
    assert first["validation_bound"] == 1 / 3  # to the last bit
    assert np.isnan(first["train_bound"])


@pytest.mark.parametrize(
    ("identity", "error", "says"),
    [({"epochs": 5, "data": "abc"}, ConfigError, "epochs = 4, not 5"),
     ({"epochs": 4}, DataError, r"other data \(abc; now None\).*changed_data=True"),
     ({"epochs": 4, "data": "abc", "prior": "mixture"}, ConfigError, "prior = None, not mixture")],
)  # fmt: skip
def test_other_settings_or_data_do_not_go_on(
    tmp_path: Path, identity: dict[str, object], error: type[Exception], says: str
) -> None:
    Checkpoint(tmp_path, {"epochs": 4, "data": "abc"}).save(STATE, DOCUMENT)
    checkpoint = Checkpoint(tmp_path, identity)
    for call in (checkpoint.check, lambda: checkpoint.load(STATE)):
        with pytest.raises(error, match=says):
            call()


def test_other_data_go_on_where_that_is_allowed(tmp_path: Path) -> None:
    was = {"rows": 7, "columns": 3, "sha256": 64 * "7"}
    now = {"rows": 8, "columns": 3, "sha256": 64 * "8"}
    Checkpoint(tmp_path, {"epochs": 4, "data": was}).save(STATE, DOCUMENT)
    allowed = Checkpoint(tmp_path, {"epochs": 4, "data": now}, changed_data=True)
    says = "7 rows, 3 columns, SHA-256 777777777777; now 8 rows.*all the same"
    with pytest.warns(AevbWarning, match=says):
        loaded = allowed.load(STATE)
    assert loaded is not None
    # Bounds of other rows compare with nothing: the best epoch is yet to come.
    assert np.isnan(loaded[1]["history"][0]["validation_bound"])
    allowed.save(STATE, DOCUMENT)
    Checkpoint(tmp_path, {"epochs": 4, "data": now}).check()  # from now on these are its data
    with pytest.raises(ConfigError, match="epochs = 4, not 5"):
        Checkpoint(tmp_path, {"epochs": 5, "data": now}, changed_data=True).check()


@pytest.mark.parametrize(
    "like", [{"w": jnp.arange(4.0)}, {**STATE, "w": jnp.arange(4.0)}, {**STATE, "w": jnp.arange(3)}]
)
def test_a_state_of_another_shape(tmp_path: Path, like: object) -> None:
    Checkpoint(tmp_path).save(STATE, DOCUMENT)
    with pytest.raises(CheckpointError, match=r"expected .* found|belongs to no part"):
        Checkpoint(tmp_path).load(like)


def test_writes_are_apart_and_the_last_is_flushed(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, interval=1e6)
    for epoch in range(1, 4):
        checkpoint.save(STATE, {"epoch": epoch})
    assert len(list(tmp_path.iterdir())) == 1
    checkpoint.flush()
    checkpoint.flush()
    assert len(list(tmp_path.iterdir())) == 2
    loaded = Checkpoint(tmp_path).load(STATE)
    assert loaded is not None
    assert loaded[1] == {"epoch": 3}


def test_an_interrupted_fit_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(60, 3))

    def fit(stop: int | None) -> VAE:
        def progress(line: dict[str, float]) -> None:
            if line["epoch"] == stop:
                raise KeyboardInterrupt

        vae = VAE(latent_dim=1, hidden=(4,), epochs=5, batch_size=20, random_state=0)
        return vae.fit(
            X, progress=progress, checkpoint=Checkpoint(tmp_path, interval=0) if stop else None
        )

    undisturbed = fit(None)
    for stop in (1, 3, 5):  # a fit cut off again and again
        with pytest.raises(KeyboardInterrupt):
            fit(stop)
    resumed = fit(6)
    assert jax.tree.all(jax.tree.map(np.array_equal, resumed.model_, undisturbed.model_))
    bounds = [[line["validation_bound"] for line in vae.history_] for vae in (resumed, undisturbed)]
    assert bounds[0] == bounds[1]
