"""What a sensor makes of the light: spectral response, blur, noise, saturation, quantisation.

Axes: H height, W width of an image, N bands; S wavelengths of the tables.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d, zoom

from data_prep.simulated.fields import Field, generator
from data_prep.simulated.tables import WAVELENGTH_NM, tables
from permjax.bands import Kind
from permjax.sensors import Band, Sensor

# CODATA 2018: the radiation constants 2hc^2 and hc/k for wavelengths in nm and radiance in
# W m-2 sr-1 nm-1.
C1: Final = 1.191042972e20
C2: Final = 1.438776877e7
KELVIN: Final = np.linspace(150, 400, 501, dtype=np.float32)

# Instruments whose responses pyrsr has measured, by the start of our names.
MEASURED: Final = {
    "landsat4_tm": "Landsat-4_TM",
    "landsat5_tm": "Landsat-5_TM",
    "landsat7": "Landsat-7_ETM+",
    "landsat8": "Landsat-8_OLI_TIRS",
    "landsat9": "Landsat-9_OLI_TIRS",
    "sentinel2a": "Sentinel-2A_MSI",
    "sentinel2b": "Sentinel-2B_MSI",
    "rapideye": "RapidEye_MSI",
    "terra_aster": "Terra_ASTER",
    "terra_modis": "Terra_MODIS",
    "aqua_modis": "Aqua_MODIS",
    "spot1": "SPOT-1_HRV1",
    "spot2": "SPOT-2_HRV1",
    "spot3": "SPOT-3_HRV1",
    "spot4": "SPOT-4_HRVIR1",
    "spot5": "SPOT-5_HRG1",
}

# Reflectance at which a band saturates under an overhead sun, pi LMAX / ESUN, of the instruments
# that saturate over cloud: Chander, Markham and Helder 2009, Remote Sens. Environ. 113, tables
# 1 to 4 (MSS 5 for all MSS; ETM+ in low gain); in the order of the sensor's reflective bands.
CEILINGS: Final = {
    "mss": (0.46, 0.36, 0.37, 0.45),
    "tm": (0.31, 0.64, 0.54, 0.67, 0.43, 0.62),
    "etm": (0.46, 0.52, 0.48, 0.73, 0.65, 0.61, 0.56),
}
BITS: Final = {"mss": 7, "tm": 8, "etm": 8, "aster": 8, "modis": 12}


@dataclass(frozen=True)
class Response:
    """The spectral weights [N, S] of a sensor's bands, for reflected and for emitted light."""

    reflected: NDArray[np.float32]
    emitted: NDArray[np.float32]

    def mean(self, spectra: NDArray[np.floating]) -> NDArray[np.float32]:
        """Band means [..., N] of spectra [..., S] of what reflects or transmits sunlight."""
        return (spectra @ self.reflected.T).astype(np.float32)


@cache
def response(bands: tuple[Band, ...], sensor_name: str) -> Response:
    """Measured responses where pyrsr has them, else modelled from centre and width.

    A measured band serves when its centre lies within half a bandwidth of the described one and
    its width fits; the model is a flat top with smooth edges, exp(-ln 2 (2 x / width)^6).
    """
    key = next((k for k in MEASURED if sensor_name.startswith(k)), None)
    measured = tables()[f"response_{MEASURED[key]}"] if key else np.zeros((0, 0), np.float32)
    rows = np.array([_band_response(band, measured) for band in bands])
    spacing = np.gradient(WAVELENGTH_NM)
    emitted = rows * spacing
    reflected = emitted * tables()["solar"]
    # Emission dominates thermal bands; their reflected sunlight is averaged alike.
    thermal = np.array([band.kind is Kind.BRIGHTNESS_TEMPERATURE for band in bands])
    reflected = np.where(thermal[:, None], emitted, reflected)
    return Response(
        (reflected / reflected.sum(1, keepdims=True)).astype(np.float32),
        (emitted / emitted.sum(1, keepdims=True)).astype(np.float32),
    )


def _band_response(band: Band, measured: NDArray[np.float32]) -> NDArray[np.float32]:
    for row in measured:
        half = WAVELENGTH_NM[row >= 0.5]
        if len(half) == 0:
            continue
        centre, width = (half[0] + half[-1]) / 2, half[-1] - half[0]
        close = abs(centre - band.wavelength_nm) < band.bandwidth_nm / 2
        if close and abs(width - band.bandwidth_nm) < 0.4 * band.bandwidth_nm + 6:
            return row
    x = 2 * (WAVELENGTH_NM - band.wavelength_nm) / band.bandwidth_nm
    row = np.exp(-np.log(2) * np.minimum(np.abs(x), 3) ** 6)
    if row.max() < 0.5:  # narrower than the table's step: the nearest wavelength
        row[np.abs(x).argmin()] = 1
    return row


def planck(wavelength_nm: NDArray[np.floating], kelvin: NDArray[np.floating]) -> NDArray:
    """Planck's spectral radiance, W m-2 sr-1 nm-1, of broadcast wavelengths and temperatures."""
    return C1 / wavelength_nm**5 / np.expm1(C2 / (wavelength_nm * kelvin))


