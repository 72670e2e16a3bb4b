"""mien.images: every kind of source, every mode, every way of being unreadable."""

from __future__ import annotations

import doctest
import io
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, cast

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

import mien.images.files
import mien.images.guard
import mien.images.reading
import mien.images.source
from mien.errors import ConfigError, InputError
from mien.images import (
    ImageLimits,
    ImageSource,
    decode,
    encode,
    list_images,
    open_image,
    save_image,
)

RNG = np.random.default_rng(0)
SCENE = np.asarray(Image.fromarray(RNG.integers(0, 256, (4, 6, 3), np.uint8)).resize((30, 20)))


def file_of(image: Image.Image, image_format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


PNG = file_of(Image.fromarray(SCENE))


@pytest.mark.parametrize(
    "module", [mien.images.reading, mien.images.files, mien.images.guard, mien.images.source]
)
def test_docstring_examples_run(module: ModuleType) -> None:
    result = doctest.testmod(module, extraglobs={"Path": Path, "np": np})
    assert result.failed == 0


# Sources


def test_decode_gives_the_same_from_every_source(tmp_path: Path) -> None:
    path = tmp_path / "scene.png"
    path.write_bytes(PNG)
    with path.open("rb") as file:
        sources: list[ImageSource] = [
            str(path), path, PNG, bytearray(PNG), memoryview(PNG), io.BytesIO(PNG), file,
        ]  # fmt: skip
        sources += [Image.fromarray(SCENE), Image.open(io.BytesIO(PNG)), SCENE]
        results = [decode(source) for source in sources]
    for result in results:
        assert result.dtype == np.uint8
        assert result.flags.c_contiguous
        assert result.flags.writeable
        np.testing.assert_array_equal(result, SCENE)


def test_decode_never_shares_memory_with_its_source() -> None:
    array = SCENE.copy()
    decode(array)[...] = 0
    np.testing.assert_array_equal(array, SCENE)


@pytest.mark.parametrize(
    ("image_format", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("JPEG", {"quality": 95, "subsampling": 0}, 12),
        ("MPO", {"quality": 95, "subsampling": 0}, 12),
        ("GIF", {}, 60),
    ],
)
def test_decode_reads_format(image_format: str, options: dict[str, Any], tolerance: int) -> None:
    result = decode(file_of(Image.fromarray(SCENE), image_format, **options))
    assert np.abs(result.astype(int) - SCENE).max() <= tolerance


def test_decode_reads_a_stream_that_cannot_seek_and_gives_little_at_a_time() -> None:
    class Slow(io.RawIOBase):
        def __init__(self) -> None:
            self.rest = PNG

        def read(self, size: int = -1) -> bytes:
            chunk, self.rest = self.rest[:7], self.rest[7:]
            return chunk

    np.testing.assert_array_equal(decode(cast("BinaryIO", Slow())), SCENE)


# Orientation, animation, modes

#: EXIF orientation -> how a viewer must turn the stored pixels (EXIF 2.32, tag 0x0112).
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
    99: lambda a: a,
}


