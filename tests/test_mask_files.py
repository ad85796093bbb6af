from pathlib import Path

import numpy as np
import pytest
from fake_scenes import tagged_geotiff

from permjax.mask_files import mask_file
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
    with open_scene(image) as scene, mask_file(destination, scene) as file:
        file.write(classes, 1)
        assert destination.read_text() == "an older mask"
    with (
        open_scene(image) as scene,
        pytest.raises(OSError, match="disk gone"),
        mask_file(destination, scene),
    ):
        raise OSError("disk gone")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.tif", "mask.tif"]
    with open_raster(destination) as file:
        np.testing.assert_array_equal(file.read(1), classes)


def test_a_mask_needs_a_folder(tmp_path, image):
    with (
        open_scene(image) as scene,
        pytest.raises(FileNotFoundError, match="no such folder for the mask"),
        mask_file(tmp_path / "no" / "mask.tif", scene),
    ):
        pass


def test_a_scene_is_never_written_over(image):
    content = image.read_bytes()
    with (
        open_scene(image) as scene,
        pytest.raises(ValueError, match="is the scene itself"),
        mask_file(image, scene),
    ):
        pass
    assert image.read_bytes() == content
