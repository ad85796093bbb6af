import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rasterio
from affine import Affine
from fake_scenes import landsat_folder, tagged_geotiff
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning

from permjax.bands import BandDescription, describe_bands
from permjax.classes import CLASS_COUNT, COLOURS, NO_DATA, CloudClass
from permjax.inference import Masker
from permjax.models import CloudMasker, ModelConfig
from permjax.scenes import open_scene
from permjax.styles import recode, refine
from permjax.windows import STEPS_AFTER, STEPS_BEFORE

# Uneven, so that no digital number lies halfway between two classes.
CENTRES = (0.1, 0.40003, 0.6001, 0.80007)
BANDS = {"wavelength_nm": [665, 833], "bandwidth_nm": [31, 106]}
DESCRIBED = describe_bands([665, 833], [31, 106])


def brightness(image, bands, valid):
    """A model of single pixels: the brighter the valid bands, the higher the class."""
    there = valid[:, None, None, :] & jnp.isfinite(image)
    reflected = there & (bands.kind < 2)[:, None, None, :]
    mean = jnp.where(reflected, image, 0).sum(-1) / jnp.maximum(reflected.sum(-1), 1)
    return -50 * (mean[..., None] - jnp.array(CENTRES)) ** 2


@pytest.fixture
def image() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform(0, 1, (37, 53, 2)).astype(np.float32)


def classes_by_hand(image: np.ndarray) -> np.ndarray:
    distance = np.abs(image.mean(-1)[..., None] - CENTRES)
    return distance.argmin(-1)


def test_classes_are_the_most_probable_and_probabilities_sum_to_one(image):
    mask = Masker(brightness).predict(image, **BANDS)
    assert mask.probabilities.shape == (37, 53, CLASS_COUNT)
    assert mask.probabilities.dtype == np.float32
    assert mask.classes.dtype == np.uint8
    np.testing.assert_allclose(mask.probabilities.sum(-1), 1, rtol=1e-6)
    np.testing.assert_array_equal(mask.classes, classes_by_hand(image))


@settings(max_examples=6)  # Each compiles anew.
@given(height=st.integers(1, 80), width=st.integers(1, 80), window_size=st.integers(12, 40))
def test_windows_together_are_the_whole(height, width, window_size):
    """For a model of single pixels, whatever the sizes, and with holes in the data."""
    rng = np.random.default_rng([height, width])
    image = rng.uniform(0, 1, (height, width, 2)).astype(np.float32)
    image[rng.uniform(size=(height, width)) < 0.3] = np.nan
    whole = Masker(brightness).predict(image, **BANDS)
    tiled = Masker(brightness, window_size=window_size).predict(image, **BANDS)
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-5)
    assert ((tiled.classes == NO_DATA) == np.isnan(image).all(-1)).all()


def cloud_masker(features=(8, 8, 8), seed=0) -> CloudMasker:
    """A model that uses all the context it can, which a new one does not: its ups are zero."""
    model = CloudMasker(ModelConfig(features=features, descriptor_size=6), rngs=nnx.Rngs(seed))
    for up in model.ups:
        key = jax.random.key(seed)
        up.kernel[...] = jax.random.normal(key, up.kernel.shape) * 0.5
    return model


CONTEXT = Masker(cloud_masker())


@pytest.mark.parametrize("shape", [(160, 200), (203, 131), (97, 230)])
def test_windows_of_a_model_with_context_are_the_whole(shape):
    """No seams: with weights at random, far context included."""
    rng = np.random.default_rng(0)
    image = rng.uniform(0.1, 1, (*shape, 2)).astype(np.float32)
    model = cloud_masker()
    whole = Masker(model).predict(image, **BANDS)
    tiled = Masker(model, window_size=112).predict(image, **BANDS)
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-5)
    np.testing.assert_array_equal(tiled.classes, whole.classes)


