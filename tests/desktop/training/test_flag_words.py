from __future__ import annotations

import re
from pathlib import Path

import pytest

import engine
from cyclegan_desktop.training.flag_words import without_flags


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("or train b in grey (--grey-b).", 'or train b in grey (the option "Second domain is grey").'),
        ("leave it off (First domain is grey (--grey-a)).", "leave it off (First domain is grey)."),
        ("choose a picture size of 64 px (--size 64), or", "choose a picture size of 64 px, or"),
        ("such as --preprocess scale_width_and_crop.", 'such as "Scale to one width, then crop at random".'),
        ("b (3 -- 4) and --", "b (3 -- 4) and --"),
    ],
)
def test_the_window_names_its_own_options_where_the_command_names_flags(sentence, shown):
    assert without_flags(sentence) == shown


def test_no_finding_of_the_doctor_names_a_flag_in_the_window():
    source = (Path(engine.__file__).parent / "data" / "findings.py").read_text(encoding="utf-8")
    flags = re.findall(r"--[a-z][a-z-]+(?: \w+)?", source)
    assert flags
    for flag in flags:
        assert "--" not in without_flags(f"do this ({flag}).") or "--" not in without_flags(f"such as {flag}.")
