"""Two programs measured in turns: each is a process of its own that waits while the other works.

What is measured one after the other differs by what else the machine did meanwhile; in turns both suffer it. And a
process of its own has its own threads, memory and libraries: nothing of one side helps or hinders the other.

The process prints `{"ready": true}` once it is warm, then for each line on its standard input one object with what the
turn took, and at the end of the input one last object.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Answer = dict[str, Any]


class TurnError(Exception):
    """A process that takes turns, or a command, has failed; says how."""


@dataclass(frozen=True, slots=True)
class Spread:
    """What several measurements of the same thing gave.

    Attributes:
        median: The middle one.
        low: The smallest.
        high: The largest.
        count: How many there were.
    """

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """That of at least one number."""
        return cls(statistics.median(values), min(values), max(values), len(values))


class Worker:
    """A process that takes turns. Use it in a `with` statement, at whose end it is ended, whatever has happened."""

    def __init__(self, command: Sequence[object], *, patience: float = 300.0) -> None:
        """Start it and wait until it is ready.

        Args:
            command: The program and its arguments.
            patience: Seconds that it may take for one answer.

        Raises:
            TurnError: It has ended, or does not answer.
        """
        self._patience = patience
        self._command = [str(part) for part in command]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        try:
            self._answer()
        except BaseException:
            self.kill()
            raise

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def turn(self) -> Answer:
        """Let it work once; what it says of it.

        Raises:
            TurnError: It has ended, or does not answer.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        return self._answer()

    def finish(self) -> Answer:
        """Let it end; its last words.

        Raises:
            TurnError: It has ended without any, or does not answer.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        return self._answer()

    def kill(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def _answer(self) -> Answer:
        assert self._process.stdout is not None
        # A pipe cannot be read with a limit of time on every system, but its process can be ended.
        timer = threading.Timer(self._patience, self._process.kill)
        timer.start()
        try:
            for line in self._process.stdout:
                if line.startswith("{"):
                    answer: Answer = json.loads(line)
                    return answer
        finally:
            timer.cancel()
        self._process.wait()
        self._errors.seek(0)
        raise TurnError(last_words(self._command, self._errors.read().decode(errors="replace")))


def in_turns(workers: Mapping[str, Worker], turns: int) -> dict[str, list[Answer]]:
    """What each says of each of so many turns, taken A B A B."""
    answers: dict[str, list[Answer]] = {name: [] for name in workers}
    for _ in range(turns):
        for name, worker in workers.items():
            answers[name].append(worker.turn())
    return answers


def serve(act: Callable[[], Answer]) -> None:
    """The other side of `Worker`, up to but without its last words: act once for each line."""
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        print(json.dumps(act()), flush=True)


def run_json(command: Sequence[object], *, timeout: float) -> Answer:
    """Run a command whose last line is a JSON object.

    Raises:
        TurnError: It fails, takes longer than `timeout` seconds, or prints no such line.
    """
    words = [str(part) for part in command]
    try:
        done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise TurnError(f"{_shown(words)} took longer than {timeout:.0f} s") from error
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines or not lines[-1].startswith("{"):
        raise TurnError(last_words(words, done.stderr))
    answer: Answer = json.loads(lines[-1])
    return answer


def run_timed(command: Sequence[object], *, timeout: float) -> float:
    """Run a command; the seconds that it takes from its start to its end.

    Raises:
        TurnError: It fails or takes longer than `timeout` seconds.
    """
    words = [str(part) for part in command]
    started = time.perf_counter()
    try:
        done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise TurnError(f"{_shown(words)} took longer than {timeout:.0f} s") from error
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise TurnError(last_words(words, done.stderr))
    return seconds


@contextlib.contextmanager
def all_of(commands: Mapping[str, Sequence[object]], *, patience: float = 300.0) -> Iterator[dict[str, Worker]]:
    """Start workers one after the other, so that each can measure what suits it while the others are still."""
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(Worker(command, patience=patience)) for name, command in commands.items()}


def last_words(command: Sequence[str], said: str) -> str:
    """What a command that has failed said last, in a sentence."""
    lines = [line for line in said.splitlines() if line.strip()]
    return f"{_shown(command)} failed: {lines[-1].strip() if lines else 'it said nothing'}"


def _shown(command: Sequence[str]) -> str:
    """A command without the folders of this machine."""
    return " ".join(part.rpartition("/")[2] for part in command[:4])
