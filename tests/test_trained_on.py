"""Bands that lie outside what the weights were trained on are told of."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fake_models import brightness
from fake_scenes import FakeBand, tagged_geotiff
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

import permjax
from permjax.averaging import halfway
from permjax.bands import BandDescription, Kind, describe_bands
from permjax.checkpoints import Checkpoints, load_model
from permjax.config import TrainConfig, save_config
from permjax.export_weights import export_weights
from permjax.inference import Masker
from permjax.models import CloudMasker, ModelConfig
from permjax.sensors import SENSORS
from permjax.trained_on import TrainedOn, bands_outside, covered, merge
from permjax.weights import PRETRAINED, read_trained_on, read_weights, write_weights
from tests.fake_records import write_fake_sensors

SMALL = ModelConfig(features=(4, 6), descriptor_size=4)
LANDSAT8, SENTINEL2 = SENSORS["landsat8_oli_tirs"], SENSORS["sentinel2a_msi"]
KNOWN = merge([covered(LANDSAT8.describe()), covered(LANDSAT8.describe(surface=True))])

descriptions = st.builds(
    lambda centre, share, kind: describe_bands([centre], [centre * share], [kind]),
    st.floats(3_000, 5_000, width=32),  # Where a band of any kind may lie.
    st.floats(0.002, 0.9),
    st.sampled_from(list(Kind)),
)


def outside(bands: BandDescription, trained_on: TrainedOn | None) -> str | None:
    return bands_outside(bands, np.ones(len(bands.kind), bool), trained_on, "by hand")


# --- Ranges ---------------------------------------------------------------------------------


@given(st.lists(descriptions, min_size=1, max_size=12), st.randoms())
def test_every_trained_band_is_inside_whatever_the_order(trained, random):
    known = merge(map(covered, trained))
    assert all(outside(bands, known) is None for bands in trained)
    random.shuffle(trained)
    assert merge([*map(covered, trained), known]) == known
    for ranges in known.values():
        edges = np.ravel(ranges)
        assert (np.diff(edges) > 0).all()


def test_ranges_that_touch_become_one():
    bands = describe_bands([500, 540, 620, 3_900, 3_900], [40, 40, 20, 200, 100], [0, 0, 0, 0, 2])
    assert merge([covered(bands)]) == {
        "reflectance": [(480, 560), (610, 630), (3_800, 4_000)],
        "brightness_temperature": [(3_850, 3_950)],
    }


# --- The notice -----------------------------------------------------------------------------


def test_a_band_elsewhere_is_named_with_the_weights_and_what_they_know():
    bands = describe_bands([561, 12_000, 3_750], [57, 900, 180], [0, 2, 2])
    assert outside(bands, {"brightness_temperature": [(10_600, 12_504)], **KNOWN}) == (
        "the weights by hand were not trained on brightness_temperature at 3750 nm (band 3), only "
        "at 10599-11181, 11506-12504 nm; the mask may be worse for it: mask without such bands to "
        "compare"
    )


def test_where_no_band_is_known_the_mask_is_not_to_be_relied_on():
    bands = describe_bands([490, 3_750], [65, 180], [1, 2])
    known = {"reflectance": [(450, 900)], "brightness_temperature": [(10_000, 12_000)]}
    assert outside(bands, known) == (
        "the weights by hand were not trained on surface_reflectance at 490 nm (band 1), nor at "
        "any other wavelength; nor on brightness_temperature at 3750 nm (band 2), only at "
        "10000-12000 nm; there are no other bands, so do not rely on the mask"
    )


@pytest.mark.parametrize("surface", [False, True])
@pytest.mark.parametrize("sensor", [LANDSAT8, SENTINEL2], ids=lambda sensor: sensor.name)
def test_shipped_weights_know_the_bands_of_landsat_8_and_sentinel_2(sensor, surface):
    known = read_trained_on(PRETRAINED)
    assert known is not None
    assert outside(sensor.describe(surface=surface), known) is None


def test_an_array_is_told_of_once_however_many_windows():
    image = np.random.default_rng(0).uniform((0.1, 280), (1, 300), (37, 53, 2)).astype(np.float32)
    bands = {"wavelength_nm": [561, 3_750], "bandwidth_nm": [57, 180], "kind": [0, 2]}
    masker = Masker(brightness, window_size=16, weights="by hand", trained_on=KNOWN)
    with pytest.warns(UserWarning, match=r"the image: the weights by hand .* 3750 nm") as told:
        masker.predict(image, **bands)
    assert len(told) == 1
    assert told[0].filename == __file__
    image[..., 1] = np.nan  # What is left out makes nothing worse.
    with pytest.warns(UserWarning, match="left out: 3750 nm") as told:
        masker.predict(image, **bands)
    assert len(told) == 1
    Masker(brightness).predict(image[..., :1], wavelength_nm=[3_750], bandwidth_nm=[180])


def test_the_command_line_tells_once_a_scene(run, dn, tmp_path, monkeypatch):
    write_weights(CloudMasker(SMALL, rngs=nnx.Rngs(0)), "small", tmp_path / "weights", KNOWN)
    monkeypatch.setattr("permjax.mask_command.PRETRAINED", tmp_path / "weights")
    monkeypatch.setattr("permjax.inference.SCENE_WINDOW_SIZE", 48)
    bands = [FakeBand("red", 665, 31), FakeBand("mir", 3_750, 180, unit="K", scale=1e-2)]
    for name in "ab":
        tagged_geotiff(tmp_path / f"{name}.tif", np.tile(dn[[0, 2]], (1, 5, 6)), bands)
    masks = f"--output_dir={tmp_path / 'masks'}"
    status, _, err = run("mask", tmp_path / "a.tif", tmp_path / "b.tif", masks)
    assert status == 0, err
    assert err.count("were not trained on brightness_temperature at 3750 nm (band 2)") == 2
    assert "warning: a: the weights small were not" in err
    assert "warning: b: the weights small were not" in err


# --- With the weights -----------------------------------------------------------------------


def test_what_is_written_is_read_and_older_weights_do_not_tell(tmp_path):
    write_weights(CloudMasker(SMALL, rngs=nnx.Rngs(0)), "small", tmp_path, KNOWN)
    assert read_trained_on(tmp_path) == KNOWN
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    del config["trained_on"]
    path.write_text(json.dumps(config))
    assert read_trained_on(tmp_path) is None
    for wrong in ([], {"warmth": []}, {"reflectance": [[1]]}, {"reflectance": [["a", 2]]}):
        path.write_text(json.dumps(config | {"trained_on": wrong}))
        with pytest.raises(ValueError, match="does not describe weights: install permjax again"):
            read_trained_on(tmp_path)


def test_load_pretrained_tells(tmp_path, monkeypatch):
    write_weights(CloudMasker(SMALL, rngs=nnx.Rngs(0)), "small", tmp_path, KNOWN)
    monkeypatch.setattr("permjax.weights.PRETRAINED", tmp_path)
    with pytest.warns(UserWarning, match=r"the weights small .* do not rely on the mask"):
        permjax.load_pretrained().predict(
            np.full((20, 20, 1), 280.0),
            wavelength_nm=[3_750],
            bandwidth_nm=[180],
            kind="brightness_temperature",
        )


def a_run(workdir: Path, sensor: str, **settings) -> None:
    """A run with records and a checkpoint, as if trained."""
    config = TrainConfig(sensors=(sensor,), workdir=workdir, data="real", model=SMALL, **settings)
    save_config(config)
    write_fake_sensors(config.records_dir, sensor, train=1, test=1)
    with Checkpoints(workdir) as checkpoints:
        params = nnx.state(CloudMasker(SMALL, rngs=nnx.Rngs(0)))
        checkpoints.save(1, params, {"count": jnp.zeros(1)}, {})


def test_exported_weights_tell_of_the_records_of_their_run_and_of_the_one_before(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    a_run(first, LANDSAT8.name, surface_share=0.2)
    export_weights(first, "one", tmp_path / "one")
    assert read_trained_on(tmp_path / "one") == KNOWN
    a_run(second, SENTINEL2.name, surface_share=0.0, init=str(first))
    export_weights(second, "two", tmp_path / "two")
    assert read_trained_on(tmp_path / "two") == merge([KNOWN, covered(SENTINEL2.describe())])


def test_a_run_without_its_records_is_not_exported(tmp_path):
    a_run(tmp_path / "run", LANDSAT8.name)
    (tmp_path / "run" / "data").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="told by its records, so bring them back: no real"):
        export_weights(tmp_path / "run", "one", tmp_path / "one")
    assert not (tmp_path / "one").exists()


def test_halfway_is_the_mean_of_the_first_and_the_last_weights(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    a_run(first, LANDSAT8.name, surface_share=0.2)
    a_run(second, SENTINEL2.name, surface_share=0.0, init=str(first))
    with Checkpoints(second) as checkpoints:
        params = nnx.state(load_model(second))
        last = jax.tree.map(lambda x: x + 1, params)
        checkpoints.save(2, last, {"count": jnp.zeros(1)}, {})
    before = jax.tree.leaves(nnx.state(load_model(first)))
    mean = jax.tree.leaves(nnx.state(halfway(second)))
    for ours, a, b in zip(mean, before, jax.tree.leaves(last), strict=True):
        np.testing.assert_allclose(ours, (a + b) / 2, rtol=1e-6)
    export_weights(second, "mean", tmp_path / "mean", halfway=True)
    written = jax.tree.leaves(nnx.state(read_weights(tmp_path / "mean")))
    for ours, expected in zip(written, mean, strict=True):
        np.testing.assert_allclose(ours, expected, atol=2e-3)
    with pytest.raises(ValueError, match="started from random weights: it has no halfway"):
        halfway(first)
