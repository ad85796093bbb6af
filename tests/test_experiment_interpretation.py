"""What models make of bands, sensors, probabilities and scenes, against what is known of them."""

import numpy as np
import pytest

from permjax import classes
from permjax.bands import describe_bands
from permjax.classes import CloudClass
from permjax.data import Batch
from permjax.experiments import bands_used, sections
from permjax.experiments.bands_used import (
    SLIDES,
    SUBSETS,
    measure_bands,
    measure_numbers,
    measure_slides,
    name_bands,
    slide,
)
from permjax.experiments.calibration import measure_calibration
from permjax.experiments.embedding import measure_embedding
from permjax.experiments.html_report import Report
from permjax.experiments.left_out import measure_left_out
from permjax.experiments.matching import instruments, same_band, shared_bands
from permjax.experiments.pictures import DIFFERENCES, RANKS, SHOWN, choose_scenes, difference
from permjax.experiments.predicting import count_clouds, see_with, with_bands
from permjax.sensors import FAMILIES, SENSORS, select_sensors
from tests.fake_batches import SENSOR, all_clear, batch_of, first_band
from tests.fake_models import cloud_masker

# --- bands -----------------------------------------------------------------------------------


def test_a_band_that_is_ignored_has_no_importance():
    """A model of the first band alone: without any other nothing changes, without it all does."""
    batches = [batch_of(1, 2)]
    measured = measure_bands(first_band, SENSORS[SENSOR], batches)
    assert measured["all"] == 1
    assert measured["without"] == [0.5] + [1] * 12
    assert measured["alone"] == [1] + [0.5] * 12
    assert measured["bands"][0] == {"name": "B1", "wavelength_nm": 442.7}


def test_a_band_that_is_left_out_is_as_if_it_were_not_there():
    """The model of permjax gives what it gives for an image without the band."""
    batch, see = batch_of(1), see_with(cloud_masker())
    kept = np.arange(13) != 4
    bands = type(batch.bands)(*(part[:, kept] for part in batch.bands))
    cut = batch._replace(image=batch.image[..., kept], bands=bands, valid=batch.valid[:, kept])
    np.testing.assert_allclose(see(with_bands(batch, kept)), see(cut), atol=1e-5)


def test_all_bands_are_one_choice_and_fewer_are_several():
    batches = [batch_of(1)]
    measured = measure_numbers(first_band, batches)
    assert measured["number"] == list(range(1, 14))
    assert [len(draws) for draws in measured["accuracy"]] == [SUBSETS] * 12 + [1]
    assert measured["accuracy"][-1] == [1]
    assert {accuracy for draws in measured["accuracy"] for accuracy in draws} == {0.5, 1}


def test_sliding_by_nothing_changes_nothing():
    """At a factor of 1 the very description; and a slide moves one band's wavelength alone."""
    batch, see = batch_of(1), see_with(cloud_masker())
    measured = measure_slides(see, SENSORS[SENSOR], [batch])
    truth = count_clouds(see, [batch]).accuracy
    assert {row[SLIDES.index(1.0)] for row in measured["accuracy"]} == {truth}
    np.testing.assert_array_equal(
        slide(batch, 3, 1.0).bands.wavelength_nm, batch.bands.wavelength_nm
    )
    slid = slide(batch, 3, 2.0)
    moved = slid.bands.wavelength_nm / batch.bands.wavelength_nm
    np.testing.assert_array_equal(moved, np.where(np.arange(13) == 3, 2, 1)[None])
    assert slid.image is batch.image


def test_strong_colours_are_as_many_points_for_every_sensor(monkeypatch, tmp_path):
    """Losses of 20 and of 2 points share the scale of 20; without any loss it is of one point."""
    limits = []

    def noted(path, title, runs, limit):
        limits.append(limit)
        bands_used.draw_slides(path, title, runs, limit)

    def told_wrongly(accuracy: float) -> list[dict]:
        band = {"name": "B1", "wavelength_nm": 443}
        return [{"factor": [0.5, 1.0], "bands": [band], "accuracy": [[accuracy, 0.9]]}]

    monkeypatch.setattr(sections, "draw_slides", noted)
    for slides in ({"a": told_wrongly(0.7), "b": told_wrongly(0.88)}, {"c": told_wrongly(0.9)}):
        sections.tell_slides(Report({"slides": slides}, tmp_path))
    assert limits == pytest.approx([20, 20, 1])


def test_bands_that_a_sensors_table_does_not_have_are_named_by_wavelength():
    batch = batch_of(1)
    batch.bands.wavelength_nm[0, :2] = 451, 492
    names = [band["name"] for band in name_bands(SENSORS[SENSOR], batch.bands.wavelength_nm[0])]
    assert names[:3] == ["", "B2", "B3"]


# --- sensors ---------------------------------------------------------------------------------


def test_the_bands_that_landsat_and_sentinel_share():
    """All but the red edge, the broad and the water vapour band; symmetric."""
    bands = SENSORS[SENSOR].describe()
    shared = shared_bands(bands, [sensor.describe() for sensor in select_sensors(["landsat"])])
    names = [band.name for band in SENSORS[SENSOR].bands]
    assert [name for name, is_shared in zip(names, shared, strict=True) if is_shared] == [
        "B1", "B2", "B3", "B4", "B8", "B8A", "B10", "B11", "B12",
    ]  # fmt: skip
    other = SENSORS["landsat8_oli_tirs"].describe()
    np.testing.assert_array_equal(same_band(bands, other), same_band(other, bands).T)


