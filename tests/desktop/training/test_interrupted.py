from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from PySide6.QtWidgets import QLabel, QPushButton
from pytestqt.qtbot import QtBot

from cyclegan_desktop.training import interrupted as module
from cyclegan_desktop.training.interrupted import Interrupted, find_interrupted, interrupted_sentence
from cyclegan_desktop.training.interrupted_offer import InterruptedOffer

_NOW = datetime.datetime(2026, 3, 2, 9, 0)


def _found(name: str = "Apples and Oranges", *, days: int = 1) -> Interrupted:
    saved = datetime.datetime(2026, 3, 2, 14, 5) - datetime.timedelta(days=days)
    return Interrupted(Path(name), name, 1234, saved.timestamp())


@pytest.mark.parametrize(("days", "word"), [(0, "today"), (1, "yesterday"), (40, "21")])
def test_the_sentence_says_where_and_when(days: int, word: str) -> None:
    sentence = interrupted_sentence(_found(days=days), _NOW).replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert sentence.startswith("Apples and Oranges was interrupted at step 1,234 (last saved ")
    assert word in sentence
    assert sentence.endswith("). Nothing before that is lost.")
    assert "2:05" in sentence or "14:05" in sentence


def test_a_training_that_was_never_saved_is_offered_too() -> None:
    assert "last saved" in interrupted_sentence(Interrupted(Path("x"), "X", 3, None))


def test_interrupted_trainings_are_found_once_wherever_they_are(
    make_run: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    known, in_folder, orderly, hidden = (make_run(runs / name) for name in "abcd")
    (tmp_path / "e").mkdir()
    read = module.read_run_summary

    def summary(folder: Path) -> SimpleNamespace:
        whole = read(folder)
        return SimpleNamespace(
            config=whole.config, step=whole.step, model=whole.model, was_interrupted=folder != orderly
        )

    monkeypatch.setattr(module, "read_run_summary", summary)
    paths = [known, tmp_path / "gone", tmp_path / "e", tmp_path / "model.safetensors"]
    found = list(find_interrupted(paths, runs, [hidden]))
    assert [one.run for one in found] == [known, in_folder]
    assert found[0].name == "Apples and Oranges"
    assert (found[0].step, found[0].saved is not None) == (5, True)


def test_the_last_save_is_the_newest_checkpoints_not_that_of_the_best_model(
    make_run: Callable[..., Path], make_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "runs" / "a")
    checkpoint = run / "checkpoints" / "step_00000005.safetensors"
    for moment, path in (
        (100, make_model(run / "best.safetensors")),
        (200, run / "model.safetensors"),
        (300, checkpoint),
    ):
        path.touch()
        os.utime(path, (moment, moment))
    (run / "under_way.json").write_text("{}")
    (found,) = find_interrupted([], tmp_path / "runs", [])
    assert found.saved == 300


def test_each_is_resumed_with_one_click(qtbot: QtBot) -> None:
    offer = InterruptedOffer()
    qtbot.addWidget(offer)
    offer.offer([])
    assert not offer.isVisible()
    offer.offer([_found(str(number)) for number in range(5)])
    assert offer.isVisible()
    buttons = offer.findChildren(QPushButton, "resume_interrupted")
    assert len(buttons) == 3
    assert "2 more can be resumed under Models." in [label.text() for label in offer.findChildren(QLabel)]
    with qtbot.waitSignal(offer.resume_requested) as asked:
        buttons[1].click()
    assert asked.args == [Path("1")]
    with qtbot.waitSignal(offer.dismissed):
        offer.findChild(QPushButton, "not_now").click()
