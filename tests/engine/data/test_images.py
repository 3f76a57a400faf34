"""Whatever a file holds arrives upright in sRGB, what can be kept is kept, and damage gets a sentence."""

from __future__ import annotations

import io
import logging
import os
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin

from engine.data import images
from engine.data.colour import out_of_srgb, srgb_profile
from engine.data.images import (
    MAX_PIXELS,
    opened_source,
    read_pixels,
    read_size,
    read_thumbnail,
    scaled_frame,
    scaled_size,
)
from engine.data.source_file import Frame, SourceFile
from engine.errors import PictureError

Pixels = npt.NDArray[np.uint8]


MakeProfile = Callable[[str], bytes]


@pytest.fixture
def scene() -> Pixels:
    """[24, 36, 3]: smooth, and different in every direction."""
    y, x = np.mgrid[0:24, 0:36]
    return np.stack((x * 7, y * 10, 255 - x * 3 - y * 5), axis=-1).astype(np.uint8)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def difference(a: Pixels, b: Pixels) -> int:
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b).max())


def opened(path: Path, **options: Any) -> tuple[SourceFile, list[Frame]]:
    with opened_source(path, **options) as (source, frames):
        taken = list(frames)
    assert len(taken) == source.frame_count
    assert source.size == taken[0].pixels.shape[1::-1]
    for frame in taken:
        assert frame.pixels.ndim == 3 and frame.pixels.dtype in (np.uint8, np.uint16)
        assert frame.alpha is None or (frame.alpha.shape, frame.alpha.dtype) == (
            frame.pixels.shape[:2],
            frame.pixels.dtype,
        )
    return source, taken


def only(path: Path) -> Frame:
    """The frame of a file with one."""
    _, (frame,) = opened(path)
    return frame


def refusal(path: Path) -> str:
    with pytest.raises(PictureError) as failure:
        opened(path)
    with pytest.raises(PictureError):
        read_pixels(path)
    assert path.name in str(failure.value)
    return str(failure.value)


# Modes and depths


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("a.png", "RGB"),
        ("a.png", "RGBA"),
        ("a.bmp", "RGB"),
        ("a.tif", "RGB"),
        ("a.tif", "RGBX"),
        ("a.tif", "YCbCr"),
        ("a.ppm", "RGB"),
        ("a.tga", "RGB"),
        ("a.jp2", "RGB"),
        ("a.dds", "RGB"),
        ("a.pcx", "RGB"),
        ("a.sgi", "RGB"),
        ("a.qoi", "RGB"),
        ("a.webp", "RGB"),
        ("a.avif", "RGB"),
        ("a.jpg", "RGB"),
    ],
)
def test_colour_pictures_of_every_format_keep_their_colours(
    tmp_path: Path, scene: Pixels, name: str, mode: str
) -> None:
    options = {
        "a.webp": {"lossless": True},
        "a.avif": {"quality": 100, "subsampling": "4:4:4"},
        "a.jpg": {"quality": 100, "subsampling": 0},
    }
    path = saved(tmp_path / name, Image.fromarray(scene).convert(mode), **options.get(name, {}))
    picture = only(path)
    assert picture.pixels.dtype == np.uint8
    assert difference(picture.pixels, scene) <= (8 if name in ("a.avif", "a.jpg") or mode == "YCbCr" else 0)
    assert picture.alpha is None
    assert picture.notes == (("1 of its 4 channels was left out.",) if mode == "RGBX" else ())
    assert read_size(path) == (36, 24)


