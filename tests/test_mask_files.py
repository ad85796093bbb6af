from pathlib import Path

import numpy as np
import pytest
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
    """Not the code of one pixel of four, wherever among them it lies; nor a mean of codes."""
    path = tagged_geotiff(tmp_path / "image.tif", np.ones((3, 1100, 700), np.uint16))
    codes = np.full((1100, 700), 3, np.uint8)
    for y, x in ((0, 0), (0, 1), (1, 0), (1, 1)):
        codes[550 * y : 550 * y + 550, 350 * x : 350 * x + 350][y::2, x::2] = 1
    with (
        open_scene(path) as scene,
        new_files(tmp_path / "mask.tif", scene, ("mask.tif",)) as folder,
        mask_file(folder / "mask.tif", scene, "classes", "w") as file,
    ):
        file.write(codes, 1)
    with open_raster(tmp_path / "mask.tif") as file:
        assert (file.read(1, out_shape=(550, 350)) == 3).all()


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
