import zipfile
from pathlib import Path

import numpy as np
import pytest
from built import assert_same_records, build, image_of, metadata, read_all
from fake_irish import (
    CLEAR,
    FILL_IS_ZERO,
    FIRST,
    RANGES,
    SECOND,
    SHADOW,
    SHADOW_IS_ZERO,
    SHAPE,
    THIRD,
    codes,
    corners,
    digital_numbers,
    stem,
    stripes,
    write_archive,
    write_mask,
    write_mtl,
    write_new_mtl,
    write_original,
    write_repacked,
)
from fake_scenes import write_geotiff

from data_prep.landsat7_irish import conventions
from data_prep.landsat7_irish.scenes import DARK_CLOUD, NO_MTL, TWO_MASKS
from data_prep.landsat_scenes import NO_SHADOW
from data_prep.patches import assign_splits
from permjax import classes
from permjax.bands import Kind
from permjax.rasters import open_raster
from permjax.sensors import SENSORS

NAME = "landsat7_irish"
ZERO_FILL, ZERO_SHADOW = conventions.FILL_IS_ZERO.note, conventions.SHADOW_IS_ZERO.note
IN_SCENE = (slice(0, SHAPE[0]), slice(0, SHAPE[1]))
INDEX = {"B1": 0, "B2": 1, "B3": 2, "B4": 3, "B5": 4, "B6": 5, "B7": 7}
"""Of the bands of a record, in the digital numbers B10, B20, B30, B40, B50, B61, B62, B70, B80."""


def one_record(source: Path, data_dir: Path) -> dict:
    [record] = read_all(build(NAME, source, data_dir, patch_size=72))
    return record


def notes_of(data_dir: Path) -> dict:
    return metadata(data_dir / NAME / "landsat7_etm" / "1.0.0")["notes"]


def image_by_band(record: dict) -> dict[str, np.ndarray]:
    image = image_of(record)[IN_SCENE]
    return {band: image[..., i] for i, band in enumerate(INDEX)}


# --- Values ---------------------------------------------------------------------------------

ESUN = {"B1": 1970, "B2": 1842, "B3": 1547, "B4": 1044, "B5": 225.7, "B7": 82.06}
DISTANCE_AU = 1 - 0.01672 * np.cos(np.radians(0.9856 * (316 - 4)))  # On 12 November.


def radiance(dn: np.ndarray, band: str) -> np.ndarray:
    least, most = RANGES[band]
    return (most - least) / (255 - 1) * (dn - 1.0) + least


def expected(dn: np.ndarray, sine: float) -> dict[str, np.ndarray]:
    """L = (LMAX - LMIN) / (QCALMAX - QCALMIN) (DN - QCALMIN) + LMIN; pi L d^2 / (ESUN sin)."""
    dn = np.where(dn == 0, np.nan, dn)
    values = {
        band: np.pi * radiance(dn[..., INDEX[band]], band[1:]) * DISTANCE_AU**2 / (esun * sine)
        for band, esun in ESUN.items()
    }
    kelvin = 1282.71 / np.log(666.09 / radiance(dn[..., INDEX["B6"]], "61") + 1)
    return {band: values.get(band, kelvin) for band in INDEX}


def assert_close(image: dict[str, np.ndarray], values: dict[str, np.ndarray]) -> None:
    for band, value in values.items():
        half_a_step = 6e-3 if band == "B6" else 6e-5
        # 1 in 1,000: two formulas of the distance differ by half of it. Without the distance, or
        # with its inverse, reflectance would be off by 20 or 40 times that.
        np.testing.assert_allclose(image[band], value, rtol=1e-3, atol=half_a_step, err_msg=band)


def test_a_record_holds_the_values_of_the_formulas(tmp_path):
    write_original(tmp_path / "source")
    record = one_record(tmp_path / "source", tmp_path / "data")
    # sin(30 degrees) = 1/2.
    assert_close(image_by_band(record), expected(digital_numbers(), 0.5))
    assert np.isnan(image_of(record)[:, SHAPE[1] :]).all()
    described = SENSORS["landsat7_etm"].describe(list(INDEX))
    np.testing.assert_array_equal(record["wavelength_nm"], described.wavelength_nm)
    np.testing.assert_array_equal(record["bandwidth_nm"], described.bandwidth_nm)
    thermal = [Kind.BRIGHTNESS_TEMPERATURE if b == "B6" else Kind.REFLECTANCE for b in INDEX]
    assert record["kind"].tolist() == thermal
    assert (record["scene_id"], record["sensor"]) == (FIRST.encode(), b"landsat7_etm")
    assert (record["gsd_m"], record["sun_elevation_deg"]) == (30, 30)
    assert notes_of(tmp_path / "data") == {ZERO_FILL: [FIRST]}


