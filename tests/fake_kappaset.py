"""Writes tiny tiles of KappaSet in its real layout: netCDF-4 as KappaZeta's converter makes it."""

import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

h5py = pytest.importorskip("h5py", reason="h5py writes netCDF-4; pip install permjax[test]")

SPRING = "T34UFA_20200401T093029_tile_3_9"
SUMMER = "T35VLF_20200705T094041_tile_0_21"
TESTED = "T30PZS_20201010T102031_tile_11_4"
"""The first is of Sentinel-2B, the others are of Sentinel-2A."""

PRODUCT = "S2B_MSIL1C_20200401T093029_N0209_R136_T34UFA_20200401T113420"
SHAPE = (40, 36)
BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")

_NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable.%10d"


def digital_numbers(seed: int = 0) -> np.ndarray:
    """Digital numbers of level 1C uint16 [H, W, 13]; the upper left 3 x 3 pixels are no data."""
    dn = np.random.default_rng(seed).integers(100, 14_000, (*SHAPE, 13)).astype(np.uint16)
    dn[:3, :3] = 0
    return dn


def codes() -> np.ndarray:
    """A label uint8 [H, W] of stripes of every code, 0 to 5."""
    return np.broadcast_to(np.arange(SHAPE[1]) * 6 // SHAPE[1], SHAPE).astype(np.uint8)


def write_tile(
    folder: Path,
    name: str = SPRING,
    *,
    label: np.ndarray | None = None,
    product: str | None = None,
    leave_out: Collection[str] = (),
    seed: int = 0,
) -> Path:
    """A tile `<name>.nc` with its bands, label and a plane of the true colour image."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.nc"
    dn = digital_numbers(seed)
    variables: dict[str, np.ndarray] = {
        **{band: (dn[..., i] / 65535).astype(np.float32) for i, band in enumerate(BANDS)},
        "TCI_R": np.zeros(SHAPE, np.uint8),
        "Label": codes() if label is None else label,
    }
    with h5py.File(path, "w") as file:
        file.attrs["version"] = np.bytes_("0.3.5")
        file.attrs["overlap"] = np.zeros(1, np.float32)
        if product is not None:
            file.attrs["product_name"] = np.bytes_(product)
        for axis, size in zip("xy", SHAPE, strict=True):
            file.create_dataset(axis, (size,), ">f4").make_scale(_NO_VARIABLE % size)
        for key, values in variables.items():
            if key not in leave_out:
                write_variable(file, key, values)
    return path


def write_variable(file: Any, key: str, values: np.ndarray) -> None:
    """A variable on the axes x (rows) and y (columns), as the converter names them."""
    variable = file.create_dataset(
        key, data=values, chunks=values.shape, shuffle=True, compression="gzip"
    )
    if values.shape == SHAPE:
        for dimension, axis in zip(variable.dims, "xy", strict=True):
            dimension.attach_scale(file[axis])
    variable.attrs["scaling_factor"] = np.ones(1, np.float32)
    variable.attrs["resampling_filter"] = np.bytes_("sinc")


def write_zip(folder: Path, target: Path) -> Path:
    """`kappaset.zip` as Zenodo has it, with what macOS adds to archives."""
    target.mkdir(parents=True)
    with zipfile.ZipFile(target / "kappaset.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*.nc")):
            name = path.relative_to(folder)
            archive.write(path, f"kappaset/{name.as_posix()}")
            archive.writestr(f"__MACOSX/kappaset/{name.parent.as_posix()}/._{name.name}", b"x")
    return target
