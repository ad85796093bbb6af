"""How the shipped weights are made: what is trained on, what is held out, what the teacher says."""

import jax.numpy as jnp
import numpy as np
import pytest
import rasterio
from fake_scenes import BANDS, labelled_image
from flax import nnx

from benchmarks import csmask
from benchmarks.accuracy import masker_of_folds
from data_prep.geotiff_folder import packing
from data_prep.geotiff_folder.table import read_table
from data_prep.patches import prepare
from permjax.bands import BandDescription, describe_bands
from permjax.checkpoints import Checkpoints
from permjax.config import TrainConfig, save_config
from permjax.data import find_datasets
from permjax.sensors import SENSORS, select_sensors
from recipes import samples, teacher
from recipes.pretrained import Recipe
from recipes.runs import finished
from recipes.snowfields import SIDE, write_snowfields

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.fixture
def source(tmp_path):
    """The three hand-labelled folders, with 7, 2 and 1 images."""
    for folder, count in zip(samples.LABELLED, (7, 2, 1), strict=True):
        place = tmp_path / "samples" / folder
        place.mkdir(parents=True)
        for number in range(count):
            labelled_image(place, f"{folder[-4:]}{number}", np.full((40, 50), number % 4))
    return tmp_path / "samples"


def test_every_labelled_image_is_held_out_once(source):
    fold_of = samples.folds(source)
    assert len(fold_of) == 10
    assert sorted(fold_of.values()) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_a_fold_trains_on_all_but_what_it_holds_out(source, tmp_path):
    recipe = Recipe(tmp_path / "recipe", source)
    (recipe.folder / "records" / "simulated").mkdir(parents=True)
    for fold in range(samples.FOLDS):
        test = {path for path, own in samples.folds(source).items() if own == fold}
        records = recipe.records_of_fold(fold)
        assert (records / "simulated").is_symlink()
        seen = {
            record["scene_id"].decode()
            for dataset in find_datasets(records, list(SENSORS.values()), "real")
            for record in dataset.records("train")
        }
        assert seen == {path.stem for path in samples.folds(source)} - {p.stem for p in test}


def test_an_added_image_does_not_shift_folds_that_were_packed(source, tmp_path):
    recipe = Recipe(tmp_path / "recipe", source)
    for name in ("simulated", "clouded"):
        (recipe.folder / "records" / name).mkdir(parents=True)
    packed = recipe.records_of_fold(1)
    assert recipe.records_of_fold(1) == packed, "the same images are no fault"
    labelled_image(source / samples.LABELLED[0], "added", np.zeros((40, 50)))
    with pytest.raises(ValueError, match=r"landsat8_biome\.toml.* remove .*records_fold1 and the"):
        recipe.records_of_fold(1)


def test_a_folder_that_has_come_to_be_held_out_whole_is_not_left_in_training(source, tmp_path):
    """With one image more in the folder before it, its only image tests in another fold."""
    recipe = Recipe(tmp_path / "recipe", source)
    for name in ("simulated", "clouded"):
        (recipe.folder / "records" / name).mkdir(parents=True)
    recipe.records_of_fold(0)
    labelled_image(source / samples.LABELLED[1], "zzz", np.zeros((40, 50)))
    assert samples.folds(source)[source / samples.LABELLED[2] / "ukis0.tif"] == 0
    with pytest.raises(ValueError, match=r"sentinel2_ukis\.toml.* remove .*records_fold0 and the"):
        recipe.records_of_fold(0)


def stop(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_stopped_build_of_several_data_sets_begins_anew(tmp_path, monkeypatch):
    pictures, records, table = tmp_path / "two", tmp_path / "records", tmp_path / "two.toml"
    labelled_image(pictures, "a", np.zeros((40, 50)))
    labelled_image(pictures, "b", np.zeros((40, 50)), bands=BANDS[:2])
    calls = iter([prepare, stop])

    def first_alone(builder):
        return next(calls)(builder)

    monkeypatch.setattr(packing, "prepare", first_alone)
    with pytest.raises(KeyboardInterrupt):
        samples.pack_source(records, pictures, table, ())
    assert len(list(records.glob("geotiff_folder/*"))) == 1
    monkeypatch.setattr(packing, "prepare", prepare)
    for _ in range(2):
        samples.pack_source(records, pictures, table, ())
        assert len(list(records.glob("geotiff_folder/*/*/dataset_info.json"))) == 2
        assert not list(records.glob("*.unfinished"))


def test_data_sets_that_are_there_stay(tmp_path):
    (tmp_path / "records" / "clouded" / "two-sentinel2a_msi").mkdir(parents=True)
    samples._build_once(tmp_path / "records", "clouded", tmp_path / "two", stop)


def test_a_folder_that_was_stopped_half_way_is_made_anew(tmp_path):
    def half(place):
        place.mkdir()
        (place / "first").touch()
        stop()

    def whole(place):
        place.mkdir()
        (place / "second").touch()

    with pytest.raises(KeyboardInterrupt):
        samples._make_once(tmp_path / "made", half)
    samples._make_once(tmp_path / "made", whole)
    samples._make_once(tmp_path / "made", stop)
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "second"]


def stopped_run(workdir, step, steps):
    save_config(TrainConfig(workdir=workdir, steps=steps))
    with Checkpoints(workdir) as checkpoints:
        checkpoints.save(step, nnx.State({"weight": jnp.zeros(2)}), {"count": jnp.zeros(1)}, {})
    return workdir


def test_a_run_that_was_stopped_is_not_gone_on_from(source, tmp_path):
    recipe = Recipe(tmp_path, source)
    stopped_run(tmp_path / "base", 250, 300)
    for stage in (recipe.folds, recipe.final):
        with pytest.raises(ValueError, match="base has come to step 250 of 300: let it train on"):
            stage()
    whole = stopped_run(tmp_path / "whole", 300, 300)
    assert finished(whole) == whole


