"""`permjax mask`: how scenes are masked, on which devices, and what is told of it."""

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

from permjax.config import load_config
from permjax.inference import Masker
from permjax.mask_jobs import Job, plan
from permjax.mask_options import MaskOptions, check_options, parse_bands
from permjax.messages import complain, say
from permjax.rasters import Scene
from permjax.scene_masks import MaskSummary
from permjax.scenes import open_scene
from permjax.weights import PRETRAINED, read_trained_on, read_weights, weights_name

_FAULTS: Final = (
    ValueError,
    OSError,
    ArithmeticError,
    RasterioError,
    RuntimeError,  # JAX's, out of memory among them
    MemoryError,
)


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
    check_options(options)
    described = None if options.bands is None else parse_bands(options.bands, options.surface)
    if options.workdir is not None:
        load_config(options.workdir)
    jobs = plan(options)
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
                masker = work.load_masker(device)
                summary = work.mask_scene(masker, scene, job.cloud_mask, show_progress=alone)
        except _FAULTS as error:
            if stop := _stop_behind(error):
                raise stop from None
            complain(error, job.scene)
            return False
        say(
            f"{job.cloud_mask}: cloud {summary.cloud_percent:.1f} %, "
            f"shadow {summary.shadow_percent:.1f} % of the pixels with data; "
            f"no data {summary.no_data_percent:.1f} %; {summary.seconds:.1f} s",
            sys.stdout,
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


def _stop_behind(error: BaseException) -> KeyboardInterrupt | None:
    """The interrupt that an error came of: one of a lock or a terminal, while that was undone."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__context__
    return cause


def _load(workdir: Path | None, device: Any) -> Masker:
    """A masker whose weights, and so whose work, are on one device."""
    if workdir is None:
        model, name = read_weights(PRETRAINED), weights_name(PRETRAINED)
        trained_on = read_trained_on(PRETRAINED)
    else:
        # Runs are restored by orbax, which masking with the shipped weights does without.
        from permjax.checkpoints import load_model  # noqa: PLC0415

        model, name, trained_on = load_model(workdir), workdir.name, None
    graphdef, state = nnx.split(model)
    model = nnx.merge(graphdef, jax.device_put(state, device))
    return Masker(model, weights=name, trained_on=trained_on)
