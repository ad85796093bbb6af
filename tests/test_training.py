"""Training: devices, resumption, checkpoints, and that it learns."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from permjax import training
from permjax.checkpoints import Checkpoints, load_model
from permjax.config import TrainConfig, load_config, save_config
from permjax.data import Batch, evaluation_batches, find_datasets
from permjax.evaluation import evaluate, predictor
from permjax.locks import locked
from permjax.losses import change_loss
from permjax.models import ModelConfig
from permjax.report import report_run
from permjax.sensors import select_sensors
from permjax.training import (
    NonFiniteLossError,
    initial_model,
    make_mesh,
    make_optimiser,
    start,
    train,
)
from tests.fake_records import fake_patch, write_fake_sensors, write_records

ROOT = Path(__file__).parent.parent
SENSORS = ("landsat5_tm", "sentinel2a_msi")
TINY = TrainConfig(
    sensors=SENSORS, data="real", steps=6, save_every=2, batch_size=8,
    patch_size=16, band_slots=(4,), model=ModelConfig(features=(8, 8), descriptor_size=8),
)  # fmt: skip


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("records")
    write_fake_sensors(path, *SENSORS)
    return path


def params_of(workdir: Path) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(load_model(workdir)))]


def train_until(step: int, config: TrainConfig) -> None:
    """Train, and stop by Ctrl-C in a step."""
    check = training._finite

    def stop(figures, number, batch):
        if number == step:
            raise KeyboardInterrupt
        return check(figures, number, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_finite", stop)
        with pytest.raises(KeyboardInterrupt):
            train(config)


def test_broken_off_and_gone_on_equals_never_stopped(data_dir, tmp_path):
    """Stopped in step 5, past the checkpoint of step 4: the same parameters, bit for bit."""
    whole = dataclasses.replace(TINY, workdir=tmp_path / "whole", data_dir=data_dir)
    train(whole)
    stopped = dataclasses.replace(whole, workdir=tmp_path / "stopped")
    train_until(5, stopped)
    with Checkpoints(stopped.workdir) as checkpoints:
        assert checkpoints.newest == 4
    train(stopped)
    for ours, theirs in zip(params_of(stopped.workdir), params_of(whole.workdir), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    logs = [(path / "log.jsonl").read_text() for path in (stopped.workdir, whole.workdir)]
    assert logs[0] == logs[1]
    assert [json.loads(line)["step"] for line in logs[0].splitlines()] == [1, 2, 3, 4, 5, 6]


KILLED = """
import os, sys
from pathlib import Path
from permjax import training
from permjax.config import load_config
check = training._finite
def killed(figures, number, batch):
    if number == 5:
        os.kill(os.getpid(), 9)
    return check(figures, number, batch)
