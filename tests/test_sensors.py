"""The sensor table against its documents, and sensors of a user's own."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from permjax.bands import BandDescription, Kind, describe_bands
from permjax.sensors import FAMILIES, SENSORS, Sensor, read_sensor, select_sensors

# Hand-copied from the documents, apart from the table: sensor, band, centre, width, tolerance of
# both in nm.
PUBLISHED = [
    # NASA, Spectral response of the OLI in-band band-average, table of centres and FWHM.
    ("landsat8_oli_tirs", "B1", 442.96, 15.98, 0.1),
    ("landsat8_oli_tirs", "B2", 482.04, 60.04, 0.1),
    ("landsat8_oli_tirs", "B3", 561.41, 57.33, 0.1),
    ("landsat8_oli_tirs", "B4", 654.59, 37.47, 0.1),
    ("landsat8_oli_tirs", "B5", 864.67, 28.25, 0.1),
    ("landsat8_oli_tirs", "B6", 1608.86, 84.72, 0.1),
    ("landsat8_oli_tirs", "B7", 2200.73, 186.66, 0.1),
    ("landsat8_oli_tirs", "B9", 1373.43, 20.39, 0.1),
    # USGS band designations: 10.60 to 11.19 and 11.50 to 12.51 um, given to 10 nm.
    ("landsat8_oli_tirs", "B10", 10895, 590, 15),
    ("landsat8_oli_tirs", "B11", 12005, 1010, 15),
    # Chander et al. 2009, table 3: centres; widths from its columns of FWHM.
    ("landsat1_mss", "B4", 548, 98, 1),
    ("landsat5_mss", "B4", 923, 227, 1),
    ("landsat5_tm", "B6", 11435, 1980, 10),
    ("landsat7_etm", "B8", 706, 380, 2),
    # ESA, MTD_MSIL1C.xml of Sentinel-2A (centres) and S2 user guide (widths, to 5 nm).
    ("sentinel2a_msi", "B1", 442.7, 20, 2),
    ("sentinel2a_msi", "B2", 492.7, 65, 2),
    ("sentinel2a_msi", "B4", 664.6, 30, 2),
    ("sentinel2a_msi", "B8A", 864.7, 20, 2),
    ("sentinel2a_msi", "B10", 1373.5, 30, 2),
    ("sentinel2a_msi", "B12", 2202.4, 175, 2),
    ("sentinel2b_msi", "B12", 2185.7, 185, 2),
    ("sentinel3a_olci", "Oa08", 665, 10, 0.1),
    ("sentinel3a_slstr", "S8", 10854, 776, 0.1),
    # NASA, MODIS specifications, as designed; the bands as built lie up to 17 nm from them.
    ("terra_modis", "B1", 645, 50, 3),
    ("terra_modis", "B7", 2130, 50, 18),
    ("terra_modis", "B26", 1375, 30, 0.1),
    ("aqua_modis", "B31", 11030, 500, 0.1),
    ("viirs_m", "M15", 10763, 1000, 0.1),
    # BlackBridge, RapidEye band edges as designed: 630 to 685 nm and 690 to 730 nm.
    ("rapideye", "red", 657.5, 55, 4),
    ("rapideye", "red_edge", 710, 40, 4),
    # CNES, SPOT 5: 0.50 to 0.59, 1.58 to 1.75 um as designed.
    ("spot5_hrg", "XS1", 545, 90, 4),
    # Planet, 8-band asset: 697 to 713 nm.
    ("planetscope_superdove", "rededge", 705, 16, 0.1),
    ("goes16_abi", "C13", 10350, 500, 0.1),
    ("worldview3", "swir1", 1210, 30, 0.1),
]

GOOD_TOML = """
[[sensor]]
name = "my_cube"
title = "My cube"
gsd_m = 5
source = "the maker's letter"
bands = [
    { name = "blue", wavelength_nm = 490, bandwidth_nm = 60 },
    { name = "red", wavelength_nm = 660, bandwidth_nm = 40, kind = "surface_reflectance" },
    { name = "hot", wavelength_nm = 10900, bandwidth_nm = 900, kind = "brightness_temperature", gsd_m = 60 },
]
"""  # noqa: E501


def write(folder: Path, text: str) -> Path:
    path = folder / "my_cube.toml"
    path.write_text(text, encoding="utf-8")
    return path


def same(one: BandDescription, other: BandDescription) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


# --- The table ------------------------------------------------------------------------------


@pytest.mark.parametrize(("sensor", "band", "centre", "width", "tolerance"), PUBLISHED)
def test_the_table_agrees_with_the_documents(sensor, band, centre, width, tolerance):
    row = next(row for row in SENSORS[sensor].bands if row.name == band)
    assert row.wavelength_nm == pytest.approx(centre, abs=tolerance)
    assert row.bandwidth_nm == pytest.approx(width, abs=tolerance)


@pytest.mark.parametrize("sensor", SENSORS.values(), ids=lambda sensor: sensor.name)
def test_each_sensor_describes_itself_in_its_order(sensor: Sensor):
    described = sensor.describe()
    assert [band.wavelength_nm for band in sensor.bands] == pytest.approx(
        described.wavelength_nm.tolist()
    )
    assert described.kind.tolist() == [band.kind for band in sensor.bands]
    assert sensor.title
    assert len(sensor.source) > 10
    assert all(band.gsd_m > 0 for band in sensor.bands)


def test_at_least_25_sensors_and_no_family_named_like_one():
    assert len(SENSORS) >= 25
    assert not set(SENSORS) & set(FAMILIES)


def test_thermal_bands_are_those_beyond_3_micrometres():
    for sensor in SENSORS.values():
        for band in sensor.bands:
            assert (band.kind is Kind.BRIGHTNESS_TEMPERATURE) == (band.wavelength_nm > 3000)


def test_naming_bands_chooses_and_orders_them():
    sensor = SENSORS["landsat8_oli_tirs"]
    described = sensor.describe(["B10", "B4"])
    assert described.wavelength_nm.tolist() == pytest.approx([10890, 654.6])
    assert described.kind.tolist() == [Kind.BRIGHTNESS_TEMPERATURE, Kind.REFLECTANCE]


def test_surface_changes_reflectance_and_leaves_temperature():
    described = SENSORS["landsat8_oli_tirs"].describe(["B4", "B10"], surface=True)
    assert described.kind.tolist() == [Kind.SURFACE_REFLECTANCE, Kind.BRIGHTNESS_TEMPERATURE]


def test_an_unknown_band_is_refused_with_the_list():
    with pytest.raises(ValueError, match=r"sentinel2a_msi has no band 'B08' .*'B8'.*B1, B2, B3"):
        SENSORS["sentinel2a_msi"].describe(["B4", "B08"])


@given(st.permutations(range(13)))
def test_description_follows_the_order_of_the_bands(order):
    sensor = SENSORS["sentinel2a_msi"]
    described = sensor.describe([sensor.bands[i].name for i in order])
    whole = sensor.describe()
    assert same(described, BandDescription(*(leaf[list(order)] for leaf in whole)))


# --- Names and families ---------------------------------------------------------------------


def test_sentinel_means_sentinel_2():
    assert FAMILIES["sentinel"] == ("sentinel2a_msi", "sentinel2b_msi", "sentinel2c_msi")
    assert FAMILIES["sentinel"] == FAMILIES["sentinel2"]
    assert all(name.startswith("sentinel3") for name in FAMILIES["sentinel3"])


def test_landsat_means_every_landsat():
    assert FAMILIES["landsat"] == tuple(name for name in SENSORS if name.startswith("landsat"))


def test_selection_keeps_the_order_first_named_without_repeats():
    chosen = select_sensors(["landsat8-oli-tirs", "sentinel", "landsat_oli", "sentinel2b_msi"])
    assert [sensor.name for sensor in chosen] == [
        "landsat8_oli_tirs",
        "sentinel2a_msi",
        "sentinel2b_msi",
        "sentinel2c_msi",
        "landsat9_oli_tirs",
    ]


def test_hyphens_and_capitals_are_accepted():
    assert select_sensors(["PlanetScope-SuperDove"]) == (SENSORS["planetscope_superdove"],)


def test_an_unknown_sensor_is_refused_with_the_closest_and_the_list():
    with pytest.raises(ValueError, match=r"unknown sensor 'sentinal' .*'sentinel'") as refusal:
        select_sensors(["landsat", "sentinal"])
    assert all(name in str(refusal.value) for name in [*SENSORS, *FAMILIES])


def test_no_sensor_is_refused():
    with pytest.raises(ValueError, match="no sensor is named"):
        select_sensors([])


# --- A user's sensor ------------------------------------------------------------------------


def test_a_users_file_gives_his_sensor(tmp_path):
    sensor = read_sensor(write(tmp_path, GOOD_TOML))
    assert (sensor.name, sensor.families, sensor.gsd_m) == ("my_cube", (), 5)
    assert [band.gsd_m for band in sensor.bands] == [5, 5, 60]
    expected = describe_bands([490, 660, 10900], [60, 40, 900], [0, 1, 2])
    assert same(sensor.describe(), expected)


@pytest.mark.parametrize("name", ["landsat8_oli_tirs", "viirs_m"])
def test_a_block_of_the_table_is_a_users_file(tmp_path, name):
    table = (Path(__file__).parents[1] / "permjax" / "sensors.toml").read_text(encoding="utf-8")
    block = re.search(rf'\[\[sensor\]\]\nname = "{name}".*?\n\]\n', table, re.DOTALL)
    assert block
    assert read_sensor(write(tmp_path, block[0])) == SENSORS[name]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[[sensor]]", "", r"put the line \[\[sensor\]\]"),
        ("[[sensor]]", "[sensor]", r"put the line \[\[sensor\]\]"),
        ("gsd_m = 5\n", "", r"\[\[sensor\]\]: gsd_m is missing"),
        ("gsd_m = 5\n", "gsd_m = -5\n", "gsd_m must be a positive length"),
        ("gsd_m = 5\n", 'gsd_m = "5 m"\n', "gsd_m must be a number, not '5 m'"),
        ("gsd_m = 5\n", "gsd = 5\n", r"unknown key 'gsd' .*'gsd_m'"),
        ('"my_cube"', '"My Cube"', "lowercase letters, digits and underscores"),
        ("wavelength_nm = 490", "wavelength_nm = 0.49", "band blue: .*looks like micrometres"),
        ("wavelength_nm = 490, ", "", "my_cube: band blue: wavelength_nm is missing"),
        ("wavelength_nm = 490", "wavelength = 490", "band blue: unknown key 'wavelength'"),
        ("bandwidth_nm = 60", "bandwidth_nm = true", "bandwidth_nm must be a number, not True"),
        ("bandwidth_nm = 60", "bandwidth_nm = 520", "band blue: .*not an edge"),
        ("surface_reflectance", "radiance", "band red: unknown kind 'radiance'"),
        (', kind = "brightness_temperature"', "", "band hot: kind reflectance at 10900 nm"),
        ('"hot"', '"red"', "10900 nm is not red"),
        ('"hot"', '"blue2"', None),
        ('"red", wavelength_nm = 660', '"red", wavelength_nm = 490', "490 nm is not red"),
        ('"red"', '"B1"', None),
        ('name = "blue", ', "", "my_cube: band: name is missing"),
        ("source =", "source", "not a TOML file"),
    ],
)
def test_each_fault_of_a_users_file_is_one_clear_error(tmp_path, old, new, message):
    path = write(tmp_path, GOOD_TOML.replace(old, new))
    if message is None:
        read_sensor(path)
        return
    with pytest.raises(ValueError, match=message) as refusal:
        read_sensor(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert "\n" not in str(refusal.value)


def test_two_bands_of_one_name_are_refused(tmp_path):
    text = GOOD_TOML.replace('"hot"', '"B1"').replace('"red"', '"B1"')
    with pytest.raises(ValueError, match="two bands are called B1"):
        read_sensor(write(tmp_path, text))


def test_two_equal_bands_are_refused_by_name(tmp_path):
    row = '{ name = "copy", wavelength_nm = 490, bandwidth_nm = 60 },\n]'
    with pytest.raises(ValueError, match=r"band copy repeats .*band blue"):
        read_sensor(write(tmp_path, GOOD_TOML.replace("\n]", f"\n{row}")))


def test_one_file_holds_one_sensor(tmp_path):
    with pytest.raises(ValueError, match="has 2 sensors"):
        read_sensor(write(tmp_path, GOOD_TOML + GOOD_TOML))


def test_a_users_file_is_selected_by_its_path(tmp_path):
    path = write(tmp_path, GOOD_TOML)
    chosen = select_sensors(["landsat8_oli_tirs", str(path)])
    assert chosen == (SENSORS["landsat8_oli_tirs"], read_sensor(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.toml: no such file"):
        read_sensor(tmp_path / "nothing.toml")
