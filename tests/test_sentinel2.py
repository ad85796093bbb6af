import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_safe import BANDS, LEFT, TOP, ZENITH_DEG, Safe, write_jp2, write_safe
from fake_scenes import whole
from rasterio.crs import CRS

from permjax.bands import Kind
from permjax.rasters import open_raster
from permjax.scenes import open_scene
from permjax.sensors import SENSORS

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
REAL = Path(os.environ.get("PERMJAX_SAMPLES", "no samples")) / "safe_metadata"
REFLECTANCE, SURFACE, _ = Kind


def dn_of(folder: Path, safe: Safe, band: str, gsd_m: int) -> np.ndarray:
    with open_raster(folder / safe.image(band, gsd_m)) as file:
        return file.read(1).astype(float)


def mean_of_blocks(dn: np.ndarray, n: int) -> np.ndarray:
    height, width = dn.shape
    return dn.reshape(height // n, n, width // n, n).mean(axis=(1, 3))


def test_a_level_1c_product_by_hand(tmp_path):
    """(dn - 1000) / 10000; 10 m bands are means of 2 x 2 pixels, 20 m bands are as they are."""
    safe = Safe()
    folder = write_safe(tmp_path, safe)
    with open_scene(folder) as scene:
        image = whole(scene)
    assert (scene.sensor, scene.gsd_m, scene.notes) == ("sentinel2b_msi", 20, ())
    assert (scene.height, scene.width) == (24, 24)
    assert scene.sun_elevation_deg == 90 - ZENITH_DEG
    assert scene.crs == CRS.from_epsg(32646)
    assert scene.transform[:6] == (20, 0, LEFT, 0, -20, TOP)
    assert scene.bands.kind.tolist() == [REFLECTANCE] * 13
    expected = SENSORS["sentinel2b_msi"].describe()
    np.testing.assert_array_equal(scene.bands.wavelength_nm, expected.wavelength_nm)
    red = (mean_of_blocks(dn_of(folder, safe, "B04", 10), 2) - 1000) / 10_000
    swir = (dn_of(folder, safe, "B11", 20) - 1000) / 10_000
    np.testing.assert_allclose(image[..., 3], red, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(image[..., 11], swir, rtol=1e-4, atol=1e-6)


def test_coarser_bands_are_interpolated_between_the_centres_of_their_pixels(tmp_path):
    """A pixel in the middle of three has the coarse pixel's own centre, and so its value."""
    safe = Safe()
    folder = write_safe(tmp_path, safe)
    with open_scene(folder) as scene:
        coastal = whole(scene)[..., 0]
    coarse = (dn_of(folder, safe, "B01", 60) - 1000) / 10_000
    np.testing.assert_allclose(coastal[1::3, 1::3], coarse, rtol=1e-4, atol=1e-6)
    between = coarse[1, 1] * 2 / 3 + coarse[1, 2] / 3
    assert coastal[4, 5] == pytest.approx(between, abs=1e-5)
    assert coastal[0, 0] == pytest.approx(coarse[0, 0], abs=1e-5)


def test_a_level_2a_product_by_hand(tmp_path):
    """B8A is read from its 20 m image, B08 is averaged from 10 m, B09 comes from 60 m."""
    safe = Safe(level="2A")
    folder = write_safe(tmp_path, safe)
    with open_scene(folder) as scene:
        image = whole(scene)
    assert scene.bands.kind.tolist() == [SURFACE] * 12
    assert scene.notes == ()
    narrow = (dn_of(folder, safe, "B8A", 20) - 1000) / 10_000
    near = (mean_of_blocks(dn_of(folder, safe, "B08", 10), 2) - 1000) / 10_000
    np.testing.assert_allclose(image[..., 8], narrow, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(image[..., 7], near, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("level", ["1C", "2A"])
def test_offsets_are_those_of_the_metadata_band_by_band(tmp_path, level):
    """Never of the name: here it says 04.00 and the numbers differ from band to band."""
    safe = Safe(level=level, offsets=dict.fromkeys(range(13), 0) | {8: 500}, quantification=5000)
    folder = write_safe(tmp_path, safe)
    with open_scene(folder) as scene:
        image = whole(scene)
    np.testing.assert_allclose(image[..., 8], (dn_of(folder, safe, "B8A", 20) + 500) / 5000, 1e-5)
    np.testing.assert_allclose(image[..., 4], dn_of(folder, safe, "B05", 20) / 5000, 1e-5)


@pytest.mark.parametrize("baseline", ["02.04", "03.01", "99.99"])
def test_without_offsets_nothing_is_added_where_none_belong(tmp_path, baseline):
    safe = Safe(baseline=baseline, offsets={})
    folder = write_safe(tmp_path, safe)
    with open_scene(folder) as scene:
        expected = dn_of(folder, safe, "B05", 20) / 10_000
        np.testing.assert_allclose(whole(scene)[..., 4], expected, rtol=1e-5)


def test_a_product_of_before_2016_has_long_names(tmp_path):
    safe = Safe(baseline="02.04", offsets={}, long_names=True)
    folder = write_safe(tmp_path, safe)
    for path in (folder, folder / safe.tile):
        with open_scene(path) as scene:
            expected = dn_of(folder, safe, "B05", 20) / 10_000
            np.testing.assert_allclose(whole(scene)[..., 4], expected, rtol=1e-5)
            assert scene.sun_elevation_deg == 90 - ZENITH_DEG


def test_of_several_tiles_one_is_chosen(tmp_path):
    safe = Safe(baseline="02.04", offsets={}, long_names=True)
    folder = write_safe(tmp_path, safe)
    shutil.copytree(folder / safe.tile, folder / safe.tile.replace("T46RER", "T46RES"))
    with pytest.raises(ValueError, match="holds 2 tiles; give the folder of one"):
        open_scene(folder)
    with open_scene(folder / safe.tile) as scene:
        assert len(scene.channels) == 13


def test_a_zip_a_metadata_file_and_a_folder_are_one_scene(tmp_path):
    folder = write_safe(tmp_path)
    archive = tmp_path / "a product.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(tmp_path))
    with open_scene(folder) as scene:
        expected = whole(scene)
        assert (folder / "MTD_MSIL1C.xml").resolve() in scene.files
    with open_scene(archive) as scene:
        np.testing.assert_array_equal(whole(scene), expected)
        assert scene.files == {archive.resolve()}
    with open_scene(folder / "MTD_MSIL1C.xml") as scene:
        np.testing.assert_array_equal(whole(scene), expected)


def test_some_bands_are_enough_and_the_others_are_named(tmp_path):
    folder = write_safe(tmp_path, Safe(bands=("B02", "B03", "B04")))
    with open_scene(folder) as scene:
        assert whole(scene).shape == (24, 24, 3)
        assert "bands that are not in the product: B1, B5" in scene.notes[0]


def test_without_coordinates_in_the_images_the_tile_gives_them(tmp_path):
    folder = write_safe(tmp_path, Safe(georeferenced=False))
    with open_scene(folder) as scene:
        assert scene.crs == CRS.from_epsg(32646)
        assert scene.transform[:6] == (20, 0, LEFT, 0, -20, TOP)


def test_without_the_tile_the_sun_is_unknown(tmp_path):
    safe = Safe()
    folder = write_safe(tmp_path, safe)
    (folder / safe.tile / "MTD_TL.xml").unlink()
    with open_scene(folder) as scene:
        assert np.isnan(scene.sun_elevation_deg)
        assert scene.notes == ("the sun's elevation is unknown",)


def test_no_data_never_reaches_its_neighbours(tmp_path):
    """Each pixel with data has what it has where all pixels have data, or a mean of fewer."""
    safe = Safe()
    folder = write_safe(tmp_path, safe)
    for band, gsd_m in (("B04", 10), ("B01", 60), ("B11", 20)):
        dn = np.full((480 // gsd_m,) * 2, 3000)
        dn[:, : 240 // gsd_m] = 0
        write_jp2(folder / safe.image(band, gsd_m), dn, gsd_m)
    with open_scene(folder) as scene:
        image = whole(scene)[..., [0, 3, 11]]
    assert np.isnan(image[:, :12]).all()
    np.testing.assert_allclose(image[:, 12:], 0.2, rtol=1e-5)


@pytest.mark.parametrize("gsd_m", [10, 20, 30, 60, 120])
def test_windows_are_parts_of_the_whole_on_every_grid(tmp_path, gsd_m):
    folder = write_safe(tmp_path)
    with open_scene(folder, gsd_m=gsd_m) as scene:
        assert (scene.height, scene.gsd_m) == (480 // gsd_m, gsd_m)
        image = whole(scene)
        assert np.isfinite(image).all()
        window = (slice(1, scene.height - 1), slice(2, scene.width))
        np.testing.assert_array_equal(scene.read(window), image[window])


# --- Real metadata ------------------------------------------------------------------------


@pytest.mark.skipif(not REAL.is_dir(), reason="PERMJAX_SAMPLES names no such folder")
@pytest.mark.parametrize(
    ("start", "offset", "zenith_deg", "epsg"),
    [
        ("S2A_MSIL1C_2020", 0, None, 32701),
        ("S2A_MSIL1C_2021", 0, 26.4931642669439, 32646),
        ("S2A_MSIL2A_2023", -1000, None, 32701),
        ("S2B_MSIL2A_2019", 0, None, 32701),
        ("S2B_MSIL2A_2022", -1000, None, 32633),
    ],
)
def test_real_metadata_of_every_baseline(tmp_path, start, offset, zenith_deg, epsg):
    source = next(REAL.glob(f"{start}*"))
    folder = tmp_path / source.name
    shutil.copytree(source, folder)
    level = "2A" if "MSIL2A" in start else "1C"
    tile = next(folder.glob("GRANULE/*"))
    parts = ("IMG_DATA", "R20m") if level == "2A" else ("IMG_DATA",)
    end = "_20m" if level == "2A" else ""
    images = tile.joinpath(*parts)
    dn = np.arange(1000, 1036).reshape(6, 6)
    for band in ("B05", "B11"):
        write_jp2(images / f"T01ABC_20200101T000000_{band}{end}.jp2", dn, None)
    with open_scene(folder) as scene:
        np.testing.assert_allclose(whole(scene)[..., 1], (dn + offset) / 10_000, atol=1e-6)
        assert scene.crs == CRS.from_epsg(epsg)
        assert 0 < scene.sun_elevation_deg < 90
        if zenith_deg:
            assert scene.sun_elevation_deg == pytest.approx(90 - zenith_deg)
        assert scene.sensor == f"sentinel{source.name[1:3].lower()}_msi"
        assert (SURFACE if level == "2A" else REFLECTANCE) in scene.bands.kind


def test_all_bands_of_the_table_are_in_a_product():
    names = [f"B{band.name[1:]:>02}" for band in SENSORS["sentinel2a_msi"].bands]
    assert tuple(names) == BANDS
    assert replace(Safe(), level="2A").images()