training._finite = killed
training.train(load_config(Path(sys.argv[1])))
"""


def test_killed_and_gone_on_equals_never_stopped(data_dir, tmp_path):
    """SIGKILL in step 5, perhaps within the save of step 4: the result is that of no kill."""
    whole = dataclasses.replace(TINY, workdir=tmp_path / "whole", data_dir=data_dir)
    train(whole)
    killed = dataclasses.replace(whole, workdir=tmp_path / "killed")
    save_config(killed)
    command = [sys.executable, "-c", KILLED, str(killed.workdir)]
    assert subprocess.run(command, check=False, cwd=ROOT).returncode == -9
    train(killed)
    for ours, theirs in zip(params_of(killed.workdir), params_of(whole.workdir), strict=True):
        np.testing.assert_array_equal(ours, theirs)


DEVICES = """
import sys
from pathlib import Path
import jax
assert jax.device_count() == int(sys.argv[2])
from permjax.config import load_config
from permjax.training import train
train(load_config(Path(sys.argv[1])))
"""


def test_one_device_equals_eight(data_dir, tmp_path):
    """Five steps of the same batches on one device and on eight virtual ones, to rounding."""
    first = dataclasses.replace(TINY, workdir=tmp_path / "first", data_dir=data_dir)
    train(first)
    config = dataclasses.replace(first, steps=5, init=str(first.workdir), keep=2.0)
    for count in (1, 8):
        save_config(dataclasses.replace(config, workdir=tmp_path / str(count)))
        flags = f"--xla_force_host_platform_device_count={count}"
        environment = os.environ | {"XLA_FLAGS": flags, "NPROC": "32", "JAX_PLATFORMS": "cpu"}
        command = [sys.executable, "-c", DEVICES, str(tmp_path / str(count)), str(count)]
        subprocess.run(command, check=True, cwd=ROOT, env=environment)
    one, eight = params_of(tmp_path / "1"), params_of(tmp_path / "8")
    for ours, theirs in zip(one, eight, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    losses = [
        [json.loads(line)["loss"] for line in (tmp_path / n / "log.jsonl").read_text().splitlines()]
        for n in ("1", "8")
    ]
    np.testing.assert_allclose(*losses, rtol=1e-4)


def test_a_run_does_not_go_on_with_other_settings(data_dir, tmp_path):
    """Nor are those that it was started with lost."""
    config = dataclasses.replace(TINY, workdir=tmp_path / "run", data_dir=data_dir, steps=2)
    train(config)
    other = dataclasses.replace(config, learning_rate=1.0)
    with pytest.raises(ValueError, match=r"other settings \(learning_rate is None and not 1\.0\)"):
        train(other)
    assert load_config(config.workdir) == config
    moved = config.workdir.rename(tmp_path / "moved")
    train(dataclasses.replace(config, workdir=moved))


def test_two_trainings_do_not_go_on_in_one_directory(data_dir, tmp_path):
    config = dataclasses.replace(TINY, workdir=tmp_path, data_dir=data_dir, steps=2)
    with (
        locked(tmp_path / "training.lock", ""),
        pytest.raises(BlockingIOError, match="another training goes on in it"),
    ):
        train(config)
    assert not (tmp_path / "checkpoints").exists()
    train(config)


def test_a_share_of_nothing_is_told(data_dir, tmp_path, capsys):
    """It may be mistyped; that simulated scenes have a share is the default, and none is told."""
    shares = ("simulated=0.5", "fake/landsat5_mt=0.2")
    config = dataclasses.replace(TINY, workdir=tmp_path, data_dir=data_dir, steps=1, shares=shares)
    train(config)
    told = capsys.readouterr().err
    assert "note: --shares gives fake/landsat5_mt a share, but there is only fake/landsat" in told
    assert "gives simulated" not in told


def test_a_run_from_initial_weights_goes_on_with_their_size(data_dir, tmp_path):
    """Whether its settings were kept before they settled it, as train.py does, or after."""
    first = dataclasses.replace(TINY, workdir=tmp_path / "first", data_dir=data_dir, steps=2)
    train(first)
    tuned = dataclasses.replace(
        first, workdir=tmp_path / "tuned", init=str(first.workdir), model=ModelConfig()
    )
    save_config(tuned)
    train(tuned)
    train(tuned)
    assert load_config(tuned.workdir) == dataclasses.replace(tuned, model=TINY.model)
    with pytest.raises(ValueError, match=r"init is .*first and not None"):
        train(dataclasses.replace(tuned, init=None, model=TINY.model))


def test_it_learns_and_reports(data_dir, tmp_path, capsys):
    """After a minute's worth of tiny steps clouds of both sensors are found on held-out scenes."""
    config = dataclasses.replace(
        TINY, workdir=tmp_path / "run", data_dir=data_dir, steps=80, save_every=80,
        learning_rate=1e-2,
    )  # fmt: skip
    train(config)
    datasets = find_datasets(data_dir, select_sensors(SENSORS), "real")
    predict = predictor(load_model(config.workdir))
    for dataset in datasets:
        assert evaluate(predict, dataset, "test").counts.cloud.iou > 0.9
    report_run(config.workdir, datasets, "test")
    assert "sentinel2a_msi" in capsys.readouterr().out
    figures = json.loads((config.workdir / "metrics_test.json").read_text())
    assert figures["fake/landsat5_tm"]["iou"] > 0.9
    assert figures["fake/landsat5_tm"]["shadow_f1"] is None
    assert (config.workdir / "examples_test.png").stat().st_size > 10_000
    assert list((config.workdir / "tensorboard").iterdir())


def test_a_loss_that_is_not_finite_stops_and_names_the_batch(data_dir, tmp_path):
    """Nothing of it is saved: the newest checkpoint is the last good one."""
    config = dataclasses.replace(TINY, workdir=tmp_path, data_dir=data_dir, learning_rate=1e30)
    with pytest.raises(NonFiniteLossError, match=r"loss of step \d is .* scenes scene\d"):
        train(config)
    with Checkpoints(tmp_path) as checkpoints:
        assert (checkpoints.newest or 0) < 4


def test_a_run_without_checkpoint_is_told(tmp_path, data_dir):
    save_config(dataclasses.replace(TINY, workdir=tmp_path, data_dir=data_dir))
    with pytest.raises(FileNotFoundError, match="no complete checkpoint"):
        load_model(tmp_path)


def test_a_reader_leaves_the_save_of_a_training_process_alone(tmp_path, data_dir):
    config = dataclasses.replace(TINY, workdir=tmp_path, data_dir=data_dir, steps=4)
    train_until(3, config)
    half = tmp_path / "checkpoints" / "3.orbax-checkpoint-tmp"
    half.mkdir()
    load_model(tmp_path)
    assert half.exists()
    # A training process removes it before it saves anything itself.
    train(config)
    assert not half.exists()
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.newest == 4


