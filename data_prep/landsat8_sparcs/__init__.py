"""Landsat 8 SPARCS: 80 sub-scenes of 1000 x 1000 pixels with masks drawn by hand."""

from data_prep.landsat8_sparcs.landsat8_sparcs_dataset_builder import Builder
from data_prep.landsat8_sparcs.scenes import find
from data_prep.sources import DataSet

DATA_SET = DataSet(
    name="landsat8_sparcs",
    title="Landsat 8 SPARCS, parts of 80 scenes (Oregon State University, USGS)",
    sensor="Landsat 8",
    scene_count=80,
    download="less than 2 GB",
    licence="public domain",
    where="https://doi.org/10.5066/F7FB5146",
    find=find,
    builder=Builder,
)

__all__ = ["DATA_SET"]