@pytest.mark.parametrize("image_format", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", list(TURNS))
def test_decode_turns_upright(orientation: int, image_format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if image_format == "WEBP" else {}
    data = file_of(Image.fromarray(SCENE), image_format, exif=exif, **options)
    np.testing.assert_array_equal(decode(data), TURNS[orientation](SCENE))
    np.testing.assert_array_equal(decode(Image.open(io.BytesIO(data))), TURNS[orientation](SCENE))


def test_decode_turns_16_bit_gray_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    gray = np.array([[0, 65535, 257]], np.uint16)
    result = decode(file_of(Image.fromarray(gray), exif=exif))
    assert result[:, :, 0].tolist() == [[0], [255], [1]]


def test_decode_reads_a_picture_whose_exif_is_damaged() -> None:
    data = file_of(Image.fromarray(SCENE), exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")
    np.testing.assert_array_equal(decode(data), SCENE)


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_decode_takes_the_first_frame(image_format: str) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if image_format == "WEBP" else {}
    data = file_of(frames[0], image_format, save_all=True, append_images=frames[1:], **options)
    assert (decode(data) == [255, 0, 0]).all()


def test_decode_lays_transparency_over_mid_gray() -> None:
    pixels = np.array([[[255, 0, 0, 0], [255, 0, 0, 255], [0, 0, 0, 128]]], np.uint8)
    expected = [[128, 128, 128], [255, 0, 0], [64, 64, 64]]
    for source in (pixels, Image.fromarray(pixels), file_of(Image.fromarray(pixels))):
        assert np.abs(decode(source)[0].astype(int) - expected).max() <= 1


def with_transparency(image: Image.Image, value: object) -> Image.Image:
    image.info["transparency"] = value
    return image


def palette(transparency: object = None) -> Image.Image:
    image = Image.new("P", (2, 1), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((0, 0), 0)
    return image if transparency is None else with_transparency(image, transparency)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("1", (1, 1), 1), [255, 255, 255]),
        (Image.new("L", (1, 1), 77), [77, 77, 77]),
        (with_transparency(Image.new("L", (1, 1), 77), 77), [128, 128, 128]),
        (with_transparency(Image.new("RGB", (1, 1), (9, 8, 7)), (9, 8, 7)), [128, 128, 128]),
        (with_transparency(Image.new("CMYK", (1, 1)), 0), [255, 255, 255]),
        (Image.new("LA", (1, 1), (77, 0)), [128, 128, 128]),
        (Image.new("LA", (1, 1), (77, 0)).convert("La"), [128, 128, 128]),
        (Image.new("RGBA", (1, 1), (9, 8, 7, 255)).convert("RGBa"), [9, 8, 7]),
        (Image.new("RGBX", (1, 1), (9, 8, 7, 0)), [9, 8, 7]),
        (palette(), [255, 0, 0]),
        (palette(b"\x00\xff"), [128, 128, 128]),
        (palette(0), [128, 128, 128]),
        (Image.new("CMYK", (1, 1), (0, 255, 255, 0)), [255, 0, 0]),
        (Image.new("YCbCr", (1, 1), (255, 128, 128)), [255, 255, 255]),
        (Image.new("HSV", (1, 1), (0, 255, 255)), [255, 0, 0]),
        (Image.new("LAB", (1, 1), (255, 128, 128)), [255, 255, 255]),
        (Image.new("I", (1, 1), 65535), [255, 255, 255]),
        (Image.new("I", (1, 1), 257 * 7), [7, 7, 7]),
        (Image.new("I;16", (1, 1), 257 * 7), [7, 7, 7]),
        (Image.fromarray(np.full((1, 1), 257 * 7, ">u2")), [7, 7, 7]),
        (Image.new("F", (1, 1), 0.5), [128, 128, 128]),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else "",
)
def test_decode_converts_mode(image: Image.Image, expected: list[int]) -> None:
    assert np.abs(decode(image)[0, 0].astype(int) - expected).max() <= 1


@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
def test_decode_scales_16_bit_gray_without_clipping(image_format: str) -> None:
    ramp = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    result = decode(file_of(Image.fromarray(ramp), image_format))
    np.testing.assert_array_equal(result[:, :, 0], np.arange(256).reshape(16, 16))


def test_decode_scales_12_bit_tiff_by_its_own_white() -> None:
    entries = [(256, 3, 1, 2), (257, 3, 1, 1), (258, 3, 1, 12), (259, 3, 1, 1), (262, 3, 1, 1)]
    entries += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 1), (279, 4, 1, 3)]
    pixels = bytes([0xFF, 0xF0, 0x10])  # 4095 and 16
    ifd = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = struct.pack("<2sHI", b"II", 42, 12) + pixels + b"\0"
    data = head + struct.pack("<H", len(entries)) + ifd + b"\0\0\0\0"
    assert decode(data)[0, :, 0].tolist() == [255, 1]


def test_decode_reads_inverted_adobe_cmyk_jpeg() -> None:
    data = file_of(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100)
    assert np.abs(decode(data).astype(int) - [255, 0, 0]).max() <= 4


