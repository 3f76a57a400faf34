from __future__ import annotations

import pytest

from cyclegan_desktop.plain_text import shown_paragraph, shown_text
from cyclegan_desktop.widgets import plain_label


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb.png", "a\ufffdb.png"),
        ("bytes \udcff\udcfe.png", "bytes \ufffd\ufffd.png"),
        ("\u202egnp.exe", "\ufffdgnp.exe"),
        ("Übung 日本 👩\u200d🎨.png", "Übung 日本 👩\u200d🎨.png"),
    ],
)
def test_names_fit_for_no_screen_are_made_so(name, shown):
    assert shown_text(name) == shown


def test_a_long_name_in_a_sentence_widens_no_window(qtbot):
    label = plain_label(shown_paragraph(f"/home/{'x' * 250}.png is empty.\nCopy it again."), wrap=True)
    qtbot.addWidget(label)
    assert label.minimumSizeHint().width() < 60 * label.fontMetrics().averageCharWidth()
    assert label.text().replace("\u200b", "") == f"/home/{'x' * 250}.png is empty.\nCopy it again."


def test_ordinary_sentences_stay_as_they_are():
    text = "The folder /home/me/Pictures and scans/2024 is empty."
    assert shown_paragraph(text) == text
