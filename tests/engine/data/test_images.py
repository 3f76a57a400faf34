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
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import ExifTags, Image, ImageCms

from engine.config import OutputFormat
from engine.data import images
from engine.data.images import (
    MAX_PIXELS,
    encode_picture,
    read_picture,
    read_pixels,
    read_size,
    read_thumbnail,
    scaled_down,
    scaled_size,
)
from engine.errors import PictureError

Pixels = npt.NDArray[np.uint8]


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


def refusal(path: Path) -> str:
    with pytest.raises(PictureError) as failure:
        read_picture(path)
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
    picture = read_picture(path)
    assert picture.pixels.dtype == np.uint8
    assert difference(picture.pixels, scene) <= (8 if name in ("a.avif", "a.jpg") or mode == "YCbCr" else 0)
    assert picture.alpha is None
    assert picture.notes == ()
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
    picture = read_picture(saved(tmp_path / name, Image.fromarray(levels)))
    assert picture.pixels[0, :, 0].tolist() == [0, 0, 100, 101, 255]
    assert "8 bits" in picture.notes[0]


def test_thirty_two_bit_values_become_visible(tmp_path: Path) -> None:
    unit = np.array([[0.0, 0.5, 1.0]], np.float32)
    assert read_pixels(saved(tmp_path / "unit.tif", Image.fromarray(unit)))[0, :, 1].tolist() == [0, 128, 255]
    wide = np.array([[-3.0, np.nan, 7.0]], np.float32)
    picture = read_picture(saved(tmp_path / "wide.tif", Image.fromarray(wide)))
    assert picture.pixels[0, :, 0].tolist() == [0, 76, 255]
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


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG by hand, for what Pillow cannot write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def test_one_transparent_level_of_grey_is_transparent_at_every_depth(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for depth, row, key in ((2, b"\x00\x1b", 1), (4, b"\x00\x01\x23", 1), (8, b"\x00\x00\x01\x02\x03", 1)):
        path.write_bytes(png(4, 1, depth, 0, row, (b"tRNS", struct.pack(">H", key))))
        alpha = read_picture(path).alpha
        assert alpha is not None
        assert alpha.tolist() == [[255, 0, 255, 255]]
    path.write_bytes(png(2, 1, 16, 0, b"\x00\x01\x00\x01\x01", (b"tRNS", b"\x01\x01")))
    alpha = read_picture(path).alpha
    assert alpha is not None
    assert alpha.tolist() == [[255, 0]]


def test_one_transparent_colour_is_transparent(tmp_path: Path) -> None:
    image = Image.new("RGB", (2, 1), "red")
    image.putpixel((1, 0), (0, 0, 9))
    picture = read_picture(saved(tmp_path / "a.png", image, transparency=(0, 0, 9)))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[255, 0]]


# Transparency


def test_transparency_is_kept_beside_unblended_colours(tmp_path: Path, scene: Pixels) -> None:
    alpha = np.full((24, 36), 100, np.uint8)
    alpha[:, :5] = 0
    path = saved(tmp_path / "a.png", Image.fromarray(np.dstack((scene, alpha))))
    picture = read_picture(path)
    assert picture.alpha is not None
    assert (picture.alpha == alpha).all()
    assert difference(picture.pixels[:, 5:], scene[:, 5:]) == 0
    assert (picture.pixels[:, :5] == 255).all()
    seen = read_pixels(path)
    assert difference(seen, np.rint(scene * (alpha[..., None] / 255) + 255 - alpha[..., None]).astype(np.uint8)) <= 1


def test_grey_and_palette_transparency_is_kept(tmp_path: Path) -> None:
    grey = Image.merge("LA", (Image.new("L", (2, 2), 50), Image.linear_gradient("L").resize((2, 2))))
    assert read_picture(saved(tmp_path / "a.png", grey)).alpha is not None
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.putpixel((1, 0), 1)
    for name, options in (
        ("p.png", {"transparency": bytes([255, 40])}),
        ("q.png", {"transparency": 1}),
        ("p.gif", {"transparency": 1}),
    ):
        picture = read_picture(saved(tmp_path / name, palette, **options))
        assert picture.alpha is not None
        assert picture.alpha[0].tolist() == [255, 40 if name == "p.png" else 0]
        assert picture.pixels[0, 0].tolist() == [255, 0, 0]


