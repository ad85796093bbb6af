"""Simulated clouds over real ground: what changes, what stays, what the labels say."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from fake_scenes import RED as RED_TAGS
from fake_scenes import labelled_image
from fake_weather import CIRRUS, LANDSAT8, NIR, RED, SENTINEL2A, make_layer, make_weather

from data_prep import build
from data_prep.patches import Patch, assign_splits
from data_prep.simulated import over_ground
from data_prep.simulated.clouds import Layer
from data_prep.simulated.instrument import response
from data_prep.simulated.light import Light, band_air
from data_prep.simulated.over_ground import cloud_over, draw_square
from data_prep.simulated.scene import MARGIN, sky_over
from data_prep.simulated.weather import draw
from permjax.bands import Kind
from permjax.classes import CLEAR, CLEAR_OR_SHADOW, CLOUD_SHADOW, THICK_CLOUD, UNLABELLED
from permjax.data import find_datasets
from permjax.sensors import SENSORS, Sensor

SIZE = 48
SIDE = SIZE + 2 * MARGIN
LOW = replace(make_layer(1.0), depth=60.0, fullness=0.2)
HIGH = replace(make_layer(11.0, "ice", 30), depth=60.0, fullness=0.2)


def ground(level: float, sensor: Sensor = LANDSAT8) -> np.ndarray:
    """Uneven ground about a reflectance, as large as the simulator needs."""
    rng = np.random.default_rng(0)
    uneven = level * rng.uniform(0.8, 1.2, (SIDE, SIDE, len(sensor.bands)))
    return uneven.astype(np.float32)


def clouded(image: np.ndarray, seed: int = 1, sensor: Sensor = LANDSAT8, **options: Any) -> Patch:
    given = {"label": np.full(image.shape[:2], CLEAR, np.uint8), "bands": sensor.describe()}
    given |= {"gsd_m": sensor.gsd_m, "sun_elevation_deg": np.nan, "size": SIZE} | options
    return cloud_over(seed, image, sensor=sensor, scene_id="place", **given)


def middle(image: np.ndarray) -> np.ndarray:
    """What a patch shows of an image as large as the simulator needs, thermal bands left out."""
    thermal = LANDSAT8.describe().kind == Kind.BRIGHTNESS_TEMPERATURE
    return image[MARGIN:-MARGIN, MARGIN:-MARGIN, ~thermal]


@pytest.fixture
def sky(monkeypatch):
    """Sets the layers of the weather, whatever the seed."""

    def set_layers(*layers: Layer) -> None:
        monkeypatch.setattr(over_ground.weathers, "draw", lambda _: make_weather(layers=layers))

    return set_layers


# --- The light ------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.01, 0.3, 1.1])
def test_without_cloud_the_image_stays_to_the_bit(sky, level):
    sky(replace(LOW, threshold=50.0), replace(HIGH, threshold=50.0))
    image = ground(level)
    patch = clouded(image)
    np.testing.assert_array_equal(patch.image, middle(image))
    assert (patch.label == CLEAR).all()


def test_thick_cloud_brightens_dark_ground_and_is_labelled(sky):
    sky(LOW)
    image = ground(0.05)
    patch = clouded(image)
    thick = patch.label == THICK_CLOUD
    assert 0.1 < thick.mean() < 0.9
    assert (patch.image - middle(image))[thick][:, [RED, NIR]].min() > 0.1
    clear = patch.label == CLEAR
    assert np.abs(patch.image - middle(image))[clear].max() < 0.05


@pytest.mark.parametrize("level", [0.15, 0.4, 0.8])
def test_shadow_is_darker_than_the_ground_was(sky, level):
    sky(LOW)
    image = ground(level)
    patch = clouded(image)
    shadow = patch.label == CLOUD_SHADOW
    assert shadow.mean() > 0.02
    ratio = patch.image[shadow] / middle(image)[shadow]
    assert np.median(ratio[:, NIR]) < 0.75
    assert (ratio[:, [RED, NIR]] < 1).mean() > 0.97


def test_no_detail_of_the_ground_shows_through_thick_cloud(sky):
    """Also where no ground of the simulator's is as bright or as dark."""
    sky(replace(LOW, threshold=-50.0))
    for level in (0.005, 0.3, 1.3):
        image = ground(level)
        patch = clouded(image)
        assert (patch.image.std((0, 1)) < 0.05 * middle(image).std((0, 1))).all()


