"""38-Cloud and 95-Cloud: Landsat 8 scenes in four bands, cut into patches of 384 pixels."""

from data_prep.cloud38.cloud38_dataset_builder import Builder
from data_prep.cloud38.scenes import find, missing
from data_prep.sources import DataSet

DATA_SET = DataSet(
    name="cloud38",
    title="38-Cloud and its extension 95-Cloud (Simon Fraser University)",
    sensor="Landsat 8",
    scene_count=95,
    download="57 GB unpacked",
    licence="Apache-2.0",
    where="https://github.com/SorourMo/38-Cloud-A-Cloud-Segmentation-Dataset",
    find=find,
    builder=Builder,
    missing=missing,
)

__all__ = ["DATA_SET"]
