import tarfile
from pathlib import Path

import numpy as np
import pytest
from built import assert_same_records, build, image_of, metadata, read, read_all
from fake_cloud38 import (
    ADDED,
    BEFORE,
    PADDED,
    SHAPE,
    SIDE,
    TEST,
    TRAIN,
    cloud,
    digital_numbers,
    padded,
    write_mtl,
    write_test,
    write_training,
    write_zip,
)
from fake_scenes import write_geotiff
from hypothesis import given
from hypothesis import strategies as st

from data_prep.cloud38.mosaic import Place, grid_of
from data_prep.cloud38.scenes import HOLES, published_test
from data_prep.landsat_scenes import NO_MTL
from permjax import classes
from permjax.bands import Kind
from permjax.sensors import SENSORS

NAME = "cloud38"


def one_record(source: Path, data_dir: Path) -> dict:
    [record] = read_all(build(NAME, source, data_dir, patch_size=768))
    return record


def expected_label(seed: int = 0) -> np.ndarray:
    """Cloud of any thickness, or clear with or without shadow; unlabelled where there is none."""
    label = np.where(cloud(seed), classes.CLOUD, classes.CLEAR_OR_SHADOW)
    label[:50, :50] = classes.UNLABELLED  # Fill.
    return padded(label)


def assert_image(record: dict, sine: float) -> None:
    """Reflectance is (2e-5 x DN - 0.1) / sin(sun elevation), and where DN is 0 there is none."""
    dn = padded(digital_numbers()).astype(float)
    reflectance = np.where(dn == 0, np.nan, (dn * 2e-5 - 0.1) / sine)
    np.testing.assert_allclose(image_of(record), reflectance, atol=6e-5)


@pytest.mark.parametrize("write", [write_training, write_test])
def test_a_record_holds_the_values_of_the_formulas(tmp_path, capsys, write):
    """Truth comes by patches with the training scenes, and for the whole scene with others."""
    write(tmp_path / "source")
    record = one_record(tmp_path / "source", tmp_path / "data")
    assert_image(record, sine=1)
    np.testing.assert_array_equal(record["label"], expected_label())
    described = SENSORS["landsat8_oli_tirs"].describe(["B2", "B3", "B4", "B5"])
    np.testing.assert_array_equal(record["wavelength_nm"], described.wavelength_nm)
    np.testing.assert_array_equal(record["bandwidth_nm"], described.bandwidth_nm)
    assert record["kind"].tolist() == [Kind.REFLECTANCE] * 4
    scene = TRAIN if write is write_training else TEST
    assert (record["scene_id"], record["sensor"]) == (scene.encode(), b"landsat8_oli_tirs")
    assert record["gsd_m"] == 30
    assert np.isnan(record["sun_elevation_deg"])
    directory = tmp_path / "data" / NAME / "landsat8_oli_tirs" / "1.0.0"
    assert metadata(directory)["notes"] == {NO_MTL: [scene]}
    assert NO_MTL in capsys.readouterr().err


def test_with_an_mtl_reflectance_is_divided_by_the_sine_of_the_suns_elevation(tmp_path):
    write_training(tmp_path / "source")
    write_mtl(tmp_path / "source", TRAIN)
    write_mtl(tmp_path / "source", TEST)  # Of a scene that is not there: of no concern.
    directory = build(NAME, tmp_path / "source", tmp_path / "data", patch_size=768)
    [record] = read_all(directory)
    assert_image(record, sine=0.5)
    assert record["sun_elevation_deg"] == 30
    assert metadata(directory)["notes"] == {}


@pytest.mark.parametrize("patch_size", [200, 384, 500])
@pytest.mark.parametrize("write", [write_training, write_test])
def test_squares_of_any_size_hold_each_labelled_pixel_once(tmp_path, write, patch_size):
    write(tmp_path / "source")
    records = read_all(build(NAME, tmp_path / "source", tmp_path / "data", patch_size=patch_size))
    labels = np.concatenate([record["label"].ravel() for record in records])
    for label in (classes.CLOUD, classes.CLEAR_OR_SHADOW):
        assert (labels == label).sum() == (expected_label() == label).sum()
    # Each labelled value has its place in the scene, by its three other bands.
    dn = digital_numbers()[~np.isin(expected_label()[in_scene()], [0])]
    images = np.concatenate([image_of(record)[record["label"] > 0] for record in records])
    assert np.sort(images[:, 0]) == pytest.approx(np.sort(dn[:, 0] * 2e-5 - 0.1), abs=6e-5)


def in_scene() -> tuple[slice, slice]:
    rows, columns = (slice(b, b + n) for b, n in zip(BEFORE, SHAPE, strict=True))
    return rows, columns


