import tarfile
from pathlib import Path

import numpy as np
import pytest
from built import assert_same_records, build, image_of, metadata, read, read_all
from fake_biome import write_mtl
from fake_landsat8_sparcs import (
    PALETTE,
    STEMS,
    codes,
    digital_numbers,
    write_part,
    write_png,
    write_zip,
)
from fake_scenes import write_geotiff
from refused import left_out

from data_prep.landsat8_sparcs.scenes import FROM_LABELS, FROM_MASK, find
from data_prep.packing import scene_splits
from permjax import classes
from permjax.bands import Kind
from permjax.sensors import SENSORS

NAME = "landsat8_sparcs"
STEM = STEMS[0]

BITS = {
    0: classes.CLOUD_SHADOW,
    1: classes.CLOUD_SHADOW,
    2: classes.CLEAR,
    3: classes.CLEAR,
    4: classes.CLEAR,
    5: classes.THICK_CLOUD | classes.THIN_CLOUD,
    6: classes.CLEAR,
}


@pytest.mark.parametrize(
    ("mask", "labels", "note"),
    [(True, False, FROM_MASK), (False, True, FROM_LABELS), (True, True, FROM_LABELS)],
)
def test_a_record_holds_the_values_of_the_formulas(tmp_path, mask, labels, note):
    write_part(tmp_path / "source", mask=mask, labels=labels)
    directory = build(NAME, tmp_path / "source", tmp_path / "data", patch_size=40)
    [record] = read_all(directory)
    image, dn = image_of(record)[:, :35], digital_numbers().astype(float)
    # sin(30 degrees) = 1/2. Bands 1 to 7 and 9.
    np.testing.assert_allclose(
        image[..., :8], (dn[:8].transpose(1, 2, 0) * 2e-5 - 0.1) / 0.5, atol=6e-5
    )
    for i, k1, k2 in ((8, 774.89, 1321.08), (9, 480.89, 1201.14)):
        kelvin = k2 / np.log(k1 / (dn[i] * 3.342e-4 + 0.1) + 1)
        np.testing.assert_allclose(image[..., i], kelvin, atol=6e-3)
    np.testing.assert_array_equal(record["label"][:, :35], np.vectorize(BITS.__getitem__)(codes()))
    assert np.isnan(image_of(record)[:, 35:]).all()
    assert not record["label"][:, 35:].any()
    names = ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B9", "B10", "B11"]
    expected = SENSORS["landsat8_oli_tirs"].describe(names)
    np.testing.assert_array_equal(record["wavelength_nm"], expected.wavelength_nm)
    np.testing.assert_array_equal(record["bandwidth_nm"], expected.bandwidth_nm)
    assert record["kind"].tolist() == [Kind.REFLECTANCE] * 8 + [Kind.BRIGHTNESS_TEMPERATURE] * 2
    assert (record["scene_id"], record["sensor"]) == (STEM.encode(), b"landsat8_oli_tirs")
    assert (record["gsd_m"], record["sun_elevation_deg"]) == (30, 30)
    assert metadata(directory)["notes"] == {note: [STEM]}


def test_a_number_of_0_is_no_data(tmp_path):
    folder = write_part(tmp_path / "source")
    dn = digital_numbers()
    dn[:, :2] = 0
    dn[3, 2] = 0
    write_geotiff(folder / f"{STEM}_data.tif", dn)
    [record] = read_all(build(NAME, folder, tmp_path / "data", patch_size=40))
    np.testing.assert_array_equal(np.isnan(image_of(record)[:, :35]), (dn == 0).transpose(1, 2, 0))
    assert not record["label"][:2].any()
    assert record["label"][2].any()


@pytest.fixture
def source(tmp_path) -> Path:
    """Four sub-scenes in a folder."""
    for seed, stem in enumerate(STEMS):
        write_part(tmp_path / "source", stem, seed=seed)
    return tmp_path / "source"


def test_the_archive_as_it_was_fetched_holds_the_same_records(tmp_path, source):
    folder = build(NAME, source, tmp_path / "data", patch_size=20)
    packed = write_zip(tmp_path / "zip" / "l8cloudmasks.zip", source / "sending")
    assert_same_records(build(NAME, packed, tmp_path / "packed", patch_size=20), folder)
    with tarfile.open(tmp_path / "sending.tar.gz", "w:gz") as archive:
        archive.add(source / "sending", "sending")
    tar = build(NAME, tmp_path / "sending.tar.gz", tmp_path / "tar", patch_size=20)
    assert_same_records(tar, folder)


def test_a_sub_scene_that_lies_there_packed_and_unpacked_is_read_once(tmp_path):
    folder = write_part(tmp_path / "source")
    write_zip(tmp_path / "source" / "l8cloudmasks.zip", folder)
    assert len(find(tmp_path / "source").scenes) == 1
    assert not find(tmp_path / "source").scenes[0].packed


def test_the_metadata_file_may_have_the_name_of_the_whole_scene(tmp_path, source):
    apart = build(NAME, source, tmp_path / "data", patch_size=20)
    for stem in STEMS:
        path = source / "sending" / f"{stem}_mtl.txt"
        path.rename(path.with_name(f"{stem.partition('_')[0]}_mtl.txt"))
    assert_same_records(build(NAME, source, tmp_path / "whole", patch_size=20), apart)


def test_parts_of_one_acquisition_go_to_one_split(tmp_path, source):
    for i in range(40, 52):
        write_part(source, f"{STEM.partition('_')[0]}_{i}")
    scenes = find(source).scenes
    splits = scene_splits(scenes)
    assert len(scenes) == len(splits) == 16
    acquisitions = {(name.partition("_")[0], split) for name, split in splits.items()}
    assert len(acquisitions) == 4
    assert {split for _, split in acquisitions} == {"train", "validation", "test"}


