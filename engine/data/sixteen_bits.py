"""Colours with 16 bits a channel, of which Pillow gives the upper eight only. Needs no torch.

Both formats are rewritten in memory into what Pillow reads whole: a PNG as two of 8 bits, a TIFF as a grey one of
16 bits, as many times as wide as it has channels side by side.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin

Samples = npt.NDArray[np.uint16]

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
# First column, first row, columns and rows from one pixel to the next in each pass of an interlaced PNG.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))

# Compressions of bytes, which do not mind what these stand for, and those of them that know predictors.
_PLAIN = (1, 32773)
_PREDICTING = (5, 8, 32946, 34925, 50000)


def png_samples(data: bytes) -> Samples:
    """[H, W, C] of a whole PNG file with 16 bits a channel, as stored; C is 1 to 4.

    Raises:
        Exception: Any, for a file that Pillow would not read either.
    """
    chunks = list(_png_chunks(data))
    header = chunks[0][1]
    width, height, bits, kind, *_, interlaced = struct.unpack(">IIBBBBB", header)
    if bits != 16:
        raise ValueError(f"it has {bits} bits a channel")
    channels = _PNG_CHANNELS[kind]
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    # A row is the number of its filter, then its bytes.
    shapes = [(-(-(height - y) // dy), 1 + 2 * channels * -(-(width - x) // dx)) for x, y, dx, dy in passes]
    shapes = [(rows, row) for rows, row in shapes if rows > 0 and row > 1]
    packed = b"".join(content for name, content in chunks if name == b"IDAT")
    stream = zlib.decompressobj().decompress(packed, sum(rows * row for rows, row in shapes))
    # Each byte of a pixel is filtered by the same byte of its neighbours, so the upper and the lower ones are two PNGs.
    upper, lower = [], []
    start = 0
    for rows, row in shapes:
        part = np.frombuffer(stream, np.uint8, rows * row, start).reshape(rows, row)
        start += rows * row
        upper.append(np.hstack((part[:, :1], part[:, 1::2])).tobytes())
        lower.append(np.hstack((part[:, :1], part[:, 2::2])).tobytes())
    header = header[:8] + b"\x08" + header[9:]
    high, low = (_png_of_bytes(header, b"".join(half)).reshape(height, width, channels) for half in (upper, lower))
    samples: Samples = high * np.uint16(256) + low
    return samples


def tiff_samples(data: bytes, tags: TiffImagePlugin.ImageFileDirectory_v2) -> Samples:
    """[H, W, C] of the first picture of a whole TIFF file with 16 bits a channel, as stored.

    Args:
        data: The file.
        tags: What Pillow read of its directory.

    Raises:
        ValueError: It is stored in a way not known here: with a compression made for pictures, or as BigTIFF.
        Exception: Any, for a file that Pillow would not read either.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4], "")
    width, height, channels = tags[256], tags[257], tags.get(277, 1)
    compression, predictor = tags.get(259, 1), tags.get(317, 1)
    known = compression in _PLAIN or (compression in _PREDICTING and predictor in (1, 2))
    if not order or not known or tags.get(266, 1) != 1:
        raise ValueError("this kind of TIFF is not known")
    if set(tags[258]) != {16} or set(tags.get(339, (1,))) != {1}:
        raise ValueError("it does not have 16 bits a channel")
    planes = channels if tags.get(284, 1) == 2 else 1
    times = channels // planes
    tiled = 324 in tags
    offsets, lengths = (tags[324], tags[325]) if tiled else (tags[273], tags[279])
    block = tags[322] if tiled else width
    pieces = len(offsets) // planes
    samples = np.empty((height, width, channels), np.uint16)
    for plane in range(planes):
        mine = slice(plane * pieces, (plane + 1) * pieces)
        grey: dict[int, Sequence[int]] = {256: [width * times], 257: [height], 258: [16], 277: [1]}
        grey |= {259: [compression], 262: [1]}
        if tiled:
            grey |= {322: [block * times], 323: [tags[323]], 324: offsets[mine], 325: lengths[mine]}
        else:
            grey |= {273: offsets[mine], 278: [tags.get(278, height)], 279: lengths[mine]}
        with Image.open(io.BytesIO(_with_directory(data, order, grey)), formats=["TIFF"]) as image:
            stored = np.asarray(image).astype(np.uint16).reshape(height, width, times)
        if compression in _PREDICTING and predictor == 2:
            for left in range(0, width, block):
                part = stored[:, left : left + block]
                np.cumsum(part, axis=1, dtype=np.uint16, out=part)
        samples[..., plane * times : (plane + 1) * times] = stored
    return samples


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(_PNG_SIGNATURE)
    while place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        yield name, data[place + 8 : place + 8 + length]
        place += 12 + length


def _png_of_bytes(header: bytes, stream: bytes) -> npt.NDArray[np.uint8]:
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(stream, 0)), (b"IEND", b""))
    file = _PNG_SIGNATURE + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )
    with Image.open(io.BytesIO(file), formats=["PNG"]) as image:
        return np.asarray(image)


def _with_directory(data: bytes, order: str, entries: dict[int, Sequence[int]]) -> bytes:
    """The file with another directory of tags, each of 32-bit numbers."""
    start = len(data) + len(data) % 2
    room = start + 2 + 12 * len(entries) + 4
    directory, lists = struct.pack(f"{order}H", len(entries)), b""
    for tag, values in sorted(entries.items()):
        packed = struct.pack(f"{order}{len(values)}I", *values)
        directory += struct.pack(f"{order}HHI", tag, 4, len(values))
        if len(packed) > 4:
            directory += struct.pack(f"{order}I", room + len(lists))
            lists += packed
        else:
            directory += packed
    header = data[:4] + struct.pack(f"{order}I", start)
    return b"".join((header, data[8:], bytes(start - len(data)), directory, bytes(4), lists))
