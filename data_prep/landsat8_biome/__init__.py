"""Landsat 8 Biome: 96 scenes with masks drawn by hand, in the forms of USGS and torchgeo."""

from data_prep.landsat8_biome.landsat8_biome_dataset_builder import Builder
from data_prep.landsat8_biome.scenes import find, missing
from data_prep.sources import DataSet

DATA_SET = DataSet(
    name="landsat8_biome",
    title="Landsat 8 Cloud Cover Assessment, eight biomes (USGS)",
    sensor="Landsat 8",
    scene_count=96,
    download="about 90 GB",
    licence="CC0-1.0",
    where="https://doi.org/10.5066/F7251GDH",
    find=find,
    builder=Builder,
    missing=missing,
)

__all__ = ["DATA_SET"]