def test_the_cirrus_band_sees_high_cloud_only(sky):
    image = ground(0.1)
    image[..., CIRRUS] = 0.002
    for layer, least, most in ((LOW, 0.0, 0.01), (HIGH, 0.1, 1.0)):
        sky(layer)
        patch = clouded(image)
        thick = patch.label == THICK_CLOUD
        assert thick.any()
        assert least <= np.median(patch.image[thick][:, CIRRUS]) - 0.002 < most


def test_coarse_bands_see_coarse_clouds(sky):
    sky(LOW)
    image = np.full((SIDE, SIDE, len(SENTINEL2A.bands)), 0.1, np.float32)
    patch = clouded(image, sensor=SENTINEL2A)
    steps = np.abs(np.diff(patch.image, axis=0)).max((0, 1))
    fine, coarse = (
        [n for n, band in enumerate(SENTINEL2A.bands) if band.gsd_m == gsd_m and steps[n] > 0.01]
        for gsd_m in (10, 60)
    )
    assert fine
    assert coarse
    for n in coarse:  # Six pixels hold one value, or lie on a line.
        second = np.diff(patch.image[..., n], n=2, axis=0)
        assert np.median(np.abs(second)) < 0.2 * np.median(
            np.abs(np.diff(patch.image[..., 1], n=2, axis=0))
        )


def test_the_clear_formula_is_inverted():
    weather = make_weather(layers=[LOW])
    plane = over_ground._plane(weather, SIDE)
    skies = [sky_over(LOW, over_ground.Grid(30.0, SIDE), weather, plane)]
    light = Light(plane, skies, weather, 30.0)
    air = band_air(weather, response(LANDSAT8.bands, LANDSAT8.name))
    surface = np.random.default_rng(0).uniform(0, 1, (SIDE, SIDE)).astype(np.float32)
    for n in (0, RED, NIR):
        seen = light.cloudless(surface, air, n)
        np.testing.assert_allclose(light.surface_below(seen, air, n), surface, atol=1e-5)


def test_surface_reflectance_comes_to_the_top_of_the_atmosphere(sky):
    sky(replace(LOW, threshold=50.0))
    image = ground(0.03)
    patch = clouded(image, bands=LANDSAT8.describe(surface=True))
    assert (patch.bands.kind == Kind.REFLECTANCE).all()
    assert (patch.image[..., 0] > middle(image)[..., 0] + 0.03).all()  # Blue: molecules.
    assert patch.sun_elevation_deg == 45


# --- Labels and gaps ------------------------------------------------------------------------


