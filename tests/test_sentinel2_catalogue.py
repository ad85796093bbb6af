import re
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from built import SPLITS, assert_same_records, image_of, metadata, read, read_all
from fake_sentinel2_catalogue import (
    TEST,
    TRAIN,
    VALIDATION,
    planes,
    reflectance,
    write_scene,
    write_tags,
    write_zips,
)
from refused import left_out

from data_prep.packing import pack
from data_prep.sentinel2_catalogue.scenes import (
    NO_SHADOW,
    NO_TAGS,
    UNEXPECTED_SHADOW,
    _published_splits,
    find,
    published_split,
)
from data_prep.sources import data_set
from permjax import classes
from permjax.bands import Kind
from permjax.sensors import SENSORS

NAME = "sentinel2_catalogue"


def build(source: Path, data_dir: Path, **options) -> dict[str, Path]:
    """The directories of records, by sensor."""
    directories = pack(data_set(NAME), source, data_dir, patch_size=64, **options)
    return {directory.parent.name: directory for directory in directories}


def one_record(source: Path, data_dir: Path) -> dict:
    [directory] = build(source, data_dir).values()
    [record] = read_all(directory)
    return record


def notes(data_dir: Path, sensor: str = "sentinel2a_msi") -> dict:
    return metadata(data_dir / NAME / sensor / "1.0.0")["notes"]


@pytest.mark.parametrize("product", [TRAIN, VALIDATION])
def test_a_record_holds_the_reflectance_of_the_file(tmp_path, product):
    write_scene(tmp_path / "source", product)
    write_tags(tmp_path / "source", {product: 1})
    record = one_record(tmp_path / "source", tmp_path / "data")
    image = image_of(record)
    valid = np.zeros((64, 64), bool)
    valid[:40, :36] = True
    valid[:3, :3] = False  # All zeros.
    np.testing.assert_array_equal(np.isnan(image), ~valid[..., None].repeat(13, axis=2))
    np.testing.assert_allclose(image[3:40, :36], reflectance()[3:], atol=6e-5)
    sensor = "sentinel2a_msi" if product == TRAIN else "sentinel2b_msi"
    names = ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12"]
    expected = SENSORS[sensor].describe(names)
    np.testing.assert_array_equal(record["wavelength_nm"], expected.wavelength_nm)
    np.testing.assert_array_equal(record["bandwidth_nm"], expected.bandwidth_nm)
    assert record["kind"].tolist() == [Kind.REFLECTANCE] * 13
    assert (record["scene_id"], record["sensor"]) == (product.encode(), sensor.encode())
    assert record["gsd_m"] == 20
    assert np.isnan(record["sun_elevation_deg"])


SURE, EITHER = classes.CLEAR, classes.CLEAR_OR_SHADOW
CASES = {
    "marked and there": (1, True, SURE, []),
    "marked, none there": (1, False, SURE, []),
    "not marked": (0, False, EITHER, [NO_SHADOW]),
    "not marked, yet there": (0, True, EITHER, [NO_SHADOW, UNEXPECTED_SHADOW]),
    "no row, shadow there": (None, True, SURE, [NO_TAGS]),
    "no row, no shadow": (None, False, EITHER, [NO_TAGS]),
}


