"""What the experiment makes of records that are not those of every sensor with all its bands."""

import dataclasses

import pytest

from data_prep.patches import Patch
from permjax.bands import BandDescription
from permjax.data import Dataset, find_datasets
from permjax.experiments import measuring, runs
from permjax.experiments.__main__ import three_way
from permjax.experiments.probes import take_probes
from permjax.experiments.records import name_shared_bands
from permjax.experiments.runs import plan_runs
from permjax.experiments.settings import ThreeWay
from permjax.sensors import select_sensors
from tests.fake_batches import batch_of
from tests.fake_records import fake_patch, write_fake_sensors, write_records

BOTH_FAMILIES = select_sensors(["landsat", "sentinel"])


def datasets_in(settings: ThreeWay) -> list[Dataset]:
    return find_datasets(settings.records_dir, BOTH_FAMILIES, settings.data)


def with_some_bands(patch: Patch, some: slice) -> Patch:
    bands = BandDescription(*(part[some] for part in patch.bands))
    return dataclasses.replace(patch, image=patch.image[..., some], bands=bands)


@pytest.fixture
def landsat8(tmp_path):
    """Landsat 8 and Sentinel-2A to train on; Landsat 5, which is broader, to test on alone."""
    write_fake_sensors(tmp_path / "data", "landsat8_oli_tirs", "sentinel2a_msi", train=2, test=2)
    write_records(tmp_path / "data", {"test": [fake_patch("landsat5_tm", 100)]})
    return ThreeWay(workdir=tmp_path, data="real")


def test_a_band_is_shared_only_if_it_was_trained_on(landsat8):
    """Sentinel-2's B8 is as broad as no band of Landsat 8, though Landsat 5 has one."""
    assert name_shared_bands(landsat8, datasets_in(landsat8)) == {
        "fake/sentinel2a_msi": ["B1", "B2", "B3", "B4", "B8A", "B10", "B11", "B12"]
    }


def test_records_of_some_bands_share_these_alone(tmp_path):
    write_fake_sensors(tmp_path / "data", "sentinel2a_msi", train=1, test=1)
    four = with_some_bands(fake_patch("landsat8_oli_tirs", 0), slice(1, 5))
    write_records(tmp_path / "data", {"train": [four]})
    settings = ThreeWay(workdir=tmp_path, data="real")
    shared = name_shared_bands(settings, datasets_in(settings))
    assert shared == {"fake/sentinel2a_msi": ["B2", "B3", "B4", "B8A"]}


def test_all_landsats_share_with_sentinel_what_their_table_says(tmp_path):
    """As simulated by default: every sensor, with all the bands of its table."""
    names = [sensor.name for sensor in BOTH_FAMILIES]
    write_fake_sensors(tmp_path / "data", *names, train=1, test=1)
    settings = ThreeWay(workdir=tmp_path, data="real")
    shared = name_shared_bands(settings, datasets_in(settings))
    of_one = ["B1", "B2", "B3", "B4", "B8", "B8A", "B10", "B11", "B12"]
    assert shared == dict.fromkeys((f"fake/{s}" for s in names if s.startswith("sent")), of_one)


def test_the_map_of_bands_knows_which_sensors_had_training_records(landsat8, monkeypatch):
    for part in ("load_model", "take_probes"):
        monkeypatch.setattr(measuring, part, lambda *_: [])
    monkeypatch.setattr(measuring, "measure_embedding", lambda _, trained: sorted(trained))
    monkeypatch.setattr(measuring, "see_with", lambda _: None)
    told = measuring._interpretation(landsat8, plan_runs(landsat8, []), datasets_in(landsat8))
    assert told["embedding"] == ["landsat8_oli_tirs", "sentinel2a_msi"]


def test_the_other_familys_model_sees_the_shared_bands_alone(landsat8, monkeypatch):
    seen = []
    monkeypatch.setattr(measuring, "load_model", lambda _: None)
    monkeypatch.setattr(measuring, "see_with", lambda _: lambda batch: seen.append(batch.valid))
    ways = measuring.see_ways(landsat8, plan_runs(landsat8, []), datasets_in(landsat8))
    for way in ways:
        ways[way][0](batch_of(1))
    assert [int(valid.sum()) for valid in seen] == [8, 13, 13]


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        ("all", "no real records of"),
        ("test of sentinel", "of sentinel in .* has a test split: prepare more"),
        ("train of sentinel", "of sentinel in .* has a train split: prepare more"),
        ("train of landsat", "of landsat in .* has a train split: prepare more"),
        ("common band", "fake/sentinel2a_msi has no band in common with .* landsat"),
    ],
)
def test_records_that_will_not_do_are_told_before_anything_is_kept(
    tmp_path, monkeypatch, lacking, said
):
    """So that the command can be corrected, and no hour of training is lost."""
    monkeypatch.setattr(runs, "train", None)
    data_dir = tmp_path / "records"
    some = {"common band": slice(5, 6)}.get(lacking, slice(None))  # Landsat 5's band 6 is thermal.
    for family, sensor in (("landsat", "landsat5_tm"), ("sentinel", "sentinel2a_msi")):
        splits = [s for s in ("train", "test") if lacking not in ("all", f"{s} of {family}")]
        patch = fake_patch(sensor, 0)
        patch = with_some_bands(patch, some) if family == "landsat" else patch
        if splits:
            write_records(data_dir, {split: [patch] for split in splits})
    settings = ThreeWay(workdir=tmp_path / "run", data="real", data_dir=data_dir)
    with pytest.raises((FileNotFoundError, ValueError), match=said):
        three_way(settings)
    assert not settings.workdir.exists()


def test_a_sensor_is_probed_on_its_records_of_most_bands_and_then_on_most(tmp_path):
    """Neither on those that sort first nor on those that are many."""
    sensor = "landsat8_oli_tirs"
    for builder, count, some in (
        ("a", 4, slice(1, 5)),
        ("b", 1, slice(None)),
        ("c", 2, slice(None)),
    ):
        patches = [with_some_bands(fake_patch(sensor, seed), some) for seed in range(count)]
        write_records(tmp_path, {"test": patches})
        (tmp_path / "fake").rename(tmp_path / builder)
    sensors = select_sensors([sensor])
    [probe] = take_probes(find_datasets(tmp_path, sensors, "real"), sensors, "test")
    assert probe.dataset == f"c/{sensor}"
    assert probe.batches[0].valid.shape[-1] == len(sensors[0].bands)
    assert len(set(probe.batches[0].scene_id)) == 2


def test_the_json_says_on_which_records_a_sensor_was_probed(landsat8, monkeypatch):
    monkeypatch.setattr(measuring, "kept", lambda *_: {})
    monkeypatch.setattr(measuring, "load_model", lambda *_: None)
    monkeypatch.setattr(measuring, "see_with", lambda _: None)
    told = measuring._interpretation(landsat8, plan_runs(landsat8, []), datasets_in(landsat8))
    assert told["probed"] == {
        name: f"fake/{name}" for name in ("landsat5_tm", "landsat8_oli_tirs", "sentinel2a_msi")
    }