def test_without_an_mtl_the_sun_is_unknown_and_gains_are_the_usual_ones(tmp_path, capsys):
    write_repacked(tmp_path / "source")
    record = one_record(tmp_path / "source", tmp_path / "data")
    assert np.isnan(record["sun_elevation_deg"])
    assert_close(image_by_band(record), expected(digital_numbers(), 1.0))
    assert notes_of(tmp_path / "data")[NO_MTL] == [FIRST]
    assert NO_MTL in capsys.readouterr().err.replace("\n", " ")


NEW_MTL = "LE07_L1TP_226098_20011112_20170202_01_T1_MTL.txt"
MTLS = (f"{stem(FIRST)}_MTL.txt", NEW_MTL, "LE72260982001316ASN00_MTL.txt")


@pytest.mark.parametrize("name", MTLS)
@pytest.mark.parametrize("reflectance", [False, True])
def test_newer_mtls_have_factors(tmp_path, reflectance, name):
    folder = write_original(tmp_path / "source")
    write_new_mtl(folder, FIRST, reflectance=reflectance).rename(folder / name)
    image = image_by_band(one_record(tmp_path / "source", tmp_path / "data"))
    dn = digital_numbers().astype(float)
    dn[dn == 0] = np.nan
    for band, esun in ESUN.items():
        value = np.pi * (dn[..., INDEX[band]] * 0.067 - 0.5) * 0.99**2 / (esun * 0.5)
        if reflectance:
            value = (dn[..., INDEX[band]] * 0.002 - 0.01) / 0.5
        np.testing.assert_allclose(image[band], np.minimum(value, 6.3532), atol=6e-5, err_msg=band)
    kelvin = 1282.71 / np.log(666.09 / (dn[..., INDEX["B6"]] * 0.067 - 0.5) + 1)
    np.testing.assert_allclose(image["B6"], kelvin, atol=6e-3)


def test_of_two_mtls_that_of_the_bands_is_read(tmp_path):
    folder = write_original(tmp_path / "source")
    older = (folder / f"{stem(FIRST)}_MTL.txt").read_bytes()
    write_new_mtl(folder, FIRST, reflectance=True).rename(folder / NEW_MTL)
    (folder / f"{stem(FIRST)}_MTL.txt").write_bytes(older)
    record = one_record(tmp_path / "source", tmp_path / "data")
    assert_close(image_by_band(record), expected(digital_numbers(), 0.5))


# --- Labels ---------------------------------------------------------------------------------


@pytest.mark.parametrize("release", ["newmask2015", "mask2019"])
@pytest.mark.parametrize("shadow", [True, False])
@pytest.mark.parametrize("convention", [FILL_IS_ZERO, SHADOW_IS_ZERO])
def test_codes_of_both_conventions_become_classes(tmp_path, convention, shadow, release):
    mask = codes(convention, shadow=shadow)
    write_original(tmp_path / "source", mask=mask, release=release)
    record = one_record(tmp_path / "source", tmp_path / "data")
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
        label[(digital_numbers()[..., list(INDEX.values())] == 0).any(axis=2)] = 0
    np.testing.assert_array_equal(record["label"][IN_SCENE], label)
    note = ZERO_FILL if convention == FILL_IS_ZERO else ZERO_SHADOW
    assert notes_of(tmp_path / "data") == {
        note: [FIRST],
        **({} if shadow else {NO_SHADOW: [FIRST]}),
    }


def test_older_copies_call_thin_cloud_191(tmp_path):
    write_original(tmp_path / "source", mask=codes((64, 128, 191, 255)))
    record = one_record(tmp_path / "source", tmp_path / "data")
    assert (record["label"][IN_SCENE][5] == np.array([8, 1, 4, 2])[stripes()[0]]).all()


@pytest.mark.parametrize("convention", [FILL_IS_ZERO, SHADOW_IS_ZERO])
def test_a_clear_scene_has_no_cloud_in_either_convention(tmp_path, convention):
    mask = np.full(SHAPE, convention[CLEAR], np.uint8)
    mask[corners(4)] = 0 if convention == FILL_IS_ZERO else 255
    write_original(tmp_path / "source", mask=mask)
    record = one_record(tmp_path / "source", tmp_path / "data")
    assert set(np.unique(record["label"])) == {classes.UNLABELLED, classes.CLEAR_OR_SHADOW}


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
    record = one_record(tmp_path / "source", tmp_path / "data")
    assert record["label"][40, 58] == classes.THICK_CLOUD
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
    one_record(tmp_path / "source", tmp_path / "data")
    note = ZERO_FILL if convention == FILL_IS_ZERO else ZERO_SHADOW
    assert note in notes_of(tmp_path / "data")


