"""Reading EXIF data, and changing it byte by byte, so that all of it that stays true is kept."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Sequence
from typing import BinaryIO

from PIL import Image, TiffImagePlugin

from engine.data.containers import HEADING, jp2_metadata

# Types of values, and tags.
_SHORT, _LONG = 3, 4
_IMAGE_WIDTH, _IMAGE_LENGTH, _ORIENTATION = 0x0100, 0x0101, 0x0112
_EXIF_DIRECTORY, _EXIF_WIDTH, _EXIF_HEIGHT = 0x8769, 0xA002, 0xA003
_THUMBNAIL_START, _THUMBNAIL_LENGTH = 0x0201, 0x0202

GEO_TAGS = frozenset((33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113))
"""Tags of GeoTIFF and GDAL: a picture's place on the map, counted in its pixels, and the value that means no data."""

# Tags of a TIFF that describe the picture and not the layout of its file; its resolution is read elsewhere.
_DESCRIPTIVE_TAGS = frozenset(
    (
        *(269, 270, 271, 272, 285, 305, 306, 315, 316, 33432),  # Names, makers, software, dates.
        *range(0x9C9B, 0x9CA0),  # Title, comment, author, keywords and subject of Windows.
        *(0x4746, 0x4749),  # Rating.
        33723,  # IPTC.
        *GEO_TAGS,
    )
)
_GPS_DIRECTORY, _INTEROPERABILITY, _MAKERS_NOTE = 0x8825, 0xA005, 0x927C
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_MOST_ENTRIES, _MOST_BYTES = 4096, 32 << 20

_Entries = dict[int, tuple[int, int, bytes]]  # tag -> (type, number of values, their bytes)


def read_exif(image: Image.Image, file: BinaryIO) -> tuple[bytes, bool]:
    """The EXIF data of a file with its heading, b"" for none, and whether there was some that is damaged.

    Raises:
        MemoryError: It does not fit into memory.
    """
    try:
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            return tiff_exif(file, image.tag_v2._offset or 0), False
        raw = jp2_metadata(file)[0] if image.format == "JPEG2000" else image.info.get("exif")
        if not isinstance(raw, bytes):
            exif = image.getexif()  # PNG has other places for it, too.
            raw = exif.tobytes() if len(exif) else b""
        if not raw:
            return b"", False
        raw = HEADING + raw.removeprefix(HEADING)
        return (raw, False) if exif_of_result(raw, 1, 1) else (b"", True)
    except MemoryError:
        raise
    except Exception:
        return b"", True


def tiff_exif(file: BinaryIO, place: int) -> bytes:
    """What a page of a TIFF says about its picture as EXIF data, without what it says about its own layout.

    Every value is kept byte for byte: letters outside ASCII, and what only a program knows the meaning of.

    Args:
        file: The TIFF, also a BigTIFF.
        place: Where the page's list of tags is in it.

    Returns:
        The data with its heading; b"" if there is nothing to say.

    Raises:
        ValueError: It is damaged.
        struct.error: Likewise.
    """
    file.seek(0)
    start = file.read(4)
    order = {b"II": "<", b"MM": ">"}[start[:2]]
    big = 43 in start[2:]
    found = _tiff_entries(file, order, place, big=big)
    directories: dict[int, _Entries] = {}
    for tag in (_EXIF_DIRECTORY, _GPS_DIRECTORY):
        if tag in found:
            value = found[tag][2]
            (inner,) = struct.unpack_from(order + ("Q" if len(value) == 8 else "I"), value)
            directories[tag] = _tiff_entries(file, order, inner, big=big)
    inner_tags = directories.get(_EXIF_DIRECTORY, {})
    interoperability: _Entries = {}
    if (pointer := inner_tags.pop(_INTEROPERABILITY, None)) and len(pointer[2]) == 4:
        (inner,) = struct.unpack(order + "I", pointer[2])
        with contextlib.suppress(struct.error):
            interoperability = _tiff_entries(file, order, inner, big=big)
    if interoperability:
        inner_tags[_INTEROPERABILITY] = (_LONG, 1, bytes(4))
    main = {tag: entry for tag, entry in found.items() if tag in _DESCRIPTIVE_TAGS}
    directories = {tag: entries for tag, entries in directories.items() if entries}
    if not main and not directories:
        return b""
    main |= {tag: (_LONG, 1, bytes(4)) for tag in directories}
    length = 8 + _directory_length(main)
    for tag, entries in directories.items():
        main[tag] = (_LONG, 1, struct.pack(order + "I", length))
        length += _directory_length(entries)
    if interoperability:
        inner_tags[_INTEROPERABILITY] = (_LONG, 1, struct.pack(order + "I", length))
    data = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    for entries in (main, *directories.values(), interoperability):
        if not entries:
            continue
        data += _packed_directory(order, entries, len(data))
    return HEADING + data


