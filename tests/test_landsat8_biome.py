import tarfile
from pathlib import Path

import numpy as np
import pytest
from built import assert_same_records, build, image_of, metadata, read, read_all
from fake_biome import (
    CLEAR,
    TEST,
    TRAIN,
    codes,
    digital_numbers,
    write_archive,
    write_envi,
    write_mtl,
    write_original,
    write_repacked,
)
from fake_scenes import write_geotiff
from refused import left_out

from data_prep.landsat8_biome.scenes import published_splits
from data_prep.landsat_scenes import NO_MTL, NO_SHADOW
from permjax import classes
from permjax.bands import Kind
from permjax.sensors import SENSORS

NAME = "landsat8_biome"


def one_record(source: Path, data_dir: Path) -> dict:
    [record] = read_all(build(NAME, source, data_dir, patch_size=64))
    return record


def test_a_record_holds_the_values_of_the_formulas(tmp_path):
    write_original(tmp_path / "source")
    record = one_record(tmp_path / "source", tmp_path / "data")
    image = image_of(record)
    dn = digital_numbers().astype(float)
    valid = np.zeros((64, 64), bool)
    valid[:40, :36] = True
    valid[:3, :3] = False  # Fill.
    np.testing.assert_array_equal(np.isnan(image), ~valid[..., None].repeat(10, axis=2))
    # sin(30 degrees) = 1/2. Bands 1 to 7 and 9.
    for i, band in enumerate((1, 2, 3, 4, 5, 6, 7, 9)):
        reflectance = (dn[..., band - 1] * 2e-5 - 0.1) / 0.5
        np.testing.assert_allclose(image[:40, :36, i][3:], reflectance[3:], atol=6e-5)
    for i, band, k1, k2 in ((8, 10, 774.89, 1321.08), (9, 11, 480.89, 1201.14)):
        kelvin = k2 / np.log(k1 / (dn[..., band - 1] * 3.342e-4 + 0.1) + 1)
        np.testing.assert_allclose(image[:40, :36, i][3:], kelvin[3:], atol=6e-3)
    names = ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B9", "B10", "B11"]
    expected = SENSORS["landsat8_oli_tirs"].describe(names)
    np.testing.assert_array_equal(record["wavelength_nm"], expected.wavelength_nm)
    np.testing.assert_array_equal(record["bandwidth_nm"], expected.bandwidth_nm)
    assert record["kind"].tolist() == [Kind.REFLECTANCE] * 8 + [Kind.BRIGHTNESS_TEMPERATURE] * 2
    assert (record["scene_id"], record["sensor"]) == (TRAIN.encode(), b"landsat8_oli_tirs")
    assert (record["gsd_m"], record["sun_elevation_deg"]) == (30, 30)


BITS = {
    0: classes.UNLABELLED,
    64: classes.CLOUD_SHADOW,
    128: classes.CLEAR,
    192: classes.THIN_CLOUD,
    255: classes.THICK_CLOUD,
}


@pytest.mark.parametrize("shadow", [True, False])
def test_codes_become_classes_and_clear_may_be_shadow_where_none_is_labelled(tmp_path, shadow):
    mask = codes(shadow=shadow)
    write_original(tmp_path / "source", mask=mask)
    record = one_record(tmp_path / "source", tmp_path / "data")
    bits = BITS if shadow else {**BITS, 128: classes.CLEAR_OR_SHADOW}
    expected = np.vectorize(bits.__getitem__)(mask)
    expected[:3, :3] = 0
    np.testing.assert_array_equal(record["label"][:40, :36], expected)
    assert not record["label"][40:].any()
    notes = metadata(tmp_path / "data" / NAME / "landsat8_oli_tirs" / "1.0.0")["notes"]
    assert notes == ({} if shadow else {NO_SHADOW: [TRAIN]})


@pytest.fixture
def original(tmp_path) -> Path:
    """The records of two scenes in unpacked folders of USGS."""
    for seed, scene in enumerate((TRAIN, TEST)):
        write_original(tmp_path / "original", scene, seed=seed)
    return build(NAME, tmp_path / "original", tmp_path / "data", patch_size=32)


def test_archives_of_usgs_hold_the_same_records(tmp_path, original):
    for scene in (TRAIN, TEST):
        folder = tmp_path / "original" / "BC" / scene
        write_archive(tmp_path / "archives" / f"{scene}.tar.gz", folder)
    packed = build(NAME, tmp_path / "archives", tmp_path / "packed", patch_size=32)
    assert_same_records(packed, original)


@pytest.mark.parametrize("packed", [False, True])
def test_the_repacked_form_with_an_mtl_holds_the_same_records(tmp_path, original, packed):
    source = tmp_path / "l8"
    folders = [
        write_repacked(source, scene, seed=seed, mtl=True)
        for seed, scene in enumerate((TRAIN, TEST))
    ]
    if packed:
        source = write_archive(tmp_path / "archives" / "barren.tar.gz", *folders).parent
    repacked = build(NAME, source, tmp_path / "repacked", patch_size=32)
    assert_same_records(repacked, original)


