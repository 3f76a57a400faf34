"""What worker processes do for the doctor: look at pictures, and compare two that seem the same. Imports no torch."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from engine.data.images import Trait, read_glance, read_pixels, read_thumbnail
from engine.errors import PictureError

_Values = npt.NDArray[np.float32]

THUMBNAIL_SIDE = 16
"""Side of the squares by which pictures are compared first, in pixels."""

# Colours and textures are compared at one size, or a finer file would already be another kind.
_SIDE = 64
_HASH_SIDE = 32
_TEXTURE_BINS = 8
_READ_SIDE = 128
# A picture whose channels differ by less than this nearly everywhere is grey; JPEG moves them apart by a few levels.
_GREY_LEVELS, _GREY_SHARE = 8, 0.005
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

# Two pictures are alike if, laid upon one another as well as can be, both their light and their detail agree.
_COMPARED_SIDE = 48
# Measured on the apples of ImageNet: above these only the same photograph,
# below 0.86 of detail another apple of the same outline.
_LEAST_DETAIL, _LEAST_LIGHT = 0.89, 0.95
# Where they agree less than this as they are, no crop of a few percent is the reason.
_LEAST_DETAIL_UNCROPPED, _LEAST_LIGHT_UNCROPPED = 0.1, 0.6
_MARGINS = (0.01, 0.02, 0.03)
_DETAIL_SHARE = 16
"""Detail is what a Gaussian of this share of the side takes away."""

_Box = tuple[float, float, float, float]

Relation = Literal["same", "alike", "different"]


@dataclass(frozen=True, slots=True)
class PictureLook:
    """What the doctor remembers of a picture: about 1 KB.

    Attributes:
        width: In pixels, as it is to be seen.
        height: Likewise.
        traits: What is unusual about its file.
        is_grey: Whether it shows no colours.
        contrast: Standard deviation of its strongest channel, in levels of 256.
        thumbnail: All of it as a square: `THUMBNAIL_SIDE`^2 * 3 bytes.
        hash: 64 signs of its lowest frequencies (a perceptual hash), 8 bytes.
        features: Colours and textures by which kinds of pictures are told apart, float16.
    """

    width: int
    height: int
    traits: frozenset[Trait]
    is_grey: bool
    contrast: float
    thumbnail: bytes
    hash: bytes
    features: bytes


def look_at_some(paths: Sequence[Path], seconds: float) -> list[PictureLook | str]:
    """Look at the first of these pictures, as many as there is time for, at least one.

    Returns:
        Of each what was seen, or a sentence that says why it cannot be read.
    """
    end = time.monotonic() + seconds
    seen: list[PictureLook | str] = []
    for path in paths:
        try:
            seen.append(look_at_picture(path))
        except PictureError as error:
            seen.append(str(error))
        except MemoryError:
            seen.append(f"{path.name} does not fit into the memory of this computer. Scale it down first.")
        if time.monotonic() >= end:
            break
    return seen


def look_at_picture(path: Path) -> PictureLook:
    """Look at one picture.

    Raises:
        PictureError: It cannot be read.
        MemoryError: It does not fit into memory.
    """
    glance = read_glance(path, _READ_SIDE)
    image = Image.fromarray(glance.thumbnail)
    colours = glance.thumbnail.astype(np.int16)
    spread = colours.max(axis=-1) - colours.min(axis=-1)
    square = np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BOX if min(image.size) >= _SIDE else None))
    light = square @ _LUMA
    planes = square.reshape(-1, 3).T.astype(np.float32, order="C")
    statistics = np.concatenate([planes.mean(axis=1), planes.std(axis=1)])
    thumbnail = image.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BILINEAR)
    return PictureLook(
        width=glance.width,
        height=glance.height,
        traits=glance.traits,
        is_grey=bool((spread > _GREY_LEVELS).mean() <= _GREY_SHARE),
        contrast=float(statistics[3:].max()),
        thumbnail=thumbnail.tobytes(),
        hash=_perceptual_hash(light),
        features=_features(square, statistics, light, np.asarray(thumbnail)).astype(np.float16).tobytes(),
    )


def compare_some(pairs: Sequence[tuple[Path, Path, bool]], seconds: float) -> list[Relation]:
    """Compare the first of these pairs, as many as there is time for, at least one.

    Args:
        pairs: Two pictures each, and whether they may be the same to the last pixel.
        seconds: Time there is.
    """
    end = time.monotonic() + seconds
    found: list[Relation] = []
    for first, second, may_be_same in pairs:
        try:
            if may_be_same and are_same(first, second):
                found.append("same")
            else:
                found.append("alike" if are_alike(first, second) else "different")
        except (PictureError, MemoryError, OSError):  # It could be read a moment ago; this is about something else.
            found.append("different")
        if time.monotonic() >= end:
            break
    return found


def are_same(first: Path, second: Path) -> bool:
    """Whether two pictures have the same pixels.

    Raises:
        PictureError: One cannot be read.
    """
    if _digest_of_file(first) == _digest_of_file(second):
        return True
    return _digest_of_pixels(first) == _digest_of_pixels(second)


def are_alike(first: Path, second: Path) -> bool:
    """Whether two pictures show the same, saved anew, resized, brightened or cropped by a few percent.

    Raises:
        PictureError: One cannot be read.
    """
    images = [_light_of(path) for path in (first, second)]
    side = min(_COMPARED_SIDE, *(min(image.size) for image in images))
    if side < 8:
        return False
    wholes = [_standard(_squares(image, side, [(0, 0, *image.size)])) for image in images]
    light, detail = (float(first[0] @ second[0]) for first, second in zip(*wholes, strict=True))
    if light >= _LEAST_LIGHT and detail >= _LEAST_DETAIL:
        return True
    if light < _LEAST_LIGHT_UNCROPPED or detail < _LEAST_DETAIL_UNCROPPED:
        return False
    for whole, other in zip(wholes, images[::-1], strict=True):
        parts = _squares(other, side, _boxes(*other.size))
        parts = parts[_normed(parts) @ whole[0][0] >= _LEAST_LIGHT]
        if len(parts) and float((_normed(_detail(parts)) @ whole[1][0]).max()) >= _LEAST_DETAIL:
            return True
    return False


def _boxes(width: int, height: int) -> list[_Box]:
    """Parts of a picture that lack a few percent at some of the borders."""
    boxes: list[_Box] = []
    for margin in _MARGINS:
        for left, top in itertools.product((0, 1, 2), repeat=2):
            x, y = left * margin * width, top * margin * height
            boxes.append((x, y, x + width * (1 - 2 * margin), y + height * (1 - 2 * margin)))
    return boxes


def _squares(light: Image.Image, side: int, boxes: Sequence[_Box]) -> _Values:
    """[K, side, side]: parts of a picture."""
    resized = (light.resize((side, side), Image.Resampling.BILINEAR, box=box) for box in boxes)
    return np.stack([np.asarray(one, np.float32) for one in resized])


def _standard(squares: _Values) -> tuple[_Values, _Values]:
    """[K, N * N] with mean 0 and length 1, and likewise their detail."""
    return _normed(squares), _normed(_detail(squares))


def _detail(squares: _Values) -> _Values:
    """[K, N, N] less what is left of them when they are blurred."""
    blurring = _blurring(squares.shape[-1])
    return np.subtract(squares, blurring @ squares @ blurring.T, dtype=np.float32)


def _normed(squares: _Values) -> _Values:
    rows = squares.reshape(len(squares), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    result: _Values = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return result


@lru_cache(maxsize=64)
def _blurring(side: int) -> _Values:
    """[N, N]: what makes each row a mean of those around it, weighted by a Gaussian."""
    places = np.arange(side, dtype=np.float32)
    weights = np.exp(-0.5 * ((places[:, None] - places) / (side / _DETAIL_SHARE)) ** 2)
    result: _Values = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return result


# One picture is often compared with several.


@lru_cache(maxsize=64)
def _light_of(path: Path) -> Image.Image:
    """Its luminance in floats, at most 128 pixels a side."""
    return Image.fromarray(read_thumbnail(path, _READ_SIDE) @ _LUMA)


@lru_cache(maxsize=64)
def _digest_of_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").digest()


@lru_cache(maxsize=64)
def _digest_of_pixels(path: Path) -> bytes:
    pixels = read_pixels(path)
    return hashlib.blake2b(repr(pixels.shape).encode() + pixels.tobytes()).digest()


# What is remembered


def _perceptual_hash(light: _Values) -> bytes:
    """Signs of the 8 x 8 lowest frequencies about their median (a pHash)."""
    small = np.asarray(Image.fromarray(light).resize((_HASH_SIDE, _HASH_SIDE), Image.Resampling.BOX))
    cosines = _cosines()
    low = (cosines @ small @ cosines.T).reshape(-1)
    # The mean of the picture says nothing of what it shows.
    return np.packbits(low > np.median(low[1:])).tobytes()


@lru_cache(maxsize=1)
def _cosines() -> _Values:
    places, numbers = np.arange(_HASH_SIDE), np.arange(8)[:, None]
    result: _Values = np.cos(np.pi * numbers * (2 * places + 1) / (2 * _HASH_SIDE)).astype(np.float32)
    return result


def _features(
    square: npt.NDArray[np.uint8], statistics: _Values, light: _Values, thumbnail: npt.NDArray[np.uint8]
) -> _Values:
    """Colours (how many of each of 64, mean and spread), textures at two scales, and where what is."""
    levels = square.reshape(-1, 3)
    places = (levels >> 6).astype(np.intp) @ np.array([16, 4, 1])
    counts = np.sqrt(np.bincount(places, minlength=64) / len(levels))
    half = light.reshape(_SIDE // 2, 2, _SIDE // 2, 2).mean(axis=(1, 3))
    coarse = thumbnail.reshape(8, 2, 8, 2, 3).mean(axis=(1, 3)).reshape(-1) / 255
    return np.concatenate([counts, statistics / 255, _texture(light), _texture(half), coarse])


def _texture(light: _Values) -> _Values:
    """How many edges of each strength, and how much edge in each direction."""
    across, down = light[1:, 1:] - light[1:, :-1], light[1:, 1:] - light[:-1, 1:]
    strength = np.hypot(across, down)
    steps = np.clip(np.log2(strength + 1).astype(np.intp), 0, _TEXTURE_BINS - 1)
    strengths = np.bincount(steps.reshape(-1), minlength=_TEXTURE_BINS) / steps.size
    angles = (np.arctan2(down, across) % np.pi) * (_TEXTURE_BINS / np.pi)
    places = np.minimum(angles.astype(np.intp), _TEXTURE_BINS - 1).reshape(-1)
    directions = np.bincount(places, weights=strength.reshape(-1), minlength=_TEXTURE_BINS)
    return np.concatenate([np.sqrt(strengths), directions / max(float(directions.sum()), 1e-6)]).astype(np.float32)
