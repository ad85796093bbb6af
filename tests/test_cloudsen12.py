import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from built import assert_same_records, image_of, metadata, read, read_all
from fake_cloudsen12 import (
    BANDS,
    ROWS,
    codes,
    digital_numbers,
    name,
    padded,
    write_image,
    write_maps,
    write_table,
    write_tree,
    write_zip,
)

from data_prep.cloudsen12.metadata import FIRST_SATELLITE, NO_SUN, read_metadata
from data_prep.cloudsen12.reading import SCRIBBLES
from data_prep.cloudsen12.scenes import find
from data_prep.packing import pack
from data_prep.sources import data_set
from permjax import classes
from permjax.bands import Kind
from permjax.sensors import SENSORS

CLOUDSEN12 = data_set("cloudsen12")

HIGH = {
    0: classes.CLEAR,
    1: classes.THICK_CLOUD,
    2: classes.THIN_CLOUD,
    3: classes.CLOUD_SHADOW,
}
SCRIBBLE = {
    0: classes.CLEAR,
    1: classes.THICK_CLOUD,
    2: classes.THICK_CLOUD,
    3: classes.THIN_CLOUD,
    4: classes.THIN_CLOUD,
    5: classes.CLOUD_SHADOW,
    6: classes.CLOUD_SHADOW,
    99: classes.UNLABELLED,
}
BITS = {"high": HIGH, "scribble": SCRIBBLE}


def changed(row: Mapping[str, str], **cells: str) -> dict[str, str]:
    return {**row, **cells}


def build(source: Path, data_dir: Path, patch_size: int = 40, **options) -> list[Path]:
    return pack(CLOUDSEN12, source, data_dir, patch_size=patch_size, **options)


def one_record(source: Path, data_dir: Path, patch_size: int = 40) -> tuple[dict, dict]:
    """The one record, and what stands beside it."""
    [directory] = build(source, data_dir, patch_size)
    [record] = read_all(directory)
    return record, metadata(directory)


def write_one(parent: Path, row: Mapping[str, str], dn: np.ndarray, label: np.ndarray) -> Path:
    write_image(parent, row, dn, label)
    write_table(parent / "cloudsen12_metadata.csv", [row])
    return parent


# --- Records ------------------------------------------------------------------------------


@pytest.mark.parametrize("label_type", ["high", "scribble"])
def test_a_record_of_the_tree_holds_the_values_of_the_formulas(tmp_path, label_type):
    row = changed(ROWS[0], label_type=label_type)
    write_one(tmp_path / "source", row, digital_numbers(), codes(label_type))
    record, beside = one_record(tmp_path / "source", tmp_path / "data")
    reflectance = digital_numbers().transpose(1, 2, 0) / 1e4
    np.testing.assert_allclose(image_of(record), reflectance, atol=6e-5)
    expected = np.vectorize(BITS[label_type].__getitem__)(codes(label_type))
    np.testing.assert_array_equal(record["label"], expected)
    bands = SENSORS["sentinel2a_msi"].describe(BANDS)
    np.testing.assert_array_equal(record["wavelength_nm"], bands.wavelength_nm)
    np.testing.assert_array_equal(record["bandwidth_nm"], bands.bandwidth_nm)
    assert record["kind"].tolist() == [Kind.REFLECTANCE] * 13
    assert record["scene_id"] == b"ROI_0530__20200727T191919_20200727T192203_T10VFJ"
    assert record["sensor"] == b"sentinel2a_msi"
    assert (record["gsd_m"], record["sun_elevation_deg"]) == (10, 45.5)
    assert beside["notes"] == ({SCRIBBLES: [name(row)]} if label_type == "scribble" else {})


