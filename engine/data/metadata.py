"""What a file says beside its pixels, EXIF data and colours: XMP, resolution, bits a channel. Needs no torch."""

from __future__ import annotations

import contextlib
import io
import math
import re
import struct
import zlib
from typing import Any, BinaryIO

from PIL import ExifTags, Image, TiffImagePlugin

from engine.data.containers import jp2_metadata
from engine.data.exif import numbers_of_tiff

_XMP_TAG, _PHOTOSHOP_TAG = 700, 34377
_UNIT_INCH, _UNIT_CENTIMETRE = 2, 3

# Of a TIFF that is not damaged.
_MOST_CHANNELS = 1000
_CENTIMETRES = 2.54

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_DESCRIPTIONS = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")
_PNG_COLOURS = (b"gAMA", b"cICP", b"sRGB")
# Of a gamma of sRGB, and how far another one may be off to be seen as it.
_SRGB_GAMMA, _GAMMA_OFF = 1 / 2.2, 0.005
# Primaries of BT.709 with the curve of sRGB, red, green and blue themselves, all of the range.
_SRGB_CICP = bytes((1, 13, 0, 1))
_LONGEST_DESCRIPTION = 64 << 20

# Where the parts that tell the depth of a file stand.
_HEAD_BYTES = 1 << 16

# In a JPEG it points to a second packet.
_EXTENDED = re.compile(rb"\s+xmpNote:HasExtendedXMP\s*=\s*(?:\"[^\"<]*\"|'[^'<]*')")

# Text of a PNG that programs add by themselves, or that is read as EXIF and XMP.
_PASSING_TEXT = re.compile(r"(?i)software$|date:|creation time$|raw profile type |xml:com\.adobe\.xmp$")