def test_the_benchmark_scores_no_fold_that_was_stopped_or_held_others_out(source, tmp_path):
    fold_of = samples.folds(source)
    image = next(iter(fold_of))
    stopped_run(tmp_path / "fold0", 250, 700)
    with pytest.raises(ValueError, match=r"landsat8_biome\.toml.* is gone: remove"):
        masker_of_folds(tmp_path, fold_of)(image)
    tables = tmp_path / "tables" / "fold0"
    for name in samples.LABELLED:
        test = [p.stem for p, fold in fold_of.items() if fold == 0 and p.parent.name == name]
        samples.write_table(tables / f"{name}.toml", test)
    with pytest.raises(ValueError, match="fold0 has come to step 250 of 700"):
        masker_of_folds(tmp_path, fold_of)(image)
    samples.write_table(tables / f"{image.parent.name}.toml", ["other"])
    with pytest.raises(ValueError, match="would be another today"):
        masker_of_folds(tmp_path, fold_of)(image)


def test_virtual_sensors_survive_their_files(tmp_path):
    samples.write_virtual_sensors(tmp_path)
    names = sorted(map(str, tmp_path.glob("*.toml")))
    read = {sensor.name: sensor.bands for sensor in select_sensors(names)}
    assert read == {sensor.name: sensor.bands for sensor in samples.virtual_sensors()}


def test_snowfields_are_made_of_the_spectra_of_their_list(tmp_path):
    (tmp_path / "pixels").mkdir()
    spectra = np.random.default_rng(0).integers(1000, 9000, (3, 50)).astype(np.uint16)
    profile = {"driver": "GTiff", "height": 50, "width": 1, "count": 3, "dtype": "uint16"}
    with rasterio.open(tmp_path / "pixels" / "ice.tif", "w", **profile) as file:
        file.write(spectra[..., None])
        file.scales = [1e-4] * 3
        file.update_tags(sensor="x", shadow_labelled="False")
        file.update_tags(2, wavelength_nm=560)
    write_snowfields(tmp_path / "pixels", tmp_path / "made", count=2)
    assert len(list((tmp_path / "made").glob("ice_?.tif"))) == 2
    with rasterio.open(tmp_path / "made" / "ice_1.tif") as file:
        image = file.read().reshape(3, -1)
        assert file.scales == (1e-4,) * 3
        assert file.tags(2)["wavelength_nm"] == "560"
        assert file.tags()["shadow_labelled"] == "True"
    assert {tuple(pixel) for pixel in image.T} <= {tuple(pixel) for pixel in spectra.T}
    bright = image.mean(0).reshape(SIDE, SIDE)
    apart = np.abs(bright - np.roll(bright, SIDE // 2, 1)).mean()
    assert np.abs(np.diff(bright)).mean() < apart / 2, "neighbours look alike"


def test_the_teacher_labels_what_it_is_sure_of():
    probable = np.array([[[0.9, 0.1, 0], [0.2, 0.75, 0.05], [0.35, 0, 0.65], [0.7, 0.3, 0]]])
    assert teacher.sure_codes(probable.astype(np.float32)).tolist() == [[0, 1, 3, 255]]


def test_taught_folders_have_links_and_labels(tmp_path, monkeypatch):
    unlabelled = tmp_path / "more"
    unlabelled.mkdir()
    labelled_image(unlabelled, "seen", np.zeros((40, 50)))
    labelled_image(unlabelled, "new", None)
    sure = np.tile(np.array([0, 1, 0], np.float32), (40, 50, 1))
    monkeypatch.setattr(teacher, "probabilities", lambda images: [sure] * len(images))
    teacher.label_folders([unlabelled], tmp_path / "taught")
    names = {path.name for path in (tmp_path / "taught").iterdir()}
    assert names == {"more_new.tif", "more_new_label.tif"}
    with rasterio.open(tmp_path / "taught" / "more_new_label.tif") as file:
        assert (file.read() == 1).all()


def named(*sensor: str) -> dict[str, int]:
    return csmask._named_bands(SENSORS[sensor[0]].describe(sensor[1:] or None))


def test_the_peer_gets_the_bands_it_takes():
    six = {"blue": 1, "green": 2, "red": 3, "nir": 4, "swir16": 5, "swir22": 6}
    assert named("landsat8_oli_tirs") == six
    assert list(named("sentinel2a_msi").values()) == [1, 2, 3, 8, 11, 12]
    assert named("planetscope_dove") == {"blue": 0, "green": 1, "red": 2, "nir": 3}
    assert named("landsat8_oli_tirs", "B2", "B3", "B4", "B5", "B6").keys() == {*six} - {
        "swir16",
        "swir22",
    }
    assert named("landsat5_mss") == {}


def test_the_peer_gets_no_thermal_band_and_no_small_image():
    bands = describe_bands([490, 560, 665, 842, 10_900], [65, 35, 30, 115, 600], [0, 0, 0, 0, 2])
    image = csmask.Image(np.full((9, 7, 5), np.nan, np.float32), bands)
    assert isinstance(bands, BandDescription)
    taken = csmask._taken(image, csmask._named_bands(bands))
    assert taken.shape == (256, 256, 4)
    assert not taken.any()


def test_tables_hold_out_what_they_are_told_to(tmp_path):
    table = samples.write_table(tmp_path / "a" / "b.toml", ["x", "y"])
    read = read_table(table)
    assert read.assign_splits(["x", "y", "z"]) == {"x": "test", "y": "test", "z": "train"}