@pytest.mark.parametrize("label_type", ["high", "scribble"])
@pytest.mark.parametrize(
    ("top", "left", "margin"),
    [
        (0, 0, "3 below, 3 right"),
        (3, 3, "3 above, 3 left"),
        (1, 2, "1 above, 2 below, 2 left, 1 right"),
    ],
)
def test_a_record_of_memory_maps_has_no_margin(tmp_path, label_type, top, left, margin):
    row = changed(ROWS[0], label_type=label_type)
    write_maps(tmp_path / "source" / "train", [row], top=top, left=left)
    record, beside = one_record(tmp_path / "source", tmp_path / "data", patch_size=509)
    reflectance = digital_numbers(0, 509).transpose(1, 2, 0) / 1e4
    np.testing.assert_allclose(image_of(record), reflectance, atol=6e-5)
    expected = np.vectorize(BITS[label_type].__getitem__)(codes(label_type, 509))
    np.testing.assert_array_equal(record["label"], expected)
    assert record["scene_id"] == name(row).encode()
    assert (record["gsd_m"], record["sun_elevation_deg"]) == (10, 45.5)
    notes = {SCRIBBLES} if label_type == "scribble" else set()
    assert set(beside["notes"]) == {*notes, f"margin of zeros left out: {margin} (pixels)"}


def test_a_padded_file_loses_its_margin_as_a_memory_map_does(tmp_path):
    dn, label = digital_numbers(), codes()
    write_one(tmp_path / "bare", ROWS[0], dn, label)
    padded_dn, padded_label = padded(dn, 48, 0, 8), padded(label, 48, 0, 8)
    write_one(tmp_path / "padded", ROWS[0], padded_dn.astype(np.int16), padded_label)
    [bare] = build(tmp_path / "bare", tmp_path / "data")
    [record] = build(tmp_path / "padded", tmp_path / "padded_data")
    assert_same_records(bare, record)
    note = "margin of zeros left out: 8 below, 8 left (pixels)"
    assert metadata(record)["notes"] == {note: [name(ROWS[0])]}


def test_a_pixel_of_zeros_in_all_bands_is_no_data(tmp_path):
    dn = digital_numbers()
    dn[:, 20, 20] = 0
    dn[10, 21, 21] = 0  # The cirrus band sees nothing below much water vapour.
    write_one(tmp_path / "source", ROWS[0], dn, codes())
    record, _ = one_record(tmp_path / "source", tmp_path / "data")
    missing = np.isnan(image_of(record)).any(axis=2)
    assert np.argwhere(missing).tolist() == [[20, 20]]
    assert record["label"][20, 20] == classes.UNLABELLED


@pytest.mark.parametrize("form", ["tree", "maps"])
def test_bands_of_zeros_alone_are_noted(tmp_path, form):
    dn = digital_numbers()
    dn[[0, 10]] = 0
    dn[3, 20:] = 0  # All of its middle row; it is not dead.
    if form == "tree":
        write_one(tmp_path / "source", ROWS[0], dn, codes())
    else:
        folder = tmp_path / "source" / "train"
        write_maps(folder, [ROWS[0]])
        for band in ("B1", "B10"):
            path = folder / f"L1C_{band}.dat"
            path.write_bytes(bytes(path.stat().st_size))
    _, beside = one_record(tmp_path / "source", tmp_path / "data", 40 if form == "tree" else 509)
    assert beside["notes"]["only zeros in B1, B10"] == [name(ROWS[0])]


def test_what_the_table_does_not_tell_is_said(tmp_path, capsys):
    """Once for all images: on the screen with their number, in the metadata with their names."""
    known = ("roi_id", "s2_id_gee", "label_type")
    rows = [{k: row[k] for k in known} | {"split": "test"} for row in ROWS]
    write_tree(tmp_path / "source", rows)
    [directory] = build(tmp_path / "source", tmp_path / "data")
    for record in read(directory, "test"):
        assert np.isnan(record["sun_elevation_deg"])
        assert record["sensor"] == b"sentinel2a_msi"
    names = sorted(map(name, rows))
    assert metadata(directory)["notes"] == {FIRST_SATELLITE: names, NO_SUN: names}
    said = capsys.readouterr().err
    assert said.count(FIRST_SATELLITE) == 1
    assert f"{FIRST_SATELLITE} (scenes: 4, {names[0]}, " in said


