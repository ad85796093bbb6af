"""The weights that come with permjax: `python -m recipes.pretrained STAGE --samples=SAMPLES`.

`recipes/README.md` tells what the folder of samples holds. `prepare` makes records, `base` trains
on all but the images labelled by hand that test, `folds` goes on from there five times, each time
with a fifth of these held out, and `final` once with all of them; `unseen` briefly trains models
without Landsat and without Sentinel-2. What is measured and shipped lies halfway from the base to
where `folds` and `final` end: the few labels made by hand teach much that holds in their own places
alone. `python -m benchmarks.accuracy --samples=SAMPLES` prints how right the folds are, and `python
-m permjax.export_weights --workdir=DIR/final --name=NAME --halfway` puts the final weights into the
package. A stage that was stopped goes on where it was; `all` is one after another.
"""

import argparse
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import Any, Final

from permjax.cli import report_errors
from permjax.config import TrainConfig
from permjax.training import train
from recipes import samples
from recipes.runs import finished

COMMON: Final[dict[str, Any]] = {
    "data": "all",
    "patch_size": 128,
    "batch_size": 8,
    "band_slots": (4, 8, 13),
    "save_every": 250,
}
BASE: Final[dict[str, Any]] = {
    "steps": 16000,
    "learning_rate": 1.5e-3,
    "shares": (
        "simulated/virtual=0.13",
        "simulated/frozen=0.13",
        "simulated=0.17",
        "clouded=0.23",
        "geotiff_folder/taught=0.21",
        "geotiff_folder/snowfields=0.05",
    ),
}
FINE: Final[dict[str, Any]] = {
    "steps": 500,
    "learning_rate": 6e-4,
    "shares": (
        "simulated/virtual=0.08",
        "simulated/frozen=0.12",
        "simulated=0.1",
        "clouded=0.17",
        "geotiff_folder/taught=0.14",
        # These are so different from one another that a model would learn them by heart.
        "geotiff_folder/landsat8_biome=0.1",
        "geotiff_folder/sentinel2_radiant=0.12",
        "geotiff_folder/sentinel2_ukis=0.1",
        "geotiff_folder/snowfields=0.04",
    ),
    # The level is part of a band's description, and hand labels differ with it in style: those of
    # surface reflectance have generous edges. Examples turned into it would blur that.
    "surface_share": 0.0,
}

UNSEEN: Final[dict[str, tuple[str, ...]]] = {
    "every_sensor": (),
    "no_landsat": ("landsat5_mss", "landsat5_tm", "landsat7_etm", "landsat8_oli_tirs"),
    "no_sentinel2": ("sentinel2a_msi",),
}
"""Runs that tell what a sensor never seen costs, and the sensors that each leaves out."""
SHORT: Final[dict[str, Any]] = {
    "steps": 1500,
    "learning_rate": 2e-3,
    "patch_size": 64,
    "batch_size": 16,
}


class Recipe:
    """The stages of one directory.

    Args:
        folder: where records, runs and all else are put.
        source: the folder of samples.
    """

    def __init__(self, folder: Path, source: Path):
        self.folder, self.source = folder.absolute(), source

    def prepare(self) -> None:
        """Makes the records of all stages; what is there stays."""
        records = self.folder / "records"
        samples.simulate(records)
        samples.pack(self.source, self.folder, records)
        samples.write_virtual_sensors(self.folder / "virtual")

    def base(self) -> None:
        """Trains on all but the images labelled by hand that test.

        That is simulated scenes, simulated clouds over real ground, labels of the teacher,
        snowfields, and images labelled by eye or automatically, `HELD_OUT` left out.
        """
        self._train("base", self.folder / "records", BASE)

    def folds(self) -> None:
        """Goes on from the base five times, a fifth of the labelled images held out each time."""
        settings = self._from_base()
        for fold in range(samples.FOLDS):
            self._train(f"fold{fold}", self.records_of_fold(fold), settings)

    def final(self) -> None:
        """Goes on from the base with every image that there is, those of `HELD_OUT` too."""
        settings = self._from_base()
        records = self._linked("final", without=samples.HELD_OUT)
        self._pack_labelled("final", records, test=())
        samples.pack_held_out(self.source, self.folder, records)
        self._train("final", records, settings)

    def unseen(self) -> None:
        """Trains briefly from nothing on the base's records, with all sensors and without some."""
        for name, left_out in UNSEEN.items():
            self._train(name, self.folder / "records", BASE | SHORT, left_out)

    def records_of_fold(self, fold: int) -> Path:
        """Those of the base and the images labelled by hand that the fold does not hold out."""
        test = (image for image, own in samples.folds(self.source).items() if own == fold)
        records = self._linked(f"fold{fold}")
        self._pack_labelled(f"fold{fold}", records, test)
        return records

    def _from_base(self) -> dict[str, Any]:
        """Settings that go on from the base, which has to be trained to its end."""
        return FINE | {"init": str(finished(self.folder / "base"))}

    def _linked(self, name: str, without: Container[str] = ()) -> Path:
        """Records of a run that begin as links to those of the base, some folders left out."""
        records = self.folder / f"records_{name}"
        (records / "geotiff_folder").mkdir(parents=True, exist_ok=True)
        shared = self.folder / "records"
        for path in (*shared.glob("geotiff_folder/*"), shared / "simulated", shared / "clouded"):
            link = records / path.relative_to(shared)
            if path.name.partition("-")[0] not in without and not link.exists():
                link.symlink_to(path)
        return records

    def _pack_labelled(self, name: str, records: Path, test: Iterable[Path]) -> None:
        """Adds the images labelled by hand to the records of a run, those to test held out."""
        samples.pack_labelled(self.source, self.folder / "tables" / name, records, test)

    def _train(
        self,
        name: str,
        records: Path,
        settings: dict[str, Any],
        left_out: tuple[str, ...] = (),
    ) -> None:
        virtual = map(str, sorted((self.folder / "virtual").glob("*.toml")))
        named = (*samples.NAMED, "landsat5_mss", "planetscope_dove")
        sensors = (*(sensor for sensor in named if sensor not in left_out), *virtual)
        workdir = self.folder / name
        train(TrainConfig(sensors=sensors, workdir=workdir, data_dir=records, **COMMON | settings))


@report_errors
def main() -> None:
    """Run the stages that are asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    stages = ("prepare", "base", "folds", "final", "unseen")
    parser.add_argument("stage", choices=(*stages, "all"))
    parser.add_argument("--dir", type=Path, default=Path("local/pretrained"), help="where all goes")
    parser.add_argument("--samples", type=Path, required=True, help="the folder of samples")
    options = parser.parse_args()
    recipe = Recipe(options.dir, options.samples)
    for stage in stages if options.stage == "all" else (options.stage,):
        run: Callable[[], None] = getattr(recipe, stage)
        run()


if __name__ == "__main__":
    main()
