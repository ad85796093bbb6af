from pathlib import Path

import numpy as np
import pytest
from built import SPLITS, assert_same_records, image_of, metadata, read, read_all
from fake_kappaset import (
    BANDS,
    PRODUCT,
    SPRING,
    SUMMER,
    TESTED,
    codes,
    digital_numbers,
    h5py,
    write_tile,
    write_variable,
    write_zip,
)
from refused import left_out

from data_prep.kappaset.scenes import STRADDLES, find
from data_prep.packing import pack
from data_prep.sources import data_set
from permjax import classes
from permjax.bands import Kind
from permjax.sensors import SENSORS

NAME = "kappaset"


def build(source: Path, data_dir: Path, **options) -> dict[str, Path]:
    """The directories of records, by sensor."""
    directories = pack(data_set(NAME), source, data_dir, patch_size=64, **options)
    return {directory.parent.name: directory for directory in directories}


def ids(directories: dict[str, Path], split: str) -> list[str]:
    records = [record for directory in directories.values() for record in read(directory, split)]
    return [record["scene_id"].decode() for record in records]


def scene_of(tile: str) -> str:
    return tile[: len("T34UFA_20200401T093029")]


@pytest.mark.parametrize("tile", [SPRING, SUMMER])
def test_a_record_holds_the_values_of_the_formulas(tmp_path, tile):
    write_tile(tmp_path / "source" / "April", tile)
    [directory] = build(tmp_path / "source", tmp_path / "data").values()
    [record] = read_all(directory)
    image = image_of(record)
    valid = np.zeros((64, 64), bool)
    valid[:40, :36] = True
    valid[:3, :3] = False  # No data.
    np.testing.assert_array_equal(np.isnan(image), ~valid[..., None].repeat(13, axis=2))
    # Reflectance of level 1C is digital number / 10000; rows are in the order of the file.
    np.testing.assert_allclose(image[3:40, :36], digital_numbers()[3:] / 1e4, atol=6e-5)
    sensor = "sentinel2b_msi" if tile == SPRING else "sentinel2a_msi"
    names = ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12"]
    expected = SENSORS[sensor].describe(names)
    np.testing.assert_array_equal(record["wavelength_nm"], expected.wavelength_nm)
    np.testing.assert_array_equal(record["bandwidth_nm"], expected.bandwidth_nm)
    assert record["kind"].tolist() == [Kind.REFLECTANCE] * 13
    assert (record["scene_id"], record["sensor"]) == (scene_of(tile).encode(), sensor.encode())
    assert record["gsd_m"] == 10
    assert np.isnan(record["sun_elevation_deg"])


BITS = {
    0: classes.UNLABELLED,
    1: classes.CLEAR,
    2: classes.CLOUD_SHADOW,
    3: classes.THIN_CLOUD,
    4: classes.THICK_CLOUD,
    5: classes.UNLABELLED,
}


def test_codes_become_classes(tmp_path):
    write_tile(tmp_path / "source")
    [directory] = build(tmp_path / "source", tmp_path / "data").values()
    [record] = read_all(directory)
    expected = np.vectorize(BITS.__getitem__)(codes())
    expected[:3, :3] = 0
    np.testing.assert_array_equal(record["label"][:40, :36], expected)
    assert not record["label"][40:].any()
    assert not record["label"][:, 36:].any()
    assert metadata(directory)["notes"] == {}


def test_the_zip_of_zenodo_holds_the_same_records(tmp_path):
    source = tmp_path / "source"
    for seed, (month, tile) in enumerate([("April", SPRING), ("July", SUMMER), ("test", TESTED)]):
        write_tile(source / month, tile, seed=seed)
    (source / "April" / f"._{SPRING}.nc").write_bytes(b"x")
    packed = build(write_zip(source, tmp_path / "zip"), tmp_path / "packed")
    loose = build(source, tmp_path / "loose")
    assert packed.keys() == loose.keys() == {"sentinel2a_msi", "sentinel2b_msi"}
    for sensor in packed:
        assert_same_records(packed[sensor], loose[sensor])
    # What is there in both forms is read unpacked.
    (source / "kappaset.zip").write_bytes((tmp_path / "zip" / "kappaset.zip").read_bytes())
    (source / "July" / f"{SUMMER}.nc").unlink()
    scenes = find(source).scenes
    assert sorted(scene.name for scene in scenes) == sorted([SPRING, SUMMER, TESTED])
    assert [scene.name for scene in scenes if scene.packed] == [SUMMER]


# --- The split ------------------------------------------------------------------------------


def test_months_train_and_the_folder_test_tests(tmp_path):
    source = tmp_path / "source"
    write_tile(source / "April", SPRING)
    write_tile(source / "July", SUMMER)
    write_tile(source / "test", TESTED)
    directories = build(source, tmp_path / "data")
    assert sorted(ids(directories, "train")) == sorted(map(scene_of, (SPRING, SUMMER)))
    assert ids(directories, "test") == [scene_of(TESTED)]
    only = find(source / "test").scenes
    assert [scene.split for scene in only] == ["test"]
    only = find(source / "July").scenes
    assert [scene.split for scene in only] == ["train"]


def test_a_scene_with_tiles_in_test_tests_with_all_of_them(tmp_path):
    source = tmp_path / "source"
    other = SPRING.replace("_3_9", "_4_9")
    write_tile(source / "April", SPRING)
    write_tile(source / "test", other)
    directories = build(source, tmp_path / "data")
    assert ids(directories, "train") == []
    assert ids(directories, "test") == [scene_of(SPRING)] * 2
    [directory] = directories.values()
    assert metadata(directory)["notes"] == {STRADDLES: [SPRING]}


