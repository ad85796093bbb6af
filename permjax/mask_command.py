"""`permjax mask`: which scene becomes which file, on which device, and what is told of it."""

import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import jax
from flax import nnx
from rasterio.errors import RasterioError

from permjax.bands import BandDescription, Kind, describe_bands
from permjax.config import load_config
from permjax.inference import Masker
from permjax.mask_files import is_ours
from permjax.mask_options import MaskOptions
from permjax.rasters import Scene
from permjax.scene_masks import MaskSummary
from permjax.scenes import open_scene
from permjax.sensors import select_sensors
from permjax.weights import PRETRAINED, read_weights, weights_name

_ENDINGS: Final = (".safe", ".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".tif", ".tiff", ".jp2")
_FAULTS: Final = (
    ValueError,
    OSError,
    ArithmeticError,
    RasterioError,
    RuntimeError,  # JAX's, out of memory among them
    MemoryError,
)


@dataclass(frozen=True)
class Job:
    """A scene and the mask file to make of it."""

    scene: Path
    cloud_mask: Path


@dataclass(frozen=True)
class Work:
    """What a command asks for: the jobs, and how each is done."""

    jobs: list[Job]
    open_scene: Callable[[Path], Scene]
    load_masker: Callable[[Any], Masker]
    """Of a device that its work is done on; once for each."""
    mask_scene: Callable[..., MaskSummary]
    """Of a masker, a scene and the path of the mask."""


def prepare(options: MaskOptions) -> Work:
    """What a command asks for, before anything is computed; the folder of masks is made.

    Raises:
        ValueError, OSError: the command is wrong.
    """
    described = None if options.bands is None else parse_bands(options.bands, options.surface)
    if options.sensor is not None:
        select_sensors([options.sensor])
    if options.workdir is not None:
        load_config(options.workdir)
    jobs = plan(options.paths, options.output_dir, options.skip_existing)
    if options.output_dir is not None:
        _make_folder(options.output_dir)
    return Work(
        jobs,
        partial(
            open_scene,
            sensor=options.sensor,
            bands=described,
            surface=options.surface,
            scale=options.scale,
            offset=options.offset,
            gsd_m=options.gsd,
        ),
        cache(partial(_load, options.workdir)),
        partial(
            Masker.mask_scene,
            style=options.style,
            dilate_m=options.dilate,
            min_size_m=options.min_size,
            probabilities=options.probabilities,
            quicklook=options.quicklook,
        ),
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"--output_dir: {folder} is no folder and cannot be made: {error.strerror}"
        ) from None


def plan(paths: tuple[Path, ...], output_dir: Path | None, skip_existing: bool) -> list[Job]:
    """What to do: a scene and its mask as named, or all scenes into a folder.

    Masks that lie among the scenes are left out, and with `skip_existing` scenes whose mask is
    there; both are told of.

    Raises:
        ValueError: paths that cannot be meant, or two scenes of one name.
    """
    if output_dir is None:
        return [_single(paths)]
    if not paths:
        raise ValueError("name at least one scene")
    jobs: dict[Path, Job] = {}
    for path in paths:
        if is_ours(path):
            tell(f"{path}: was written by permjax, left out")
            continue
        job = Job(path, output_dir / f"{_stem(path)}_cloud.tif")
        if job.cloud_mask in jobs:
            raise ValueError(
                f"{jobs[job.cloud_mask].scene} and {path} would both be masked into "
                f"{job.cloud_mask}: mask them into folders of their own"
            )
        jobs[job.cloud_mask] = job
    return [job for job in jobs.values() if not (skip_existing and _is_there(job))]


def _single(paths: tuple[Path, ...]) -> Job:
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
    # Two scenes without --output_dir look just like a scene and its mask.
    if job.cloud_mask.exists() and not is_ours(job.cloud_mask):
        raise ValueError(
            f"{job.cloud_mask}: is there and is no cloud mask, and is not overwritten; "
            "to mask several scenes give --output_dir=DIR"
        )
    return job


def _is_there(job: Job) -> bool:
    there = job.cloud_mask.exists()
    if there:
        tell(f"{job.cloud_mask}: is there, skipped")
    return there


def _stem(path: Path) -> str:
    """A scene's name: that of its folder or file, without the endings of products."""
    name = path.absolute().name
    while Path(name).suffix.lower() in _ENDINGS:
        name = Path(name).stem
    return name


def parse_bands(text: str, surface: bool) -> BandDescription:
    """Bands as the command line gives them: `665:30,560:35,10900:600:brightness_temperature`.

    Args:
        text: centre:width of each band in nanometres, in the file's order; its kind may follow.
        surface: what is reflectance is surface reflectance.

    Raises:
        ValueError: it is not of this form, or no imager has such bands.
    """
    reflected = Kind.SURFACE_REFLECTANCE if surface else Kind.REFLECTANCE
    rows = [band.strip().split(":") for band in text.split(",")]
    for row in rows:
        if len(row) not in (2, 3):
            raise ValueError(
                f"--bands: {':'.join(row)!r} is not CENTRE:WIDTH in nm, as in --bands=665:30,560:35"
            )
    try:
        return describe_bands(
            [row[0] for row in rows],
            [row[1] for row in rows],
            [row[2] if len(row) == 3 else reflected for row in rows],
        )
    except ValueError as error:
        raise ValueError(f"--bands: {error}") from None


def mask_all(work: Work) -> list[Path]:
    """Masks scenes, as many at once as there are devices, and goes on past those that fail.

    Returns:
        The scenes that were not masked, each told of.
    """
    devices = jax.local_devices()[: len(work.jobs)]
    alone = len(devices) == 1  # Bars of several would mingle.

    def attempt(job: Job, device: Any) -> bool:
        try:
            with work.open_scene(job.scene) as scene:
                for note in scene.notes:
                    tell(f"{job.scene}: {note}")
                masker = work.load_masker(device)
                summary = work.mask_scene(masker, scene, job.cloud_mask, show_progress=alone)
        except _FAULTS as error:
            complain(str(error), job.scene)
            return False
        print(
            f"{job.cloud_mask}: cloud {summary.cloud_percent:.1f} %, "
            f"shadow {summary.shadow_percent:.1f} % of the pixels with data; "
            f"no data {summary.no_data_percent:.1f} %; {summary.seconds:.1f} s",
            flush=True,
        )
        return True

    done = _on_devices(attempt, work.jobs, devices)
    return [job.scene for job, well in zip(work.jobs, done, strict=True) if not well]


def _on_devices(
    attempt: Callable[[Job, Any], bool], jobs: list[Job], devices: list[Any]
) -> Iterable[bool]:
    """Each job on a device of its own, in the order of the jobs."""
    if len(devices) < 2:
        return [attempt(job, device) for device in devices for job in jobs]
    free: SimpleQueue[Any] = SimpleQueue()
    for device in devices:
        free.put(device)

    def work(job: Job) -> bool:
        device = free.get()
        try:
            return attempt(job, device)
        finally:
            free.put(device)

    with ThreadPoolExecutor(len(devices)) as pool:
        try:
            return list(pool.map(work, jobs))
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise


def _load(workdir: Path | None, device: Any) -> Masker:
    """A masker whose weights, and so whose work, are on one device."""
    if workdir is None:
        model, name = read_weights(PRETRAINED), weights_name(PRETRAINED)
    else:
        # Runs are restored by orbax, which masking with the shipped weights does without.
        from permjax.checkpoints import load_model  # noqa: PLC0415

        model, name = load_model(workdir), workdir.name
    graphdef, state = nnx.split(model)
    return Masker(nnx.merge(graphdef, jax.device_put(state, device)), weights=name)


def tell(sentence: object) -> None:
    """Something worth knowing, on standard error."""
    print(f"note: {sentence}", file=sys.stderr)


def complain(sentence: str, path: Path) -> None:
    """What was wrong with a scene, on standard error, with its path."""
    named = sentence if str(path) in sentence else f"{path}: {sentence}"
    print(f"error: {named}", file=sys.stderr)
