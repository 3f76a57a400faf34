"""EXIF data of a result says what is true of the result and keeps every other byte."""

from __future__ import annotations

import pytest
from PIL import ExifTags, Image

from engine.data.exif import HEADING, exif_of_result

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