def test_without_such_folders_scenes_are_dealt_and_keep_their_tiles_together(tmp_path):
    tiles = [f"T{n}UFA_20200401T0930{n - 30}9_tile_{k}_0" for n in range(30, 35) for k in range(2)]
    for tile in tiles:
        write_tile(tmp_path / "source", tile)
    directories = build(tmp_path / "source", tmp_path / "data")
    splits = {split: ids(directories, split) for split in SPLITS}
    assert all(splits.values())
    assert sorted(s for split in SPLITS for s in splits[split]) == sorted(map(scene_of, tiles))
    assert len({s for split in SPLITS for s in splits[split]}) == sum(
        len(set(scenes)) for scenes in splits.values()
    )


@pytest.mark.parametrize("number", ["int8", "uint16", "int32", "int64"])
def test_bands_of_other_floats_and_labels_of_other_integers_hold_the_same_records(tmp_path, number):
    write_tile(tmp_path / "usual" / "April")
    path = write_tile(tmp_path / "other" / "April")
    replace("B04", digital_numbers()[..., 3] / 65535)(path)
    replace("Label", codes().astype(number))(path)
    [usual], [other] = (
        build(tmp_path / name, tmp_path / "data" / name).values() for name in ("usual", "other")
    )
    assert_same_records(usual, other)


# --- Faults ---------------------------------------------------------------------------------


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("<html>not found</html>")


def rewrite(**options):
    return lambda path: write_tile(path.parent, path.stem, **options)


def replace(key: str, values: np.ndarray):
    def do(path: Path) -> None:
        with h5py.File(path, "a") as file:
            del file[key]
            write_variable(file, key, values)

    return do


OTHER = PRODUCT.replace("T34UFA", "T34UFB")
FAULTS = {
    "cut file": (cut, r"_3_9\.nc: is not a raster file that can be read"),
    "empty file": (empty, r"_3_9\.nc: is empty \(0 bytes\)"),
    "not netCDF": (text, r"_3_9\.nc: is not a raster file that can be read"),
    "missing band": (rewrite(leave_out=["B8A"]), r"_3_9\.nc: its variable B8A is missing$"),
    "missing bands": (
        rewrite(leave_out=["B02", "B10", "Label"]),
        r"_3_9\.nc: its variable B02 is missing, and so are B10, Label",
    ),
    "missing label": (rewrite(leave_out=["Label"]), r"_3_9\.nc: its variable Label is missing"),
    "no variable but one": (rewrite(leave_out=BANDS), r"_3_9\.nc: its variable B01 is missing"),
    "label size": (
        replace("Label", codes()[:20]),
        r"_3_9\.nc\W+Label: has 20 x 36 pixels, but .*_3_9\.nc\W+B01 has 40 x 36",
    ),
    "band size": (
        replace("B10", np.ones((20, 18), np.float32)),
        r"_3_9\.nc\W+B10: has 20 x 18 pixels",
    ),
    "numbers not scaled": (
        replace("B04", np.ones((40, 36), np.uint16)),
        r"_3_9\.nc\W+B04: holds uint16, not float fractions",
    ),
    "label of fractions": (
        replace("Label", codes().astype(np.float32)),
        r"_3_9\.nc\W+Label: must be one integer band of codes, not 1 of float32",
    ),
    "code below 0": (
        replace("Label", codes().astype(np.int16) - 1),
        r"_3_9\.nc\W+Label: holds the codes \[-1\]",
    ),
    "code": (rewrite(label=codes() + 1), r"_3_9\.nc\W+Label: holds the codes \[6\]"),
    "other tile": (rewrite(product=OTHER), rf"_3_9\.nc: is of {OTHER[:44]}.*, which is not what"),
    "other satellite": (rewrite(product=f"S2A{PRODUCT[3:]}"), r"_3_9\.nc: is of S2A_MSIL1C_"),
    "other level": (rewrite(product=PRODUCT.replace("1C", "2A")), r"_3_9\.nc: is of S2B_MSIL2A_"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_fault_names_its_file_and_stops_or_is_left_out(tmp_path, capsys, fault, packed):
    do, message = FAULTS[fault]
    source, data_dir = tmp_path / "source", tmp_path / "data"
    write_tile(source / "July", SUMMER)
    do(write_tile(source / "April", SPRING, product=PRODUCT))
    if packed:
        source = write_zip(source, tmp_path / "zip")
    there = left_out(NAME, source, data_dir, message, capsys, patch_size=64)
    assert there == {scene_of(SUMMER)}


def test_archives_that_are_cut_short_or_empty_are_named(tmp_path):
    write_tile(tmp_path / "source")
    archive = write_zip(tmp_path / "source", tmp_path / "zip") / "kappaset.zip"
    content = archive.read_bytes()
    for size, message in ((len(content) // 2, "damaged or cut short"), (0, "is empty")):
        archive.write_bytes(content[:size])
        with pytest.raises(ValueError, match=rf"kappaset\.zip: .*{message}"):
            build(archive, tmp_path / "data")
        assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "name",
    ["T34UFA_20200401T093029", "T34UF_20200401T093029_tile_3_9", "T34UFA_20200401T093025_tile_3_9"],
)
def test_names_out_of_convention_are_refused(tmp_path, name):
    write_tile(tmp_path / "source", name)
    with pytest.raises(ValueError, match=f"{name}.nc: the name is out of convention"):
        build(tmp_path / "source", tmp_path / "data")


def test_a_folder_without_tiles_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(FileNotFoundError, match="holds no tile of KappaSet"):
        build(tmp_path, tmp_path / "data")
    with pytest.raises(FileNotFoundError, match="there is no such folder or archive"):
        build(tmp_path / "none", tmp_path / "data")