@cache
def band_radiance(bands: tuple[Band, ...], sensor_name: str) -> NDArray[np.float64]:
    """Mean Planck radiance [len(KELVIN), N] of each band at the temperatures KELVIN."""
    spectra = planck(WAVELENGTH_NM[None].astype(np.float64), KELVIN[:, None])
    return spectra @ response(bands, sensor_name).emitted.T.astype(np.float64)


def observe(
    band: Band, sensor: Sensor, values: Field, size: int, sun_cosine: float, seed: int, number: int
) -> Field:
    """One band as the sensor delivers it.

    Blurs it to the band's gsd, with a small error of registration, brings it onto the sensor's
    grid, adds noise, saturates and quantises.

    Args:
        band: the band; its gsd may be coarser than the grid's.
        sensor: whose grid and radiometry.
        values: true reflectance or kelvin on the grid with a margin, [H, W].
        size: pixels of the result; the margin is cut off evenly.
        sun_cosine: cosine of the sun's zenith angle.
        seed: of the scene.
        number: of the band in the sensor.
    """
    rng = generator(seed, 77, number)
    factor = band.gsd_m / sensor.gsd_m
    south, east = (float(np.clip(rng.normal(0, 0.12 * max(factor, 1)), -1, 1)) for _ in range(2))
    values = resolve(values, factor, (south, east), nearest=seed % 2 == 0)
    margin = (values.shape[0] - size) // 2
    values = values[margin : margin + size, margin : margin + size]
    if band.kind is Kind.BRIGHTNESS_TEMPERATURE:
        noisy = values + rng.normal(0, 0.1, values.shape).astype(np.float32)
        return (np.round(noisy / 0.05) * 0.05).astype(np.float32)
    return _digitise(values, sensor, number, sun_cosine, rng)


def resolve(
    values: Field, factor: float, shift: tuple[float, float] = (0.0, 0.0), *, nearest: bool
) -> Field:
    """A field [H, W] as pixels of `factor` times the grid's gsd hold it, on the grid again.

    Args:
        values: on the grid.
        factor: gsd of the band over that of the grid; finer bands are as fine as the grid.
        shift: error of registration southward and eastward, in pixels of the grid.
        nearest: whether coarse pixels are repeated, not interpolated.
    """
    sigma = 0.4 * max(factor, 0.7)
    for axis in (0, 1):
        values = convolve1d(values, _kernel(sigma, shift[axis]), axis, mode="nearest")
    return _coarse(values, factor, nearest=nearest) if factor > 1.2 else values


def band_slants(sensor: Sensor) -> list[float]:
    """Tangents [N] of the small angles by which a sensor's bands look apart along the track.

    Bands of fine push-broom imagers lie side by side in the focal plane, so that clouds are
    shifted between them, in Sentinel-2 by more than a pixel between blue, green and red (Skakun et
    al. 2017, IEEE Geosci. Remote Sens. Lett. 14). Which band looks where is drawn once a sensor;
    the range is ours. Scanning mirrors and coarse imagers: none.
    """
    if sensor.gsd_m > 30 or {"mss", "tm", "etm"} & set(sensor.name.split("_")):
        return [0.0] * len(sensor.bands)
    rng = generator(*sensor.name.encode())
    return [float(slant) for slant in rng.uniform(-0.006, 0.006, len(sensor.bands))]


def _kernel(sigma: float, shift: float) -> NDArray[np.float32]:
    reach = int(np.ceil(3 * sigma + abs(shift)))
    x = np.arange(-reach, reach + 1) - shift
    weights = np.exp(-0.5 * (x / sigma) ** 2)
    return (weights / weights.sum()).astype(np.float32)


def _coarse(values: Field, factor: float, *, nearest: bool) -> Field:
    """Samples at the band's own gsd, brought back onto the finer grid as products are."""
    n = values.shape[0]
    step = round(factor)
    coarse = values[step // 2 :: step, step // 2 :: step]
    if nearest:
        fine = coarse.repeat(step, 0).repeat(step, 1)
    else:
        fine = np.asarray(zoom(coarse, step, order=1, mode="nearest", grid_mode=True))
    pad = max(0, n - fine.shape[0])
    return np.pad(fine, ((0, pad), (0, pad)), mode="edge")[:n, :n]


def _digitise(
    values: Field, sensor: Sensor, number: int, sun_cosine: float, rng: np.random.Generator
) -> Field:
    """Noise (a floor and a part of the signal), saturation and steps of the digital numbers."""
    words = sensor.name.split("_")
    family = next((word for word in ("mss", "tm", "etm", "aster", "modis") if word in words), "")
    bits = BITS.get(family, 12)
    reflective = [b for b in sensor.bands if b.kind is not Kind.BRIGHTNESS_TEMPERATURE]
    ceilings = CEILINGS.get(family, ())
    place = reflective.index(sensor.bands[number])
    ceiling = ceilings[place] if place < len(ceilings) else 1.6
    top = ceiling / sun_cosine
    floor = 0.0004 if bits > 8 else 0.0012
    noise = rng.standard_normal(values.shape, np.float32)
    noisy = values + noise * np.sqrt(floor**2 + (0.004 * values) ** 2)
    step = max(1e-4, top / (2**bits - 1))
    return np.clip(np.round(noisy / step) * step, 0, top).astype(np.float32)
