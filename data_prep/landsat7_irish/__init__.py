"""Landsat 7 Irish: 206 scenes with masks drawn by hand, in the forms of USGS and torchgeo."""

from data_prep.landsat7_irish.landsat7_irish_dataset_builder import Builder
from data_prep.landsat7_irish.scenes import find
from data_prep.sources import DataSet

DATA_SET = DataSet(
    name="landsat7_irish",
    title="Landsat 7 Cloud Cover Assessment, nine latitude zones (USGS)",
    sensor="Landsat 7",
    scene_count=206,
    download="about 57 GB",
    licence="CC0-1.0",
    where="https://doi.org/10.5066/F7XD0ZWC",
    find=find,
    builder=Builder,
)

__all__ = ["DATA_SET"]
