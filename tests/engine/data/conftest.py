"""Colour profiles made by hand: no files of others, and no doubt what they mean."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

MakeProfile = Callable[[str], bytes]

_D50 = (0.9642, 1.0, 0.8249)
_D65 = (0.3127, 0.3290)
# Red, green, blue, white: chromaticities. Then the gamma, 0 for that of sRGB.
_SPACES = {
    "srgb": ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65, 0.0),
    "adobe": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), _D65, 563 / 256),
    "p3": ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), _D65, 0.0),
    "prophoto": ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585), 1.8),
}


@pytest.fixture
def make_profile() -> MakeProfile:
    """Profiles by name: the RGB ones of curves and a matrix "srgb", "adobe", "p3", "prophoto"; "grey", "tables"."""
    return _profile


def _profile(name: str) -> bytes:
    if name == "grey":  # Half of 255 looks like 188 in sRGB.
        return _icc(b"GRAY", b"XYZ ", [(b"wtpt", _xyz(*_D50)), (b"kTRC", _tag(b"curv", struct.pack(">I", 0)))])
    if name == "tables":
        return _icc(b"RGB ", b"Lab ", [(b"wtpt", _xyz(*_D50)), (b"A2B0", _table())])
    *corners, gamma = _SPACES[name]
    matrix = np.stack([_of_chromaticity(*corner) for corner in corners[:3]], axis=-1)
    white = _of_chromaticity(*corners[3])
    matrix = _adapted(white) @ (matrix * np.linalg.solve(matrix, white))
    if gamma:
        curve = _tag(b"curv", struct.pack(">IH", 1, round(gamma * 256)))
    else:
        curve = _tag(b"para", struct.pack(">HH", 3, 0) + _fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
    tags = [(b"wtpt", _xyz(*_D50))]
    tags += [(b"%cXYZ" % letter, _xyz(*column)) for letter, column in zip(b"rgb", matrix.T, strict=True)]
    tags += [(b"%cTRC" % letter, curve) for letter in b"rgb"]
    return _icc(b"RGB ", b"XYZ ", tags)


def _table() -> bytes:
    """A table of 2 x 2 x 2 colours in Lab: a one-way street, as scanners have."""
    straight = bytes(range(256)) * 3
    corners = [(100 * (r + g + b) // 3 * 255 // 100, 128 + 40 * (r - g), 128 + 40 * (g - b)) for r, g, b in _cube()]
    colours = b"".join(bytes(corner) for corner in corners)
    identity = _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    return _tag(b"mft1", bytes((3, 3, 2, 0)) + identity + straight + colours + straight)


def _cube() -> list[tuple[int, int, int]]:
    return [(r, g, b) for r in (0, 1) for g in (0, 1) for b in (0, 1)]


def _of_chromaticity(x: float, y: float) -> npt.NDArray[np.float64]:
    return np.array((x / y, 1, (1 - x - y) / y))


def _adapted(white: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """XYZ of a white -> XYZ of D50, after Bradford."""
    cones = np.array(((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296)))
    scale: npt.NDArray[np.float64] = np.linalg.inv(cones) @ np.diag((cones @ np.array(_D50)) / (cones @ white)) @ cones
    return scale


def _icc(space: bytes, connection: bytes, tags: list[tuple[bytes, bytes]]) -> bytes:
    text = _tag(b"desc", struct.pack(">I", 2) + b"p\0" + bytes(78))
    tags = [(b"desc", text), (b"cprt", _tag(b"text", b"-\0")), *tags]
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags:
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data
    kind = b"scnr" if connection == b"Lab " else b"mntr"
    head = struct.pack(">I", 128 + len(table) + len(body)) + bytes(4) + struct.pack(">I", 0x02400000) + kind
    head += space + connection + struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(*_D50)
    return head.ljust(128, b"\0") + table + body


def _tag(kind: bytes, body: bytes) -> bytes:
    return (kind + bytes(4) + body).ljust((8 + len(body) + 3) // 4 * 4, b"\0")


def _xyz(*numbers: float) -> bytes:
    return _tag(b"XYZ ", _fixed(*numbers))


def _fixed(*numbers: float) -> bytes:
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)
