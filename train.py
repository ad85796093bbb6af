"""Train one model on the labelled scenes of several sensors: `python train.py --help`."""

from collections.abc import Sequence

from data_prep import simulated
from permjax.cli import report_errors
from permjax.config import TrainConfig, parse, save_config
from permjax.data import find_datasets, find_simulated
from permjax.messages import tell
from permjax.report import report_run
from permjax.sensors import Sensor, select_sensors
from permjax.training import check_start, train


@report_errors
def main() -> None:
    """Make simulated scenes if the run wants them, train, and report on held-out scenes."""
    config = parse(TrainConfig)
    sensors = select_sensors(config.sensors)
    if config.data != "real":
        check_start(config)
        save_config(config)  # Stopped while simulating, the run goes on from there.
        simulate_missing(config, sensors)
    train(config)
    report_run(config.workdir, find_datasets(config.records_dir, sensors, config.data), "test")


def simulate_missing(config: TrainConfig, sensors: Sequence[Sensor]) -> None:
    """Simulate scenes of the sensors that have none; records that are there are taken as they are.

    Errors are those of `simulated.build`.
    """
    there = {dataset.sensor for dataset in find_simulated(config.records_dir, sensors)}
    if there and config.data_dir:
        number = f"{len(there)} of {len(sensors)} sensors"
        tell(f"simulated scenes of {number} are there in {config.data_dir} and taken as they are")
    if missing := [sensor for sensor in sensors if sensor.name not in there]:
        simulated.build(
            config.records_dir,
            missing,
            train=config.simulated_scenes,
            validation=0,  # Nothing is tuned in a run.
            test=max(config.simulated_scenes // 5, 8),
            seed=config.seed,
        )


if __name__ == "__main__":
    main()