def test_ground_that_is_not_surely_clear_is_labelled_under_thick_cloud_only(sky):
    sky(LOW)
    image = ground(0.2)
    before = clouded(image).label
    label = np.full((SIDE, SIDE), CLEAR, np.uint8)
    label[: SIDE // 2] = CLEAR_OR_SHADOW
    after = clouded(image, label=label).label
    half = SIZE // 2
    np.testing.assert_array_equal(after[half:], before[half:])
    thick = before[:half] == THICK_CLOUD
    assert thick.any()
    assert (after[:half] == np.where(thick, THICK_CLOUD, UNLABELLED)).all()


def test_shadow_on_dark_water_may_be_clear(sky):
    sky(LOW)
    weather = make_weather(layers=[LOW])
    air = band_air(weather, response(LANDSAT8.bands, LANDSAT8.name))
    black = (air.path_low + air.path_high + air.path_top) * np.ones((SIDE, SIDE, 1), np.float32)
    label = clouded(black.astype(np.float32)).label
    assert not (label == CLOUD_SHADOW).any()
    assert (label == CLEAR_OR_SHADOW).mean() > 0.02


def test_no_data_stays_no_data(sky):
    sky(LOW)
    image = ground(0.2)
    whole = clouded(image)
    image[20:40, 30:50] = np.nan
    image[50:55, :, RED] = np.nan
    patch = clouded(image)
    np.testing.assert_array_equal(np.isnan(patch.image), np.isnan(middle(image)))
    gone = np.isnan(middle(image)).all(-1)
    assert (patch.label[gone] == UNLABELLED).all()
    np.testing.assert_array_equal(patch.label[~gone], whole.label[~gone])


# --- Seeds ----------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_patch_to_the_bit():
    image = np.tile(ground(0.2), (2, 2, 1))
    first, second, other = (clouded(image, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.label, second.label)
    assert not np.array_equal(first.image, other.image)
    assert first.scene_id == "clouded_place_5"


def test_there_is_always_a_cloud_layer_and_the_sun_is_the_images():
    assert any(not draw(seed).layers for seed in range(30))
    for seed in range(30):
        weather = over_ground._cloudy_weather(seed, 3.0)
        assert weather.layers
        assert weather.climate.sun_elevation_deg == over_ground.LOWEST_SUN_DEG
    assert clouded(ground(0.2), sun_elevation_deg=51.0).sun_elevation_deg == 51


def test_an_image_that_cannot_be_used_is_refused():
    with pytest.raises(ValueError, match=r"70 x 72 pixels is too small: patches of 48 .* 72 x 72"):
        draw_square(0, 70, 72, SIZE)
    thermal = [
        n for n, band in enumerate(LANDSAT8.bands) if band.kind == Kind.BRIGHTNESS_TEMPERATURE
    ]
    bands = LANDSAT8.describe([LANDSAT8.bands[n].name for n in thermal])
    with pytest.raises(ValueError, match="place: clouds need bands of reflectance"):
        clouded(ground(280.0)[..., thermal], bands=bands)


# --- The command ----------------------------------------------------------------------------


def command(source: Path, data_dir: Path, *more: str) -> int:
    given = [f"--source={source}", f"--data_dir={data_dir}", "--patch_size=32"]
    return build.main(["clouded", *given, *more])


def test_a_folder_is_put_under_clouds_from_the_command_line(tmp_path, capsys):
    source, data_dir = tmp_path / "fields", tmp_path / "data"
    cloudy = np.zeros((64, 64))
    cloudy[:40] = 1
    splits = assign_splits("abcdef")
    trained = [name for name, split in splits.items() if split == "train"]
    for name in "abcdef":
        codes = cloudy if name == trained[0] else np.zeros((64, 64))
        labelled_image(source, name, codes, shape=(64, 64), shadow_labelled="True")
    assert command(source, data_dir, "--copies=2") == 0
    captured = capsys.readouterr()
    assert f"{6 - len(trained)} of scenes that validate or test" in captured.err
    assert "1 less than 60% surely clear" in captured.err
    [found] = find_datasets(data_dir, [SENSORS["sentinel2a_msi"]], "real")
    assert found.name == "clouded/fields-sentinel2a_msi"
    assert list(tfds.builder_from_directory(found.path).info.splits) == ["train"]
    records = list(found.records("train"))
    scenes = sorted(one["scene_id"].decode().split("_")[1] for one in records)
    assert scenes == sorted(2 * trained[1:])
    assert len({one["scene_id"] for one in records}) == len(records)
    assert {one["image"].shape for one in records} == {(32, 32, 2)}  # Without the thermal band.
    assert command(source, data_dir) == 1
    assert "there is a data set already" in capsys.readouterr().err


def test_a_folder_without_clear_images_is_refused_in_a_sentence(tmp_path, capsys):
    source, data_dir = tmp_path / "fields", tmp_path / "data"
    for name in "abc":
        labelled_image(source, name, np.ones((64, 64)), shape=(64, 64), bands=[RED_TAGS])
    assert command(source, data_dir) == 1
    message = f"error: {source}: no image can be put under clouds: "
    [said] = capsys.readouterr().err.splitlines()
    assert said.startswith(message)
    assert "1 less than 60% surely clear" in said
    assert not data_dir.exists()
