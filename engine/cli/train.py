"""`cyclegan train`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_never

from engine import resume, train
from engine.cli.estimate import flags_of
from engine.cli.output import (
    NOTHING_DONE,
    OK,
    SOME_FAILED,
    STOPPED,
    Progress,
    Stop,
    complain,
    lead_output_nowhere,
    print_json,
)
from engine.cli.settings import add_settings, given_settings, new_config
from engine.config import (
    TrainConfig,
)
from engine.errors import ConfigError, EngineError, OutOfMemoryError
from engine.events import (
    WORTH_SAYING_WAITING,
    Alarm,
    HealthChecked,
    Notice,
    Preparing,
    QualityMeasured,
    RolledBack,
    SamplesDrawn,
    Saved,
    StepReport,
    TrainEvent,
    TrainFinished,
    TrainStarted,
)
from engine.ranks import LostRankError


def add_commands(commands: Any) -> None:
    """Add it to the parser of the headless command."""
    parser = commands.add_parser(
        "train",
        help="train a new model, or go on with a training",
        usage="cyclegan train A B --run RUN [option ...]\n       cyclegan train ROOT --run RUN [option ...]\n"
        "       cyclegan train --resume RUN [option ...]",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--run", "--into", type=Path, metavar="RUN", help="folder of the new training (--into for "
                       "torchrun, which takes --run for an option of its own)")  # fmt: skip
    where.add_argument("--resume", type=Path, metavar="RUN", help="go on with this training, also with other "
                       "settings, as far as its networks stay what they are")  # fmt: skip
    # For a process that trains on several GPUs by way of this command: every option in one file, and its own pace.
    where.add_argument("--config", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--more-epochs", type=int, metavar="N", help="with --resume: N epochs beyond those that it "
                        "has, of which the same share as before has a falling rate")  # fmt: skip
    parser.add_argument("--measure-again", action="store_true", help="with --resume: measure anew what is fastest "
                        "here, such as the number of threads, which a training keeps otherwise. Results are as good, "
                        "but differ in their last bits from what they would have been")  # fmt: skip
    parser.add_argument("--arguments", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--paced", action="store_true", help=argparse.SUPPRESS)
    add_settings(parser)
    parser.set_defaults(run_command=_run_train)


def _run_train(options: argparse.Namespace) -> int:
    if options.config is not None:
        events = train(TrainConfig.from_json(json.loads(options.config.read_bytes())))
    elif options.resume is not None:
        events = resume(options.resume, **_resume_arguments(options))
    elif options.more_epochs is not None:
        raise ConfigError("more_epochs", "More epochs are for a training that goes on: give --resume with its folder.")
    elif options.measure_again:
        raise ConfigError("measure_again", "A new training measures by itself: give --resume with a training's folder.")
    else:
        events = train(new_config(options, options.run))
    return _TrainProgress(as_json=options.json, paced=options.paced).follow(events)


def _resume_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `resume` beside the run.

    Raises:
        ConfigError: Something was given that a training under way cannot change.
    """
    from engine.training.changing import refuse_unchangeable

    if options.arguments is not None:
        return dict(json.loads(options.arguments.read_bytes()))
    given = given_settings(options)
    fixed = {name: None for name in ("names", "preset", "leave_out") if getattr(options, name) is not None}
    max_minutes = given.pop("max_minutes", None)
    if options.folders:
        raise ConfigError(
            "resume", f"A resumed training keeps its folders, so A B cannot be changed; leave out {options.folders[0]}."
        )
    refuse_unchangeable({**fixed, **given})
    return {
        "max_minutes": max_minutes,
        "more_epochs": options.more_epochs,
        "measure_again": options.measure_again,
        "changes": given,
    }