def test_margins_without_data_make_no_records(tmp_path):
    write_test(tmp_path / "source")
    records = read_all(build(NAME, tmp_path / "source", tmp_path / "data", patch_size=96))
    whole = (PADDED[0] // 96) * (PADDED[1] // 96)
    # Rows 184 to 584 of 768 lie in 6 of 8 rows of squares.
    assert len(records) == 6 * 8 < whole


# --- Forms and split ------------------------------------------------------------------------


@pytest.fixture
def records(tmp_path) -> Path:
    """Of a scene of 38-Cloud, one that 95-Cloud adds and one of the test."""
    for seed, (write, scene) in enumerate(
        [(write_training, TRAIN), (write_training, ADDED), (write_test, TEST)]
    ):
        write(tmp_path / "source", scene, seed=seed)
    return build(NAME, tmp_path / "source", tmp_path / "data", patch_size=384)


def test_the_split_is_the_published_one(records):
    splits = {s: {one["scene_id"].decode() for one in read(records, s)} for s in ("train", "test")}
    assert splits == {"train": {TRAIN, ADDED}, "test": {TEST}}
    assert not read(records, "validation")
    assert len(published_test()) == 20
    assert TEST in published_test()
    assert not {TRAIN, ADDED} & published_test()


@pytest.mark.parametrize("form", ["zip", "tar.gz", "zips"])
def test_archives_hold_the_same_records(tmp_path, records, form):
    source = tmp_path / "archives"
    source.mkdir()
    if form == "zip":
        write_zip(source / "archive.zip", tmp_path / "source")
    elif form == "zips":
        for folder in (tmp_path / "source").iterdir():
            write_zip(source / f"{folder.name}.zip", folder)
    else:
        with tarfile.open(source / "38-Cloud.tar.gz", "w:gz") as archive:
            archive.add(tmp_path / "source", "38-Cloud")
    packed = build(NAME, source, tmp_path / "packed", patch_size=384)
    for split in ("train", "test"):
        scenes = [read(directory, split) for directory in (packed, records)]
        assert by_scene(scenes[0]) == by_scene(scenes[1])


def by_scene(records: list[dict]) -> list[tuple]:
    return sorted((r["scene_id"], r["image"].tobytes(), r["label"].tobytes()) for r in records)


def test_what_lies_there_packed_and_unpacked_is_read_once(tmp_path, records):
    write_zip(tmp_path / "source" / "38-Cloud.zip", tmp_path / "source")
    again = build(NAME, tmp_path / "source", tmp_path / "again", patch_size=384)
    assert_same_records(again, records)


def test_patches_that_are_missing_are_noted_and_hold_no_data(tmp_path):
    folder = write_training(tmp_path / "source")
    for path in folder.rglob(f"*_patch_2_1_by_2_{TRAIN}.TIF"):
        path.unlink()
    directory = build(NAME, tmp_path / "source", tmp_path / "data", patch_size=768)
    [record] = read_all(directory)
    assert np.isnan(image_of(record)[:SIDE, SIDE:]).all()
    label = expected_label()
    label[:SIDE, SIDE:] = classes.UNLABELLED
    np.testing.assert_array_equal(record["label"], label)
    assert metadata(directory)["notes"] == {NO_MTL: [TRAIN], HOLES: [TRAIN]}


def test_truth_of_a_whole_scene_stays_in_place_where_patches_are_missing(tmp_path):
    folder = write_test(tmp_path / "source")
    for path in folder.rglob("*_patch_[34]_2_by_*"):
        path.unlink()
    [record] = read_all(build(NAME, tmp_path / "source", tmp_path / "data", patch_size=768))
    np.testing.assert_array_equal(record["label"][:SIDE], expected_label()[:SIDE])
    assert not record["label"][SIDE:].any()


@given(st.integers(1, 25), st.integers(1, 25), st.randoms())
def test_the_grid_follows_from_any_patches(rows, columns, random):
    places = [Place(row + 1, column + 1) for row in range(rows) for column in range(columns)]
    kept = random.sample(places, random.randint(1, len(places)))
    numbers = {place: (place.row - 1) * columns + place.column for place in kept}
    lowest = max(place.row for place in kept)
    rightmost = max(place.column for place in kept)
    assert grid_of(numbers) == (lowest, columns if lowest > 1 else rightmost)


@pytest.mark.parametrize("wrong", [{Place(2, 1): 4, Place(2, 2): 4}, {Place(1, 2): 1}])
def test_numbers_that_contradict_places_are_refused(wrong):
    with pytest.raises(ValueError, match="does not fit"):
        grid_of(wrong)


# --- Faults ---------------------------------------------------------------------------------


def change(name: str, content: bytes | int | None):
    """Gives a file other content: bytes, its first bytes, or None of it at all."""

    def do(source: Path) -> None:
        [path] = source.rglob(f"{name}_{TEST}.TIF")
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content if isinstance(content, bytes) else path.read_bytes()[:content])

    return do


def put(name: str, numbers: np.ndarray):
    def do(source: Path) -> None:
        [path] = source.rglob(f"{name}_{TEST}.TIF")
        write_geotiff(path, numbers)

    return do


