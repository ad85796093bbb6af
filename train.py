"""Train one model on the labelled scenes of several sensors: `python train.py --help`."""

from data_prep import simulated
from permjax.cli import report_errors
from permjax.config import TrainConfig, parse, save_config
from permjax.data import find_datasets
from permjax.report import report_run
from permjax.sensors import select_sensors
from permjax.training import train


@report_errors
def main() -> None:
    """Make simulated scenes if the run wants them, train, and report on held-out scenes."""
    config = parse(TrainConfig)
    sensors = select_sensors(config.sensors)
    if config.data != "real":
        save_config(config)  # Stopped while simulating, the run goes on from there.
        simulated.build(
            config.records_dir,
            sensors,
            train=config.simulated_scenes,
            validation=0,  # Nothing is tuned in a run.
            test=max(config.simulated_scenes // 5, 8),
            seed=config.seed,
        )
    train(config)
    report_run(config.workdir, find_datasets(config.records_dir, sensors, config.data), "test")


if __name__ == "__main__":
    main()
