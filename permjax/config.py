"""The settings of a run: frozen dataclasses, and the command line made from them."""

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

import tyro

from permjax.models import ModelConfig

CommaList = Annotated[
    tuple[str, ...],
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="A,B,...",
        instance_from_str=lambda words: tuple(filter(None, words[0].split(","))),
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda names: [",".join(names)],
    ),
]
"""Names on the command line, separated by commas."""

CONFIG_FILE = "config.json"


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training run; a work directory keeps the ones that it was started with.

    Attributes:
        sensors: sensors and families to train on, as listed by `permjax sensors`, or TOML files
            that describe a sensor.
        workdir: directory of the run: settings, checkpoints, logs, tables, pictures.
        init: weights to start from instead of random ones: `pretrained`, those that come with
            permjax, or the work directory of a run; they settle the size of the model.
        keep: with `init`, how much it counts in the loss that answers stay those of the initial
            weights, so that training on a few scenes does not forget all others.
        data: simulated scenes, real ones prepared with `python -m data_prep.build`, or all.
        data_dir: where prepared records lie; `<workdir>/data` if not given.
        simulated_scenes: simulated scenes of each sensor to train on.
        steps: training steps.
        batch_size: examples a step, over all devices.
        patch_size: side of the squares cut from the records to train on, in pixels.
        band_slots: numbers of bands that a batch may have; each is compiled once.
        shadow_weight: how often a pixel of cloud shadow counts in the loss.
        shares: of the examples, as `simulated=0.5,geotiff_folder/mine=0.2`: each is that of the
            data sets whose names begin so (of two beginnings the longer counts); the others share
            what is left.
        coarse_share: share of examples seen at half their resolution, where records are as large.
        surface_share: share of examples turned into an estimate of surface reflectance.
        learning_rate: the highest, reached after the warm-up; if not given 2e-3, with `init` 2e-4.
        warmup_share: share of the steps over which the learning rate rises from zero.
        weight_decay: of AdamW.
        save_every: steps between checkpoints.
        seed: of everything random in the run.
        model: the size of the model.
    """

    sensors: CommaList = ("landsat", "sentinel")
    workdir: Path = Path("runs/default")
    init: str | None = None
    keep: float = 0.0
    data: Literal["simulated", "real", "all"] = "simulated"
    data_dir: Path | None = None
    simulated_scenes: int = 200
    steps: int = 1300
    batch_size: int = 16
    patch_size: int = 64
    band_slots: tuple[int, ...] = (4, 8, 13)
    shadow_weight: float = 3.0
    shares: CommaList = ("simulated=0.5",)
    coarse_share: float = 0.25
    surface_share: float = 0.2
    learning_rate: float | None = None
    warmup_share: float = 0.05
    weight_decay: float = 0.02
    save_every: int = 100
    seed: int = 0
    model: Annotated[ModelConfig, tyro.conf.arg(name="")] = field(default_factory=ModelConfig)

    def __post_init__(self):
        positive = ("simulated_scenes", "steps", "batch_size", "patch_size", "save_every")
        for name in positive:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not self.sensors:
            raise ValueError("name at least one sensor or family, as in --sensors=landsat,sentinel")
        if not self.band_slots or min(self.band_slots) < 1:
            raise ValueError(f"band_slots must be positive, not {self.band_slots}")
        for name in ("seed", "keep"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be 0 or more, not {getattr(self, name)}")
        if self.keep and self.init is None:
            raise ValueError("keep needs initial weights: give --init too")
        read_shares(self.shares)
        if not 0 <= self.warmup_share < 1:
            raise ValueError(
                f"warmup_share must be at least 0 and less than 1, not {self.warmup_share}"
            )
        for name in ("coarse_share", "surface_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, not {getattr(self, name)}")
        for name in ("highest_learning_rate", "shadow_weight"):
            if not getattr(self, name) > 0:
                word = name.removeprefix("highest_")
                raise ValueError(f"{word} must be positive, not {getattr(self, name)}")

    @property
    def highest_learning_rate(self) -> float:
        """Reached after the warm-up."""
        given = 2e-3 if self.init is None else 2e-4
        return given if self.learning_rate is None else self.learning_rate

    @property
    def records_dir(self) -> Path:
        """Where the prepared records of this run lie."""
        return self.data_dir or self.workdir / "data"


def read_shares(words: Sequence[str]) -> dict[str, float]:
    """The share of the examples that data sets of each beginning have, from `simulated=0.5`.

    Raises:
        ValueError: a word is of another form, or the shares add up to more than 1.
    """
    shares = {}
    for word in words:
        name, _, number = word.rpartition("=")
        try:
            shares[name] = float(number)
        except ValueError:
            shares[name] = math.nan
        if not name or not 0 <= shares[name] <= 1:
            raise ValueError(f"shares are given as NAME=NUMBER from 0 to 1, not {word!r}")
    if sum(shares.values()) > 1 + 1e-9:
        raise ValueError(f"shares add up to more than 1: {', '.join(words)}")
    return shares


@dataclass(frozen=True)
class EvalConfig:
    """Settings of an evaluation; what is not given is taken from the run.

    Attributes:
        workdir: directory of the run whose newest checkpoint is evaluated.
        sensors: sensors and families to evaluate on; those of the run if not given.
        data: which records to evaluate on; those of the run if not given.
        data_dir: where prepared records lie; those of the run if not given.
        split: which scenes.
    """

    workdir: Path = Path("runs/default")
    sensors: CommaList = ()
    data: Literal["simulated", "real", "all"] | None = None
    data_dir: Path | None = None
    split: Literal["train", "validation", "test"] = "test"


Config = TypeVar("Config", TrainConfig, EvalConfig)


def parse(config: type[Config], args: Sequence[str] | None = None) -> Config:
    """The settings that a command line asks for.

    In the work directory of a run the run's own settings are the defaults: `--workdir=DIR` alone
    goes on with it exactly as it was started.

    Raises:
        ValueError: settings that contradict each other, or those of the run in the directory.
    """
    asked = _parse(config, None, args)
    if not isinstance(asked, TrainConfig) or not (asked.workdir / CONFIG_FILE).exists():
        return asked
    saved = load_config(asked.workdir)
    asked = cast(TrainConfig, _parse(TrainConfig, saved, args))
    require_same(saved, asked)
    return asked


def require_same(saved: TrainConfig, asked: TrainConfig) -> None:
    """A run goes on with the settings that it was started with; where it lies does not matter.

    Raises:
        ValueError: others are asked for.
    """
    saved, asked = (
        _absolute(dataclasses.replace(c, workdir=asked.workdir)) for c in (saved, asked)
    )
    differing = [
        f"{name} is {getattr(saved, name)} and not {getattr(asked, name)}"
        for name in (f.name for f in dataclasses.fields(TrainConfig))
        if getattr(saved, name) != getattr(asked, name)
    ]
    if differing:
        raise ValueError(
            f"the run in {asked.workdir} was started with other settings ({'; '.join(differing)}): "
            "leave them out to go on with it, or give another --workdir"
        )


def _parse(config: type[Config], default: Any, args: Sequence[str] | None) -> Config:
    return _absolute(tyro.cli(config, default=default, args=args, use_underscores=True))


def _absolute(config: Config) -> Config:
    """The settings with paths that hold in any directory: of records, sensors, initial weights."""
    sensors = (str(Path(s).absolute()) if s.endswith(".toml") else s for s in config.sensors)
    data_dir = config.data_dir and config.data_dir.absolute()
    config = dataclasses.replace(config, sensors=tuple(sensors), data_dir=data_dir)
    if not isinstance(config, TrainConfig) or config.init is None or config.init == "pretrained":
        return config
    return dataclasses.replace(config, init=str(Path(config.init).absolute()))


def save_config(config: TrainConfig) -> None:
    """Write the settings of a run into its work directory."""
    config.workdir.mkdir(parents=True, exist_ok=True)
    text = json.dumps(dataclasses.asdict(config), indent=2, default=str)
    path = config.workdir / CONFIG_FILE
    partial = path.with_suffix(".partial")
    partial.write_text(text + "\n")
    partial.replace(path)  # At once: a run killed while it writes keeps its settings.


def load_config(workdir: Path) -> TrainConfig:
    """The settings of the run in a work directory, with `workdir` as its place now.

    Raises:
        FileNotFoundError: there is no run.
        ValueError: the file is not one that `save_config` wrote.
    """
    path = workdir / CONFIG_FILE
    if not path.exists():
        raise FileNotFoundError(f"no run in {workdir}: {path} is missing; train one with train.py")
    try:
        values = json.loads(path.read_text())
        for name in ("sensors", "band_slots", "shares"):
            values[name] = tuple(values[name])
        model = values["model"] | {"features": tuple(values["model"]["features"])}
        data_dir = values["data_dir"] and Path(values["data_dir"])
        changed = {"workdir": workdir, "data_dir": data_dir, "model": ModelConfig(**model)}
        return TrainConfig(**values | changed)
    except (TypeError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} does not hold the settings of a run: {error}") from error
