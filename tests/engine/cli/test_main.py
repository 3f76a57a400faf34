"""The headless command, as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from engine.__main__ import main
from engine.data.workers import WORKER_ARGUMENT
from tests.engine.cli.conftest import results_in


def test_version_help_and_a_bad_argument_answer_without_loading_torch() -> None:
    for arguments, code in ((["--version"], 0), (["--help"], 0), (["train", "--help"], 0), (["fly"], 2)):
        check = (
            "import sys, runpy\n"
            f"sys.argv = ['cyclegan', *{arguments}]\n"
            "try: runpy.run_module('engine', run_name='__main__')\n"
            "except SystemExit as end: code = end.code or 0\n"
            "assert 'torch' not in sys.modules and 'PySide6' not in sys.modules\n"
            "sys.exit(code)\n"
        )
        done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr


def test_importing_what_the_window_needs_loads_neither_torch_nor_qt() -> None:
    modules = (
        "engine, engine.config, engine.events, engine.errors, engine.data.folders, engine.data.images, "
        "engine.training.run, engine.training.moments, engine.training.film, "
        "engine.training.upkeep, engine.training.quality, engine.training.health, engine.training.loss_table, "
        "engine.training.changing, engine.training.sheets, engine.data.doctor, engine.presets, engine.remedies, "
        "engine.conversion.model_file, engine.tensor_file, engine.conversion.ledger, "
        "engine.conversion.naming, engine.conversion.report"
    )
    check = f"import sys, {modules}; print([m for m in ('torch', 'torchvision', 'PySide6') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False).stdout == "[]\n"


def test_a_folder_of_train_a_and_train_b_is_trained_and_converted_both_ways(
    trained: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for direction, side, count in (("a2b", "trainA", 6), ("b2a", "trainB", 5)):
        to = tmp_path / direction
        assert main(["convert", str(trained), str(root / side), "--to", str(to), "--direction", direction]) == 0
        assert results_in(to) == [f"{number:03}.png" for number in range(count)]
        with Image.open(to / "000.png") as picture:
            assert picture.size == (40, 40)
    assert "6 converted, 0 failed" in capsys.readouterr().err


def test_info_tells_the_story_of_a_model(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(trained)]) == 0
    told = capsys.readouterr().out
    assert "a2b Reds to Blues, b2a Blues to Reds" in told
    assert "32 px, preset standard, 2 steps" in told
    assert "ResNet, 1 block, 4 channels" in told
    assert main(["info", str(trained / "model.safetensors"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name_A"] == "Reds"


def test_a_failure_is_an_event_too_where_events_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", str(tmp_path), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["event"] == "Failed"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows allows no such names")
def test_a_file_name_cannot_speak_to_the_terminal(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "x\x1b[31mRED\x1b]0;title\x07\nFAILED other \u202e\u4e00.jpg").touch()
    main(["convert", str(trained), str(folder), "--to", str(tmp_path / "out"), "--direction", "a2b"])
    said = capsys.readouterr().err
    assert "\x1b" not in said.replace("\x1b[A", "") and "\x07" not in said and "\u202e" not in said
    assert r"\x1b[31mRED" in said and "\u4e00.jpg" in said


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_reader_who_leaves_gets_no_traceback(trained: Path, root: Path, tmp_path: Path) -> None:
    command = ["convert", str(trained), str(root / "trainA"), "--to", str(tmp_path / "out"), "--direction", "a2b"]
    with subprocess.Popen(
        [sys.executable, "-m", "engine", *command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 130


@pytest.mark.parametrize("module", ["engine.data.workers", "engine.cli.command", "engine.cli.convert", "tqdm"])
def test_ctrl_c_while_the_command_is_being_loaded_ends_it_without_a_word(module: str) -> None:
    program = (
        "import signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == '{module}': signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from engine.__main__ import main\n"
        "sys.exit(main(['convert', 'no model', 'no pictures', '--to', 'nowhere', '--direction', 'a2b']))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_asked_to_be_a_worker_it_is_one_until_its_program_has_gone() -> None:
    command = [sys.executable, "-m", "engine", WORKER_ARGUMENT]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_machine_that_only_computes_needs_no_package_for_places_of_settings() -> None:
    check = (
        "import sys\n"
        "sys.modules['platformdirs'] = None\n"
        "from engine.__main__ import main\n"
        "sys.exit(main(['convert', 'no model', 'no pictures', '--to', 'nowhere', '--direction', 'a2b']))\n"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no model" in done.stderr
    assert "Traceback" not in done.stderr
