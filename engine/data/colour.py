"""Colour profiles: from the colours of a file into sRGB, in which the model works, and back. Needs no torch.

LittleCMS comes with Pillow and knows every kind of profile, at 8 bits a channel only. Most RGB profiles are three
curves and a matrix; those are worked out here as well, in fractions, so that 16 bits stay 16, and so that 8 bits come
back as they were: near black one level of sRGB is as much as six levels of Adobe RGB.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from engine.data.source_file import Pixels

Deep = npt.NDArray[np.uint16]
_Values = npt.NDArray[np.float64]
_Fractions = npt.NDArray[np.float32]

# Linear light is looked up by its square root, which spreads the dark levels as far apart as eyes do.
_INVERSE_STEPS = 1 << 18
_PIXELS_AT_ONCE = 1 << 18

# Profiles with these tags are more than curves and a matrix.
_TABLES = (b"A2B0", b"A2B1", b"B2A0", b"B2A1", b"D2B0", b"D2B1", b"B2D0", b"B2D1")

# How far a colour that went there and back may be off, and how many may be further.
_LEVELS_OFF, _SHARE_OFF = 4, 0.01

# What is further outside sRGB than one level of 256: in linear light, below black and above white.
_BELOW, _ABOVE = -1 / 255 / 12.92, 1 + 2.3 / 255


def srgb_profile() -> bytes:
    """The profile sRGB, always the same bytes."""
    return _made_srgb_profile()


def colour_space(profile: bytes) -> str:
    """What a profile describes, such as "RGB", "GRAY" or "CMYK".

    Raises:
        ValueError: It is damaged.
    """
    try:
        return str(_opened_profile(profile).profile.xcolor_space).strip()
    except (OSError, TypeError, ValueError) as error:
        raise ValueError("the colour profile is damaged") from error


def means_srgb(profile: bytes, *, grey: bool = False) -> bool:
    """Whether the colours of a picture with this profile are those of sRGB, but for one level of 256.

    Args:
        profile: Any profile, also a damaged one.
        grey: Whether the picture is grey, which a profile of the kind GRAY needs.
    """
    try:
        space = colour_space(profile)
        if space == "GRAY" and grey:
            levels = np.arange(256, dtype=np.uint8)[None]
            result = np.asarray(_applied(_into_srgb(profile, "L"), Image.fromarray(levels)))
            return int(np.abs(result.astype(np.int16) - levels[..., None]).max()) <= 1
        return space == "RGB" and _into_srgb(profile, "RGB") is None
    except MemoryError:
        raise
    except Exception:  # The profile comes from strangers.
        return False


def image_into_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """A picture in L, RGB or CMYK with 8 bits a channel -> RGB in sRGB, of a profile of any kind.

    Raises:
        ValueError: The profile is damaged, or describes other pixels than these.
    """
    space = colour_space(profile)
    if space == "RGB" and image.mode == "L":
        image = image.convert("RGB")
    if (space, image.mode) not in {("RGB", "RGB"), ("GRAY", "L"), ("CMYK", "CMYK")}:
        raise ValueError("the colour profile does not fit the pixels")
    try:
        return _applied(_into_srgb(profile, image.mode), image)
    except (OSError, TypeError, ImageCms.PyCMSError) as error:
        raise ValueError("the colour profile is damaged") from error


def fine_into_srgb(pixels: Pixels, profile: bytes) -> tuple[Deep, float]:
    """[H, W, 3] or [H, W] of a profile -> [H, W, 3] in sRGB, each of 65,536 levels.

    Relative colorimetric; what lies outside sRGB is brought to its edge, channel by channel.

    Args:
        pixels: uint8 or uint16; [H, W] for a profile of the kind GRAY.
        profile: One for which `is_fine` is true.

    Returns:
        The pixels, and the share of them (0 to 1) that lay outside sRGB by more than a level of 256.

    Raises:
        ValueError: The profile is no mere matrix with curves.
    """
    source, srgb = _matrix_profile(profile), _matrix_profile(srgb_profile())
    assert srgb is not None
    if source is None or source.is_grey != (pixels.ndim == 2):
        raise ValueError("the colour profile is more than curves and a matrix")
    matrix = np.linalg.inv(srgb.matrix) @ source.matrix
    result = np.empty((*pixels.shape[:2], 3), np.uint16)
    outside = 0
    scale = 257 if pixels.dtype == np.uint8 else 1
    tables = [table[::scale].astype(np.float32) for table in source.tables]
    for rows in _bands(pixels):
        part = pixels[rows]
        if source.is_grey:
            linear = np.repeat(tables[0][part][..., None], 3, axis=-1)
        else:
            linear = np.stack([tables[i][part[..., i]] for i in range(3)], axis=-1)
            linear = _multiplied(linear, matrix)
            outside += int(((linear < _BELOW) | (linear > _ABOVE)).any(axis=-1).sum())
        result[rows] = srgb.encoded(linear)
    return result, outside / max(1, pixels.shape[0] * pixels.shape[1])


def is_fine(profile: bytes, *, grey: bool = False) -> bool:
    """Whether `fine_into_srgb` understands a profile, for colours or for grey pixels."""
    understood = _matrix_profile(profile)
    return understood is not None and understood.is_grey == grey


def out_of_srgb(pixels: Pixels, profile: bytes) -> Pixels:
    """SRGB -> the colours of an RGB profile: pixels and label must agree.

    Where the profile is sRGB by any name the same pixels are returned.

    Args:
        pixels: [H, W, 3] uint8, or uint16, which needs a profile of curves and a matrix.
        profile: What the result is to be labelled with.

    Returns:
        [H, W, 3] of the same type.

    Raises:
        ValueError: The profile cannot be written to: a scanner's may lead into sRGB, but not back, and a printer's may
            have no place for more than 1% of these colours.
        MemoryError: It does not fit into memory.
    """
    try:
        transform = _out_of_srgb(profile)
        if transform is None:
            return pixels
        if pixels.dtype == np.uint8:
            result = np.array(_applied(transform, Image.fromarray(pixels)))
            if not is_fine(profile) and not _comes_back(result, pixels, profile):
                raise ValueError("the colour profile has no place for these colours")
            return result
    except MemoryError:
        raise
    except Exception as error:  # The profile comes from strangers.
        raise ValueError("the colour profile cannot be written to") from error
    target, srgb = _matrix_profile(profile), _matrix_profile(srgb_profile())
    assert srgb is not None
    if target is None or target.is_grey:
        raise ValueError("the colour profile cannot be written to with 16 bits a channel")
    matrix = np.linalg.inv(target.matrix) @ srgb.matrix
    tables = [table.astype(np.float32) for table in srgb.tables]
    fine = np.empty(pixels.shape, np.uint16)
    for rows in _bands(pixels):
        linear = np.stack([tables[i][pixels[rows][..., i]] for i in range(3)], axis=-1)
        fine[rows] = target.encoded(_multiplied(linear, matrix))
    return fine


# Profiles of curves and a matrix (ICC.1:2022, 8.3.3 and 10.18): they lead to CIE XYZ of the white D50.


@dataclass(frozen=True, slots=True)
class _MatrixProfile:
    """What leads from a file's numbers to XYZ.

    Attributes:
        tables: For each channel the linear light, 0 to 1, of each of 65,536 levels; one channel for grey.
        inverses: For each channel the level of linear light, by its square root in `_INVERSE_STEPS` steps.
        matrix: [3, 3] linear light of red, green and blue -> XYZ.
        is_grey: Whether it describes grey pixels.
    """

    tables: list[_Values]
    inverses: list[Deep]
    matrix: _Values
    is_grey: bool

    def encoded(self, linear: _Fractions) -> Deep:
        """[..., 3] linear light -> levels, what lies outside 0 to 1 brought to its edge."""
        places = np.sqrt(np.clip(linear, 0, 1))
        places *= _INVERSE_STEPS - 1
        numbers = np.rint(places, out=places).astype(np.int32)
        return np.stack([self.inverses[i][numbers[..., i]] for i in range(3)], axis=-1)


@lru_cache(maxsize=8)
def _matrix_profile(profile: bytes) -> _MatrixProfile | None:
    """The profile understood, None if it is of another kind or damaged."""
    try:
        tags = _tags(profile)
        space = profile[16:20]
        if space not in (b"RGB ", b"GRAY") or profile[20:24] != b"XYZ " or any(tag in tags for tag in _TABLES):
            return None
        grey = space == b"GRAY"
        tables = [_curve(tags[name]) for name in ((b"kTRC",) if grey else (b"rTRC", b"gTRC", b"bTRC"))]
        if grey:
            matrix = _matrix_profile(srgb_profile()).matrix  # type: ignore[union-attr]  # White is white.
        else:
            matrix = np.stack([_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")], axis=-1)
        if abs(np.linalg.det(matrix)) < 1e-6:
            return None
        return _MatrixProfile(tables, [_inverse(table) for table in tables], matrix, grey)
    except (KeyError, IndexError, ValueError, struct.error, np.linalg.LinAlgError):
        return None


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = [struct.unpack_from(">4sII", profile, 132 + 12 * i) for i in range(min(count, 200))]
    return {name: profile[start : start + length] for name, start, length in entries}


def _xyz(tag: bytes) -> _Values:
    if tag[:4] != b"XYZ ":
        raise ValueError("no XYZ")
    return np.array(struct.unpack_from(">3i", tag, 8), np.float64) / 65536


def _curve(tag: bytes) -> _Values:
    """[65536] the linear light, 0 to 1, of each level."""
    x = np.linspace(0, 1, 65536)
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return x
        stored = np.frombuffer(tag, ">u2", count, 12).astype(np.float64)
        y = x ** (stored[0] / 256) if count == 1 else np.interp(x, np.linspace(0, 1, count), stored / 65535)
    elif tag[:4] == b"para":
        y = _parametric(tag, x)
    else:
        raise ValueError("an unknown kind of curve")
    curve: _Values = np.clip(y, 0, 1)
    if not np.isfinite(curve).all() or (np.diff(curve) < 0).any() or curve[0] > 0.002 or curve[-1] < 0.5:
        raise ValueError("a curve without a way back, or whose black is not black and needs LittleCMS")
    return curve


def _parametric(tag: bytes, x: _Values) -> _Values:
    """ICC.1:2022, table 68: a power, and a straight line below it."""
    kind = struct.unpack_from(">H", tag, 8)[0]
    count = (1, 3, 4, 5, 7)[kind]
    numbers = np.zeros(7)
    numbers[:count] = np.array(struct.unpack_from(f">{count}i", tag, 12)) / 65536
    g, a, b, c, d, e, f = numbers
    if kind == 0:
        return np.power(x, g)
    power = np.power(np.maximum(a * x + b, 0), g)
    if kind == 1:
        return np.where(x >= -b / a, power, 0.0)
    if kind == 2:
        return np.where(x >= -b / a, power + c, c)
    return np.where(x >= d, power + e, c * x + f)


def _inverse(table: _Values) -> Deep:
    light = np.linspace(0, 1, _INVERSE_STEPS) ** 2
    # Where the curve rests on one value any of its levels would do; both ends are to stay ends.
    first = np.concatenate(([True], np.diff(table) > 0))
    levels = np.interp(light, table[first], np.arange(65536.0)[first])
    levels[-1] = 65535
    rounded: Deep = np.rint(levels).astype(np.uint16)
    return rounded


def _multiplied(linear: _Fractions, matrix: _Values) -> _Fractions:
    result: _Fractions = linear @ matrix.T.astype(np.float32)
    return result


def _bands(pixels: Pixels) -> Iterator[slice]:
    """Rows of a bounded number of pixels at once: the fractions of a large picture would fill the memory."""
    rows = max(1, _PIXELS_AT_ONCE // max(1, pixels.shape[1]))
    for top in range(0, len(pixels), rows):
        yield slice(top, top + rows)


# LittleCMS


def _opened_profile(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


@lru_cache(maxsize=1)
def _made_srgb_profile() -> bytes:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", 2024, 1, 1, 0, 0, 0)  # The moment of its making, or each start had its own.
    profile[84:100] = bytes(16)  # A hash of all of it; nothing means none.
    return bytes(profile)


# Making a transform takes longer than decoding a small picture, and those of a folder mostly share one profile.


@lru_cache(maxsize=16)
def _into_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from pixels of `mode` into sRGB, None if it changes nothing."""
    transform = _transform(_opened_profile(profile), _opened_profile(srgb_profile()), mode)
    return None if mode == "RGB" and _changes_nothing(transform) else transform


