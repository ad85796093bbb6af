"""Masks of scenes, and what can be written beside them."""

import time
from dataclasses import fields, replace

import numpy as np
import pytest
import rasterio
from affine import Affine
from fake_models import brightness, classes_by_hand
from fake_scenes import landsat_folder, tagged_geotiff
from rasterio._env import get_gdal_config
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning

from permjax.classes import COLOURS, NO_DATA, CloudClass
from permjax.inference import Masker
from permjax.mask_files import is_ours
from permjax.rasters import CACHE_BYTES, Scene, read_dn
from permjax.scenes import open_scene
from permjax.styles import recode, refine


def as_one(scene: Scene, kind: type[Scene]) -> Scene:
    """The same scene, read by another class."""
    return kind(**{part.name: getattr(scene, part.name) for part in fields(scene) if part.init})


@pytest.fixture
def geotiff(tmp_path):
    """A scene of 70 x 45 pixels with coordinates and a hole, and what its mask must be."""
    rng = np.random.default_rng(1)
    dn = rng.integers(1, 9_000, (3, 70, 45)).astype(np.uint16)
    dn[1] += 1_000  # The fake near infrared has the offset -0.1.
    dn[2] = 28_000
    dn[:, 30:40, 10:20] = 0
    grid = (Affine(10, 0, 300_000, 0, -10, 5_000_000), CRS.from_epsg(32633))
    path = tagged_geotiff(tmp_path / "scene.tif", dn, no_data=0, grid=grid)
    reflectance = np.stack([dn[0] * 1e-4, dn[1] * 1e-4 - 0.1], axis=-1)
    expected = np.where(dn[0] == 0, NO_DATA, classes_by_hand(reflectance))
    return path, expected, grid


def test_a_mask_file_holds_the_classes_on_the_grid_of_the_scene(tmp_path, geotiff):
    path, expected, (transform, crs) = geotiff
    masker = Masker(brightness, window_size=16)
    summary = masker.mask_scene(path, tmp_path / "mask.tif", show_progress=False)
    with rasterio.open(tmp_path / "mask.tif") as file:
        classes = file.read(1)
        assert (file.crs, file.transform) == (crs, transform)
        assert (file.count, file.dtypes, file.nodata) == (1, ("uint8",), NO_DATA)
        colours = file.colormap(1)
        tags = file.tags()
    np.testing.assert_array_equal(classes, expected)
    for code, colour in COLOURS.items():
        assert colours[code] == (*colour, 255)
    assert tags["scene"] == "scene"
    assert "3 cloud shadow" in tags["classes"]
    with_data = expected[expected != NO_DATA]
    cloud = np.isin(with_data, [CloudClass.THICK_CLOUD, CloudClass.THIN_CLOUD]).mean()
    assert summary.cloud_percent == pytest.approx(100 * cloud)
    assert summary.shadow_percent == pytest.approx(
        100 * (with_data == CloudClass.CLOUD_SHADOW).mean()
    )
    assert summary.no_data_percent == pytest.approx(100 * (expected == NO_DATA).mean())
    assert summary.seconds > 0


def test_a_landsat_folder_is_masked_where_it_lies(tmp_path):
    folder = landsat_folder(tmp_path, georeferenced=False)
    Masker(brightness).mask_scene(folder, tmp_path / "mask.tif", show_progress=False)
    with rasterio.open(tmp_path / "mask.tif") as file:
        assert file.crs == CRS.from_epsg(32616)
        assert file.transform == Affine(30, 0, 500_085, 0, -30, 1_400_115)
        assert (file.read(1)[:3, :3] == NO_DATA).all()


def test_an_open_scene_stays_open(tmp_path, geotiff):
    with open_scene(geotiff[0]) as scene:
        Masker(brightness).mask_scene(scene, tmp_path / "mask.tif", show_progress=False)
        scene.read((slice(0, 2), slice(0, 2)))


@pytest.mark.parametrize("error", [OSError("disk gone"), KeyboardInterrupt()])
def test_an_interrupted_run_leaves_no_file_and_an_old_mask_as_it_was(tmp_path, geotiff, error):
    (tmp_path / "out").mkdir()
    destination = tmp_path / "out" / "mask.tif"
    destination.write_text("an older mask")
    masker = Masker(brightness, window_size=16)
    with open_scene(geotiff[0]) as scene:
        reads = []

        class Interrupted(type(scene)):
            def read(self, window):
                reads.append(window)
                if len(reads) > 8:
                    raise error
                return super().read(window)

        failing = as_one(scene, Interrupted)
        with pytest.raises(type(error)):
            masker.mask_scene(
                failing, destination, probabilities=True, quicklook=True, show_progress=False
            )
    assert [path.name for path in destination.parent.iterdir()] == ["mask.tif"]
    assert destination.read_text() == "an older mask"


