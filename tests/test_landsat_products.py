"""Landsat products beyond Landsat 8 folders: older sensors, metadata, archives, quality."""

import tarfile
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from fake_landsat import K1, K2, RADIANCE_ADD, RADIANCE_MULT, SHAPE, Landsat, write_landsat
from fake_scenes import landsat_folder, whole, write_geotiff
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS

from permjax.bands import Kind
from permjax.rasters import open_raster
from permjax.scenes import open_scene
from permjax.sensors import SENSORS

REFLECTANCE, SURFACE, KELVIN = Kind
TM = Landsat(5, "TM", 2, ("1", "2", "3", "4", "5", "6", "7"), ("6",))
MSS = Landsat(2, "MSS", 2, ("4", "5", "6", "7"), (), gsd_m=60)


def dn_of(folder: Path, band: str) -> np.ndarray:
    with open_raster(next(folder.glob(f"*_B{band}.TIF"))) as file:
        return file.read(1).astype(float)


def by_hand(dn: np.ndarray) -> np.ndarray:
    """sin(30 degrees) = 1/2."""
    return (dn * 2e-3 - 0.01) / 0.5


@pytest.mark.parametrize("collection", [1, 2])
def test_etm_by_hand(tmp_path, collection):
    folder = write_landsat(tmp_path, Landsat(collection=collection))
    with open_scene(folder) as scene:
        image = whole(scene)
    assert (scene.sensor, scene.gsd_m, scene.notes) == ("landsat7_etm", 30, ())
    names = ["B1", "B2", "B3", "B4", "B5", "B6", "B7"]
    expected = SENSORS["landsat7_etm"].describe(names)
    np.testing.assert_array_equal(scene.bands.wavelength_nm, expected.wavelength_nm)
    np.testing.assert_allclose(image[..., 3], by_hand(dn_of(folder, "4")), rtol=1e-5)
    radiance = dn_of(folder, "6_VCID_1") * RADIANCE_MULT + RADIANCE_ADD
    np.testing.assert_allclose(image[..., 5], K2 / np.log(K1 / radiance + 1), rtol=1e-5)


def test_etm_without_low_gain_uses_high_gain_and_says_so(tmp_path):
    folder = write_landsat(tmp_path, Landsat())
    next(folder.glob("*_B6_VCID_1.TIF")).unlink()
    with open_scene(folder) as scene:
        radiance = dn_of(folder, "6_VCID_2") * RADIANCE_MULT + RADIANCE_ADD
        np.testing.assert_allclose(whole(scene)[..., 5], K2 / np.log(K1 / radiance + 1), rtol=1e-5)
    assert "B6 at high gain is used" in scene.notes[0]


def test_scan_line_gaps_are_no_data_in_their_bands(tmp_path):
    folder = write_landsat(tmp_path, Landsat())
    path = next(folder.glob("*_B3.TIF"))
    dn = dn_of(folder, "3").astype(np.uint8)
    dn[4:6] = 0
    path.unlink()
    write_geotiff(path, dn[None])
    with open_scene(folder) as scene:
        missing = np.isnan(whole(scene))
    assert missing[4:6, :, 2].all()
    assert missing.sum() == missing[4:6, :, 2].size


@pytest.mark.parametrize(("landsat", "sensor"), [(TM, "landsat5_tm"), (MSS, "landsat2_mss")])
def test_older_sensors_by_hand(tmp_path, landsat, sensor):
    folder = write_landsat(tmp_path, landsat)
    with open_scene(folder) as scene:
        image = whole(scene)
    assert (scene.sensor, scene.gsd_m) == (sensor, landsat.gsd_m)
    expected = SENSORS[sensor].describe()
    np.testing.assert_array_equal(scene.bands.kind, expected.kind)
    np.testing.assert_allclose(image[..., 1], by_hand(dn_of(folder, landsat.bands[1])), rtol=1e-5)


def test_an_image_of_oli_alone_is_of_oli_and_tirs(tmp_path):
    folder = write_landsat(tmp_path, Landsat(9, "OLI", 2, ("2", "3", "4"), ()))
    with open_scene(folder) as scene:
        assert scene.sensor == "landsat9_oli_tirs"