def test_a_wholly_opaque_alpha_channel_counts_as_none(tmp_path: Path, scene: Pixels) -> None:
    assert read_picture(saved(tmp_path / "a.png", Image.fromarray(scene).convert("RGBA"))).alpha is None


def test_an_unused_fourth_byte_does_not_make_a_bitmap_invisible(tmp_path: Path, scene: Pixels) -> None:
    path = saved(tmp_path / "a.tga", Image.fromarray(np.dstack((scene, np.zeros((24, 36), np.uint8)))))
    picture = read_picture(path)
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
    picture = read_picture(saved(tmp_path / name, stored, exif=exif, **options))
    assert difference(picture.pixels, scene) <= (6 if name == "a.jpg" else 0)
    again = tmp_path / f"again{picture.path.suffix}"
    again.write_bytes(encode_picture(picture.pixels, picture, "keep", 100).data)
    assert difference(read_pixels(again), scene) <= (50 if name == "a.webp" else 12)


def test_transparency_is_turned_with_the_picture(tmp_path: Path) -> None:
    image = Image.new("RGBA", (3, 2), (9, 9, 9, 255))
    image.putpixel((0, 0), (9, 9, 9, 0))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    picture = read_picture(saved(tmp_path / "a.png", image, exif=exif))
    assert picture.alpha is not None
    assert np.argwhere(picture.alpha == 0).tolist() == [[0, 1]]


