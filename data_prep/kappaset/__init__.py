"""KappaSet: 9251 labelled tiles of Sentinel-2 from all seasons."""

from data_prep.kappaset.kappaset_dataset_builder import Builder
from data_prep.kappaset.scenes import find
from data_prep.sources import DataSet

DATA_SET = DataSet(
    name="kappaset",
    title="KappaSet: cloud and cloud shadow masks (KappaZeta)",
    sensor="Sentinel-2",
    scene_count=9251,
    download="56.2 GB",
    licence="CC-BY-4.0",
    where="https://doi.org/10.5281/zenodo.7100327",
    find=find,
    builder=Builder,
)

__all__ = ["DATA_SET"]
