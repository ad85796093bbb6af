import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import rasterio
from affine import Affine
from fake_landsat import Landsat, write_mtl
from fake_scenes import SUN_ELEVATION_DEG, landsat_folder, whole, write_geotiff
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import xy

from permjax.bands import Kind
from permjax.mtl import Mtl
from permjax.rasters import open_raster
from permjax.scenes import open_scene
from permjax.sensors import SENSORS

REAL_SCENES = Path(os.environ.get("PERMJAX_SAMPLES", "no samples")) / "scenes"
REFLECTANCE, SURFACE, KELVIN = Kind


def band_file(folder: Path, ending: str) -> Path:
    return next(folder.glob(f"*_{ending}"))


def dn_of(folder: Path, ending: str) -> np.ndarray:
    with open_raster(band_file(folder, ending)) as file:
        return file.read(1).astype(float)


def edit_mtl(folder: Path, old: str, new: str) -> None:
    path = band_file(folder, "MTL.txt")
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_landsat_level_1_is_toa_reflectance_and_brightness_temperature(tmp_path):
    folder = landsat_folder(tmp_path)
    with open_scene(folder) as scene:
        image = whole(scene)
        description = scene.bands
    assert scene.sensor == "landsat8_oli_tirs"
    assert (scene.gsd_m, scene.sun_elevation_deg) == (30, SUN_ELEVATION_DEG)
    # Bands 1 to 7, 9, 10 and 11: the panchromatic one, on its finer grid, is left out.
    names = ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B9", "B10", "B11"]
    expected = SENSORS["landsat8_oli_tirs"].describe(names)
    np.testing.assert_array_equal(description.wavelength_nm, expected.wavelength_nm)
    assert description.kind.tolist() == [REFLECTANCE] * 8 + [KELVIN] * 2
    # By hand: sin(30 degrees) = 1/2.
    red = (dn_of(folder, "B4.TIF") * 2e-5 - 0.1) / 0.5
    kelvin = 1201.1442 / np.log(480.8883 / (dn_of(folder, "B11.TIF") * 3.342e-4 + 0.1) + 1)
    np.testing.assert_allclose(image[3:, 3:, 3], red[3:, 3:], rtol=1e-5)
    np.testing.assert_allclose(image[3:, 3:, 9], kelvin[3:, 3:], rtol=1e-5)


def test_landsat_level_2_uses_its_own_factors(tmp_path):
    """Its MTL repeats the level 1 factors under the same names, later in the file."""
    folder = landsat_folder(tmp_path, level=2)
    with open_scene(folder) as scene:
        image = whole(scene)
    assert scene.bands.kind.tolist() == [SURFACE] * 7 + [KELVIN]
    red = dn_of(folder, "SR_B4.TIF") * 2.75e-5 - 0.2
    kelvin = dn_of(folder, "ST_B10.TIF") * 0.00341802 + 149
    np.testing.assert_allclose(image[3:, 3:, 3], red[3:, 3:], rtol=1e-5)
    np.testing.assert_allclose(image[3:, 3:, 7], kelvin[3:, 3:], rtol=1e-5)


@pytest.mark.parametrize("level", [1, 2])
def test_landsat_fill_is_no_data_and_nothing_else_is(tmp_path, level):
    with open_scene(landsat_folder(tmp_path, level=level)) as scene:
        missing = np.isnan(whole(scene))
    assert missing[:3, :3].all()
    assert missing.sum() == 9 * missing.shape[2]


def test_landsat_bands_may_be_missing(tmp_path):
    folder = landsat_folder(tmp_path)
    with open_scene(folder) as scene:
        all_bands = whole(scene)
    for ending in ("B1.TIF", "B10.TIF"):
        band_file(folder, ending).unlink()
    with open_scene(folder) as scene:
        np.testing.assert_array_equal(whole(scene), all_bands[..., [1, 2, 3, 4, 5, 6, 7, 9]])


def test_files_that_viewers_leave_beside_bands_are_no_bands(tmp_path):
    folder = landsat_folder(tmp_path)
    with open_scene(folder) as scene:
        expected = whole(scene)
    for path in list(folder.glob("*_B*.TIF")):
        for ending in (".ovr", ".aux.xml"):
            (folder / f"{path.name}{ending}").write_text("not a band")
    # GDAL reads overviews and notes of its own accord: leave those of this test unread.
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), open_scene(folder) as scene:
        np.testing.assert_array_equal(whole(scene), expected)


def test_coordinates_come_from_the_files_or_from_the_mtl_alike(tmp_path):
    """The corners in an MTL are centres of pixels, half a pixel inside the grid's edge."""
    with open_scene(landsat_folder(tmp_path / "with")) as scene:
        by_file = scene.crs, scene.transform
    with open_scene(landsat_folder(tmp_path / "without", georeferenced=False)) as scene:
        assert (scene.crs, scene.transform) == by_file
    assert by_file == (CRS.from_epsg(32616), Affine(30, 0, 500_085, 0, -30, 1_400_115))


