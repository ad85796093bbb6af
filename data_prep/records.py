"""The TFDS side of a public data set: its features, version, citation and metadata."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import tensorflow_datasets as tfds
from etils import epath
from tensorflow_datasets.core.splits import SplitDict

from data_prep.patches import features, quiet_tfds


@dataclass(eq=False, kw_only=True)
class RecordsConfig(tfds.core.BuilderConfig):
    """One set of records: those of one sensor.

    Args:
        metadata: kept beside the records; `sensor` among them.
    """

    metadata: Mapping[str, Any] = field(default_factory=dict)


class RecordsBuilder(tfds.core.DatasetBuilder, skip_registration=True):
    """What TFDS knows of a public data set; `data_prep.packing` writes the records.

    TFDS writes a data set in one go. These are large, so the packer writes them in parts, which
    survive a stop, and this class says what they are. A data set's own class, in the file that TFDS
    expects, adds its version; text, citation and tags come from the files beside it.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config
        metadata = config.metadata if isinstance(config, RecordsConfig) else {}
        return self.dataset_info_from_configs(
            features=features(), metadata=tfds.core.MetadataDict(**metadata)
        )

    def _download_and_prepare(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(f"{self.name} is made by python -m data_prep.build {self.name}")

    def _as_dataset(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(f"{self.name} holds array_record files: read them with as_data_source")


def shard_name(name: str, split: str, index: int, count: int) -> str:
    """The file name that TFDS gives to a part of a split."""
    return f"{name}-{split}.array_record-{index:05}-of-{count:05}"


def write_info(
    builder: RecordsBuilder, directory: Path, shards: Mapping[str, Sequence[int]]
) -> None:
    """Makes a folder of array_record files one that TFDS reads.

    Args:
        builder: what they are.
        directory: where they lie, named by `shard_name`.
        shards: for each split, how many records each of its files holds.
    """
    splits = []
    for split, lengths in shards.items():
        names = [shard_name(builder.name, split, i, len(lengths)) for i in range(len(lengths))]
        splits.append(
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=list(lengths),
                num_bytes=sum((directory / name).stat().st_size for name in names),
                filename_template=tfds.core.ShardedFileTemplate(
                    data_dir=epath.Path(directory),
                    dataset_name=builder.name,
                    split=split,
                    filetype_suffix="array_record",
                ),
            )
        )
    with quiet_tfds():
        builder.info.set_file_format("array_record")
        builder.info.set_splits(SplitDict(splits))
        builder.info.write_to_directory(directory)