def described(image: Image.Image, file: BinaryIO) -> Image.Image:
    """The picture to ask for EXIF data, XMP and texts before anything is decoded: mostly the opened one itself.

    A PNG may have them behind its pixels, where Pillow finds them by decoding these. Such a one is given as a PNG of a
    single pixel with the same descriptions.

    Raises:
        Exception: Any, for a damaged file.
    """
    if image.format != "PNG":
        return image
    parts = [_PNG_SIGNATURE, _png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))]
    colours: dict[bytes, bytes] = {}
    file.seek(len(_PNG_SIGNATURE))
    while len(heading := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", heading)
        if name in _PNG_DESCRIPTIONS and length <= _LONGEST_DESCRIPTION:
            parts.append(_png_chunk(name, file.read(length)))
            file.seek(4, 1)
        elif name in _PNG_COLOURS and length <= 4:
            colours[name] = file.read(length)
            file.seek(4, 1)
        else:
            file.seek(length + 4, 1)
    parts += [_png_chunk(b"IDAT", zlib.compress(b"\0\0")), _png_chunk(b"IEND", b"")]
    with Image.open(io.BytesIO(b"".join(parts)), formats=["PNG"]) as small:
        small.load()
        small.info["colours"] = colours if "icc_profile" not in image.info else {}
        return small


def read_xmp(image: Image.Image, file: BinaryIO, notes: list[str]) -> bytes:
    """The XMP packet of a picture as found, b"" for none; what of it cannot be had is noted."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        found: Any = image.tag_v2.get(_XMP_TAG)
    elif image.format == "GIF":
        found = _gif_xmp(file)
    elif image.format == "JPEG2000":
        found = jp2_metadata(file)[1]
    else:
        found = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if isinstance(found, str):
        found = found.encode("utf-8", "surrogateescape")
    elif isinstance(found, tuple):
        with contextlib.suppress(TypeError, ValueError):
            found = found[0] if len(found) == 1 else bytes(found)
    if not isinstance(found, bytes):
        return b""
    if image.format in ("JPEG", "MPO") and _EXTENDED.search(found):
        notes.append("Part of its XMP data, which stands apart from the rest, was left out.")
    return found.rstrip(b"\0")


def note_of_text(image: Image.Image) -> str:
    """A sentence about texts and captions beside EXIF and XMP, which are not kept; "" where there are none."""
    blocks = image.info.get("photoshop")
    if isinstance(blocks, dict) and 0x0404 in blocks:
        return "Its IPTC captions were left out."
    if blocks or (isinstance(image, TiffImagePlugin.TiffImageFile) and _PHOTOSHOP_TAG in image.tag_v2):
        return "Its Photoshop data, such as paths, was left out."
    if image.format == "PNG":
        texts = [key for key in getattr(image, "text", {}) if not _PASSING_TEXT.match(str(key)) and key != "Comment"]
        if texts:
            return f"Its {len(texts)} entries of text were left out." if len(texts) > 1 else "Its text was left out."
    return ""


def note_of_colours(image: Image.Image) -> str:
    """A sentence about what a PNG says of its colours other than by a profile; "" where it says nothing else than sRGB.

    Args:
        image: What `described` gave.
    """
    colours = image.info.get("colours", {})
    if (code := colours.get(b"cICP", _SRGB_CICP)) != _SRGB_CICP:
        shown = ", ".join(str(number) for number in code)
        return f"Its colour space (cICP {shown}) was not applied: its colours are taken for sRGB."
    if len(stored := colours.get(b"gAMA", b"")) == 4 and not {b"sRGB", b"cICP"} & set(colours):
        gamma = int.from_bytes(stored, "big") / 100_000
        if gamma and abs(gamma - _SRGB_GAMMA) > _GAMMA_OFF:
            return f"Its gamma ({gamma:g}) was not applied: its colours are taken for sRGB."
    return ""


def read_comment(image: Image.Image) -> bytes:
    """The comment of a JPEG, PNG or GIF, b"" for none."""
    found: Any = image.info.get("comment") if image.format in ("JPEG", "MPO", "GIF") else None
    if image.format == "PNG":
        found = str(getattr(image, "text", {}).get("Comment", "")).encode("utf-8", "replace")
    return found if isinstance(found, bytes) else b""


def unreadable_tiff(file: BinaryIO) -> str:
    """What keeps Pillow from knowing a TIFF, such as "32-bit floating-point colours"; "" if it is none or damaged."""
    try:
        bits, kinds, channels = numbers_of_tiff(file, (ExifTags.Base.BitsPerSample, 339, 277))
    except (KeyError, struct.error, ValueError, OSError):
        return ""
    deepest, count = max(bits, default=1), max(channels, default=1)
    if 3 in kinds:
        return f"{deepest}-bit floating-point colours"
    if deepest > 16:
        return f"{deepest}-bit colours"
    return f"{count} channels of {deepest} bits" if 4 < count <= _MOST_CHANNELS else ""


def read_dpi(image: Image.Image, exif: Image.Exif) -> tuple[float, float] | None:
    """Pixels an inch across and down as stored, before any turning; None if a picture does not say.

    Pillow invents 72 where EXIF data says nothing, and takes the numbers of a TIFF without unit for inches.

    Args:
        image: The picture, of a TIFF its page.
        exif: Its EXIF data, which is asked where the format's own place is empty.
    """
    info = image.info
    found: Any = None
    try:
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            tags = image.tag_v2
            found = _from_tags(tags.get(282), tags.get(283), tags.get(296, _UNIT_INCH))
        elif image.format in ("JPEG", "MPO"):
            across, down = info.get("jfif_density", (0, 0))
            unit = info.get("jfif_unit", 0)  # 1 for inches, 2 for centimetres.
            found = _from_tags(across, down, unit + 1) if unit in (1, 2) else None
        else:
            found = info.get("dpi")
        if found is None:
            base = ExifTags.Base
            unit = exif.get(base.ResolutionUnit, _UNIT_INCH)
            found = _from_tags(exif.get(base.XResolution), exif.get(base.YResolution), unit)
        across, down = (float(number) for number in found)
    except MemoryError:
        raise
    except Exception:  # Rubbish in a place for numbers does not make a picture unreadable.
        return None
    if not (math.isfinite(across) and math.isfinite(down) and 0 < across < 1e6 and 0 < down < 1e6):
        return None
    return across, down


def stored_bits(image: Image.Image, file: BinaryIO) -> int:
    """Bits a channel of a file that is opened but not yet loaded, 8 where it cannot be told or is less."""
    try:
        return max(8, _stored_bits(image, file))
    except MemoryError:
        raise
    except Exception:  # Only a note depends on it.
        return 8


def _stored_bits(image: Image.Image, file: BinaryIO) -> int:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(max(image.tag_v2.get(ExifTags.Base.BitsPerSample, (8,))))
    if image.mode in ("I", "F") and image.format != "PPM":
        return 32
    if image.mode.startswith("I;16"):
        return 16
    tiles = getattr(image, "tile", None)
    tile = tiles[0] if tiles else None
    arguments = tile.args if tile is not None and isinstance(tile.args, tuple) else ()
    if image.format in ("PNG", "SGI"):
        rawmode = arguments[0] if arguments else tile.args if tile is not None else ""
        deep = ";16" in str(rawmode) or (tile is not None and tile.codec_name == "SGI16")
        return 16 if deep else 8
    if image.format == "PPM":
        return int(arguments[-1]).bit_length() if tile is not None and tile.codec_name.startswith("ppm") else 8
    if image.format == "HEIF":
        return int(image.info.get("bit_depth", 8))
    if image.format not in ("AVIF", "JPEG2000"):
        return 8
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    if image.format == "AVIF":
        place = head.index(b"av1C") + 6
        return (8 if not head[place] & 0x40 else 12 if head[place] & 0x20 else 10) if place < len(head) else 8
    size = head.index(b"\xff\x4f\xff\x51")
    components = int.from_bytes(head[size + 40 : size + 42], "big")
    return max((head[size + 42 + 3 * i] & 0x7F) + 1 for i in range(components))


def _from_tags(across: Any, down: Any, unit: Any) -> tuple[float, float] | None:
    if across is None or unit not in (_UNIT_INCH, _UNIT_CENTIMETRE):
        return None
    scale = _CENTIMETRES if unit == _UNIT_CENTIMETRE else 1.0
    return float(across) * scale, float(across if down is None else down) * scale


def _gif_xmp(file: BinaryIO) -> bytes | None:
    file.seek(0)
    data = file.read()
    start = data.find(b"\x21\xff\x0bXMP DataXMP")
    if start < 0:
        return None
    # It is not cut into blocks; a tail that leads readers of blocks out of it begins with 1, which no XML holds.
    end = data.find(b"\x01\xff\xfe", start + 14)
    return data[start + 14 : end] if end > 0 else None


def _png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
