from __future__ import annotations

import pytest

from cyclegan_desktop.words import duration_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (42.4, "42 s"),
        (1380, "23 min"),
        (5400, "1 h 30 min"),
        (2 * 3600 + 59.9 * 60, "3 h 0 min"),
        (20 * 3600, "20 h"),
        (3 * 86400, "3 days"),
        (21 * 86400, "3 weeks"),
        (120 * 86400, "4 months"),
        (3000 * 86400, "8 years"),
    ],
)
def test_a_duration_is_said_as_people_say_it(seconds: float, words: str) -> None:
    assert duration_words(seconds) == words