def rename(name: str, other: str):
    def do(source: Path) -> None:
        for path in source.rglob(f"*_{name}_{TEST}.TIF"):
            path.rename(path.with_name(path.name.replace(name, other)))

    return do


def no_patches(source: Path) -> None:
    for path in source.rglob(f"*_patch_*_{TEST}.TIF"):
        path.unlink()


def mtl(**wrong):
    def do(source: Path) -> None:
        path = write_mtl(source, TEST, wrong.get("sun_elevation_deg", 30))
        path.write_text(path.read_text().replace(wrong.get("old", "\0"), wrong.get("new", "")))

    return do


TRUTH, RED = "edited_corrected_gts", "red_patch_4_2_by_2"
BAND = np.ones((1, SIDE, SIDE), np.uint16)
FAULTS = {
    "cut band": (change(RED, 100_000), rf"{RED}_.*: band 1 cannot be read"),
    "no band's header": (change(RED, b"II*"), rf"{RED}_.*: is not a raster file"),
    "empty band": (change(RED, b""), rf"{RED}_.*: is empty \(0 bytes\)"),
    "missing band": (change(RED, None), rf"{RED}_{TEST}\.TIF of the same place is missing"),
    "band size": (put(RED, BAND[:, :8]), rf"{RED}_.*: has 1 band of 8 x 384 pixels"),
    "band type": (put(RED, BAND.astype("uint8")), rf"{RED}_.*: holds uint8, not uint16"),
    "missing truth": (change(TRUTH, None), "the truth of its scene is missing"),
    "empty truth": (change(TRUTH, b""), rf"{TRUTH}_.*: is empty \(0 bytes\)"),
    "cut truth": (change(TRUTH, 20_000), rf"{TRUTH}_.*: band 1 cannot be read"),
    "truth in colours": (put(TRUTH, np.ones((3, *SHAPE), "uint8")), "has 3 bands, not the one"),
    "truth size": (put(TRUTH, np.ones((1, 400, 300), "uint8")), r"400 x 300 pixels, but the patc"),
    "number": (rename("patch_3_2_by_1", "patch_4_2_by_1"), r"patch 4_2_by_1 does not fit"),
    "name": (rename("patch_3_2_by_1", "patch_2_by_1"), "the name is out of convention"),
    "no patches": (no_patches, f"the patches of its scene {TEST} are missing"),
    "other scene": (mtl(old=TEST, new=TRAIN), rf"_MTL\.txt: is of another scene, {TRAIN}"),
    "no factor": (mtl(old="REFLECTANCE_ADD_BAND_5", new="X"), r"MTL\.txt: has no REFLECTANCE_ADD"),
    "night": (mtl(sun_elevation_deg=-3), r"_MTL\.txt: SUN_ELEVATION = -3"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_names_its_file_and_stops_or_is_left_out(tmp_path, capsys, fault):
    do, message = FAULTS[fault]
    source, data_dir = tmp_path / "source", tmp_path / "data"
    write_training(source)
    write_test(source)
    do(source)
    assert_stops(source, data_dir, message)
    directory = build(NAME, source, data_dir, patch_size=384, keep_going=True)
    [left_out, *_] = metadata(directory)["left_out"]
    assert f"left out: {left_out}" in capsys.readouterr().err
    assert TRAIN.encode() in {one["scene_id"] for one in read_all(directory)}


@pytest.mark.parametrize("fault", ["cut band", "missing band", "empty truth", "truth size"])
def test_a_fault_in_an_archive_names_the_archive(tmp_path, fault):
    do, message = FAULTS[fault]
    do(write_test(tmp_path / "original"))
    archive = write_zip(tmp_path / "38-Cloud.zip", tmp_path / "original")
    assert str(archive) in assert_stops(archive, tmp_path / "data", message)


def assert_stops(source: Path, data_dir: Path, message: str) -> str:
    with pytest.raises((ValueError, OSError), match=message) as stop:
        build(NAME, source, data_dir, patch_size=384)
    assert str(source) in str(stop.value) or "does not fit" in str(stop.value)
    assert not list(data_dir.rglob("dataset_info.json"))
    assert not list(data_dir.rglob("*.part"))
    return str(stop.value)


def test_archives_that_are_cut_short_or_empty_are_named(tmp_path):
    write_test(tmp_path / "original")
    archive = write_zip(tmp_path / "38-Cloud.zip", tmp_path / "original")
    content = archive.read_bytes()
    for size, message in ((len(content) // 2, "damaged or cut short"), (0, "is empty")):
        archive.write_bytes(content[:size])
        with pytest.raises(ValueError, match=rf"38-Cloud\.zip: .*{message}"):
            build(NAME, archive, tmp_path / "data")


def test_a_folder_without_patches_is_refused(tmp_path):
    write_mtl(tmp_path, TRAIN)
    with pytest.raises(FileNotFoundError, match="holds no patch of 38-Cloud"):
        build(NAME, tmp_path, tmp_path / "data")
