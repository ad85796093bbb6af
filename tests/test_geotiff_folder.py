from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from fake_scenes import NIR, RED, FakeBand, labelled_image

from data_prep.geotiff_folder import DEFAULT_TABLE, build, packing
from data_prep.geotiff_folder.table import read_table
from permjax import classes
from permjax.bands import Kind
from permjax.data import find_datasets
from permjax.radiometry import dequantise
from permjax.rasters import open_raster
from permjax.sensors import select_sensors

CODES = np.repeat([[0, 1, 2, 3, 4, 255]], 40, axis=0).repeat(8, axis=1)
"""Every code of the default table, 40 x 48, in stripes of 8 columns."""


def read(path: Path, split: str) -> list[dict]:
    builder = tfds.builder_from_directory(path)
    if split not in builder.info.splits:
        return []
    return list(builder.as_data_source(split))  # pyright: ignore[reportCallIssue]


def read_all(path: Path) -> list[dict]:
    return [one for split in ("train", "validation", "test") for one in read(path, split)]


def stripes(path: Path) -> list[int]:
    """The label bits of each stripe of the one record."""
    [one] = read_all(path)
    label = one["label"][:40, :48]
    assert (label == label[:1]).all()
    return label[0, ::8].tolist()


@pytest.fixture
def source(tmp_path) -> Path:
    return tmp_path / "fields"


@pytest.fixture
def data_dir(tmp_path) -> Path:
    return tmp_path / "data"


def test_records_hold_what_the_files_hold(source, data_dir):
    """Values by hand: digital numbers times scale plus offset, codes by the table."""
    codes = np.random.default_rng(0).integers(0, 5, (40, 50))
    path = labelled_image(source, "a", codes, shadow_labelled="True", sun_elevation_deg="35")
    [built] = build(data_dir, source, patch_size=64)
    assert built == data_dir / "geotiff_folder" / "fields-sentinel2a_msi" / "1.0.0"
    assert tfds.builder_from_directory(built).info.metadata == {"sensor": "sentinel2a_msi"}
    [one] = read(built, "test")
    image = dequantise(one["image"], one["scale"], one["offset"])
    with open_raster(path) as file:
        dn = file.read().astype(float)
    expected = np.stack([dn[0] * 1e-4, dn[1] * 1e-4 - 0.1, dn[2] * 1e-2], axis=-1)
    np.testing.assert_allclose(image[:40, :50], expected, atol=6e-5)
    assert np.isnan(image[40:]).all()
    bits = np.array([classes.CLEAR, classes.THICK_CLOUD, classes.THIN_CLOUD, classes.CLOUD_SHADOW])
    np.testing.assert_array_equal(one["label"][:40, :50], bits[codes % 4])
    assert not one["label"][40:].any()
    assert one["wavelength_nm"].tolist() == [665, 833, 10_895]
    assert one["bandwidth_nm"].tolist() == [31, 106, 590]
    toa, kelvin = Kind.REFLECTANCE, Kind.BRIGHTNESS_TEMPERATURE
    assert one["kind"].tolist() == [toa, toa, kelvin]
    assert (one["scene_id"], one["sensor"]) == (b"a", b"sentinel2a_msi")
    assert (one["gsd_m"], one["sun_elevation_deg"]) == (10, 35)


@pytest.mark.parametrize(
    ("shadow_labelled", "clear"),
    [("True", classes.CLEAR), ("False", classes.CLEAR_OR_SHADOW)],
)
def test_clear_may_be_shadow_where_shadow_is_not_labelled(source, data_dir, shadow_labelled, clear):
    labelled_image(source, "a", CODES, shape=CODES.shape, shadow_labelled=shadow_labelled)
    [built] = build(data_dir, source)
    cloud = [classes.THICK_CLOUD, classes.THIN_CLOUD, classes.CLOUD_SHADOW]
    assert stripes(built) == [clear, *cloud, clear, classes.UNLABELLED]


