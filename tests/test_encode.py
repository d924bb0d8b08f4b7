import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from forkmaps import encode


def rng():
    return np.random.default_rng(11)


def random_picture():
    return rng().integers(0, 256, (61, 83, 3), np.uint8)


def flat_picture():
    return np.full((40, 64, 3), (12, 200, 99), np.uint8)


def gradient_picture():
    y, x = np.mgrid[0:90, 0:121]
    return np.stack([x + y, 255 - x, 2 * y], axis=2).astype(np.uint8)


def map_picture():
    """Bands of color with noise at their edges, a white margin, thin lines with soft sides."""
    y, x = np.mgrid[0:300, 0:431]
    band = (x / 30 + np.sin(y / 40) * 3 + rng().normal(0, 0.1, x.shape)).astype(int) % 12
    picture = rng().integers(0, 256, (12, 3), np.uint8)[band]
    picture[:40] = picture[:, :50] = 255
    picture[::37] = picture[:, ::53] = 0
    picture[1::37] //= 2
    return picture


def one_pixel():
    return np.array([[[1, 2, 3]]], np.uint8)


def one_row():
    return rng().integers(0, 256, (1, 7, 3), np.uint8)


def one_column():
    return rng().integers(0, 256, (7, 1, 3), np.uint8)


def rgba_view():
    """What a canvas gives: the first three channels of an RGBA buffer."""
    return rng().integers(0, 256, (33, 45, 4), np.uint8)[:, :, :3]


def upside_down():
    return rng().integers(0, 256, (33, 45, 3), np.uint8)[::-1]


def by_columns():
    return np.asfortranarray(random_picture())


def frozen():
    picture = random_picture()
    picture.flags.writeable = False
    return picture


PICTURES = (
    random_picture, flat_picture, gradient_picture, map_picture, one_pixel, one_row, one_column, rgba_view,
    upside_down, by_columns, frozen,
)  # fmt: skip


@pytest.fixture(params=["deflate", "pillow"])
def codec(request, monkeypatch):
    """Run the test with libdeflate and with the fallback."""
    if request.param == "pillow":
        monkeypatch.setattr(encode, "_zlib_compress", None)
    else:
        pytest.importorskip("deflate")
    return request.param


def decoded(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def chunks(data):
    """Return the (name, content) of a PNG's chunks; every checksum is tested."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    found, at = [], 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        name, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert data[at + 8 + length : at + 12 + length] == struct.pack(">I", zlib.crc32(name + content))
        found.append((name, content))
        at += 12 + length
    return found


@pytest.mark.parametrize("make", PICTURES)
def test_png_gives_the_pixels_back(codec, make):
    picture = make()
    assert np.array_equal(decoded(encode.encode_png(picture)), picture)


@pytest.mark.parametrize("make", PICTURES)
def test_webp_gives_the_pixels_back(make):
    picture = make()
    assert np.array_equal(decoded(encode.encode_webp(picture)), picture)


@pytest.mark.parametrize("encoder", [encode.encode_png, encode.encode_webp])
def test_alpha_is_dropped(codec, encoder):
    picture = rng().integers(0, 256, (20, 30, 4), np.uint8)
    assert np.array_equal(decoded(encoder(picture)), picture[:, :, :3])


def test_picture_is_left_as_it_was(codec):
    picture = map_picture()
    before = picture.copy()
    encode.encode_png(picture)
    assert np.array_equal(picture, before)


def test_png_is_8_bit_rgb_and_whole(codec):
    data = encode.encode_png(map_picture())
    with Image.open(io.BytesIO(data)) as image:
        image.verify()
        assert (image.mode, image.size, image.format) == ("RGB", (431, 300), "PNG")
    assert chunks(data)[0] == (b"IHDR", struct.pack(">II5B", 431, 300, 8, 2, 0, 0, 0))
    assert data.endswith(b"IEND\xaeB`\x82")


def test_png_holds_no_dates_nor_other_metadata(codec):
    names = {name for name, _ in chunks(encode.encode_png(map_picture()))}
    assert names == {b"IHDR", b"IDAT", b"IEND"}


@pytest.mark.parametrize(("dpi", "per_meter"), [(100, 3937), (72, 2835), (300, 11811), (99.5, 3917)])
def test_png_states_its_resolution(codec, dpi, per_meter):
    found = dict(chunks(encode.encode_png(one_pixel(), dpi=dpi)))
    assert found[b"pHYs"] == struct.pack(">IIB", per_meter, per_meter, 1)


def test_resolution_comes_before_the_pixels(codec):
    names = [name for name, _ in chunks(encode.encode_png(one_pixel(), dpi=100))]
    assert names == [b"IHDR", b"pHYs", b"IDAT", b"IEND"]


def test_fallback_states_the_same_header_and_resolution(monkeypatch):
    picture = map_picture()
    ours = chunks(encode.encode_png(picture, dpi=100))[:2]
    monkeypatch.setattr(encode, "_zlib_compress", None)
    assert chunks(encode.encode_png(picture, dpi=100))[:2] == ours


@pytest.mark.parametrize("encoder", [encode.encode_png, encode.encode_webp])
def test_same_picture_gives_the_same_bytes(codec, encoder):
    picture = map_picture()
    first = encoder(picture)
    encoder(random_picture())
    assert encoder(np.asfortranarray(picture)) == first


@pytest.mark.parametrize("encoder", [encode.encode_png, encode.encode_webp])
def test_a_forked_child_gives_the_same_bytes(codec, encoder):
    picture = map_picture()
    assert in_child(lambda: encoder(picture)) == encoder(picture)


def in_child(make):
    """Return the bytes that `make` gives in a forked child."""
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            os.close(reader)
            with os.fdopen(writer, "wb") as pipe:
                pipe.write(make())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        data = pipe.read()
    os.waitpid(pid, 0)
    return data


def test_a_map_takes_fewer_bytes_than_pillow_3():
    pytest.importorskip("deflate")
    picture = map_picture()
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png", compress_level=3)
    assert len(encode.encode_png(picture)) <= len(file.getvalue())


def test_without_deflate_pillow_is_chosen(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "deflate", None)
    assert encode._find_compressor() is None


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 5), np.uint8),
        np.zeros((4, 5, 2), np.uint8),
        np.zeros((4, 5, 3), np.float32),
        np.zeros((0, 5, 3), np.uint8),
    ],
)
@pytest.mark.parametrize("encoder", [encode.encode_png, encode.encode_webp])
def test_what_is_no_picture_is_refused(encoder, wrong):
    with pytest.raises(ValueError, match=r"\(rows, columns, 3 or 4\) uint8, found"):
        encoder(wrong)
