"""`permjax mask`: which scene becomes which file, the devices there are, and what is told of it."""

import functools
import sys
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import jax
import rasterio
from flax import nnx
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from permjax.bands import BandDescription, Kind, describe_bands
from permjax.inference import Masker
from permjax.scenes import open_scene
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
        if is_cloud_mask(path):
            tell(f"{path}: is itself a cloud mask, left out")
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
    # Two scenes without --output_dir look just like a scene and its mask.
    if job.cloud_mask.exists() and not is_cloud_mask(job.cloud_mask):
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


def is_cloud_mask(path: Path) -> bool:
    """Whether a file is a mask that permjax wrote."""
    if not path.is_file():
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with rasterio.open(path) as file:
                return file.tags().get("software", "").startswith("permjax")
        except RasterioError:
            return False


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


def mask_all(
    jobs: list[Job], workdir: Path | None, opening: dict[str, Any], writing: dict[str, Any]
) -> list[Path]:
    """Masks scenes, as many at once as there are devices, and goes on past those that fail.

    Args:
        jobs: what to mask.
        workdir: of the run whose weights to use; None = those of the package.
        opening: keywords of `open_scene`.
        writing: keywords of `Masker.mask_scene`.

    Returns:
        The scenes that were not masked, each told of.
    """
    devices = jax.local_devices()[: len(jobs)]
    load = functools.cache(functools.partial(_load, workdir))

    def attempt(job: Job, device: Any) -> bool:
        try:
            with open_scene(job.scene, **opening) as scene:
                for note in scene.notes:
                    tell(f"{job.scene}: {note}")
                summary = load(device).mask_scene(scene, job.cloud_mask, **writing)
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

    writing = {**writing, "show_progress": len(devices) == 1}  # Bars of several would mingle.
    done = _on_devices(attempt, jobs, devices)
    return [job.scene for job, well in zip(jobs, done, strict=True) if not well]


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