def numbers_of_tiff(file: BinaryIO, tags: Sequence[int]) -> list[tuple[int, ...]]:
    """The short whole numbers of some tags of a TIFF's first page, () for what it does not say.

    Raises:
        KeyError: It is no TIFF.
        struct.error: It is damaged.
    """
    file.seek(0)
    start = file.read(16)
    order, big = {b"II": "<", b"MM": ">"}[start[:2]], 43 in start[2:4]
    (place,) = struct.unpack_from(order + ("Q" if big else "I"), start, 8 if big else 4)
    found = _tiff_entries(file, order, place, big=big)
    entries = [found.get(tag, (_SHORT, 0, b"")) for tag in tags]
    return [struct.unpack(f"{order}{number}H", value) if kind == _SHORT else () for kind, number, value in entries]


def has_geo_tags(exif: bytes) -> bool:
    """Whether EXIF data that was read of a TIFF says where on the map the picture lies."""
    return bool(GEO_TAGS & set(_first_entries(exif)[1]))


def without_geo_tags(exif: bytes) -> bytes:
    """EXIF data of a TIFF without what says where on the map the picture lies; b"" if there is nothing else."""
    order, entries = _first_entries(exif)
    left = {tag: entry for tag, entry in entries.items() if tag not in GEO_TAGS}
    if not left:
        return b""
    data = exif.removeprefix(HEADING)
    data += bytes(len(data) % 2)
    # A new list at the end: moving anything else would break places.
    return (
        HEADING + data[:4] + struct.pack(order + "I", len(data)) + data[8:] + _packed_directory(order, left, len(data))
    )


def has_makers_note(exif: bytes) -> bool:
    """Whether EXIF data has notes of a camera's maker."""
    order, entries = _first_entries(exif)
    if _EXIF_DIRECTORY not in entries:
        return False
    (place,) = struct.unpack_from(order + "I", entries[_EXIF_DIRECTORY][2])
    try:
        return _MAKERS_NOTE in _tiff_entries(io.BytesIO(exif.removeprefix(HEADING)), order, place, big=False)
    except struct.error:
        return False


def _first_entries(exif: bytes) -> tuple[str, _Entries]:
    """The byte order and the first list of EXIF data; nothing if it is damaged."""
    data = exif.removeprefix(HEADING)
    try:
        order = {b"II": "<", b"MM": ">"}[data[:2]]
        (place,) = struct.unpack_from(order + "I", data, 4)
        return order, _tiff_entries(io.BytesIO(data), order, place, big=False)
    except (KeyError, struct.error):
        return "<", {}


def _tiff_entries(file: BinaryIO, order: str, place: int, *, big: bool) -> _Entries:
    """What one list of tags holds; passing over what is damaged or of a type that EXIF does not know."""
    file.seek(place)
    (count,) = struct.unpack(order + ("Q" if big else "H"), file.read(8 if big else 2))
    form = order + ("HHQ8s" if big else "HHI4s")
    table = file.read(min(count, _MOST_ENTRIES) * struct.calcsize(form))
    entries: _Entries = {}
    room = _MOST_BYTES
    for start in range(0, len(table) - struct.calcsize(form) + 1, struct.calcsize(form)):
        tag, kind, number, value = struct.unpack_from(form, table, start)
        if tag in (_EXIF_DIRECTORY, _GPS_DIRECTORY) and number == 1:
            entries[tag] = (kind, number, value if kind not in (_LONG, 13) else value[:4])
            continue
        length = _TYPE_BYTES.get(kind, 0) * number
        if not 0 < length <= room:
            continue
        if length > len(value):
            file.seek(struct.unpack(order + ("Q" if big else "I"), value)[0])
            value = file.read(length)
        if len(value) >= length:
            entries[tag] = (kind, number, value[:length])
            room -= length
    return entries


