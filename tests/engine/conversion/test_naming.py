"""Results get names that every disk takes, that tell them apart, and that never lead out of their folder."""

from __future__ import annotations

import datetime
import os
import sys
from pathlib import Path

import pytest

from engine.conversion import naming
from engine.conversion.naming import result_name, safe_name

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows makes every name safe at once")

FORBIDDEN = set('<>:"/\\|?*') | {chr(number) for number in range(32)}


def name_of(template: str = "{name}", source: str = "in/a.jpg", suffix: str = ".png", **values: object) -> str:
    defaults: dict[str, object] = {
        "direction": "Summer to Winter",
        "model": "yosemite",
        "date": datetime.date(2025, 3, 9),
        "index": 7,
    }
    return result_name(template, source=Path(source), suffix=suffix, **(defaults | values))


@pytest.mark.parametrize(
    ("source", "suffix", "name"),
    [
        ("a.jpg", ".png", "a.png"),
        ("A.JPEG", ".JPEG", "A.JPEG"),
        ("scan.2024", ".png", "scan.2024.png"),
        ("scan.2024.tif", ".tif", "scan.2024.tif"),
        ("no ending", ".png", "no ending.png"),
        (".png", ".png", ".png.png"),
        ("a.tar.webp", ".jpg", "a.tar.jpg"),
    ],
)
def test_only_an_ending_of_a_picture_format_is_exchanged(source: str, suffix: str, name: str) -> None:
    assert name_of(source=source, suffix=suffix) == name


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{name} - {direction}", "a - Summer to Winter.png"),
        ("{model} {date} {index}", "yosemite 2025-03-09 0007.png"),
        ("{index}_{name}_{index}", "0007_a_0007.png"),
        ("{{{name}}}", "{a}.png"),
        ("100% {name}", "100% a.png"),
    ],
)
def test_a_template_is_filled_in(template: str, name: str) -> None:
    assert name_of(template) == name


def test_an_index_has_as_many_digits_as_it_needs() -> None:
    assert name_of("{index}", index=123_456) == "123456.png"


def test_names_with_braces_are_no_templates() -> None:
    assert name_of("{name} {model}", source="{index}.jpg", model="{name}") == "{index} {name}.png"


@pytest.mark.parametrize("value", ["A/B", "..", "../../etc", "C:\\x", 'a<b>"c"|?*', "line\nbreak\0", "\ud83d"])
@pytest.mark.parametrize("field", ["direction", "model"])
def test_no_value_leads_out_of_the_folder_or_is_refused_by_a_disk(field: str, value: str) -> None:
    name = name_of(f"{{name}}{{{field}}}", **{field: value})
    assert not FORBIDDEN & set(name)
    assert Path("out", name).parent == Path("out")
    assert name.startswith("a") and name.endswith(".png")
    os.fsencode(name)


@pytest.mark.parametrize("template", ["{name}", "{name} {direction}", "{name}{name}{model}", "{index} {name} {date}"])
@pytest.mark.parametrize("letter", ["x", "ä", "界", "🦓"])
@pytest.mark.parametrize("length", [40, 62, 63, 84, 126, 250, 255, 300])
def test_no_name_is_too_long_or_cut_within_a_character(template: str, letter: str, length: int) -> None:
    name = name_of(template, source=letter * length, direction="A to B", model=letter * 60)
    data = name.encode()
    assert len(data) <= 255
    assert name.endswith(".png")
    if "{index}" in template:
        assert name.startswith("0007 ") and "2025-03-09" in name
    if len(data) < 250:
        assert "{name}{name}" in template or letter * length in name


def test_a_model_with_an_endless_name_leaves_room_for_the_ending() -> None:
    name = name_of("{model}{name}", model="m" * 1000)
    assert len(name) == 255 and name.endswith("m.png")


@needs_posix
@pytest.mark.parametrize(
    "source", ["what?.jpg", "a:b|c.jpg", os.fsdecode(b"caf\xe9.jpg"), "nul.jpg", "back\\slash.jpg"]
)
def test_the_name_that_a_source_has_already_is_kept(source: str) -> None:
    assert name_of(source=source) == source.replace(".jpg", ".png")


def test_on_windows_every_name_is_safe_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Windows:
        name = "nt"
        fsencode = staticmethod(os.fsencode)

    monkeypatch.setattr(naming, "os", Windows)
    assert name_of(source="nul.jpg") == "nul_.png"
    assert name_of("{model}", model="COM1") == "COM1_.png"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a.png", "a.png"),
        ("Ünïcode 界.png", "Ünïcode 界.png"),
        ("what?.png", "what_.png"),
        ('<>:"/\\|?*\t.png', "__________.png"),
        (os.fsdecode(b"caf\xe9.png") if sys.platform != "win32" else "caf\udce9.png", "caf_.png"),
        ("CON", "CON_"),
        ("nul.txt", "nul_.txt"),
        ("Aux .tar.png", "Aux_.tar.png"),
        ("com1.png", "com1_.png"),
        ("LPT².png", "LPT²_.png"),
        ("COM0.png", "COM0.png"),
        ("console.png", "console.png"),
        ("dots...", "dots"),
        ("spaces  ", "spaces"),
        (" . . ", "_"),
        (".", "_"),
        ("..", "_"),
        ("", "_"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("nul:stream.png", "nul_stream.png"),
    ],
)
def test_a_safe_name_is_taken_by_windows(name: str, safe: str) -> None:
    assert safe_name(name) == safe
    assert safe_name(safe) == safe


@pytest.mark.parametrize(
    "name", ["ä" * 300 + ".png", "." + "界" * 300, "a." + "b" * 300, "CON." + "x" * 300, "x" * 400]
)
def test_a_safe_name_is_short_enough(name: str) -> None:
    safe = safe_name(name)
    assert 200 < len(safe.encode()) <= 255
    assert name.endswith(".png") == safe.endswith(".png")
    assert safe_name(safe) == safe
