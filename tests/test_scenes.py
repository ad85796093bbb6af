import numpy as np
import pytest
from affine import Affine
from fake_scenes import NIR, RED, THERMAL, FakeBand, tagged_geotiff, whole, write_geotiff
from rasterio.crs import CRS

from permjax.bands import Kind, describe_bands
from permjax.scenes import open_scene
from permjax.sensors import SENSORS

REFLECTANCE, SURFACE, KELVIN = Kind


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        open_scene(tmp_path / "nothing.tif")


def test_tagged_bands_are_described_and_scaled_by_the_file(tmp_path, dn):
    tags = {"sensor": "Landsat-8", "sun_elevation_deg": "41.5"}
    path = tagged_geotiff(tmp_path / "image.tif", dn, tags=tags)
    with open_scene(path) as scene:
        image = whole(scene)
    assert scene.bands.wavelength_nm.tolist() == [665, 833, 10_895]
    assert scene.bands.kind.tolist() == [REFLECTANCE, REFLECTANCE, KELVIN]
    assert (scene.name, scene.sensor, scene.sun_elevation_deg) == ("image", "Landsat-8", 41.5)
    assert scene.crs is None
    assert np.isnan(scene.gsd_m)
    expected = [dn[0] * 1e-4, dn[1] * 1e-4 - 0.1, dn[2] * 1e-2]
    np.testing.assert_allclose(image, np.stack(expected, axis=-1), rtol=1e-5)
    with open_scene(path, surface=True) as scene:
        assert scene.bands.kind.tolist() == [SURFACE, SURFACE, KELVIN]


def test_a_sensor_describes_named_bands_in_the_order_of_the_file(tmp_path, dn):
    path = tmp_path / "a.tif"
    tagged_geotiff(path, dn[:2], [FakeBand("B8", 1, 1), FakeBand("B4", 1, 1)])
    with open_scene(path, sensor="sentinel2a_msi") as scene:
        expected = SENSORS["sentinel2a_msi"].describe(["B8", "B4"])
        np.testing.assert_array_equal(scene.bands.wavelength_nm, expected.wavelength_nm)
        assert scene.gsd_m == SENSORS["sentinel2a_msi"].gsd_m


def test_a_description_and_a_scale_can_be_given(tmp_path, dn):
    path = tmp_path / "a.tif"
    grid = (Affine(10, 0, 300_000, 0, -10, 5_000_000), CRS.from_epsg(32633))
    write_geotiff(path, dn[:2], grid)
    bands = describe_bands([665, 833], [31, 106])
    with open_scene(path, bands=bands, scale=1e-4, offset=-0.1) as scene:
        np.testing.assert_allclose(whole(scene)[..., 1], dn[1] * 1e-4 - 0.1, rtol=1e-5)
        assert (scene.crs, scene.transform, scene.gsd_m) == (grid[1], grid[0], 10)


def test_what_a_geotiff_lacks_is_said(tmp_path, dn):
    path = tmp_path / "a.tif"
    write_geotiff(path, dn[:2])
    with pytest.raises(ValueError, match="band 1 has no tags wavelength_nm and bandwidth_nm"):
        open_scene(path)
    with pytest.raises(ValueError, match="has 2 bands without names that sentinel2a_msi knows"):
        open_scene(path, sensor="sentinel2a_msi", scale=1e-4)
    with pytest.raises(ValueError, match="names several sensors"):
        open_scene(path, sensor="sentinel2")
    bands = describe_bands([665, 833], [31, 106])
    with pytest.raises(ValueError, match="band 1 holds uint16 digital numbers without a scale"):
        open_scene(path, bands=bands)
    with pytest.raises(ValueError, match="wavelength_nm has 3 values for 2 bands"):
        open_scene(path, bands=describe_bands([665, 833, 945], [31, 106, 20]), scale=1e-4)


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        ([FakeBand("red", 0.665, 31), NIR, THERMAL], "micrometres"),
        ([RED, RED, THERMAL], "repeats band 1"),
        ([RED, NIR, FakeBand("thermal", 10_895, 590, unit="1")], "brightness_temperature"),
    ],
)
def test_wrong_tags_are_refused_with_the_file(tmp_path, dn, bands, message):
    path = tagged_geotiff(tmp_path / "a.tif", dn, bands)
    with pytest.raises(ValueError, match=f"a.tif: .*{message}"):
        open_scene(path)


def test_a_tag_that_is_no_number(tmp_path, dn):
    path = tagged_geotiff(tmp_path / "a.tif", dn, tags={"sun_elevation_deg": "noon"})
    with pytest.raises(ValueError, match="sun_elevation_deg is 'noon', not a number"):
        open_scene(path)