def test_all_that_a_mask_can_come_with(tmp_path, geotiff):
    """Style, growth, probabilities, picture and tags; nothing else is left in the folder."""
    path, expected, _ = geotiff
    masker = Masker(brightness, window_size=16, weights="by hand")
    (tmp_path / "out").mkdir()
    destination = tmp_path / "out" / "mask.tif"
    masker.mask_scene(
        path,
        destination,
        style="valid",
        dilate_m=20,
        min_size_m=14,
        probabilities=True,
        quicklook=True,
        show_progress=False,
    )
    names = ["mask.tif", "mask_probabilities.tif", "mask_quicklook.png"]
    assert sorted(file.name for file in destination.parent.iterdir()) == names
    refined = np.concatenate(list(refine([expected.astype(np.uint8)], 20, 14, 10)))
    with rasterio.open(destination) as file:
        np.testing.assert_array_equal(file.read(1), recode(refined, "valid"))
        tags = file.tags()
    with_data = refined[refined != NO_DATA]
    assert float(tags["cloud_percent"]) == pytest.approx(
        100 * np.isin(with_data, [1, 2]).mean(), abs=0.01
    )
    assert tags["weights"] == "by hand"
    assert tags["bands_nm"].startswith("665:31:reflectance,833:106:reflectance,")
    with rasterio.open(destination.with_name(names[1])) as file:
        percent = file.read()
        assert file.descriptions == ("clear", "thick cloud", "thin cloud", "cloud shadow")
    hole = expected == NO_DATA
    assert (percent[:, hole] == NO_DATA).all()
    np.testing.assert_allclose(percent[:, ~hole].sum(0), 100, atol=2)
    with pytest.warns(NotGeoreferencedWarning), rasterio.open(destination.with_name(names[2])) as f:
        assert f.shape == (11 * 70, 11 * 45)


def test_each_pixel_of_a_scene_is_read_once(tmp_path, geotiff):
    with open_scene(geotiff[0]) as scene:
        reads = np.zeros((scene.height, scene.width), int)

        class Counted(type(scene)):
            def read(self, window):
                reads[window] += 1
                return super().read(window)

        counted = as_one(scene, Counted)
        Masker(brightness, window_size=16).mask_scene(
            counted, tmp_path / "mask.tif", show_progress=False
        )
    assert (reads == 1).all()


@pytest.mark.parametrize(
    ("option", "message"), [({"style": "clouds"}, "unknown style"), ({"dilate_m": -1}, "dilate")]
)
def test_wrong_options_leave_no_file(tmp_path, geotiff, option, message):
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match=message):
        Masker(brightness).mask_scene(geotiff[0], tmp_path / "out" / "mask.tif", **option)
    assert not list((tmp_path / "out").iterdir())


def test_no_window_is_read_any_more_when_masking_fails(tmp_path, geotiff):
    """The scene may then be closed: GDAL must not be reading from it."""
    reading = []
    with open_scene(geotiff[0]) as scene:

        class Slow(type(scene)):
            def read(self, window):
                reading.append(window)
                time.sleep(0.1)
                image = super().read(window) * 10_000  # No reflectance: refused.
                reading.pop()
                return image

        slow = as_one(scene, Slow)
        masker = Masker(brightness, window_size=16)
        with pytest.raises(ValueError, match="scale its digital numbers"):
            masker.mask_scene(slow, tmp_path / "mask.tif", show_progress=False)
        assert not reading


def test_probabilities_say_who_wrote_them_and_with_what(tmp_path, geotiff):
    masker = Masker(brightness, weights="by hand")
    masker.mask_scene(
        geotiff[0], tmp_path / "mask.tif", probabilities=True, quicklook=True, show_progress=False
    )
    for name in ("mask.tif", "mask_probabilities.tif", "mask_quicklook.png"):
        assert is_ours(tmp_path / name)
    assert not is_ours(geotiff[0])
    with rasterio.open(tmp_path / "mask_probabilities.tif") as file:
        assert file.tags()["weights"] == "by hand"
        assert file.tags()["software"].startswith("permjax ")


def test_tags_name_the_bands_that_hold_data(tmp_path, geotiff):
    """What holds none anywhere is left out, and told of with the scene's name."""
    with open_scene(geotiff[0]) as scene:

        class Cold(type(scene)):
            def read(self, window):
                image = super().read(window)
                image[..., 2] = np.nan
                return image

        cold = as_one(scene, Cold)
        told = "scene: bands without any data were left out: 10895 nm"
        with pytest.warns(UserWarning, match=told):
            Masker(brightness).mask_scene(cold, tmp_path / "mask.tif", show_progress=False)
    with rasterio.open(tmp_path / "mask.tif") as file:
        assert file.tags()["bands_nm"] == "665:31:reflectance,833:106:reflectance"


def test_what_a_user_should_know_is_warned_of_with_the_scenes_name(tmp_path, geotiff):
    with open_scene(geotiff[0]) as scene:
        noted = replace(scene, notes=("its bands were renamed", "it is old"))
        with pytest.warns(UserWarning, match=r"^scene: ") as told:
            Masker(brightness).mask_scene(noted, tmp_path / "mask.tif", show_progress=False)
    assert [str(w.message) for w in told] == ["scene: its bands were renamed", "scene: it is old"]


def test_decoded_blocks_are_held_within_bounds_whatever_the_scene(tmp_path, geotiff, monkeypatch):
    """GDAL's cache, while any number is read: a part of the 1.5 GB that a large product takes."""
    monkeypatch.delenv("GDAL_CACHEMAX", raising=False)
    bounds = []

    def watched(*args):
        bounds.append(get_gdal_config("GDAL_CACHEMAX"))
        return read_dn(*args)

    monkeypatch.setattr("permjax.rasters.read_dn", watched)
    Masker(brightness).mask_scene(geotiff[0], tmp_path / "mask.tif", show_progress=False)
    assert bounds
    assert set(bounds) == {CACHE_BYTES}
