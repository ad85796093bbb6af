from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import rasterio.shutil
from affine import Affine
from fake_scenes import tagged_geotiff
from rasterio.crs import CRS

from permjax.classes import COLOURS, CloudClass
from permjax.mask_files import mask_file, new_files
from permjax.rasters import open_raster
from permjax.scenes import open_scene


@pytest.fixture
def image(tmp_path, dn) -> Path:
    """A scene without coordinates."""
    return tagged_geotiff(tmp_path / "image.tif", dn)


def test_a_mask_is_in_its_place_only_when_it_is_whole(tmp_path, image):
    destination = tmp_path / "mask.tif"
    destination.write_text("an older mask")
    classes = np.ones((12, 10), np.uint8)
    names = ("mask.tif",)
    with (
        open_scene(image) as scene,
        new_files(destination, scene, names) as folder,
        mask_file(folder / "mask.tif", scene, "classes", "w") as file,
    ):
        file.write(classes, 1)
        assert destination.read_text() == "an older mask"
    with open_scene(image) as scene, pytest.raises(OSError, match="disk gone"):
        _broken_off(destination, scene, names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.tif", "mask.tif"]
    with open_raster(destination) as file:
        np.testing.assert_array_equal(file.read(1), classes)


def test_a_mask_of_which_a_part_was_lost_in_silence_is_refused(tmp_path, image, monkeypatch):
    """As on a disk that is full when the file is closed."""
    copy = rasterio.shutil.copy

    def lossy(source, path, **options):
        copy(source, path, **options)
        content = path.read_bytes()
        path.write_bytes(content[: -len(content) // 4].ljust(len(content), b"\0"))

    monkeypatch.setattr(rasterio.shutil, "copy", lossy)
    codes = np.random.default_rng(0).integers(0, 4, (12, 10), np.uint8)
    with (
        open_scene(image) as scene,
        pytest.raises(OSError, match=r"mask\.tif: cannot be written, is the disk full\?"),
        new_files(tmp_path / "mask.tif", scene, ("mask.tif",)) as folder,
        mask_file(folder / "mask.tif", scene, "classes", "w") as file,
    ):
        file.write(codes, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["image.tif"]


def _broken_off(destination, scene, names):
    with (
        new_files(destination, scene, names) as folder,
        mask_file(folder / "mask.tif", scene, "classes", "w"),
    ):
        raise OSError("disk gone")


def test_a_large_mask_is_cloud_optimised_with_overviews_of_its_codes(tmp_path):
    grid = (Affine(10, 0, 300_000, 0, -10, 5_000_000), CRS.from_epsg(32633))
    path = tagged_geotiff(tmp_path / "image.tif", np.ones((3, 1100, 700), np.uint16), grid=grid)
    codes = np.zeros((1100, 700), np.uint8)
    codes[:, 350:] = 1
    with (
        open_scene(path) as scene,
        new_files(tmp_path / "mask.tif", scene, ("mask.tif",)) as folder,
        mask_file(folder / "mask.tif", scene, "valid", "w") as file,
    ):
        file.write(codes, 1)
    with open_raster(tmp_path / "mask.tif") as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.overviews(1)
        small = file.read(1, out_shape=(275, 175))
        assert set(np.unique(small)) == {0, 1}
        assert (file.crs, file.transform) == (scene.crs, scene.transform)
        assert file.colormap(1)[1] == (*COLOURS[CloudClass.CLEAR], 255)
        assert file.tags()["weights"] == "w"
        assert file.tags()["classes"] == "0 cloud or cloud shadow, 1 clear, 255 no data"


def test_overviews_hold_the_commonest_code(tmp_path):
    """Not that of one pixel of four, wherever among them it lies, nor that of a mean colour."""
    path = tagged_geotiff(tmp_path / "image.tif", np.ones((3, 960, 640), np.uint16))
    codes = np.empty((960, 640), np.uint8)
    expected = np.empty((480, 320), np.uint8)
    for i, (common, one, other) in enumerate(permutations(CloudClass, 3)):
        for j in range(4):
            square = np.roll([common, common, one, other], j).reshape(2, 2)
            codes[40 * i : 40 * i + 40, 160 * j : 160 * j + 160] = np.tile(square, (20, 80))
            expected[20 * i : 20 * i + 20, 80 * j : 80 * j + 80] = common
    with (
        open_scene(path) as scene,
        new_files(tmp_path / "mask.tif", scene, ("mask.tif",)) as folder,
        mask_file(folder / "mask.tif", scene, "classes", "w") as file,
    ):
        file.write(codes, 1)
    with open_raster(tmp_path / "mask.tif") as file:
        assert 2 in file.overviews(1)
        np.testing.assert_array_equal(file.read(1, out_shape=(480, 320)), expected)


@pytest.mark.parametrize("name", ["mask.png", "mask.raw", "mask", "other.SAFE"])
def test_a_mask_is_called_a_geotiff(tmp_path, image, name):
    with (
        open_scene(image) as scene,
        pytest.raises(ValueError, match=r"a mask is a GeoTIFF: name a file that ends in \.tif"),
        new_files(tmp_path / name, scene, (name,)),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["image.tif"]


def test_a_mask_needs_a_folder(tmp_path, image):
    with open_scene(image) as scene:
        for destination, error in (
            (tmp_path / "no" / "mask.tif", FileNotFoundError),
            (tmp_path, ValueError),
        ):
            with (
                pytest.raises(error, match=r"no such folder for the mask|is a folder"),
                new_files(destination, scene, (destination.name,)),
            ):
                pass


def test_a_scene_is_never_written_over(image):
    content = image.read_bytes()
    with (
        open_scene(image) as scene,
        pytest.raises(ValueError, match="is the scene itself"),
        new_files(image, scene, (image.name,)),
    ):
        pass
    assert image.read_bytes() == content
