"""permjax masks clouds in images of any optical satellite.

One model reads each band together with a description of it (centre wavelength, bandwidth, kind).
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from permjax.bands import BandDescription, Kind, describe_bands
    from permjax.classes import CloudClass
    from permjax.inference import CloudMask, Masker
    from permjax.layers import PairwiseBandConv
    from permjax.memory import keep_freed_memory
    from permjax.models import CloudMasker, ModelConfig
    from permjax.rasters import Scene
    from permjax.scenes import open_scene
    from permjax.sensors import SENSORS, Band, Sensor
    from permjax.weights import load_pretrained
    from permjax.xarrays import mask_dataset

__all__ = [
    "SENSORS",
    "Band",
    "BandDescription",
    "CloudClass",
    "CloudMask",
    "CloudMasker",
    "Kind",
    "Masker",
    "ModelConfig",
    "PairwiseBandConv",
    "Scene",
    "Sensor",
    "describe_bands",
    "keep_freed_memory",
    "load_pretrained",
    "mask_dataset",
    "open_scene",
]

_NAMES_OF: Final = {
    "bands": ("BandDescription", "Kind", "describe_bands"),
    "classes": ("CloudClass",),
    "inference": ("CloudMask", "Masker"),
    "layers": ("PairwiseBandConv",),
    "memory": ("keep_freed_memory",),
    "models": ("CloudMasker", "ModelConfig"),
    "rasters": ("Scene",),
    "scenes": ("open_scene",),
    "sensors": ("SENSORS", "Band", "Sensor"),
    "weights": ("load_pretrained",),
    "xarrays": ("mask_dataset",),
}
_MODULE_OF: Final = {name: module for module, names in _NAMES_OF.items() for name in names}


def __getattr__(name: str) -> Any:
    """A public name, its module imported when it is first asked for (PEP 562).

    So `import permjax` and `permjax sensors` do not wait for JAX.
    """
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
