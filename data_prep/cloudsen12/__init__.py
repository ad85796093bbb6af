"""CloudSEN12: Sentinel-2 images with labels drawn by hand, as files or memory maps."""

from data_prep.cloudsen12.cloudsen12_dataset_builder import Builder
from data_prep.cloudsen12.scenes import find
from data_prep.sources import DataSet

DATA_SET = DataSet(
    name="cloudsen12",
    title="CloudSEN12, high-quality and scribble labels (Image and Signal Processing, Valencia)",
    sensor="Sentinel-2",
    scene_count=20_000,
    download="about 140 GB",
    licence="CC-BY-NC-4.0",
    where="https://cloudsen12.github.io",
    find=find,
    builder=Builder,
)

__all__ = ["DATA_SET"]