def test_a_crop_that_the_mtl_does_not_describe_has_no_coordinates(tmp_path):
    folder = landsat_folder(tmp_path, georeferenced=False)
    edit_mtl(folder, "REFLECTIVE_LINES = 40", "REFLECTIVE_LINES = 7000")
    with open_scene(folder) as scene:
        assert scene.crs is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("SUN_ELEVATION = 30.0", "", "has no SUN_ELEVATION"),
        ("SUN_ELEVATION = 30.0", "SUN_ELEVATION = high", "SUN_ELEVATION = high is not a number"),
        ("LANDSAT_8", "LANDSAT_5", "LANDSAT_5 with OLI_TIRS is not read"),
        ("REFLECTANCE_ADD_BAND_3 = -0.100000", "", "has no REFLECTANCE_ADD_BAND_3"),
    ],
)
def test_a_faulty_mtl_is_named(tmp_path, old, new, message):
    folder = landsat_folder(tmp_path)
    edit_mtl(folder, old, new)
    with pytest.raises(ValueError, match=f"_MTL.txt: {message}"):
        open_scene(folder)


@pytest.mark.parametrize("form", ["txt", "json", "xml"])
@given(share=st.floats(0, 0.95))
def test_an_mtl_that_is_cut_short_anywhere_is_refused(form, share):
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"MTL.{form}"
        write_mtl(path, Landsat().groups())
        content = path.read_bytes()
    with pytest.raises(ValueError, match=rf"MTL\.{form}: is damaged or cut short: "):
        Mtl(path, content[: int(share * len(content))])


@pytest.mark.parametrize("end", ["END", "end\n", "END\r\n\r\n", "END" + " " * 50 + "\0" * 20])
def test_the_end_of_an_mtl_may_be_filled_up(end):
    mtl = Mtl(Path("MTL.txt"), f"GROUP = A\n  SUN_ELEVATION = 30\n{end}".encode())
    assert mtl.sun_elevation_deg() == 30


def test_a_folder_must_be_one_product(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no MTD_MSIL1C.xml"):
        open_scene(tmp_path)
    folder = landsat_folder(tmp_path)
    (folder / "other_MTL.txt").touch()
    with pytest.raises(ValueError, match="MTL files of 2 products"):
        open_scene(folder)
    (folder / "other_MTL.txt").unlink()
    for path in folder.glob("*_B*.TIF"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match="holds no band files"):
        open_scene(folder)


def test_bands_must_share_one_grid(tmp_path):
    folder = landsat_folder(tmp_path)
    path = band_file(folder, "T1_B5.TIF")
    path.unlink()  # GDAL, asked to write over a Landsat band, takes its MTL away too.
    write_geotiff(path, np.ones((1, 20, 18), np.uint16))
    with pytest.raises(ValueError, match=r"B5.TIF: has \(20, 18\).*one grid"):
        open_scene(folder)


# --- A real scene -------------------------------------------------------------------------------


@pytest.mark.skipif(not REAL_SCENES.is_dir(), reason="PERMJAX_SAMPLES names no such folder")
@pytest.mark.parametrize(
    ("product", "corner", "shape"),
    [
        ("LC08_L1TP_017051_20151205_20200908_02_T1", (543_990, 1_378_980), (334, 468)),
        ("LC08_L2SP_017051_20151205_20200908_02_T1", (544_020, 1_378_980), (333, 467)),
    ],
)
def test_real_landsat_lies_where_its_mtl_says(product, corner, shape):
    with open_scene(REAL_SCENES / product) as scene:
        assert (scene.height, scene.width) == shape
        assert scene.crs == CRS.from_epsg(32616)
        # Centres of the first and of the last pixel are the corners in the MTL.
        assert xy(scene.transform, 0, 0) == corner
        assert xy(scene.transform, 0, shape[1] - 1) == (558_000, corner[1])


@pytest.mark.skipif(not REAL_SCENES.is_dir(), reason="PERMJAX_SAMPLES names no such folder")
def test_real_landsat_radiometry_by_hand():
    """Factors and sun elevation as they stand in the two MTL files."""
    sine = np.sin(np.radians(48.24450155))
    level1 = REAL_SCENES / "LC08_L1TP_017051_20151205_20200908_02_T1"
    with open_scene(level1) as scene:
        image = whole(scene)
    for band, ending in ((0, "B2.TIF"), (3, "B5.TIF"), (5, "B7.TIF")):
        dn = dn_of(level1, ending)
        for row, column in ((0, 0), (100, 200), (333, 467)):
            expected = (dn[row, column] * 2e-5 - 0.1) / sine
            assert image[row, column, band] == pytest.approx(expected, abs=1e-6)
    level2 = REAL_SCENES / "LC08_L2SP_017051_20151205_20200908_02_T1"
    with open_scene(level2) as scene:
        image = whole(scene)
    blue, thermal = dn_of(level2, "SR_B2.TIF"), dn_of(level2, "ST_B10.TIF")
    np.testing.assert_array_equal(np.isnan(image[..., 0]), blue == 0)
    row, column = 150, 150
    assert image[row, column, 0] == pytest.approx(blue[row, column] * 2.75e-5 - 0.2, abs=1e-6)
    kelvin = thermal[row, column] * 0.00341802 + 149
    assert image[row, column, 6] == pytest.approx(kelvin, abs=1e-3)
