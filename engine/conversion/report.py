"""What became of a batch, to be kept: a table for spreadsheets, and pages with before and after. Needs no torch.

The pages work from the disk and from the net, without scripts and without asking anybody else for anything. File names
and reasons are data: nothing in them can become markup, a link elsewhere, or a formula.
"""

from __future__ import annotations

import csv
import html
import io
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from engine.data.folders import is_within
from engine.data.images import read_thumbnail
from engine.data.workers import WorkerDiedError, Workers, WorkerTimeoutError
from engine.errors import DataError, PictureError
from engine.events import Preparing
from engine.files import disk_sentence, require_writable, write_new
from engine.words import counted, listed

RowState: TypeAlias = Literal["Done", "Failed", "Skipped", "Canceled", "Pending"]

TABLE_NAME = "report.csv"
PAGE_NAME = "report.html"

# What needs somebody's attention comes first.
_ORDER: tuple[RowState, ...] = ("Failed", "Canceled", "Pending", "Done", "Skipped")

_ROWS_A_PAGE = 200

_SIDE = 240
_JPEG_QUALITY = 80
# Two of some 10 KB each: with more, a report would outgrow its results.
_MOST_WITH_PICTURES = 5_000

_THUMBNAIL_SECONDS = 30.0
_PROCESSES = min(4, os.cpu_count() or 1)
_HEARTBEAT_SECONDS = 0.25

# What spreadsheets take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


@dataclass(frozen=True, slots=True)
class ReportRow:
    """What became of one picture.

    Attributes:
        source: The picture.
        state: One of `RowState`.
        target: Its result, made now or before; None if there is none.
        text: What could not be kept, or why it failed or was skipped; sentences, or "".
        seconds: Time it took, 0 if it was not converted.
        engine: What translated it, such as "OpenVINO"; "" if that was not now.
    """

    source: Path
    state: RowState
    target: Path | None = None
    text: str = ""
    seconds: float = 0.0
    engine: str = ""


def check_report_folder(to: Path, sources: Sequence[Path] = ()) -> None:
    """See that a report can be written there, before hours of work.

    Args:
        to: The folder of the report.
        sources: Folders of pictures to convert, in which the report's own pictures must not lie.

    Raises:
        DataError: With the field "report" and a sentence that says what to do.
    """
    for folder in sources:
        if is_within(to, folder):
            raise DataError(
                f"The report {to} would lie in the source folder {folder}, so its small pictures would be taken for "
                "sources next time. Choose a folder elsewhere.",
                field="report",
            )
    try:
        if to.exists() and (not to.is_dir() or any(to.iterdir())):
            raise DataError(
                f"{to} is there already, and nothing is overwritten. Choose a new or an empty folder for the report.",
                field="report",
            )
        require_writable(to)
    except OSError as error:
        raise DataError(disk_sentence(error, to), field="report") from error


def write_report(rows: Sequence[ReportRow], to: Path, title: str) -> Iterator[Preparing]:
    """Write `report.csv`, `report.html` and, for more than 200 pictures, `report-2.html` and so on.

    The table has the order of `rows`, the pages begin with what failed. Small pictures of sources and results lie in
    `pictures`, made by processes that can be ended: one that cannot be read just has none. Of very long reports only
    the first 5,000 converted pictures are shown.

    Args:
        rows: What became of each picture.
        to: A folder that is new or empty.
        title: The heading of the pages.

    Raises:
        DataError: The folder is not empty or cannot be used (field "report").
    """
    check_report_folder(to)
    try:
        (to / "pictures").mkdir(parents=True)
        write_new(to / TABLE_NAME, _table(rows))
        yield from _write_pages(rows, to, title)
    except OSError as error:
        raise DataError(disk_sentence(error, to), field="report") from error


# The table


def _table(rows: Sequence[ReportRow]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("source", "result", "state", "notes", "seconds", "engine"))
    for row in rows:
        target = "" if row.target is None else _cell(str(row.target))
        writer.writerow((_cell(str(row.source)), target, row.state, _cell(row.text), f"{row.seconds:.2f}", row.engine))
    # Excel knows UTF-8 by its mark only.
    return text.getvalue().encode("utf-8-sig")


def _cell(text: str) -> str:
    text = _printable(text)
    return f"'{text}" if text.startswith(_FORMULA) else text


# The small pictures


@dataclass(frozen=True, slots=True)
class _Thumbnail:
    """One small picture of a report."""

    name: str
    width: int
    height: int


_Pair: TypeAlias = tuple[_Thumbnail | None, _Thumbnail | None]