def test_cmyk_and_lab_become_rgb(tmp_path: Path, scene: Pixels) -> None:
    grey = np.repeat(scene[..., :1], 3, axis=-1)
    cmyk = Image.fromarray(scene).convert("CMYK")
    assert difference(read_pixels(saved(tmp_path / "c.tif", cmyk)), scene) <= 1
    jpeg = saved(tmp_path / "c.jpg", cmyk, quality=100)
    assert np.abs(read_pixels(jpeg).astype(int) - scene).mean() < 5
    lab = ImageCms.profileToProfile(
        Image.fromarray(grey), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    assert difference(read_pixels(saved(tmp_path / "l.tif", lab)), grey) <= 3


def test_black_and_white_and_grey(tmp_path: Path, scene: Pixels) -> None:
    levels = scene[..., 0]
    for name in ("g.png", "g.tif", "g.bmp", "g.pgm"):
        assert (
            difference(read_pixels(saved(tmp_path / name, Image.fromarray(levels))), levels[..., None].repeat(3, -1))
            == 0
        )
    bits = Image.fromarray(levels > 100)
    for name in ("b.png", "b.tif", "b.pbm"):
        pixels = read_pixels(saved(tmp_path / name, bits))
        assert (pixels == np.where(levels > 100, 255, 0)[..., None]).all()


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_sixteen_bit_grey_is_scaled_and_not_clipped_to_white(tmp_path: Path, name: str) -> None:
    levels = np.array([[0, 128, 257 * 100, 257 * 100 + 200, 65535]], np.uint16)
    path = saved(tmp_path / name, Image.fromarray(levels))
    assert read_pixels(path)[0, :, 0].tolist() == [0, 0, 100, 101, 255]
    frame = only(path)
    assert frame.pixels.dtype == np.uint16
    assert np.array_equal(frame.pixels, np.repeat(levels[..., None], 3, axis=-1))
    assert (frame.depth, frame.notes) == (16, ())


def test_thirty_two_bit_values_become_visible(tmp_path: Path) -> None:
    unit = np.array([[0.0, 0.5, 1.0]], np.float32)
    assert read_pixels(saved(tmp_path / "unit.tif", Image.fromarray(unit)))[0, :, 1].tolist() == [0, 128, 255]
    wide = np.array([[-3.0, np.nan, 7.0]], np.float32)
    picture = only(saved(tmp_path / "wide.tif", Image.fromarray(wide)))
    assert picture.pixels[0, :, 0].tolist() == [0, round(0.3 * 65535), 65535]
    assert "The source has 32 bits a channel, of which 16 could be read." in picture.notes
    assert any("-3 became black" in note for note in picture.notes)
    for values, expected in (
        ([0, 100, 255], [0, 100, 255]),
        ([0, 257, 65535], [0, 1, 255]),
        ([-5, 0, 5], [0, 128, 255]),
    ):
        path = saved(tmp_path / "int.tif", Image.fromarray(np.array([values], np.int32)))
        assert read_pixels(path)[0, :, 0].tolist() == expected
    flat = saved(tmp_path / "flat.tif", Image.fromarray(np.full((1, 2), 9.0, np.float32)))
    assert read_pixels(flat)[0, :, 0].tolist() == [0, 0]


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG by hand, for what Pillow cannot write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def test_one_transparent_level_of_grey_is_transparent_at_every_depth(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for depth, row, key in ((2, b"\x00\x1b", 1), (4, b"\x00\x01\x23", 1), (8, b"\x00\x00\x01\x02\x03", 1)):
        path.write_bytes(png(4, 1, depth, 0, row, (b"tRNS", struct.pack(">H", key))))
        alpha = only(path).alpha
        assert alpha is not None
        assert alpha.tolist() == [[255, 0, 255, 255]]
    path.write_bytes(png(2, 1, 16, 0, b"\x00\x01\x00\x01\x01", (b"tRNS", b"\x01\x01")))
    alpha = only(path).alpha
    assert alpha is not None
    assert alpha.tolist() == [[65535, 0]]


def test_one_transparent_colour_is_transparent(tmp_path: Path) -> None:
    image = Image.new("RGB", (2, 1), "red")
    image.putpixel((1, 0), (0, 0, 9))
    picture = only(saved(tmp_path / "a.png", image, transparency=(0, 0, 9)))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[255, 0]]


# Transparency


def test_transparency_is_kept_beside_unblended_colours(tmp_path: Path, scene: Pixels) -> None:
    alpha = np.full((24, 36), 100, np.uint8)
    alpha[:, :5] = 0
    path = saved(tmp_path / "a.png", Image.fromarray(np.dstack((scene, alpha))))
    picture = only(path)
    assert picture.alpha is not None
    assert (picture.alpha == alpha).all()
    assert difference(picture.pixels[:, 5:], scene[:, 5:]) == 0
    assert (picture.pixels[:, :5] == 255).all()
    seen = read_pixels(path)
    assert difference(seen, np.rint(scene * (alpha[..., None] / 255) + 255 - alpha[..., None]).astype(np.uint8)) <= 1


def test_grey_and_palette_transparency_is_kept(tmp_path: Path) -> None:
    grey = Image.merge("LA", (Image.new("L", (2, 2), 50), Image.linear_gradient("L").resize((2, 2))))
    assert only(saved(tmp_path / "a.png", grey)).alpha is not None
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.putpixel((1, 0), 1)
    for name, options in (
        ("p.png", {"transparency": bytes([255, 40])}),
        ("q.png", {"transparency": 1}),
        ("p.gif", {"transparency": 1}),
    ):
        picture = only(saved(tmp_path / name, palette, **options))
        assert picture.alpha is not None
        assert picture.alpha[0].tolist() == [255, 40 if name == "p.png" else 0]
        assert picture.pixels[0, 0].tolist() == [255, 0, 0]


def test_a_wholly_opaque_alpha_channel_counts_as_none(tmp_path: Path, scene: Pixels) -> None:
    assert only(saved(tmp_path / "a.png", Image.fromarray(scene).convert("RGBA"))).alpha is None


def test_an_unused_fourth_byte_does_not_make_a_bitmap_invisible(tmp_path: Path, scene: Pixels) -> None:
    path = saved(tmp_path / "a.tga", Image.fromarray(np.dstack((scene, np.zeros((24, 36), np.uint8)))))
    picture = only(path)
    assert picture.alpha is None
    assert difference(picture.pixels, scene) == 0
    assert any("transparency was left out" in note for note in picture.notes)


# Orientation and frames


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif", "a.jpg"])
def test_every_orientation_arrives_upright(tmp_path: Path, scene: Pixels, orientation: int, name: str) -> None:
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"a.webp": {"lossless": True}, "a.jpg": {"quality": 100, "subsampling": 0}}.get(name, {})
    stored = Image.fromarray(np.ascontiguousarray(undo(scene)))
    picture = only(saved(tmp_path / name, stored, exif=exif, **options))
    assert difference(picture.pixels, scene) <= (6 if name == "a.jpg" else 0)
    assert difference(read_pixels(tmp_path / name), picture.pixels) == 0


