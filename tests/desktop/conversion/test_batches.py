"""What one batch knows of its pictures."""

from __future__ import annotations

import pytest

from cyclegan_desktop.conversion.batches import Batch, BatchState
from cyclegan_desktop.conversion.file_list import FileState
from cyclegan_desktop.conversion.job_choices import JobChoices
from engine.events import Converted, ConvertPlanned, FilesFound, FileSkipped

RUNNING = BatchState.RUNNING


def planned_batch(tmp_path, read_model, pictures: int):
    batch = Batch(read_model(tmp_path / "apple"), "a2b", None, JobChoices())
    sources = tuple(tmp_path / f"{number}.png" for number in range(pictures))
    batch.files.add(sources, None)
    made_with = batch.made_with_now(batch.model, tmp_path / "to")
    numbers = list(range(pictures))
    batch.prepare(batch.job_for(numbers, made_with), numbers, made_with)
    batch.state = RUNNING
    batch.follow(ConvertPlanned(sources, 0, tmp_path / "to", "CPU", "fp32"))
    return batch, sources


def test_a_file_that_changes_while_watched_counts_once(tmp_path, read_model):
    batch = Batch(read_model(tmp_path / "apple"), "a2b", None, JobChoices(watch=True))
    source = tmp_path / "Photos" / "a.png"
    batch.files.add([source], tmp_path / "Photos")
    made_with = batch.made_with_now(batch.model, tmp_path / "to")
    batch.prepare(batch.job_for([0], made_with), [0], made_with)
    batch.follow(ConvertPlanned((source,), 0, tmp_path / "to", "CPU", "fp32"))
    batch.follow(Converted(0, source, tmp_path / "to" / "a.png", (), 0.1))
    batch.follow(FilesFound((source,)))
    assert (batch.progress.converted, batch.progress.total) == (0, 1)
    batch.follow(Converted(1, source, tmp_path / "to" / "a.png", (), 0.1))
    assert (batch.progress.converted, batch.progress.total) == (1, 1)
    assert batch.job_files[0] == [source]


def test_the_time_left_waits_for_some_pictures_and_counts_down(tmp_path, read_model, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("cyclegan_desktop.conversion.batches.time.monotonic", lambda: now[0])
    batch, sources = planned_batch(tmp_path, read_model, 100)
    assert batch.progress.seconds_left is None
    now[0] += 60  # The first one also warms up the graphics card.
    for done in range(5):
        now[0] += 2
        batch.follow(Converted(done, sources[done], tmp_path / "to" / "x.png", (), 2.0))
        left = batch.progress.seconds_left
        assert (left is None) == (done < 2)
    assert left == pytest.approx(190)
    now[0] += 30  # A large picture is at work.
    assert batch.progress.seconds_left == pytest.approx(160)
    now[0] += 200
    assert batch.progress.seconds_left is None


def test_what_a_result_made_before_has_lost_is_still_said(tmp_path, read_model):
    batch, sources = planned_batch(tmp_path, read_model, 3)
    batch.is_restored = True
    lost = ("Only the first of 12 frames was converted.",)
    target = tmp_path / "to" / "x.png"
    batch.follow(FileSkipped(0, sources[0], target, True, "It was converted before.", lost))
    batch.made_before = frozenset({sources[1]})
    batch.follow(FileSkipped(1, sources[1], target, True, "It was converted before.", lost))
    batch.follow(FileSkipped(2, sources[2], target, False, "The name is taken.", ()))
    assert [(row.state, row.text) for row in batch.files.rows] == [
        (FileState.DONE, lost[0]),
        (FileState.SKIPPED, "It was converted before. " + lost[0]),
        (FileState.SKIPPED, "The name is taken."),
    ]