def test_without_an_mtl_the_sun_is_unknown_and_the_metadata_says_so(tmp_path, capsys):
    write_repacked(tmp_path / "source")
    directory = build(NAME, tmp_path / "source", tmp_path / "data", patch_size=64)
    [record] = read_all(directory)
    assert np.isnan(record["sun_elevation_deg"])
    image, dn = image_of(record), digital_numbers().astype(float)
    np.testing.assert_allclose(image[3:40, :36, 3], dn[3:, :, 3] * 2e-5 - 0.1, atol=6e-5)
    for i, k1, k2 in ((8, 774.89, 1321.08), (9, 480.89, 1201.14)):
        kelvin = k2 / np.log(k1 / (dn[3:, :, i + 1] * 3.342e-4 + 0.1) + 1)
        np.testing.assert_allclose(image[3:40, :36, i], kelvin, atol=6e-3)
    assert metadata(directory)["notes"] == {NO_MTL: [TRAIN]}
    assert NO_MTL in capsys.readouterr().err


def test_a_scene_that_lies_there_packed_and_unpacked_is_read_once(tmp_path):
    folder = write_original(tmp_path / "source")
    write_archive(tmp_path / "source" / f"{TRAIN}.tar.gz", folder)
    one_record(tmp_path / "source", tmp_path / "data")


def test_loose_files_without_a_label_do_not_hide_the_archive(tmp_path):
    folder = write_original(tmp_path / "source")
    write_archive(tmp_path / "source" / f"{TRAIN}.tar.gz", folder)
    for path in folder.glob("*_fixedmask.*"):
        path.unlink()
    one_record(tmp_path / "source", tmp_path / "data")


# --- The split ------------------------------------------------------------------------------


def test_the_published_halves_have_six_scenes_of_each_biome():
    lines = Path("data_prep/landsat8_biome/scenes.csv").read_text().splitlines()[1:]
    rows = [line.split(",") for line in lines]
    assert len({scene for scene, _, _ in rows}) == 96
    for split in ("train", "test"):
        biomes = [biome for _, biome, half in rows if half == split]
        assert sorted(biomes) == sorted([*dict.fromkeys(biomes)] * 6)
        assert len(biomes) == 48


def test_scenes_go_to_their_published_half_and_others_are_dealt(tmp_path):
    unknown = "LC80010022015003LGN00"
    assert unknown not in published_splits()
    for scene in (TRAIN, TEST, CLEAR, unknown):
        write_original(tmp_path / "source", scene)
    directory = build(NAME, tmp_path / "source", tmp_path / "data", patch_size=64)
    splits = {
        s: [one["scene_id"].decode() for one in read(directory, s)] for s in ("train", "test")
    }
    assert splits == {"train": [TRAIN, CLEAR], "test": [unknown, TEST]}


# --- Faults ---------------------------------------------------------------------------------


def cut_band(folder: Path, scene: str) -> None:
    path = folder / f"{scene}_B4.TIF"
    path.write_bytes(path.read_bytes()[:1500])


def empty_band(folder: Path, scene: str) -> None:
    (folder / f"{scene}_B4.TIF").write_bytes(b"")


def remove(*endings: str):
    def do(folder: Path, scene: str) -> None:
        for ending in endings:
            (folder / f"{scene}_{ending}").unlink()

    return do


def small_mask(folder: Path, scene: str) -> None:
    write_envi(folder, scene, codes()[:20])


def cut_mask(folder: Path, scene: str) -> None:
    path = folder / f"{scene}_fixedmask.img"
    path.write_bytes(path.read_bytes()[:700])


def unknown_code(folder: Path, scene: str) -> None:
    write_envi(folder, scene, np.full_like(codes(), 7))


def other_size(folder: Path, scene: str) -> None:
    write_geotiff(folder / f"{scene}_B5.TIF", np.ones((1, 8, 8), np.uint16))


def other_type(folder: Path, scene: str) -> None:
    write_geotiff(folder / f"{scene}_B5.TIF", np.ones((1, *codes().shape), np.uint8))


def edit_mtl(old: str, new: str):
    def do(folder: Path, scene: str) -> None:
        path = folder / f"{scene}_MTL.txt"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return do


def night(folder: Path, scene: str) -> None:
    write_mtl(folder / f"{scene}_MTL.txt", scene, sun_elevation_deg=-3.0)


