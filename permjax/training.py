"""Training: the step, its mapping over devices, and the loop around it."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from permjax.checkpoints import Checkpoints, load_model
from permjax.classes import CLOUD_SHADOW, UNLABELLED
from permjax.config import (
    CONFIG_FILE,
    TrainConfig,
    load_config,
    read_shares,
    require_same,
    save_config,
)
from permjax.data import Batch, Dataset, find_datasets, training_batches
from permjax.locks import locked
from permjax.logs import Log, progress
from permjax.losses import change_loss, label_loss
from permjax.memory import keep_freed_memory
from permjax.messages import tell
from permjax.models import CloudMasker, ModelConfig
from permjax.sensors import select_sensors
from permjax.weights import PRETRAINED, read_weights

DEVICES = "devices"
"""The name of the axis over which a batch is split."""


class TrainState(NamedTuple):
    """All that a step changes; the same on every device."""

    params: nnx.State
    opt_state: optax.OptState


class StepFigures(NamedTuple):
    """What a step reports.

    Attributes:
        loss: what the step lowers: the weighted loss of its labelled pixels and, with `keep`, the
            weighted change of the answers of all its pixels.
        gradient_norm: of that loss.
    """

    loss: jax.Array
    gradient_norm: jax.Array


class Kept(NamedTuple):
    """Parameters whose answers a run is to keep, and how much that counts in the loss."""

    params: nnx.State
    weight: float


TrainStep = Callable[[TrainState, Batch], tuple[TrainState, StepFigures]]


def train_step(
    state: TrainState,
    batch: Batch,
    *,
    graphdef: nnx.GraphDef[CloudMasker],
    optimiser: optax.GradientTransformation,
    shadow_weight: float,
    kept: Kept | None = None,
) -> tuple[TrainState, StepFigures]:
    """One step, as the program of one device that holds its share of the batch.

    The loss is the mean over the labelled pixels of all devices together, so that the number of
    devices changes nothing but rounding; pixels of cloud shadow, which are few, count
    `shadow_weight` times. To it comes the change from the answers of `kept`, the mean over all
    pixels. Runs where `DEVICES` is a mapped axis.
    """
    weight = jnp.where(batch.label == CLOUD_SHADOW, shadow_weight, batch.label != UNLABELLED)
    total = jnp.maximum(lax.psum(jnp.sum(weight), DEVICES), 1)

    def share_of_loss(params: nnx.State) -> jax.Array:
        logits = nnx.merge(graphdef, params)(batch.image, batch.bands, batch.valid)
        loss = jnp.sum(weight * label_loss(logits, batch.label)) / total
        if kept is None:
            return loss
        before = nnx.merge(graphdef, kept.params)(batch.image, batch.bands, batch.valid)
        change = jnp.mean(change_loss(logits, lax.stop_gradient(before)))
        return loss + kept.weight * change / lax.axis_size(DEVICES)

    loss, gradient = jax.value_and_grad(share_of_loss)(state.params)
    loss, gradient = lax.psum((loss, gradient), DEVICES)
    updates, opt_state = optimiser.update(gradient, state.opt_state, state.params)
    params = cast(nnx.State, optax.apply_updates(state.params, updates))
    return TrainState(params, opt_state), StepFigures(loss, optax.tree.norm(gradient))


def map_over_devices(step: TrainStep, mesh: Mesh) -> TrainStep:
    """The one place where a per-device step becomes a program of all devices.

    State replicated, batch split along its first axis: what `jax.pmap` does, which itself is
    `jax.shard_map` under `jax.jit` by now.
    """
    replicated, split = PartitionSpec(), PartitionSpec(DEVICES)
    mapped = jax.shard_map(
        step,
        mesh=mesh,
        in_specs=(replicated, split),
        out_specs=(replicated, replicated),
        check_vma=False,  # the step sums its gradients itself, as the program of one device
    )
    return jax.jit(mapped, donate_argnums=0)


def make_optimiser(config: TrainConfig) -> optax.GradientTransformation:
    """AdamW with clipped gradients, linear warm-up and cosine decay to zero.

    Decay is for kernels alone: biases and scales (vectors) keep their size.
    """
    # At least the last step is for the decay.
    warmup = min(round(config.warmup_share * config.steps), config.steps - 1)
    rate = optax.warmup_cosine_decay_schedule(
        0.0, config.highest_learning_rate, warmup, config.steps
    )
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(
            rate,
            weight_decay=config.weight_decay,
            mask=partial(jax.tree.map, lambda parameter: parameter.ndim > 1),
        ),
    )


class NonFiniteLossError(ArithmeticError):
    """The loss or its gradient stopped being a number."""


def train(config: TrainConfig) -> None:
    """Train, or go on training, the run of `config.workdir` to its last step.

    Whatever stopped the run before, it goes on from its newest complete checkpoint with the
    identical next batch, so that the result equals that of a run never stopped (with `config.keep`
    if the initial weights are unchanged: it reads them anew).

    Raises:
        FileNotFoundError: no records to train on.
        ValueError: the run was started with other settings or records; unknown sensor; a batch
            that the devices cannot share.
        NonFiniteLossError: names the step and the scenes of its batch.
        OSError: another training goes on in the directory, or it cannot be written.
    """
    keep_freed_memory()
    mesh = make_mesh(config.batch_size)
    model = initial_model(config)
    config = _settled(config, model)
    if (config.workdir / CONFIG_FILE).exists():
        require_same(_settled(load_config(config.workdir), model), config)
    step, state = start(model, config, mesh)
    datasets = find_datasets(config.records_dir, select_sensors(config.sensors), config.data)
    _tell_absent(config, datasets)
    batches = iter(training_batches(datasets, config))
    records = {dataset.name: len(dataset.records("train")) for dataset in datasets}
    save_config(config)
    in_use = f"{config.workdir}: another training goes on in it"
    with (
        locked(config.workdir / "training.lock", in_use),
        Checkpoints(config.workdir) as checkpoints,
    ):
        done = checkpoints.newest or 0
        if done:
            params, opt_state, position = checkpoints.restore(*state)
            state = TrainState(params, opt_state)
            _check_records(position["records"], records)
            batches.set_state(position["batches"])
        split = NamedSharding(mesh, PartitionSpec(DEVICES))
        with Log(config.workdir, done) as log, progress() as bars:
            bar = bars.add_task("training", total=config.steps, completed=done)
            for number in range(done + 1, config.steps + 1):
                batch = next(batches)
                state, figures = step(state, jax.device_put(batch._replace(scene_id=()), split))
                loss = _finite(figures, number, batch)
                log.write(number, loss=loss, gradient_norm=float(figures.gradient_norm))
                bars.update(bar, completed=number, description=f"training, loss {loss:.3f}")
                if number % config.save_every == 0 or number == config.steps:
                    position = {"batches": batches.get_state(), "records": records}
                    checkpoints.save(number, *state, position)


def _tell_absent(config: TrainConfig, datasets: Sequence[Dataset]) -> None:
    """Tell of shares of nothing, which a mistyped name may be."""
    for beginning in read_shares(config.shares).keys() - {"simulated"}:
        if not any(dataset.name.startswith(beginning) for dataset in datasets):
            names = ", ".join(dataset.name for dataset in datasets)
            tell(f"--shares gives {beginning} a share, but there is only {names}; others take it")


def _check_records(before: dict[str, int], now: dict[str, int]) -> None:
    """With other records than before the next batches would be others."""
    if before != now:
        raise ValueError(
            f"the run was started on the records {before}, but there are {now} now: bring them "
            "back, or start a run in another --workdir"
        )


def check_start(config: TrainConfig) -> None:
    """See, before hours of work, that a run can begin: its batch is shared, its weights are there.

    Raises:
        FileNotFoundError: as `initial_model`.
        ValueError: as `initial_model` and `make_mesh`.
    """
    make_mesh(config.batch_size)
    if config.init is not None:
        initial_model(config)


def make_mesh(batch_size: int) -> Mesh:
    """All devices along the axis `DEVICES`.

    Raises:
        ValueError: if they cannot share the batch evenly.
    """
    count = jax.device_count()
    if batch_size % count:
        raise ValueError(
            f"a batch of {batch_size} cannot be shared by {count} devices: give a --batch_size "
            f"that is a multiple of {count}"
        )
    return jax.make_mesh((count,), (DEVICES,), axis_types=(AxisType.Auto,))


def initial_model(config: TrainConfig) -> CloudMasker:
    """The model before the first step: random, or with the weights that `config.init` names.

    Either computes in bfloat16 where `config.model` asks for it.

    Raises:
        FileNotFoundError: there are no such weights.
        ValueError: they are of another size than the one that is asked for.
    """
    if config.init is None:
        return CloudMasker(config.model, rngs=nnx.Rngs(config.seed))
    pretrained = config.init == "pretrained"
    model = read_weights(PRETRAINED) if pretrained else load_model(Path(config.init))
    if _size(config.model) not in (ModelConfig(), _size(model.config)):
        raise ValueError(
            f"the weights of --init={config.init} are those of a model of the size {model.config}, "
            f"not {config.model}: leave the size out"
        )
    form = _settled(config, model).model
    # Its structure alone: the parameters are there.
    shapes = nnx.eval_shape(lambda: CloudMasker(form, rngs=nnx.Rngs(0)))
    return nnx.merge(nnx.graphdef(shapes), nnx.state(model))


def _size(config: ModelConfig) -> ModelConfig:
    """What settles the parameters: bfloat16 is a way of computing."""
    return dataclasses.replace(config, bfloat16=False)


def _settled(config: TrainConfig, model: CloudMasker) -> TrainConfig:
    """The settings as a run keeps them: with the size of its initial weights, if left out."""
    if config.init is None or _size(config.model) != ModelConfig():
        return config
    form = dataclasses.replace(model.config, bfloat16=config.model.bfloat16)
    return dataclasses.replace(config, model=form)


def start(model: CloudMasker, config: TrainConfig, mesh: Mesh) -> tuple[TrainStep, TrainState]:
    """The mapped step of a run and its state before the first one, replicated on all devices."""
    optimiser = make_optimiser(config)
    graphdef, params = nnx.split(model)
    # A copy: the state's own arrays are given away by the first step.
    kept = Kept(jax.tree.map(jnp.copy, params), config.keep) if config.keep else None
    state = TrainState(params, optimiser.init(params))
    state = jax.device_put(state, NamedSharding(mesh, PartitionSpec()))
    step = partial(
        train_step,
        graphdef=graphdef,
        optimiser=optimiser,
        shadow_weight=config.shadow_weight,
        kept=kept,
    )
    return map_over_devices(step, mesh), state


def _finite(figures: StepFigures, step: int, batch: Batch) -> float:
    """The loss of a step, waited for; so that no checkpoint holds what is not a number."""
    loss = float(figures.loss)
    if math.isfinite(loss) and math.isfinite(float(figures.gradient_norm)):
        return loss
    scenes = ", ".join(sorted(set(batch.scene_id.tolist())))
    raise NonFiniteLossError(
        f"the loss of step {step} is {loss}, its gradient's norm {figures.gradient_norm}; "
        f"its batch holds the scenes {scenes}: look at their records, or "
        "lower --learning_rate in another --workdir"
    )
