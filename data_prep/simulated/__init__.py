"""Simulated cloudy scenes of any optical sensor, with labels known from physics."""

from data_prep.simulated.scene import simulate

__all__ = ["simulate"]