@pytest.mark.parametrize("name", ["a.gif", "a.tif", "a.png", "a.webp"])
def test_the_first_of_several_frames_is_taken_and_said(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    picture = read_picture(saved(tmp_path / name, frames[0], save_all=True, append_images=frames[1:]))
    assert difference(picture.pixels, np.full((8, 8, 3), (255, 0, 0), np.uint8)) <= 3
    assert picture.notes == ("Only the first of 3 frames was converted.",)


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
def test_a_profile_is_applied_on_reading_and_undone_on_writing(tmp_path: Path, name: str) -> None:
    stored = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    profile = swapped_profile()
    path = saved(tmp_path / name, Image.fromarray(stored), icc_profile=profile, quality=95)
    picture = read_picture(path)
    assert difference(picture.pixels, np.full((16, 16, 3), (40, 200, 90), np.uint8)) <= 8
    encoded = encode_picture(picture.pixels, picture, "keep", 95)
    assert encoded.notes == ()
    written = Image.open(io.BytesIO(encoded.data))
    assert written.info["icc_profile"] == profile
    assert difference(np.asarray(written.convert("RGB")), stored) <= 12


def test_srgb_by_any_name_leaves_pixels_bit_exact(tmp_path: Path, scene: Pixels) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = read_picture(saved(tmp_path / "a.png", Image.fromarray(scene), icc_profile=profile))
    assert difference(picture.pixels, scene) == 0
    written = Image.open(io.BytesIO(encode_picture(scene, picture, "keep", 90).data))
    assert written.info["icc_profile"] == profile
    assert difference(np.asarray(written), scene) == 0


def test_a_grey_profile_is_applied_and_the_result_is_labelled_srgb(tmp_path: Path) -> None:
    grey = Image.new("L", (8, 8), 128)
    picture = read_picture(saved(tmp_path / "a.png", grey, icc_profile=grey_profile()))
    assert abs(int(picture.pixels[0, 0, 0]) - 188) <= 2
    written = Image.open(io.BytesIO(encode_picture(picture.pixels, picture, "keep", 90).data))
    space = ImageCms.ImageCmsProfile(io.BytesIO(written.info["icc_profile"])).profile.xcolor_space
    assert space.strip() == "RGB"
    assert difference(np.asarray(written.convert("RGB")), picture.pixels) == 0


@pytest.mark.parametrize("profile", [b"rubbish", swapped_profile()[:300], grey_profile()])
def test_a_profile_that_makes_no_sense_is_ignored_and_said(tmp_path: Path, scene: Pixels, profile: bytes) -> None:
    picture = read_picture(saved(tmp_path / "a.png", Image.fromarray(scene), icc_profile=profile))
    assert difference(picture.pixels, scene) == 0
    assert picture.icc_profile is None
    assert len(picture.notes) == 1
    assert "profile" in picture.notes[0]


# Writing


@pytest.mark.parametrize(
    ("source", "format", "expected", "kind"),
    [
        ("a.jpeg", "keep", "a.jpeg", "JPEG"),
        ("A.JPG", "keep", "A.JPG", "JPEG"),
        ("a.png", "keep", "a.png", "PNG"),
        ("a.webp", "keep", "a.webp", "WEBP"),
        ("a.tiff", "keep", "a.tiff", "TIFF"),
        ("a.bmp", "keep", "a.bmp", "BMP"),
        ("a.avif", "keep", "a.avif", "AVIF"),
        ("a.gif", "keep", "a.png", "PNG"),
        ("a.ppm", "keep", "a.png", "PNG"),
        ("a.png", "jpg", "a.jpg", "JPEG"),
        ("a.jpg", "png", "a.png", "PNG"),
        ("a.png", "webp", "a.webp", "WEBP"),
        ("a.tif", "tiff", "a.tif", "TIFF"),
        ("a.png", "tiff", "a.tif", "TIFF"),
        ("v1.2.final.png", "jpg", "v1.2.final.jpg", "JPEG"),
    ],
)
def test_format_and_name_of_results(
    tmp_path: Path, scene: Pixels, source: str, format: OutputFormat, expected: str, kind: str
) -> None:
    picture = read_picture(saved(tmp_path / source, Image.fromarray(scene)))
    encoded = encode_picture(picture.pixels, picture, format, 90)
    assert encoded.name == expected
    written = Image.open(io.BytesIO(encoded.data))
    assert (written.format, written.mode, written.size) == (kind, "RGB", (36, 24))
    cannot = [note for note in encoded.notes if "Saved as PNG" in note]
    assert len(cannot) == (1 if source in ("a.gif", "a.ppm") else 0)


def test_names_without_a_fitting_ending(tmp_path: Path, scene: Pixels) -> None:
    jpeg = io.BytesIO()
    Image.fromarray(scene).save(jpeg, "JPEG")
    for name, expected, notes in (
        ("holiday v1.2", "holiday v1.2.jpg", 0),
        ("photo", "photo.jpg", 0),
        ("wrong.png", "wrong.jpg", 1),
    ):
        (tmp_path / name).write_bytes(jpeg.getvalue())
        picture = read_picture(tmp_path / name)
        encoded = encode_picture(picture.pixels, picture, "keep", 90)
        assert (encoded.name, len(encoded.notes)) == (expected, notes)


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif", "a.avif"])
def test_transparency_survives_writing(tmp_path: Path, scene: Pixels, name: str) -> None:
    alpha = np.tile(np.linspace(0, 255, 36).astype(np.uint8), (24, 1))
    picture = read_picture(saved(tmp_path / name, Image.fromarray(np.dstack((scene, alpha)))))
    written = Image.open(io.BytesIO(encode_picture(picture.pixels, picture, "keep", 90).data))
    assert written.mode == "RGBA"
    assert difference(np.asarray(written)[..., 3], alpha) <= 3


def test_jpeg_puts_transparent_parts_on_white_and_says_so(tmp_path: Path) -> None:
    image = Image.new("RGBA", (16, 16), (200, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 16, 8))
    picture = read_picture(saved(tmp_path / "a.png", image))
    encoded = encode_picture(picture.pixels, picture, "jpg", 95)
    written = np.asarray(Image.open(io.BytesIO(encoded.data)))
    assert written[2, 8].min() > 250
    assert abs(int(written[13, 8, 0]) - 200) < 5
    assert encoded.notes == ("JPEG cannot be transparent; transparent parts became white.",)


def test_a_transparent_bitmap_becomes_png(tmp_path: Path) -> None:
    image = Image.new("RGBA", (4, 4), (200, 0, 0, 90))
    path = tmp_path / "a.png"
    picture = read_picture(saved(path, image))
    as_bitmap = encode_picture(
        picture.pixels,
        images.SourcePicture(tmp_path / "a.bmp", picture.pixels, picture.alpha, b"", None, "BMP"),
        "keep",
        90,
    )
    assert as_bitmap.name == "a.png"
    assert "BMP cannot be transparent" in as_bitmap.notes[0]


def test_a_side_too_long_for_the_format_becomes_png(tmp_path: Path) -> None:
    picture = read_picture(saved(tmp_path / "a.png", Image.new("RGB", (16_400, 1), "red")))
    encoded = encode_picture(picture.pixels, picture, "webp", 90)
    assert encoded.name == "a.png"
    assert "16383" in encoded.notes[0]


def test_jpeg_results_keep_full_colour_resolution_and_follow_the_quality(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    picture = read_picture(saved(tmp_path / "a.png", Image.fromarray(noise)))
    small, large = (encode_picture(noise, picture, "jpg", quality).data for quality in (30, 95))
    assert len(small) < len(large)
    layers = Image.open(io.BytesIO(large)).layer
    assert {(horizontal, vertical) for _, horizontal, vertical, _ in layers} == {(1, 1)}


def exif_with_everything() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.Artist] = "Somebody"
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.MakerNote: b"secret", ExifTags.Base.ExifImageWidth: 36}
    exif[ExifTags.IFD.GPSInfo] = {1: "N"}
    return exif.tobytes()


