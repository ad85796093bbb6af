from pathlib import Path

import numpy as np
import pytest
from built import build, metadata, read_all
from fake_irish import (
    CLEAR,
    FILL_IS_ZERO,
    FIRST,
    SECOND,
    SHADOW,
    SHADOW_IS_ZERO,
    SHAPE,
    codes,
    corners,
    digital_numbers,
    stripes,
    write_mask,
    write_original,
)
from fake_scenes import write_geotiff
from refused import stops

from data_prep.landsat7_irish import conventions
from data_prep.landsat7_irish.scenes import DARK_CLOUD, TWO_MASKS
from data_prep.landsat_scenes import NO_SHADOW
from permjax import classes
from permjax.rasters import open_raster

NAME = "landsat7_irish"
ZERO_FILL, ZERO_SHADOW = conventions.FILL_IS_ZERO.note, conventions.SHADOW_IS_ZERO.note
READ = [0, 1, 2, 3, 4, 5, 7]
"""The bands of a record, of the digital numbers B10, B20, B30, B40, B50, B61, B62, B70, B80."""


def one_label(source: Path, data_dir: Path) -> np.ndarray:
    [record] = read_all(build(NAME, source, data_dir, patch_size=72))
    return record["label"][: SHAPE[0], : SHAPE[1]]


def notes_of(data_dir: Path) -> dict:
    return metadata(data_dir / NAME / "landsat7_etm" / "1.0.0")["notes"]


@pytest.mark.parametrize("release", ["newmask2015", "mask2019"])
@pytest.mark.parametrize("shadow", [True, False])
@pytest.mark.parametrize("convention", [FILL_IS_ZERO, SHADOW_IS_ZERO])
def test_codes_of_both_conventions_become_classes(tmp_path, convention, shadow, release):
    mask = codes(convention, shadow=shadow)
    write_original(tmp_path / "source", mask=mask, release=release)
    found = one_label(tmp_path / "source", tmp_path / "data")
    clear = classes.CLEAR if shadow else classes.CLEAR_OR_SHADOW
    bits = [classes.CLOUD_SHADOW, clear, classes.THIN_CLOUD, classes.THICK_CLOUD]
    there = stripes()
    if not shadow:
        there[there == SHADOW] = CLEAR
    label = np.array(bits)[there]
    if convention == FILL_IS_ZERO:
        label[corners(4)] = classes.UNLABELLED
    else:
        # Fill is clear to the mask: where any band is 0, it is none.
        label[corners(4)] = clear
        label[(digital_numbers()[..., READ] == 0).any(axis=2)] = 0
    np.testing.assert_array_equal(found, label)
    note = ZERO_FILL if convention == FILL_IS_ZERO else ZERO_SHADOW
    assert notes_of(tmp_path / "data") == {
        note: [FIRST],
        **({} if shadow else {NO_SHADOW: [FIRST]}),
    }


def test_older_copies_call_thin_cloud_191(tmp_path):
    write_original(tmp_path / "source", mask=codes((64, 128, 191, 255)))
    found = one_label(tmp_path / "source", tmp_path / "data")
    assert (found[5] == np.array([8, 1, 4, 2])[stripes()[0]]).all()


@pytest.mark.parametrize("convention", [FILL_IS_ZERO, SHADOW_IS_ZERO])
def test_a_clear_scene_has_no_cloud_in_either_convention(tmp_path, convention):
    mask = np.full(SHAPE, convention[CLEAR], np.uint8)
    mask[corners(4)] = 0 if convention == FILL_IS_ZERO else 255
    write_original(tmp_path / "source", mask=mask)
    found = one_label(tmp_path / "source", tmp_path / "data")
    assert set(np.unique(found)) == {classes.UNLABELLED, classes.CLEAR_OR_SHADOW}


def rewrite(folder: Path, band: str, change) -> None:
    [path] = folder.glob(f"*_{band}.TIF")
    with open_raster(path) as file:
        dn = file.read()
    path.unlink()  # GDAL, asked to write over a Landsat band, takes its MTL away too.
    write_geotiff(path, change(dn))


