"""The command line is the configuration."""

import subprocess
import sys
from pathlib import Path

import pytest

from permjax.config import EvalConfig, TrainConfig, load_config, parse, read_shares, save_config
from permjax.models import ModelConfig

ROOT = Path(__file__).parent.parent


def test_sensors_are_split_at_commas():
    assert parse(TrainConfig, ["--sensors=landsat,sentinel"]).sensors == ("landsat", "sentinel")
    assert parse(TrainConfig, ["--sensors", "landsat"]).sensors == ("landsat",)
    assert parse(EvalConfig, ["--sensors=sentinel2a_msi,"]).sensors == ("sentinel2a_msi",)


def test_shares_are_names_and_numbers():
    config = parse(TrainConfig, ["--shares=simulated=0.4,geotiff_folder/a=b=0.1"])
    assert read_shares(config.shares) == {"simulated": 0.4, "geotiff_folder/a=b": 0.1}
    for wrong in (("simulated",), ("=0.2",), ("a=x",), ("a=-1",), ("a=nan",)):
        with pytest.raises(ValueError, match="shares are given as NAME=NUMBER"):
            TrainConfig(shares=wrong)
    with pytest.raises(ValueError, match=r"add up to more than 1: a=0\.7, b=0\.4"):
        TrainConfig(shares=("a=0.7", "b=0.4"))


def test_settings_survive_the_file(tmp_path):
    config = TrainConfig(
        sensors=("modis",), workdir=tmp_path, data_dir=tmp_path / "records", band_slots=(2, 3),
        shares=("simulated=0.1", "fake=0.2"),
        model=ModelConfig(features=(4, 8), bfloat16=True),
    )  # fmt: skip
    save_config(config)
    assert load_config(tmp_path) == config


def test_a_moved_run_is_at_home_where_it_is(tmp_path):
    save_config(TrainConfig(workdir=tmp_path / "old"))
    (tmp_path / "old").rename(tmp_path / "new")
    assert load_config(tmp_path / "new").records_dir == tmp_path / "new" / "data"


def test_the_work_directory_alone_goes_on_with_its_run(tmp_path):
    config = TrainConfig(sensors=("landsat8_oli_tirs",), workdir=tmp_path, steps=77, seed=5)
    save_config(config)
    assert parse(TrainConfig, [f"--workdir={tmp_path}"]) == config
    assert parse(TrainConfig, [f"--workdir={tmp_path}", "--steps=77"]) == config


def test_initial_weights_and_records_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["--workdir=run", "--init=first", "--data_dir=records"]
    config = parse(TrainConfig, words)
    assert (config.init, config.data_dir) == (str(tmp_path / "first"), tmp_path / "records")
    save_config(config)
    assert parse(TrainConfig, words).init == config.init
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert parse(TrainConfig, ["--workdir=../run"]).init == config.init
    assert parse(TrainConfig, ["--init=pretrained"]).init == "pretrained"


def test_a_sensor_of_ones_own_is_found_from_any_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["--sensors=mine.toml,landsat"]
    assert parse(TrainConfig, words).sensors == (str(tmp_path / "mine.toml"), "landsat")


def test_other_settings_than_those_of_the_run_are_refused(tmp_path):
    save_config(TrainConfig(workdir=tmp_path, steps=77))
    with pytest.raises(ValueError, match=r"steps is 77 and not 99.*another --workdir"):
        parse(TrainConfig, [f"--workdir={tmp_path}", "--steps=99"])


def test_a_broken_settings_file_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"sensors": ')
    with pytest.raises(ValueError, match=r"config\.json does not hold the settings"):
        load_config(tmp_path)


def test_no_run_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no run in"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"batch_size": -1}, "batch_size must be at least 1"),
        ({"sensors": ()}, "name at least one sensor"),
        ({"band_slots": ()}, "band_slots must be positive"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"init": "pretrained", "keep": -1.0}, "keep must be 0 or more"),
        ({"keep": 1.0}, "keep needs initial weights: give --init too"),
        ({"surface_share": 1.5}, "between 0 and 1"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"warmup_share": -0.1}, "warmup_share must be at least 0 and less than 1"),
        ({"warmup_share": 1.0}, "warmup_share must be at least 0 and less than 1"),
    ],
)
def test_contradictions_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**settings)


@pytest.mark.parametrize(
    ("script", "option", "message"),
    [
        ("train.py", "--sensors=landsta", "did you mean 'landsat'"),
        ("train.py", "--steps=0", "steps must be at least 1"),
        ("train.py", "--init=nowhere", "no run in"),
        ("train.py", "--batch=3", "--batch"),
        ("eval.py", "--sensors=sentinel", "no run in"),
    ],
)
def test_scripts_tell_of_errors_without_a_traceback(tmp_path, script, option, message):
    done = subprocess.run(
        [sys.executable, ROOT / script, f"--workdir={tmp_path / 'run'}", option],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode in (1, 2)
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()
