"""Colours with 16 bits a channel, of which Pillow gives the upper eight only. Needs no torch.

PNG and TIFF are rewritten in memory into what Pillow reads whole: a PNG as two of 8 bits, a TIFF as a grey one of
16 bits, as many times as wide as it has channels side by side. What that cannot do tifffile may, where it is installed.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin

Samples = npt.NDArray[np.uint16]

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
# First column, first row, columns and rows from one pixel to the next in each pass of an interlaced PNG.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))

_BAND_BYTES = 1 << 23

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
    packed = b"".join(content for name, content in chunks if name == b"IDAT")
    samples = np.empty((height, width, channels), np.uint16)
    if interlaced:
        shapes = [(-(-(height - y) // dy), 1 + 2 * channels * -(-(width - x) // dx)) for x, y, dx, dy in _ADAM7]
        shapes = [(rows, row) for rows, row in shapes if rows > 0 and row > 1]
        stream = zlib.decompressobj().decompress(packed, sum(rows * row for rows, row in shapes))
        samples[:] = _png_rows(stream, header, shapes, height)
        return samples
    # In bands, since all of its rows in pieces would take several times the memory of its pixels.
    row = 1 + 2 * channels * width
    band = max(1, _BAND_BYTES // row)
    unpacking = zlib.decompressobj()
    for top in range(0, height, band):
        rows = min(band, height - top)
        stream = unpacking.decompress(packed, rows * row)
        packed = unpacking.unconsumed_tail
        if top == 0:
            samples[:rows] = _png_rows(stream, header, [(rows, row)], rows)
        else:
            # Rows are told by the row above them, so that one is given again, unfiltered.
            above = b"\0" + samples[top - 1].astype(">u2").tobytes()
            samples[top : top + rows] = _png_rows(above + stream, header, [(rows + 1, row)], rows + 1)[1:]
    return samples


def tiff_samples(file: BinaryIO, tags: TiffImagePlugin.ImageFileDirectory_v2) -> Samples:
    """[H, W, C] of one page of a TIFF file with 16 bits a channel, as stored.

    Args:
        file: The file; only this page's part of it is read.
        tags: What Pillow read of the page's directory.

    Raises:
        ValueError: It is stored in a way not known here, such as with a compression made for pictures.
        Exception: Any, for a file that Pillow would not read either.
    """
    file.seek(0)
    order = {b"II": "<", b"MM": ">"}.get(file.read(2), "")
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
        grey |= {322: [block * times], 323: [tags[323]]} if tiled else {278: [tags.get(278, height)]}
        parts = [_piece(file, start, length) for start, length in zip(offsets[mine], lengths[mine], strict=True)]
        with Image.open(io.BytesIO(_grey_tiff(order, grey, parts, tiled=tiled)), formats=["TIFF"]) as image:
            stored = np.asarray(image).astype(np.uint16).reshape(height, width, times)
        if compression in _PREDICTING and predictor == 2:
            for left in range(0, width, block):
                part = stored[:, left : left + block]
                np.cumsum(part, axis=1, dtype=np.uint16, out=part)
        samples[..., plane * times : (plane + 1) * times] = stored
    return samples


def tifffile_samples(tiff: BinaryIO, page: int) -> Samples:
    """[H, W, C] of one page of a TIFF file with 16 bits a channel, as stored, by the library tifffile.

    Raises:
        ImportError: It is not installed.
        Exception: Any, for a file that it cannot read.
    """
    import tifffile

    tiff.seek(0)
    with tifffile.TiffFile(tiff) as file:
        found = file.pages[page]
        samples = found.asarray()
        if samples.dtype != np.uint16 or samples.ndim not in (2, 3):
            raise ValueError("it does not have 16 bits a channel")
        if samples.ndim == 2:
            return np.asarray(samples[..., None])
        return np.ascontiguousarray(np.moveaxis(samples, 0, -1) if found.axes[0] == "S" else samples)


def heif_samples(file: BinaryIO) -> Samples:
    """[H, W, C] of the main picture of a HEIC file with more than 8 bits a channel, upright, by pillow-heif.

    Raises:
        ImportError: It is not installed.
        Exception: Any, for a file that it cannot read.
    """
    import pillow_heif

    found = pillow_heif.open_heif(file, convert_hdr_to_8bit=False, hdr_to_16bit=True)
    samples = np.array(found[found.primary_index])
    if samples.dtype != np.uint16:
        raise ValueError("it does not have more than 8 bits a channel")
    return samples if samples.ndim == 3 else samples[..., None]


def _png_rows(stream: bytes, header: bytes, shapes: Sequence[tuple[int, int]], height: int) -> Samples:
    """[height, W, C] of the filtered rows of a PNG.

    Args:
        stream: The rows, each the number of its filter and then its bytes.
        header: What the PNG begins with.
        shapes: For each pass the number of its rows and their length.
        height: Of the picture that they are.
    """
    upper, lower = [], []
    start = 0
    for rows, row in shapes:
        part = np.frombuffer(stream, np.uint8, rows * row, start).reshape(rows, row)
        start += rows * row
        # Each byte of a pixel is filtered by the same byte of its neighbours, so they are two PNGs.
        upper.append(np.hstack((part[:, :1], part[:, 1::2])).tobytes())
        lower.append(np.hstack((part[:, :1], part[:, 2::2])).tobytes())
    header = header[:4] + struct.pack(">I", height) + b"\x08" + header[9:]
    high, low = (_png_of_bytes(header, b"".join(half)) for half in (upper, lower))
    samples: Samples = high * np.uint16(256) + low
    return samples.reshape(*samples.shape[:2], -1)


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


def _piece(file: BinaryIO, start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(length)


def _grey_tiff(order: str, entries: dict[int, Sequence[int]], pieces: Sequence[bytes], *, tiled: bool) -> bytes:
    """A TIFF file of these strips or tiles, and of these tags, each of 32-bit numbers."""
    places = [8]
    for piece in pieces:
        places.append(places[-1] + len(piece))
    end = places.pop()
    start = end + end % 2
    entries = entries | {324 if tiled else 273: places, 325 if tiled else 279: [len(piece) for piece in pieces]}
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
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start)
    body = b"".join(pieces)
    return b"".join((header, body, bytes(start - 8 - len(body)), directory, bytes(4), lists))
