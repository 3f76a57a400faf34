"""Conversions that are not finished, on disk."""

from __future__ import annotations

from pathlib import Path

from cyclegan_desktop.conversion.job_choices import JobChoices
from cyclegan_desktop.conversion.queue_store import QueueStore, SavedBatch
from tests.desktop.conversion.acts import (
    add,
    hold,
)


def test_a_second_app_neither_sees_nor_disturbs_what_the_first_converts(
    page, make_controller, converter, settings, pictures, qtbot
):
    settings.library = [Path("/apple")]
    controller = make_controller()
    add(qtbot, controller, pictures)
    hold(qtbot, controller, converter, "a.png")
    controller._unfinished._store.wait()
    before = sorted(path.name for path in settings.queue_folder.iterdir())
    second = QueueStore(settings.queue_folder)
    assert second.load() == []
    second.save_index([])
    second.close()
    assert sorted(path.name for path in settings.queue_folder.iterdir()) == before
    converter.go.set()
    qtbot.waitUntil(lambda: not controller.is_busy)


def test_a_batch_of_a_hundred_thousand_is_kept_in_order(tmp_path):
    roots = [tmp_path / "A", tmp_path / "B"]
    files = [(roots[number // 50_000] / f"{number}.png", roots[number // 50_000]) for number in range(100_000)]
    files.insert(70_000, (tmp_path / "single.png", None))
    store = QueueStore(tmp_path / "queue")
    store.load()
    store.save_files("key", [path for path, _ in files], [root for _, root in files])
    store.wait()
    saved = SavedBatch(
        key="key",
        name="A",
        model=tmp_path / "m",
        direction="a2b",
        output=tmp_path / "to",
        is_output_chosen=True,
        choices=JobChoices(),
        folders=tuple((root, 7) for root in roots),
        done=5,
        converted=3,
        made_before=((0, 1),),
        total=100_001,
    )
    store.save_index([saved])
    store.close()
    later = QueueStore(tmp_path / "queue")
    assert later.load() == [saved]
    back = [(path, found.root) for found in later.files_of(saved) for path in found.pictures]
    later.close()
    assert back == files