def thumbnail_jpeg(path: Path) -> tuple[bytes, int, int]:
    """A small JPEG of a picture, its width and its height. Called in a process of its own.

    Raises:
        PictureError: It cannot be read.
        MemoryError: It is too large.
    """
    from PIL import Image

    image = Image.fromarray(read_thumbnail(path, _SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue(), image.width, image.height


def _write_pages(rows: Sequence[ReportRow], to: Path, title: str) -> Iterator[Preparing]:
    ordered = sorted(rows, key=lambda row: _ORDER.index(row.state))
    with_pictures = [row for row in ordered if _has_pictures(row)][:_MOST_WITH_PICTURES]
    starts = range(0, max(1, len(ordered)), _ROWS_A_PAGE)
    done = 0
    with Workers(_PROCESSES, _THUMBNAIL_SECONDS) as workers:
        pairs = _pairs(workers, with_pictures, to / "pictures")
        for page, start in enumerate(starts):
            shown: list[tuple[ReportRow, _Pair]] = []
            for row in ordered[start : start + _ROWS_A_PAGE]:
                pair: _Pair = (None, None)
                if done < len(with_pictures) and row is with_pictures[done]:
                    while (ready := next(pairs)) is None:
                        yield Preparing("Writing the report", done, len(with_pictures))
                    pair = ready
                    done += 1
                shown.append((row, pair))
            content = _page(shown, rows, title, page, len(starts), len(with_pictures))
            write_new(to / _page_name(page), content.encode("utf-8"))
            yield Preparing("Writing the report", done, len(with_pictures))


def _has_pictures(row: ReportRow) -> bool:
    return row.state in ("Done", "Skipped") and row.target is not None


def _pairs(workers: Workers, rows: Sequence[ReportRow], folder: Path) -> Iterator[_Pair | None]:
    """Before and after of each row in turn; None now and then while the next are not ready.

    Raises:
        OSError: They cannot be written.
    """
    waiting = iter(enumerate(rows, 1))
    under_way: list[tuple[int, Future[tuple[bytes, int, int]], Future[tuple[bytes, int, int]]]] = []

    def begin(count: int) -> None:
        for number, row in islice(waiting, count):
            assert row.target is not None
            before, after = workers.submit(thumbnail_jpeg, row.source), workers.submit(thumbnail_jpeg, row.target)
            under_way.append((number, before, after))

    begin(2 * _PROCESSES)
    while under_way:
        number, *futures = under_way[0]
        while wait_for(futures, _HEARTBEAT_SECONDS).not_done:
            yield None
        del under_way[0]
        begin(1)
        before, after = futures
        yield _written(before, folder / f"{number:05}-before.jpg"), _written(after, folder / f"{number:05}-after.jpg")


def _written(future: Future[tuple[bytes, int, int]], path: Path) -> _Thumbnail | None:
    try:
        data, width, height = future.result()
    except (PictureError, MemoryError, WorkerTimeoutError, WorkerDiedError):
        return None
    write_new(path, data)
    return _Thumbnail(path.name, width, height)


# The pages


def _page_name(page: int) -> str:
    return PAGE_NAME if page == 0 else f"report-{page + 1}.html"


def _page(
    shown: Sequence[tuple[ReportRow, _Pair]],
    rows: Sequence[ReportRow],
    title: str,
    page: int,
    page_count: int,
    picture_count: int,
) -> str:
    counts = Counter(row.state for row in rows)
    states = [state for state in _ORDER if counts[state]]
    choices = [
        f'<input type="radio" name="show" id="show-{state}"><label for="show-{state}" class="{state}">'
        f"{state} <b>{counts[state]:,}</b></label>"
        for state in states
    ]
    notes = [_engine_words(rows)] if any(row.engine for row in rows) else []
    if sum(map(_has_pictures, rows)) > picture_count:
        notes.append(f"Small pictures of the first {picture_count:,} are shown.")
    if page_count > 1:
        notes.append(f"Page {page + 1:,} of {page_count:,}. The choice above is among the pictures of this page.")
    links = _links(page, page_count)
    return _DOCUMENT.format(
        title=_escaped(title),
        style=_STYLE,
        total=counted(len(rows), "picture"),
        choices="\n".join(choices),
        notes="".join(f"<p>{_escaped(note)}</p>" for note in notes),
        links=links,
        table=TABLE_NAME,
        rows="\n".join(_row(row, pair) for row, pair in shown),
    )


def _engine_words(rows: Sequence[ReportRow]) -> str:
    """A sentence such as "Converted by OpenVINO." and "Converted by OpenVINO (900) and PyTorch (50)."."""
    counts = Counter(row.engine for row in rows if row.engine).most_common()
    if len(counts) == 1:
        return f"Converted by {counts[0][0]}."
    return f"Converted by {listed([f'{engine} ({count:,})' for engine, count in counts])}."


def _links(page: int, page_count: int) -> str:
    if page_count == 1:
        return ""
    near = {0, page_count - 1, *range(max(0, page - 2), min(page_count, page + 3))}
    parts = []
    before = -1
    for number in sorted(near):
        gap = "… " if number > before + 1 else ""
        here = ' aria-current="page"' if number == page else ""
        parts.append(f'{gap}<a href="{_page_name(number)}"{here}>{number + 1:,}</a>')
        before = number
    return f"<nav>{' '.join(parts)}</nav>"


def _row(row: ReportRow, pair: _Pair) -> str:
    pictures = "".join(_figure(picture, words) for picture, words in zip(pair, ("before", "after"), strict=True))
    target = "" if row.target is None else f"<p>{_link(row.target)}</p>"
    text = f'<p class="text">{_escaped(row.text)}</p>' if row.text else ""
    engine = f" by {_escaped(row.engine)}" if row.engine else ""
    seconds = f" <small>{row.seconds:.1f} s{engine}</small>" if row.seconds else ""
    return (
        f'<li class="{row.state}"><div class="pictures">{pictures}</div><div><p><span class="state">{row.state}</span>'
        f"{seconds}</p><p>{_link(row.source)}</p>{target}{text}</div></li>"
    )


def _figure(picture: _Thumbnail | None, words: str) -> str:
    if picture is None:
        return ""
    return (
        f'<img src="pictures/{picture.name}" width="{picture.width}" height="{picture.height}" alt="{words}" '
        'loading="lazy" decoding="async">'
    )


def _link(path: Path) -> str:
    """A path that opens the file. Signs in it that turn the direction of writing turn nothing around it."""
    shown = f"<bdi>{_escaped(str(path))}</bdi>"
    return f'<a href="{_escaped(path.absolute().as_uri())}">{shown}</a>'


def _escaped(text: str) -> str:
    return html.escape(_printable(text))


def _printable(text: str) -> str:
    """File names may hold bytes that are no Unicode."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


_DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p>{total}. As a table: <a href="{table}">{table}</a></p>
</header>
<input type="radio" name="show" id="show-all" checked><label for="show-all">All</label>
{choices}
{notes}
{links}
<ul>
{rows}
</ul>
{links}
</body>
</html>
"""

# Which rows are shown is the choice of a radio button before them: no script is needed.
_STYLE = """:root { color-scheme: light dark; --back: #f6f6f7; --card: #fff; --line: #d9d9de; --text: #1d1d1f;
  --faint: #66666d; --done: #1a7f37; --failed: #c62828; --skipped: #5f6b7a; --accent: #2459c4; }
@media (prefers-color-scheme: dark) { :root { --back: #17181a; --card: #212327; --line: #3a3d42; --text: #ececee;
  --faint: #a3a6ad; --done: #5fce80; --failed: #ff8a80; --skipped: #a9b4c2; --accent: #8ab4ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1100px; padding: 24px 16px 48px; background: var(--back); color: var(--text);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 24px; margin: 0 0 4px; overflow-wrap: anywhere; }
p { margin: 0 0 4px; }
header { margin-bottom: 20px; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
small, body > p { color: var(--faint); }
body > input { position: absolute; opacity: 0; }
body > label { display: inline-block; padding: 4px 14px; margin: 0 4px 12px 0; border: 1px solid var(--line);
  border-radius: 999px; background: var(--card); cursor: pointer; }
body > input:checked + label { border-color: var(--accent); box-shadow: inset 0 0 0 1px var(--accent); }
body > input:focus-visible + label { outline: 2px solid var(--accent); outline-offset: 2px; }
ul { list-style: none; margin: 12px 0; padding: 0; }
li { display: flex; flex-wrap: wrap; gap: 8px 16px; padding: 12px; margin-bottom: 8px; background: var(--card);
  border: 1px solid var(--line); border-radius: 10px; }
li > div:last-child { flex: 1 1 300px; min-width: 0; overflow-wrap: anywhere; }
.pictures { display: flex; gap: 8px; align-items: center; }
.pictures:empty { display: none; }
.pictures img { display: block; max-width: min(240px, 42vw); height: auto; border-radius: 4px;
  background: var(--back); }
.state { font-weight: 600; color: var(--skipped); }
.Done .state, label.Done b { color: var(--done); }
.Failed .state, label.Failed b { color: var(--failed); }
nav { margin: 12px 0; }
nav a { padding: 4px 10px; border-radius: 6px; }
nav a[aria-current] { background: var(--accent); color: var(--back); }
STATES
@media print { body > input, body > label, nav { display: none; } li { break-inside: avoid; } }""".replace(
    "STATES",
    "\n".join(f"#show-{state}:checked ~ ul > li:not(.{state}) {{ display: none; }}" for state in get_args(RowState)),
)
