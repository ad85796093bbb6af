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

from permjax.classes import CLASS_COUNT, COLOURS, NO_DATA, CloudClass
from permjax.inference import Masker
from permjax.scenes import open_scene

# Uneven, so that no digital number lies halfway between two classes.
CENTRES = (0.1, 0.40003, 0.6001, 0.80007)
BANDS = {"wavelength_nm": [665, 833], "bandwidth_nm": [31, 106]}


def brightness(image, bands, valid):
    """A model of single pixels: the brighter the valid bands, the higher the class."""
    there = valid[:, None, None, :] & jnp.isfinite(image)
    reflected = there & (bands.kind < 2)[:, None, None, :]
    mean = jnp.where(reflected, image, 0).sum(-1) / jnp.maximum(reflected.sum(-1), 1)
    return -50 * (mean[..., None] - jnp.array(CENTRES)) ** 2


def edge_shy(image, bands, valid):
    """A model that sees its window: different at the window's edge, as convolutions are."""
    logits = brightness(image, bands, valid)
    distance = jnp.minimum(*jnp.meshgrid(*map(_to_edge, image.shape[1:3]), indexing="ij"))
    return logits * (1 - jnp.exp(-distance / 2.0)[None, :, :, None])


def _to_edge(size):
    return jnp.minimum(jnp.arange(size), jnp.arange(size)[::-1])


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


@settings(max_examples=12)  # Each compiles anew.
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    window_size=st.integers(2, 16),
    overlap=st.integers(0, 15),
)
def test_windows_together_are_the_whole(height, width, window_size, overlap):
    """For a model of single pixels, whatever the sizes, and with holes in the data."""
    rng = np.random.default_rng([height, width])
    image = rng.uniform(0, 1, (height, width, 2)).astype(np.float32)
    image[rng.uniform(size=(height, width)) < 0.3] = np.nan
    whole = Masker(brightness).predict(image, **BANDS)
    masker = Masker(brightness, window_size=window_size, overlap=min(overlap, window_size - 1))
    tiled = masker.predict(image, **BANDS)
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-5)
    assert ((tiled.classes == NO_DATA) == np.isnan(image).all(-1)).all()


def test_overlapping_windows_leave_no_seam():
    """Where windows meet, a model that errs at its edges errs less by blending than by cutting."""
    image = np.full((96, 96, 2), 0.8, np.float32)

    def largest_step(overlap: int) -> float:
        masker = Masker(edge_shy, window_size=32, overlap=overlap)
        inside = masker.predict(image, **BANDS).probabilities[20:76, 20:76]
        return max(np.abs(np.diff(inside, axis=axis)).max() for axis in (0, 1))

    assert largest_step(16) < largest_step(0) / 3


def test_one_window_shape_compiles_once(image):
    traces = []

    def model(image, bands, valid):
        traces.append(image.shape)
        return brightness(image, bands, valid)

    masker = Masker(model, window_size=16, overlap=4)
    masker.predict(image, **BANDS)
    masker.predict(image[::-1], **BANDS)
    assert traces == [(1, 16, 16, 2)]


def test_a_flax_module_is_masked_with(image):
    class Line(nnx.Module):
        def __init__(self):
            self.linear = nnx.Linear(2, CLASS_COUNT, rngs=nnx.Rngs(0))

        def __call__(self, image, bands, valid):
            return self.linear(image)

    model = Line()
    expected = jax.nn.softmax(model.linear(image))
    mask = Masker(model, window_size=16, overlap=4).predict(image, **BANDS)
    np.testing.assert_allclose(mask.probabilities, expected, atol=1e-5)


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_no_data_gets_no_class_and_leaves_its_neighbours_alone(image, missing):
    masker = Masker(brightness, window_size=16, overlap=4)
    full = masker.predict(image, **BANDS)
    holes = image.copy()
    holes[5:20, 7:30] = missing
    mask = masker.predict(holes, **BANDS)
    assert (mask.classes[5:20, 7:30] == NO_DATA).all()
    outside = np.ones(image.shape[:2], bool)
    outside[5:20, 7:30] = False
    np.testing.assert_array_equal(mask.classes[outside], full.classes[outside])
    np.testing.assert_allclose(mask.probabilities[outside], full.probabilities[outside], atol=1e-6)


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
    with pytest.raises(ValueError, match="overlap 64"):
        Masker(brightness, window_size=64)


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
    masker = Masker(brightness, window_size=16, overlap=4)
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
    masker = Masker(brightness, window_size=16, overlap=4)
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
            masker.mask_scene(failing, destination, show_progress=False)
    assert [path.name for path in destination.parent.iterdir()] == ["mask.tif"]
    assert destination.read_text() == "an older mask"