# Arrays


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[7]], np.uint8), [7, 7, 7]),
        (np.array([[[7]]], np.uint8), [7, 7, 7]),
        (np.array([[[7, 8, 9]]], np.uint8), [7, 8, 9]),
        (np.array([[[7, 8, 9, 255]]], np.uint8), [7, 8, 9]),
        (np.array([[257 * 7]], np.uint16), [7, 7, 7]),
        (np.array([[257 * 7]], ">u2"), [7, 7, 7]),
        (np.array([[True]]), [255, 255, 255]),
        (np.array([[[0.0, 0.5, 1.0]]], np.float32), [0, 128, 255]),
        (np.array([[[0.0, 0.5, 1.0, 1.0]]]), [0, 128, 255]),
        (np.array([[0.5]], np.float16), [128, 128, 128]),
    ],
)
def test_decode_converts_array(array: np.ndarray, expected: list[int]) -> None:
    assert decode(array)[0, 0].tolist() == expected


@pytest.mark.parametrize("channels", [3, 4])
def test_decode_swaps_bgr_arrays(channels: int) -> None:
    array = np.array([[[7, 8, 9, 255][:channels]]], np.uint8)
    assert decode(array, bgr=True)[0, 0].tolist() == [9, 8, 7]


def test_decode_refuses_bgr_for_what_knows_its_order() -> None:
    with pytest.raises(ConfigError, match="Leave bgr out"):
        decode(PNG, bgr=True)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 8, 9), np.uint8), r"np.moveaxis\(array, 0, -1\)"),
        (np.zeros((2, 8, 9, 3), np.uint8), "one picture at a time"),
        (np.zeros((8, 9, 2), np.uint8), r"expected \(H, W\)"),
        (np.zeros(5, np.uint8), r"expected \(H, W\)"),
        (np.zeros((0, 9, 3), np.uint8), "9x0 pixels: there is nothing in it"),
        (np.zeros((8, 9), np.int64), r"array.astype\(np.uint8\)"),
        (np.zeros((8, 9), object), "does not say where white lies"),
        (np.full((8, 9), 200.0), "from 200 to 200; mien reads floats in 0..1"),
        (np.full((8, 9), 200.0), r"pass array / 255\. An array in OpenCV's order needs bgr=True"),
        (np.linspace(-1, 1, 72).reshape(8, 9), r"For values of -1\.\.1 pass \(array \+ 1\) / 2"),
        (np.full((8, 9), 200 / 255 / 255), "That is black: was it divided by 255 twice"),
        (np.full((8, 9), 200, np.uint16), r"black where white is 65535.*astype\(np\.uint8\)"),
        (np.full((8, 9), 200), r"astype\(np\.uint8\).*needs bgr=True"),
        (np.full((8, 9), np.nan), "floats in 0..1"),
        (np.full((8, 9), -0.1), "floats in 0..1"),
    ],
)
def test_decode_refuses_array(array: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        decode(array)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.new("I", (1, 1), 70_000), "70000; mien reads 0 to 65535"),
        (Image.new("I", (1, 1), -1), "from -1"),
        (Image.new("F", (1, 1), 200.0), "floats in 0..1"),
        (Image.new("RGB", (0, 5)), "0x5 pixels: there is nothing in it"),
    ],
)
def test_decode_refuses_pil_image(image: Image.Image, message: str) -> None:
    with pytest.raises(InputError, match=message):
        decode(image)


def test_decode_refuses_a_pil_image_whose_file_is_closed(tmp_path: Path) -> None:
    image = Image.open(io.BytesIO(PNG))
    image.close()
    with pytest.raises(InputError, match="PIL image RGB 30x20 is damaged or cut short"):
        decode(image)