@pytest.mark.parametrize("convention", [FILL_IS_ZERO, SHADOW_IS_ZERO])
def test_fill_of_the_image_tells_the_convention_where_corners_mislead(tmp_path, convention):
    mask = codes(convention, shadow=convention == SHADOW_IS_ZERO)
    mask[[0, 0, -1, -1], [0, -1, 0, -1]] = 128 if convention == FILL_IS_ZERO else 0
    write_original(tmp_path / "source", mask=mask)
    found = one_label(tmp_path / "source", tmp_path / "data")
    assert found[40, 58] == classes.THICK_CLOUD
    note = ZERO_FILL if convention == FILL_IS_ZERO else ZERO_SHADOW
    assert note in notes_of(tmp_path / "data")


def without_fill(parent: Path, mask: np.ndarray) -> Path:
    folder = write_original(parent, mask=mask)
    for band in ("B30", "B50"):
        rewrite(folder, band, lambda dn: np.where(dn == 0, np.uint8(50), dn))
    return folder


NEITHER = r"newmask2015\.TIF: what is cloud by its mask codes: 0 .* --keep_going leaves it out"


@pytest.mark.parametrize("convention", [FILL_IS_ZERO, SHADOW_IS_ZERO])
def test_without_fill_corners_tell_the_convention(tmp_path, convention):
    without_fill(tmp_path / "source", codes(convention, shadow=convention == SHADOW_IS_ZERO))
    one_label(tmp_path / "source", tmp_path / "data")
    note = ZERO_FILL if convention == FILL_IS_ZERO else ZERO_SHADOW
    assert note in notes_of(tmp_path / "data")


def test_corners_that_brightness_contradicts_are_refused(tmp_path):
    """A corner in shadow, in a scene without fill, is not taken for fill."""
    mask = codes(SHADOW_IS_ZERO)
    mask[0, 0] = 0
    folder = without_fill(tmp_path / "source", mask)
    # Bright snow: one band alone tells nothing where the convention is a guess.
    rewrite(folder, "B50", lambda dn: 255 - dn)
    stops(NAME, tmp_path / "source", tmp_path / "data", NEITHER)


def swapped() -> np.ndarray:
    mask = codes()
    mask[mask == 128] = 7
    mask[mask == 255] = 128
    mask[mask == 7] = 255
    return mask


def test_clouds_darker_than_clear_ground_are_refused_and_can_be_left_out(tmp_path, capsys):
    write_original(tmp_path / "source", mask=swapped())
    write_original(tmp_path / "source", SECOND)
    stops(NAME, tmp_path / "source", tmp_path / "data", NEITHER)
    directory = build(NAME, tmp_path / "source", tmp_path / "data", patch_size=72, keep_going=True)
    assert {one["scene_id"] for one in read_all(directory)} == {SECOND.encode()}
    assert "left out: " in capsys.readouterr().err


def test_clouds_over_snow_are_noted(tmp_path):
    """Snow is brighter than cloud in red and darker in the short-wave infrared."""
    folder = write_original(tmp_path / "source")
    rewrite(folder, "B30", lambda dn: np.where(dn == 0, dn, 255 - dn))
    found = one_label(tmp_path / "source", tmp_path / "data")
    assert found[40, 58] == classes.THICK_CLOUD
    assert notes_of(tmp_path / "data") == {ZERO_FILL: [FIRST], DARK_CLOUD: [FIRST]}


def test_codes_of_one_convention_and_fill_of_the_other_are_refused(tmp_path):
    mask = codes()
    mask[mask == 0] = 255
    write_original(tmp_path / "source", mask=mask)
    message = r"newmask2015\.TIF: has 255 where the image has no data, .* and the codes \[64\]"
    stops(NAME, tmp_path / "source", tmp_path / "data", message)


def test_of_two_masks_the_newer_is_read(tmp_path):
    folder = write_original(tmp_path / "source", mask=np.full(SHAPE, 64, np.uint8))
    write_mask(folder, FIRST, codes(), "mask2019")
    found = one_label(tmp_path / "source", tmp_path / "data")
    assert classes.THICK_CLOUD in found
    assert notes_of(tmp_path / "data") == {ZERO_FILL: [FIRST], TWO_MASKS: [FIRST]}
