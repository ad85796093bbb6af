"""Random sensors that do not exist, so that a model learns any set of bands."""

from typing import Final

import numpy as np

from data_prep.simulated.fields import generator
from permjax.bands import Kind
from permjax.sensors import Band, Sensor

# Where optical imagers have bands: the atmosphere's windows in nm, how wide bands there are as a
# part of the centre, and how often a band is drawn from each. Cirrus and water-vapour bands too.
WINDOWS: Final = (
    (415, 520, (0.03, 0.16), 3.0),
    (520, 600, (0.03, 0.16), 3.0),
    (600, 690, (0.03, 0.16), 3.0),
    (690, 790, (0.015, 0.05), 1.5),
    (780, 900, (0.03, 0.16), 3.0),
    (930, 960, (0.015, 0.04), 0.5),
    (1000, 1080, (0.02, 0.05), 0.4),
    (1220, 1280, (0.015, 0.04), 0.5),
    (1365, 1385, (0.012, 0.025), 1.0),
    (1560, 1690, (0.03, 0.13), 2.0),
    (2090, 2280, (0.03, 0.13), 2.0),
)
THERMAL_WINDOWS: Final = (
    (3650, 3980, (0.04, 0.1), 0.6),
    (8300, 8800, (0.03, 0.06), 0.5),
    (10_300, 11_300, (0.05, 0.12), 1.5),
    (11_700, 12_300, (0.05, 0.09), 0.8),
)
GSDS_M: Final = (3.0, 5.0, 10.0, 16.0, 20.0, 30.0, 60.0, 100.0, 250.0, 300.0, 500.0, 1000.0)


def virtual_sensor(seed: int) -> Sensor:
    """A random sensor of 3 to 14 bands, some thermal; the same for the same seed.

    Its bands lie in the windows that imagers use, never two closer than their widths.

    Args:
        seed: 0 or more.
    """
    rng = generator(seed, 90)
    count = int(rng.integers(3, 15))
    windows = list(WINDOWS) + (list(THERMAL_WINDOWS) if rng.uniform() < 0.4 else [])
    chance = np.array([window[3] for window in windows])
    gsd_m = float(rng.choice(GSDS_M))
    drawn: list[tuple[float, float]] = []
    for index in rng.choice(len(windows), 100, p=chance / chance.sum()):
        low, high, widths, _ = windows[index]
        wavelength = round(rng.uniform(low, high), 1)
        bandwidth = round(wavelength * rng.uniform(*widths), 1)
        if all(abs(wavelength - other) > (bandwidth + width) / 2 for other, width in drawn):
            drawn.append((wavelength, bandwidth))
        if len(drawn) == count:
            break
    bands = [
        Band(
            name=f"V{number}",
            wavelength_nm=wavelength,
            bandwidth_nm=bandwidth,
            kind=Kind.BRIGHTNESS_TEMPERATURE if wavelength > 3000 else Kind.REFLECTANCE,
            gsd_m=gsd_m * (2 if wavelength > 3000 else 1),
        )
        for number, (wavelength, bandwidth) in enumerate(sorted(drawn), 1)
    ]
    return Sensor(
        name=f"virtual_{seed}",
        title=f"Virtual sensor {seed}",
        families=("virtual",),
        gsd_m=gsd_m,
        source="random",
        bands=tuple(bands),
    )
