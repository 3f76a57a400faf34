from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from engine.config import TrainConfig, preset_config
from engine.data import doctor, picture_look
from engine.data.doctor import Memory, examine
from engine.errors import DataError
from engine.events import Examined, Finding, Preparing
from tests.engine.data.faulty_pictures import photograph, photographs

Folders = tuple[Path, Path]
# Of so small folders it is always said that they are small.
_ALWAYS = ("few_pictures",)


@pytest.fixture
def clean(tmp_path: Path) -> Folders:
    return photographs(tmp_path / "Reds", 6, 100), photographs(tmp_path / "Blues", 6, 200)


def findings_in(folders: Folders, config: TrainConfig | None = None) -> dict[str, Finding]:
    events = list(examine(*folders, name_A="Reds", name_B="Blues", config=config))
    assert isinstance(events[-1], Examined)
    return {event.kind: event for event in events if isinstance(event, Finding) and event.kind not in _ALWAYS}


def names_of(finding: Finding) -> list[str]:
    return [path.name for path in finding.files]


def test_nothing_is_imagined_in_clean_folders(clean: Folders) -> None:
    events = list(examine(*clean))
    assert [event.kind for event in events if isinstance(event, Finding)] == ["few_pictures", "few_pictures"]
    end = events[-1]
    assert isinstance(end, Examined)
    assert (end.count_A, end.count_B, end.good_A, end.good_B, end.findings) == (6, 6, 6, 6, 2)
    assert isinstance(events[0], Preparing)


