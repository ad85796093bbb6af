import zipfile
from pathlib import Path

import numpy as np
import pytest
from built import assert_same_records, build, image_of, metadata, read_all
from fake_irish import (
    FIRST,
    RANGES,
    SECOND,
    SHAPE,
    THIRD,
    digital_numbers,
    stem,
    write_archive,
    write_new_mtl,
    write_original,
    write_repacked,
)
from refused import stops

from data_prep.landsat7_irish.conventions import FILL_IS_ZERO
from data_prep.landsat7_irish.scenes import NO_MTL
from data_prep.patches import assign_splits
from permjax.bands import Kind
from permjax.sensors import SENSORS

NAME = "landsat7_irish"
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


# --- Values -------------------------------------------------------------------------------

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
    assert notes_of(tmp_path / "data") == {FILL_IS_ZERO.note: [FIRST]}


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


# --- Forms --------------------------------------------------------------------------------


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
    stops(NAME, source, tmp_path / "other", message)


def test_the_folder_of_a_scene_can_be_the_source(tmp_path):
    one_record(write_original(tmp_path / "source"), tmp_path / "data")