def test_cloud_is_of_unknown_thickness_where_no_file_labels_thin_cloud(source, data_dir):
    codes = np.where(CODES == 2, 1, CODES)
    labelled_image(source, "a", codes, shape=CODES.shape, shadow_labelled="True")
    [built] = build(data_dir, source)
    assert stripes(built)[1:3] == [classes.CLOUD, classes.CLOUD]


def test_one_file_with_thin_cloud_tells_what_cloud_means_in_all(source, data_dir):
    labelled_image(source, "a", CODES, shape=CODES.shape)
    labelled_image(source, "b", np.ones(CODES.shape), shape=CODES.shape)
    [built] = build(data_dir, source)
    labels = {one["scene_id"]: one["label"][:40, :48] for one in read_all(built)}
    assert (labels[b"b"] == classes.THICK_CLOUD).all()


@pytest.mark.parametrize(
    ("level", "kind"),
    [
        ("TOA", Kind.REFLECTANCE),
        ("L1T TOA (factors and sun elevation)", Kind.REFLECTANCE),
        ("L2A surface (offset 1000 removed)", Kind.SURFACE_REFLECTANCE),
        ("SR", Kind.SURFACE_REFLECTANCE),
    ],
)
def test_the_level_tells_the_kind_of_reflectance_and_leaves_kelvin(source, data_dir, level, kind):
    labelled_image(source, "a", CODES, shape=CODES.shape, level=level)
    [one] = read_all(build(data_dir, source)[0])
    assert one["kind"].tolist() == [kind, kind, Kind.BRIGHTNESS_TEMPERATURE]


def test_the_pixel_size_may_stand_in_the_level(source, data_dir):
    labelled_image(source, "a", CODES, shape=CODES.shape, level="L2A surface, 60 m")
    [one] = read_all(build(data_dir, source)[0])
    assert one["gsd_m"] == 60


def test_sensors_and_band_sets_become_data_sets_of_their_own(source, data_dir):
    for i in range(3):
        labelled_image(source, f"s{i}", CODES, shape=CODES.shape)
    labelled_image(source, "two_bands", CODES, shape=CODES.shape, bands=[RED, NIR])
    labelled_image(source, "l8", CODES, shape=CODES.shape, sensor="Landsat-8 OLI/TIRS")
    built = build(data_dir, source)
    names = {path.parent.name: len(read_all(path)) for path in built}
    assert names == {
        "fields-sentinel2a_msi": 3,
        "fields-sentinel2a_msi-2": 1,
        "fields-landsat8_oli_tirs": 1,
    }
    for path in built:
        assert len({len(one["kind"]) for one in read_all(path)}) == 1


def test_two_levels_of_one_scene_are_in_one_split(source, data_dir):
    for i in range(6):
        for level in ("L1C", "L2A"):
            name = f"{i}_{level.lower()}"
            labelled_image(source, name, CODES, shape=CODES.shape, level=level)
    built = build(data_dir, source)
    assert len(built) == 2
    splits = ("train", "validation", "test")
    scenes = [{one["scene_id"] for path in built for one in read(path, s)} for s in splits]
    assert sum(map(len, scenes)) == len(set().union(*scenes)) == 6


def test_all_patches_of_a_large_image_are_there(source, data_dir):
    codes = np.random.default_rng(0).integers(0, 4, (70, 100))
    labelled_image(source, "a", codes, shape=(70, 100), shadow_labelled="True")
    [built] = build(data_dir, source, patch_size=32)
    records = read_all(built)
    assert len(records) == 3 * 4
    counts = np.bincount(np.concatenate([one["label"].ravel() for one in records]), minlength=9)
    assert counts[[1, 2, 4, 8]].tolist() == np.bincount(codes.ravel()).tolist()


# --- What is left out or refused --------------------------------------------------------------


