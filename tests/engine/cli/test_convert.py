"""`cyclegan convert`, as a user types it."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.__main__ import main
from engine.config import ConvertJob
from engine.events import (
    Converted,
    ConvertEvent,
    ConvertFinished,
    ConvertingFile,
    ConvertPlanned,
    FileFailed,
    FilesFound,
    FileSkipped,
    Preparing,
    WaitingForSpace,
)
from tests.engine.cli.conftest import results_in


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
        ConvertPlanned(sources[:3], 0, out, "CPU", "bf16", "OpenVINO 1.2"),
        FileSkipped(0, sources[0], out / "0.png", True, "It was converted before."),
        ConvertingFile(1, sources[1]),
        full,
        full,
        Converted(1, sources[1], out / "1.png", ("16 to 8 bit: JPEG.",), 0.1, "OpenVINO"),
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
    assert "Converting 3 pictures by OpenVINO 1.2 on CPU, bf16" in told
    assert "2 converted, 1 skipped, 1 failed. Converted by OpenVINO (1) and PyTorch (1). The results are in" in told
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
        # Not by communicate(), which knows nothing of lines that were read ahead.
        assert child.stderr is not None
        told, complaint = child.stdout.read(), child.stderr.read()
    assert child.returncode == 130
    assert "The same command goes on where it stopped." in complaint and "Traceback" not in complaint
    done = 1 + sum(json.loads(line)["event"] == "Converted" for line in told.splitlines())
    assert len(results_in(tmp_path / "out")) == done < 66
    capsys.readouterr()
    assert main(arguments) == 0
    assert f"{66 - done} converted, {done} skipped, 0 failed" in capsys.readouterr().err
    assert len(results_in(tmp_path / "out")) == 66
