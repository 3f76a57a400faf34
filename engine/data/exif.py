"""Changing EXIF data byte by byte, so that all of it that stays true is kept."""

from __future__ import annotations

import contextlib
import struct

HEADING = b"Exif\x00\x00"
"""What EXIF data begins with in this project, as it does in JPEG."""

# Types of values, and tags.
_SHORT, _LONG = 3, 4
_IMAGE_WIDTH, _IMAGE_LENGTH, _ORIENTATION = 0x0100, 0x0101, 0x0112
_EXIF_DIRECTORY, _EXIF_WIDTH, _EXIF_HEIGHT = 0x8769, 0xA002, 0xA003
_THUMBNAIL_START, _THUMBNAIL_LENGTH = 0x0201, 0x0202


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
