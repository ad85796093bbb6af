"""The report of one model, as eval.py writes it, on records of every kind."""

import json
from pathlib import Path

import pytest

from permjax.config import TrainConfig
from permjax.data import find_datasets
from permjax.experiments.model_report import report_model
from permjax.models import ModelConfig
from permjax.sensors import select_sensors
from permjax.training import train
from tests.fake_records import write_fake_sensors

KINDS = {"simulated": "landsat5_tm", "clouded": "sentinel2b_msi", "real": "sentinel2a_msi"}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> TrainConfig:
    """Trained on records of each kind, one sensor each."""
    path = tmp_path_factory.mktemp("model_report")
    for kind, sensor in KINDS.items():
        write_fake_sensors(path / "data", sensor, train=4, test=3)
        if kind != "real":
            (path / "data" / "fake").rename(path / "data" / kind)
    config = TrainConfig(
        sensors=("landsat", "sentinel"), workdir=path, data="all", steps=1, batch_size=4,
        patch_size=16, band_slots=(4,), model=ModelConfig(features=(8, 8), descriptor_size=8),
    )  # fmt: skip
    train(config)
    return config


@pytest.fixture(scope="module")
def pages(run) -> list[Path]:
    sensors = select_sensors(run.sensors)
    datasets = find_datasets(run.records_dir, sensors, "all")
    return report_model(run.workdir, datasets, sensors, "test", ["all"])


def test_what_is_simulated_and_what_is_real_share_no_figure(pages):
    """Clouds that are simulated over real ground are neither."""
    told = {
        page.parent.name: json.loads((page.parent / "report.json").read_text()) for page in pages
    }
    assert set(told) == {f"report_test_all_{kind}" for kind in KINDS}
    for kind, sensor in KINDS.items():
        results = told[f"report_test_all_{kind}"]
        builder = "fake" if kind == "real" else kind
        name = f"{builder}/{sensor}"
        assert {place["dataset"] for place in results["windows"]["places"]} == {name}
        assert {scene["dataset"] for scene in results["pictures"]} == {name}
        assert set(results["metrics"]) == {name, f"all of {builder}"}
        assert set(results["bands"]) == {sensor}
        assert sum(results["calibration"]["prediction"][0]["pixels"]) == 3 * 32 * 32


def test_each_page_says_in_its_title_what_its_records_are(pages):
    titles = [page.read_text().split("<title>")[1].split("</title>")[0] for page in pages]
    assert sorted(title.split("scenes, ")[1] for title in titles) == [
        "real", "simulated", "simulated clouds over real ground",
    ]  # fmt: skip