@pytest.mark.parametrize("case", CASES)
def test_planes_become_classes_and_clear_may_be_shadow_where_none_is_marked(tmp_path, case):
    marked, shadow, clear, expected_notes = CASES[case]
    write_scene(tmp_path / "source", mask=planes(shadow=shadow))
    if marked is not None:
        write_tags(tmp_path / "source", {TRAIN: marked})
    record = one_record(tmp_path / "source", tmp_path / "data")
    third = classes.CLOUD_SHADOW if shadow else clear
    stripes = np.array([clear, classes.CLOUD, third, classes.UNLABELLED])
    expected = np.broadcast_to(stripes[np.arange(36) * 4 // 36], (40, 36)).copy()
    expected[:3, :3] = 0
    np.testing.assert_array_equal(record["label"][:40, :36], expected)
    assert not record["label"][40:].any()
    assert notes(tmp_path / "data") == {note: [TRAIN] for note in expected_notes}


def test_zips_of_zenodo_hold_the_same_records_and_alternative_masks_are_not_read(tmp_path):
    for seed, product in enumerate((TRAIN, VALIDATION, TEST)):
        write_scene(tmp_path / "source", product, seed=seed)
    write_tags(tmp_path / "source", {TRAIN: 1, VALIDATION: 0, TEST: 1})
    zips = write_zips(tmp_path / "source", tmp_path / "zips")
    packed = build(zips, tmp_path / "packed")
    loose = build(tmp_path / "source", tmp_path / "loose")
    assert packed.keys() == loose.keys() == {"sentinel2a_msi", "sentinel2b_msi"}
    for sensor in packed:
        assert_same_records(packed[sensor], loose[sensor])
    # Images unpacked, masks packed; and a scene that is there in both forms.
    (tmp_path / "source" / "masks.zip").write_bytes((zips / "masks.zip").read_bytes())
    for path in (tmp_path / "source" / "masks").iterdir():
        if TEST not in path.name:
            path.unlink()
    found = find(tmp_path / "source")
    assert sorted(scene.name for scene in found.scenes) == sorted([TRAIN, VALIDATION, TEST])
    assert {scene.name for scene in found.scenes if scene.packed} == {TRAIN, VALIDATION}
    mixed = build(tmp_path / "source", tmp_path / "mixed")
    for sensor in mixed:
        assert_same_records(mixed[sensor], loose[sensor])


# --- The split ------------------------------------------------------------------------------


def test_the_published_split_has_205_scenes_to_train_and_51_to_validate():
    assert Counter(_published_splits().values()) == {"train": 205, "validation": 51}
    for scene in _published_splits():
        assert re.fullmatch(r"2018\d{4}T\d{5}[19]_T\d{2}[C-X][A-Z]{2}", scene)


def test_scenes_go_to_their_published_split(tmp_path):
    expected = {TRAIN: "train", VALIDATION: "validation", TEST: "test"}
    assert {product: published_split(product) for product in expected} == expected
    for product in expected:
        write_scene(tmp_path / "source", product)
    for directory in build(tmp_path / "source", tmp_path / "data").values():
        for split in SPLITS:
            for record in read(directory, split):
                assert expected[record["scene_id"].decode()] == split


# --- Faults ---------------------------------------------------------------------------------


def cut(kind: str, size: int):
    def do(source: Path) -> None:
        path = source / kind / f"{TEST}.npy"
        path.write_bytes(path.read_bytes()[:size])

    return do


def remove(kind: str):
    return lambda source: (source / kind / f"{TEST}.npy").unlink()


def save(kind: str, array: np.ndarray):
    return lambda source: np.save(source / kind / f"{TEST}.npy", array)


def two_classes() -> np.ndarray:
    mask = planes()
    mask[30, 2] = True
    return mask


FAULTS = {
    "cut image": (cut("subscenes", 3000), r"subscenes/S2A\w+\.npy: is not a whole NumPy file"),
    "cut header": (cut("subscenes", 50), r"subscenes/S2A\w+\.npy: is not a whole NumPy file"),
    "cut mask": (cut("masks", 3000), r"masks/S2A\w+\.npy: is not a whole NumPy file"),
    "empty image": (cut("subscenes", 0), r"subscenes/S2A\w+\.npy: is empty \(0 bytes\)"),
    "empty mask": (cut("masks", 0), r"masks/S2A\w+\.npy: is empty \(0 bytes\)"),
    "no image": (remove("subscenes"), r"its image subscenes/S2A\w+\.npy is missing"),
    "no mask": (remove("masks"), r"its mask masks/S2A\w+\.npy is missing"),
    "missing band": (
        save("subscenes", reflectance()[..., :12]),
        r"subscenes/S2A\w+\.npy: holds float32 \[40, 36, 12\], not float32 \[height, width, 13\]",
    ),
    "numbers not scaled": (
        save("subscenes", np.ones((40, 36, 13), np.uint16)),
        r"subscenes/S2A\w+\.npy: holds uint16",
    ),
    "codes, not planes": (
        save("masks", np.ones((40, 36), np.uint8)),
        r"masks/S2A\w+\.npy: holds uint8 \[40, 36\], not bool \[height, width, 3\]",
    ),
    "mask size": (
        save("masks", planes()[:20]),
        r"masks/S2A\w+\.npy: has 20 x 36 pixels, but .*subscenes/S2A\w+\.npy has 40 x 36",
    ),
    "two classes": (save("masks", two_classes()), r"masks/S2A\w+\.npy: has pixels of more than"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_fault_names_its_file_and_stops_or_is_left_out(tmp_path, capsys, fault, packed):
    do, message = FAULTS[fault]
    source, data_dir = tmp_path / "source", tmp_path / "data"
    for product in (TRAIN, TEST):
        write_scene(source, product)
    do(source)
    if packed:
        source = write_zips(source, tmp_path / "zips")
    assert left_out(NAME, source, data_dir, message, capsys, patch_size=64) == {TRAIN}


TABLES = {
    "": r"is empty \(0 bytes\)",
    "scene,dataset\nX,MAIN\n": "has no columns scene and shadows_marked",
    "scene,shadows_marked\nX\n": "shadows_marked of X is None, neither 0 nor 1",
    "scene,shadows_marked\nX,maybe\n": "shadows_marked of X is 'maybe', neither 0 nor 1",
    "scene,shadows_marked\nX,0\nX,1\n": "shadows_marked of X is both 0 and 1",
    "scene,shadows_marked\n\xff,0\n": "can't decode byte",
}


@pytest.mark.parametrize("table", TABLES)
def test_a_damaged_table_is_named_and_without_it_shadow_is_as_the_mask_says(tmp_path, table):
    source = tmp_path / "source"
    write_scene(source)
    (source / "classification_tags.csv").write_bytes(table.encode("latin-1"))
    with pytest.raises(ValueError, match=rf"classification_tags\.csv: .*{TABLES[table]}"):
        build(source, tmp_path / "data")
    build(source, tmp_path / "data", keep_going=True)
    assert notes(tmp_path / "data") == {NO_TAGS: [TRAIN]}


@pytest.mark.parametrize("kind", ["subscenes", "masks"])
@pytest.mark.parametrize("size", [0, 2000])
def test_archives_that_are_cut_short_or_empty_are_named(tmp_path, kind, size):
    write_scene(tmp_path / "source")
    zips = write_zips(tmp_path / "source", tmp_path / "zips")
    archive = zips / f"{kind}.zip"
    archive.write_bytes(archive.read_bytes()[:size] if size < archive.stat().st_size else b"PK")
    with pytest.raises(ValueError, match=rf"{kind}\.zip: .*(damaged or cut short|is empty)"):
        build(zips, tmp_path / "data")


def test_a_damaged_member_of_an_archive_is_named(tmp_path):
    for product in (TRAIN, TEST):
        write_scene(tmp_path / "source", product)
    zips = write_zips(tmp_path / "source", tmp_path / "zips")
    with zipfile.ZipFile(zips / "subscenes.zip") as archive:
        start = archive.getinfo(f"subscenes/{TEST}.npy").header_offset
    with (zips / "subscenes.zip").open("r+b") as file:
        file.seek(start + 5000)
        file.write(b"\xff" * 64)
    with pytest.raises(ValueError, match=r"subscenes\.zip: the archive is damaged"):
        build(zips, tmp_path / "data")
    [directory] = build(zips, tmp_path / "data", keep_going=True).values()
    assert {one["scene_id"] for one in read_all(directory)} == {TRAIN.encode()}


@pytest.mark.parametrize("name", ["S2A_MSIL2A_20180101T010721", f"{TEST}_copy"])
def test_names_out_of_convention_are_refused(tmp_path, name):
    write_scene(tmp_path / "source", name)
    with pytest.raises(ValueError, match=f"{name}.npy: the name is out of convention"):
        build(tmp_path / "source", tmp_path / "data")


def test_a_folder_without_sub_scenes_is_refused(tmp_path):
    np.save(tmp_path / "other.npy", np.zeros(3))
    with pytest.raises(FileNotFoundError, match="holds no sub-scene of the Sentinel-2 Cloud Mask"):
        build(tmp_path, tmp_path / "data")
    with pytest.raises(FileNotFoundError, match="there is no such folder or archive"):
        build(tmp_path / "none", tmp_path / "data")
