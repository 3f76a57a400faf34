"""The headless command, as a user types it."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from engine.__main__ import main
from engine.config import ConvertJob, TrainConfig
from engine.conversion.model_file import read_model_info
from engine.data.workers import WORKER_ARGUMENT
from engine.events import (
    Alarm,
    Converted,
    ConvertEvent,
    ConvertFinished,
    ConvertingFile,
    ConvertPlanned,
    Examined,
    FileFailed,
    FilesFound,
    FileSkipped,
    HealthChecked,
    Preparing,
    WaitingForSpace,
)
from engine.options import OPTIONS, Option
from engine.remedies import Remedy

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


def results_in(folder: Path) -> list[str]:
    """What a user sees of a folder of results."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


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


def test_json_prints_one_event_a_line(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(root), "--run", str(tmp_path / "run"), "--max-steps", "1", "--json", *TINY]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    judged = ("Preparing", "QualityMeasured", "HealthChecked")
    assert [event["event"] for event in events if event["event"] not in judged] == [
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


def test_an_alarm_is_told_once_with_its_remedies(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slower = Remedy("Halve the learning rate", (("learning_rate", 0.1),))
    anew = Remedy("Begin anew with another seed", (("seed", 1),), begins_anew=True)
    one = Alarm("inverted", "Light and dark are swapped.", "Seen.", (slower, anew, Remedy("Add more pictures")))
    other = Alarm("collapsed", "It has collapsed.", "Seen, too.", ())
    events = iter([HealthChecked(1, (one,)), HealthChecked(2, (one, other)), HealthChecked(3, ())])
    monkeypatch.setattr("engine.cli.train.train", lambda config: events)
    assert main(["train", str(root), "--run", str(tmp_path / "run"), *TINY]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "Light and dark are swapped. Seen. What may help: halve the learning rate (--resume with --learning-rate 0.1); "
        "begin anew with another seed (a new training with --seed 1); add more pictures.",
        "It has collapsed. Seen, too.",
    ]


def test_resume_goes_on_to_a_larger_total(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--resume", str(trained), "--max-steps", "4"]) == 0
    assert "Done at step 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--resume", "RUN", "--channels", "64"], "--channels cannot be changed"),
        (["--resume", "RUN", "--size", "33"], "no multiple of 4"),
        (["--resume", "RUN", "--more-epochs", "0"], "must be at least 1"),
        (["ROOT", "--run", "NEW", "--more-epochs", "5"], "give --resume"),
        (["--resume", "RUN", "--preset", "quick"], "--preset cannot be changed"),
        (["--resume", "RUN", "--seed", "0"], "--seed cannot be changed"),
        (["--resume", "RUN", "--batch-size", "0"], "batch size"),
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
    assert len(results_in(tmp_path / "out")) == 6


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
    monkeypatch.setattr("engine.cli.train.train", lambda config: iter(configs.append(config) or ()))
    monkeypatch.setattr("engine.cli.settings._settings_of_model", lambda model: {})
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
    monkeypatch.setattr("engine.cli.train.train", lambda config: iter(configs.append(config) or ()))
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


# Converting


def _convert_arguments(tmp_path: Path, *flags: str) -> list[str]:
    return ["convert", "model", str(tmp_path / "in"), "--to", str(tmp_path / "out"), "--direction", "a2b", *flags]


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[ConvertJob]:
    """The jobs that were asked for; none of them is done."""
    jobs: list[ConvertJob] = []
    monkeypatch.setattr("engine.cli.convert.convert", lambda job: iter(jobs.append(job) or ()))
    return jobs


@pytest.mark.parametrize(
    ("flags", "field", "value"),
    [
        (["--format", "jp2"], "format", "jp2"),
        (["--quality", "50"], "quality", 50),
        (["--lossless"], "lossless", True),
        (["--chroma", "4:2:0"], "chroma", "4:2:0"),
        (["--frames", "first"], "frames", "first"),
        (["--resize", "training"], "resize", "training"),
        (["--resize", "change"], "resize", "change"),
        (["--resize", "640"], "resize", 640),
        (["--name", "{name} {index}"], "name", "{name} {index}"),
        (["--if-exists", "overwrite"], "if_exists", "overwrite"),
        (["--again"], "again", True),
        (["--watch"], "watch", True),
        (["--max-megapixels", "30"], "max_megapixels", 30),
        (["--time-limit", "1.5"], "time_limit", 1.5),
        (["--memory", "2.5"], "memory_gb", 2.5),
        (["--device", "cpu"], "device", "cpu"),
        (["--precision", "bf16"], "precision", "bf16"),
    ],
)
def test_every_flag_of_convert_reaches_the_job(
    flags: list[str], field: str, value: object, tmp_path: Path, jobs: list[ConvertJob]
) -> None:
    assert main(_convert_arguments(tmp_path)) == main(_convert_arguments(tmp_path, *flags)) == 0
    default = ConvertJob(model=Path("model"), sources=(tmp_path / "in",), to=tmp_path / "out", direction="a2b")
    assert jobs[0] == default
    assert jobs[1] == dataclasses.replace(default, **{field: value}) != default


@pytest.mark.parametrize(
    ("flags", "sentences"),
    [
        (["--name", "result"], ("names of their own", "--name")),
        (["--name", "{name"], ("brace too many", "--name")),
        (["--memory", "0"], ("memory in GB", "--memory")),
        (["--time-limit", "-1"], ("time limit", "--time-limit")),
        (["--max-megapixels", "0"], ("largest picture", "--max-megapixels")),
        (["--quality", "101"], ("quality", "--quality")),
        (["--watch", "--report", "new"], ("watching has none",)),
        (["--report", "IN/report"], ("source folder", "--report")),
        (["--report", "IN"], ("source folder",)),
        (["--report", "FULL"], ("nothing is overwritten",)),
    ],
)
def test_what_makes_no_sense_is_said_before_any_work(
    flags: list[str],
    sentences: tuple[str, ...],
    tmp_path: Path,
    jobs: list[ConvertJob],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").write_text("mine")
    flags = [flag.replace("IN", str(tmp_path / "in")).replace("FULL", str(tmp_path / "full")) for flag in flags]
    assert main(_convert_arguments(tmp_path, *flags)) == 2
    complaint = capsys.readouterr().err
    assert all(sentence in complaint for sentence in sentences)
    assert "Traceback" not in complaint and not jobs


def follow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, events: list[ConvertEvent], *flags: str) -> int:
    """Show these events as those of a conversion."""

    def convert(job: ConvertJob) -> Iterator[ConvertEvent]:
        yield from events

    monkeypatch.setattr("engine.cli.convert.convert", convert)
    return main(_convert_arguments(tmp_path, *flags))


def test_skipped_ones_are_counted_and_a_full_disk_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = tuple(tmp_path / "in" / f"{number}.png" for number in range(4))
    out = tmp_path / "out"
    full = WaitingForSpace(out, "The disk is full.")
    events: list[ConvertEvent] = [
        Preparing("Looking for pictures"),
        ConvertPlanned(sources[:3], 0, out, "CPU", "fp32"),
        FileSkipped(0, sources[0], out / "0.png", True, "It was converted before."),
        ConvertingFile(1, sources[1]),
        full,
        full,
        Converted(1, sources[1], out / "1.png", ("16 to 8 bit: JPEG.",), 0.1),
        full,
        FileFailed(2, sources[2], "2.png is cut off."),
        FilesFound(sources[3:]),
        Converted(3, sources[3], out / "3.png", (), 0.1),
        ConvertFinished(2, 1, 1, 0, out, 1.0),
    ]
    assert follow(monkeypatch, tmp_path, events) == 1
    told = capsys.readouterr().err
    assert told.count("The disk is full.") == 2, "once each time it fills up"
    assert f"{sources[1]}: 16 to 8 bit: JPEG." in told
    assert f"FAILED {sources[2]}: 2.png is cut off." in told
    assert "0.png: " not in told and "converted before" not in told
    assert "2 converted, 1 skipped, 1 failed" in told
    assert "4/4" in told, "the bar ends at all pictures, those that came later too"


def test_all_done_before_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in" / "a.png", tmp_path / "out"
    events: list[ConvertEvent] = [
        ConvertPlanned((source,), 0, out, "CPU", "fp32"),
        FileSkipped(0, source, out / "a.png", True, "It was converted before."),
        ConvertFinished(0, 1, 0, 0, out, 1.0),
    ]
    assert follow(monkeypatch, tmp_path, events) == 0
    told = capsys.readouterr().err
    assert "0 converted, 1 skipped, 0 failed" in told and "--again" in told


def test_a_report_of_the_whole_batch_is_written_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = tuple(tmp_path / "in" / f"{number}.png" for number in range(4))
    out = tmp_path / "out"
    events: list[ConvertEvent] = [
        ConvertPlanned(sources[:3], 0, out, "CPU", "fp32"),
        Converted(0, sources[0], out / "0.png", ("One.", "Two."), 0.1),
        FileFailed(1, sources[1], "1.png is cut off."),
        FileSkipped(2, sources[2], out / "2.png", True, "It was converted before."),
        FilesFound(sources[3:]),
        ConvertFinished(1, 1, 1, 0, out, 1.0),
    ]
    assert follow(monkeypatch, tmp_path, events, "--report", str(tmp_path / "report"), "--json") == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1] == {"event": "ReportWritten", "page": str(tmp_path / "report" / "report.html")}
    text = (tmp_path / "report" / "report.csv").read_text(encoding="utf-8-sig")
    states = [(row["source"], row["state"], row["notes"]) for row in csv.DictReader(text.splitlines())]
    assert states == [
        (str(sources[0]), "Done", "One. Two."),
        (str(sources[1]), "Failed", "1.png is cut off."),
        (str(sources[2]), "Skipped", "It was converted before."),
        (str(sources[3]), "Pending", ""),
    ]
    assert "1 done, 1 failed and 1 skipped" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("flags", [[], ["--again"]])
