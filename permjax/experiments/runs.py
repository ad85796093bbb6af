"""The models of the experiment: what each is trained on, and their training."""

import dataclasses
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from permjax.checkpoints import Checkpoints
from permjax.config import CONFIG_FILE, TrainConfig, load_config, require_same, save_config
from permjax.data import Dataset, find_datasets, find_simulated
from permjax.experiments.matching import instruments
from permjax.experiments.records import require_records, require_scenes
from permjax.experiments.settings import BOTH, ThreeWay
from permjax.messages import tell
from permjax.sensors import Sensor
from permjax.training import train


@dataclass(frozen=True)
class Plan:
    """The training runs of the experiment.

    Attributes:
        ways: by the family trained on, the other one first, then `both`; a run for each seed.
        left_out: by the name of a sensor, the run that saw neither it nor its twins. It is of the
            first seed, and one of the ways where the others are just that family.
    """

    ways: Mapping[str, tuple[TrainConfig, ...]]
    left_out: Mapping[str, TrainConfig]

    @property
    def runs(self) -> list[TrainConfig]:
        """Every run once, in the order of training: the ways of one seed after those of another."""
        by_seed = [run for runs in zip(*self.ways.values(), strict=True) for run in runs]
        return list({run.workdir: run for run in [*by_seed, *self.left_out.values()]}.values())


def prepare_records(settings: ThreeWay) -> list[Dataset]:
    """The records of both families, simulated first where they are wanted and not there.

    Raises:
        FileNotFoundError: there are no real records, or not all that are needed to train and test.
        ValueError: the families have no band in common, or simulated records that are there are of
            another number of scenes.
        ChildProcessError: the simulator failed, for the reason that it printed.
    """
    sensors = [sensor for name in settings.train_families for sensor in settings.family(name)]
    if settings.data == "simulated":
        _simulate_missing(settings, sensors)
    datasets = find_datasets(settings.records_dir, sensors, settings.data)
    require_records(settings, datasets)
    return datasets


def _simulate_missing(settings: ThreeWay, sensors: Sequence[Sensor]) -> None:
    """Simulate scenes of the sensors that have none; errors as in `prepare_records`."""
    there = find_simulated(settings.records_dir, sensors)
    require_scenes(settings, there)
    if {dataset.sensor for dataset in there}.issuperset(sensor.name for sensor in sensors):
        return
    command = [sys.executable, "-m", "data_prep.build", "simulated"]
    command += [f"--data_dir={settings.records_dir}"]
    command += [f"--sensors={','.join(_words(settings))}"]
    # Nothing is tuned.
    command += [f"--train={settings.scenes}", "--validation=0", f"--test={settings.scenes // 2}"]
    if subprocess.run(command, check=False).returncode:
        raise ChildProcessError(
            "the scenes were not simulated; `python -m data_prep.build` runs in a checkout of "
            "permjax"
        )


def _words(settings: ThreeWay) -> dict[str, str]:
    """What `select_sensors` knows each sensor by: the path of a user's, else its name."""
    return {
        (name if name.endswith(".toml") else sensor.name): sensor.name
        for name in settings.train_families
        for sensor in settings.family(name)
    }


def plan_runs(settings: ThreeWay, trained: Sequence[str]) -> Plan:
    """All runs of the experiment, of equal steps and size.

    Args:
        settings: of the experiment.
        trained: names of the sensors that there are training records of; an instrument without
            any cannot be left out.
    """
    families = (settings.other, settings.test)
    sensors_of = {name: (name,) for name in families} | {BOTH: families}
    ways = {
        way: tuple(_run(settings, way, sensors, seed) for seed in range(settings.seeds))
        for way, sensors in sensors_of.items()
    }
    words = {name: word for word, name in _words(settings).items()}
    there = [s for f in families for s in settings.family(f) if s.name in trained]
    left_out = {}
    for group in instruments(there):
        rest = [sensor for sensor in there if sensor not in group]
        if not rest:
            continue
        same = (f for f in families if {s for s in settings.family(f) if s in there} == set(rest))
        if way := next(same, None):
            run = ways[way][0]
        else:
            names = tuple(words[sensor.name] for sensor in rest)
            run = _run(settings, f"without_{group[0].name}", names, 0)
        left_out |= {sensor.name: run for sensor in group}
    return Plan(ways, left_out)


def _run(settings: ThreeWay, name: str, sensors: tuple[str, ...], seed: int) -> TrainConfig:
    return TrainConfig(
        sensors=sensors,
        workdir=settings.workdir / "runs" / f"{Path(name).stem}_{seed}",
        data=settings.data,
        data_dir=settings.records_dir.absolute(),
        steps=settings.steps,
        batch_size=settings.batch_size,
        patch_size=settings.patch_size,
        seed=seed,
        model=settings.model,
    )


def train_all(plan: Plan) -> None:
    """Train every run to its last step; those that were stopped go on, complete ones are left.

    Raises:
        ValueError: a run that is there was started with other settings.
    """
    for run in plan.runs:
        if (run.workdir / CONFIG_FILE).exists():
            _settle(run)
    for number, run in enumerate(plan.runs, 1):
        if not _complete(run):
            tell(f"run {number} of {len(plan.runs)}: {run.workdir.name}")
            train(run)


def _settle(run: TrainConfig) -> None:
    """Compare a run with the settings that it was started with; they learn where its records are.

    The work directory may have been moved with the records in it; that they are the same ones the
    experiment's settings tell.
    """
    before = load_config(run.workdir)
    require_same(dataclasses.replace(before, data_dir=run.data_dir), run)
    if before.data_dir != run.data_dir:
        save_config(run)


def _complete(run: TrainConfig) -> bool:
    if not (run.workdir / CONFIG_FILE).exists():
        return False
    with Checkpoints(run.workdir, clean_up=False) as checkpoints:
        return checkpoints.newest == run.steps
