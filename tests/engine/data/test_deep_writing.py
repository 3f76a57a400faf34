"""PNG and TIFF made here hold exactly what they were given, in the eyes of other people's readers."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
import pytest
from PIL import ExifTags, Image

from engine.data.containers import HEADING
from engine.data.deep_writing import Stored, exif_with, png_file, tiff_file
from engine.data.sixteen_bits import png_samples

XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>a horse</x:xmpmeta>"


def samples(shape: tuple[int, ...], depth: type = np.uint16) -> npt.NDArray[np.uint16]:
    """Smooth with noise, so that every filter is the best somewhere."""
    random = np.random.default_rng(len(shape))
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    smooth = (x * 517 + y * 311).reshape(*shape[:2], *[1] * (len(shape) - 2))
    noisy = smooth + random.integers(0, 65536, shape) * (random.random(shape) < 0.2) + 7 * np.arange(shape[-1])
    return (noisy % 65536 >> (8 if depth == np.uint8 else 0)).astype(depth)


def camera_exif(order: str = "<") -> bytes:
    """EXIF data with a maker's note that counts places from the beginning of all."""
    exif = Image.Exif()
    exif.endian = order
    exif[ExifTags.Base.Make] = "Acme"
    exif[ExifTags.Base.ImageWidth] = 99
    exif[ExifTags.Base.Orientation] = 1
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] = 0.25
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] = b"place 1234 of the file"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return HEADING + exif.tobytes().removeprefix(HEADING)


SHAPES = [(40, 30), (40, 30, 2), (40, 30, 3), (40, 30, 4), (1, 1, 3), (1, 50, 3), (50, 1)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_png_holds_every_sample(shape: tuple[int, ...], depth: type) -> None:
    stored = samples(shape, depth)
    data = png_file([Stored(stored)])
    with Image.open(io.BytesIO(data)) as image:
        image.verify()
    if depth == np.uint16:
        assert np.array_equal(png_samples(data).reshape(stored.shape), stored)
    with Image.open(io.BytesIO(data)) as image:
        modes = {2: "LA", 3: "RGB", 4: "RGBA"}
        mode = modes[shape[2]] if len(shape) == 3 else "I;16" if depth == np.uint16 else "L"
        if depth == np.uint8:
            assert image.mode == mode
            assert np.array_equal(np.asarray(image), stored)
        elif mode == "I;16":
            assert np.array_equal(np.asarray(image), stored)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_holds_every_sample_in_the_eyes_of_tifffile(shape: tuple[int, ...], depth: type, order: str) -> None:
    tifffile = pytest.importorskip("tifffile")
    stored = samples(shape, depth)
    data = tiff_file([Stored(stored, dpi=(300, 150))], exif=camera_exif(order), xmp=XMP)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        (page,) = file.pages
        assert page.asarray().dtype == depth
        assert np.array_equal(page.asarray().reshape(stored.shape), stored)
        assert page.get_resolution("inch") == (300, 150)
        assert bytes(page.tags[700].value) == XMP
        if len(shape) == 3 and shape[2] in (2, 4):
            assert page.extrasamples == (tifffile.EXTRASAMPLE.UNASSALPHA,)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if len(shape) == 2 or shape[2] != 2])
def test_tiff_of_sixteen_bits_is_read_by_pillow(shape: tuple[int, ...]) -> None:
    stored = samples(shape)
    with Image.open(io.BytesIO(tiff_file([Stored(stored)]))) as image:
        read = np.asarray(image)
        assert np.array_equal(read, stored if len(shape) == 2 else stored >> 8)
        # No resolution is none, and neither 72 nor 1.
        assert image.tag_v2[ExifTags.Base.ResolutionUnit] == 1


def test_large_pictures_are_cut_into_strips_without_a_seam() -> None:
    stored = samples((900, 700, 3))
    assert np.array_equal(png_samples(png_file([Stored(stored)])), stored)
    with Image.open(io.BytesIO(tiff_file([Stored(stored)]))) as image:
        assert len(image.tag_v2[273]) > 1
        assert np.array_equal(np.asarray(image), stored >> 8)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_begins_with_its_exif_data_so_that_all_places_in_it_stay_true(order: str) -> None:
    exif = camera_exif(order)
    data = tiff_file([Stored(samples((5, 4)))], exif=exif)
    plain = exif.removeprefix(HEADING)
    assert data[8 : len(plain)] == plain[8:]  # Only the place of the first directory is another one.
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (4, 5)  # And not the width of another file.
        read = image.getexif()
        assert read[ExifTags.Base.Make] == "Acme"
        assert read.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] == 0.25
        assert read.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] == b"place 1234 of the file"
        assert read.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"


def test_pages_have_their_own_size_type_profile_and_resolution() -> None:
    pages = [
        Stored(samples((8, 9, 3), np.uint8), b"profile of the first", (100, 100)),
        Stored(samples((5, 4))),
        Stored(samples((3, 2, 4), np.uint8), None, (72.5, 300)),
    ]
    data = tiff_file(pages, exif=camera_exif(), xmp=XMP, count=3)
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == 3
        for index, page in enumerate(pages):
            image.seek(index)
            assert np.array_equal(np.asarray(image), page.samples)
            assert image.tag_v2[ExifTags.Base.ResolutionUnit] == (2 if page.dpi else 1)
            assert image.tag_v2.get(34675) == page.icc_profile
            assert (700 in image.tag_v2) == (index == 0)
            if page.dpi:
                assert image.info["dpi"] == page.dpi


