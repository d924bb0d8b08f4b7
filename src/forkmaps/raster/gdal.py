"""Open a raster file through GDAL so that it can do no harm: to this process, its forks, or other files.

GDAL works with one thread here: one that has run threads hangs in a forked child. What a file only refers to,
in other files or in the network, is not read. GDAL's warnings go to our log, and its errors become ours.
"""

from __future__ import annotations

import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from forkmaps.errors import RasterError, nearest

log = logging.getLogger(__name__)

_REFERENCING = (
    *("VRT", "GDALG", "DERIVED", "GTI", "TIL", "WMS", "WCS", "WMTS", "OGCAPI", "STACTA", "STACIT", "HTTP"),
    *("PLMOSAIC", "EEDA", "EEDAI", "DAAS", "MRF", "RPFTOC", "ECRGTOC"),
)
"""GDAL's formats that read other files, or the network, instead of holding values."""
_REFERENCES = re.compile(
    rb"\s*<(VRTDataset|GDALTileIndexDataset|GDAL_WMS|WCS_GDAL|GDAL_WMTS|OGCAPI|MRF_META)"
)
"""How most of them begin, under whatever name."""
_GDAL_MEGABYTES = 64
"""Blocks that GDAL keeps while it reads. By default they are 5 % of the memory, and of 7000 x 3500 cells 98
megabytes stay with the process for good."""


@contextmanager
def opened(path: str | Path, *, variable: str | None, allow_references: bool) -> Iterator[Any]:
    """Open a raster file, or one variable of it, as a rasterio dataset; close it in the end.

    Raises
    ------
    RasterError
        There is no such file or variable, GDAL can't read it, or it reads other files; also instead of GDAL's
        errors inside the `with` block.
    """
    _check_path(path)
    if not allow_references:
        _refuse_references(path)
    try:
        with _quiet(), rasterio.Env(GDAL_NUM_THREADS="1", GDAL_CACHEMAX=_GDAL_MEGABYTES) as env:
            drivers = None if allow_references else _safe_drivers(env)
            with _open(path, variable, drivers) as dataset:
                yield dataset
    except (RasterioError, CPLE_BaseError, UnicodeDecodeError) as error:
        raise RasterError(f"{path}: can't be read as a raster: {_reason(error)}") from error


def _check_path(path: str | Path) -> None:
    text, file = str(path), Path(path)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/|/vsi", text):
        raise RasterError(f"{text}: network and virtual paths are not read; copy the file to a local path")
    if file.is_dir():
        raise RasterError(f"{text}: is a folder; give the path of a raster file")
    if not file.is_file():
        there = [p.name for p in file.parent.iterdir()] if file.parent.is_dir() else []
        hint = nearest(file.name, there) if file.parent.is_dir() else f"; there is no folder {file.parent}"
        raise RasterError(f"{text}: there is no such raster file{hint}")
    if not file.stat().st_size:
        raise RasterError(f"{text}: the file is empty (0 bytes)")


class _ToOurLog(logging.Handler):
    """Passes on what GDAL has to say, for those who look for it."""

    def emit(self, record: logging.LogRecord) -> None:
        log.debug("GDAL: %s", record.getMessage())


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep GDAL's messages from the terminal: what matters is in our errors."""
    theirs, handler = logging.getLogger("rasterio"), _ToOurLog()
    propagated, theirs.propagate = theirs.propagate, False
    hook, sys.unraisablehook = sys.unraisablehook, _but_decoding(sys.unraisablehook)
    theirs.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            yield
    finally:
        sys.unraisablehook = hook
        theirs.propagate = propagated
        theirs.removeHandler(handler)


def _but_decoding(hook: Callable[[sys.UnraisableHookArgs], object]) -> Callable[..., object]:
    """Return a hook without rasterio's tracebacks: GDAL quotes bytes of damaged files, which are no text."""

    def but_decoding(unraisable: sys.UnraisableHookArgs) -> object:
        return None if isinstance(unraisable.exc_value, UnicodeDecodeError) else hook(unraisable)

    return but_decoding


def _reason(error: BaseException) -> str:
    if "not recognized as being in a supported file format" in str(error):
        return f"it is in no format that GDAL {rasterio.__gdal_version__} knows"
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{error}; the file is damaged, or was cut short"


def _open(path: str | Path, variable: str | None, drivers: list[str] | None) -> Any:
    """Open a file, or the variable of it that is asked for."""
    dataset = DatasetReader(str(path), driver=drivers, sharing=False)
    if variable is None and (dataset.count or not dataset.subdatasets):
        return dataset
    with dataset:
        names = _variables(dataset)
    return DatasetReader(names[_chosen(names, variable, path)], driver=drivers, sharing=False)


def _refuse_references(path: str | Path) -> None:
    with Path(path).open("rb") as file:
        found = _REFERENCES.match(file.read(512))
    if found:
        raise RasterError(
            f"{path}: holds no values ({found[1].decode()}), but names other files to read; "
            f"convert it to GeoTIFF (gdal_translate), or set allow_references if you trust it"
        )


def _safe_drivers(env: Any) -> list[str]:
    return [driver for driver in env.drivers() if driver not in _REFERENCING]


def _variables(dataset: Any) -> dict[str, str]:
    """Return GDAL's names of a file's variables by their own, without the bounds of coordinates."""
    names = {text.rsplit(":", 1)[-1].strip('/"'): text for text in dataset.subdatasets}
    return {name: text for name, text in names.items() if not name.endswith(("_bnds", "_bounds"))}


def _chosen(names: Mapping[str, str], variable: str | None, path: str | Path) -> str:
    listed = ", ".join(names)
    if variable is None and len(names) == 1:
        return next(iter(names))
    if variable is None:
        raise RasterError(f"{path}: has {len(names)} variables; set variable to one of {listed}")
    if not names:
        raise RasterError(f'{path}: has no variables to choose from, so "{variable}" can\'t be one')
    if variable not in names:
        raise RasterError(
            f'{path}: has no variable "{variable}"{nearest(variable, list(names))}; it has {listed}'
        )
    return variable
