"""Imports go one way, and masking needs little."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEVELS = [
    {
        "bands",
        "classes",
        "pairs",
        "convolutions",
        "memory",
        "messages",
        "program_cache",
        "locks",
    },
    {
        "sensors",
        "layers",
        "radiometry",
        "resampling",
        "products",
        "plausibility",
        "styles",
        "trained_on",
    },
    {"compiled", "mask_options", "models", "losses", "metrics", "augmentation", "rasters"},
    {"config", "logs", "mtl", "mask_files", "windows", "quicklook"},
    {"landsat", "sentinel2", "raster_files"},
    {"data", "checkpoints", "scenes", "scene_masks", "mask_jobs"},
    {"evaluation", "inference"},
    {"report", "weights"},
    {"training", "xarrays", "mask_command"},
    {"cli", "averaging"},
    {"export_weights"},
]
"""A module imports from the levels before its own."""
EXPERIMENTS = [
    {"parts", "plots", "predicting", "matching"},
    {
        "settings",
        "probes",
        "html_report",
        "windows",
        "bands_used",
        "embedding",
        "calibration",
        "pictures",
    },
    {"three_ways", "sections", "records"},
    {"runs", "left_out", "verdict"},
    {"measuring", "three_way_report"},
    {"model_report", "__main__"},
]
"""The same of the modules of `permjax.experiments`, which import from all of the above."""


def imported(path: Path) -> set[str]:
    """Names of the modules that a file imports anywhere, functions included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def level(module: str, levels: list[set[str]] = LEVELS) -> int:
    return next(i for i, modules in enumerate(levels) if module in modules)


PARTS = sorted(
    path.stem for path in (ROOT / "permjax" / "experiments").glob("*.py") if path.stem != "__init__"
)
MODULES = sorted(path.stem for path in (ROOT / "permjax").glob("[!_]*.py"))


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module):
    names = imported(ROOT / "permjax" / f"{module}.py")
    ours = {name.split(".")[1] for name in names if name.startswith("permjax.")}
    assert "experiments" not in ours
    for other in ours & set(MODULES):
        assert level(other) < level(module)


@pytest.mark.parametrize("module", PARTS)
def test_imports_of_the_experiments_go_one_way(module):
    names = imported(ROOT / "permjax" / "experiments" / f"{module}.py")
    ours = {name.split(".")[2] for name in names if name.startswith("permjax.experiments.")}
    for other in ours:
        assert level(other, EXPERIMENTS) < level(module, EXPERIMENTS)


@pytest.mark.parametrize("module", [*MODULES, *(f"experiments/{part}" for part in PARTS)])
def test_permjax_never_imports_data_prep(module):
    assert not any("data_prep" in n for n in imported(ROOT / "permjax" / f"{module}.py"))


def test_only_checkpoints_imports_orbax():
    modules = [*MODULES, *(f"experiments/{part}" for part in PARTS)]
    users = [m for m in modules if "orbax" in str(imported(ROOT / "permjax" / f"{m}.py"))]
    assert users == ["checkpoints"]


def test_masking_does_not_need_the_training_stack():
    """The modules that mask import where no training package can be (flax itself needs optax)."""
    code = """
import sys
for name in ("tensorflow", "tensorflow_datasets", "grain", "scipy", "matplotlib",
             "tensorboardX", "data_prep"):
    sys.modules[name] = None
import permjax.cli
permjax.load_pretrained()
for name in permjax.__all__:
    getattr(permjax, name)
loaded = {name.split(".")[0] for name in sys.modules}
assert not loaded & {"orbax", "xarray", "dask"}, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_importing_permjax_does_not_wait_for_jax():
    code = """
import sys, permjax, permjax.cli
assert not {"jax", "flax", "rasterio"} & set(sys.modules)
assert set(permjax.__all__) == set(permjax._MODULE_OF) and set(permjax.__all__) <= set(dir(permjax))
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