# Refusals


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"", "is empty"),
        (b"hello, world\n", "it is text"),
        (b"<!DOCTYPE html>", "HTML or XML"),
        (b"<svg xmlns='x'>", "SVG"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x18ftypisom", "video"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (bytes(20), "it starts with b'"),
        (PNG[:-40], "cut short"),
        (PNG[:40], "cut short"),
        (file_of(Image.fromarray(SCENE), "JPEG")[:-100], "cut short"),
        (file_of(Image.fromarray(SCENE), "ICO"), "Give a JPEG, PNG"),
        (file_of(Image.fromarray(SCENE), "PCX"), "Give a JPEG, PNG"),
        (memoryview(b""), "is empty"),
        (io.BytesIO(b""), "is empty"),
        (io.StringIO("text"), "open it with 'rb'"),
        (None, "cannot read a picture from NoneType"),
        (7, "cannot read a picture from int"),
        ([[1, 2], [3, 4]], "cannot read a picture from list"),
        ("https://example.org/a.jpg", "Download the picture"),
        (Path("https://example.org/a.jpg"), "^'https://example.org/a.jpg' is an address"),
        ("s3://bucket/a.jpg", "A job reads stores: .* -o results.parquet"),
        ("file:///home/ann/a.jpg", "Give the path without it: /home/ann/a.jpg"),
        ("no/such/file.jpg", "there is no folder .*no/such"),
        ("a\0b.jpg", "cannot be read"),
        ("x" * 5000, "too long for a path"),
    ],
)
def test_decode_refuses(source: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        decode(source)  # type: ignore[arg-type]


def test_decode_refuses_a_closed_file() -> None:
    file = io.BytesIO(PNG)
    file.close()
    with pytest.raises(InputError, match="is it open"):
        decode(file)


def test_decode_refuses_a_folder_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        decode(tmp_path)
    with pytest.raises(InputError, match=r"there is no file .*none\.jpg': check the path"):
        decode(tmp_path / "none.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_decode_does_not_wait_for_pipes_sockets_and_devices(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo.jpg"
    os.mkfifo(fifo)
    sources: list[str | Path] = [fifo, "/dev/zero", "/dev/null"]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.jpg"))
        sources.append(tmp_path / "socket.jpg")
        for source in sources:
            begin = time.monotonic()
            with pytest.raises(InputError, match="is a pipe, socket or device"):
                decode(source)
            assert time.monotonic() - begin < 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_decode_does_not_wait_for_a_name_that_becomes_a_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    regular, fifo = tmp_path / "a.png", tmp_path / "fifo.png"
    regular.write_bytes(PNG)
    os.mkfifo(fifo)
    before = regular.stat()
    monkeypatch.setattr(os, "stat", lambda path: before)
    with pytest.raises(InputError, match="is a pipe"):
        decode(fifo)


def test_decode_says_when_a_file_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)

    def refuse(*args: object) -> int:
        raise PermissionError(13, "Permission denied")  # root may read a file of mode 0

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(InputError, match="may not be read by this user"):
        decode(path)


# Limits


def bomb_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1_000_000))
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def bomb_bmp(width: int, height: int) -> bytes:
    return struct.pack(
        "<2sIHHIIiiHHIIiiII", b"BM", 200, 0, 0, 54, 40, width, height, 1, 24, *[0] * 6
    )


def bomb_gif(width: int, height: int) -> bytes:
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\x00;"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + frame


@pytest.mark.parametrize(
    "data",
    [
        bomb_png(12_000, 12_000),
        bomb_png(300_000, 300_000),
        bomb_png(40_000, 1),
        bomb_bmp(12_000, 12_000),
        bomb_gif(60_000, 60_000),
        bomb_gif(11_000, 11_000),
    ],
)
def test_decode_refuses_a_bomb_from_its_header(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(self: object) -> None:
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(InputError, match="pixels"):  # and no warning: the suite makes it an error
        decode(data)


def test_decode_obeys_limits(tmp_path: Path) -> None:
    path = tmp_path / "scene.png"
    path.write_bytes(PNG)
    for limits, message in (
        (ImageLimits(max_bytes=len(PNG) - 1), "over the limit of"),
        (ImageLimits(max_pixels=599), "30x20 = 600 pixels; the limit is 599"),
        (ImageLimits(max_side=29), "no side may be over 29"),
    ):
        for source in (path, PNG, io.BytesIO(PNG), memoryview(PNG)):
            with pytest.raises(InputError, match=message):
                decode(source, limits=limits)
    exact = ImageLimits(max_bytes=len(PNG), max_pixels=600, max_side=30)
    assert decode(path, limits=exact).shape == (20, 30, 3)
    for pixels in (SCENE, Image.fromarray(SCENE)):
        with pytest.raises(InputError, match="limit is 599"):
            decode(pixels, limits=ImageLimits(max_pixels=599))


def test_decode_checks_the_size_on_disk_before_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sparse.jpg"
    with path.open("wb") as file:
        file.truncate(10**10)
    monkeypatch.setattr(mien.images.source, "_read_stream", None)
    with pytest.raises(InputError, match="over the limit of 50,000,000 bytes"):
        decode(path)


def test_decode_stops_reading_an_endless_stream() -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            return bytes(size)

    stream = Endless()
    with pytest.raises(InputError, match="over the limit"):
        decode(cast("BinaryIO", stream), limits=ImageLimits(max_bytes=10_000))
    assert stream.given == 10_001


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "9"])
def test_image_limits_refuse_nonsense(value: object) -> None:
    with pytest.raises(ConfigError, match="max_pixels must be a whole number above 0"):
        ImageLimits(max_pixels=value)  # type: ignore[arg-type]


