"""From records to batches."""

import itertools

import jax
import numpy as np
import pytest

from permjax.bands import Kind
from permjax.config import TrainConfig
from permjax.data import dataset_shares, evaluation_batches, find_datasets, training_batches
from permjax.sensors import SENSORS, select_sensors
from tests.fake_records import fake_patch, write_fake_sensors, write_records

TWO = ("landsat8_oli_tirs", "sentinel2a_msi")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("records")
    write_fake_sensors(path, *TWO)
    return path


@pytest.fixture(scope="module")
def datasets(data_dir):
    return find_datasets(data_dir, select_sensors(TWO), "real")


def config(**settings) -> TrainConfig:
    return TrainConfig(**{"batch_size": 4, "patch_size": 16, "band_slots": (3, 6)} | settings)


def first_batches(datasets, count: int, **settings):
    return list(itertools.islice(iter(training_batches(datasets, config(**settings))), count))


def same(ours, theirs) -> bool:
    parts = zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True)
    return all(np.array_equal(a, b) for a, b in parts)


def test_datasets_are_found_by_sensor(data_dir):
    (found,) = find_datasets(data_dir, [SENSORS["sentinel2a_msi"]], "all")
    assert (found.sensor, found.name) == ("sentinel2a_msi", "fake/sentinel2a_msi")


def test_absent_records_are_told_with_what_there_is(data_dir):
    with pytest.raises(FileNotFoundError, match=r"no simulated records.*fake/landsat8_oli_tirs"):
        find_datasets(data_dir, select_sensors(TWO), "simulated")
    with pytest.raises(FileNotFoundError, match=r"no real records of terra_modis"):
        find_datasets(data_dir, select_sensors(["terra_modis"]), "real")


def test_batches_mix_sensors_and_keep_to_the_slots(datasets):
    batches = first_batches(datasets, 12)
    assert {batch.image.shape for batch in batches} == {(4, 16, 16, 3), (4, 16, 16, 6)}
    for batch in batches:
        assert batch.bands.wavelength_nm.shape == batch.valid.shape
        assert batch.valid.any(axis=1).all()
        assert not np.where(batch.valid[:, None, None], 0, batch.image).any()
    kinds = np.concatenate([batch.bands.kind.ravel() for batch in batches])
    centres = np.concatenate([b.bands.wavelength_nm.ravel() for b in batches])
    assert (kinds == Kind.BRIGHTNESS_TEMPERATURE).any(), "a band that only Landsat has"
    assert ((centres > 920) & (centres < 970)).any(), "a band that only Sentinel-2 has"


def test_every_scene_and_sensor_comes_equally_often(datasets):
    batches = first_batches(datasets, 12)  # 48 examples: 24 records twice
    scenes, counts = np.unique([s for b in batches for s in b.scene_id], return_counts=True)
    assert len(scenes) == 12
    assert set(counts) == {4}


def test_described_pixels_are_physical(datasets):
    """Augmented examples still show bright cold cloud where their labels say cloud."""
    for batch in first_batches(datasets, 6, surface_share=0.0, patch_size=32):
        for image, label, kinds, valid in zip(
            batch.image, batch.label, batch.bands.kind, batch.valid, strict=True
        ):
            cloud, ground = (image[label == bit].mean(axis=0) for bit in (2, 1))
            thermal = kinds[valid] == Kind.BRIGHTNESS_TEMPERATURE
            np.testing.assert_allclose(cloud[valid], np.where(thermal, 250, 0.7), rtol=0.4)
            np.testing.assert_allclose(ground[valid], np.where(thermal, 295, 0.1), rtol=0.4)
            assert (np.abs(cloud - ground)[valid] > np.where(thermal, 30, 0.3)).all()


def test_same_seed_same_batches_and_another_seed_others(datasets):
    first, again = first_batches(datasets, 3), first_batches(datasets, 3)
    assert same(first, again)
    assert not same(first, first_batches(datasets, 3, seed=1))


def test_iterator_state_resumes_with_the_identical_next_batch(datasets):
    batches = iter(training_batches(datasets, config()))
    for _ in range(5):
        next(batches)
    state = batches.get_state()
    expected = [next(batches) for _ in range(3)]
    resumed = iter(training_batches(datasets, config()))
    resumed.set_state(state)
    assert same([next(resumed) for _ in range(3)], expected)


def test_evaluation_sees_every_record_once_unchanged(datasets):
    landsat = datasets[0]
    batches = list(evaluation_batches(landsat, "test", batch_size=2))
    assert [batch.label.any(axis=(1, 2)).sum() for batch in batches] == [2, 1]
    patch = fake_patch("landsat8_oli_tirs", 102)
    where = [str(s) for batch in batches for s in batch.scene_id].index("scene102")
    batch, b = batches[where // 2], where % 2
    np.testing.assert_array_equal(batch.label[b], patch.label)
    np.testing.assert_allclose(batch.image[b], patch.image, atol=0.01)
    np.testing.assert_array_equal(batch.bands.wavelength_nm[b], patch.bands.wavelength_nm)


def test_a_blank_band_is_not_valid(tmp_path):
    patch = fake_patch("landsat5_tm", 0)
    patch.image[..., 2] = np.nan
    write_records(tmp_path, {"test": [patch]})
    (dataset,) = find_datasets(tmp_path, [SENSORS["landsat5_tm"]], "real")
    (batch,) = evaluation_batches(dataset, "test", batch_size=1)
    assert batch.valid.tolist() == [[True, True, False, True, True, True, True]]
    with pytest.raises(FileNotFoundError, match="no training records in fake/landsat5_tm"):
        training_batches([dataset], config())


def test_examples_are_shared_as_asked():
    """The longest beginning counts; within a group, roots of the numbers of records."""
    names = ["simulated/a", "simulated/b", "simulated/virtual_1", "clouded/c", "fake/d", "fake/e"]
    shares = {"simulated": 0.2, "simulated/virtual": 0.1, "fake/e": 0.3, "absent": 0.0}
    ours = dataset_shares(names, [9, 1, 50, 4, 4, 7], shares)
    np.testing.assert_allclose(ours, [0.15, 0.05, 0.1, 0.2, 0.2, 0.3])


@pytest.mark.parametrize(
    "shares",
    [("fake/sentinel2a_msi=0",), ("fake/landsat8=1",), ("fake/landsat8=0.7", "a=0.2", "b=0.1")],
)
def test_datasets_without_a_share_are_left_out(datasets, shares):
    expected = first_batches(datasets[:1], 2)
    assert same(first_batches(datasets, 2, shares=shares), expected)


@pytest.mark.parametrize("shares", [{}, {"simulated": 0.5}, {"other": 0.0}, {"": 0.0}])
def test_shares_of_groups_that_are_not_there_are_given_to_the_others(shares):
    np.testing.assert_allclose(dataset_shares(["a/b", "a/c"], [9, 1], shares), [0.75, 0.25])