@pytest.mark.parametrize(
    ("s2_id", "sensor", "notes"),
    [
        ("S2C_MSIL1C_20250101T000000", "sentinel2c_msi", ()),
        ("", "sentinel2a_msi", (FIRST_SATELLITE,)),
        ("NA", "sentinel2a_msi", (FIRST_SATELLITE,)),
        ("COPERNICUS/S2/20200727T191919", "sentinel2a_msi", (FIRST_SATELLITE,)),
    ],
)
def test_the_satellite_is_that_of_the_product_or_is_said_to_be_a_guess(
    tmp_path, s2_id, sensor, notes
):
    write_table(tmp_path / "table.csv", [changed(ROWS[0], s2_id=s2_id)])
    [row] = read_metadata(tmp_path / "table.csv")
    assert (row.sensor, row.notes) == (sensor, notes)


# --- The split and the forms --------------------------------------------------------------


@pytest.fixture
def tree(tmp_path) -> Path:
    """Four images: two satellites, three splits, one product in two regions."""
    return write_tree(tmp_path / "source")


def test_images_go_to_their_published_split_and_their_satellite(tmp_path, tree):
    directories = build(tree, tmp_path / "data")
    there = {
        (directory.parent.name, split): [one["scene_id"].decode() for one in read(directory, split)]
        for directory in directories
        for split in ("train", "validation", "test")
    }
    assert {key: value for key, value in there.items() if value} == {
        ("sentinel2a_msi", "train"): [name(ROWS[0])],
        ("sentinel2a_msi", "validation"): [name(ROWS[1])],
        ("sentinel2a_msi", "test"): [name(ROWS[2])],
        ("sentinel2b_msi", "train"): [name(ROWS[3])],
    }


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
def test_archives_hold_the_same_records(tmp_path, tree, form):
    loose = build(tree, tmp_path / "data")
    path = tmp_path / "packed" / f"cloudsen12.{form}"
    if form == "zip":
        write_zip(path, tree)
    else:
        path.parent.mkdir()
        with tarfile.open(path, "w:gz") as archive:
            archive.add(tree, "cloudsen12")
    for one, two in zip(build(path, tmp_path / "packed_data"), loose, strict=True):
        assert_same_records(one, two)


def test_an_image_that_lies_there_in_several_forms_is_read_once(tmp_path, tree):
    write_zip(tree / "all.zip", tree)
    write_maps(tree / "maps" / "train", [ROWS[0]])
    scenes = find(tree).scenes
    assert sorted(scene.name for scene in scenes) == sorted(map(name, ROWS))
    assert not any(scene.packed for scene in scenes)
    assert len({scene.size_bytes for scene in scenes}) == 1  # None is a memory map.


def test_memory_maps_of_all_splits_are_read_by_the_row_of_their_table(tmp_path):
    for split, folder in (("0", "train"), ("1", "val"), ("2", "test")):
        rows = [changed(row, test=split) for row in ROWS if row["test"] == split]
        write_maps(tmp_path / "source" / folder, rows)
    first, second = build(tmp_path / "source", tmp_path / "data", patch_size=512)
    assert [len(read(first, split)) for split in ("train", "validation", "test")] == [1, 1, 1]
    [record] = read(second, "train")  # The second row of its table, of the other satellite.
    assert record["scene_id"] == name(ROWS[3]).encode()
    image = image_of(record)[:509, :509]
    np.testing.assert_allclose(image, digital_numbers(1, 509).transpose(1, 2, 0) / 1e4, atol=6e-5)


def test_images_without_labels_are_passed_over(tmp_path, tree):
    unlabelled = changed(ROWS[0], roi_id="ROI_2000", label_type="nolabel")
    write_image(tree, unlabelled, digital_numbers(), None)
    write_table(tree / "cloudsen12_metadata.csv", [*ROWS, unlabelled])
    found = find(tree)
    assert len(found.scenes) == 4
    assert not found.faults