def test_corners_that_brightness_contradicts_are_refused(tmp_path):
    """A corner in shadow, in a scene without fill, is not taken for fill."""
    mask = codes(SHADOW_IS_ZERO)
    mask[0, 0] = 0
    folder = without_fill(tmp_path / "source", mask)
    # Bright snow: one band alone tells nothing where the convention is a guess.
    rewrite(folder, "B50", lambda dn: 255 - dn)
    assert_stops(tmp_path / "source", tmp_path / "data", NEITHER)


def swapped() -> np.ndarray:
    mask = codes()
    mask[mask == 128] = 7
    mask[mask == 255] = 128
    mask[mask == 7] = 255
    return mask


def test_clouds_darker_than_clear_ground_are_refused_and_can_be_left_out(tmp_path, capsys):
    write_original(tmp_path / "source", mask=swapped())
    write_original(tmp_path / "source", SECOND)
    assert_stops(tmp_path / "source", tmp_path / "data", NEITHER)
    directory = build(NAME, tmp_path / "source", tmp_path / "data", patch_size=72, keep_going=True)
    assert {one["scene_id"] for one in read_all(directory)} == {SECOND.encode()}
    assert "left out: " in capsys.readouterr().err


def test_clouds_over_snow_are_noted(tmp_path):
    """Snow is brighter than cloud in red and darker in the short-wave infrared."""
    folder = write_original(tmp_path / "source")
    rewrite(folder, "B30", lambda dn: np.where(dn == 0, dn, 255 - dn))
    record = one_record(tmp_path / "source", tmp_path / "data")
    assert record["label"][40, 58] == classes.THICK_CLOUD
    assert notes_of(tmp_path / "data") == {ZERO_FILL: [FIRST], DARK_CLOUD: [FIRST]}


def test_codes_of_one_convention_and_fill_of_the_other_are_refused(tmp_path):
    mask = codes()
    mask[mask == 0] = 255
    write_original(tmp_path / "source", mask=mask)
    message = r"newmask2015\.TIF: has 255 where the image has no data, .* and the codes \[64\]"
    assert_stops(tmp_path / "source", tmp_path / "data", message)


def test_of_two_masks_the_newer_is_read(tmp_path):
    folder = write_original(tmp_path / "source", mask=np.full(SHAPE, 64, np.uint8))
    write_mask(folder, FIRST, codes(), "mask2019")
    record = one_record(tmp_path / "source", tmp_path / "data")
    assert classes.THICK_CLOUD in record["label"]
    assert notes_of(tmp_path / "data") == {ZERO_FILL: [FIRST], TWO_MASKS: [FIRST]}


# --- Forms ----------------------------------------------------------------------------------


@pytest.fixture
def original(tmp_path) -> Path:
    """The records of three scenes in folders of USGS."""
    for seed, scene in enumerate((FIRST, SECOND, THIRD)):
        write_original(tmp_path / "original", scene, seed=seed)
    return build(NAME, tmp_path / "original", tmp_path / "data", patch_size=40)


def test_splits_are_by_scene_and_dealt(original):
    splits = assign_splits([FIRST, SECOND, THIRD])
    assert set(splits.values()) == {"train", "validation", "test"}
    assert {one["scene_id"].decode() for one in read_all(original)} == set(splits)


def test_archives_of_scenes_hold_the_same_records(tmp_path, original):
    for folder in (tmp_path / "original").glob("*/*"):
        write_archive(tmp_path / "archives" / f"{folder.name}.tar.gz", folder)
    packed = build(NAME, tmp_path / "archives", tmp_path / "packed", patch_size=40)
    assert_same_records(packed, original)


@pytest.mark.parametrize("packed", [None, "zones", "zip"])
def test_the_repacked_form_with_an_mtl_holds_the_same_records(tmp_path, original, packed):
    source = tmp_path / "repacked"
    folders = [
        write_repacked(source, scene, seed=seed, mtl=True)
        for seed, scene in enumerate((FIRST, SECOND, THIRD))
    ]
    if packed == "zones":
        source = tmp_path / "zones"
        for zone in ("austral", "boreal"):
            own = [folder for folder in folders if folder.parent.name == zone]
            write_archive(source / f"{zone}.tar.gz", *own)
    elif packed == "zip":
        paths = [path for path in source.rglob("*") if path.is_file()]
        source = tmp_path / "l7irish.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for path in paths:
                archive.write(path, path.relative_to(tmp_path / "repacked"))
    repacked = build(NAME, source, tmp_path / "records", patch_size=40)
    assert_same_records(repacked, original)


