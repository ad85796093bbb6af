import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from built import assert_same_records, image_of, metadata, read, read_all
from fake_cloudsen12 import (
    BANDS,
    ROWS,
    SIDE,
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
from fake_scenes import write_geotiff

from data_prep.cloudsen12.metadata import FIRST_SATELLITE, NO_SUN
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


# --- Records --------------------------------------------------------------------------------


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


def test_what_the_table_does_not_tell_is_said(tmp_path):
    row = {k: ROWS[0][k] for k in ("roi_id", "s2_id_gee", "label_type")} | {"split": "test"}
    write_one(tmp_path / "source", row, digital_numbers(), codes())
    [directory] = build(tmp_path / "source", tmp_path / "data")
    [record] = read(directory, "test")
    assert np.isnan(record["sun_elevation_deg"])
    assert record["sensor"] == b"sentinel2a_msi"
    assert metadata(directory)["notes"] == {FIRST_SATELLITE: [name(row)], NO_SUN: [name(row)]}


# --- The split and the forms ----------------------------------------------------------------


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


# --- Faults ---------------------------------------------------------------------------------

BAD = ROWS[1]
IMAGE, LABEL = "S2L1C.tif", "labels/manual_hq.tif"


def folder_of(tree: Path) -> Path:
    return tree / BAD["label_type"] / BAD["roi_id"] / BAD["s2_id_gee"]


def cut(file: str, size: int):
    def do(tree: Path) -> None:
        path = folder_of(tree) / file
        path.write_bytes(path.read_bytes()[:size])

    return do


def remove(file: str):
    return lambda tree: (folder_of(tree) / file).unlink()


def rewrite(file: str, image: np.ndarray):
    return lambda tree: write_geotiff(folder_of(tree) / file, image)


def rows(*changes: Mapping[str, str]):
    """The table with other rows in the place of the bad one's."""
    new = [row for row in ROWS if row is not BAD]
    new += [changed(BAD, **cells) for cells in changes]
    return lambda tree: write_table(tree / "cloudsen12_metadata.csv", new)


def other_label(tree: Path) -> None:
    path = folder_of(tree) / LABEL
    path.rename(path.with_name("manual_sc.tif"))


FAULTS = {
    "cut image": (cut(IMAGE, 9_000), r"S2L1C\.tif: band \d+ cannot be read"),
    "empty image": (cut(IMAGE, 0), r"S2L1C\.tif: is empty \(0 bytes\)"),
    "missing image": (remove(IMAGE), r"S2L1C\.tif is missing"),
    "missing band": (rewrite(IMAGE, digital_numbers()[:12]), r"S2L1C\.tif: has 12 bands of uint16"),
    "scaled": (rewrite(IMAGE, digital_numbers() / np.float32(1e4)), r"S2L1C\.tif: .* of float32"),
    "zeros": (rewrite(IMAGE, digital_numbers() * np.uint16(0)), r"the image holds only zeros"),
    "cut label": (cut(LABEL, 300), r"manual_hq\.tif: "),
    "empty label": (cut(LABEL, 0), r"manual_hq\.tif: is empty \(0 bytes\)"),
    "missing label": (remove(LABEL), r"labels/manual_hq\.tif is missing"),
    "label size": (
        rewrite(LABEL, codes()[None, :20]),
        r"manual_hq\.tif: has 20 x 40 pixels, but .*S2L1C\.tif has 40 x 40",
    ),
    "label type": (
        rewrite(LABEL, codes()[None].astype(np.uint16)),
        r"manual_hq\.tif: must be one band of codes of 8 bits, not 1 of uint16",
    ),
    "code": (rewrite(LABEL, codes("scribble")[None]), r"holds the codes \[4, 5, 6, 99\]"),
    "other label": (other_label, r"manual_sc\.tif: .* is of another type, high"),
    "no row": (rows(), rf"has no row of {BAD['roi_id']}/"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_fault_names_its_file_and_stops_or_is_left_out(tmp_path, capsys, tree, fault, packed):
    do, message = FAULTS[fault]
    source, data_dir = tree, tmp_path / "data"
    do(tree)
    if packed:
        source = write_zip(tmp_path / "zip" / "all.zip", tree)
    with pytest.raises(ValueError, match=message) as stop:
        build(source, data_dir)
    assert BAD["roi_id"] in str(stop.value)
    assert not list(data_dir.rglob("dataset_info.json"))
    assert not list(data_dir.rglob("*.part"))
    first, second = build(source, data_dir, keep_going=True)
    there = {one["scene_id"].decode() for one in read_all(first) + read_all(second)}
    assert there == {name(row) for row in ROWS if row is not BAD}
    [left_out] = {*metadata(first)["left_out"], *metadata(second)["left_out"]}
    assert left_out == str(stop.value)
    assert f"left out: {left_out}" in capsys.readouterr().err


TABLE_FAULTS = {
    "missing": (lambda tree: (tree / "cloudsen12_metadata.csv").unlink(), r"csv is missing"),
    "empty": (
        lambda tree: (tree / "cloudsen12_metadata.csv").write_bytes(b""),
        r"metadata\.csv: is empty \(0 bytes\)",
    ),
    "other table": (
        lambda tree: (tree / "cloudsen12_metadata.csv").write_text("a,b\n1,2\n"),
        r"metadata\.csv: has no column roi_id, s2_id_gee, label_type",
    ),
    "split": (rows({"test": "7"}), r"metadata\.csv: row 4: test '7' is not 0 \(train\)"),
    "no split": (rows({"test": ""}), r"metadata\.csv: row 4: test '' is not 0 \(train\)"),
    "type": (rows({"label_type": "best"}), r"row 4: label_type 'best' is none of high"),
    "name": (rows({"roi_id": ""}), r"row 4: names no image in roi_id and s2_id_gee"),
    "sun": (rows({"s2_view_sun_elevation": "high"}), r"row 4: s2_view_sun_elevation 'high'"),
    "contradiction": (rows({}, {"test": "2"}), r"two rows tell different things of ROI_0533__"),
}


@pytest.mark.parametrize("fault", TABLE_FAULTS)
@pytest.mark.parametrize("packed", [False, True])
def test_without_a_sound_table_nothing_is_packed(tmp_path, tree, fault, packed):
    do, message = TABLE_FAULTS[fault]
    do(tree)
    source = write_zip(tmp_path / "all.zip", tree) if packed else tree
    with pytest.raises(ValueError, match=message):
        build(source, tmp_path / "data")
    with pytest.raises(FileNotFoundError, match=message):
        build(source, tmp_path / "data", keep_going=True)
    assert not (tmp_path / "data").exists()


@pytest.fixture(scope="module")
def maps(tmp_path_factory) -> Path:
    return write_maps(tmp_path_factory.mktemp("maps") / "train", [ROWS[0], ROWS[3]])


def linked(maps: Path, folder: Path) -> Path:
    """The files of memory maps in another folder, which may be changed."""
    folder.mkdir(parents=True)
    for file in maps.iterdir():
        (folder / file.name).symlink_to(file)
    return folder


def replace(file: str, content: bytes):
    def do(folder: Path) -> None:
        (folder / file).unlink()
        (folder / file).write_bytes(content)

    return do


def rows_of_maps(*new: Mapping[str, str]):
    def do(folder: Path) -> None:
        (folder / "metadata.csv").unlink()
        write_table(folder / "metadata.csv", new)

    return do


def unlink(file: str):
    return lambda folder: (folder / file).unlink()


NEEDED = 2 * SIDE * SIDE * 2
CODE = np.full((2, SIDE, SIDE), 4, np.int8).tobytes()
MAP_FAULTS = {
    "cut band": (replace("L1C_B5.dat", b"1" * 999), rf"B5\.dat: has 999 bytes.* need {NEEDED}: "),
    "empty band": (replace("L1C_B5.dat", b""), r"L1C_B5\.dat: has 0 bytes, but the 2 rows"),
    "missing band": (unlink("L1C_B8A.dat"), r"train: L1C_B8A\.dat is missing"),
    "cut label": (replace("LABEL_manual_hq.dat", b"1"), r"LABEL_manual_hq\.dat: has 1 bytes"),
    "missing label": (unlink("LABEL_manual_hq.dat"), r"LABEL_manual_hq\.dat or LABEL_manual_sc\."),
    "missing table": (unlink("metadata.csv"), r"train: metadata\.csv is missing"),
    "empty table": (replace("metadata.csv", b""), r"metadata\.csv: is empty"),
    "other table": (rows_of_maps(ROWS[0]), r"has 1048576 bytes, but the 1 rows of metadata\.csv"),
    "other split": (rows_of_maps(ROWS[0], ROWS[1]), r"metadata\.csv: .* is for validation, not tr"),
    "other labels": (
        rows_of_maps(*(changed(ROWS[i], label_type="scribble") for i in (0, 3))),
        r"metadata\.csv: says that the label of ROI_0530__\w+ is scribble, but the labels beside",
    ),
    "code": (replace("LABEL_manual_hq.dat", CODE), r"hq\.dat: holds the codes \[4\] in ROI_0530_"),
}


@pytest.mark.parametrize("fault", MAP_FAULTS)
def test_a_fault_of_memory_maps_names_its_file(tmp_path, maps, fault):
    do, message = MAP_FAULTS[fault]
    do(linked(maps, tmp_path / "source" / "train"))
    with pytest.raises(ValueError, match=message):
        build(tmp_path / "source", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_memory_maps_in_an_archive_are_refused_by_name(tmp_path, tree, maps):
    packed = write_zip(tree / "train.zip", maps)
    with pytest.raises(ValueError, match=rf"{packed}: holds memory maps, which are read unpacked"):
        build(tree, tmp_path / "data")
    assert len(find(tree).scenes) == 4


@pytest.mark.parametrize("size", [0, 50_000])
def test_an_archive_that_is_cut_short_or_empty_is_named(tmp_path, tree, size):
    packed = write_zip(tmp_path / "zip" / "all.zip", tree)
    packed.write_bytes(packed.read_bytes()[:size])
    message = "is empty" if size == 0 else "damaged or cut short"
    with pytest.raises(ValueError, match=rf"all\.zip: .*{message}"):
        build(packed, tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "folder", ["ROI_0001/20190807T174909_T13UCS", "ROI/20190807T174909_20190807T175617_T13UCS"]
)
def test_names_out_of_convention_are_refused(tmp_path, tree, folder):
    path = tree / "high" / folder / "S2L1C.tif"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    with pytest.raises(ValueError, match=f"{folder}/S2L1C.tif: the name is out of convention"):
        build(tree, tmp_path / "data")


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "metadata.csv").write_text("nothing")
    with pytest.raises(FileNotFoundError, match="holds no labelled image of CloudSEN12"):
        build(tmp_path, tmp_path / "data")