def test_surface_reflectance_is_the_same_band_and_temperature_is_not():
    top, surface = (describe_bands([3700], [300], kind) for kind in (0, 1))
    warm = describe_bands([3700], [300], 2)
    assert same_band(top, surface).item()
    assert not same_band(top, warm).item()


def test_twins_are_one_instrument():
    groups = instruments(select_sensors(["landsat", "sentinel"]))
    assert sorted(map(len, groups)) == [1, 2, 2, 3, 5]
    assert {sensor.name for sensor in groups[-1]} == set(FAMILIES["sentinel"])


def test_accuracy_of_a_sensor_never_seen_stands_beside_that_when_it_was():
    measured = measure_left_out([first_band, all_clear], all_clear, [batch_of(1)])
    assert measured["accuracy"]["trained"]["mean"] == 0.75
    assert measured["accuracy"]["never"] == {"seeds": [0.5], "mean": 0.5, "spread": None}
    assert measured["f1"]["never"]["mean"] == 0


def test_the_map_keeps_the_distances_of_codes_as_far_as_a_plane_can():
    """Bands of like description lie together; every band of every sensor is on it."""
    model = cloud_masker()
    measured = measure_embedding(model, {SENSOR})
    at = {(band["sensor"], band["name"]): band["at"] for band in measured["bands"]}
    assert len(at) == sum(len(sensor.bands) for sensor in SENSORS.values())
    near = np.subtract(at["sentinel2a_msi", "B11"], at["sentinel2b_msi", "B11"])
    far = np.subtract(at["sentinel2a_msi", "B11"], at["landsat8_oli_tirs", "B10"])
    assert np.linalg.norm(near) < 0.1 * np.linalg.norm(far)
    assert 0 < sum(measured["explained"]) <= 1 + 1e-9
    assert sum(band["trained"] for band in measured["bands"]) == 13
    line = [point["wavelength_nm"] for point in measured["line"]]
    assert line[0] == pytest.approx(400)
    assert line[-1] == pytest.approx(14_000)


# --- calibration -----------------------------------------------------------------------------


def told(cloud: np.ndarray) -> np.ndarray:
    """Probabilities of clear and of cloud, half of it thick and half thin."""
    return np.stack([1 - cloud, cloud / 2, cloud / 2, 0 * cloud], axis=-1).astype(np.float32)


def test_a_calibrated_predictor_has_no_error():
    """Where it says 1/4 a quarter is cloud, where it says 3/4 three quarters are."""
    batch = batch_of(1)
    cloudy = np.zeros((32, 32), bool)
    cloudy[:16:4], cloudy[16:], cloudy[16::4] = True, True, False
    label = np.where(cloudy, classes.THICK_CLOUD, classes.CLEAR).astype(np.uint8)
    cloud = np.where(np.arange(32)[:, None] < 16, 0.25, 0.75) * np.ones((32, 32))
    measured = measure_calibration(lambda _: told(cloud[None]), [batch._replace(label=label[None])])
    assert measured["error"] == 0
    assert measured["frequency"][2] == 0.25
    assert measured["probability"][7] == 0.75
    assert measured["pixels"][2] == measured["pixels"][7] == 512
    assert measured["frequency"][0] is None


def test_one_that_is_always_sure_is_as_wrong_as_often_as_it_errs():
    """Half of the pixels are cloud; unlabelled ones, and those that may be either, do not count."""
    batch = batch_of(1, 2)
    batch.label[1] = classes.CLEAR | classes.CLOUD
    sure = measure_calibration(lambda batch: told(np.ones(batch.label.shape)), [batch])
    assert sure["error"] == 0.5
    assert sum(sure["pixels"]) == 32 * 32


# --- pictures --------------------------------------------------------------------------------


def test_every_difference_has_its_colour():
    thick, thin, clear = CloudClass.THICK_CLOUD, CloudClass.THIN_CLOUD, CloudClass.CLEAR
    either = classes.CLEAR | classes.CLOUD
    label = np.array(
        [[classes.CLOUD, classes.CLOUD, classes.CLOUD, classes.CLEAR, either]], np.uint8
    )
    first = np.array([[thick, clear, thick, clear, thick]])
    second = np.array([[clear, thin, thin, clear, clear]])
    assert difference(label, first, second)[0].tolist() == [list(c) for c in DIFFERENCES.values()]


def test_scenes_are_shown_once_and_the_worst_are_the_worst():
    """Twelve scenes, of which a model knows the even ones; two for each reason, none twice."""

    def half(batch: Batch) -> np.ndarray:
        even = np.array([int(scene[5:]) % 2 == 0 for scene in batch.scene_id])
        return (
            first_band(batch) * even[:, None, None, None]
            + all_clear(batch) * ~even[:, None, None, None]
        )

    batches = [("set", batch_of(*range(first, first + 4))) for first in (0, 4, 8)]
    shown = choose_scenes({"half": half, "other": all_clear}, batches)
    assert [why for why, _ in shown] == [why for why in RANKS for _ in range(SHOWN)]
    assert len({seen.scene_id for _, seen in shown}) == len(shown)
    f1 = {why: [seen.f1 for w, seen in shown if w == why] for why in RANKS}
    assert f1["best"] == [1, 1]
    assert f1["worst"] == [0, 0]