def test_a_scene_that_lies_there_packed_and_unpacked_is_read_once(tmp_path):
    folder = write_original(tmp_path / "source")
    write_archive(tmp_path / "source" / f"{FIRST}.tar.gz", folder)
    one_record(tmp_path / "source", tmp_path / "data")


def test_loose_files_without_a_label_do_not_hide_the_archive(tmp_path):
    folder = write_original(tmp_path / "source")
    write_archive(tmp_path / "source" / f"{FIRST}.tar.gz", folder)
    next(folder.glob("*newmask2015*")).unlink()
    one_record(tmp_path / "source", tmp_path / "data")


def test_a_scene_in_two_places_is_read_once_if_of_one_day_and_refused_if_not(tmp_path):
    source = tmp_path / "source"
    write_original(source)
    second = write_repacked(source, mtl=True)
    one_record(source, tmp_path / "data")
    image = second / f"{stem(FIRST)}.TIF"
    image.rename(second / image.name.replace("20011112", "20011128"))
    (second / f"{stem(FIRST)}_MTL.txt").unlink()
    message = r"scene p226_r98 lies in places of different days: .*\(20011112\) and .*\(20011128\)"
    assert_stops(source, tmp_path / "other", message)


def test_the_folder_of_a_scene_can_be_the_source(tmp_path):
    one_record(write_original(tmp_path / "source"), tmp_path / "data")


# --- Faults ---------------------------------------------------------------------------------


def change(ending: str, content: bytes | int | None):
    """Gives a file other content: bytes, its first bytes, or None of it at all."""

    def do(folder: Path) -> None:
        [path] = folder.glob(f"*_{ending}")
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content if isinstance(content, bytes) else path.read_bytes()[:content])

    return do


def put_mask(mask: np.ndarray):
    return lambda folder: write_mask(folder, SECOND, mask) and None


def put_band(band: np.ndarray):
    return lambda folder: write_geotiff(folder / f"{stem(SECOND)}_B50.TIF", band[None])


def edit_mtl(old: str, new: str):
    def do(folder: Path) -> None:
        path = folder / f"{stem(SECOND)}_MTL.txt"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return do


def rename(old: str, new: str):
    def do(folder: Path) -> None:
        [path] = folder.glob(f"*{old}*")
        path.rename(path.with_name(path.name.replace(old, new)))

    return do


def two_bands(folder: Path) -> None:
    change("B40.TIF", None)(folder)
    change("B61.TIF", None)(folder)


def night(folder: Path) -> None:
    write_mtl(folder, SECOND, sun_elevation_deg=-3.0)


