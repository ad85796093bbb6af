"""Saving and restoring runs; the only importer of orbax."""

from pathlib import Path
from types import TracebackType
from typing import Any

import jax
import orbax.checkpoint as ocp
from flax import nnx

from permjax.config import load_config
from permjax.models import CloudMasker


class Checkpoints:
    """The checkpoints of a run: the training state and the state of the data iterator together.

    A context manager: saves go on in the background and are complete on leaving it. A save that
    was broken off does not count, the one before it does.

    Args:
        workdir: of the run; checkpoints lie in its folder `checkpoints`.
        clean_up: remove saves that were broken off. False for a reader: what looks broken off may
            be a save that a training process is at.
    """

    def __init__(self, workdir: Path, *, clean_up: bool = True):
        options = ocp.CheckpointManagerOptions(max_to_keep=3, cleanup_tmp_directories=clean_up)
        self._manager = ocp.CheckpointManager((workdir / "checkpoints").absolute(), options=options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._manager.close()

    @property
    def newest(self) -> int | None:
        """The step of the newest complete checkpoint, None without one."""
        return self._manager.latest_step()

    def save(self, step: int, params: nnx.State, opt_state: Any, data: dict[str, Any]) -> None:
        """Save parameters, optimiser and the data iterator's state as they are after `step`."""
        items = ocp.args.Composite(
            params=ocp.args.StandardSave(params),
            opt_state=ocp.args.StandardSave(opt_state),
            data=ocp.args.JsonSave(data),
        )
        self._manager.save(step, args=items)

    def restore(self, params: nnx.State, opt_state: Any) -> tuple[nnx.State, Any, dict[str, Any]]:
        """The newest of what `save` saved, its arrays placed on devices as the given ones are."""
        items = ocp.args.Composite(
            params=ocp.args.StandardRestore(_abstract(params)),
            opt_state=ocp.args.StandardRestore(_abstract(opt_state)),
            data=ocp.args.JsonRestore(),
        )
        restored = self._manager.restore(self.newest, args=items)
        return restored["params"], restored["opt_state"], restored["data"]

    def restore_params(self, params: nnx.State) -> nnx.State:
        """The newest parameters alone, placed on devices as the given ones are."""
        items = ocp.args.Composite(params=ocp.args.StandardRestore(_abstract(params)))
        return self._manager.restore(self.newest, args=items)["params"]


def _abstract(tree: Any) -> Any:
    """Shapes, types and placement: without a placement another device count could not restore."""
    return jax.tree.map(ocp.utils.to_shape_dtype_struct, tree)


def load_model(workdir: Path) -> CloudMasker:
    """The model of a run with its newest parameters, on the default device; needs no data.

    Raises:
        FileNotFoundError: there is no run, or none with a complete checkpoint.
    """
    graphdef, params = nnx.split(CloudMasker(load_config(workdir).model, rngs=nnx.Rngs(0)))
    with Checkpoints(workdir, clean_up=False) as checkpoints:
        if checkpoints.newest is None:
            raise FileNotFoundError(f"no complete checkpoint in {workdir}: train on with train.py")
        return nnx.merge(graphdef, checkpoints.restore_params(params))
