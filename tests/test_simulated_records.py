"""The simulator: records as TFDS data sets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_prep.patches import record
from data_prep.simulated import build, simulate, virtual_sensor
from data_prep.simulated.building import scene_seed
from data_prep.simulated.weather import draw
from permjax.config import TrainConfig
from permjax.sensors import SENSORS
from tests.fake_weather import (
    LANDSAT8,
)
from train import simulate_missing


def read(directory: Path, split: str) -> Sequence[dict[str, Any]]:
    builder: Any = tfds.builder_from_directory(directory)
    return builder.as_data_source(split)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    data_dir = tmp_path_factory.mktemp("data")
    sensors = [LANDSAT8, virtual_sensor(1)]
    return data_dir, build(data_dir, sensors, 2, 1, 1, patch_size=32, seed=1)


def test_built_records_are_the_simulated_patches(built: tuple[Path, list[Path]]) -> None:
    data_dir, directories = built
    assert directories[0] == data_dir / "simulated" / "landsat8_oli_tirs" / "1.0.0"
    metadata = tfds.builder_from_directory(directories[0]).info.metadata
    assert metadata is not None
    assert metadata["sensor"] == "landsat8_oli_tirs"
    scenes = set()
    for split, count in (("train", 2), ("validation", 1), ("test", 1)):
        source = read(directories[0], split)
        assert len(source) == count
        for example in source:
            seed = int(example["scene_id"].decode().removeprefix("simulated_"))
            scenes.add(seed)
            expected = record(simulate(seed, LANDSAT8, 32))
            np.testing.assert_array_equal(example["image"], expected["image"])
            np.testing.assert_array_equal(example["label"], expected["label"])
    assert len(scenes) == 4


def test_sensors_share_held_out_scenes_and_train_on_their_own(
    built: tuple[Path, list[Path]],
) -> None:
    def scenes(directory: Path, split: str) -> set[bytes]:
        return {example["scene_id"] for example in read(directory, split)}

    one, other = built[1]
    for split in ("validation", "test"):
        assert scenes(one, split) == scenes(other, split)
        assert not scenes(one, split) & (scenes(one, "train") | scenes(other, "train"))
    assert not scenes(one, "train") & scenes(other, "train")


def test_frozen_scenes_are_those_with_snow_or_ice_and_no_others(tmp_path: Path) -> None:
    [directory] = build(tmp_path, [LANDSAT8], 3, 0, 0, patch_size=32, seed=1, only_frozen=True)
    assert directory.parent.name == "frozen-landsat8_oli_tirs"
    metadata = tfds.builder_from_directory(directory).info.metadata
    assert metadata is not None
    assert metadata["sensor"] == "landsat8_oli_tirs"
    ids = [example["scene_id"].decode() for example in read(directory, "train")]
    scenes = {int(scene.removeprefix("simulated_")) for scene in ids}
    first = scene_seed(1, "train", 0, LANDSAT8.name)
    climates = {seed: draw(seed).climate for seed in range(first, max(scenes) + 1)}
    with_snow = {s for s, climate in climates.items() if climate.biome == "ice" or climate.snow}
    assert len(scenes) == 3
    assert scenes == with_snow


def test_training_takes_the_records_that_are_there(
    built: tuple[Path, list[Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    data_dir, directories = built
    config = TrainConfig(data_dir=data_dir, simulated_scenes=99)
    simulate_missing(config, [LANDSAT8])
    assert len(read(directories[0], "train")) == 2
    assert "scenes of 1 of 1 sensors are there" in capsys.readouterr().err


def test_what_is_built_stays_and_other_settings_are_refused(
    built: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    data_dir, directories = built
    file = directories[0] / "dataset_info.json"
    before = file.stat().st_mtime_ns
    build(data_dir, [LANDSAT8], 2, 1, 1, patch_size=32, seed=1)
    assert file.stat().st_mtime_ns == before
    (small,) = build(tmp_path, [SENSORS["cbers4_pan"]], 1, 0, 1, patch_size=16)
    with pytest.raises(FileExistsError, match="simulated with other settings"):
        build(tmp_path, [SENSORS["cbers4_pan"]], 2, 0, 1, patch_size=16)
    assert len(read(small, "train")) == 1


def test_half_written_data_sets_are_built_again(tmp_path: Path) -> None:
    """What a killed run leaves has no metadata, or lies under another name; it goes away."""
    sensor = SENSORS["cbers4_pan"]
    directory = tmp_path / "simulated" / sensor.name / "1.0.0"
    directory.mkdir(parents=True)
    (directory / "simulated-train.array_record-00000-of-00001").write_bytes(b"half")
    directory.with_name("incomplete.ABCDEF_1.0.0").mkdir()
    (built,) = build(tmp_path, [sensor], 1, 0, 0, patch_size=16)
    assert built == directory
    assert [path.name for path in directory.parent.iterdir()] == ["1.0.0"]
    assert len(read(built, "train")) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train": -1}, "train is -1"),
        ({"train": 0, "validation": 0, "test": 0}, "no split has a scene"),
        ({"patch_size": 0}, "patch_size is 0"),
        ({"seed": -2}, "seed -2"),
    ],
)
def test_wrong_settings_are_refused(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    counts: dict[str, Any] = {"train": 1, "validation": 1, "test": 1, **arguments}
    with pytest.raises(ValueError, match=message):
        build(tmp_path, [LANDSAT8], **counts)
