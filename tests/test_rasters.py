import numpy as np
import pytest
from fake_scenes import BANDS, landsat_folder, tagged_geotiff, whole

from permjax.scenes import open_scene


def test_a_window_is_that_part_of_the_whole(tmp_path):
    with open_scene(landsat_folder(tmp_path)) as scene:
        window = (slice(1, 20), slice(5, 36))
        np.testing.assert_array_equal(scene.read(window), whole(scene)[window])


@pytest.mark.parametrize("no_data", [7, 65_535])
def test_no_data_is_what_the_file_says(tmp_path, dn, no_data):
    dn[:, 0, 0] = no_data
    dn[1, 4, 4] = no_data
    dn[:, 5, 5] = 0  # Another number is declared: 0 is a value here, save for kelvin.
    with open_scene(tagged_geotiff(tmp_path / "a.tif", dn, no_data=no_data)) as scene:
        missing = np.isnan(whole(scene))
    assert np.argwhere(missing).tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 2], [4, 4, 1], [5, 5, 2]]


def test_without_declared_no_data_only_zeros_in_all_bands_are_fill(tmp_path, dn):
    dn[:, 0, 0] = 0
    dn[0, 4, 4] = 0
    with open_scene(tagged_geotiff(tmp_path / "a.tif", dn)) as scene:
        missing = np.isnan(whole(scene))
    assert np.argwhere(missing).tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 2]]


def test_a_blank_thermal_band_is_a_band_without_data(tmp_path, dn):
    dn[2] = 0
    with open_scene(tagged_geotiff(tmp_path / "a.tif", dn)) as scene:
        image = whole(scene)
    assert image.shape == (12, 10, 2)
    assert np.isfinite(image).all()
    assert scene.bands.wavelength_nm.tolist() == [665, 833]
    assert any("left out: 10895 nm" in note for note in scene.notes)


def test_damaged_files_are_named(tmp_path, dn):
    path = tagged_geotiff(tmp_path / "cut.tif", np.tile(dn, (1, 40, 40)), BANDS)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(OSError, match=r"cut\.tif: band .* cut short"), open_scene(path) as scene:
        whole(scene)
    path.write_bytes(b"not a TIFF at all")
    with pytest.raises(OSError, match=r"cut\.tif: is not a raster file"):
        open_scene(path)
