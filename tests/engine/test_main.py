"""The headless command, as a user types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from engine.__main__ import main
from engine.config import TrainConfig
from engine.conversion.model_file import read_model_info
from engine.options import OPTIONS, Option

TINY = ["--size", "32", "--channels", "4", "--blocks", "1", "--device", "cpu", "--precision", "fp32"]


@pytest.fixture
def root(folders: tuple[Path, Path], tmp_path: Path) -> Path:
    """A folder that holds trainA and trainB."""
    root = tmp_path / "data"
    root.mkdir()
    folders[0].rename(root / "trainA")
    folders[1].rename(root / "trainB")
    return root


@pytest.fixture
def trained(root: Path, tmp_path: Path) -> Path:
    run = tmp_path / "run"
    assert main(["train", str(root), "--run", str(run), "--names", "Reds", "Blues", "--max-steps", "2", *TINY]) == 0
    return run


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
        "engine.training.run, engine.conversion.model_file, engine.tensor_file"
    )
    check = f"import sys, {modules}; print([m for m in ('torch', 'torchvision', 'PySide6') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False).stdout == "[]\n"


def test_a_folder_of_train_a_and_train_b_is_trained_and_converted_both_ways(
    trained: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for direction, side, count in (("a2b", "trainA", 6), ("b2a", "trainB", 5)):
        to = tmp_path / direction
        assert main(["convert", str(trained), str(root / side), "--to", str(to), "--direction", direction]) == 0
        assert sorted(path.name for path in to.iterdir()) == [f"{number:03}.png" for number in range(count)]
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


def test_json_prints_one_event_a_line(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(root), "--run", str(tmp_path / "run"), "--max-steps", "1", "--json", *TINY]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events if event["event"] != "Preparing"] == [
        "TrainStarted",
        "Saved",
        "SamplesDrawn",
        "StepReport",
        "SamplesDrawn",
        "Saved",
        "TrainFinished",
    ]
    report = next(event for event in events if event["event"] == "StepReport")
    assert set(report["losses"]) >= {"G_AB", "idt_B"}
    assert all("original" not in json.dumps(event) for event in events)


def test_resume_goes_on_to_a_larger_total(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--resume", str(trained), "--max-steps", "4"]) == 0
    assert "Done at step 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--resume", "RUN", "--size", "64"], "--size cannot be changed"),
        (["--resume", "RUN", "--preset", "quick"], "--preset cannot be changed"),
        (["--resume", "RUN", "--seed", "0"], "--seed cannot be changed"),
        (["--resume", "RUN", "--batch-size", "0"], "--batch-size cannot be changed"),
        (["ROOT", "--resume", "RUN"], "A B cannot be changed"),
        (["--resume", "NOWHERE"], "holds no training"),
        (["ROOT", "--run", "RUN"], "--resume"),
        (["ROOT", "--run", "NEW", "--size", "30"], "picture size"),
        (["ROOT", "--run", "NEW", "--device", "toaster"], "no device toaster"),
        (["NOWHERE", "--run", "NEW"], "trainA and trainB"),
        (["ROOT/trainA", "ROOT/trainA", "--run", "NEW"], "same folder"),
        (["ROOT/trainA", "TEXTS", "--run", "NEW"], "no picture"),
        (["ROOT/trainA", "ONE", "--run", "NEW"], "one picture"),
        (["ROOT/trainA", "ROOT/trainB", "--run", "ROOT/trainA/run"], "among the pictures"),
    ],
)
def test_what_cannot_be_trained_is_a_sentence_and_code_2(
    arguments: list[str], sentence: str, trained: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("a")
    (tmp_path / "one").mkdir()
    Image.new("RGB", (40, 40)).save(tmp_path / "one" / "a.png")
    names = {"RUN": trained, "NEW": tmp_path / "new", "ROOT": root, "NOWHERE": tmp_path / "nowhere"}
    names |= {"TEXTS": tmp_path / "texts", "ONE": tmp_path / "one"}
    filled = []
    for argument in arguments:
        start, _, rest = argument.partition("/")
        filled.append(str(names[start] / rest) if start in names else argument)
    assert main(["train", *filled]) == 2
    complaint = capsys.readouterr().err
    assert sentence.lower() in complaint.lower()
    assert "Traceback" not in complaint


def test_a_bad_picture_is_named_and_the_code_is_1(
    trained: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "trainA" / "bad.jpg").write_text("no picture")
    code = main(["convert", str(trained), str(root / "trainA"), "--to", str(tmp_path / "out"), "--direction", "a2b"])
    assert code == 1
    assert "bad.jpg" in capsys.readouterr().err
    assert len(list((tmp_path / "out").iterdir())) == 6


@pytest.mark.parametrize("what", ["model", "source", "inside"])
def test_a_job_that_cannot_be_done_is_a_sentence_and_code_2(
    what: str, trained: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = {"model": str(trained), "source": str(root / "trainA"), "to": str(tmp_path / "out")}
    if what == "model":
        (tmp_path / "fake.safetensors").write_text("no model")
        arguments["model"] = str(tmp_path / "fake.safetensors")
    elif what == "source":
        arguments["source"] = str(tmp_path / "nowhere")
    else:
        arguments["to"] = str(root / "trainA" / "out")
    code = main(["convert", arguments["model"], arguments["source"], "--to", arguments["to"], "--direction", "a2b"])
    complaint = capsys.readouterr().err
    assert code == 2
    assert complaint.startswith("cyclegan: ") and "Traceback" not in complaint
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_between_steps_saved_and_resumable(
    number: signal.Signals, root: Path, tmp_path: Path, tiny_config: Callable[..., object]
) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "engine", "train", str(root), "--run", str(run), "--json", "--epochs", "100000"]
    with subprocess.Popen([*command, *TINY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if json.loads(line)["event"] == "StepReport":
                child.send_signal(number)
                break
        _, complaint = child.communicate(timeout=60)
    assert child.returncode == 130
    assert f'cyclegan train --resume "{run}"' in complaint
    assert "Traceback" not in complaint
    assert (run / "model.safetensors").exists()
    steps = int(max((run / "checkpoints").iterdir()).stem.removeprefix("step_"))
    assert main(["train", "--resume", str(run), "--max-steps", str(steps + 1)]) == 0


_OTHER_VALUES = {"int": "7", "float": "0.25", "choice": None, "model": "MODEL"}
_VALID = {
    # Values that fit together with all others as they are.
    **{"load_size": "300", "width": "128", "grow_from": "128", "init_gain": "0.05", "beta1": "0.9"},
    **{"discriminator_layers": "4", "learning_rate": "0.001", "preprocess": "crop"},
}


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.field)
def test_every_option_has_a_flag_that_reaches_the_training(
    option: Option, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs: list[TrainConfig] = []
    monkeypatch.setattr("engine.__main__.train", lambda config: iter(configs.append(config) or ()))
    monkeypatch.setattr("engine.__main__._settings_of_model", lambda model: {})
    assert main(["train", str(root), "--run", str(tmp_path / "run")]) == 0
    before = getattr(configs[0], option.field)
    if option.kind == "bool":
        flags = [option.flag.replace("--", "--no-", 1) if before else option.flag]
        expected: object = not before
    else:
        value = _VALID.get(option.field) or _OTHER_VALUES[option.kind] or option.choices[-1][0]
        flags = [option.flag, value]
        kinds = {"int": int, "float": float, "choice": str, "model": lambda text: Path(text).absolute()}
        expected = kinds[option.kind](value)
    assert main(["train", str(root), "--run", str(tmp_path / "run"), *flags]) == 0
    assert before != getattr(configs[1], option.field) == expected


def test_a_training_that_starts_from_a_model_takes_its_networks(
    trained: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs: list[TrainConfig] = []
    monkeypatch.setattr("engine.__main__.train", lambda config: iter(configs.append(config) or ()))
    base = ["train", str(root), "--run", str(tmp_path / "next"), "--start-from", str(trained)]
    assert main(base) == 0
    story = read_model_info(trained)
    assert configs[0].architecture == story.architecture
    assert configs[0].size == story.size
    assert configs[0].start_from == trained
    assert main([*base, "--size", "64", "--channels", "4"]) == 0
    assert (configs[1].size, configs[1].channels, configs[1].blocks) == (64, 4, story.architecture.blocks)


def test_a_setting_that_makes_no_sense_is_named_with_its_flag(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--preset", "quick", "--preprocess", "none"]
    assert main(["train", str(root), "--run", str(tmp_path / "run"), *flags]) == 2
    assert "set the batch size to 1" in (complaint := capsys.readouterr().err)
    assert "(The option is --batch-size.)" in complaint
