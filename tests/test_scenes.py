from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from fake_scenes import NIR, RED, THERMAL, FakeBand, tagged_geotiff, whole, write_geotiff
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.enums import ColorInterp

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


# --- What else a raster file may be ---------------------------------------------------------

GRID = (Affine(10, 0, 300_000, 0, -10, 5_000_000), CRS.from_epsg(32633))
THREE = describe_bands([665, 833, 560], [31, 106, 35])


def test_an_offset_without_a_scale_is_refused(tmp_path, dn):
    path = tagged_geotiff(tmp_path / "a.tif", dn)
    with pytest.raises(ValueError, match=r"offset -0\.1 is given without a scale"):
        open_scene(path, offset=-0.1)
    for scale in (0.0, -1e-4, np.nan, np.inf):
        with pytest.raises(ValueError, match="make no reflectance"):
            open_scene(path, scale=scale)
    for gsd_m in (0.0, -10.0, np.nan):
        with pytest.raises(ValueError, match="give the size of a pixel in metres"):
            open_scene(path, gsd_m=gsd_m)


@pytest.mark.parametrize(
    "names", [("Band 04", "Band 8A"), ("b4", "b8a"), ("B04", "B8A"), ("B4", "B8a")]
)
def test_names_of_bands_are_found_however_written(tmp_path, dn, names):
    path = tmp_path / "a.tif"
    tagged_geotiff(path, dn[:2], [FakeBand(name, 1, 1) for name in names])
    with open_scene(path, sensor="sentinel2a_msi") as scene:
        expected = SENSORS["sentinel2a_msi"].describe(["B4", "B8A"])
        np.testing.assert_array_equal(scene.bands.wavelength_nm, expected.wavelength_nm)


def test_one_unknown_name_among_known_ones_is_refused(tmp_path, dn):
    path = tagged_geotiff(tmp_path / "a.tif", dn[:2], [FakeBand("B4", 1, 1), FakeBand("B99", 1, 1)])
    with pytest.raises(ValueError, match="has no band 'B99'"):
        open_scene(path, sensor="sentinel2a_msi")


def test_names_that_no_sensor_knows_leave_the_order_of_the_table(tmp_path, dn):
    bands = [FakeBand(f"layer {i}", 1, 1) for i in range(4)]
    path = tagged_geotiff(tmp_path / "a.tif", np.concatenate([dn, dn[:1]]), bands)
    with open_scene(path, sensor="gaofen1_wfv") as scene:
        assert scene.bands.wavelength_nm.tolist() == [485, 555, 660, 830]
        assert "taken in the table's order" in scene.notes[0]


def test_a_sensor_may_be_a_toml_file(tmp_path, dn):
    own = tmp_path / "own.toml"
    own.write_text(
        '[[sensor]]\nname = "own"\ntitle = "Own"\ngsd_m = 5\nsource = "made up"\n'
        'bands = [{ name = "a", wavelength_nm = 665, bandwidth_nm = 31 },'
        ' { name = "b", wavelength_nm = 833, bandwidth_nm = 106 }]'
    )
    path = tmp_path / "a.tif"
    write_geotiff(path, dn[:2])
    with open_scene(path, sensor=str(own), scale=1e-4) as scene:
        assert (scene.sensor, scene.gsd_m) == ("own", 5)
        np.testing.assert_allclose(whole(scene)[..., 1], dn[1] * 1e-4, rtol=1e-5)


def test_an_alpha_band_says_where_data_are(tmp_path, dn):
    path = rgba(tmp_path / "a.tif", dn)
    with open_scene(path, bands=THREE, scale=1e-4) as scene:
        missing = np.isnan(whole(scene))
    assert missing.shape[2] == 3
    assert missing[:2].all()
    assert not missing[2:].any()


def test_a_fourth_band_that_is_described_is_no_alpha(tmp_path, dn):
    """Many writers call the fourth band of four alpha, whatever it holds."""
    path = rgba(tmp_path / "a.tif", dn)
    bands = describe_bands([665, 833, 560, 490], [31, 106, 35, 65])
    with open_scene(path, bands=bands, scale=1e-4) as scene:
        image = whole(scene)
    assert image.shape[2] == 4
    assert np.isfinite(image).all()


def rgba(path: Path, dn: np.ndarray) -> Path:
    """Three bands and an alpha band that is 0 in the first two rows."""
    alpha = np.full((1, *dn.shape[1:]), 255, np.uint16)
    alpha[:, :2] = 0
    write_geotiff(path, np.concatenate([dn, alpha]), GRID)
    with rasterio.open(path, "r+") as file:
        colours = ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha
        file.colorinterp = colours
    return path