def test_transparency_is_turned_with_the_picture(tmp_path: Path) -> None:
    image = Image.new("RGBA", (3, 2), (9, 9, 9, 255))
    image.putpixel((0, 0), (9, 9, 9, 0))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    picture = only(saved(tmp_path / "a.png", image, exif=exif))
    assert picture.alpha is not None
    assert np.argwhere(picture.alpha == 0).tolist() == [[0, 1]]


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.avif"])
def test_every_frame_of_an_animation_has_the_whole_canvas_and_its_time(tmp_path: Path, name: str) -> None:
    canvas = Image.new("RGBA", (40, 30), "red")
    canvas.paste((0, 0, 0, 0), (30, 20, 40, 30))
    moved = canvas.copy()
    moved.paste((0, 0, 255, 255), (10, 5, 20, 15))
    clear = Image.new("RGBA", (40, 30), (0, 0, 0, 0))
    clear.paste((0, 255, 0, 255), (0, 0, 20, 30))
    options = {"a.webp": {"lossless": True}, "a.avif": {"quality": 100, "subsampling": "4:4:4"}}.get(name, {})
    if name == "a.gif":
        options = {"disposal": 2}
    path = saved(
        tmp_path / name,
        canvas,
        save_all=True,
        append_images=[moved, clear],
        duration=[100, 250, 70],
        loop=3,
        **options,
    )
    source, frames = opened(path)
    assert (source.frame_count, source.is_animated) == (3, True)
    assert source.loops == {"a.gif": 4, "a.avif": 0}.get(name, 3)
    assert [frame.milliseconds for frame in frames] == [100, 250, 70]
    assert source.notes == ()
    tolerance = 6 if name == "a.avif" else 0
    for frame, image in zip(frames, (canvas, moved, clear), strict=True):
        *_, alpha = image.split()
        assert frame.alpha is not None
        assert np.array_equal(frame.alpha, np.asarray(alpha))
        image.paste("white", mask=alpha.point(lambda level: 255 - level))
        assert difference(frame.pixels, np.asarray(image.convert("RGB"))) <= tolerance


@pytest.mark.parametrize("name", ["a.gif", "a.tif", "a.png", "a.webp"])
def test_the_first_of_several_frames_can_be_asked_for_and_is_said(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    path = saved(tmp_path / name, frames[0], save_all=True, append_images=frames[1:])
    source, (frame,) = opened(path, frames="first")
    assert difference(frame.pixels, np.full((8, 8, 3), (255, 0, 0), np.uint8)) <= 3
    assert source.notes == ("Only the first of 3 frames was converted.",)
    assert not source.is_animated


def test_what_sticks_out_of_the_canvas_of_a_gif_is_cut_off(tmp_path: Path) -> None:
    frames = [Image.new("P", (8, 8), 1), Image.new("P", (8, 8), 2)]
    frames[0].putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    frames[1].putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    data = bytearray(saved(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:]).read_bytes())
    second = data.index(b"\x2c" + struct.pack("<HHHH", 0, 0, 8, 8), data.index(b"\x2c") + 1)
    data[second + 1] = 5  # Five pixels to the right.
    (tmp_path / "a.gif").write_bytes(data)
    _, (first, other) = opened(tmp_path / "a.gif")
    assert first.pixels.shape == other.pixels.shape == (8, 8, 3)
    assert other.pixels[0, 4].tolist() == [255, 0, 0]
    assert other.pixels[0, 5].tolist() == [0, 255, 0]