def test_a_stop_says_how_to_go_on(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopping(job: ConvertJob) -> Iterator[ConvertEvent]:
        yield ConvertPlanned((tmp_path / "a.png",), 0, tmp_path, "CPU", "fp32")
        signal.raise_signal(signal.SIGINT)
        yield Converted(0, tmp_path / "a.png", tmp_path / "b.png", (), 0.1)
        pytest.fail("it went on")

    monkeypatch.setattr("engine.cli.convert.convert", stopping)
    assert main(_convert_arguments(tmp_path, *flags, "--report", str(tmp_path / "report"))) == 130
    told = capsys.readouterr().err
    assert "Stopped after 1 picture. The same command" in told
    assert ("without --again" in told) == bool(flags)
    assert not (tmp_path / "report").exists(), "the same command shall find its folder empty"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such groups of processes")
def test_ctrl_c_at_a_terminal_leaves_whole_results_and_the_same_command_goes_on(
    trained: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(60):
        shutil.copy(root / "trainA" / "000.png", root / "trainA" / f"copy {number}.png")
    arguments = ["convert", str(trained), str(root / "trainA"), "--to", str(tmp_path / "out"), "--direction", "a2b"]
    with subprocess.Popen(
        [sys.executable, "-m", "engine", *arguments, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if json.loads(line)["event"] == "Converted":
                # As a terminal does: the worker processes get it, too.
                os.killpg(child.pid, signal.SIGINT)
                break
        told, complaint = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "The same command goes on where it stopped." in complaint and "Traceback" not in complaint
    done = 1 + sum(json.loads(line)["event"] == "Converted" for line in told.splitlines())
    assert len(results_in(tmp_path / "out")) == done < 66
    capsys.readouterr()
    assert main(arguments) == 0
    assert f"{66 - done} converted, {done} skipped, 0 failed" in capsys.readouterr().err
    assert len(results_in(tmp_path / "out")) == 66


def test_asked_to_be_a_worker_it_is_one_until_its_program_has_gone() -> None:
    command = [sys.executable, "-m", "engine", WORKER_ARGUMENT]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_pictures_on_a_list_are_not_trained_on(root: Path, tmp_path: Path) -> None:
    out = root / "trainA" / "000.png"
    (tmp_path / "list.txt").write_text(f"{out}\n\n", encoding="utf-8")
    run = tmp_path / "run"
    listed = ["--leave-out", str(tmp_path / "list.txt")]
    assert (
        main(["train", str(root), "--run", str(run), "--names", "Reds", "Blues", "--max-steps", "1", *listed, *TINY])
        == 0
    )
    document = json.loads((run / "config.json").read_bytes())
    assert document["config"]["left_out"] == {"folder_A": ["000.png"]}
    assert "000.png" not in document["pictures"]["train_A"]


def test_a_list_that_is_not_there_is_named(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = ["--leave-out", str(tmp_path / "no-list.txt")]
    assert main(["train", str(root), "--run", str(tmp_path / "run"), *listed, *TINY]) == 2
    assert "no-list.txt" in capsys.readouterr().err


def test_a_check_names_each_file_and_writes_what_to_leave_out(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "trainB" / "broken.png").write_bytes(b"no picture")
    bad = tmp_path / "bad.txt"
    assert main(["check", str(root), "--names", "Reds", "Blues", "--leave-out-list", str(bad)]) == 1
    out = capsys.readouterr().out
    assert "WARNING: 1 picture of Blues cannot be read" in out
    assert str(root / "trainB" / "broken.png") in out
    assert str(root / "trainB" / "broken.png") in bad.read_text(encoding="utf-8").splitlines()


def test_a_check_speaks_json(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "trainA" / "broken.png").write_bytes(b"no picture")
    assert main(["check", str(root / "trainA"), str(root / "trainB"), "--json"]) == 1
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    finding = next(event for event in events if event.get("kind") == "unreadable")
    assert finding["files"] == finding["leave_out"] == [str(root / "trainA" / "broken.png")]
    assert events[-1]["event"] == "Examined"


def test_a_check_says_by_its_exit_status_that_no_training_can_begin(root: Path, tmp_path: Path) -> None:
    for path in (root / "trainB").iterdir():
        path.write_bytes(b"")
    assert main(["check", str(root)]) == 2
    assert main(["check", str(tmp_path / "nowhere"), str(root / "trainA")]) == 2


def test_a_check_without_findings_ends_well(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.data.doctor.examine", lambda *_, **__: iter([Examined(9, 9, 9, 9, 0, 1.0)]))
    assert main(["check", str(root)]) == 0
