"""Which models the experiment trains, on which records, and with which settings."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from data_prep import build
from permjax.checkpoints import Checkpoints
from permjax.config import load_config
from permjax.experiments import runs
from permjax.experiments.parts import finite, kept, write_json
from permjax.experiments.records import count_records
from permjax.experiments.runs import Plan, plan_runs, prepare_records, train_all
from permjax.experiments.settings import ThreeWay, keep_settings, settings_as_json
from permjax.logs import Log
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
    keep_settings(ThreeWay(workdir=tmp_path), [])
    keep_settings(ThreeWay(workdir=tmp_path), [])
    with pytest.raises(ValueError, match="seeds is 3 and not 2"):
        keep_settings(ThreeWay(workdir=tmp_path, seeds=2), [])
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    keep_settings(ThreeWay(workdir=moved), [])


def test_other_records_are_refused_in_the_same_directory(tmp_path):
    settings = dataclasses.replace(TINY, workdir=tmp_path)
    write_fake_sensors(tmp_path / "data", "landsat5_tm", "sentinel2a_msi", train=2, test=1)
    keep_settings(settings, count_records(prepare_records(settings)))
    keep_settings(settings, count_records(prepare_records(settings)))
    write_fake_sensors(tmp_path / "data", "landsat7_etm", train=3, test=1)
    said = r"fake/landsat7_etm had no records and has 3 to train and 1 to test\): bring them back"
    with pytest.raises(ValueError, match=said):
        keep_settings(settings, count_records(prepare_records(settings)))
    kept = json.loads((tmp_path / "settings.json").read_text())["records"]
    assert [records["name"] for records in kept] == ["fake/landsat5_tm", "fake/sentinel2a_msi"]


def test_a_directory_of_before_records_were_kept_goes_on_and_gets_them(tmp_path):
    settings = ThreeWay(workdir=tmp_path)
    before = settings_as_json(settings)
    write_json(tmp_path / "settings.json", before)
    records = [{"name": "simulated/landsat5_tm", "train": 160, "test": 80}]
    keep_settings(settings, records)
    assert json.loads((tmp_path / "settings.json").read_text()) == before | {"records": records}


def test_simulated_records_of_another_number_of_scenes_are_refused(tmp_path, monkeypatch):
    """Whether all sensors are there or some are to be simulated still."""
    monkeypatch.setattr(runs.subprocess, "run", None)
    write_fake_sensors(tmp_path, "landsat5_tm", "sentinel2a_msi", train=4, test=2)
    (tmp_path / "fake").rename(tmp_path / "simulated")
    settings = ThreeWay(
        train_families=("landsat5_tm", "sentinel2a_msi"), test="sentinel2a_msi",
        data_dir=tmp_path, scenes=4,
    )  # fmt: skip
    assert len(prepare_records(settings)) == 2
    for change in ({"scenes": 6}, {"scenes": 6, "train_families": ("landsat", "sentinel2a_msi")}):
        with pytest.raises(ValueError, match="holds 4 scenes to train on and 2 to test on"):
            prepare_records(dataclasses.replace(settings, **change))


def test_a_complete_run_of_other_settings_is_not_taken(tmp_path, monkeypatch):
    write_fake_sensors(tmp_path / "data", "landsat5_tm", "sentinel2a_msi", train=4, test=1)
    [run, *_] = plan_runs(dataclasses.replace(TINY, workdir=tmp_path), []).runs
    train_all(Plan({"landsat": (run,)}, {}))
    monkeypatch.setattr(runs, "train", None)
    train_all(Plan({"landsat": (run,)}, {}))
    with pytest.raises(ValueError, match="batch_size is 4 and not 2"):
        train_all(Plan({"landsat": (dataclasses.replace(run, batch_size=2),)}, {}))


def test_a_relative_directory_of_records_is_the_same_from_anywhere(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    relative = ThreeWay(workdir=tmp_path, data_dir=Path("records"))
    keep_settings(relative, [])
    monkeypatch.chdir(tmp_path / "elsewhere")
    keep_settings(ThreeWay(workdir=tmp_path, data_dir=Path("../records").resolve()), [])
    with pytest.raises(ValueError, match=r"data_dir is .*/records and not .*/elsewhere/records"):
        keep_settings(relative, [])


def test_a_moved_directory_goes_on_with_its_runs_and_records(tmp_path, monkeypatch):
    """One run was stopped between its two steps, another is complete."""

    def plan(workdir):
        of = plan_runs(dataclasses.replace(TINY, workdir=workdir), []).ways
        stopped = dataclasses.replace(of["sentinel"][0], steps=2, save_every=1)
        return Plan({"landsat": of["landsat"], "sentinel": (stopped,)}, {})

    def write_one(log, step, **figures):
        if step == 2:
            raise KeyboardInterrupt
        write(log, step, **figures)

    old, new = tmp_path / "old", tmp_path / "new"
    write_fake_sensors(old / "data", "landsat5_tm", "sentinel2a_msi", train=4, test=1)
    write = Log.write
    monkeypatch.setattr(Log, "write", write_one)
    with pytest.raises(KeyboardInterrupt):
        train_all(plan(old))
    monkeypatch.setattr(Log, "write", write)
    old.rename(new)
    train_all(plan(new))
    for run, steps in zip(plan(new).runs, (1, 2), strict=True):
        assert load_config(run.workdir).data_dir == new / "data"
        assert len((run.workdir / "log.jsonl").read_text().splitlines()) == steps
        with Checkpoints(run.workdir) as checkpoints:
            assert checkpoints.newest == steps


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
