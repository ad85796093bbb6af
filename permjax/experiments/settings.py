"""The settings of the experiment, and what its work directory keeps of them."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import tyro

from permjax.config import CommaList
from permjax.experiments.parts import write_json
from permjax.models import ModelConfig
from permjax.sensors import Sensor, select_sensors

BOTH: Final = "both"
"""What the model trained on both families is called."""
SETTINGS_FILE: Final = "settings.json"


@dataclass(frozen=True)
class ThreeWay:
    """One model trained on one family of sensors, on another, and on both; all tested on one.

    The defaults took 50 minutes on two cores: 2 to simulate 3,120 patches; 38 for 13 models of 600
    steps (three ways of 3 seeds, four with an instrument left out); 10 to measure.

    Attributes:
        train_families: the two families of sensors, as listed by `permjax sensors` (a single
            sensor and a TOML file that describes one are families too).
        test: the one of the two whose scenes the models are tested on.
        data: simulated scenes, or real ones prepared with `python -m data_prep.build`.
        data_dir: where prepared records lie; `<workdir>/data` if not given.
        workdir: directory of the experiment: records, runs, measurements, report.
        scenes: simulated scenes of each sensor to train on; half as many to test on.
        seeds: models of each way, alike but for all that is random.
        steps: training steps of each model.
        batch_size: examples a step.
        patch_size: side of the squares cut from the records to train on, in pixels.
        model: the size of the models.
    """

    train_families: CommaList = ("landsat", "sentinel")
    test: str = "sentinel"
    data: Literal["simulated", "real"] = "simulated"
    data_dir: Path | None = None
    workdir: Path = Path("runs/three_way")
    scenes: int = 160
    seeds: int = 3
    steps: int = 600
    batch_size: int = 16
    patch_size: int = 64
    model: Annotated[ModelConfig, tyro.conf.arg(name="")] = field(default_factory=ModelConfig)

    def __post_init__(self):
        if len(self.train_families) != 2 or self.test not in self.train_families:
            raise ValueError(
                "name two families and test on one of them, as in "
                "--train_families=landsat,sentinel --test=sentinel"
            )
        for name in ("seeds", "steps", "batch_size", "patch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.scenes < 2:
            raise ValueError(f"scenes must be at least 2, half of them to test, not {self.scenes}")
        one, other = (self.family(name) for name in self.train_families)
        if shared := {sensor.name for sensor in one} & {sensor.name for sensor in other}:
            raise ValueError(f"both families hold {', '.join(sorted(shared))}: they must differ")

    @property
    def other(self) -> str:
        """The family that is not tested on."""
        return next(name for name in self.train_families if name != self.test)

    @property
    def records_dir(self) -> Path:
        """Where the records lie."""
        return self.data_dir or self.workdir / "data"

    def family(self, name: str) -> tuple[Sensor, ...]:
        """The sensors of a family."""
        return select_sensors([name])


def check_settings(settings: ThreeWay) -> None:
    """Compare with the settings in the work directory, if an experiment was started there.

    Raises:
        ValueError: they are others.
    """
    path = settings.workdir / SETTINGS_FILE
    if not path.exists():
        return
    before = json.loads(path.read_text())
    differing = [
        f"{name} is {before.get(name)} and not {value}"
        for name, value in settings_as_json(settings).items()
        if before.get(name) != value
    ]
    if differing:
        raise ValueError(
            f"the experiment in {settings.workdir} was started with other settings "
            f"({'; '.join(differing)}): give them again, or another --workdir"
        )


def keep_settings(settings: ThreeWay, records: Sequence[Mapping[str, Any]]) -> None:
    """Write settings and records into the work directory, where they stay those of all there.

    Args:
        settings: of the experiment.
        records: of `count_records`; a file that was written without them gets them.

    Raises:
        ValueError: an experiment with other settings or on other records lies there.
    """
    check_settings(settings)
    path = settings.workdir / SETTINGS_FILE
    kept = json.loads(path.read_text()) if path.exists() else {}
    before, now = map(_numbers, (kept.get("records", records), records))
    differing = [
        f"{name} had {before.get(name, 'no records')} and has {now.get(name, 'no records')}"
        for name in before | now
        if before.get(name) != now.get(name)
    ]
    if differing:
        raise ValueError(
            f"the experiment in {settings.workdir} was started on other records "
            f"({'; '.join(differing)}): bring them back, or give another --workdir"
        )
    write_json(path, settings_as_json(settings) | {"records": records})


def _numbers(records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {it["name"]: f"{it['train']} to train and {it['test']} to test" for it in records}


def settings_as_json(settings: ThreeWay) -> dict[str, Any]:
    """The settings, but for the work directory, which may be moved with the records in it."""
    data_dir = settings.data_dir and settings.data_dir.absolute()
    kept = dataclasses.replace(settings, data_dir=data_dir)
    values = json.loads(json.dumps(dataclasses.asdict(kept), default=str))
    del values["workdir"]
    return values
