"""The shipped weights, and what writes and reads them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

import permjax
from permjax.models import CloudMasker, ModelConfig
from permjax.weights import PRETRAINED, read_weights, weights_name, write_weights

ROOT = Path(__file__).parent.parent
SMALL = ModelConfig(features=(4, 6), descriptor_size=4)


@pytest.fixture(scope="module")
def model():
    return CloudMasker(SMALL, rngs=nnx.Rngs(1))


def test_what_is_written_comes_back_as_near_as_float16(model, tmp_path):
    write_weights(model, "small", tmp_path / "new" / "folder", {})
    again = read_weights(tmp_path / "new" / "folder")
    assert weights_name(tmp_path / "new" / "folder") == "small"
    ours, theirs = (jax.tree.leaves(nnx.state(m)) for m in (model, again))
    for one, two in zip(ours, theirs, strict=True):
        assert two.dtype == one.dtype
        np.testing.assert_allclose(one, two, rtol=2**-11, atol=2**-24)


def test_the_same_weights_are_the_same_bytes(model, tmp_path):
    for folder in ("one", "two"):
        write_weights(model, "small", tmp_path / folder, {})
    one, two = ((tmp_path / folder / "weights.npz").read_bytes() for folder in ("one", "two"))
    assert one == two


def test_shipped_weights_mask():
    rng = np.random.default_rng(0)
    image = rng.uniform(0.05, 0.9, (40, 50, 4)).astype(np.float32)
    image[:5] = np.nan
    mask = permjax.load_pretrained().predict(
        image, wavelength_nm=[490, 560, 665, 842], bandwidth_nm=[65, 35, 30, 115]
    )
    assert (mask.classes[:5] == 255).all()
    assert (mask.classes[5:] < 4).all()
    np.testing.assert_allclose(mask.probabilities[5:].sum(axis=-1), 1, atol=1e-5)


def test_shipped_weights_are_small_plain_and_told_of():
    assert sum(path.stat().st_size for path in PRETRAINED.iterdir()) < 10e6
    with np.load(PRETRAINED / "weights.npz", allow_pickle=False) as file:
        count = sum(file[name].size for name in file.files)
        assert all(np.isfinite(file[name]).all() for name in file.files)
    card = (PRETRAINED / "card.md").read_text()
    assert f"`{weights_name(PRETRAINED)}`" in card
    assert f"{count:,} parameters" in card


@pytest.mark.parametrize("keep", [0, 100, 20_000])
def test_cut_weights_are_one_sentence(keep, tmp_path):
    shutil.copytree(PRETRAINED, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "weights.npz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="damaged: install permjax again"):
        read_weights(tmp_path)


def test_pickled_weights_are_refused(model, tmp_path):
    write_weights(model, "small", tmp_path, {})
    np.savez(tmp_path / "weights.npz", evil=np.array([{"a": 1}], object))
    with pytest.raises(ValueError, match="damaged"):
        read_weights(tmp_path)


def test_weights_of_another_model_are_refused(model, tmp_path):
    write_weights(model, "small", tmp_path, {})
    config = json.loads((tmp_path / "config.json").read_text())
    config["model"]["features"] = [4, 8]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="those of another model"):
        read_weights(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"name": "x", "model": {"a": 1}})])
def test_wrong_config_is_one_sentence(text, tmp_path):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match="install permjax again"):
        read_weights(tmp_path)


def test_no_weights(tmp_path):
    with pytest.raises(FileNotFoundError, match="there are no weights"):
        read_weights(tmp_path)


def test_export_tells_of_a_missing_run(tmp_path):
    words = ["--workdir", str(tmp_path / "absent"), "--name=x"]
    done = subprocess.run(
        [sys.executable, "-m", "permjax.export_weights", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 1
    assert "no run in" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
