"""Simulated clouds over the clear images of a folder as array_record data sets."""

from data_prep.clouded.packing import build

__all__ = ["build"]