def test_an_image_of_whole_steps_is_masked_as_the_model_does():
    image = np.random.default_rng(0).uniform(0.1, 1, (128, 64, 2)).astype(np.float32)
    model, bands = cloud_masker(), DESCRIBED
    batch = (image[None], BandDescription(*(part[None] for part in bands)), np.ones((1, 2), bool))
    expected = jax.nn.softmax(model(*batch))[0]
    mask = Masker(model).predict(image, **BANDS)
    np.testing.assert_allclose(mask.probabilities, expected, atol=1e-5)


@pytest.mark.parametrize("features", [(8, 8), (8, 8, 8, 8)])
def test_a_model_sees_no_farther_than_its_windows_allow(features):
    """The gradient by the image is zero beyond; and not far within, so little is wasted."""
    model = cloud_masker(features)
    size = 16 * model.step
    bands = BandDescription(*(part[None, :1] for part in DESCRIBED))
    image = np.random.default_rng(0).uniform(0.1, 1, (1, size, size, 1)).astype(np.float32)

    def at(pixel, image):
        return (model(image, bands, np.ones((1, 1), bool))[0, pixel, pixel] ** 2).sum()

    before, after = [], []
    for pixel in (8 * model.step, 9 * model.step - 1):
        seen = np.abs(jax.jit(jax.grad(partial(at, pixel)))(image)[0, :, :, 0]).sum(1).nonzero()[0]
        before.append(pixel - seen.min())
        after.append(seen.max() - pixel)
    assert (STEPS_BEFORE - 2) * model.step < max(before) <= STEPS_BEFORE * model.step
    assert (STEPS_AFTER - 3) * model.step < max(after) <= STEPS_AFTER * model.step


def test_images_of_many_sizes_and_windows_share_compiled_shapes(image):
    shapes = []

    def model(image, bands, valid):
        shapes.append(image.shape)
        return brightness(image, bands, valid)

    masker = Masker(model, window_size=16)
    masker.predict(image, **BANDS)
    masker.predict(image[::-1], **BANDS)
    assert len(shapes) == 1
    masker = Masker(model)
    shapes.clear()
    for size in range(97, 113):
        masker.predict(np.full((size, size, 2), 0.5), **BANDS)
    assert len(shapes) == 1


def test_a_flax_module_is_masked_with(image):
    class Line(nnx.Module):
        def __init__(self):
            self.linear = nnx.Linear(2, CLASS_COUNT, rngs=nnx.Rngs(0))

        def __call__(self, image, bands, valid):
            return self.linear(image)

    model = Line()
    expected = jax.nn.softmax(model.linear(image))
    mask = Masker(model, window_size=16).predict(image, **BANDS)
    np.testing.assert_allclose(mask.probabilities, expected, atol=1e-5)


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_no_data_gets_no_class_and_leaves_its_neighbours_alone(image, missing):
    masker = Masker(brightness, window_size=16)
    full = masker.predict(image, **BANDS)
    holes = image.copy()
    holes[5:20, 7:30] = missing
    mask = masker.predict(holes, **BANDS)
    assert (mask.classes[5:20, 7:30] == NO_DATA).all()
    outside = np.ones(image.shape[:2], bool)
    outside[5:20, 7:30] = False
    np.testing.assert_array_equal(mask.classes[outside], full.classes[outside])
    np.testing.assert_allclose(mask.probabilities[outside], full.probabilities[outside], atol=1e-6)


def test_a_gap_in_an_even_image_is_not_seen_by_its_neighbours():
    image = np.full((96, 96, 2), (0.1, 0.3), np.float32)
    masker = Masker(cloud_masker())
    whole = masker.predict(image, **BANDS)
    image[30:50, 20:90] = np.nan
    image[60, :, 0] = np.nan
    mask = masker.predict(image, **BANDS)
    there = mask.classes != NO_DATA
    assert (~there).sum() == 20 * 70
    np.testing.assert_allclose(mask.probabilities[there], whole.probabilities[there], atol=1e-5)