class _TrainProgress(Progress):
    def __init__(self, *, as_json: bool, paced: bool) -> None:
        super().__init__(as_json=as_json)
        self._paced = paced
        self._phase = ""
        self._alarms: tuple[Alarm, ...] = ()

    def follow(self, events: Iterator[TrainEvent]) -> int:
        run: Path | None = None
        with Stop() as stop:
            try:
                for event in events:
                    if isinstance(event, TrainStarted):
                        run = event.run
                    if self._paced:
                        if not _goes_on_after(event) or stop.asked:
                            events.close()  # type: ignore[attr-defined]
                            return OK
                        continue
                    if self._as_json:
                        print_json(event)
                    self._show(event)
                    if stop.asked:
                        self.close_bar()
                        events.close()  # type: ignore[attr-defined]
                        self.say("Stopped." if run is None else f'Saved. Go on with: cyclegan train --resume "{run}"')
                        return STOPPED
            except EngineError as error:
                self.close_bar()
                complain(
                    str(error),
                    as_json=self._as_json,
                    is_cause=not isinstance(error, LostRankError),
                    remedies=error.remedies if isinstance(error, OutOfMemoryError) else (),
                )
                return NOTHING_DONE if run is None else SOME_FAILED
            finally:
                self.close_bar()
        return OK

    def _show(self, event: TrainEvent) -> None:
        match event:
            case Preparing():
                if self._has_bar and self._bar is None and event.text != self._phase:
                    self._phase = event.text
                    self.say(f"{event.text} ...")
            case Notice():
                self.say(event.text)
            case TrainStarted():
                self.say(
                    f"Training {event.name_A} and {event.name_B} ({event.count_A:,} and {event.count_B:,} pictures) on "
                    f"{event.device}, {event.precision}, in {event.run}"
                )
                self.open_bar(event.total_steps, event.step, "step")
            case StepReport():
                losses = event.losses
                is_waiting = event.waiting >= WORTH_SAYING_WAITING
                self.advance_to(
                    event.step,
                    f"epoch {event.epoch}/{event.total_epochs} G {losses.G_AB:.2f} {losses.G_BA:.2f} "
                    f"D {losses.D_A:.2f} {losses.D_B:.2f} cycle {losses.cycle_A:.2f} {losses.cycle_B:.2f}"
                    + (f" waiting for pictures {event.waiting:.0%}" if is_waiting else ""),
                )
            case RolledBack():
                self.say(event.text)
            case HealthChecked():
                for alarm in event.alarms:
                    if alarm not in self._alarms:
                        self.say(" ".join(filter(None, (alarm.sentence, alarm.evidence, _remedy_words(alarm)))))
                self._alarms = event.alarms
            case QualityMeasured():
                self.say(_quality_words(event))
            case SamplesDrawn() | Saved():
                pass
            case TrainFinished():
                self.close_bar()
                self.say(f"Done at step {event.step:,}. The model is {event.model}")
            case _:
                assert_never(event)


def _quality_words(event: QualityMeasured) -> str:
    """Such as "Quality at step 200: 77.3 (untranslated pictures 189; lower is nearer to real ones)."."""
    start = sum(direction.start_line for direction in event.directions) / len(event.directions)
    # Until one is good, the newest stands for the best.
    best = f", the best was at step {event.best_step:,}" if event.best_step != event.step else ""
    return (
        f"Quality at step {event.step:,}: {event.score:.3g}{best} (untranslated pictures {start:.3g}; lower is nearer "
        "to real ones)."
    )


def _remedy_words(alarm: Alarm) -> str:
    """Such as "What may help: halve the learning rate (--resume with --learning-rate 0.0001); ..."."""
    words = []
    for remedy in alarm.remedies:
        flags = flags_of(remedy)
        how = f"a new training with {flags}" if remedy.begins_anew else f"--resume with {flags}"
        words.append(remedy.text[:1].lower() + remedy.text[1:] + (f" ({how})" if flags else ""))
    return f"What may help: {'; '.join(words)}." if words else ""


def _goes_on_after(event: TrainEvent) -> bool:
    """Print the event and wait for a line on standard input: "stop", its end, and a reader who has gone mean a stop."""
    try:
        print_json(event)
    except BrokenPipeError:
        lead_output_nowhere()
        return False
    return sys.stdin.readline().strip() not in ("", "stop")
