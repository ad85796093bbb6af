"""permjax masks clouds in images of any optical satellite.

One model reads each band together with a description of it (centre wavelength, bandwidth, kind).
"""

from permjax.bands import BandDescription, Kind, describe_bands
from permjax.classes import CloudClass
from permjax.inference import CloudMask, Masker
from permjax.layers import PairwiseBandConv
from permjax.models import CloudMasker, ModelConfig
from permjax.rasters import Scene
from permjax.scenes import open_scene
from permjax.sensors import SENSORS, Band, Sensor

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
    "open_scene",
]
