"""Folders of labelled GeoTIFFs as array_record data sets."""

from data_prep.geotiff_folder.packing import build
from data_prep.geotiff_folder.table import DEFAULT_TABLE

__all__ = ["DEFAULT_TABLE", "build"]