@pytest.mark.parametrize("format", ["keep", "png", "jpg", "webp", "tiff"])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_exif_is_kept_also_when_the_format_changes(
    tmp_path: Path, scene: Pixels, name: str, format: OutputFormat
) -> None:
    picture = read_picture(saved(tmp_path / name, Image.fromarray(scene), exif=exif_with_everything()))
    assert picture.pixels.shape == (36, 24, 3)
    encoded = encode_picture(picture.pixels, picture, format, 90)
    assert encoded.notes == ()
    exif = Image.open(io.BytesIO(encoded.data)).getexif()
    assert exif[ExifTags.Base.Make] == "Maker"
    assert exif[ExifTags.Base.Artist] == "Somebody"
    assert exif.get(ExifTags.Base.Orientation, 1) == 1
    assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] == b"secret"
    assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExifImageWidth] == 24
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"


def test_damaged_exif_is_left_out_and_said(tmp_path: Path, scene: Pixels) -> None:
    path = saved(tmp_path / "a.webp", Image.fromarray(scene), exif=b"Exif\x00\x00II*\x00\xff\xff\x00\x00")
    picture = read_picture(path)
    assert "EXIF" in picture.notes[0]
    assert "exif" not in Image.open(io.BytesIO(encode_picture(picture.pixels, picture, "png", 90).data)).info


def test_exif_too_long_for_a_jpeg_is_left_out_and_said(tmp_path: Path, scene: Pixels) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "x" * 70_000
    picture = read_picture(saved(tmp_path / "a.png", Image.fromarray(scene), exif=exif))
    encoded = encode_picture(picture.pixels, picture, "jpg", 90)
    assert any("too long" in note for note in encoded.notes)


# Sizes


def test_scaling_down_keeps_the_proportion_and_never_enlarges(tmp_path: Path, scene: Pixels) -> None:
    image = Image.fromarray(np.dstack((scene, scene[..., 0])))
    picture = read_picture(saved(tmp_path / "a.png", image))
    smaller = scaled_down(picture, 18)
    assert smaller.pixels.shape == (12, 18, 3)
    assert smaller.alpha is not None
    assert smaller.alpha.shape == (12, 18)
    assert scaled_down(picture, 36) is picture
    assert scaled_size((1000, 1), 10) == (10, 1)


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
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))
    assert "HEIC" in refusal(tmp_path / "photo.heic")


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
            read_picture(tmp_path / name)
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
    assert read_picture(tmp_path / "a.tga").format == "TGA"
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


def test_a_large_picture_within_the_limit_gives_no_warning(tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(png(10_000, 10_000, 8, 2, b""))
    assert read_size(tmp_path / "large.png") == (10_000, 10_000)


def test_running_out_of_memory_is_not_called_damage(
    tmp_path: Path, scene: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(scene))

    def no_memory(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr(images, "_decode", no_memory)
    with pytest.raises(MemoryError):
        read_picture(path)


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
                read_picture(path)
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