def test_every_split_has_records(tmp_path, source):
    directory = build(NAME, source, tmp_path / "data", patch_size=40)
    there = [
        {one["scene_id"].decode() for one in read(directory, split)}
        for split in ("train", "validation", "test")
    ]
    assert sorted(map(len, there)) == [1, 1, 2]
    assert set.union(*there) == set(STEMS)


# --- Faults ---------------------------------------------------------------------------------


def cut(ending: str, size: int):
    def do(folder: Path) -> None:
        path = folder / f"{STEM}_{ending}"
        path.write_bytes(path.read_bytes()[:size])

    return do


def remove(ending: str):
    return lambda folder: (folder / f"{STEM}_{ending}").unlink()


def write_mask(image: np.ndarray, palette=PALETTE):
    return lambda folder: write_png(folder / f"{STEM}_mask.png", image, palette)


def write_data(image: np.ndarray):
    return lambda folder: write_geotiff(folder / f"{STEM}_data.tif", image)


def edit_mtl(old: str, new: str):
    def do(folder: Path) -> None:
        path = folder / f"{STEM}_mtl.txt"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return do


def night(folder: Path) -> None:
    write_mtl(folder / f"{STEM}_mtl.txt", STEM.partition("_")[0], sun_elevation_deg=-3.0)


RGB = np.array(PALETTE, np.uint8)[codes()].transpose(2, 0, 1)
SWAPPED = (*PALETTE[:4], PALETTE[5], PALETTE[4], PALETTE[6])
FAULTS = {
    "cut data": (cut("data.tif", 9_000), r"_data\.tif: band \d+ cannot be read"),
    "cut head of data": (cut("data.tif", 100), r"_data\.tif: is not a raster file"),
    "empty data": (cut("data.tif", 0), r"_data\.tif: is empty \(0 bytes\)"),
    "missing data": (remove("data.tif"), rf"{STEM}_data\.tif is missing"),
    "missing band": (write_data(digital_numbers()[:9]), r"_data\.tif: has 9 bands of uint16"),
    "other type": (write_data(digital_numbers() / np.float32(9)), r"_data\.tif: has 10 .* float32"),
    "missing mask": (remove("mask.png"), rf"{STEM}_mask\.png or {STEM}_labels\.tif is missing"),
    "empty mask": (cut("mask.png", 0), r"_mask\.png: is empty \(0 bytes\)"),
    "cut mask": (cut("mask.png", 60), r"_mask\.png: "),
    "mask size": (write_mask(codes()[None, :20]), r"_mask\.png: has 20 x 35 pixels, but .*data"),
    "code": (
        write_mask(codes()[None] + np.uint8(1), (*PALETTE, (9, 9, 9))),
        r"_mask\.png: holds the codes \[7\]",
    ),
    "colours": (write_mask(RGB, ()), r"_mask\.png: must be one uint8 band of codes, not 3"),
    "palette": (write_mask(codes()[None], SWAPPED), r"_mask\.png: colour 4 of its palette is"),
    "missing mtl": (remove("mtl.txt"), rf"{STEM}_mtl\.txt is missing"),
    "empty mtl": (cut("mtl.txt", 0), r"_mtl\.txt: is empty \(0 bytes\)"),
    "other scene": (edit_mtl(STEM[:21], STEMS[1][:21]), r"_mtl\.txt: is of another scene, LC8002"),
    "other satellite": (edit_mtl("LANDSAT_8", "LANDSAT_7"), r"_mtl\.txt: is of LANDSAT_7"),
    "no factor": (edit_mtl("REFLECTANCE_ADD_BAND_9", "X"), r"mtl\.txt: has no REFLECTANCE_ADD_B"),
    "no number": (edit_mtl("= 774.89", "= a"), r"mtl\.txt: K1_CONSTANT_BAND_10 = a is not a"),
    "night": (night, r"_mtl\.txt: SUN_ELEVATION = -3"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_fault_names_its_file_and_stops_or_is_left_out(tmp_path, capsys, fault, packed):
    do, message = FAULTS[fault]
    source, data_dir = tmp_path / "source", tmp_path / "data"
    folder = write_part(source, STEMS[1])
    do(write_part(source))
    if packed:
        source = write_zip(tmp_path / "zip" / "l8cloudmasks.zip", folder)
    assert left_out(NAME, source, data_dir, message, capsys, patch_size=40) == {STEMS[1]}


@pytest.mark.parametrize("size", [0, 20_000])
def test_an_archive_that_is_cut_short_or_empty_is_named(tmp_path, source, size):
    packed = write_zip(tmp_path / "zip" / "l8cloudmasks.zip", source / "sending")
    packed.write_bytes(packed.read_bytes()[:size])
    message = "is empty" if size == 0 else "damaged or cut short"
    with pytest.raises(ValueError, match=rf"l8cloudmasks\.zip: .*{message}"):
        build(NAME, packed, tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "name", ["LC80010812013365LGN00_data.tif", "LC8001081_18_mask.png", "scene_18_labels.tif"]
)
def test_names_out_of_convention_are_refused(tmp_path, source, name):
    (source / "sending" / name).write_bytes(b"x")
    with pytest.raises(ValueError, match=f"{name}: the name is out of convention"):
        build(NAME, source, tmp_path / "data")


def test_a_folder_without_sub_scenes_is_refused(tmp_path):
    (tmp_path / "LC80010812013365LGN00_18_photo.png").write_bytes(b"x")
    with pytest.raises(FileNotFoundError, match="holds no sub-scene of Landsat 8 SPARCS"):
        build(NAME, tmp_path, tmp_path / "data")
