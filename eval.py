"""Evaluate the newest checkpoint of a run: `python eval.py --help`."""

from pathlib import Path

from permjax.cli import report_errors
from permjax.config import EvalConfig, load_config, parse
from permjax.data import find_datasets
from permjax.experiments.model_report import report_model
from permjax.sensors import select_sensors


@report_errors
def main() -> None:
    """Restore the run; write its metrics, a page of examples, and reports with all figures."""
    config = parse(EvalConfig)
    run = load_config(config.workdir)
    sensors = select_sensors(config.sensors or run.sensors)
    records_dir = config.data_dir or run.records_dir
    datasets = find_datasets(records_dir, sensors, config.data or run.data)
    words = [Path(word).stem for word in (*config.sensors, *filter(None, [config.data]))]
    if records_dir != run.records_dir:
        words.append(records_dir.name)  # Other records do not take the place of the run's own.
    for page in report_model(config.workdir, datasets, sensors, config.split, words):
        print(page)


if __name__ == "__main__":
    main()
