"""Simulated cloudy scenes of any optical sensor, with labels known from physics."""

from data_prep.simulated.building import build
from data_prep.simulated.scene import simulate
from data_prep.simulated.virtual import virtual_sensor

__all__ = ["build", "simulate", "virtual_sensor"]