FAULTS = {
    "cut band": (change("B30.TIF", 1500), r"_B30\.TIF: band 1 cannot be read"),
    "no band's header": (change("B30.TIF", b"II*"), r"_B30\.TIF: is not a raster file"),
    "empty band": (change("B40.TIF", b""), r"_B40\.TIF: is empty \(0 bytes\)"),
    "missing band": (change("B70.TIF", None), r"p2_r27: L7\.\.\._B70\.TIF is missing"),
    "missing bands": (two_bands, r"_B40\.TIF is missing, and so are B61"),
    "missing mask": (
        change("newmask2015.TIF", None),
        r"p2_r27: the mask .* is missing",
    ),
    "empty mask": (change("newmask2015.TIF", b""), r"newmask2015\.TIF: is empty \(0 bytes\)"),
    "cut mask": (change("newmask2015.TIF", 1500), r"newmask2015\.TIF: band 1 cannot be read"),
    "mask size": (put_mask(codes()[:20]), r"015\.TIF: has 20 x 60 pixels, but .*B10\.TIF has 72 x"),
    "mask type": (put_mask(codes().astype("uint16")), r"015\.TIF: must be one uint8 band of codes"),
    "code": (put_mask(np.full(SHAPE, 7, np.uint8)), r"newmask2015\.TIF: holds the codes \[7\]"),
    "band size": (put_band(np.ones((8, 8), np.uint8)), r"_B50\.TIF: has 8 x 8 pixels"),
    "band type": (put_band(np.ones(SHAPE, np.uint16)), r"_B50\.TIF: holds uint16, not uint8"),
    "empty mtl": (change("MTL.txt", b""), r"_MTL\.txt: is empty \(0 bytes\)"),
    "cut mtl": (change("MTL.txt", 700), r"_MTL\.txt: is damaged or cut short: its last line"),
    "other day": (edit_mtl("= 2001-06-04", "= 2001-06-20"), r"_MTL\.txt: is of 2001-06-20, but"),
    "other satellite": (edit_mtl("Landsat7", "Landsat5"), r"_MTL\.txt: is of Landsat5"),
    "other path in MTL": (
        edit_mtl("WRS_PATH = 002", "WRS_PATH = 003"),
        "WRS_PATH = 003, but the",
    ),
    "other row in MTL": (edit_mtl("G_ROW = 027", "G_ROW = 028"), "STARTING_ROW = 028, but the sc"),
    "no number": (edit_mtl("LMAX_BAND61 = 17.040", "LMAX_BAND61 = x"), r"MTL\.txt: LMAX_BAND61 ="),
    "no range": (edit_mtl("= 191.600", "= -191.6"), r"MTL\.txt: band B1: radiance from -6\.2 to -"),
    "night": (night, r"_MTL\.txt: SUN_ELEVATION = -3"),
    "other row": (rename("_p2_r27_", "_p2_r28_"), r"p2_r28_newmask2015\.TIF: is of another path"),
    "band of another": (rename("027_02720010604_B20", "028_02820010604_B20"), "is of another path"),
    "two days": (rename("20010604_B20", "20010620_B20"), "several days, 20010604 and 20010620"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_names_its_file_and_stops_or_is_left_out(tmp_path, capsys, fault):
    do, message = FAULTS[fault]
    source, data_dir = tmp_path / "source", tmp_path / "data"
    write_original(source, FIRST)
    do(write_original(source, SECOND))
    assert_stops(source, data_dir, message)
    directory = build(NAME, source, data_dir, patch_size=72, keep_going=True)
    assert {one["scene_id"] for one in read_all(directory)} == {FIRST.encode()}
    [left_out] = metadata(directory)["left_out"]
    assert f"left out: {left_out}" in capsys.readouterr().err


@pytest.mark.parametrize("fault", ["cut band", "missing mask", "code", "no range", "two days"])
def test_a_fault_in_an_archive_names_the_archive(tmp_path, fault):
    do, message = FAULTS[fault]
    folder = write_original(tmp_path / "original", SECOND)
    do(folder)
    archive = write_archive(tmp_path / "source" / f"{SECOND}.tar.gz", folder)
    assert str(archive) in assert_stops(tmp_path / "source", tmp_path / "data", message)


def assert_stops(source: Path, data_dir: Path, message: str) -> str:
    with pytest.raises(ValueError, match=message) as stop:
        build(NAME, source, data_dir, patch_size=72)
    assert str(source) in str(stop.value)
    assert not list(data_dir.rglob("dataset_info.json"))
    assert not list(data_dir.rglob("*.part"))
    return str(stop.value)


def test_archives_that_are_cut_short_or_empty_are_named(tmp_path):
    folder = write_original(tmp_path / "original")
    for name in (f"{FIRST}.tar.gz", "austral.tar.gz"):
        archive = write_archive(tmp_path / name[:4] / name, folder)
        content = archive.read_bytes()
        for size, message in ((len(content) // 2, "damaged or cut short"), (0, "is empty")):
            archive.write_bytes(content[:size])
            with pytest.raises(ValueError, match=rf"{name}: .*{message}"):
                build(NAME, archive.parent, tmp_path / "data")
            assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "name", ["austral/226_98/L71226098_09820011112_B10.TIF", "p226_r98/L71226098_B10.TIF"]
)
def test_names_out_of_convention_are_refused(tmp_path, name):
    path = tmp_path / "source" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    with pytest.raises(ValueError, match=f"{name}: the name is out of convention"):
        build(NAME, tmp_path / "source", tmp_path / "data")


def test_a_stack_of_other_bands_is_refused(tmp_path):
    folder = write_repacked(tmp_path / "source")
    write_geotiff(folder / f"{stem(FIRST)}.TIF", np.ones((8, *SHAPE), np.uint8))
    with pytest.raises(ValueError, match=r"12\.TIF: has 8 bands, not the 9 from B10 to B80"):
        build(NAME, tmp_path / "source", tmp_path / "data")


def test_a_folder_without_scenes_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(FileNotFoundError, match="holds no scene of Landsat 7 Irish"):
        build(NAME, tmp_path, tmp_path / "data")
