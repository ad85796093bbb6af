"""xarray in, xarray out, at once or by dask."""

from typing import Any

import numpy as np
import pytest

import permjax
from permjax.xarrays import _aligned

xr = pytest.importorskip("xarray", reason="xarray is not installed: the extra dask")
da = pytest.importorskip("dask.array", reason="dask is not installed: the extra dask")

WAVELENGTH_NM, BANDWIDTH_NM = [490.0, 560.0, 665.0, 10_900.0], [65.0, 35.0, 30.0, 600.0]
KIND = ["reflectance"] * 3 + ["brightness_temperature"]


def smooth_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """[H, W, N]: brighter is colder, as cloud is."""
    rows, columns = np.mgrid[:height, :width]
    bright = 0.3 + 0.25 * np.sin(rows / 31 + seed) * np.cos(columns / 43)
    noise = np.random.default_rng(seed).normal(0, 0.01, (height, width, 4))
    bands = np.stack([bright, bright * 0.9, bright * 0.8, 300 - 60 * bright], axis=-1)
    return (bands + noise * [1, 1, 1, 30]).astype(np.float32)


def data_array(image: np.ndarray) -> Any:
    height, width, _ = image.shape
    coords = {
        "wavelength_nm": ("band", WAVELENGTH_NM),
        "bandwidth_nm": ("band", BANDWIDTH_NM),
        "kind": ("band", KIND),
        "y": np.arange(height) * -30.0,
        "x": np.arange(width) * 30.0,
        "spatial_ref": 0,
    }
    return xr.DataArray(image.transpose(2, 0, 1), coords, ("band", "y", "x"))


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return smooth_image(330, 250)


@pytest.fixture(scope="module")
def whole(image):
    return permjax.mask_dataset(data_array(image))


def test_equals_predict_and_keeps_coordinates(image, whole):
    mask = permjax.load_pretrained().predict(
        image, wavelength_nm=WAVELENGTH_NM, bandwidth_nm=BANDWIDTH_NM, kind=KIND
    )
    np.testing.assert_array_equal(whole.classes, mask.classes)
    np.testing.assert_array_equal(whole.probabilities, mask.probabilities)
    assert whole.classes.dtype == np.uint8
    assert whole.classes.dims == ("y", "x")
    assert set(whole.coords) == {"y", "x", "spatial_ref", "class"}
    np.testing.assert_array_equal(whole.x, data_array(image).x)


def test_dataset_of_variables_equals_the_array(image, whole):
    array = data_array(image)
    variables = {
        f"band {i}": array[i].drop_vars(["wavelength_nm", "bandwidth_nm", "kind"]) for i in range(4)
    }
    for i, variable in enumerate(variables.values()):
        variable.attrs = {"wavelength_nm": WAVELENGTH_NM[i], "bandwidth_nm": BANDWIDTH_NM[i]}
        variable.attrs |= {"kind": KIND[i]} if i == 3 else {}
    dataset = xr.Dataset(variables | {"scene classification": (("y", "x"), image[..., 0] > 0.5)})
    assert permjax.mask_dataset(dataset).identical(whole)


def assert_equal_away_from_the_lower_edge(one: Any, two: Any) -> None:
    probabilities = [masked.probabilities.isel(y=slice(0, -96)) for masked in (one, two)]
    np.testing.assert_allclose(*probabilities, atol=1e-3)
    assert (one.classes == two.classes).mean() > 0.98


def test_dask_is_lazy_and_equals_the_whole(image, whole):
    chunked = data_array(image).chunk({"band": 1, "y": 130, "x": 250})
    masked = permjax.mask_dataset(chunked)
    assert masked.classes.chunks is not None
    computed = masked.compute(scheduler="synchronous")
    assert_equal_away_from_the_lower_edge(computed, whole)


def test_every_date_is_masked_by_itself(image):
    dates = [smooth_image(96, 80, seed) for seed in (1, 2)]
    dates[1][:9] = np.nan
    cube = xr.concat([data_array(date) for date in dates], "time")
    masked = permjax.mask_dataset(cube.chunk(time=1)).compute(scheduler="synchronous")
    assert masked.classes.dims == ("time", "y", "x")
    for i, date in enumerate(dates):
        alone = permjax.mask_dataset(data_array(date))
        np.testing.assert_allclose(masked.probabilities[i], alone.probabilities, atol=1e-5)
    assert (masked.classes[1, :9] == 255).all()
    assert (masked.classes[1, 9:] < 4).all()


@pytest.mark.parametrize("chunks", [(5,), (300,), (100,) * 5, (1,) * 700, (513, 87), (16, 2000)])
def test_blocks_begin_at_steps_and_are_longer_than_their_margin(chunks):
    aligned = _aligned(chunks, step=16, reach=96)
    assert sum(aligned) == sum(chunks)
    assert len(aligned) == 1 or min(aligned) >= 96
    assert all(begin % 16 == 0 for begin in np.cumsum(aligned)[:-1])


def test_a_local_cluster_of_two_workers(image, whole):
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
    ):
        masked = permjax.mask_dataset(data_array(image).chunk(y=176)).compute()
    assert_equal_away_from_the_lower_edge(masked, whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.drop_vars("wavelength_nm"), "no coordinate wavelength_nm"),
        (lambda a: a.assign_coords(bandwidth_nm=30.0), "no coordinate bandwidth_nm"),
        (lambda a: a.isel(y=0), "rows and columns"),
        (lambda a: a.drop_vars("kind"), "10900 nm"),
        (lambda a: a.assign_coords(wavelength_nm=a.wavelength_nm / 1000), "micrometres"),
        (lambda a: a.to_dataset("band"), "no variable"),
        (lambda a: xr.Dataset({"b": a[0].assign_attrs(wavelength_nm=490)}), "no bandwidth_nm"),
    ],
)
def test_wrong_description_is_one_sentence(image, change, message):
    with pytest.raises(ValueError, match=message):
        permjax.mask_dataset(change(data_array(image)))