def test_blank_bands_are_left_out_with_a_note(tmp_path, dn):
    dn[1] = 0
    path = tmp_path / "a.tif"
    write_geotiff(path, dn)
    with open_scene(path, bands=THREE, scale=1e-4) as scene:
        assert scene.bands.wavelength_nm.tolist() == [665, 560]
        np.testing.assert_allclose(whole(scene)[..., 1], dn[2] * 1e-4, rtol=1e-5)
        assert "left out: 833 nm" in scene.notes[0]
    image = (dn * 1e-4).astype(np.float32)
    image[2] = np.nan
    image[1] = 0.1
    write_geotiff(path, image)
    with open_scene(path, bands=THREE) as scene:
        assert scene.bands.wavelength_nm.tolist() == [665, 833]
    write_geotiff(path, np.full_like(image, np.nan))
    with open_scene(path, bands=THREE) as scene:  # A scene without data is one.
        assert np.isnan(whole(scene)).all()


def test_any_grid_is_brought_to_pixels_of_the_size_asked_for(tmp_path, dn):
    path = tmp_path / "a.tif"
    dn[:, :, :3] = 0  # Fill, which must not darken the averages beside it.
    write_geotiff(path, dn, GRID)
    with open_scene(path, bands=THREE, scale=1e-4, gsd_m=20) as scene:
        image = whole(scene)
        assert (scene.height, scene.width, scene.gsd_m) == (6, 5, 20)
        assert scene.transform == Affine(20, 0, 300_000, 0, -20, 5_000_000)
    values = np.where(dn == 0, np.nan, dn * 1e-4).reshape(3, 6, 2, 5, 2)
    assert np.isnan(image[:, 0]).all()
    expected = np.nanmean(values[:, :, :, 1:], axis=(2, 4)).transpose(1, 2, 0)
    np.testing.assert_allclose(image[:, 1:], expected, rtol=1e-4)


@pytest.mark.parametrize(("epsg", "size", "gsd_m"), [(4326, 1e-4, 11.1195), (2225, 100, 30.48006)])
def test_the_size_of_pixels_in_degrees_and_feet(tmp_path, dn, epsg, size, gsd_m):
    path = tmp_path / "a.tif"
    write_geotiff(path, dn, (Affine(size, 0, 10, 0, -size, 50), CRS.from_epsg(epsg)))
    with open_scene(path, bands=THREE, scale=1e-4) as scene:
        assert scene.gsd_m == pytest.approx(gsd_m, rel=1e-5)


def test_a_size_needs_one_to_start_from(tmp_path, dn):
    path = tagged_geotiff(tmp_path / "a.tif", dn)
    with pytest.raises(ValueError, match="the size of its pixels is not known"):
        open_scene(path, gsd_m=20)


def test_the_level_in_the_tags_is_heeded(tmp_path, dn):
    path = tagged_geotiff(tmp_path / "a.tif", dn, tags={"level": "L1C TOA"})
    with pytest.raises(ValueError, match="its tag level says 'L1C TOA'"):
        open_scene(path, surface=True)
    path = tagged_geotiff(tmp_path / "b.tif", dn, tags={"level": "L2A surface"})
    with open_scene(path) as scene:
        assert scene.bands.kind.tolist() == [SURFACE, SURFACE, KELVIN]
        assert "read as surface reflectance" in scene.notes[0]
    with open_scene(path, surface=True) as scene:
        assert scene.notes == ()


def test_a_picture_with_a_palette_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    write_geotiff(path, np.ones((1, 4, 4), np.uint8), GRID)
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {0: (0, 0, 0, 255), 1: (255, 255, 255, 255)})
    with pytest.raises(ValueError, match="is a picture with a palette"):
        open_scene(path, bands=describe_bands([665], [31]), scale=1e-4)


def test_a_folder_of_nothing_and_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no MTD_MSIL1C\.xml"):
        open_scene(tmp_path)
    for content in (b"", b"not a raster"):
        path = tmp_path / "a.tif"
        path.write_bytes(content)
        with pytest.raises(OSError, match=r"a\.tif: is not a raster file"):
            open_scene(path)


@pytest.fixture(scope="module")
def tiff(tmp_path_factory) -> tuple[Path, bytes]:
    dn = np.random.default_rng(0).integers(1000, 9000, (3, 60, 50)).astype(np.uint16)
    path = tagged_geotiff(tmp_path_factory.mktemp("tiff") / "a.tif", dn)
    return path, path.read_bytes()


# rasterio tells of messages of GDAL that are not UTF-8, and goes on.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@given(
    cut=st.one_of(st.just(1.0), st.floats(0, 1)),
    changes=st.lists(st.tuples(st.integers(0, 900), st.integers(0, 255)), max_size=4),
)
def test_a_damaged_file_reads_or_is_named(tiff, cut, changes):
    path, content = tiff
    damaged = bytearray(content[: int(len(content) * cut)])
    for place, byte in changes:
        if place < len(damaged):
            damaged[place] = byte
    path.write_bytes(damaged)
    error = None
    try:
        with open_scene(path) as scene:
            scene.read((slice(0, min(60, scene.height)), slice(0, min(50, scene.width))))
    except (OSError, ValueError) as raised:
        error = str(raised)
    assert "a.tif" in (error or "a.tif")