def test_images_without_a_label_are_counted_and_left_out(source, data_dir, capsys):
    labelled_image(source, "a", CODES, shape=CODES.shape)
    labelled_image(source, "b", None)
    labelled_image(source, "c", None)
    [built] = build(data_dir, source)
    assert [one["scene_id"] for one in read_all(built)] == [b"a"]
    assert "2 images without a label file are left out" in capsys.readouterr().err


def test_an_image_without_a_labelled_pixel_is_left_out_and_named(source, data_dir, capsys):
    labelled_image(source, "a", CODES, shape=CODES.shape)
    labelled_image(source, "blank", np.full(CODES.shape, 255), shape=CODES.shape)
    [built] = build(data_dir, source)
    assert [one["scene_id"] for one in read_all(built)] == [b"a"]
    message = "".join(capsys.readouterr().err.split())  # Wrapped wherever the path is long.
    assert "blank.tif:nopixelislabelled,leftout" in message


def test_a_folder_without_labels_is_refused(source, data_dir):
    labelled_image(source, "p100_clear", None)
    labelled_image(source, "p100_cloudy", None)
    with pytest.raises(FileNotFoundError, match="no labels found: none of its 2 images"):
        build(data_dir, source)


def test_an_empty_folder_is_refused(source, data_dir):
    source.mkdir()
    with pytest.raises(FileNotFoundError, match="holds no GeoTIFF images"):
        build(data_dir, source)


def test_where_nothing_can_be_written_no_file_is_read(tmp_path, source, monkeypatch):
    read = []
    labelled_image(source, "a", CODES, shape=CODES.shape)
    monkeypatch.setattr(packing, "inspect", lambda *_: read.append(0))
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file.data: cannot be written \(Not a directory\): choose"):
        build(tmp_path / "file" / "data", source)
    assert not read


def break_image(source: Path) -> None:
    path = source / "b.tif"
    path.write_bytes(path.read_bytes()[:5000])


def break_label(source: Path) -> None:
    (source / "b_label.tif").write_text("no raster")