def _directory_length(entries: _Entries) -> int:
    return 6 + 12 * len(entries) + sum(len(value) + len(value) % 2 for *_, value in entries.values() if len(value) > 4)


def _packed_directory(order: str, entries: _Entries, place: int) -> bytes:
    table, values = struct.pack(order + "H", len(entries)), b""
    behind = place + 6 + 12 * len(entries)
    for tag, (kind, number, value) in sorted(entries.items()):
        table += struct.pack(order + "HHI", tag, kind, number)
        if len(value) <= 4:
            table += value.ljust(4, b"\0")
        else:
            table += struct.pack(order + "I", behind + len(values))
            values += value + bytes(len(value) % 2)
    return table + bytes(4) + values


def exif_of_result(exif: bytes, width: int, height: int) -> bytes:
    """The EXIF data for a result: upright, of its size, without the thumbnail, all else byte for byte.

    Writing it anew tag by tag would lose what only the camera's maker understands. The thumbnail would go on showing
    the source in file managers.

    Returns:
        The data with its heading; b"" if it is damaged or there is none.
    """
    data = bytearray(exif.removeprefix(HEADING))
    try:
        order = {b"II": "<", b"MM": ">"}[bytes(data[:2])]
        (first,) = struct.unpack_from(order + "I", data, 4)
        size = {_IMAGE_WIDTH: width, _IMAGE_LENGTH: height}
        directory = _Directory(data, order, first)
        directory.set_numbers({_ORIENTATION: 1, **size})
        if (place := directory.number(_EXIF_DIRECTORY)) is not None:
            size = {_EXIF_WIDTH: width, _EXIF_HEIGHT: height}
            _Directory(data, order, place).set_numbers(size)
        directory.drop_next()
    except (KeyError, struct.error):
        return b""
    return HEADING + bytes(data)


class _Directory:
    """One list of tags within EXIF data, changed in place: u16 count, entries of 12 bytes, u32 place of the next list.

    Raises:
        struct.error: The data ends too early.
    """

    def __init__(self, data: bytearray, order: str, place: int) -> None:
        self._data = data
        self._order = order
        (count,) = struct.unpack_from(order + "H", data, place)
        self._end = place + 2 + 12 * count
        self._entries: dict[int, tuple[int, int]] = {}  # tag -> (type, place of its value)
        for entry in range(place + 2, self._end, 12):
            tag, kind, length = struct.unpack_from(order + "HHI", data, entry)
            if length == 1 and kind in (_SHORT, _LONG):
                self._entries[tag] = (kind, entry + 8)

    def number(self, tag: int) -> int | None:
        """The value of a tag that is one whole number."""
        if tag not in self._entries:
            return None
        kind, place = self._entries[tag]
        return int(struct.unpack_from(self._order + ("H" if kind == _SHORT else "I"), self._data, place)[0])

    def set_numbers(self, values: dict[int, int]) -> None:
        """Change those tags that are there."""
        for tag, value in values.items():
            kind, place = self._entries.get(tag, (0, 0))
            if kind == _LONG or (kind == _SHORT and value <= 0xFFFF):
                struct.pack_into(self._order + ("H" if kind == _SHORT else "I"), self._data, place, value)

    def drop_next(self) -> None:
        """Cut off the next list, which is the thumbnail's, and blank the thumbnail."""
        (place,) = struct.unpack_from(self._order + "I", self._data, self._end)
        struct.pack_into(self._order + "I", self._data, self._end, 0)
        if not place:
            return
        with contextlib.suppress(struct.error):  # Broken, and cut off already.
            thumbnail = _Directory(self._data, self._order, place)
            start, length = thumbnail.number(_THUMBNAIL_START), thumbnail.number(_THUMBNAIL_LENGTH)
            if start and length:
                blank = min(length, max(0, len(self._data) - start))
                self._data[start : start + blank] = bytes(blank)
