"""EXIF data of a result says what is true of the result and keeps every other byte."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from PIL import ExifTags, Image, TiffImagePlugin

from engine.data.containers import HEADING
from engine.data.exif import exif_of_result, read_exif, tiff_exif

MAKER_NOTE = b"only the camera knows \x00\xff"


def camera_exif(endian: str = "<") -> bytes:
    exif = Image.Exif()
    exif.endian = endian
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Model] = "Camera"
    exif[ExifTags.IFD.Exif] = {
        ExifTags.Base.ExifImageWidth: 400,
        ExifTags.Base.ExifImageHeight: 300,
        ExifTags.Base.MakerNote: MAKER_NOTE,
    }
    exif[ExifTags.IFD.GPSInfo] = {1: "N"}
    return exif.tobytes()


def parsed(data: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(data)
    return exif


@pytest.mark.parametrize("endian", ["<", ">"])
def test_orientation_and_size_are_set_and_the_rest_is_kept(endian: str) -> None:
    before = camera_exif(endian)
    after = exif_of_result(before, 300, 400)
    exif = parsed(after)
    details = exif.get_ifd(ExifTags.IFD.Exif)
    assert exif[ExifTags.Base.Orientation] == 1
    assert (details[ExifTags.Base.ExifImageWidth], details[ExifTags.Base.ExifImageHeight]) == (300, 400)
    assert details[ExifTags.Base.MakerNote] == MAKER_NOTE
    assert exif.get_ifd(ExifTags.IFD.GPSInfo) == {1: "N"}
    changed = [place for place, (x, y) in enumerate(zip(before, after, strict=True)) if x != y]
    assert len(changed) <= 5


def test_the_heading_is_added_where_it_is_missing() -> None:
    data = camera_exif()
    assert exif_of_result(data.removeprefix(HEADING), 1, 1) == exif_of_result(data, 1, 1)


def test_the_thumbnail_is_cut_off_and_blanked() -> None:
    thumbnail = b"\xff\xd8 the source in small \xff\xd9"
    first = b"\x01\x00" + b"\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00" + (26).to_bytes(4, "little")
    start = 26 + 2 + 24 + 4
    second = (
        b"\x02\x00"
        + (b"\x01\x02\x04\x00\x01\x00\x00\x00" + start.to_bytes(4, "little"))
        + (b"\x02\x02\x04\x00\x01\x00\x00\x00" + len(thumbnail).to_bytes(4, "little"))
        + bytes(4)
    )
    data = HEADING + b"II*\x00" + (8).to_bytes(4, "little") + first + second + thumbnail
    assert parsed(data).get_ifd(ExifTags.IFD.IFD1)
    after = exif_of_result(data, 10, 10)
    assert len(after) == len(data)
    assert thumbnail not in after
    assert parsed(after).get_ifd(ExifTags.IFD.IFD1) == {}
    assert parsed(after)[ExifTags.Base.Orientation] == 1


@pytest.mark.parametrize("data", [b"", b"Exif\x00\x00", b"rubbish", b"II*\x00\xff\xff\xff\xff"])
def test_damaged_data_is_left_out(data: bytes) -> None:
    assert exif_of_result(data, 1, 1) == b""


def test_data_cut_off_anywhere_never_raises() -> None:
    data = camera_exif()
    for length in range(len(data)):
        exif_of_result(data[:length], 65_536, 70_000)


IPTC = b"\x1c\x02\x78\x00\x03sea"
SEA = "Meer bei Kühlungsborn, été"


@pytest.mark.parametrize("big", [False, True])
def test_what_a_tiff_says_is_kept_byte_for_byte(tmp_path: Path, big: bool) -> None:
    path = tmp_path / "a.tif"
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[ExifTags.Base.ImageDescription] = "x" * len(SEA.encode())
    tags.tagtype[ExifTags.Base.XPTitle] = 1
    tags[ExifTags.Base.XPTitle] = SEA.encode("utf-16-le")
    tags.tagtype[33723] = 7
    tags[33723] = IPTC
    tags[ExifTags.Base.Rating] = 4
    tags[ExifTags.Base.Artist] = "A"
    tags[ExifTags.IFD.Exif] = {ExifTags.Base.MakerNote: MAKER_NOTE, ExifTags.Base.ExposureTime: 0.5}
    tags[ExifTags.IFD.GPSInfo] = {1: "N"}
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "TIFF", tiffinfo=tags, big_tiff=big, dpi=(300, 300))
    # Pillow writes ASCII only.
    path.write_bytes(buffer.getvalue().replace(b"x" * len(SEA.encode()), SEA.encode()))
    with path.open("rb") as file, Image.open(path) as image:
        data, damaged = read_exif(image, file)
    assert not damaged
    assert SEA.encode() in data
    exif = parsed(data)
    assert set(exif) == {270, 315, ExifTags.Base.XPTitle, ExifTags.Base.Rating, 33723, 0x8769, 0x8825}
    assert exif[ExifTags.Base.XPTitle] == SEA.encode("utf-16-le")
    assert exif[33723] == IPTC
    assert (exif[ExifTags.Base.Rating], exif[ExifTags.Base.Artist]) == (4, "A")
    details = exif.get_ifd(ExifTags.IFD.Exif)
    assert (details[ExifTags.Base.MakerNote], details[ExifTags.Base.ExposureTime]) == (MAKER_NOTE, 0.5)
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"
    assert exif_of_result(data, 4, 4) == data


def test_a_tiff_that_says_nothing_has_no_exif(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.new("RGB", (4, 4)).save(path, dpi=(300, 300))
    with path.open("rb") as file, Image.open(path) as image:
        assert read_exif(image, file) == (b"", False)


def test_a_damaged_list_of_tags_costs_only_what_is_damaged() -> None:
    entries = [
        (270, 2, 8, 9999),
        (315, 2, 4, struct.unpack("<I", b"abc\0")[0]),
        (33723, 7, 1 << 31, 8),
        (305, 99, 1, 0),
    ]
    table = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    exif = parsed(tiff_exif(io.BytesIO(b"II*\0" + struct.pack("<I", 8) + table), 8))
    assert dict(exif) == {315: "abc"}
    for rubbish in (b"II*\0", b"II*\0" + bytes(4)):
        with pytest.raises(struct.error):
            tiff_exif(io.BytesIO(rubbish), 8)
