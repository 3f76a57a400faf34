from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from engine.__main__ import main
from engine.cli import upkeep as upkeep_command
from engine.errors import RunError
from engine.training import upkeep
from engine.training.moments import stars_held
from engine.training.run import Run, read_run_summary
from engine.training.trainer import resume, train
from engine.training.upkeep import About, clean_up, cleanable, disk_use, read_about, write_about
from tests.engine.conftest import draw_folders, make_tiny_config


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with three checkpoints, as two resumed sittings leave it."""
    folder = tmp_path_factory.mktemp("trained")
    draw_folders(folder)
    config = make_tiny_config(folder, max_steps=2)
    list(train(config))
    for steps in (4, 6):
        list(resume(config.run, max_steps=steps))
    return config.run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of it to be changed."""
    return shutil.copytree(trained, tmp_path / "run")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_cleaning_keeps_what_the_training_goes_on_from(run: Path) -> None:
    assert len(names(run / "checkpoints")) == 3
    before = disk_use(run)
    freed = clean_up(run, ["checkpoints"])
    assert names(run / "checkpoints") == ["step_00000006.safetensors"]
    assert freed == before.total - disk_use(run).total > 0
    steps = [event.step for event in resume(run, max_steps=7) if type(event).__name__ == "TrainFinished"]
    assert steps == [7]


def test_what_is_starred_and_the_newest_stay(run: Path) -> None:
    moments = run / "moments"
    moments.mkdir(exist_ok=True)
    for path in [*moments.iterdir(), *(run / "samples").iterdir()]:
        path.unlink()
    for step in (1, 2, 3):
        (moments / f"step_{step:08d}.safetensors").write_bytes(b"model")
        for direction in ("a2b", "b2a"):
            (run / "samples" / f"step_{step:08d}_{direction}.png").write_bytes(b"sheet")
    (run / "stars.json").write_text("damaged, so that nobody knows which")
    clean_up(run, ["moments", "samples"])
    assert len(names(moments)) == 3 and len(names(run / "samples")) == 6
    (run / "stars.json").write_text(json.dumps({"steps": [1]}))
    clean_up(run, ["moments", "samples"])
    assert names(moments) == ["step_00000001.safetensors", "step_00000003.safetensors"]
    assert [name for name in names(run / "samples") if "00000002" in name] == []
    assert len(names(run / "samples")) == 4
    assert len(names(run / "checkpoints")) == 3


def test_nothing_is_deleted_while_a_star_is_being_set(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "PATIENCE_SECONDS", 0.1)
    before = disk_use(run)
    with stars_held(run, 0), pytest.raises(RunError, match="changing the stars"):
        clean_up(run, ["moments", "samples"])
    assert disk_use(run) == before
    clean_up(run, ["moments", "samples"])


def test_what_saves_that_were_cut_off_left_behind_goes_and_nothing_that_is_the_users(run: Path) -> None:
    left = run / "checkpoints" / ".step_00000004.safetensors.part-0123abcd"
    left.write_bytes(b"half")
    damaged = run / "checkpoints" / "step_00000001.safetensors.damaged"
    damaged.write_bytes(b"bad")
    mine = run / "checkpoints" / "my notes.txt"
    mine.write_text("mine")
    assert set(cleanable(run, [])) == {left, damaged}
    clean_up(run, ["checkpoints"])
    assert mine.exists() and not left.exists() and not damaged.exists()


def test_older_checkpoints_stay_where_the_newest_is_damaged(run: Path) -> None:
    newest = run / "checkpoints" / "step_00000006.safetensors"
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    with pytest.raises(RunError, match="damaged, so the older ones are kept"):
        clean_up(run, ["checkpoints"])
    assert len(names(run / "checkpoints")) == 3


def test_a_training_at_work_is_not_cleaned(run: Path) -> None:
    open_run = Run.open(run)
    try:
        with pytest.raises(RunError, match="being trained"):
            clean_up(run, ["checkpoints"])
    finally:
        open_run.close()
    assert len(names(run / "checkpoints")) == 3


def test_links_are_not_followed(run: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "step_00000001.safetensors").write_bytes(b"x" * 1000)
    (elsewhere / "step_00000002.safetensors").write_bytes(b"x" * 1000)
    for path in (run / "moments").iterdir() if (run / "moments").is_dir() else ():
        path.unlink()
    if (run / "moments").is_dir():
        (run / "moments").rmdir()
    (run / "moments").symlink_to(elsewhere)
    assert disk_use(run).moments == 0
    clean_up(run, ["moments"])
    assert len(names(elsewhere)) == 2


def test_a_name_and_a_note_come_back(run: Path) -> None:
    assert read_about(run) == About()
    write_about(run, About("  Äpfel, zweiter Versuch ", "Besser als der erste.\nMehr Bilder."))
    assert read_about(run) == About("Äpfel, zweiter Versuch", "Besser als der erste.\nMehr Bilder.")
    (run / "about.json").write_text("[1")
    assert read_about(run) == About()


@pytest.mark.parametrize("about", [About("x" * 101), About("two\nlines"), About("", "x" * 10_001)])
def test_a_name_that_is_none_is_refused(run: Path, about: About) -> None:
    with pytest.raises(RunError, match="at most"):
        write_about(run, about)
    assert read_about(run) == About()


def test_a_folder_that_is_no_run_is_never_cleaned(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    for step in (1, 2):
        (tmp_path / "checkpoints" / f"step_{step:08d}.safetensors").write_bytes(b"x")
    with pytest.raises(RunError, match="holds no training"):
        clean_up(tmp_path, ["checkpoints"])
    assert len(names(tmp_path / "checkpoints")) == 2


def test_the_commands_list_describe_and_clean(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["describe", str(run), "--name", "First try"]) == 0
    assert main(["describe", str(run), "--note", "Good."]) == 0
    assert main(["runs", str(run.parent), "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    values = json.loads(line)
    assert (values["name"], values["note"], values["step"]) == ("First try", "Good.", 6)
    assert values["bytes"] == disk_use(run).total
    assert (values["best_score"], values["best_step"]) == (None, None)
    monkeypatch.setattr(
        upkeep_command, "read_run_summary", lambda run: replace(read_run_summary(run), best_score=123.4, best_step=4)
    )
    assert main(["runs", str(run)]) == 0
    line, note = capsys.readouterr().out.splitlines()
    assert "best score 123 (step 4)" in line and " h, " not in line
    assert note == "    Good."
    assert main(["clean", str(run), "--dry-run"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert main(["clean", str(run)]) == 0
    assert "2 files deleted" in capsys.readouterr().out
    assert main(["runs", str(run / "samples")]) == 2


def test_a_name_that_holds_a_command_to_the_terminal_is_only_shown(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        odd = run.rename(tmp_path / "\x1b[31mred")
    except OSError:
        pytest.skip("no such names here")
    assert main(["runs", str(odd)]) == 0
    assert main(["clean", str(odd), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "\x1b" not in told and "\\x1b[31mred" in told