@lru_cache(maxsize=16)
def _out_of_srgb(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    """The way from sRGB into the RGB of a profile, None if it changes nothing."""
    transform = _transform(_opened_profile(srgb_profile()), _opened_profile(profile), "RGB")
    return None if _changes_nothing(transform) else transform


def _transform(
    source: ImageCms.ImageCmsProfile, target: ImageCms.ImageCmsProfile, mode: str
) -> ImageCms.ImageCmsTransform:
    """From `source`, with pixels of `mode`, to the RGB of `target`."""
    intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    return ImageCms.buildTransform(source, target, mode, "RGB", intent, flags)


def _comes_back(there: npt.NDArray[np.uint8], pixels: Pixels, profile: bytes) -> bool:
    """Whether colours brought into a profile lead back to what they were, by a sample of them."""
    step = max(1, int((pixels.shape[0] * pixels.shape[1] / _PIXELS_AT_ONCE) ** 0.5))
    sample = np.ascontiguousarray(there[::step, ::step])
    back = np.asarray(image_into_srgb(Image.fromarray(sample), profile)).astype(np.int16)
    return bool((np.abs(back - pixels[::step, ::step]).max(axis=-1) > _LEVELS_OFF).mean() <= _SHARE_OFF)


def _applied(transform: ImageCms.ImageCmsTransform | None, image: Image.Image) -> Image.Image:
    if transform is None:
        return image
    result = ImageCms.applyTransform(image, transform)
    assert result is not None  # It is None for work in place only.
    return result


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a transform of RGB moves no colour by more than one level: the profile is sRGB by any name.

    Such pixels are left bit-exact.
    """
    steps = np.linspace(0, 255, 17).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(17, -1, 3)
    result = np.asarray(_applied(transform, Image.fromarray(grid)))
    return int(np.abs(result.astype(np.int16) - grid).max()) <= 1
