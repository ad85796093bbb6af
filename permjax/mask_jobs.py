"""Which scene of `permjax mask` becomes which mask file."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from permjax.landsat import is_landsat
from permjax.mask_files import check_ending, file_names, is_ours
from permjax.mask_options import MaskOptions
from permjax.messages import tell
from permjax.sentinel2 import is_sentinel2

_ENDINGS: Final = (".safe", ".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".tif", ".tiff", ".jp2")


@dataclass(frozen=True)
class Job:
    """A scene and the mask file to make of it."""

    scene: Path
    cloud_mask: Path


def plan(options: MaskOptions) -> list[Job]:
    """What to do: a scene and its mask as named, or all scenes into a folder.

    Nothing is written over but what permjax wrote. Masks that lie among the scenes are left out,
    and with `skip_existing` scenes whose mask is there; both are told of.

    Raises:
        ValueError: paths that cannot be meant, two scenes of one name, or something else in the
            place of a mask.
    """
    if options.output_dir is None:
        jobs = [_named(options.paths)]
    else:
        jobs = _into_folder(options.paths, options.output_dir)
    for job in jobs:
        names = file_names(job.cloud_mask, options.probabilities, options.quicklook)
        _check_places(job.cloud_mask.with_name(name) for name in names)
    return [job for job in jobs if not (options.skip_existing and _is_there(job))]


def _named(paths: tuple[Path, ...]) -> Job:
    if len(paths) != 2:
        raise ValueError(
            "name a scene and its MASK, the file to write; or scenes and --output_dir=DIR"
        )
    job = Job(*paths)
    if job.cloud_mask.is_dir():
        raise ValueError(
            f"{job.cloud_mask}: is a folder: name the mask's file, or give --output_dir="
            f"{job.cloud_mask}"
        )
    check_ending(job.cloud_mask)
    return job


def _into_folder(paths: tuple[Path, ...], folder: Path) -> list[Job]:
    if not paths:
        raise ValueError("name at least one scene")
    jobs: dict[Path, Job] = {}
    for path in paths:
        if is_ours(path):
            tell(f"{path}: was written by permjax, left out")
            continue
        job = Job(path, folder / f"{_scene_name(path)}_cloud.tif")
        if job.cloud_mask in jobs:
            raise ValueError(
                f"{jobs[job.cloud_mask].scene} and {path} would both be masked into "
                f"{job.cloud_mask}: mask them into folders of their own"
            )
        jobs[job.cloud_mask] = job
    return list(jobs.values())


def _check_places(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_file() and not is_ours(path):
            # Two scenes without --output_dir look just like a scene and its mask.
            raise ValueError(
                f"{path}: is there, is no cloud mask, and is not overwritten: name another file; "
                "to mask several scenes give --output_dir=DIR, a folder of their own"
            )


def _is_there(job: Job) -> bool:
    there = job.cloud_mask.exists()
    if there:
        tell(f"{job.cloud_mask}: is there, skipped")
    return there


def _scene_name(path: Path) -> str:
    """That of its folder or file, without the endings of products.

    A product that is given by its metadata is the folder that they are in.
    """
    path = path.absolute()
    if is_sentinel2([path.name]) or is_landsat([path.name]):
        path = path.parent
    name = path.name
    while Path(name).suffix.lower() in _ENDINGS:
        name = Path(name).stem
    return name