def test_unlabelled_pixels_have_no_weight(tmp_path):
    """A batch whose second half is unlabelled has the loss and the step of its first half."""
    mesh = make_mesh(4)
    patches = [fake_patch("landsat5_tm", seed, 16) for seed in range(4)]
    image = np.stack([patch.image for patch in patches])
    label = np.stack([patch.label for patch in patches])
    bands = type(patches[0].bands)(*(np.stack([part] * 4) for part in patches[0].bands))
    valid, no_names = np.ones((4, 7), bool), np.empty((4, 0))
    blanked_label = np.where(np.arange(4)[:, None, None] < 2, label, np.uint8(0))
    blanked = Batch(image, bands, valid, blanked_label, no_names)
    half = jax.tree.map(lambda part: part[:2], blanked)
    step, state = start(initial_model(TINY), TINY, mesh)
    _, of_blanked = step(state, blanked)
    step, state = start(initial_model(TINY), TINY, mesh)
    _, of_half = step(state, half)
    np.testing.assert_allclose(of_blanked.loss, of_half.loss, rtol=1e-5)
    np.testing.assert_allclose(of_blanked.gradient_norm, of_half.gradient_norm, rtol=1e-4)


def test_one_sensor_and_one_scene_are_enough(tmp_path):
    write_records(tmp_path / "data", {"train": [fake_patch("landsat5_tm", 0)]})
    config = dataclasses.replace(TINY, workdir=tmp_path, sensors=("landsat5_tm",), steps=2)
    train(config)
    assert load_model(tmp_path)


def test_a_run_starts_from_the_weights_of_another(data_dir, tmp_path):
    """At a learning rate of nearly nothing they stay what they were; so does their size."""
    first = dataclasses.replace(TINY, workdir=tmp_path / "first", data_dir=data_dir)
    train(first)
    tuned = dataclasses.replace(
        first, workdir=tmp_path / "tuned", init=str(first.workdir), seed=1, learning_rate=1e-12,
        model=ModelConfig(),
    )  # fmt: skip
    train(tuned)
    for ours, theirs in zip(params_of(tuned.workdir), params_of(first.workdir), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_the_answers_of_the_initial_weights_are_kept(data_dir, tmp_path):
    """What a run answers after a few steps stays much nearer to them than it does otherwise."""
    first = dataclasses.replace(TINY, workdir=tmp_path / "first", data_dir=data_dir, steps=2)
    train(first)
    dataset = find_datasets(data_dir, select_sensors(SENSORS[:1]), "real")[0]
    batch = next(evaluation_batches(dataset, "train", 4))
    image = batch.image, batch.bands, batch.valid
    before = load_model(first.workdir)(*image)
    changes = []
    for keep in (0.0, 30.0):
        tuned = dataclasses.replace(
            first, workdir=tmp_path / str(keep), init=str(first.workdir), keep=keep, seed=1,
            steps=20, learning_rate=5e-3,
        )  # fmt: skip
        train(tuned)
        changes.append(float(change_loss(load_model(tuned.workdir)(*image), before).mean()))
    assert changes[1] < 0.2 * changes[0]


@pytest.mark.parametrize(("steps", "share"), [(1, 0.9), (6, 0.99), (6, 0.0)])
def test_a_warm_up_may_fill_all_but_the_last_step(steps, share):
    assert make_optimiser(dataclasses.replace(TINY, steps=steps, warmup_share=share))


def test_weights_to_start_from_settle_the_size(tmp_path):
    assert initial_model(TrainConfig(init="pretrained")).config == ModelConfig()
    with pytest.raises(ValueError, match=r"--init=pretrained are those of a model of the size"):
        initial_model(dataclasses.replace(TINY, init="pretrained"))
    with pytest.raises(FileNotFoundError, match="no run in"):
        initial_model(TrainConfig(init=str(tmp_path)))


@pytest.mark.parametrize("bfloat16", [True, False])
def test_initial_weights_compute_as_asked(bfloat16):
    """In bfloat16 or not, whatever their size: the parameters are the same."""
    shipped = initial_model(TrainConfig(init="pretrained"))
    config = dataclasses.replace(shipped.config, bfloat16=bfloat16)
    model = initial_model(TrainConfig(init="pretrained", model=config))
    assert model.config == config
    assert model.head_norm.dtype == (jnp.bfloat16 if bfloat16 else jnp.float32)
    ours, theirs = (jax.tree.leaves(nnx.state(m)) for m in (model, shipped))
    for one, two in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, two)