# Warnings and threads


def noisy_tiff() -> bytes:
    """A TIFF that Pillow reads with a warning: a tag that has too many values."""
    data = file_of(Image.fromarray(SCENE), "TIFF")
    spot = data.index(struct.pack("<HHI", 277, 3, 1))
    return data[:spot] + struct.pack("<HHI", 277, 3, 2) + data[spot + 8 :]


def test_decode_is_silent_where_pillow_warns() -> None:
    data = noisy_tiff()
    with pytest.warns(UserWarning, match="too many entries"):
        Image.open(io.BytesIO(data)).load()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        decode(data)
    assert caught == []


def test_filter_does_not_stay_where_others_swap_theirs_meanwhile() -> None:
    """Another thread may copy the filters while one decodes, and put the old ones back later."""
    before = list(warnings.filters)
    for decoding_ends_first in (True, False):
        quiet, others = mien.images.guard.silent_pillow(), warnings.catch_warnings()
        quiet.__enter__()
        others.__enter__()
        for manager in (quiet, others) if decoding_ends_first else (others, quiet):
            manager.__exit__(None, None, None)
        assert list(warnings.filters) == before


def test_decode_leaves_the_warning_filters_as_they_were() -> None:
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decode, [noisy_tiff(), PNG] * 100))
    decode(PNG)
    assert list(warnings.filters) == before


def test_decode_gives_the_same_in_many_threads() -> None:
    barrier = threading.Barrier(8)

    def work(_: int) -> bool:
        barrier.wait(timeout=5)
        return all((decode(PNG) == SCENE).all() for _ in range(50))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_import_is_light() -> None:
    code = (
        "import sys, mien.images.reading; "
        "print(*(m for m in ('cv2', 'onnxruntime', 'torch', 'rich') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# Writing


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".TIFF"])
def test_encode_and_decode_round_trip(suffix: str) -> None:
    np.testing.assert_array_equal(decode(encode(SCENE, suffix=suffix)), SCENE)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_encode_obeys_quality(suffix: str) -> None:
    assert len(encode(SCENE, suffix=suffix, quality=10)) < len(encode(SCENE, suffix=suffix))