def test_frames_of_a_png_are_kept_though_they_look_the_same() -> None:
    first, other = samples((6, 7, 4)), samples((6, 7, 4))[::-1]
    times = [100.0, 33.3, 40.0, 1.5, 90_000.25]
    stored = [first, first, other, other, first]
    frames = [Stored(np.ascontiguousarray(frame), milliseconds=time) for frame, time in zip(stored, times, strict=True)]
    data = png_file(frames, animated=True, plays=3)
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == 5
        assert image.info["loop"] == 3
        for index, frame in enumerate(stored):
            image.seek(index)
            image.load()
            assert np.array_equal(np.asarray(image), frame >> 8)
            assert image.info["duration"] == pytest.approx(times[index], rel=1e-4)
    # All of its 16 bits, too: each frame read as a picture of its own.
    chunks = list(png_chunks(data))
    header = next(content for name, content in chunks if name == b"IHDR")
    place = 0
    for frame in stored:
        place = next(i for i in range(place, len(chunks)) if chunks[i][0] == b"fcTL") + 1
        body = b""
        while place < len(chunks) and chunks[place][0] in (b"IDAT", b"fdAT"):
            name, content = chunks[place]
            body += content if name == b"IDAT" else content[4:]
            place += 1
        assert np.array_equal(png_samples(png_of(header, body)), frame)
    numbers = [struct.unpack(">I", content[:4])[0] for name, content in chunks if name in (b"fcTL", b"fdAT")]
    assert numbers == list(range(len(numbers)))


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks, place = [], 8
    while place < len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        content = data[place + 8 : place + 8 + length]
        assert struct.unpack_from(">I", data, place + 8 + length)[0] == zlib.crc32(name + content)
        chunks.append((name, content))
        place += 12 + length
    return chunks


def png_of(header: bytes, body: bytes) -> bytes:
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


def test_a_png_says_how_many_frames_it_really_has() -> None:
    frames = (Stored(samples((3, 3))) for _ in range(2))
    with Image.open(io.BytesIO(png_file(frames, animated=True))) as image:
        assert image.n_frames == 2


def test_png_labels_are_read_by_pillow() -> None:
    exif = camera_exif()
    data = png_file([Stored(samples((4, 5, 3)), b"a profile", (300, 72))], exif=exif, xmp=XMP)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.info["icc_profile"] == b"a profile"
        assert image.info["xmp"] == XMP
        assert HEADING + image.info["exif"].removeprefix(HEADING) == exif
        assert image.info["dpi"] == pytest.approx((300, 72), abs=0.01)


def test_frames_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="one size"):
        png_file([Stored(samples((4, 5))), Stored(samples((5, 4)))], animated=True)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_resolution_is_added_to_exif_data_and_all_else_stays(order: str) -> None:
    exif = camera_exif(order)
    changed = exif_with(exif, dpi=(299.5, 72))
    assert changed[len(HEADING) + 8 : len(exif)] == exif[len(HEADING) + 8 :]
    read = Image.Exif()
    read.load(changed)
    assert (float(read[282]), float(read[283]), read[296]) == (299.5, 72, 2)
    assert read[ExifTags.Base.Make] == "Acme"
    assert read.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] == b"place 1234 of the file"


def test_the_resolution_that_exif_data_has_is_kept() -> None:
    exif = exif_with(b"", dpi=(100, 100))
    assert exif_with(exif, dpi=(300, 300)) == exif


def test_exif_data_without_orientation() -> None:
    read = Image.Exif()
    read.load(exif_with(camera_exif(), orientation=False))
    assert ExifTags.Base.Orientation not in read
    assert read[ExifTags.Base.Make] == "Acme"


def test_nothing_to_say_makes_no_exif_data() -> None:
    assert exif_with(b"") == b""


@pytest.mark.parametrize("damaged", [HEADING + b"rubbish", HEADING + b"II*\0\xff\xff\0\0"])
def test_damaged_exif_data_is_told(damaged: bytes) -> None:
    with pytest.raises(ValueError, match="damaged"):
        exif_with(damaged, dpi=(1, 1))
    with pytest.raises(ValueError, match="damaged"):
        tiff_file([Stored(samples((2, 2)))], exif=damaged)


def test_tags_of_unexpected_types_do_not_keep_a_tiff_from_being_opened() -> None:
    exif = Image.Exif()
    exif.endian = "<"
    exif[ExifTags.Base.Software] = "Acme"
    data = bytearray(exif_with(HEADING + exif.tobytes().removeprefix(HEADING), dpi=(72, 72)).removeprefix(HEADING))
    (place,) = struct.unpack_from("<I", data, 4)
    for entry in range(place + 2, place + 2 + 12 * struct.unpack_from("<H", data, place)[0], 12):
        struct.pack_into("<HI", data, entry + 2, 4 if data[entry : entry + 2] == b"\x31\x01" else 2, 1)
    with Image.open(io.BytesIO(tiff_file([Stored(samples((2, 2)))], exif=bytes(data)))) as image:
        assert "dpi" not in image.info
        assert 305 not in image.tag_v2


def test_values_that_lie_outside_of_exif_data_are_left_out() -> None:
    directory = struct.pack("<HHHII", 2, 271, 2, 1000, 5000) + struct.pack("<HHII", 305, 2, 4, 0x00636261) + bytes(4)
    exif = HEADING + b"II*\0" + struct.pack("<I", 8) + directory
    with Image.open(io.BytesIO(tiff_file([Stored(samples((2, 2)))], exif=exif))) as image:
        assert 271 not in image.tag_v2
        assert image.tag_v2[305] == "abc"
