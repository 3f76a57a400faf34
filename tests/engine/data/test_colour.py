"""Colours go into sRGB and come back as they were, with 8 and with 16 bits a channel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from engine.data import colour
from engine.data.colour import (
    colour_space,
    fine_into_srgb,
    image_into_srgb,
    is_fine,
    means_srgb,
    out_of_srgb,
    srgb_profile,
)

WIDE = ["adobe", "p3", "prophoto"]
MakeProfile = Callable[[str], bytes]


@pytest.fixture
def colours() -> npt.NDArray[np.uint16]:
    """[300, 200, 3]: any colours, half of them dark."""
    colours = np.random.default_rng(0).integers(0, 65536, (300, 200, 3), dtype=np.uint16)
    colours[:150] //= 16
    return colours


def test_the_same_profile_srgb_is_made_every_time() -> None:
    made = srgb_profile()
    colour._made_srgb_profile.cache_clear()
    assert srgb_profile() == made
    assert colour_space(made) == "RGB"
    assert means_srgb(made) and is_fine(made)


@pytest.mark.parametrize("name", [*WIDE, "srgb"])
def test_fractions_agree_with_littlecms(make_profile: MakeProfile, colours: npt.NDArray[np.uint16], name: str) -> None:
    profile = make_profile(name)
    eight = (colours >> 8).astype(np.uint8)
    fine, _ = fine_into_srgb(eight, profile)
    assert np.abs(fine / 257 - np.asarray(image_into_srgb(Image.fromarray(eight), profile))).max() <= 1
    there = out_of_srgb(eight, profile)
    fine_there = out_of_srgb(eight * np.uint16(257), profile)
    assert there.dtype == np.uint8 and fine_there.dtype == np.uint16
    # The darkest levels of a pure power lie so close together that LittleCMS itself is two levels off.
    assert np.abs(fine_there / 257 - there).max() <= (2.5 if name == "adobe" else 1)


@pytest.mark.parametrize("name", WIDE)
def test_colours_within_srgb_come_back_with_sixteen_bits(
    make_profile: MakeProfile, colours: npt.NDArray[np.uint16], name: str
) -> None:
    profile = make_profile(name)
    stored = out_of_srgb(colours, profile)
    inside, share = fine_into_srgb(stored, profile)
    assert share == 0
    assert np.abs(inside.astype(int) - colours).max() <= 32
    assert np.abs(out_of_srgb(inside, profile).astype(int) - stored).max() <= 128


@pytest.mark.parametrize("name", WIDE)
def test_colours_within_srgb_come_back_with_eight_bits(
    make_profile: MakeProfile, colours: npt.NDArray[np.uint16], name: str
) -> None:
    profile = make_profile(name)
    stored = np.rint(out_of_srgb(colours, profile) / 257).astype(np.uint8)
    inside, _ = fine_into_srgb(stored, profile)
    back = np.rint(out_of_srgb(inside, profile) / 257)
    # Rounded to 256 levels a colour at the edge of sRGB may lie a little outside.
    assert np.abs(back - stored).max() <= 1


def test_colours_outside_srgb_are_counted_and_brought_to_its_edge(make_profile: MakeProfile) -> None:
    pixels = np.full((10, 10, 3), 128, np.uint8)
    pixels[:3] = (0, 255, 0)
    inside, share = fine_into_srgb(pixels, make_profile("p3"))
    assert share == pytest.approx(0.3)
    assert inside[0, 0].tolist() == [0, 65535, 0]
    assert fine_into_srgb(np.full((4, 4, 3), 255, np.uint8), make_profile("prophoto"))[1] == 0


def test_a_large_picture_is_converted_in_bands_without_a_seam(
    make_profile: MakeProfile, colours: npt.NDArray[np.uint16], monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = make_profile("p3")
    whole, share = fine_into_srgb(colours, profile)
    back = out_of_srgb(whole, profile)
    monkeypatch.setattr(colour, "_PIXELS_AT_ONCE", 1700)
    assert np.array_equal(fine_into_srgb(colours, profile)[0], whole)
    assert fine_into_srgb(colours, profile)[1] == pytest.approx(share)
    assert np.array_equal(out_of_srgb(whole, profile), back)


def test_grey_profiles_work_at_sixteen_bits(make_profile: MakeProfile) -> None:
    levels = np.array([[0, 6553, 32768, 65535]], np.uint16)
    profile = make_profile("grey")
    assert is_fine(profile, grey=True) and not is_fine(profile)
    inside, _ = fine_into_srgb(levels, profile)
    light = levels / 65535
    expected = 65535 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(inside - expected[..., None]).max() < 8


def test_srgb_by_any_name_changes_nothing(make_profile: MakeProfile, colours: npt.NDArray[np.uint16]) -> None:
    profile = make_profile("srgb")
    assert profile != srgb_profile()
    assert means_srgb(profile)
    for pixels in (colours, (colours >> 8).astype(np.uint8)):
        assert out_of_srgb(pixels, profile) is pixels


@pytest.mark.parametrize("name", WIDE)
def test_wide_profiles_do_not_mean_srgb(make_profile: MakeProfile, name: str) -> None:
    assert not means_srgb(make_profile(name))


def test_a_profile_of_tables_is_left_to_littlecms(make_profile: MakeProfile) -> None:
    profile = make_profile("tables")
    assert not is_fine(profile)
    white = Image.new("RGB", (2, 2), "white")
    assert np.asarray(image_into_srgb(white, profile)).min() > 240
    with pytest.raises(ValueError, match="more than curves"):
        fine_into_srgb(np.zeros((2, 2, 3), np.uint16), profile)
    # It leads into sRGB only.
    for dtype in (np.uint8, np.uint16):
        with pytest.raises(ValueError, match="cannot be written to"):
            out_of_srgb(np.zeros((2, 2, 3), dtype), profile)


def test_a_profile_with_no_place_for_the_colours_is_not_written_to(
    make_profile: MakeProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = make_profile("p3")
    pixels = np.random.default_rng(0).integers(30, 220, (40, 40, 3), dtype=np.uint8)
    # As if it were one of tables, of which nobody knows how well they lead back.
    monkeypatch.setattr(colour, "is_fine", lambda profile: False)
    assert out_of_srgb(pixels, profile).shape == pixels.shape
    monkeypatch.setattr(colour, "image_into_srgb", lambda image, profile: Image.new("RGB", image.size))
    with pytest.raises(ValueError, match="cannot be written to"):
        out_of_srgb(pixels, profile)


def test_damaged_profiles_are_refused_and_never_crash(make_profile: MakeProfile) -> None:
    whole = make_profile("adobe")
    rubbish = [b"", b"rubbish", whole[:100], whole[:200], whole[:300], bytes(500)]
    for place in range(128, len(whole), 31):
        rubbish.append(whole[:place] + b"\xff\xff\xff\xff" + whole[place + 4 :])
    pixels = np.zeros((2, 2, 3), np.uint8)
    for profile in rubbish:
        means_srgb(profile)
        is_fine(profile)
        for act in (
            lambda profile: image_into_srgb(Image.fromarray(pixels), profile),
            lambda profile: fine_into_srgb(pixels, profile),
            lambda profile: out_of_srgb(pixels, profile),
            lambda profile: out_of_srgb(pixels.astype(np.uint16), profile),
        ):
            try:
                act(profile)
            except ValueError:
                continue


def test_a_profile_for_other_pixels_is_refused(make_profile: MakeProfile) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        image_into_srgb(Image.new("RGB", (2, 2)), make_profile("grey"))
    with pytest.raises(ValueError, match="does not fit"):
        image_into_srgb(Image.new("CMYK", (2, 2)), make_profile("p3"))
