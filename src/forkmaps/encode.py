"""Turn a finished picture into the bytes of a PNG or WebP file, without loss.

A PNG is a few framed chunks around one zlib stream, and making that stream with Pillow took two thirds of a
map's time. Here the picture's rows go through libdeflate without a row filter: thin lines and flat colors
repeat as they stand, and a filter breaks the repeats. Where the package `deflate` isn't installed, Pillow
encodes: slower, larger, the same pixels.

Same picture, same bytes: nothing depends on the time, the process or what was encoded before.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
"""(rows, columns, 3 or 4) uint8: RGB or RGBA, the top row first. Alpha is kept on demand, else dropped; it is
never blended."""

DEFLATE_LEVEL: Final = 2
"""libdeflate on 25 of our state maps of 1400 x 900 pixels. In parts of Pillow's time at level 1 (40 to 60
ms on a free CPU) and of its bytes at level 3 (596 KB): level 1 0.20 and 1.00, level 2 0.23 and 0.93, level
3 0.27 and 0.90; level 2 after the row filter "up" 0.23 and 0.97; python-isal's level 2 0.10 and 1.10;
zlib's level 2 0.45 and 1.04. Smooth fields gain least, up to 1.29 of the bytes (1.12 after "up")."""

PILLOW_LEVEL: Final = 3
"""Where libdeflate is missing: 1.2 x level 1's time for 0.91 of its bytes."""

WEBP_METHOD: Final = 1
"""Effort of lossless WebP, in parts of our PNG's time and bytes: method 0 3.5 and 1.03, method 1 14 and 0.85,
method 2 16 and 0.85. Lossy WebP halves the resolution of color and so blurs lines (quality 90: 33 dB)."""

WEBP_QUALITY: Final = 0
"""The search within the method: 50 takes 23 x our PNG's time for 0.73 of its bytes."""

METERS_PER_INCH: Final = 0.0254

_Bytes = bytes | bytearray
_Compressor = Callable[[Picture, int], _Bytes]


def _find_compressor() -> _Compressor | None:
    try:
        from deflate import zlib_compress
    except ImportError:  # no wheel for this platform
        return None
    return zlib_compress


_zlib_compress: Final = _find_compressor()
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_COLOR_TYPES: Final = {3: 2, 4: 6}
"""A PNG's code for RGB, and for RGBA."""
_PER_METER: Final = 1  # the unit in pHYs


def encode_png(picture: Picture, *, dpi: float | None = None, alpha: bool = False) -> bytes:
    """Encode a picture as PNG: RGB, 8 bit, with no metadata but the resolution.

    Parameters
    ----------
    picture
        (rows, columns, 3 or 4) uint8 in any memory layout, such as the view ``rgba[:, :, :3]``.
    dpi
        Pixels per inch to state in the file; None states nothing.
    alpha
        Keep the picture's alpha, if it has any: the file is RGBA.

    Raises
    ------
    ValueError
        If the array isn't such a picture.
    """
    picture = _channels(picture, alpha)
    if _zlib_compress is None:
        return _png_by_pillow(picture, dpi)
    pixels = _chunk(b"IDAT", _zlib_compress(_rows_as_stored(picture), DEFLATE_LEVEL))
    return b"".join([_SIGNATURE, *_header(picture), *_resolution(dpi), *pixels, *_chunk(b"IEND")])


def encode_webp(picture: Picture, *, alpha: bool = False) -> bytes:
    """Encode a picture as lossless WebP: RGB, 8 bit, no metadata.

    Smaller than the PNG of the same picture, at more than ten times its time. For `picture`, `alpha` and the
    error see `encode_png`.
    """
    picture = _channels(picture, alpha)
    return _by_pillow(picture, "webp", lossless=True, exact=True, method=WEBP_METHOD, quality=WEBP_QUALITY)


def _channels(picture: Picture, alpha: bool) -> Picture:
    """Return a view on the channels that the file is to have."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (3, 4) or not picture.size:
        raise ValueError(f"a picture is (rows, columns, 3 or 4) uint8, found {picture.shape} {picture.dtype}")
    return picture if alpha else picture[:, :, :3]


def _rows_as_stored(picture: Picture) -> Picture:
    """Lay the rows out as a PNG stores them: filter byte 0 (none), then RGB. Returns (rows, 1 + 3 x columns).

    Three copies, one per channel, take 1.1 ms for 1400 x 900 pixels; one of the three together takes 5.8 ms.
    """
    rows, columns, channels = picture.shape
    stored = np.empty((rows, 1 + channels * columns), np.uint8)
    stored[:, 0] = 0
    for channel in range(channels):
        stored[:, 1 + channel :: channels] = picture[:, :, channel]
    return stored


def _header(picture: Picture) -> tuple[_Bytes, ...]:
    rows, columns, channels = picture.shape
    # Bits, color type, compression, filter method, not interlaced.
    return _chunk(b"IHDR", struct.pack(">II5B", columns, rows, 8, _COLOR_TYPES[channels], 0, 0, 0))


def _resolution(dpi: float | None) -> tuple[_Bytes, ...]:
    if dpi is None:
        return ()
    per_meter = round(dpi / METERS_PER_INCH)
    return _chunk(b"pHYs", struct.pack(">IIB", per_meter, per_meter, _PER_METER))


def _chunk(name: bytes, data: _Bytes = b"") -> tuple[_Bytes, ...]:
    checksum = zlib.crc32(data, zlib.crc32(name))
    return struct.pack(">I", len(data)), name, data, struct.pack(">I", checksum)


def _png_by_pillow(picture: Picture, dpi: float | None) -> bytes:
    resolution = {} if dpi is None else {"dpi": (dpi, dpi)}
    return _by_pillow(picture, "png", compress_level=PILLOW_LEVEL, **resolution)


def _by_pillow(picture: Picture, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(file, form, **options)
    return file.getvalue()