def test_an_animation_played_once_or_for_ever(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green")]
    for name, options, loops in (
        ("a.gif", {}, 1),
        ("a.gif", {"loop": 0}, 0),
        ("a.png", {"loop": 0}, 0),
        ("a.png", {"loop": 1}, 1),
        ("a.webp", {"loop": 0}, 0),
        ("a.webp", {"loop": 1}, 1),
    ):
        path = saved(tmp_path / name, frames[0], save_all=True, append_images=frames[1:], **options)
        assert opened(path)[0].loops == loops


def test_the_still_picture_before_an_animated_png_is_left_out_and_said(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("white", "red", "blue")]
    path = saved(tmp_path / "a.png", frames[0], save_all=True, append_images=frames[1:], default_image=True)
    source, found = opened(path)
    assert [frame.pixels[0, 0].tolist() for frame in found] == [[255, 0, 0], [0, 0, 255]]
    assert source.notes == ("The still picture for programs that show no animation was left out.",)


def test_pages_may_differ_in_everything(tmp_path: Path, scene: Pixels, make_profile: MakeProfile) -> None:
    profile = make_profile("p3")
    deep = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    pages = [
        (Image.fromarray(scene), {"dpi": (300, 300), "icc_profile": profile}),
        (Image.fromarray(deep), {"dpi": (72, 72)}),
        (Image.new("1", (5, 6), 1), {}),
        (Image.fromarray(np.dstack((scene, scene[..., 0]))), {"compression": "tiff_lzw"}),
    ]
    with TiffImagePlugin.AppendingTiffWriter(tmp_path / "a.tif", new=True) as writer:
        for image, options in pages:
            image.save(writer, "TIFF", **options)
            writer.newFrame()
    source, frames = opened(tmp_path / "a.tif")
    assert (source.frame_count, source.is_animated, source.notes) == (4, False, ())
    assert [frame.pixels.shape for frame in frames] == [(24, 36, 3), (3, 4, 3), (6, 5, 3), (24, 36, 3)]
    assert [frame.icc_profile for frame in frames] == [profile, None, None, None]
    assert [frame.dpi for frame in frames] == [(300, 300), (72, 72), None, None]
    assert [frame.depth for frame in frames] == [8, 16, 8, 8]
    assert [frame.milliseconds for frame in frames] == [0] * 4
    assert np.array_equal(frames[1].pixels[..., 2], deep)
    assert np.array_equal(frames[3].alpha, scene[..., 0])


def test_pages_with_descriptions_of_their_own_say_so(tmp_path: Path) -> None:
    with TiffImagePlugin.AppendingTiffWriter(tmp_path / "a.tif", new=True) as writer:
        for text, dpi in (("one", 72), ("one", 300), ("two", 300)):
            Image.new("L", (3, 2)).save(writer, "TIFF", tiffinfo={270: text}, dpi=(dpi, dpi))
            writer.newFrame()
    source, frames = opened(tmp_path / "a.tif")
    assert b"one" in source.exif
    assert [len(frame.notes) for frame in frames] == [0, 0, 1]
    assert "description" in frames[2].notes[0]


def test_thumbnails_and_masks_within_a_tiff_are_no_pages(tmp_path: Path, scene: Pixels) -> None:
    with TiffImagePlugin.AppendingTiffWriter(tmp_path / "a.tif", new=True) as writer:
        for size, kind in (((9, 6), {254: 1}), ((36, 24), {254: 0}), ((36, 24), {254: 4}), ((9, 6), {255: 2})):
            Image.fromarray(scene).resize(size).save(writer, "TIFF", tiffinfo=kind)
            writer.newFrame()
    source, (frame,) = opened(tmp_path / "a.tif")
    assert source.size == (36, 24)
    assert difference(frame.pixels, scene) == 0


def test_frames_are_decoded_only_when_they_are_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    path = saved(tmp_path / "a.tif", frames[0], save_all=True, append_images=frames[1:], compression="tiff_lzw")
    data = bytearray(path.read_bytes())
    with Image.open(path) as image:
        image.seek(2)
        (place,) = image.tag_v2[273]
    data[place : place + 8] = b"\xff" * 8
    path.write_bytes(data)
    with opened_source(path) as (source, found):
        assert source.frame_count == 3
        assert next(found).pixels[0, 0].tolist() == [255, 0, 0]
        assert next(found).pixels[0, 0].tolist() == [0, 128, 0]
        with pytest.raises(PictureError, match=r"Frame 3 of 3 of a\.tif"):
            next(found)


def test_a_broken_chain_of_pages_names_the_page(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    path = saved(tmp_path / "a.tif", frames[0], save_all=True, append_images=frames[1:])
    with Image.open(path) as image:
        image.seek(1)
        second = image.tag_v2._offset
    data = path.read_bytes()
    (count,) = struct.unpack_from("<H", data, second)
    path.write_bytes(data[: second + 2 + 12 * count] + struct.pack("<I", len(data) + 99) + bytes(8))
    assert "rame 2 of" in refusal_of_frames(path) or "rame 3 of 3" in refusal_of_frames(path)


def refusal_of_frames(path: Path) -> str:
    with pytest.raises(PictureError) as failure:
        opened(path)
    return str(failure.value)


def test_what_its_reader_raises_is_not_taken_for_damage(tmp_path: Path, scene: Pixels) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(scene))
    with pytest.raises(ValueError, match="mine"), opened_source(path) as (_, frames):
        next(frames)
        raise ValueError("mine")


def test_the_second_picture_of_a_camera_is_left_out_and_said(tmp_path: Path, scene: Pixels) -> None:
    image = Image.fromarray(scene)
    image.save(tmp_path / "a.mpo", save_all=True, append_images=[image.resize((9, 6))])
    source, (frame,) = opened(tmp_path / "a.mpo")
    assert (source.format, source.frame_count) == ("MPO", 1)
    assert frame.pixels.shape == (24, 36, 3)
    assert source.notes == ("Only the main one of the 2 pictures in it was converted.",)


# Colour profiles


def swapped_profile() -> bytes:
    """A valid RGB profile whose red and green are exchanged: nobody can overlook whether it was applied."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (count,) = struct.unpack_from(">I", data, 128)
    places = {bytes(data[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    for tail in (b"XYZ", b"TRC"):
        red, green = places[b"r" + tail] + 4, places[b"g" + tail] + 4
        data[red : red + 8], data[green : green + 8] = data[green : green + 8], data[red : red + 8]
    return bytes(data)


def grey_profile() -> bytes:
    """A grey profile with gamma 1: half of 255 looks like 188 in sRGB."""

    def tagged(kind: bytes, body: bytes) -> bytes:
        return (kind + bytes(4) + body).ljust((8 + len(body) + 3) // 4 * 4, b"\0")

    def fixed(*numbers: float) -> bytes:
        return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)

    tags = [
        (b"desc", tagged(b"desc", struct.pack(">I", 2) + b"g\0" + bytes(78))),
        (b"cprt", tagged(b"text", b"-\0")),
        (b"wtpt", tagged(b"XYZ ", fixed(0.9642, 1.0, 0.8249))),
        (b"kTRC", tagged(b"curv", struct.pack(">I", 0))),
    ]
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags:
        table += name + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(body), len(data))
        body += data
    total = 128 + len(table) + len(body)
    head = struct.pack(">I", total) + bytes(4) + struct.pack(">I", 0x02100000) + b"mntrGRAYXYZ "
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(0.9642, 1.0, 0.8249) + bytes(48)
    return head[:128] + table + body


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif", "a.avif"])
def test_a_profile_is_applied_and_given_back(tmp_path: Path, name: str) -> None:
    stored = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    profile = swapped_profile()
    path = saved(tmp_path / name, Image.fromarray(stored), icc_profile=profile, quality=95)
    expected = np.full((16, 16, 3), (40, 200, 90), np.uint8)
    assert difference(read_pixels(path), expected) <= 8
    frame = only(path)
    assert frame.icc_profile == profile
    assert frame.depth == 8
    assert difference(np.rint(frame.pixels / 257).astype(np.uint8), expected) <= 8
    assert difference(np.rint(out_of_srgb(frame.pixels, profile) / 257).astype(np.uint8), stored) <= 8


@pytest.mark.parametrize("wide", ["adobe", "p3", "prophoto"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_wide_colours_come_back_within_a_level(
    tmp_path: Path, scene: Pixels, make_profile: MakeProfile, wide: str, mode: str
) -> None:
    profile = make_profile(wide)
    stored = out_of_srgb(scene // 2 + 40, profile)
    stored[:6] //= 16
    stored[:6] = stored[:6].mean(axis=-1, keepdims=True)
    image = Image.fromarray(stored).convert(mode)
    if mode == "RGBA":
        image.putalpha(77)
    frame = only(saved(tmp_path / "a.png", image, icc_profile=profile))
    assert (frame.depth, frame.pixels.dtype, frame.notes) == (8, np.uint16, ())
    assert frame.alpha is None or (frame.alpha == 77 * 257).all()
    back = np.rint(out_of_srgb(frame.pixels, profile) / 257).astype(np.uint8)
    assert difference(back, np.asarray(image.convert("RGB"))) <= 1


def test_sixteen_bit_wide_colours_come_back_much_closer(tmp_path: Path, make_profile: MakeProfile) -> None:
    profile = make_profile("prophoto")
    inside = np.random.default_rng(0).integers(2000, 60000, (20, 30, 3), dtype=np.uint16)
    stored = out_of_srgb(inside, profile)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in stored)
    (tmp_path / "a.png").write_bytes(png(30, 20, 16, 2, rows, (b"iCCP", b"p\0\0" + zlib.compress(profile))))
    frame = only(tmp_path / "a.png")
    assert (frame.depth, frame.icc_profile, frame.notes) == (16, profile, ())
    assert np.abs(frame.pixels.astype(int) - inside).max() <= 16
    assert np.abs(out_of_srgb(frame.pixels, profile).astype(int) - stored).max() <= 8


def test_colours_outside_srgb_are_said(tmp_path: Path, make_profile: MakeProfile) -> None:
    pixels = np.full((10, 20, 3), 128, np.uint8)
    pixels[0, :6] = (0, 255, 0)
    frame = only(saved(tmp_path / "a.png", Image.fromarray(pixels), icc_profile=make_profile("p3")))
    assert frame.notes == ("3% of its colours lie outside sRGB, in which the model works, and were brought into it.",)
    assert frame.pixels[0, 0].tolist() == [0, 65535, 0]


def test_a_profile_of_tables_costs_the_lower_bits_and_says_so(tmp_path: Path, make_profile: MakeProfile) -> None:
    profile = make_profile("tables")
    rows = b"".join(b"\0" + np.full((6, 3), level, ">u2").tobytes() for level in (0, 30000, 65535))
    (tmp_path / "a.png").write_bytes(png(6, 3, 16, 2, rows, (b"iCCP", b"p\0\0" + zlib.compress(profile))))
    frame = only(tmp_path / "a.png")
    assert (frame.depth, frame.pixels.dtype, frame.icc_profile) == (8, np.uint8, profile)
    assert "8 bits a channel only" in frame.notes[0]
    assert "The source has 16 bits a channel, of which 8 could be read." in frame.notes


def test_srgb_by_any_name_leaves_pixels_bit_exact(tmp_path: Path, scene: Pixels, make_profile: MakeProfile) -> None:
    for profile in (srgb_profile(), make_profile("srgb")):
        frame = only(saved(tmp_path / "a.png", Image.fromarray(scene), icc_profile=profile))
        assert frame.pixels.dtype == np.uint8
        assert difference(frame.pixels, scene) == 0
        assert frame.icc_profile == profile


@pytest.mark.parametrize("depth", [8, 16])
def test_a_grey_profile_is_applied_and_the_result_is_labelled_srgb(tmp_path: Path, depth: int) -> None:
    grey = Image.new("L", (8, 8), 128) if depth == 8 else Image.fromarray(np.full((8, 8), 128 * 257, np.uint16))
    frame = only(saved(tmp_path / "a.png", grey, icc_profile=grey_profile()))
    assert abs(int(frame.pixels[0, 0, 0]) / (1 if depth == 8 else 257) - 188) <= 1
    assert frame.depth == depth
    assert frame.icc_profile == srgb_profile()


@pytest.mark.parametrize("profile", [b"rubbish", swapped_profile()[:300], grey_profile()])
def test_a_profile_that_makes_no_sense_is_ignored_and_said(tmp_path: Path, scene: Pixels, profile: bytes) -> None:
    picture = only(saved(tmp_path / "a.png", Image.fromarray(scene), icc_profile=profile))
    assert difference(picture.pixels, scene) == 0
    assert picture.icc_profile is None
    assert len(picture.notes) == 1
    assert "profile" in picture.notes[0]


# What stands beside the pixels


def exif_with_everything() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.Artist] = "Somebody"
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.MakerNote: b"secret", ExifTags.Base.ExifImageWidth: 36}
    exif[ExifTags.IFD.GPSInfo] = {1: "N"}
    return exif.tobytes()


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.avif"])
def test_exif_is_found_in_every_format(tmp_path: Path, scene: Pixels, name: str) -> None:
    source, (frame,) = opened(saved(tmp_path / name, Image.fromarray(scene), exif=exif_with_everything()))
    assert source.size == (24, 36) and frame.pixels.shape == (36, 24, 3)
    assert source.exif.startswith(b"Exif\0\0")
    exif = Image.Exif()
    exif.load(source.exif)
    assert exif[ExifTags.Base.Make] == "Maker"
    assert exif[ExifTags.Base.Artist] == "Somebody"
    assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] == b"secret"
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"
    # A TIFF's is laid out anew.
    moved = ("Its maker's notes were kept, but may not be understood any more.",) if name == "a.tif" else ()
    assert (source.notes, frame.notes) == (moved, ())


def test_damaged_exif_is_left_out_and_said(tmp_path: Path, scene: Pixels) -> None:
    path = saved(tmp_path / "a.webp", Image.fromarray(scene), exif=b"Exif\x00\x00II*\x00\xff\xff\x00\x00")
    source, _ = opened(path)
    assert source.exif == b""
    assert source.notes == ("Its EXIF data is damaged and was left out.",)


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF dc:title="\xc3\xa9t\xc3\xa9"></rdf:RDF></x:xmpmeta>'


@pytest.mark.parametrize("name", ["a.jpg", "a.tif", "a.webp", "a.avif"])
def test_xmp_is_found_byte_for_byte(tmp_path: Path, scene: Pixels, name: str) -> None:
    options: dict[str, object] = {"xmp": XMP}
    if name == "a.tif":
        options = {"tiffinfo": {700: XMP}}
    source, _ = opened(saved(tmp_path / name, Image.fromarray(scene), **options))
    assert source.xmp == XMP


def test_xmp_and_exif_behind_the_pixels_of_a_png_are_found_before_decoding(tmp_path: Path, scene: Pixels) -> None:
    packet = b"XML:com.adobe.xmp\0\0\0\0\0" + XMP
    exif = exif_with_everything().removeprefix(b"Exif\0\0")
    data = saved(tmp_path / "a.png", Image.fromarray(scene)).read_bytes()
    late = data[:-12] + chunk(b"iTXt", packet) + chunk(b"eXIf", exif) + chunk(b"tEXt", b"Title\0Sea") + data[-12:]
    (tmp_path / "a.png").write_bytes(late)
    with opened_source(tmp_path / "a.png") as (source, frames):
        assert source.xmp == XMP
        assert source.exif == b"Exif\0\0" + exif
        assert source.size == (24, 36)
        assert source.notes == ("Its text was left out.",)
        assert next(frames).pixels.shape == (36, 24, 3)


def test_xmp_of_a_gif_is_found(tmp_path: Path, scene: Pixels) -> None:
    data = saved(tmp_path / "a.gif", Image.fromarray(scene)).read_bytes()
    tail = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    place = 13 + 3 * 2 ** (1 + (data[10] & 7)) * (data[10] >> 7)
    (tmp_path / "a.gif").write_bytes(data[:place] + b"!\xff\x0bXMP DataXMP" + XMP + tail + data[place:])
    source, (frame,) = opened(tmp_path / "a.gif")
    assert source.xmp == XMP
    assert frame.pixels.shape == (24, 36, 3)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("a.jpg", {"dpi": (300, 200)}, (300, 200)),
        ("a.jpg", {}, None),
        ("a.png", {"dpi": (300, 150)}, (299.9994, 150.0124)),
        ("a.png", {}, None),
        ("a.tif", {"dpi": (300.5, 72.25)}, (300.5, 72.25)),
        ("a.tif", {"resolution": 100, "resolution_unit": "cm"}, (254, 254)),
        ("a.tif", {"resolution": 100, "resolution_unit": 1}, None),
        ("a.bmp", {"dpi": (300, 300)}, (299.999, 299.999)),
        ("a.webp", {}, None),
    ],
)
def test_the_resolution_is_what_the_file_says(
    tmp_path: Path, scene: Pixels, name: str, options: dict[str, object], expected: tuple[float, float] | None
) -> None:
    frame = only(saved(tmp_path / name, Image.fromarray(scene), **options))
    assert frame.dpi == (None if expected is None else pytest.approx(expected, abs=0.01))


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.avif"])
@pytest.mark.parametrize(("unit", "expected"), [(2, (120, 60)), (3, (304.8, 152.4)), (1, None)])
def test_the_resolution_may_stand_in_the_exif_data_only(
    tmp_path: Path, scene: Pixels, name: str, unit: int, expected: tuple[float, float] | None
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = 120.0, 60.0
    exif[ExifTags.Base.ResolutionUnit] = unit
    exif[ExifTags.Base.Orientation] = 1
    path = saved(tmp_path / name, Image.fromarray(scene), exif=exif)
    assert only(path).dpi == (None if expected is None else pytest.approx(expected))
    if name != "a.avif":
        exif[ExifTags.Base.Orientation] = 6
        turned = only(saved(path, Image.fromarray(scene), exif=exif)).dpi
        assert turned == (None if expected is None else pytest.approx(expected[::-1]))


def test_exif_without_a_resolution_gives_none(tmp_path: Path, scene: Pixels) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    assert only(saved(tmp_path / "a.jpg", Image.fromarray(scene), exif=exif)).dpi is None


# Sizes


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_scaling_down_keeps_the_proportion_and_never_enlarges(scene: Pixels, dtype: type[np.generic]) -> None:
    pixels = scene.astype(dtype) * (1 if dtype == np.uint8 else 257)
    frame = Frame(pixels, dpi=(300, 300), milliseconds=70)
    smaller = scaled_frame(frame, 18)
    assert (smaller.pixels.shape, smaller.pixels.dtype) == ((12, 18, 3), dtype)
    assert (smaller.alpha, smaller.milliseconds) == (None, 70)
    expected = np.asarray(Image.fromarray(scene).resize((18, 12), Image.Resampling.LANCZOS))
    assert np.abs(smaller.pixels / (1 if dtype == np.uint8 else 257) - expected).max() <= 1
    assert scaled_frame(frame, 36) is frame
    assert scaled_size((1000, 1), 10) == (10, 1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_scaling_down_lets_no_hidden_colour_show(dtype: type[np.generic]) -> None:
    top = np.iinfo(dtype).max
    pixels = np.full((40, 40, 3), top, dtype)
    pixels[:, :20] = (top // 2, 0, 0)
    alpha = np.zeros((40, 40), dtype)
    alpha[:, :20] = top
    smaller = scaled_frame(Frame(pixels, alpha), 13)
    assert smaller.alpha is not None and smaller.alpha.dtype == dtype
    assert {0, top} < set(smaller.alpha.ravel().tolist())
    seen = smaller.alpha > top // 50
    assert np.abs(smaller.pixels[seen].astype(int) - (top // 2, 0, 0)).max() <= top // 100
    assert (smaller.pixels[smaller.alpha == 0] == top).all()


def test_thumbnails_fit_and_show_the_picture(tmp_path: Path, scene: Pixels) -> None:
    large = Image.fromarray(scene).resize((720, 480))
    thumbnail = read_thumbnail(saved(tmp_path / "a.jpg", large, quality=95), 36)
    assert thumbnail.shape == (24, 36, 3)
    assert np.abs(thumbnail.astype(int) - scene).mean() < 6
    assert read_thumbnail(saved(tmp_path / "b.png", Image.fromarray(scene)), 100).shape == (24, 36, 3)


# Damage


def test_missing_empty_and_foreign_files_are_named(tmp_path: Path) -> None:
    assert "not there" in refusal(tmp_path / "gone.png")
    (tmp_path / "folder.png").mkdir()
    assert "is a folder" in refusal(tmp_path / "folder.png")
    (tmp_path / "empty.png").write_bytes(b"")
    assert "is empty" in refusal(tmp_path / "empty.png")
    (tmp_path / "text.jpg").write_text("Dear diary, today I was saved as a picture.")
    assert "no picture" in refusal(tmp_path / "text.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    assert "no ordinary file" in refusal(tmp_path / "a.png")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_file_without_permission_is_named(tmp_path: Path, scene: Pixels) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(scene))
    path.chmod(0)
    assert "permission" in refusal(path)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.gif", "a.bmp", "a.jp2", "a.avif"])
def test_a_file_cut_off_anywhere_is_refused_or_read_but_never_crashes(tmp_path: Path, scene: Pixels, name: str) -> None:
    options = {"compression": "tiff_lzw"} if name == "a.tif" else {}
    data = saved(tmp_path / name, Image.fromarray(scene).resize((90, 60)), **options).read_bytes()
    refused = 0
    for length in range(1, len(data), max(1, len(data) // 25)):
        (tmp_path / name).write_bytes(data[:length])
        try:
            only(tmp_path / name)
        except PictureError as error:
            assert name in str(error)
            refused += 1
    assert refused >= 12


def test_a_truncated_photo_is_called_damaged(tmp_path: Path, scene: Pixels) -> None:
    path = saved(tmp_path / "a.jpg", Image.fromarray(scene).resize((300, 200)))
    path.write_bytes(path.read_bytes()[:-2000])
    assert refusal(path) == "a.jpg is damaged: the file ends too early. Copy it again from its source."


@pytest.mark.parametrize("name", ["a.jpg", "a.eps", "a.png", "a.tga"])
def test_postscript_never_opens_under_any_name(tmp_path: Path, scene: Pixels, name: str) -> None:
    Image.fromarray(scene).save(tmp_path / name, "EPS")
    assert "no picture" in refusal(tmp_path / name)


def test_rubbish_is_not_guessed_to_be_a_format_without_a_signature(tmp_path: Path) -> None:
    targa = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(targa, "TGA")
    (tmp_path / "a.tga").write_bytes(targa.getvalue())
    assert opened(tmp_path / "a.tga")[0].format == "TGA"
    (tmp_path / "a.png").write_bytes(targa.getvalue())
    assert "no picture" in refusal(tmp_path / "a.png")


def test_a_decompression_bomb_is_refused_unread_and_leaves_pillow_as_it_was(tmp_path: Path) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    side = int(MAX_PIXELS**0.5) + 1
    (tmp_path / "bomb.png").write_bytes(png(side, side, 8, 2, b""))
    assert "too large" in refusal(tmp_path / "bomb.png")
    with pytest.raises(PictureError, match="too large"):
        read_size(tmp_path / "bomb.png")
    assert limit == Image.MAX_IMAGE_PIXELS


def test_the_largest_picture_is_a_setting_that_its_refusal_names(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(1100, 1000, 8, 0, b""))
    assert read_size(path, max_megapixels=2) == (1100, 1000)
    for read in (read_size, opened):
        with pytest.raises(PictureError) as failure:
            read(path, max_megapixels=1)
        assert str(failure.value) == (
            "a.png has 1.1 million pixels and is too large: up to 1 million are allowed. Allow more "
            "(--max-megapixels 100, or Largest picture in the options), or scale it down in another program first."
        )


def test_a_later_page_may_not_be_larger_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = Image.new("1", (8, 8)), Image.new("1", (1100, 1000))
    path = saved(tmp_path / "a.tif", small, save_all=True, append_images=[large])
    with opened_source(path, max_megapixels=1) as (_, frames):
        assert next(frames).pixels.shape == (8, 8, 3)
        with pytest.raises(PictureError, match="too large"):
            next(frames)


def test_above_pillows_limit_only_a_process_that_lifts_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(20_000, 10_000, 1, 0, b""))
    with pytest.raises(PictureError, match="too large"):
        read_size(path, max_megapixels=300)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert read_size(path, max_megapixels=300) == (20_000, 10_000)
    with pytest.raises(PictureError, match="up to 179 million"):
        opened(path)
    with pytest.raises(PictureError, match="too large to open"):
        read_pixels(path)


def test_a_large_picture_within_the_limit_gives_no_warning(tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(png(10_000, 10_000, 8, 2, b""))
    assert read_size(tmp_path / "large.png") == (10_000, 10_000)


def test_running_out_of_memory_is_not_called_damage(
    tmp_path: Path, scene: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(scene))

    def no_memory(*arguments: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(images, "decoded", no_memory)
    for read in (only, read_pixels):
        with pytest.raises(MemoryError):
            read(path)


# HEIC


def heic(path: Path, pixels: npt.NDArray[Any], **options: object) -> Path:
    """A HEIC file of uint8, or of uint16 of which it keeps 10 bits."""
    pillow_heif = pytest.importorskip("pillow_heif")
    mode = {3: "RGB", 4: "RGBA"}[pixels.shape[-1]] + ("" if pixels.dtype == np.uint8 else ";16")
    file = pillow_heif.from_bytes(mode=mode, size=pixels.shape[1::-1], data=pixels.tobytes())
    if not pillow_heif.libheif_info()["HEIF"]:
        pytest.skip("HEIC cannot be written here")
    file.save(path, quality=-1, chroma=444, **options)
    return path


def test_a_heic_picture_is_read_with_all_that_it_holds(tmp_path: Path, make_profile: MakeProfile) -> None:
    y, x = np.mgrid[0:64, 0:96]
    stored = np.stack((x * 2, y * 3, 200 - x), axis=-1).astype(np.uint8)
    profile = make_profile("p3")
    exif = exif_with_everything()
    with_profile = Image.fromarray(stored)
    pillow_heif = pytest.importorskip("pillow_heif")
    file = pillow_heif.from_pillow(with_profile)
    file.info["icc_profile"] = profile
    file.info["icc_profile_type"] = "prof"
    file.save(tmp_path / "a.heic", quality=-1, chroma=444, exif=exif, xmp=XMP)
    source, (frame,) = opened(tmp_path / "a.heic")
    assert (source.format, source.xmp, frame.depth) == ("HEIF", XMP, 8)
    assert b"Somebody" in source.exif
    # Its orientation is 6.
    assert source.size == (64, 96)
    assert frame.icc_profile == profile
    back = np.rint(out_of_srgb(frame.pixels, profile) / 257).astype(np.uint8)
    # What is outside sRGB stays so far away.
    assert np.abs(back.astype(int) - np.rot90(stored, -1)).mean() < 12


@pytest.mark.parametrize("channels", [3, 4])
def test_a_heic_picture_of_ten_bits_keeps_them(tmp_path: Path, channels: int) -> None:
    y, x = np.mgrid[0:64, 0:64]
    stored = np.stack((x * 1000, y * 1000, 65535 - x * 500, 65535 - y * 900), axis=-1).astype(np.uint16)[..., :channels]
    frame = only(heic(tmp_path / "a.heic", stored))
    assert (frame.depth, frame.pixels.dtype, frame.notes) == (16, np.uint16, ())
    assert np.abs(frame.pixels.astype(int) - stored[..., :3]).mean() < 300
    assert len(np.unique(frame.pixels)) > 300
    if channels == 4:
        assert frame.alpha is not None
        assert np.abs(frame.alpha.astype(int) - stored[..., 3]).mean() < 300


def test_only_the_main_picture_of_a_heic_is_read_and_said(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    file = pillow_heif.from_pillow(Image.new("RGB", (64, 64), "red"))
    file.add_from_pillow(Image.new("RGB", (32, 48), "blue"))
    file.save(tmp_path / "a.heic", primary_index=1)
    source, (frame,) = opened(tmp_path / "a.heic")
    assert frame.pixels.shape == (48, 32, 3)
    assert frame.pixels[0, 0, 2] > 200
    assert source.notes == ("Only the main one of the 2 pictures in it was converted.",)


@pytest.mark.parametrize("name", ["photo.heic", "photo.HEIF", "renamed.jpg"])
def test_without_its_library_a_heic_picture_is_refused_with_the_remedy(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    images._heic_is_known.cache_clear()
    try:
        (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))
        assert 'pip install "cyclegan-desktop[heic]"' in refusal(tmp_path / name)
    finally:
        images._heic_is_known.cache_clear()


def test_a_damaged_heic_picture_is_called_damaged(tmp_path: Path) -> None:
    data = heic(tmp_path / "a.heic", np.zeros((64, 64, 3), np.uint8)).read_bytes()
    for length in (100, len(data) // 2, len(data) - 20):
        (tmp_path / "a.heic").write_bytes(data[:length])
        assert "damaged" in refusal(tmp_path / "a.heic")


# Silence


def test_warnings_of_pillow_stay_inside_also_with_many_threads(tmp_path: Path) -> None:
    exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x05\x00\x0e\x01\x02\x00\xff\xff\x00\x00\xff\xff\x00\x00"
    path = saved(tmp_path / "a.jpg", Image.new("RGB", (64, 64)), exif=exif)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        Image.open(path).close()
    assert seen, "the file gives no warning, so this test proves nothing"
    before = list(warnings.filters)
    failures: list[BaseException] = []

    def read_often() -> None:
        try:
            for _ in range(30):
                only(path)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert list(warnings.filters) == before


def test_damaged_tiffs_print_nothing(tmp_path: Path, scene: Pixels, capfd: pytest.CaptureFixture[str]) -> None:
    image = Image.fromarray(scene).resize((200, 200))
    data = saved(tmp_path / "a.tif", image, compression="tiff_adobe_deflate").read_bytes()
    broken = bytearray(data)
    broken[40:400] = bytes(360)
    (tmp_path / "a.tif").write_bytes(broken)
    with pytest.raises(OSError), Image.open(tmp_path / "a.tif") as opened:
        opened.load()
    assert capfd.readouterr().err, "libtiff is silent by itself, so this test proves nothing"
    refusal(tmp_path / "a.tif")
    assert capfd.readouterr() == ("", "")


def test_pillow_logs_nothing_to_the_terminal_unless_somebody_listens() -> None:
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("PIL").handlers)


def test_reading_pictures_loads_no_torch() -> None:
    code = "import sys, engine.data.images; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
