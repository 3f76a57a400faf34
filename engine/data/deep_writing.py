"""PNG and TIFF files made here, for what Pillow cannot write. Needs no torch.

These are 16 bits a channel, animations whose frames are all kept, and TIFF files that are compressed and have all of
their EXIF data. A camera's EXIF data holds places counted from its own beginning, also within the maker's notes that
nobody else understands, and it is itself laid out like a TIFF: so a TIFF made here begins with it, and all of those
places stay true.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
import numpy.typing as npt

from engine.data.containers import HEADING
from engine.data.exif import GEO_TAGS
from engine.data.source_file import Pixels

PNG_LEVEL = 3
"""How hard zlib tries, 1 to 9; see the measurements in docs/conversion.md."""

Order = Literal["<", ">"]
"""Of bytes within numbers, in the words of struct: the last one first, or the first one first."""

Entry = tuple[int, int, bytes]
"""One tag of a directory: the type of its values, their count, and their bytes (up to 4: as they stand there)."""

_ORDERS: dict[bytes, Order] = {b"II": "<", b"MM": ">"}

# Types of values.
_BYTE, _SHORT, _LONG, _RATIONAL, _UNDEFINED = 1, 3, 4, 5, 7
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}

_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 274, 282, 283, 296
_XMP, _ICC_PROFILE, _EXIF_DIRECTORY, _GPS_DIRECTORY = 700, 34675, 0x8769, 0x8825

# Tags that describe the picture and not the layout of its file, and the types that readers expect of them: what comes
# from strangers with another type keeps some of them from opening the file.
_TEXT, _WORDS, _GEO = {2}, {1, 7}, {2, 3, 12}
_DESCRIPTIVE = {
    **dict.fromkeys((269, 270, 271, 272, 285, 305, 306, 315, 316, 33432), _TEXT),  # names, makers, software, dates
    **dict.fromkeys(range(0x9C9B, 0x9CA0), _WORDS),  # title, comment, author, keywords and subject of Windows
    0x4746: {_SHORT},  # rating
    0x4749: {_SHORT},
    33723: {_BYTE, _LONG, _UNDEFINED},  # IPTC
    **dict.fromkeys(GEO_TAGS, _GEO),
    _EXIF_DIRECTORY: {_LONG},
    _GPS_DIRECTORY: {_LONG},
}

# Bytes filtered or compressed at once.
_STRIP_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Stored:
    """One picture as it is stored in a file.

    Attributes:
        samples: [H, W] grey, or [H, W, C] with C channels side by side: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA. uint8
            or uint16. The alpha is not multiplied into the colours.
        icc_profile: The colour profile that the samples have, None for sRGB.
        dpi: Pixels an inch across and down, None to say nothing about it.
        milliseconds: How long it is shown.
    """

    samples: Pixels
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    milliseconds: float = 0.0


# PNG


def png_file(
    pictures: Iterable[Stored],
    *,
    exif: bytes = b"",
    xmp: bytes = b"",
    comment: bytes = b"",
    animated: bool = False,
    plays: int = 0,
) -> bytes:
    """A PNG; an animated one (APNG) shows its first frame where nobody knows animations.

    Args:
        pictures: All of the same shape and type. The colour profile and the resolution are those of the first.
        exif: EXIF data with or without its heading, b"" for none.
        xmp: XMP packet in UTF-8, b"" for none.
        comment: A comment in UTF-8, b"" for none.
        animated: Whether there may be several pictures.
        plays: How often an animation is shown, 0 for ever.

    Raises:
        ValueError: The frames are not all of one size and type.
    """
    file = io.BytesIO()
    file.write(b"\x89PNG\r\n\x1a\n")
    sequence = count = place = 0
    for index, picture in enumerate(pictures):
        samples = picture.samples if picture.samples.ndim == 3 else picture.samples[..., None]
        height, width, channels = samples.shape
        count += 1
        if index == 0:
            shape, depth = samples.shape, samples.dtype
            kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
            header = struct.pack(">IIBBBBB", width, height, 8 * depth.itemsize, kind, 0, 0, 0)
            _write_chunk(file, b"IHDR", header)
            place = file.tell()
            if animated:
                _write_chunk(file, b"acTL", bytes(8))
            _write_png_labels(file, picture, exif, xmp)
            if comment:
                _write_chunk(file, b"iTXt", b"Comment\0\0\0\0\0" + comment)
        if (samples.shape, samples.dtype) != (shape, depth):
            raise ValueError("its frames are not all of one size")
        if animated:
            times = (*_seconds(picture.milliseconds), 0, 0)
            _write_chunk(file, b"fcTL", struct.pack(">IIIIIHHBB", sequence, width, height, 0, 0, *times))
            sequence += 1
        for packed in _png_data(samples):
            if index == 0:
                _write_chunk(file, b"IDAT", packed)
            else:
                _write_chunk(file, b"fdAT", struct.pack(">I", sequence) + packed)
                sequence += 1
    _write_chunk(file, b"IEND", b"")
    if animated:
        # Only now is it known how many frames a damaged source really had.
        file.seek(place)
        _write_chunk(file, b"acTL", struct.pack(">II", count, plays))
    return file.getvalue()


def _write_chunk(file: io.BytesIO, name: bytes, content: bytes) -> None:
    file.write(struct.pack(">I", len(content)) + name)
    file.write(content)
    file.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(name))))


def _write_png_labels(file: io.BytesIO, picture: Stored, exif: bytes, xmp: bytes) -> None:
    if picture.icc_profile:
        _write_chunk(file, b"iCCP", b"ICC Profile\0\0" + zlib.compress(picture.icc_profile))
    if picture.dpi:
        across, down = (round(dpi / 0.0254) for dpi in picture.dpi)
        _write_chunk(file, b"pHYs", struct.pack(">IIB", across, down, 1))
    if exif:
        _write_chunk(file, b"eXIf", exif.removeprefix(HEADING))
    if xmp:
        _write_chunk(file, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)


def _seconds(milliseconds: float) -> tuple[int, int]:
    """A time as a fraction of whole numbers below 65536, of seconds."""
    if milliseconds >= 65_535_000:
        return 65_535, 1
    # The smaller the whole seconds are, the finer the parts that fit.
    parts = min(65_535, int(65_535_000 / max(milliseconds, 1000)))
    fraction = (Fraction(milliseconds) / 1000).limit_denominator(parts)
    return fraction.numerator, fraction.denominator


def _png_data(samples: Pixels) -> Iterator[bytes]:
    """The compressed rows, in pieces."""
    height, width, channels = samples.shape
    rows = max(1, _STRIP_BYTES // (width * channels * samples.itemsize))
    compressor = zlib.compressobj(PNG_LEVEL)
    above = np.zeros((1, width * channels * samples.itemsize), np.uint8)
    for start in range(0, height, rows):
        strip = np.ascontiguousarray(samples[start : start + rows], dtype=samples.dtype.newbyteorder(">"))
        stored = strip.view(np.uint8).reshape(len(strip), -1)
        packed = compressor.compress(_filtered(stored, above, channels * samples.itemsize))
        above = stored[-1:]
        if packed:
            yield packed
    yield compressor.flush()


def _filtered(rows: npt.NDArray[np.uint8], above: npt.NDArray[np.uint8], step: int) -> bytes:
    """[R, W] bytes of rows -> each with the number of its filter before it, filtered by the one that leaves least.

    Args:
        rows: The rows as stored.
        above: [1, W], the row before the first.
        step: Bytes from one pixel to the next.
    """
    up = np.vstack((above, rows[:-1]))
    left = np.zeros_like(rows)
    left[:, step:] = rows[:, :-step]
    # Filter 3, the average, wins seldom enough to leave it out, and so do no filter and the slow fourth.
    candidates = {1: rows - left, 2: rows - up, 3: rows - ((left >> 1) + (up >> 1) + (left & up & 1))}
    costs = [np.abs(rest.view(np.int8).astype(np.int16)).sum(axis=1) for rest in candidates.values()]
    best = np.argmin(costs, axis=0)
    result = np.empty((len(rows), 1 + rows.shape[1]), np.uint8)
    for index, (number, rest) in enumerate(candidates.items()):
        mine = best == index
        result[mine, 0] = number
        result[mine, 1:] = rest[mine]
    return result.tobytes()


# TIFF


def tiff_file(pages: Iterable[Stored], *, exif: bytes = b"", xmp: bytes = b"", count: int = 1) -> bytes:
    """A TIFF of one or more pages, compressed by deflate with the horizontal predictor.

    Args:
        pages: The pages; each has its own size, type, colour profile and resolution.
        exif: EXIF data with or without its heading, b"" for none. It goes with the first page and is kept whole, but
            for what describes the layout of another file.
        xmp: XMP packet, b"" for none; it goes with the first page.
        count: How many pages there are.

    Raises:
        ValueError: The EXIF data is damaged, or the file would have more than 4 GB.
    """
    start = exif.removeprefix(HEADING) or struct.pack("<2sHI", b"II", 42, 0)
    order, described, _ = _read_directory(start)
    file = io.BytesIO()
    file.write(start)
    link = 4
    for index, page in enumerate(pages):
        entries = _layout(file, page, order)
        if index == 0:
            entries |= {tag: entry for tag, entry in described.items() if entry[0] in _DESCRIPTIVE.get(tag, ())}
        if index == 0 and xmp:
            entries[_XMP] = _BYTE, len(xmp), xmp
        if page.icc_profile:
            entries[_ICC_PROFILE] = _UNDEFINED, len(page.icc_profile), page.icc_profile
        # Every TIFF must have a resolution; in no unit it says that pixels are square.
        entries |= _resolution(order, page.dpi) if page.dpi else _resolution(order, (1, 1), unit=1)
        if count > 1:
            entries[254] = _LONG, 1, struct.pack(order + "I", 2)
            entries[297] = _SHORT, 2, struct.pack(order + "HH", index & 0xFFFF, count & 0xFFFF)
        place = _even_end(file)
        file.write(_directory(order, entries, place))
        if file.tell() > 0xFFFF_FFFF:
            raise ValueError("a TIFF cannot be larger than 4 GB")
        file.seek(link)
        file.write(struct.pack(order + "I", place))
        link = place + 2 + 12 * len(entries)
    return file.getvalue()


def _layout(file: io.BytesIO, page: Stored, order: Order) -> dict[int, Entry]:
    """Write the strips of a page; the tags that describe them."""
    samples = page.samples if page.samples.ndim == 3 else page.samples[..., None]
    height, width, channels = samples.shape
    bits = 8 * samples.itemsize
    rows = max(1, min(height, _STRIP_BYTES // (width * channels * samples.itemsize)))
    offsets, lengths = [], []
    for start in range(0, height, rows):
        strip = samples[start : start + rows].copy()
        strip[:, 1:] -= samples[start : start + rows, :-1]
        packed = zlib.compress(strip.astype(samples.dtype.newbyteorder(order)).tobytes(), PNG_LEVEL)
        offsets.append(_even_end(file))
        lengths.append(len(packed))
        file.write(packed)

    def shorts(*values: int) -> Entry:
        return _SHORT, len(values), struct.pack(f"{order}{len(values)}H", *values)

    def longs(*values: int) -> Entry:
        return _LONG, len(values), struct.pack(f"{order}{len(values)}I", *values)

    entries = {
        256: longs(width),
        257: longs(height),
        258: shorts(*[bits] * channels),
        259: shorts(8),  # deflate
        262: shorts(2 if channels >= 3 else 1),  # RGB, or grey with black as 0
        273: longs(*offsets),
        _ORIENTATION: shorts(1),
        277: shorts(channels),
        278: longs(rows),
        279: longs(*lengths),
        284: shorts(1),  # channels side by side
        317: shorts(2),  # each sample less the one to its left
        339: shorts(*[1] * channels),  # whole numbers
    }
    if channels in (2, 4):
        entries[338] = shorts(2)  # alpha that is not multiplied into the colours
    return entries


def _even_end(file: io.BytesIO) -> int:
    """Go to the end of the file, to an even place: TIFF allows nothing else to begin there."""
    if file.seek(0, io.SEEK_END) % 2:
        file.write(b"\0")
    return file.tell()


# Directories of tags, in TIFF and EXIF


def exif_with(exif: bytes, *, dpi: tuple[float, float] | None = None, orientation: bool = True) -> bytes:
    """EXIF data with other values in its first directory; all else stays byte for byte.

    Args:
        exif: The data with its heading, b"" for none.
        dpi: The resolution to say where it says none.
        orientation: Whether to leave the orientation in.

    Returns:
        The data with its heading; b"" if there is nothing to say.

    Raises:
        ValueError: It is damaged.
    """
    data = exif.removeprefix(HEADING) or struct.pack("<2sHI", b"II", 42, 0)
    order, entries, whole = _read_directory(data)
    changed = dict(entries)
    if not orientation:
        changed.pop(_ORIENTATION, None)
    if dpi and _X_RESOLUTION not in entries:
        changed |= _resolution(order, dpi)
    if changed == entries and whole:
        return exif
    # A new directory at the end, since its old place is too small, and moving anything else would break places.
    data += bytes(len(data) % 2)
    place = len(data)
    return HEADING + data[:4] + struct.pack(order + "I", place) + data[8:] + _directory(order, changed, place)


def _read_directory(data: bytes) -> tuple[Order, dict[int, Entry], bool]:
    """What EXIF data without heading begins with.

    Returns:
        Its byte order, its first directory without the values that lie outside of the data, and whether there were
        no such values.
    """
    try:
        order = _ORDERS[data[:2]]
        (place,) = struct.unpack_from(order + "I", data, 4)
        entries: dict[int, Entry] = {}
        if place == 0:
            return order, entries, True
        (count,) = struct.unpack_from(order + "H", data, place)
        for entry in range(place + 2, place + 2 + 12 * count, 12):
            tag, kind, length, value = struct.unpack_from(order + "HHI4s", data, entry)
            size = _TYPE_BYTES.get(kind, len(data) + 1) * length
            end = struct.unpack(order + "I", value)[0] + size if size > 4 else 0
            if end <= len(data):
                entries[tag] = kind, length, value
    except (KeyError, struct.error) as error:
        raise ValueError("its EXIF data is damaged") from error
    return order, entries, len(entries) == count


def _directory(order: Order, entries: dict[int, Entry], place: int) -> bytes:
    """A directory that begins at `place` of a file, with nothing after it, and the values that it points to."""
    room = place + 2 + 12 * len(entries) + 4
    directory, values = struct.pack(order + "H", len(entries)), b""
    for tag, (kind, count, value) in sorted(entries.items()):
        if len(value) > 4:
            values += bytes(len(values) % 2)
            field = struct.pack(order + "I", room + len(values))
            values += value
        else:
            field = value.ljust(4, b"\0")
        directory += struct.pack(order + "HHI", tag, kind, count) + field
    return directory + bytes(4) + values


def _resolution(order: Order, dpi: tuple[float, float], unit: int = 2) -> dict[int, Entry]:
    """Pixels a unit, 2 for inches."""

    def rational(value: float) -> Entry:
        fraction = Fraction(value).limit_denominator(10_000)
        return _RATIONAL, 1, struct.pack(order + "II", fraction.numerator, fraction.denominator)

    named = _SHORT, 1, struct.pack(order + "H", unit)
    return {_X_RESOLUTION: rational(dpi[0]), _Y_RESOLUTION: rational(dpi[1]), _RESOLUTION_UNIT: named}