def test_what_cannot_be_read_is_named_with_its_reason_and_left_out(clean: Folders) -> None:
    whole = clean[0] / "whole.jpg"
    photograph(1).save(whole)
    data = whole.read_bytes()
    (clean[0] / "cut.jpg").write_bytes(data[: 2 * len(data) // 3])
    (clean[0] / "text.png").write_text("no picture")
    finding = findings_in(clean)["unreadable"]
    assert names_of(finding) == ["cut.jpg", "text.png"]
    assert finding.leave_out == finding.files
    assert "cut.jpg is damaged: the file ends too early" in finding.reasons[0]
    assert "no picture" in finding.reasons[1]
    assert finding.sentence.startswith("2 pictures of Reds cannot be read")


def test_copies_are_found_whatever_their_format_and_all_but_the_first_left_out(clean: Folders) -> None:
    shutil.copy(clean[0] / "002.png", clean[0] / "zz copy.png")
    with Image.open(clean[0] / "002.png") as image:
        image.save(clean[0] / "zz copy.bmp")
    finding = findings_in(clean)["same"]
    assert [[path.name for path in group] for group in finding.groups] == [["002.png", "zz copy.bmp", "zz copy.png"]]
    assert [path.name for path in finding.leave_out] == ["zz copy.bmp", "zz copy.png"]
    assert finding.severity == "warning"


def test_the_pixels_of_a_jpeg_in_another_format_are_the_same(clean: Folders) -> None:
    photograph(5, (400, 300)).save(clean[0] / "photo.jpg", quality=70)
    with Image.open(clean[0] / "photo.jpg") as image:
        image.save(clean[0] / "zz photo.png")
    assert names_of(findings_in(clean)["same"]) == ["photo.jpg", "zz photo.png"]


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
    "brighter": lambda image: image.point([min(255, round(1.1 * level)) for level in range(256)] * 3),
    "cropped": lambda image: image.crop((0, 0, round(0.98 * image.width), round(0.98 * image.height))),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_copy_is_found_and_the_larger_one_kept(
    clean: Folders, change: Callable[[Image.Image], Image.Image]
) -> None:
    with Image.open(clean[0] / "003.png") as image:
        change(image).save(clean[0] / "001 changed.jpg", quality=80)
    finding = findings_in(clean)["alike"]
    assert sorted(names_of(finding)) == ["001 changed.jpg", "003.png"]
    with Image.open(finding.leave_out[0]) as left_out, Image.open(finding.groups[0][0]) as kept:
        assert left_out.width <= kept.width


def test_of_pictures_that_look_alike_the_one_stays_that_is_good_otherwise(clean: Folders) -> None:
    with Image.open(clean[0] / "003.png") as image:
        image.convert("L").resize((2 * image.width, 2 * image.height)).save(clean[0] / "000 grey.png")
        image.resize((600, 64)).save(clean[0] / "000 long.png")
    left_out = {path.name for finding in findings_in(clean).values() for path in finding.leave_out}
    assert left_out == {"000 grey.png", "000 long.png"}


def test_pictures_on_both_sides_are_left_out_of_both(clean: Folders) -> None:
    shutil.copy(clean[0] / "002.png", clean[1] / "zz.png")
    with Image.open(clean[1] / "004.png") as image:
        image.save(clean[0] / "zz.jpg", quality=80)
    found = findings_in(clean)
    assert names_of(found["same_on_both"]) == ["002.png", "zz.png"]
    assert sorted(names_of(found["alike_on_both"])) == ["004.png", "zz.jpg"]
    assert found["same_on_both"].sides == ("A", "B")
    assert len(found["same_on_both"].leave_out) == len(found["alike_on_both"].leave_out) == 2


def test_the_same_pictures_on_both_sides_are_a_mistake_that_leaving_out_does_not_mend(clean: Folders) -> None:
    shutil.rmtree(clean[1])
    shutil.copytree(clean[0], clean[1])
    finding = findings_in(clean)["same_on_both"]
    assert "chosen twice" in finding.sentence
    assert not finding.can_leave_out


def test_what_is_unusual_about_files_is_told_without_leaving_them_out(clean: Folders) -> None:
    deep = np.asarray(photograph(7).convert("L"), np.uint16) * np.uint16(257)
    Image.fromarray(deep).save(clean[0] / "deep.png")
    photograph(8).convert("CMYK").save(clean[0] / "cmyk.jpg")
    photograph(9).save(clean[0] / "wide.png", icc_profile=_swapped_profile())
    photograph(10).save(clean[0] / "frames.gif", save_all=True, append_images=[photograph(11)])
    clear = photograph(12).convert("RGBA")
    clear.putalpha(100)
    clear.save(clean[0] / "clear.png")
    photograph(13).save(
        clean[0] / "srgb.png", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    )
    (clean[0] / "read me.txt").write_text("hello")
    found = findings_in(clean)
    for kind, name in {
        "sixteen_bits": "deep.png",
        "cmyk": "cmyk.jpg",
        "wide_gamut": "wide.png",
        "frames": "frames.gif",
        "transparent": "clear.png",
        "other_files": "read me.txt",
    }.items():
        assert names_of(found[kind]) == [name]  # type: ignore[index]
        assert found[kind].severity == "note" and not found[kind].can_leave_out


def test_grey_flat_tiny_and_long_pictures_are_left_out(clean: Folders) -> None:
    photograph(7).convert("L").save(clean[1] / "grey.jpg")
    Image.new("RGB", (70, 70), (20, 90, 50)).save(clean[1] / "flat.jpg")
    photograph(8, (8, 8)).save(clean[1] / "tiny.png")
    photograph(9, (400, 40)).save(clean[1] / "long.png")
    found = findings_in(clean)
    expected = {"grey_among_colour": "grey.jpg", "flat": "flat.jpg", "tiny": "tiny.png", "strips": "long.png"}
    for kind, name in expected.items():
        assert names_of(found[kind]) == [name]
        assert [path.name for path in found[kind].leave_out] == [name]
    assert found["grey_among_colour"].sentence == (
        "1 of the 10 pictures of Blues is grey among coloured ones, and teaches that colours may vanish: leave it out."
    )


def test_one_damaged_picture_is_spoken_of_as_one(clean: Folders) -> None:
    (clean[0] / "damaged.png").write_bytes(b"no picture")
    assert findings_in(clean)["unreadable"].sentence == (
        "1 picture of Reds cannot be read: replace it by a whole one, or leave it out."
    )


def test_a_grey_side_is_advised_to_train_in_grey_unless_it_does(clean: Folders, tmp_path: Path) -> None:
    for path in clean[0].iterdir():
        with Image.open(path) as image:
            image.convert("L").save(path)
    assert "--grey-a" in findings_in(clean)["all_grey"].sentence
    config = TrainConfig(folder_A=clean[0], folder_B=clean[1], run=tmp_path / "run", grey_A=True)
    assert "all_grey" not in findings_in(clean, config)


def test_pictures_smaller_than_the_picture_size_ask_for_another_size(clean: Folders, tmp_path: Path) -> None:
    places = {"folder_A": clean[0], "folder_B": clean[1], "run": tmp_path / "run"}
    finding = findings_in(clean, preset_config("standard", **places))["small"]
    assert "--size 64" in finding.sentence and len(finding.files) == 6 and not finding.can_leave_out
    assert "small" not in findings_in(clean, preset_config("standard", **places, size=64))


def test_two_sides_squashed_differently_are_told(tmp_path: Path) -> None:
    folders = photographs(tmp_path / "A", 3, 1, size=(120, 60)), photographs(tmp_path / "B", 3, 50, size=(60, 90))
    assert "2.0 and 0.7 to 1" in findings_in(folders)["squashed"].sentence


def test_a_side_without_two_readable_pictures_stops(clean: Folders) -> None:
    for path in list(clean[1].iterdir())[1:]:
        path.write_bytes(b"")
    found = findings_in(clean)
    assert found["too_few"].severity == "stop"
    assert "only one picture" in found["too_few"].sentence


def test_one_side_of_far_more_pictures_is_told(clean: Folders, tmp_path: Path) -> None:
    photographs(clean[1], 30, 200)
    assert "5 times as many" in findings_in(clean)["imbalance"].sentence


def test_sides_that_do_not_differ_are_told(tmp_path: Path) -> None:
    folders = photographs(tmp_path / "A", 70, 1000), photographs(tmp_path / "B", 70, 2000)
    assert "hardly differ" in findings_in(folders)["domains_alike"].sentence
    for path in folders[1].iterdir():
        with Image.open(path) as image:
            image.point([level // 2 for level in range(256)] + list(range(256)) * 2).save(path)
    assert "domains_alike" not in findings_in(folders)


def test_a_second_examination_opens_nothing_again_but_what_has_changed(
    clean: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(clean[0] / "002.png", clean[0] / "zz copy.png")
    memory = Memory()
    first = list(examine(*clean, memory=memory))
    (clean[0] / "000.png").write_bytes(b"no more")
    opened: list[Path] = []
    submit = doctor.Workers.submit

    def noting(self: doctor.Workers, function: Callable[..., object], *args: object) -> object:
        opened.extend(args[0])  # type: ignore[call-overload]
        return submit(self, function, *args)

    monkeypatch.setattr(doctor.Workers, "submit", noting)
    second = list(examine(*clean, memory=memory))
    assert opened == [clean[0] / "000.png"]
    assert {e.kind for e in second if isinstance(e, Finding)} - {e.kind for e in first if isinstance(e, Finding)} == {
        "unreadable"
    }


def test_a_picture_that_hangs_costs_only_itself(clean: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs a system with named pipes")
    # As much as the others may take on a busy machine.
    monkeypatch.setattr(doctor, "_TIME_LIMIT", 4.0)
    submit = doctor.Workers.submit

    def hanging(self: doctor.Workers, function: Callable[..., object], *args: object) -> object:
        if function is picture_look.look_at_some and clean[0] / "002.png" in args[0]:  # type: ignore[operator]
            return submit(self, _hang)
        return submit(self, function, *args)

    monkeypatch.setattr(doctor.Workers, "submit", hanging)
    finding = findings_in(clean)["unreadable"]
    assert names_of(finding) == ["002.png"]
    assert "takes longer than 4 seconds" in finding.reasons[0]


def test_a_process_that_crashes_is_told_by_the_picture(clean: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    submit = doctor.Workers.submit

    def crashing(self: doctor.Workers, function: Callable[..., object], *args: object) -> object:
        if function is picture_look.look_at_some and clean[1] / "004.png" in args[0]:  # type: ignore[operator]
            return submit(self, os._exit, 3)
        return submit(self, function, *args)

    monkeypatch.setattr(doctor.Workers, "submit", crashing)
    finding = findings_in(clean)["unreadable"]
    assert names_of(finding) == ["004.png"] and "crashed" in finding.reasons[0]


def test_it_can_be_closed_at_any_event(clean: Folders) -> None:
    shutil.copy(clean[0] / "002.png", clean[0] / "zz copy.png")
    for count in range(1, 8):
        events = examine(*clean)
        for _ in range(count):
            if next(events, None) is None:
                break
        events.close()  # type: ignore[attr-defined]


def test_no_two_folders_are_refused(clean: Folders, tmp_path: Path) -> None:
    for wrong in (tmp_path / "nowhere", clean[0]):
        with pytest.raises(DataError):
            list(examine(clean[0], wrong))


def test_empty_folders_are_examined(tmp_path: Path) -> None:
    for name in ("A", "B"):
        (tmp_path / name).mkdir()
    assert "no picture" in findings_in((tmp_path / "A", tmp_path / "B"))["too_few"].sentence


def test_the_doctor_needs_no_torch() -> None:
    code = "import sys, engine.data.doctor; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _hang() -> None:
    import time

    time.sleep(60)


def _swapped_profile() -> bytes:
    """The profile sRGB with red and green exchanged."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"????", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"????", b"gXYZ", 1)
