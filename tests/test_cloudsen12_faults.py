from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from fake_cloudsen12 import (
    ROWS,
    SIDE,
    codes,
    digital_numbers,
    name,
    write_maps,
    write_table,
    write_tree,
    write_zip,
)
from fake_scenes import write_geotiff
from refused import left_out

from data_prep.cloudsen12.scenes import find
from data_prep.packing import pack
from data_prep.sources import data_set

NAME = "cloudsen12"


def build(source: Path, data_dir: Path, **options) -> list[Path]:
    return pack(data_set(NAME), source, data_dir, patch_size=40, **options)


def changed(row: Mapping[str, str], **cells: str) -> dict[str, str]:
    return {**row, **cells}


@pytest.fixture
def tree(tmp_path) -> Path:
    """Four images: two satellites, three splits, one product in two regions."""
    return write_tree(tmp_path / "source")


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
    "zeros": (
        rewrite(IMAGE, digital_numbers() * np.uint16(0)),
        r"S2L1C\.tif: holds only zeros in",
    ),
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
    do(tree)
    source = write_zip(tmp_path / "zip" / "all.zip", tree) if packed else tree
    message = f"{BAD['roi_id']}.*{message}"
    there = left_out(NAME, source, tmp_path / "data", message, capsys, patch_size=40)
    assert there == {name(row) for row in ROWS if row is not BAD}


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