@pytest.mark.parametrize("width", [1, 20])
def test_a_gap_disturbs_its_neighbours_little_and_none_beyond_the_models_reach(width):
    """Near it, a model with weights at random is disturbed less than by a gap not filled."""
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.normal(0, 0.01, (96, 256, 2)), axis=1) + rng.uniform(0.3, 0.5, 2)
    image = smooth.astype(np.float32)
    model, bands = cloud_masker(), DESCRIBED
    gap = image.copy()
    gap[:, 100 : 100 + width] = np.nan
    before, after = (Masker(model).predict(x, **BANDS).probabilities for x in (image, gap))
    batch = (gap[None], BandDescription(*(part[None] for part in bands)), np.ones((1, 2), bool))
    unfilled = np.asarray(jax.nn.softmax(model(*batch))[0])
    there = ~np.isnan(gap[..., 0])
    disturbed, worse = (np.abs(x - before)[there].mean() for x in (after, unfilled))
    assert disturbed < worse * 2 / 3
    far = np.ones(256, bool)
    far[100 - STEPS_AFTER * model.step : 100 + width + STEPS_BEFORE * model.step] = False
    np.testing.assert_allclose(after[:, far], before[:, far], atol=1e-5)


@settings(max_examples=6)
@given(seed=st.integers(0, 99), order=st.permutations(range(4)), kept=st.integers(1, 4))
def test_order_blank_bands_and_subsets(seed, order, kept):
    """Bands in any order are one image; blank ones are as if they were not there."""
    rng = np.random.default_rng(seed)
    image = rng.uniform(0.1, 1, (20, 24, 4)).astype(np.float32)
    image[..., 3] = rng.uniform(220, 300, (20, 24))
    wavelength_nm, bandwidth_nm = np.array([490, 665, 833, 10_895]), np.array([65, 31, 106, 590])
    kind = np.array([0, 0, 0, 2])

    def mask(image, chosen):
        return CONTEXT.predict(
            image[..., chosen],
            wavelength_nm=wavelength_nm[chosen],
            bandwidth_nm=bandwidth_nm[chosen],
            kind=kind[chosen].tolist(),
        ).probabilities

    order = np.array(order)
    np.testing.assert_allclose(mask(image, order), mask(image, np.arange(4)), atol=1e-4)
    blank = image.copy()
    blank[..., order[kept:]] = rng.choice([np.nan, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the blank bands
        left_out = mask(blank, np.arange(4))
    np.testing.assert_allclose(left_out, mask(image, order[:kept]), atol=1e-4)


def test_windows_without_data_cost_nothing():
    """The model never runs on them."""
    seen = []

    def model(image, bands, valid):
        jax.debug.callback(lambda x: seen.append(float(x)), image.mean())
        return brightness(image, bands, valid)

    image = np.full((100, 400, 2), np.nan, np.float32)
    image[:, 390:] = 0.4
    Masker(model, window_size=32).predict(image, **BANDS)
    jax.effects_barrier()
    assert 0 < len(seen) <= 12


def test_a_blank_band_is_left_out_with_a_notice(image):
    """The mask is that of the other bands, not a mask of nothing."""
    blank = np.concatenate([image, np.full((37, 53, 1), np.nan, np.float32)], axis=-1)
    masker = Masker(brightness)
    with pytest.warns(UserWarning, match="bands without any data were left out: 10895 nm"):
        mask = masker.predict(
            blank,
            wavelength_nm=[665, 833, 10_895],
            bandwidth_nm=[31, 106, 590],
            kind=["reflectance", "reflectance", "brightness_temperature"],
        )
    np.testing.assert_array_equal(mask.classes, masker.predict(image, **BANDS).classes)


def test_an_image_without_data_is_all_no_data():
    with pytest.warns(UserWarning, match="no data at all"):
        mask = Masker(brightness).predict(np.full((5, 6, 2), np.nan), **BANDS)
    assert (mask.classes == NO_DATA).all()
    assert np.isnan(mask.probabilities).all()


def test_wrong_input_is_refused(image):
    masker = Masker(brightness)
    with pytest.raises(ValueError, match=r"\[height, width, bands\]"):
        masker.predict(image[..., 0], **BANDS)
    with pytest.raises(ValueError, match="3 values for 2 bands"):
        masker.predict(image, wavelength_nm=[490, 665, 833], bandwidth_nm=[31, 106])
    with pytest.raises(ValueError, match=r"band 1 .* values around .*scale its digital numbers"):
        masker.predict(image * 10_000, **BANDS)
    thermal = {"wavelength_nm": [10_895], "bandwidth_nm": [590], "kind": "brightness_temperature"}
    with pytest.raises(ValueError, match="too cold for kelvin"):
        masker.predict(np.full((4, 4, 1), 21.5), **thermal)
    with pytest.raises(ValueError, match="too hot for kelvin"):
        masker.predict(np.full((4, 4, 1), 29_500), **thermal)
    with pytest.raises(ValueError, match="window_size 8 must be"):
        Masker(brightness, window_size=8)


def test_red_and_blue_in_each_others_place_are_doubted():
    """At the top of the atmosphere blue is brighter than red over all that is dark."""
    image = np.random.default_rng(0).uniform((0.075, 0.03), (0.3, 0.25), (64, 64, 2))
    bands = {"wavelength_nm": [490, 665], "bandwidth_nm": [65, 31]}
    masker = Masker(brightness)
    masker.predict(image, **bands)
    with pytest.warns(UserWarning, match="are red and blue swapped"):
        masker.predict(image[..., ::-1], **bands)
    masker.predict(image[..., ::-1], **bands, kind="surface_reflectance")


# --- Scenes -------------------------------------------------------------------------------------


@pytest.fixture
def geotiff(tmp_path):
    """A scene of 70 x 45 pixels with coordinates and a hole, and what its mask must be."""
    rng = np.random.default_rng(1)
    dn = rng.integers(1, 9_000, (3, 70, 45)).astype(np.uint16)
    dn[1] += 1_000  # The fake near infrared has the offset -0.1.
    dn[2] = 28_000
    dn[:, 30:40, 10:20] = 0
    grid = (Affine(10, 0, 300_000, 0, -10, 5_000_000), CRS.from_epsg(32633))
    path = tagged_geotiff(tmp_path / "scene.tif", dn, no_data=0, grid=grid)
    reflectance = np.stack([dn[0] * 1e-4, dn[1] * 1e-4 - 0.1], axis=-1)
    expected = np.where(dn[0] == 0, NO_DATA, classes_by_hand(reflectance))
    return path, expected, grid


def test_a_mask_file_holds_the_classes_on_the_grid_of_the_scene(tmp_path, geotiff):
    path, expected, (transform, crs) = geotiff
    masker = Masker(brightness, window_size=16)
    summary = masker.mask_scene(path, tmp_path / "mask.tif", show_progress=False)
    with rasterio.open(tmp_path / "mask.tif") as file:
        classes = file.read(1)
        assert (file.crs, file.transform) == (crs, transform)
        assert (file.count, file.dtypes, file.nodata) == (1, ("uint8",), NO_DATA)
        colours = file.colormap(1)
        tags = file.tags()
    np.testing.assert_array_equal(classes, expected)
    for code, colour in COLOURS.items():
        assert colours[code] == (*colour, 255)
    assert tags["scene"] == "scene"
    assert "3 cloud shadow" in tags["classes"]
    with_data = expected[expected != NO_DATA]
    cloud = np.isin(with_data, [CloudClass.THICK_CLOUD, CloudClass.THIN_CLOUD]).mean()
    assert summary.cloud_percent == pytest.approx(100 * cloud)
    assert summary.shadow_percent == pytest.approx(
        100 * (with_data == CloudClass.CLOUD_SHADOW).mean()
    )
    assert summary.no_data_percent == pytest.approx(100 * (expected == NO_DATA).mean())
    assert summary.seconds > 0


def test_a_landsat_folder_is_masked_where_it_lies(tmp_path):
    folder = landsat_folder(tmp_path, georeferenced=False)
    Masker(brightness).mask_scene(folder, tmp_path / "mask.tif", show_progress=False)
    with rasterio.open(tmp_path / "mask.tif") as file:
        assert file.crs == CRS.from_epsg(32616)
        assert file.transform == Affine(30, 0, 500_085, 0, -30, 1_400_115)
        assert (file.read(1)[:3, :3] == NO_DATA).all()


def test_an_open_scene_stays_open(tmp_path, geotiff):
    with open_scene(geotiff[0]) as scene:
        Masker(brightness).mask_scene(scene, tmp_path / "mask.tif", show_progress=False)
        scene.read((slice(0, 2), slice(0, 2)))


@pytest.mark.parametrize("error", [OSError("disk gone"), KeyboardInterrupt()])
def test_an_interrupted_run_leaves_no_file_and_an_old_mask_as_it_was(tmp_path, geotiff, error):
    (tmp_path / "out").mkdir()
    destination = tmp_path / "out" / "mask.tif"
    destination.write_text("an older mask")
    masker = Masker(brightness, window_size=16)
    with open_scene(geotiff[0]) as scene:
        reads = []

        class Interrupted(type(scene)):
            def read(self, window):
                reads.append(window)
                if len(reads) > 8:
                    raise error
                return super().read(window)

        failing = Interrupted(**{name: getattr(scene, name) for name in scene.__dataclass_fields__})
        with pytest.raises(type(error)):
            masker.mask_scene(
                failing, destination, probabilities=True, quicklook=True, show_progress=False
            )
    assert [path.name for path in destination.parent.iterdir()] == ["mask.tif"]
    assert destination.read_text() == "an older mask"


def test_all_that_a_mask_can_come_with(tmp_path, geotiff):
    """Style, growth, probabilities, picture and tags; nothing else is left in the folder."""
    path, expected, _ = geotiff
    masker = Masker(brightness, window_size=16, weights="by hand")
    (tmp_path / "out").mkdir()
    destination = tmp_path / "out" / "mask.tif"
    masker.mask_scene(
        path,
        destination,
        style="valid",
        dilate_m=20,
        min_size_m=14,
        probabilities=True,
        quicklook=True,
        show_progress=False,
    )
    names = ["mask.tif", "mask_probabilities.tif", "mask_quicklook.png"]
    assert sorted(file.name for file in destination.parent.iterdir()) == names
    refined = np.concatenate(list(refine([expected.astype(np.uint8)], 20, 14, 10)))
    with rasterio.open(destination) as file:
        np.testing.assert_array_equal(file.read(1), recode(refined, "valid"))
        tags = file.tags()
    with_data = refined[refined != NO_DATA]
    assert float(tags["cloud_percent"]) == pytest.approx(
        100 * np.isin(with_data, [1, 2]).mean(), abs=0.01
    )
    assert tags["weights"] == "by hand"
    assert tags["bands_nm"].startswith("665:31:reflectance,833:106:reflectance,")
    with rasterio.open(destination.with_name(names[1])) as file:
        percent = file.read()
        assert file.descriptions == ("clear", "thick cloud", "thin cloud", "cloud shadow")
    hole = expected == NO_DATA
    assert (percent[:, hole] == NO_DATA).all()
    np.testing.assert_allclose(percent[:, ~hole].sum(0), 100, atol=2)
    with pytest.warns(NotGeoreferencedWarning), rasterio.open(destination.with_name(names[2])) as f:
        assert f.shape == (70, 45)


def test_each_pixel_of_a_scene_is_read_once(tmp_path, geotiff):
    with open_scene(geotiff[0]) as scene:
        reads = np.zeros((scene.height, scene.width), int)

        class Counted(type(scene)):
            def read(self, window):
                reads[window] += 1
                return super().read(window)

        counted = Counted(**{name: getattr(scene, name) for name in scene.__dataclass_fields__})
        Masker(brightness, window_size=16).mask_scene(
            counted, tmp_path / "mask.tif", show_progress=False
        )
    assert (reads == 1).all()


@pytest.mark.parametrize(
    ("option", "message"), [({"style": "clouds"}, "unknown style"), ({"dilate_m": -1}, "dilate")]
)
def test_wrong_options_leave_no_file(tmp_path, geotiff, option, message):
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match=message):
        Masker(brightness).mask_scene(geotiff[0], tmp_path / "out" / "mask.tif", **option)
    assert not list((tmp_path / "out").iterdir())