@pytest.mark.parametrize(
    ("image", "options", "error", "message"),
    [
        (SCENE, {"suffix": ".pgn"}, ConfigError, "Did you mean '.png'"),
        (SCENE, {"quality": 0}, ConfigError, "quality"),
        (SCENE[:, :, 0], {}, InputError, r"uint8 picture \(H, W, 3\)"),
        (SCENE.astype(float), {}, InputError, "got float64"),
        ([[1]], {}, InputError, "got list"),
        (np.zeros((1, 70_000, 3), np.uint8), {"suffix": ".jpg"}, InputError, "as JPEG"),
    ],
)
def test_encode_refuses(
    image: object, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        encode(image, **options)  # type: ignore[arg-type]


def test_save_image_replaces_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    assert save_image(path, SCENE) == path
    with pytest.raises(ConfigError, match="overwrite=True"):
        save_image(path, SCENE[::-1])
    np.testing.assert_array_equal(decode(path), SCENE)
    save_image(str(path), SCENE[::-1], overwrite=True)
    np.testing.assert_array_equal(decode(path), SCENE[::-1])
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_save_image_keeps_the_old_file_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_image(tmp_path / "a.png", SCENE)

    def fail(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(ConfigError, match="No space left"):
        save_image(path, SCENE[::-1], overwrite=True)
    np.testing.assert_array_equal(decode(path), SCENE)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_save_image_refuses_bad_places(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ConfigError, match="it is a folder"):
        save_image(tmp_path / "folder.png", SCENE, overwrite=True)
    with pytest.raises(ConfigError, match="there is no folder"):
        save_image(tmp_path / "none" / "a.png", SCENE)


# Listing


@pytest.fixture
def album(tmp_path: Path) -> Path:
    names = ["10.jpg", "2.JPG", "b/1.png", "b/.hidden.png", ".git/x.png", "notes.txt", "A1.tif"]
    for name in [*names, "a10.tif", "a9.webp"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    return tmp_path


def test_list_images_of_a_folder(album: Path) -> None:
    names = [path.relative_to(album).as_posix() for path in list_images(album)]
    assert names == ["2.JPG", "10.jpg", "A1.tif", "a9.webp", "a10.tif", "b/1.png"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", ["2.JPG", "10.jpg", "A1.tif", "a9.webp", "a10.tif"]),
        ("**/*.png", ["1.png"]),
        ("a*.tif", ["a10.tif"]),
        ("*.gif", []),
        ("b", ["1.png"]),
        ("10.jpg", ["10.jpg"]),
        ("notes.txt", []),
    ],
)
def test_list_images_of_a_pattern(album: Path, pattern: str, expected: list[str]) -> None:
    assert [path.name for path in list_images(f"{album}/{pattern}")] == expected


def test_list_images_takes_brackets_in_a_real_name_literally(tmp_path: Path) -> None:
    (tmp_path / "[1]").mkdir()
    (tmp_path / "[1]" / "a.png").touch()
    assert len(list_images(tmp_path / "[1]")) == 1


def test_list_images_skips_broken_links_and_does_not_loop(album: Path) -> None:
    (album / "broken.png").symlink_to(album / "nothing.png")
    (album / "b" / "loop").symlink_to(album, target_is_directory=True)
    assert len(list_images(album)) == 6


def test_list_images_refuses_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file or folder"):
        list_images(tmp_path / "none")


def test_decode_reads_real_photos(shared: Path) -> None:
    shapes = [decode(path).shape for path in list_images(shared / "data" / "media")]
    assert shapes == [(1080, 1920, 3), (667, 1000, 3), (562, 572, 3)]


def _checks(width: int, height: int) -> np.ndarray:
    """A coarse pattern, the same at any size: red to the right, green downwards, a blue corner."""
    across = np.linspace(0, 255, width)[None, :, None] * np.array([1, 0, 0])
    down = np.linspace(0, 255, height)[:, None, None] * np.array([0, 1, 0])
    image_rgb: np.ndarray = (across + down).astype(np.uint8)
    image_rgb[: height // 4, : width // 4, 2] = 255
    return image_rgb


@pytest.mark.parametrize(("least", "size"), [(300, (600, 400)), (200, (300, 200)), (401, None)])
def test_open_image_reduces_a_large_jpeg(least: int, size: tuple[int, int] | None) -> None:
    data = encode(_checks(1200, 800), suffix=".jpg")
    opened = open_image(data, min_side=least)
    assert (opened.width, opened.height) == (1200, 800)
    if size is None:
        assert opened.again is None
        assert (opened.image_rgb == decode(data)).all()
        return
    assert opened.image_rgb.shape == (size[1], size[0], 3)
    assert opened.factors == (1200 / size[0], 800 / size[1])
    small = Image.fromarray(decode(data)).resize(size, Image.Resampling.BOX)
    difference = np.abs(opened.image_rgb.astype(int) - np.asarray(small).astype(int))
    assert difference.mean() < 1.0
    assert (opened.whole() == decode(data)).all()
    assert opened.factors == (1.0, 1.0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_open_image_turns_a_reduced_jpeg_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    buffer = io.BytesIO()
    Image.fromarray(_checks(1200, 800)).save(buffer, "JPEG", quality=95, exif=exif)
    opened = open_image(buffer.getvalue(), min_side=200)
    whole = decode(buffer.getvalue())
    assert (opened.height, opened.width) == whole.shape[:2]
    assert opened.factors == (4.0, 4.0)
    small = np.asarray(Image.fromarray(whole).resize(opened.image_rgb.shape[1::-1]))
    assert np.abs(opened.image_rgb.astype(int) - small.astype(int)).mean() < 2.0


@pytest.mark.parametrize("suffix", [".png", ".webp", ".bmp", ".tif"])
def test_open_image_leaves_other_formats_whole(suffix: str) -> None:
    data = encode(_checks(240, 160), suffix=suffix)
    opened = open_image(data, min_side=10)
    assert opened.again is None
    assert (opened.image_rgb == decode(data)).all()


def test_open_image_refuses_what_decode_refuses(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    data = encode(_checks(1200, 800), suffix=".jpg")
    path.write_bytes(data[: len(data) // 2])
    small = ImageLimits(max_pixels=1200 * 800 - 1)
    for source, limits in ((path, ImageLimits()), (encode(_checks(1200, 800)), small)):
        with pytest.raises(InputError) as expected:
            decode(source, limits=limits)
        with pytest.raises(InputError) as found:
            open_image(source, limits=limits, min_side=100)
        assert str(found.value) == str(expected.value)
    data = encode(_checks(1200, 800), suffix=".jpg")
    with pytest.raises(InputError, match="the limit is"):
        open_image(data, limits=small, min_side=100)


def test_open_image_reads_a_stream_once() -> None:
    data = encode(_checks(1200, 800), suffix=".jpg")
    opened = open_image(io.BytesIO(data), min_side=100)
    assert opened.image_rgb.shape == (100, 150, 3)
    assert (opened.whole() == decode(data)).all()


# Files that lack a little


def _noted(pixels: int) -> Image.Image:
    # The same in any order of tests: a few JPEGs in a hundred decode without their last bytes.
    noise = np.random.default_rng(0).integers(0, 256, (pixels, pixels, 3), np.uint8)
    return Image.fromarray(noise)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 30}])
@pytest.mark.parametrize("cut", [1, 2])
def test_a_jpeg_without_its_last_bytes_is_read_and_flagged(
    cut: int, options: dict[str, Any]
) -> None:
    data = file_of(_noted(64), "JPEG", **options)
    opened = open_image(data[:-cut])
    assert (opened.image_rgb == decode(data)).all()
    assert opened.damage == "the file ends too early; its pixels are all there"
    assert open_image(data).damage == ""


@pytest.mark.parametrize("form", ["JPEG", "BMP", "PPM", "TIFF"])
def test_a_file_without_its_last_rows_is_read_and_flagged(form: str) -> None:
    data = file_of(_noted(320), form)
    opened = open_image(data[: round(len(data) * 0.96)])
    assert 0.85 < (opened.image_rgb == decode(data)).all(axis=(1, 2)).mean() < 1
    assert re.fullmatch(r"the file ends too early; [4-9]% of its rows are missing", opened.damage)
    with pytest.raises(InputError, match="damaged or cut short"):
        open_image(data[: round(len(data) * 0.8)])


def test_a_reduced_picture_without_its_last_bytes_is_flagged_too() -> None:
    data = encode(_checks(1200, 800), suffix=".jpg")
    opened = open_image(data[:-2], min_side=100)
    assert opened.image_rgb.shape == (100, 150, 3)
    assert opened.damage
    assert (opened.whole() == decode(data)).all()


@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt", "profile", "many"])
def test_a_png_with_much_text_is_read(kind: str) -> None:
    picture, text = _noted(16), "x" * 2_000_000
    info, options = PngImagePlugin.PngInfo(), dict[str, Any]()
    if kind == "profile":
        options["icc_profile"] = bytes(3_000_000)
    elif kind == "many":
        packed = zlib.compress(b"x" * 1_000_000)
        for _ in range(70):
            info.add(b"zTXt", b"key\0\0" + packed)
    elif kind == "iTXt":
        info.add_itxt("prompt", text, zip=True)
    else:
        info.add_text("workflow", text, zip=kind == "zTXt")
    opened = open_image(file_of(picture, pnginfo=info, **options))
    assert (opened.image_rgb == np.asarray(picture)).all()
    assert opened.damage == ""


@pytest.mark.parametrize("make", [io.BytesIO, lambda data: io.BufferedReader(io.BytesIO(data))])
def test_a_stream_that_stands_at_its_end_says_so(make: Callable[[bytes], BinaryIO]) -> None:
    stream = make(PNG)
    stream.read()
    with pytest.raises(
        InputError, match=rf"stands at its end, after {len(PNG):,} bytes.*seek\(0\)"
    ):
        decode(stream)
    stream.seek(0)
    assert (decode(stream) == SCENE).all()
