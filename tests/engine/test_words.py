from __future__ import annotations

from pathlib import Path

from engine.words import counted, listed


def test_numbers_agree_with_what_they_count() -> None:
    assert counted(1, "picture") == "1 picture"
    assert counted(0, "picture") == "0 pictures"
    assert counted(12_000, "picture") == "12,000 pictures"


def test_things_are_listed_as_in_a_sentence() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", Path("b")]) == "a and b"
    assert listed(["a", "b", "c"]) == "a, b and c"
