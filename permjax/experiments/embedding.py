"""A map of how a model encodes bands, from 400 nm to 14 um, with every sensor's bands on it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from permjax.bands import SHORTEST_THERMAL_NM, BandDescription, Kind
from permjax.experiments.parts import finite
from permjax.experiments.plots import panel
from permjax.models import WAVELENGTH_RANGE_NM, CloudMasker
from permjax.sensors import SENSORS

RELATIVE_WIDTH: Final = 0.06
"""Bandwidth over wavelength along the line: about the middle of the table's bands."""
POINTS: Final = 241


def measure_embedding(model: CloudMasker, trained: set[str]) -> dict[str, Any]:
    """Codes of bands in the plane in which those of all known sensors differ most.

    Principal components of the codes of all bands of `SENSORS`, each encoded by itself.

    Args:
        model: whose encoder is looked at.
        trained: names of the sensors that it was trained on.

    Returns:
        `bands` (sensor, name, wavelength_nm, thermal, trained, `at` x and y), the `line` of bands
        `RELATIVE_WIDTH` wide (wavelength_nm, thermal, at), and `explained`, the two components'
        shares of the variance.
    """
    known = [(sensor, band) for sensor in SENSORS.values() for band in sensor.bands]
    codes = _encode(
        model,
        [band.wavelength_nm for _, band in known],
        [band.bandwidth_nm for _, band in known],
        [band.kind for _, band in known],
    )
    middle = codes.mean(axis=0)
    _, size, axes = np.linalg.svd(codes - middle, full_matrices=False)
    line_nm, line_kind = _line()
    line = _encode(model, line_nm, RELATIVE_WIDTH * line_nm, line_kind)
    thermal = Kind.BRIGHTNESS_TEMPERATURE
    return {
        "explained": (size[:2] ** 2 / np.sum(size**2)).tolist(),
        "bands": [
            {
                "sensor": sensor.name,
                "name": band.name,
                "wavelength_nm": band.wavelength_nm,
                "thermal": band.kind == thermal,
                "trained": sensor.name in trained,
                "at": finite(at),
            }
            for (sensor, band), at in zip(known, (codes - middle) @ axes[:2].T, strict=True)
        ],
        "line": [
            {"wavelength_nm": float(nm), "thermal": bool(kind == thermal), "at": finite(at)}
            for nm, kind, at in zip(line_nm, line_kind, (line - middle) @ axes[:2].T, strict=True)
        ],
    }


def _line() -> tuple[NDArray, NDArray]:
    """Wavelengths, nm, and kinds along the line: reflectance, then temperature from 3 um on."""
    wavelength_nm = np.geomspace(*WAVELENGTH_RANGE_NM, POINTS)
    emitted = wavelength_nm >= SHORTEST_THERMAL_NM
    return wavelength_nm, np.where(emitted, Kind.BRIGHTNESS_TEMPERATURE, Kind.REFLECTANCE)


def _encode(model: CloudMasker, wavelength_nm: Any, bandwidth_nm: Any, kind: Any) -> NDArray:
    """Codes `[M, D]` of bands `[M]`, each as if it were the only one."""
    traits = (np.float32(wavelength_nm), np.float32(bandwidth_nm), np.int32(kind))
    bands = BandDescription(*(np.asarray(trait)[:, None] for trait in traits))
    codes = model.encoder(bands, np.ones(bands.kind.shape, bool))
    return np.asarray(jax.device_get(codes), float)[:, 0]


def draw_embedding(path: Path, embedding: Mapping[str, Any]) -> None:
    """The map: a line of wavelengths, and on it bands, full where their sensor was trained on."""
    norm = LogNorm(*WAVELENGTH_RANGE_NM)
    halo = withStroke(linewidth=2.5, foreground="white")
    with panel(path, height=4.2) as axes:
        for thermal in (False, True):
            line = np.array([p["at"] for p in embedding["line"] if p["thermal"] == thermal])
            axes.plot(*line.T, color="grey", linewidth=1, zorder=1)
        drawn = None
        for trained, size in ((False, 14), (True, 34)):
            bands = [band for band in embedding["bands"] if band["trained"] == trained]
            if bands:
                at = np.array([band["at"] for band in bands])
                drawn = axes.scatter(
                    *at.T,
                    c=[band["wavelength_nm"] for band in bands],
                    norm=norm,
                    s=size,
                    marker="o" if trained else "x",
                    edgecolors="black" if trained else None,
                    linewidths=0.5 if trained else 0.8,
                    cmap="viridis",
                    zorder=3 if trained else 2,
                )
        for nm in (450, 660, 860, 1380, 1610, 2200, 3700, 6000, 8700, 11000):
            nearest = min(embedding["line"], key=lambda p: abs(np.log(p["wavelength_nm"] / nm)))
            axes.annotate(f"{nm / 1000:g}", nearest["at"], fontsize=8, xytext=(4, 4),
                          textcoords="offset points", zorder=4, path_effects=[halo])  # fmt: skip
        shares = [f"{100 * share:.0f} %" for share in embedding["explained"]]
        axes.set_xlabel(f"first component ({shares[0]})", fontsize=9)
        axes.set_ylabel(f"second component ({shares[1]})", fontsize=9)
        if drawn is not None:
            bar = axes.figure.colorbar(drawn, ax=axes, location="bottom", aspect=30)
            bar.set_label("wavelength, nm", fontsize=8)
            bar.ax.tick_params(labelsize=8)
