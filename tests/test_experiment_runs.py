"""Which models the experiment trains, on which records, and with which settings."""

import dataclasses
import json
from types import SimpleNamespace

import pytest

from data_prep import build
from permjax.config import load_config
from permjax.experiments import runs
from permjax.experiments.parts import finite, kept
from permjax.experiments.runs import plan_runs, prepare_records, train_all
from permjax.experiments.settings import ThreeWay, keep_settings
from permjax.models import ModelConfig
from permjax.sensors import FAMILIES
from tests.fake_records import write_fake_sensors

ALL = [*FAMILIES["landsat"], *FAMILIES["sentinel"]]
TINY = ThreeWay(
    data="real", seeds=1, steps=1, batch_size=4, patch_size=16,
    model=ModelConfig(features=(8, 8), descriptor_size=8),
)  # fmt: skip


def test_three_ways_differ_in_their_sensors_alone(tmp_path):
    """Equal steps and size for each way and seed, and a directory of its own for each run."""
    plan = plan_runs(ThreeWay(workdir=tmp_path), ALL)
    assert list(plan.ways) == ["landsat", "sentinel", "both"]
    assert [plan.ways[way][0].sensors for way in plan.ways] == [
        ("landsat",), ("sentinel",), ("landsat", "sentinel"),
    ]  # fmt: skip
    for of_way in plan.ways.values():
        assert [run.seed for run in of_way] == [0, 1, 2]
    alike = [
        dataclasses.replace(run, sensors=("x",), workdir=tmp_path, seed=0) for run in plan.runs
    ]
    assert all(run == alike[0] for run in alike)
    assert len({run.workdir for run in plan.runs}) == len(plan.runs)


def test_an_instrument_is_left_out_with_its_twins(tmp_path):
    """Five instruments in the two families; leaving Sentinel-2 out is training on Landsat."""
    plan = plan_runs(ThreeWay(workdir=tmp_path), ALL)
    assert set(plan.left_out) == set(ALL)
    for name, run in plan.left_out.items():
        assert name not in run.sensors
    assert not set(FAMILIES["landsat_oli"]) & set(plan.left_out["landsat9_oli_tirs"].sensors)
    assert plan.left_out["sentinel2b_msi"] == plan.ways["landsat"][0]
    assert len(plan.runs) == 3 * 3 + 4


def test_sensors_without_records_are_neither_left_out_nor_trained_on(tmp_path):
    plan = plan_runs(ThreeWay(workdir=tmp_path), ["landsat5_tm", "sentinel2a_msi"])
    assert plan.left_out["landsat5_tm"] == plan.ways["sentinel"][0]
    assert plan.left_out["sentinel2a_msi"] == plan.ways["landsat"][0]
    assert plan_runs(ThreeWay(workdir=tmp_path), ["landsat5_tm"]).left_out == {}


def test_simulated_records_that_are_missing_are_made_by_the_documented_command(
    tmp_path, monkeypatch
):
    """The very words that `data_prep.build` takes; where it fails that is said."""
    asked = []

    def fail(command, **_):
        asked.extend(command)
        return SimpleNamespace(returncode=1)

    monkeypatch.setattr(runs.subprocess, "run", fail)
    with pytest.raises(ChildProcessError, match="were not simulated"):
        prepare_records(ThreeWay(workdir=tmp_path, scenes=8))
    assert asked[1:4] == ["-m", "data_prep.build", "simulated"]
    options = build._parser().parse_args(asked[3:])
    assert (options.train, options.test, options.data_dir) == (8, 4, tmp_path / "data")
    assert {sensor.name for sensor in options.sensors} == set(ALL)


def test_records_that_are_there_are_taken(tmp_path):
    write_fake_sensors(tmp_path, "landsat5_tm", "sentinel2a_msi", train=1, test=1)
    datasets = prepare_records(dataclasses.replace(TINY, data_dir=tmp_path))
    assert [dataset.sensor for dataset in datasets] == ["landsat5_tm", "sentinel2a_msi"]


def test_what_is_trained_is_left_and_the_rest_goes_on(tmp_path, monkeypatch):
    write_fake_sensors(tmp_path / "data", "landsat5_tm", "sentinel2a_msi", train=4, test=1)
    settings = dataclasses.replace(TINY, workdir=tmp_path, data_dir=tmp_path / "data")
    plan = plan_runs(settings, ["landsat5_tm", "sentinel2a_msi"])
    trained, train = [], runs.train

    def stop_at_second(run):
        if trained:
            raise KeyboardInterrupt
        trained.append(run)
        train(run)

    monkeypatch.setattr(runs, "train", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        train_all(plan)
    again = []
    monkeypatch.setattr(runs, "train", again.append)
    train_all(plan)
    assert [*trained, *again] == plan.runs
    assert load_config(trained[0].workdir).sensors == ("landsat",)


def test_other_settings_are_refused_in_the_same_directory(tmp_path):
    keep_settings(ThreeWay(workdir=tmp_path))
    keep_settings(ThreeWay(workdir=tmp_path))
    with pytest.raises(ValueError, match="seeds is 3 and not 2"):
        keep_settings(ThreeWay(workdir=tmp_path, seeds=2))
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    keep_settings(ThreeWay(workdir=moved))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"train_families": ("landsat",)}, "name two families"),
        ({"test": "modis"}, "name two families and test on one of them"),
        ({"train_families": ("landsat", "landsat_tm"), "test": "landsat"}, "both families hold"),
        ({"test": "sentinell", "train_families": ("landsat", "sentinell")}, "did you mean"),
        ({"scenes": 1}, "scenes must be at least 2"),
        ({"seeds": 0}, "seeds must be at least 1"),
    ],
)
def test_settings_that_contradict_each_other_are_told(wrong, said):
    with pytest.raises(ValueError, match=said):
        ThreeWay(**wrong)


def test_a_measurement_is_made_once(tmp_path):
    """And where it stops nothing is kept; what is undefined is null."""
    path = tmp_path / "parts" / "it.json"
    with pytest.raises(ZeroDivisionError):
        kept(path, lambda: 1 / 0)
    assert kept(path, lambda: {"x": finite([0.5, float("nan")])}) == {"x": [0.5, None]}
    assert kept(path, lambda: 1 / 0) == {"x": [0.5, None]}
    assert json.loads(path.read_text()) == {"x": [0.5, None]}
