"""What results are called: names that fit every disk and never lead out of their folder. Needs no torch."""

from __future__ import annotations

import datetime
import os
import re
from pathlib import Path
from string import Formatter

from engine.data.folders import PICTURE_SUFFIXES

LONGEST_NAME_BYTES = 255
"""What ext4, APFS and most others allow; NTFS and exFAT count 255 UTF-16 units, which are never more than the bytes."""

_LEAST_INDEX_DIGITS = 4

# What follows a dot further away from the end is no ending.
_LONGEST_SUFFIX = 16

# Refused by Windows and its disks wherever they are mounted. Lone surrogates stand for bytes that are no Unicode.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')

_DIGITS = "123456789¹²³"
_RESERVED = frozenset({"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}) | {
    device + digit for device in ("COM", "LPT") for digit in _DIGITS
}
"""Names that Windows takes for devices, with any ending or none."""


def result_name(
    template: str, *, source: Path, suffix: str, direction: str, model: str, date: datetime.date, index: int
) -> str:
    """The whole name of a result, without a folder.

    The source's own name is kept as it is, since its disk has taken it, except on Windows; everything else is made
    safe everywhere. Where the name would be too long the source's part of it is cut short. For disks that refuse the
    name nevertheless there is `safe_name`.

    Args:
        template: As `ConvertJob.name`, which has been checked.
        source: The picture; an ending of a picture format is left out of {name}, any other ("scan.2024") belongs to it.
        suffix: The ending with its dot.
        direction: In words, such as "Summer to Winter".
        model: The model's name.
        date: Today.
        index: The place in the batch, from 1.

    Returns:
        At most 255 bytes of UTF-8, without a path separator, never "." or "..".
    """
    stem, dot, ending = source.name.rpartition(".")
    own = stem if stem and (dot + ending).lower() in PICTURE_SUFFIXES else source.name
    # Of a path such as "/", which has no name.
    own = own.replace("/", "_").replace("\0", "_") or "_"
    others = {
        "direction": _clean(direction),
        "model": _clean(model),
        "date": date.isoformat(),
        "index": f"{index:0{_LEAST_INDEX_DIGITS}}",
    }
    parts = [
        (_clean(text), "name" if field == "name" else "", others.get(field or "", ""))
        for text, field, _, _ in Formatter().parse(template)
    ]

    def stem_with(name: str) -> str:
        return "".join(text + (name if is_name else value) for text, is_name, value in parts)

    # From the source's part first: what is left is still told apart by its index.
    while own and _byte_count(stem_with(own) + suffix) > LONGEST_NAME_BYTES:
        own = own[:-1]
    name = _shortened(stem_with(own), suffix)
    return safe_name(name) if os.name == "nt" or name in (".", "..") else name


def safe_name(name: str) -> str:
    """The same name for disks that are pickier than the one it comes from: exFAT, NTFS, shares of Windows.

    What Windows forbids and what is not Unicode becomes "_", names of its devices get one ("nul.txt" is "nul_.txt"),
    dots and spaces at the end go. A name that is safe already comes back unchanged.

    Returns:
        At most 255 bytes of UTF-8, never empty, "." or "..".
    """
    name = _clean(name).rstrip(". ") or "_"
    device, dot, rest = name.partition(".")
    if device.rstrip(" ").upper() in _RESERVED:
        name = f"{device.rstrip(' ')}_{dot}{rest}"
    suffix = Path(name).suffix
    if len(suffix) > _LONGEST_SUFFIX:
        suffix = ""
    return _shortened(name.removesuffix(suffix), suffix).rstrip(". ")


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("_", text)


def _shortened(stem: str, suffix: str) -> str:
    while stem and _byte_count(stem + suffix) > LONGEST_NAME_BYTES:
        stem = stem[:-1]
    return stem + suffix


def _byte_count(name: str) -> int:
    return len(os.fsencode(name))
