"""The command line of the experiments: `python -m permjax.experiments three_way --help`."""

from typing import Annotated

import tyro

from permjax.cli import report_errors
from permjax.experiments.measuring import measure
from permjax.experiments.records import count_records
from permjax.experiments.runs import plan_runs, prepare_records, train_all
from permjax.experiments.settings import ThreeWay, check_settings, keep_settings
from permjax.experiments.three_way_report import write_report
from permjax.memory import keep_freed_memory
from permjax.messages import tell


def three_way(settings: Annotated[ThreeWay, tyro.conf.arg(name="")]) -> None:
    """Train one model on one family of sensors, on another and on both, and report.

    Stopped, the same command goes on where it was.
    """
    keep_freed_memory()
    check_settings(settings)
    datasets = prepare_records(settings)
    # Not before: a mistyped --data_dir would have to be given again.
    keep_settings(settings, count_records(datasets))
    plan = plan_runs(settings, [d.sensor for d in datasets if len(d.records("train"))])
    train_all(plan)
    results = measure(settings, plan, datasets)
    tell(f"the report: {write_report(results, settings.workdir / 'report')}")


@report_errors
def main() -> None:
    """Run the command line."""
    tyro.extras.subcommand_cli_from_dict(
        {"three_way": three_way},
        prog="python -m permjax.experiments",
        use_underscores=True,
    )


if __name__ == "__main__":
    main()
