"""Numbers that cannot be what they are said to be: no data that nobody declared, wrong scales."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from fake_models import BANDS, brightness
from fake_scenes import RED, THERMAL, FakeBand, tagged_geotiff, whole, write_geotiff
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS

from permjax.bands import describe_bands
from permjax.classes import NO_DATA
from permjax.inference import Masker
from permjax.plausibility import LEAST_REFLECTANCE
from permjax.scenes import open_scene

GRID = (Affine(10, 0, 300_000, 0, -10, 5_000_000), CRS.from_epsg(32633))
TWO = describe_bands([665, 833], [31, 106])


@pytest.fixture
def reflectance() -> np.ndarray:
    """[N, H, W]."""
    return np.random.default_rng(0).uniform(0.05, 0.6, (2, 12, 10)).astype(np.float32)


# --- No data that is not declared -----------------------------------------------------------


@pytest.mark.parametrize("gsd_m", [10, 20])
def test_numbers_too_low_for_reflectance_are_no_data_and_told_of(tmp_path, reflectance, gsd_m):
    path = tmp_path / "a.tif"
    write_geotiff(path, np.where(np.arange(12)[:, None] < 4, np.nan, reflectance), GRID)
    with open_scene(path, bands=TWO, gsd_m=gsd_m) as scene:
        expected = whole(scene)
    reflectance[:, :4] = -9999
    write_geotiff(path, reflectance, GRID)
    with open_scene(path, bands=TWO, gsd_m=gsd_m) as scene:
        with pytest.warns(UserWarning, match=r"a\.tif: band 1 holds -9999, too low for reflect"):
            image = whole(scene)
        np.testing.assert_array_equal(image, expected)
        assert np.isnan(image[: 40 // gsd_m]).all()
        whole(scene)  # Told once.


@pytest.mark.parametrize("declared", [-9999, None])
def test_integers_too_low_are_no_data_after_scaling(tmp_path, declared):
    """-9999 x 0.0001 = -0.9999; a little below 0 is what surface reflectance may be."""
    dn = np.full((2, 4, 5), 3000, np.int16)
    dn[1, 0] = -9999
    dn[:, 2] = -2000
    path = tmp_path / "a.tif"
    write_geotiff(path, dn, GRID, declared)
    with (
        open_scene(path, bands=TWO, scale=1e-4) as scene,
        warnings.catch_warnings(record=True, action="always") as told,
    ):
        missing = np.isnan(whole(scene))
    assert missing[0, :, 1].all()
    assert missing.sum() == 5
    assert len(told) == (declared is None)


def test_a_blank_pixel_of_a_thermal_band_is_left_out_of_averages(tmp_path):
    dn = np.full((2, 4, 4), 29_000, np.uint16)
    dn[0] = 3000
    dn[1, ::2, ::2] = 0
    path = tagged_geotiff(tmp_path / "a.tif", dn, [RED, THERMAL], grid=GRID)
    with open_scene(path, gsd_m=20) as scene:
        np.testing.assert_allclose(whole(scene)[..., 1], 290, rtol=1e-5)


def test_zeros_in_all_bands_of_floats_are_fill(tmp_path, reflectance):
    reflectance[:, :4] = 0
    reflectance[0, 8] = 0
    path = tmp_path / "a.tif"
    write_geotiff(path, reflectance, GRID)
    with open_scene(path, bands=TWO) as scene:
        missing = np.isnan(whole(scene))
    assert missing[:4].all()
    assert not missing[4:].any()


def test_an_array_with_numbers_too_low_is_masked_as_with_nan(reflectance):
    image = np.moveaxis(reflectance, 0, -1).copy()
    image[3:5] = np.nan
    expected = Masker(brightness).predict(image, **BANDS)
    image[3:5] = -9999
    with pytest.warns(UserWarning, match="665 nm holds -9999, too low for reflectance"):
        mask = Masker(brightness).predict(image, **BANDS)
    np.testing.assert_array_equal(mask.classes, expected.classes)
    np.testing.assert_array_equal(mask.probabilities, expected.probabilities)
    with pytest.warns(UserWarning, match="too low"), pytest.warns(UserWarning, match="no data at"):
        mask = Masker(brightness).predict(np.full((5, 6, 2), -9999.0), **BANDS)
    assert (mask.classes == NO_DATA).all()


def test_what_is_too_low_is_told_of_and_what_is_not_is_kept(reflectance):
    """The bound of the program and that of the words are one."""
    image = np.moveaxis(reflectance, 0, -1).copy()
    image[0, 0] = np.nextafter(np.float32(LEAST_REFLECTANCE), np.float32(0))
    assert Masker(brightness).predict(image, **BANDS).classes[0, 0] != NO_DATA
    image[0, 0] = LEAST_REFLECTANCE
    with pytest.warns(UserWarning, match="too low"):
        assert Masker(brightness).predict(image, **BANDS).classes[0, 0] == NO_DATA


# --- Scales ---------------------------------------------------------------------------------


def test_percentages_over_dark_ground_are_refused(reflectance):
    image = np.full((40, 40, 2), 3, np.float32)
    with pytest.raises(ValueError, match=r"values around 3, .*scale its digital numbers"):
        Masker(brightness).predict(image, **BANDS)
    image[:] = 1.5
    image[:3] = 40
    with pytest.raises(ValueError, match="up to 40"):
        Masker(brightness).predict(image, **BANDS)
    image[:] = 1.5  # As cloud may be.
    Masker(brightness).predict(image, **BANDS)


def test_an_image_as_dark_as_night_is_doubted(reflectance):
    image = np.moveaxis(reflectance, 0, -1)
    Masker(brightness).predict(image * 0.1, **BANDS)
    with pytest.warns(UserWarning, match="as dark as night: is the scale"):
        Masker(brightness).predict(image * 1e-3, **BANDS)


@pytest.mark.parametrize("scale", [0.0, -1e-4, np.nan, np.inf])
def test_a_scale_in_the_file_that_makes_no_reflectance_is_refused(tmp_path, dn, scale):
    bands = [RED, FakeBand("nir", 833, 106, scale=scale)]
    path = tagged_geotiff(tmp_path / "a.tif", dn[:2], bands)
    with pytest.raises(ValueError, match=r"a\.tif: band 2: its scale .* make no reflectance"):
        open_scene(path)


def test_a_scale_too_small_for_the_type_is_refused_whoever_gives_it(tmp_path, dn):
    path = tagged_geotiff(tmp_path / "a.tif", dn[:2], [RED, FakeBand("nir", 833, 106, scale=1e-9)])
    with pytest.raises(ValueError, match=r"band 2: by scale 1e-09 .* greatest uint16 is .* 6\.6e-"):
        open_scene(path)
    with pytest.raises(ValueError, match="band 1: by scale 1e-09"):
        open_scene(path, scale=1e-9)
    write_geotiff(path, np.full((2, 4, 5), 200, np.uint8), GRID)
    with pytest.raises(ValueError, match="greatest uint8"):
        open_scene(path, bands=TWO, scale=1e-4)


def test_a_scale_of_one_that_was_given_is_not_called_missing(tmp_path, dn):
    path = tmp_path / "a.tif"
    write_geotiff(path, dn[:2], GRID)
    with (
        open_scene(path, bands=TWO, scale=1) as scene,
        pytest.raises(ValueError, match=r"values around \d+.* scale its digital numbers"),
    ):
        Masker(brightness).mask_scene(scene, tmp_path / "mask.tif", show_progress=False)


# --- Descriptions that contradict each other, and grids that a mask cannot have ---------------


def test_the_level_of_the_file_holds_for_bands_that_are_described(tmp_path, dn):
    """The note that is told is true; a band whose kind says so is left as it is."""
    bands = [RED, FakeBand("nir", 833, 106)]
    path = tagged_geotiff(tmp_path / "a.tif", dn[:2], bands, tags={"level": "L2A"})
    with open_scene(path, bands=TWO) as scene:
        assert scene.notes == ("its tag level says 'L2A': it is read as surface reflectance",)
        assert scene.bands.kind.tolist() == [1, 1]
    with open_scene(path, bands=describe_bands([665, 833], [31, 106], [1, 0])) as scene:
        assert scene.notes == ()
        assert scene.bands.kind.tolist() == [1, 0]
    path = tagged_geotiff(tmp_path / "b.tif", dn[:2], bands, tags={"level": "L1C"})
    with pytest.raises(ValueError, match="its tag level says 'L1C'"):
        open_scene(path, bands=describe_bands([665, 833], [31, 106], 1))


def test_a_sensor_and_bands_are_not_both_given(tmp_path, dn):
    path = tagged_geotiff(tmp_path / "a.tif", dn)
    with pytest.raises(ValueError, match="the sensor sentinel2a_msi describes the bands already"):
        open_scene(path, sensor="sentinel2a_msi", bands=TWO)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_ground_control_points_alone_are_told_of(tmp_path, dn):
    path: Path = tagged_geotiff(tmp_path / "a.tif", dn)
    corners = [(0, 0, 10.0, 50.0), (0, 10, 10.1, 50.0), (12, 0, 10.0, 49.9)]
    with rasterio.open(path, "r+") as file:
        points = [GroundControlPoint(*corner) for corner in corners]
        file.gcps = (points, CRS.from_epsg(4326))
    with open_scene(path) as scene:
        assert scene.crs is None
        assert "control points alone, so its mask has no coordinates" in scene.notes[0]
