"""What the sum over all pairs of bands costs: PairwiseBandConv against its reference.

`python benchmarks/pairwise.py [--bands 1,4,8,13,32,64,200] [--picture FILE.png]`, on an otherwise
idle machine, CPU or accelerator. One image of 128 x 128 pixels, k = 3, F = 32; on an accelerator
in float32 and in bfloat16. Two tables, forward and forward with backward (gradients of image,
descriptors and parameters), with a row for each number of bands:

- the time of the layer, of the reference (all pairs in one batched convolution) and of an ordinary
  convolution of as many bands to F features, medians;
- the limit: the operations of a sum over pairs, none computed twice, over the speed of a large
  matrix product, or the bytes of input and output over the speed of a copy, whichever takes longer,
  both measured in the same run;
- temporary memory by XLA's own account, and the time to compile.

The reference is not run (nan) where XLA counts more than half of the memory, or a library that it
calls finds too little, which is said. At last 200 bands of 256 x 256, forward and backward, on a
CPU in a process of their own whose peak memory is measured.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from rich.console import Console
from rich.table import Table

from permjax.layers import PairwiseBandConv

SIZE, KERNEL, FEATURES, DESCRIPTOR_SIZE = 128, 3, 32, 8
PRECISION = "highest"
"""That of the layer: on an accelerator float32 would else be rounded to fewer bits."""

LIMITS = {"forward": ("40", "5", "20"), "forward + backward": ("15", "-", "10")}
"""Times as fast as the reference and ordinary convolutions at 13 bands; smaller at 64 bands."""


class Figures(NamedTuple):
    """Of one function: its time (NaN = not run), its temporary memory and the time to compile."""

    milliseconds: float
    temporary_bytes: int
    compile_seconds: float


class Row(NamedTuple):
    """A row of a table."""

    bands: int
    ours: Figures
    reference: Figures
    convolution: Figures
    limit_milliseconds: float


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bands", default="1,4,8,13,32,64,200")
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    bands = [int(n) for n in options.bands.split(",")]
    console = Console(width=130)
    accelerated = jax.default_backend() != "cpu"
    for dtype in (jnp.float32, jnp.bfloat16) if accelerated else (jnp.float32,):
        flops, bandwidth = peak_flops(dtype), peak_bandwidth(dtype)
        console.print(
            f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores, {dtype.__name__}: matrix "
            f"product {flops / 1e9:.0f} GFLOP/s, copy {bandwidth / 1e9:.1f} GB/s"
        )
        for passes in LIMITS:
            rows = [measure(n, passes, dtype, flops, bandwidth) for n in bands]
            console.print(table(passes, rows))
            if options.picture and passes == "forward" and dtype is jnp.float32:
                draw(rows, options.picture)
    if not accelerated:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            seconds, gigabytes = pool.submit(hyperspectral_cube).result()
        console.print(
            f"200 bands of 256 x 256, forward + backward: {seconds:.1f} s, peak resident memory "
            f"{gigabytes:.2f} GB (limit 2)"
        )


def measure(bands: int, passes: str, dtype: Any, flops: float, bandwidth: float) -> Row:
    """The row of one number of bands."""
    rng = np.random.default_rng(0)
    image, descriptors = (
        jnp.asarray(rng.normal(size=shape), dtype)
        for shape in ((SIZE, SIZE, bands), (bands, DESCRIPTOR_SIZE))
    )
    cotangent = jnp.asarray(rng.normal(size=(SIZE, SIZE, FEATURES)), dtype)

    def figures(implementation: Any) -> Figures:
        layer = PairwiseBandConv(
            FEATURES, DESCRIPTOR_SIZE, KERNEL,
            implementation=implementation, dtype=dtype, rngs=nnx.Rngs(0),
        )  # fmt: skip
        graphdef, params = nnx.split(layer)

        def forward(params: Any, image: jax.Array, descriptors: jax.Array, valid: jax.Array):
            return nnx.merge(graphdef, params)(image, descriptors, valid)

        arguments = (params, image, descriptors, jnp.ones(bands, bool))
        return of_function(forward, arguments, cotangent, passes)

    kernel = jnp.asarray(rng.normal(size=(KERNEL, KERNEL, bands, FEATURES)), dtype)
    convolution = of_function(ordinary_convolution, (kernel, image), cotangent, passes)
    pixels, backward = SIZE * SIZE * FEATURES, passes != "forward"
    # Products of both halves, and a sum and a maximum a pair; backward the products for kernel and
    # image, and a comparison and two sums a pair.
    operations = pixels * (4 * bands * KERNEL**2 + 2 * bands**2)
    operations += backward * pixels * (8 * bands * KERNEL**2 + 3 * bands**2)
    moved = (image.nbytes + cotangent.nbytes) * (2 if backward else 1)
    return Row(
        bands,
        figures("factored"),
        figures("reference"),
        convolution,
        1e3 * max(operations / flops, moved / bandwidth),
    )


def of_function(
    forward: Callable[..., jax.Array], arguments: tuple, cotangent: jax.Array, passes: str
) -> Figures:
    """The figures of a function, or of it and its gradients by all arguments but flags."""

    def with_gradients(cotangent: jax.Array, *arguments: Any) -> Any:
        loss = lambda *arguments: jnp.vdot(forward(*arguments), cotangent)  # noqa: E731
        differentiable = tuple(range(min(len(arguments), 3)))
        return jax.value_and_grad(loss, differentiable)(*arguments)

    if passes == "forward":
        function = jax.jit(forward)
    else:
        function, arguments = jax.jit(with_gradients), (cotangent, *arguments)
    start = time.perf_counter()
    compiled = function.lower(*arguments).compile()
    compile_seconds = time.perf_counter() - start
    analysis = compiled.memory_analysis()
    temporary = analysis.temp_size_in_bytes if analysis else 0
    milliseconds = float("nan")
    if temporary < memory_bytes() / 2:
        try:
            milliseconds = median_milliseconds(lambda: compiled(*arguments))
        except jax.errors.JaxRuntimeError as error:
            print(f"not run: {str(error).splitlines()[0]}")
    else:
        print(f"not run: needs {temporary / 1e9:.0f} GB")
    return Figures(milliseconds, temporary, compile_seconds)


def ordinary_convolution(kernel: jax.Array, image: jax.Array) -> jax.Array:
    """`[H, W, N]` to `[H, W, F]`."""
    dimensions = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        image[None], kernel, (1, 1), "SAME", dimension_numbers=dimensions, precision=PRECISION
    )[0]


def median_milliseconds(run: Callable[[], Any]) -> float:
    """Median time of a call: of three, or of as many as a second holds."""
    jax.block_until_ready(run())
    seconds: list[float] = []
    while len(seconds) < 3 or (sum(seconds) < 1 and len(seconds) < 100):
        start = time.perf_counter()
        jax.block_until_ready(run())
        seconds.append(time.perf_counter() - start)
    return 1e3 * statistics.median(seconds)


def peak_flops(dtype: Any) -> float:
    """Operations a second of a product of two matrices of 2048 x 2048."""
    x = jnp.ones((2048, 2048), dtype)
    product = jax.jit(partial(jnp.matmul, precision=PRECISION))
    return 2 * 2048**3 / median_milliseconds(lambda: product(x, x)) * 1e3


def peak_bandwidth(dtype: Any) -> float:
    """Bytes a second read and written by `x + 1` of 256 million bytes."""
    x = jnp.ones(256_000_000 // jnp.dtype(dtype).itemsize, dtype)
    # In place: fresh memory is handed out by the system, page by page.
    add = jax.jit(lambda x: x + 1, donate_argnums=0)

    def run() -> jax.Array:
        nonlocal x
        x = add(x)
        return x

    return 2 * x.nbytes / median_milliseconds(run) * 1e3


def memory_bytes() -> int:
    """Of the device, or of the machine for a CPU."""
    statistics_of_device = jax.devices()[0].memory_stats() or {}
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return statistics_of_device.get("bytes_limit", machine)


def hyperspectral_cube() -> tuple[float, float]:
    """Seconds, and peak resident gigabytes of the process."""
    layer = PairwiseBandConv(FEATURES, DESCRIPTOR_SIZE, rngs=nnx.Rngs(0))
    graphdef, params = nnx.split(layer)

    @jax.jit
    def gradients(params: Any, image: jax.Array, descriptors: jax.Array) -> Any:
        def loss(params: Any, image: jax.Array, descriptors: jax.Array) -> jax.Array:
            y = nnx.merge(graphdef, params)(image, descriptors, jnp.ones(200, bool))
            return jnp.sum(jnp.sin(y))

        return jax.value_and_grad(loss, (0, 1, 2))(params, image, descriptors)

    rng = np.random.default_rng(0)
    image = rng.normal(size=(256, 256, 200)).astype(np.float32)
    descriptors = rng.normal(size=(200, DESCRIPTOR_SIZE)).astype(np.float32)
    run = gradients.lower(params, image, descriptors).compile()
    start = time.perf_counter()
    jax.block_until_ready(run(params, image, descriptors))
    seconds = time.perf_counter() - start
    # Not ru_maxrss, which starts from that of the parent.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return seconds, int(status["VmHWM"].split()[0]) * 1024 / 1e9


def table(passes: str, rows: list[Row]) -> Table:
    """One line for each number of bands; the figures to reach stand in the head."""
    faster, convolutions, smaller = LIMITS[passes]
    made = Table(title=f"{passes}: {SIZE} x {SIZE}, k = {KERNEL}, F = {FEATURES}")
    for column in (
        "bands", "ours\nms", "reference\nms", f"times as fast\n{faster} at 13",
        "convolution\nms", f"ours / it\n{convolutions} at 13", "limit\nms", "reached\n%",
        "ours\nMB", "reference\nMB", f"smaller\n{smaller} at 64", "compile, s\n10 at 13",
    ):  # fmt: skip
        made.add_column(column, justify="right")
    for bands, ours, reference, convolution, limit_milliseconds in rows:
        made.add_row(
            str(bands),
            f"{ours.milliseconds:.2f}",
            f"{reference.milliseconds:.1f}",
            f"{reference.milliseconds / ours.milliseconds:.0f}",
            f"{convolution.milliseconds:.2f}",
            f"{ours.milliseconds / convolution.milliseconds:.1f}",
            f"{limit_milliseconds:.2f}",
            f"{100 * limit_milliseconds / ours.milliseconds:.0f}",
            f"{ours.temporary_bytes / 1e6:.1f}",
            f"{reference.temporary_bytes / 1e6:.0f}",
            f"{reference.temporary_bytes / max(ours.temporary_bytes, 1):.0f}",
            f"{ours.compile_seconds:.1f}",
        )
    return made


def draw(rows: list[Row], path: Path) -> None:
    """Time of the forward pass against the number of bands."""
    import matplotlib.pyplot as plt  # noqa: PLC0415  # Only a picture needs it.

    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    bands = [row.bands for row in rows]
    for name, label, style in (
        ("reference", "reference: all pairs convolved", "o--"),
        ("ours", "PairwiseBandConv", "o-"),
        ("convolution", "ordinary convolution", "s:"),
    ):
        axes.plot(bands, [getattr(row, name).milliseconds for row in rows], style, label=label)
    axes.set(xscale="log", yscale="log", xlabel="bands", ylabel="forward pass, ms")
    axes.set_xticks(bands, [str(n) for n in bands])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
