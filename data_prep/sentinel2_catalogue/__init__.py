"""Sentinel-2 Cloud Mask Catalogue: 513 sub-scenes, labelled half by hand."""

from data_prep.sentinel2_catalogue.scenes import find, missing
from data_prep.sentinel2_catalogue.sentinel2_catalogue_dataset_builder import Builder
from data_prep.sources import DataSet

DATA_SET = DataSet(
    name="sentinel2_catalogue",
    title="Sentinel-2 Cloud Mask Catalogue (Francis et al.)",
    sensor="Sentinel-2",
    scene_count=513,
    download="15.4 GB",
    licence="CC-BY-4.0",
    where="https://doi.org/10.5281/zenodo.4172871",
    find=find,
    builder=Builder,
    missing=missing,
)

__all__ = ["DATA_SET"]