@pytest.mark.parametrize("form", ["xml", "json"])
def test_metadata_in_every_form_say_the_same(tmp_path, form):
    with open_scene(write_landsat(tmp_path / "a", Landsat())) as scene:
        expected = whole(scene)
    folder = write_landsat(tmp_path / "b", Landsat(), form)
    with open_scene(folder) as scene:
        np.testing.assert_array_equal(whole(scene), expected)
        assert scene.sun_elevation_deg == 30
    with open_scene(next(folder.glob("*_MTL*"))) as scene:
        np.testing.assert_array_equal(whole(scene), expected)


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tgz"])
@pytest.mark.parametrize("inside", ["", "./", "product/"])
def test_an_archive_is_its_folder(tmp_path, ending, inside):
    folder = write_landsat(tmp_path, TM)
    with open_scene(folder) as scene:
        expected = whole(scene)
    path = pack(folder, tmp_path / f"a.{ending}", inside)
    with open_scene(path) as scene:
        np.testing.assert_array_equal(whole(scene), expected)
        assert (scene.name, scene.files) == (TM.product, {path.resolve()})


def pack(folder: Path, path: Path, inside: str = "") -> Path:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.add(file, f"{inside}{file.name}")
    return path


def test_what_was_unpacked_goes_away(tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    path = pack(write_landsat(tmp_path, TM), tmp_path / "a.tar.gz")
    with open_scene(path):
        assert list(scratch.iterdir())
    assert not list(scratch.iterdir())
    path.write_bytes(path.read_bytes()[:-800])
    with pytest.raises(OSError, match=r"a\.tar\.gz: the archive is damaged"):
        open_scene(path)
    assert not list(scratch.iterdir())


# --- Quality --------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["QA_PIXEL", "BQA"])
def test_fill_of_the_quality_file_is_no_data_in_all_bands(tmp_path, ending):
    folder = write_landsat(tmp_path, TM)
    flags = np.full((1, *SHAPE), 0b101010000, np.uint16)
    flags[0, 2, 3] = 1
    write_geotiff(folder / f"{TM.product}_{ending}.TIF", flags)
    with open_scene(folder) as scene:
        missing = np.isnan(whole(scene))
    assert missing[2, 3].all()
    assert missing.sum() == 7


def test_a_saturated_pixel_holds_data_and_a_dropped_one_does_not(tmp_path):
    """The brightest clouds saturate: without them the mask would have holes there."""
    folder = write_landsat(tmp_path, TM)
    flags = np.zeros((1, *SHAPE), np.uint16)
    flags[0, 2, 3] = 0b111  # Bands 1 to 3.
    flags[0, 4, 5] = 1 << 9
    write_geotiff(folder / f"{TM.product}_QA_RADSAT.TIF", flags)
    with open_scene(folder) as scene:
        missing = np.isnan(whole(scene))
    assert np.unique(np.argwhere(missing)[:, :2], axis=0).tolist() == [[4, 5]]


def test_terrain_that_hides_ground_from_oli_is_no_dropped_pixel(tmp_path):
    folder = landsat_folder(tmp_path)
    flags = np.full((1, 40, 36), 1 << 11, np.uint16)
    write_geotiff(folder / f"{folder.name}_QA_RADSAT.TIF", flags)
    with open_scene(folder) as scene:
        assert np.isfinite(whole(scene)[3:, 3:]).all()


# --- Level 2, grids -------------------------------------------------------------------------


def test_collection_1_level_2_by_hand(tmp_path):
    """Reflectance x 10000 and kelvin x 10, with -9999 for no data."""
    folder = write_landsat(tmp_path, TM)
    for path in folder.glob("*.TIF"):
        path.unlink()
    sr = np.full((1, *SHAPE), 2500, np.int16)
    sr[0, 0, 0] = -9999
    write_geotiff(folder / f"{TM.product}_sr_band3.tif", sr)
    write_geotiff(folder / f"{TM.product}_bt_band6.tif", np.full((1, *SHAPE), 2905, np.int16))
    with open_scene(folder) as scene:
        image = whole(scene)
    assert scene.bands.kind.tolist() == [SURFACE, KELVIN]
    assert image[1, 1] == pytest.approx([0.25, 290.5], rel=1e-6)
    assert np.isnan(image[0, 0]).tolist() == [True, False]


def test_a_coarser_grid_averages_and_lies_where_the_finer_one_did(tmp_path):
    folder = write_landsat(tmp_path, TM)
    with open_scene(folder) as scene:
        fine, corner = whole(scene), scene.transform @ (0, 0)
    with open_scene(folder, gsd_m=60) as scene:
        coarse = whole(scene)
        assert coarse.shape == (6, 5, 7)
        assert scene.transform @ (0, 0) == corner
        assert scene.transform.a == 60
    expected = fine[..., 2].reshape(6, 2, 5, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(coarse[..., 2], expected, rtol=1e-5)


def test_antarctica_is_polar_stereographic(tmp_path):
    polar = {
        "MAP_PROJECTION": "PS",
        "VERTICAL_LON_FROM_POLE": "0.00000",
        "TRUE_SCALE_LAT": "-71.00000",
    }
    landsat = Landsat(projection=polar, georeferenced=False)
    with open_scene(write_landsat(tmp_path, landsat)) as scene:
        assert scene.crs == CRS.from_epsg(3031)
        assert scene.transform == Affine(30, 0, 500_085, 0, -30, 1_400_115)


def test_bands_that_the_mtl_lists_and_that_are_missing_are_named(tmp_path):
    folder = write_landsat(tmp_path, TM)
    for band in ("1", "6"):
        next(folder.glob(f"*_B{band}.TIF")).unlink()
    with open_scene(folder) as scene:
        assert scene.notes == ("bands that are not in the product: B1, B6",)


def test_files_of_another_product_beside_it_are_not_its_bands(tmp_path):
    folder = write_landsat(tmp_path, TM)
    next(folder.glob("*_B3.TIF")).unlink()
    write_geotiff(folder / "LT05_other_B3.TIF", np.ones((1, *SHAPE), np.uint8))
    with open_scene(folder) as scene:
        assert len(scene.channels) == 6


def test_the_sun_below_the_horizon_is_refused(tmp_path):
    folder = write_landsat(tmp_path, Landsat(sun_elevation_deg=-5))
    with pytest.raises(ValueError, match=r"MTL\.txt: SUN_ELEVATION = -5"):
        open_scene(folder)


# --- Damage ---------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["a.tar", "a.tgz"])
def packed(request, tmp_path_factory) -> tuple[Path, bytes]:
    parent = tmp_path_factory.mktemp("packed")
    path = pack(write_landsat(parent, TM), parent / request.param)
    return path, path.read_bytes()


damage = st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=4)


def damaged(content: bytes, cut: float, changes: list[tuple[float, int]]) -> bytes:
    part = bytearray(content[: int(len(content) * cut)])
    for place, byte in changes if part else ():
        part[int(place * len(part))] = byte
    return bytes(part)


def error_of(path: Path) -> str | None:
    """The error on reading a scene, which may be of two types only; None = it reads."""
    try:
        with open_scene(path) as scene:
            whole(scene)
    except (OSError, ValueError) as error:
        return str(error)
    return None


@given(cut=st.one_of(st.just(1.0), st.floats(0, 1)), changes=damage)
def test_a_damaged_archive_reads_or_is_named(packed, cut, changes):
    path, content = packed
    path.write_bytes(damaged(content, cut, changes))
    assert (error_of(path) or str(path)).startswith((str(path), "/vsitar"))


@pytest.fixture(scope="module", params=["txt", "xml", "json"])
def folder_and_mtl(request, tmp_path_factory) -> tuple[Path, Path, bytes]:
    folder = write_landsat(tmp_path_factory.mktemp("damaged"), TM, request.param)
    mtl = next(folder.glob("*_MTL*"))
    return folder, mtl, mtl.read_bytes()


@given(cut=st.one_of(st.just(1.0), st.floats(0, 1)), changes=damage)
def test_damaged_metadata_read_or_are_named(folder_and_mtl, cut, changes):
    folder, mtl, content = folder_and_mtl
    mtl.write_bytes(damaged(content, cut, changes))
    assert folder.name in (error_of(folder) or folder.name)


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz"])
def test_an_empty_archive_is_named(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    path.touch()
    with pytest.raises(OSError, match=rf"a\.{ending}: "):
        open_scene(path)
