"""Files put together of parts that Pillow has encoded: animated GIF and WebP, and JPEG 2000 with metadata. No torch.

Pillow and libwebp make one frame of two that look the same, so that a result could have fewer frames than its source;
and for JPEG 2000 Pillow has no metadata at all.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import BinaryIO

from PIL import GifImagePlugin, Image

HEADING = b"Exif\x00\x00"
"""What EXIF data begins with in this project, as it does in JPEG."""

# GIF


def gif_file(
    frames: Iterable[tuple[Image.Image, int | None, float]],
    *,
    xmp: bytes = b"",
    comment: bytes = b"",
    plays: int = 1,
) -> bytes:
    """A GIF in which each frame is whole and has a palette of its own.

    Args:
        frames: Pictures of mode "P" with palettes of RGB and of one size, each with its transparent index (None for
            none) and its time in milliseconds, of which GIF keeps whole steps of 10.
        xmp: XMP packet, b"" for none.
        comment: A comment, b"" for none.
        plays: How often it is shown, 0 for ever.
    """
    file = io.BytesIO()
    for index, (image, transparency, milliseconds) in enumerate(frames):
        if index == 0:
            file.write(b"GIF89a" + struct.pack("<HHBBB", *image.size, 0, 0, 0))
            if plays != 1:
                # What is stored is how often it is repeated, 0 for ever.
                file.write(b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", min(max(plays - 1, 0), 65_535), 0))
            if comment:
                blocks = [comment[start : start + 255] for start in range(0, len(comment), 255)]
                file.write(b"!\xfe" + b"".join(bytes((len(block),)) + block for block in blocks) + b"\0")
            if xmp:
                # Not in blocks of known lengths: whatever byte is taken for a length leads into this tail, and out.
                tail = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
                file.write(b"!\xff\x0bXMP DataXMP" + xmp + tail)
        options = {} if transparency is None else {"transparency": transparency, "disposal": 2}
        parts = GifImagePlugin.getdata(image, (0, 0), duration=milliseconds, include_color_table=True, **options)
        file.write(b"".join(parts))
    file.write(b";")
    return file.getvalue()


# WebP


def webp_file(
    frames: Iterable[tuple[bytes, float]],
    size: tuple[int, int],
    *,
    icc_profile: bytes | None = None,
    exif: bytes = b"",
    xmp: bytes = b"",
    plays: int = 0,
) -> bytes:
    """An animated WebP of still ones.

    Args:
        frames: Whole files of WebP, each with its time in milliseconds.
        size: Width and height of each, in pixels.
        icc_profile: Their colour profile.
        exif: EXIF data, with or without its heading.
        xmp: XMP packet.
        plays: How often it is shown, 0 for ever.
    """
    width, height = (struct.pack("<I", side - 1)[:3] for side in size)
    parts = [b""]
    if icc_profile:
        parts.append(_webp_chunk(b"ICCP", icc_profile))
    parts.append(_webp_chunk(b"ANIM", bytes(4) + struct.pack("<H", min(plays, 65_535))))
    transparent = False
    for still, milliseconds in frames:
        chunks = [(name, data) for name, data in _webp_chunks(still) if name in (b"ALPH", b"VP8 ", b"VP8L")]
        transparent = transparent or any(
            # In a lossless stream the size, twice 14 bits, comes before whether there is alpha.
            name == b"ALPH" or (name == b"VP8L" and struct.unpack_from("<I", data, 1)[0] >> 28 & 1)
            for name, data in chunks
        )
        time = struct.pack("<I", min(round(milliseconds), 0xFF_FFFF))[:3]
        # 2: it replaces what is there instead of being blended with it.
        frame = bytes(6) + width + height + time + b"\x02" + b"".join(_webp_chunk(*chunk) for chunk in chunks)
        parts.append(_webp_chunk(b"ANMF", frame))
    if exif:
        parts.append(_webp_chunk(b"EXIF", exif.removeprefix(HEADING)))
    if xmp:
        parts.append(_webp_chunk(b"XMP ", xmp))
    flags = 0x02 | 0x20 * bool(icc_profile) | 0x10 * transparent | 0x08 * bool(exif) | 0x04 * bool(xmp)
    parts[0] = _webp_chunk(b"VP8X", struct.pack("<I", flags) + width + height)
    return _webp_chunk(b"RIFF", b"WEBP" + b"".join(parts))


def _webp_chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def _webp_chunks(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 12
    while place + 8 <= len(file):
        name, length = struct.unpack_from("<4sI", file, place)
        yield name, file[place + 8 : place + 8 + length]
        place += 8 + length + length % 2


# JPEG 2000

_JP2_EXIF = b"JpgTiffExif->JP2"
_JP2_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_LONGEST_JP2_BOX = 64 << 20


def jp2_file(plain: bytes, *, exif: bytes = b"", xmp: bytes = b"", dpi: tuple[float, float] | None = None) -> bytes:
    """A JP2 with metadata in the boxes that other programs look for.

    Args:
        plain: The file without.
        exif: EXIF data, with or without its heading.
        xmp: XMP packet.
        dpi: Pixels an inch across and down.
    """
    result = b""
    for name, content in _boxes(plain):
        if name == b"jp2h" and dpi:
            content += _box(b"res ", _box(b"resc", _jp2_resolution(dpi)))
        if name == b"jp2c":
            if exif:
                result += _box(b"uuid", _JP2_EXIF + exif.removeprefix(HEADING))
            if xmp:
                result += _box(b"uuid", _JP2_XMP + xmp)
        result += _box(name, content)
    return result


def jp2_metadata(file: BinaryIO) -> tuple[bytes, bytes]:
    """EXIF data without its heading and XMP of a JPEG 2000 file as `jp2_file` writes them, b"" for none."""
    found = {_JP2_EXIF: b"", _JP2_XMP: b""}
    place = 0
    end = file.seek(0, io.SEEK_END)
    while place + 8 <= end:
        file.seek(place)
        length, name = struct.unpack(">I4s", file.read(8))
        heading = 8
        if length == 1 and place + 16 <= end:
            (length,) = struct.unpack(">Q", file.read(8))
            heading = 16
        length = length or end - place  # 0: to the end of the file
        if length < heading:
            break
        if name == b"uuid" and length <= _LONGEST_JP2_BOX:
            kind = file.read(16)
            if not found.get(kind, b"-"):
                found[kind] = file.read(length - heading - 16)
        place += length
    return found[_JP2_EXIF].removeprefix(HEADING), found[_JP2_XMP]


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        end = place + length if length else len(data)  # 0: to the end of the file
        yield name, data[place + 8 : end]
        place = end


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def _jp2_resolution(dpi: tuple[float, float]) -> bytes:
    """Pixels a metre, down and then across, as fractions with powers of ten, which stay 0 here."""
    across, down = (_short_fraction(value / 0.0254) for value in dpi)
    return struct.pack(">HHHHBB", *down[:2], *across[:2], down[2], across[2])


def _short_fraction(value: float) -> tuple[int, int, int]:
    """Numerator and denominator below 65536, and the power of ten that they are multiplied by."""
    power = 0
    while value >= 65_535:
        value, power = value / 10, power + 1
    fraction = Fraction(value).limit_denominator(max(1, int(65_535 / max(value, 1))))
    return max(1, fraction.numerator), fraction.denominator, power
