"""What benchmarks count and report, without the trainings and images that they take."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import first_layer
from benchmarks.accuracy import Truth
from benchmarks.csmask import Image
from benchmarks.extremes import squares
from permjax.bands import BandDescription, Kind, describe_bands
from permjax.classes import CLEAR, THICK_CLOUD
from permjax.config import TrainConfig
from permjax.data import find_datasets
from permjax.sensors import select_sensors
from tests.fake_records import write_fake_sensors

RED = describe_bands([660], [30])


def uniform(height: int, width: int, reflectance: float = 0.1, label: int = CLEAR) -> Truth:
    """An image [H, W, 1] that is the same everywhere."""
    image = Image(np.full((height, width, 1), reflectance, np.float32), RED)
    return Truth("folder", Path("a.tif"), image, np.full((height, width), label, np.uint8))


def test_squares_are_whole_and_count_each_pixel_once():
    classes = np.random.default_rng(0).integers(0, 4, (256, 224), np.uint8)
    parts = [square.classes for square in squares(uniform(256, 224), classes)]
    assert [part.size for part in parts] == [128 * 128, 128 * 96] * 2
    assert np.array_equal(np.bincount(np.concatenate(parts)), np.bincount(classes.ravel()))


@pytest.mark.parametrize("shape", [(127, 300), (300, 100)])
def test_an_image_smaller_than_a_square_has_none(shape):
    assert not list(squares(uniform(*shape), np.zeros(shape, np.uint8)))


def test_a_sliver_at_the_edge_is_no_square():
    assert len(list(squares(uniform(130, 128), np.zeros((130, 128), np.uint8)))) == 1


def test_squares_are_called_what_all_their_pixels_are():
    classes = np.zeros((128, 128), np.uint8)
    for reflectance, label, what in (
        (0.1, CLEAR, "clear"),
        (0.5, CLEAR, "clear and bright"),
        (0.5, THICK_CLOUD, "overcast"),
    ):
        truth = uniform(128, 128, reflectance, label)
        assert [square.what for square in squares(truth, classes)] == [what]
    mixed = uniform(128, 128)
    mixed.label[:64] = THICK_CLOUD
    assert not list(squares(mixed, classes))


def test_bands_are_told_as_the_fixed_ones_nearest_to_them():
    kinds = [Kind.REFLECTANCE, Kind.SURFACE_REFLECTANCE, Kind.BRIGHTNESS_TEMPERATURE]
    bands = describe_bands([480, 835, 11_000], [10, 10, 500], kinds)
    fixed = first_layer.to_fixed_bands(bands)
    assert fixed.wavelength_nm.tolist() == [490, 842, 10_900]
    assert fixed.bandwidth_nm.tolist() == [65, 115, 600]
    assert fixed.kind.tolist() == [kinds[0], kinds[0], kinds[2]], "of a level they know nothing"
    batch = BandDescription(*(np.stack([trait, trait[::-1]]) for trait in bands))
    assert first_layer.to_fixed_bands(batch).wavelength_nm[1].tolist() == [10_900, 842, 490]


def test_figures_over_seeds_are_mean_and_deviation_of_a_sample():
    assert first_layer.over_seeds([0.5, 0.7], "landsat8_biome") == "0.600 (0.141)"
    assert first_layer.over_seeds([98, 102], first_layer.MS) == "100 (3)"
    assert first_layer.over_seeds([0.5], "landsat8_biome") == "0.500"


def test_the_report_has_a_table_of_simulated_and_one_of_real_scenes(capsys):
    figures: dict[str, float] = dict.fromkeys((*first_layer.SIMULATED, *first_layer.REAL), 0.5)
    runs = {
        first_layer.run_name(form, seed): figures for form in first_layer.FORMS for seed in (0,)
    }
    first_layer.report(runs, TrainConfig(), 1)
    printed = capsys.readouterr().out
    assert printed.index("simulated scenes") < printed.index("real scenes")
    assert [printed.count(form) for form in ("pairs", "fixed bands")] == [2, 2]


def test_runs_of_other_settings_or_records_are_refused(tmp_path):
    write_fake_sensors(tmp_path, "landsat8_oli_tirs", train=2, test=1)
    datasets = find_datasets(tmp_path, select_sensors(["landsat8_oli_tirs"]), "all")
    file = tmp_path / "first_layer.json"
    settings = first_layer.shared_settings(TrainConfig(), datasets)
    assert settings["records"] == {"fake/landsat8_oli_tirs": [2, 1]}
    assert first_layer.read_runs(file, settings) == {}
    file.write_text(json.dumps({"settings": settings, "runs": {"both, seed 0": {"a": 1.0}}}))
    assert first_layer.read_runs(file, settings) == {"both, seed 0": {"a": 1.0}}
    for other in (TrainConfig(steps=7), TrainConfig(learning_rate=1e-4)):
        with pytest.raises(ValueError, match="other settings or records: move it away"):
            first_layer.read_runs(file, first_layer.shared_settings(other, datasets))
    with pytest.raises(ValueError, match="other settings or records: move it away"):
        first_layer.read_runs(file, first_layer.shared_settings(TrainConfig(), []))