FAULTS = {
    "cut": (break_image, {}, r"b\.tif: band \d cannot be read"),
    "label": (break_label, {}, r"b_label\.tif: is not a raster file"),
    "sensor": (None, {"sensor": "Kite"}, r"b\.tif: the tag sensor is 'Kite'.*\[sensors\]"),
    "level": (None, {"level": "9"}, r"b\.tif: the tag level is '9'.*\[levels\]"),
    "code": (None, {"codes": np.full((40, 48), 9)}, r"b_label\.tif: holds the codes \[9\]"),
    "size": (None, {"codes": np.ones((8, 8))}, r"b_label\.tif: has 8 x 8 pixels.*40 x 48"),
    "bands": (None, {"bands": [FakeBand("red", 0.665, 31)]}, r"b\.tif: .*micrometres"),
    "scale": (None, {"bands": [FakeBand("red", 665, 31, scale=1)]}, r"b\.tif: .*without a scale"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_is_named_and_stops_the_build_or_is_left_out(source, data_dir, capsys, fault):
    do, options, message = FAULTS[fault]
    labelled_image(source, "a", CODES, shape=CODES.shape)
    labelled_image(source, "b", **{"codes": CODES, "shape": CODES.shape, **options})
    labelled_image(source, "c", CODES, shape=CODES.shape)
    if do:
        do(source)
    with pytest.raises((ValueError, OSError), match=message):
        build(data_dir, source)
    assert not data_dir.exists()
    [built] = build(data_dir, source, keep_going=True)
    assert {one["scene_id"] for one in read_all(built)} == {b"a", b"c"}
    assert f"left out: {source}" in capsys.readouterr().err.replace("\n", "")


def test_when_every_file_is_faulty_nothing_is_made(source, data_dir):
    labelled_image(source, "a", CODES, shape=CODES.shape, sensor="Kite")
    with pytest.raises(ValueError, match=r"no image can be used: .*Kite"):
        build(data_dir, source, keep_going=True)
    assert not data_dir.exists()


# --- The table --------------------------------------------------------------------------------


def edited_table(tmp_path: Path, old: str, new: str) -> Path:
    text = DEFAULT_TABLE.read_text()
    assert old in text
    path = tmp_path / "table.toml"
    path.write_text(text.replace(old, new))
    return path


def test_a_table_of_ones_own_says_what_codes_and_sensors_mean(tmp_path, source, data_dir):
    labelled_image(source, "a", np.full(CODES.shape, 3), shape=CODES.shape, sensor="Kite")
    table = edited_table(tmp_path, '3 = ["cloud_shadow"]', '3 = ["clear", "thin_cloud"]')
    table.write_text(table.read_text().replace('"PlanetScope" =', '"Kite" ='))
    [built] = build(data_dir, source, table=table)
    assert built.parent.name == "fields-planetscope_dove"
    [one] = read_all(built)
    assert (one["label"][:40, :48] == classes.CLEAR | classes.THIN_CLOUD).all()


def test_a_table_may_name_a_sensor_that_its_user_describes(tmp_path, source, data_dir):
    labelled_image(source, "a", CODES, shape=CODES.shape, sensor="Kite")
    table = edited_table(tmp_path, '"PlanetScope" = "planetscope_dove"', '"Kite" = "kite.toml"')
    with pytest.raises(ValueError, match=r"a\.tif: .*kite\.toml: no such file"):
        build(data_dir, source, table=table)
    bands = '[{ name = "red", wavelength_nm = 660, bandwidth_nm = 30 }]'
    lines = ("[[sensor]]", 'name = "my_kite"', 'title = "My kite"', 'source = "its maker"')
    (tmp_path / "kite.toml").write_text("\n".join([*lines, "gsd_m = 1", f"bands = {bands}"]))
    [built] = build(data_dir, source, table=table)
    assert built.parent.name == "fields-my_kite"
    sensors = select_sensors([str(tmp_path / "kite.toml")])
    assert [dataset.path for dataset in find_datasets(data_dir, sensors, "real")] == [built]


def test_a_table_may_choose_the_splits(source, data_dir, tmp_path):
    for name in "abc":
        labelled_image(source, name, CODES, shape=CODES.shape)
    table = edited_table(tmp_path, "# [splits]", "[splits]\ntest = ['b']")
    [built] = build(data_dir, source, table=table)
    scenes = {s: {r["scene_id"] for r in read(built, s)} for s in ("train", "test")}
    assert scenes == {"train": {b"a", b"c"}, "test": {b"b"}}
    table.write_text(table.read_text().replace("['b']", "['d']"))
    with pytest.raises(ValueError, match=r"names 'd', but there is no such scene.* a, b, c"):
        build(tmp_path / "other", source, table=table)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('["thin_cloud"]', '["cirrus"]', "classes are clear, thick_cloud"),
        ("255 = []", "256 = []", "codes are 0 to 255"),
        ("[levels]", "[level]", r"missing \['levels'\], unknown \['level'\]"),
        ('= "surface_reflectance"', '= "ground"', "level 'ground' is none of"),
        ("(.+?)", ".+?", "no group in round brackets"),
        ("(.+?)", "(.+?", "unterminated|missing"),
        ("[codes]", "[codes", "line"),
        ("# [splits]", "[splits]\nexam = ['a']", r"\[splits\] lists scenes for train, val"),
        ("# [splits]", "[splits]\ntrain = ['a']\ntest = ['a']", "each scene once"),
    ],
)
def test_a_faulty_table_is_named(tmp_path, old, new, message):
    path = edited_table(tmp_path, old, new)
    with pytest.raises(ValueError, match=f"table.toml: .*({message})"):
        read_table(path)


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such table"):
        read_table(tmp_path / "no.toml")