FAULTS = {
    "cut band": (cut_band, r"_B4\.TIF: band 1 cannot be read"),
    "empty band": (empty_band, r"_B4\.TIF: is empty \(0 bytes\)"),
    "missing band": (remove("B4.TIF"), r"_B4\.TIF is missing"),
    "missing bands": (remove("B4.TIF", "B10.TIF"), r"_B4\.TIF is missing, and so are B10"),
    "missing mask": (remove("fixedmask.img", "fixedmask.hdr"), r"mask \w+_fixedmask.* is missing"),
    "missing header": (remove("fixedmask.hdr"), r"_fixedmask\.hdr is missing"),
    "mask size": (small_mask, r"_fixedmask\.img: has 20 x 36 pixels, but .*B1\.TIF has 40 x 36"),
    "cut mask": (cut_mask, r"_fixedmask\.img: is cut short"),
    "code": (unknown_code, r"_fixedmask\.img: holds the codes \[7\]"),
    "band size": (other_size, r"_B5\.TIF: has 8 x 8 pixels"),
    "band type": (other_type, r"_B5\.TIF: holds uint8, not uint16"),
    "other scene": (edit_mtl(TEST, TRAIN), r"_MTL\.txt: is of another scene, " + TRAIN),
    "other day": (edit_mtl(TEST, f"{TEST[:15]}7LGN00"), r"_MTL\.txt: is of another scene, "),
    "other satellite": (edit_mtl("LANDSAT_8", "LANDSAT_7"), r"_MTL\.txt: is of LANDSAT_7"),
    "no factor": (edit_mtl("REFLECTANCE_MULT_BAND_3", "X"), r"MTL\.txt: has no REFLECTANCE_MULT_B"),
    "no number": (edit_mtl("= 774.89", "= a"), r"MTL\.txt: K1_CONSTANT_BAND_10 = a is not a"),
    "night": (night, r"_MTL\.txt: SUN_ELEVATION = -3"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_fault_names_its_file_and_stops_or_is_left_out(tmp_path, capsys, fault, packed):
    do, message = FAULTS[fault]
    source, data_dir = tmp_path / "source", tmp_path / "data"
    write_original(source, TRAIN)
    folder = write_original(source, TEST)
    do(folder, TEST)
    if packed:
        folders = [source / "BC" / scene for scene in (TRAIN, TEST)]
        source = tmp_path / "archives"
        for path in folders:
            write_archive(source / f"{path.name}.tar.gz", path)
    assert left_out(NAME, source, data_dir, message, capsys, patch_size=64) == {TRAIN}


def test_archives_that_are_cut_short_or_empty_are_named(tmp_path):
    folder = write_original(tmp_path / "original")
    archive = write_archive(tmp_path / "source" / f"{TRAIN}.tar.gz", folder)
    content = archive.read_bytes()
    for size, message in ((len(content) // 2, "damaged or cut short"), (0, "is empty")):
        archive.write_bytes(content[:size])
        with pytest.raises(ValueError, match=rf"{TRAIN}\.tar\.gz: .*{message}"):
            build(NAME, tmp_path / "source", tmp_path / "data")
        assert not (tmp_path / "data").exists()


def test_a_cut_archive_of_a_biome_gives_the_scenes_before_the_cut(tmp_path):
    folders = [write_repacked(tmp_path / "l8", scene) for scene in (TRAIN, TEST, CLEAR)]
    archive = write_archive(tmp_path / "source" / "barren.tar.gz", *folders)
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) * 3 // 4])
    with pytest.raises(ValueError, match=r"barren\.tar\.gz: .*damaged or cut short"):
        build(NAME, archive, tmp_path / "data")
    directory = build(NAME, archive, tmp_path / "data", patch_size=64, keep_going=True)
    there = {one["scene_id"].decode() for one in read_all(directory)}
    assert TRAIN in there
    assert CLEAR not in there


def test_an_archive_never_writes_outside_its_folder(tmp_path):
    (tmp_path / "evil.TIF").write_bytes(b"x")
    archive = tmp_path / "source" / f"{TRAIN}.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as file:
        file.add(tmp_path / "evil.TIF", f"../../{TRAIN}_B1.TIF")
    with pytest.raises(ValueError, match="outside its folder"):
        build(NAME, archive.parent, tmp_path / "data")


@pytest.mark.parametrize("name", ["LC8042008201322LGN00", "LC08_L1TP_042008_20130808"])
def test_names_out_of_convention_are_refused(tmp_path, name):
    folder = write_original(tmp_path / "source", name)
    with pytest.raises(ValueError, match=f"{name}_fixedmask.img: the name is out of convention"):
        build(NAME, folder, tmp_path / "data")


def test_a_folder_without_scenes_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(FileNotFoundError, match="holds no scene of Landsat 8 Biome"):
        build(NAME, tmp_path, tmp_path / "data")
    with pytest.raises(FileNotFoundError, match="there is no such folder or archive"):
        build(NAME, tmp_path / "none", tmp_path / "data")


def test_a_stack_of_other_bands_is_refused(tmp_path):
    folder = write_repacked(tmp_path / "source")
    for count in (10, 12):
        write_geotiff(folder / f"{TRAIN}.TIF", np.ones((count, *codes().shape), np.uint16))
        with pytest.raises(ValueError, match=f"00.TIF: has {count} bands, not the 11 from B1 to"):
            build(NAME, tmp_path / "source", tmp_path / "data")
