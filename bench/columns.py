"""How the audit of Parquet grows: `python -m bench.audit --requests 10_000_000 [--directory DIR]`.

The first million requests, one day, are written by the project's own writer; the other days are copies of it, with other
times and IDs. CPU is that of the command, which on a busy machine says more than its wall clock.
"""

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from bench.audit import LINES, Measured, measure, requests, where
from groqscope import history
from groqscope.history.dataset import COMPRESSED, form_of_file, ids_query
from groqscope.history.engine import connect
from groqscope.history.layout import DAY_NS, day_of, ids_of_part, partition_day

_FIRST = datetime(2026, 9, 22, tzinfo=UTC)
_WIDTH, _HEIGHT, _EDGE = 640, 320, 48


def run(days: int, directory: Path | None) -> None:
    """Measure histories of up to so many days of a million requests, and print a table and a picture."""
    with ExitStack() as exit_:
        place = directory or Path(exit_.enter_context(tempfile.TemporaryDirectory()))
        make(place, days)
        size = sum(file.stat().st_size for file in place.rglob("*.parquet"))
        print(f"{size / days / LINES:.0f} bytes a request, its IDs' index included")
        _measure("overview of 100,000", place, 0.1)
        growing = [(n, _measure(f"overview of {n} million", place, n)) for n in _steps(days)]
        pruned = [
            (n, _measure("one day of " + f"{n} million", place, n, "--since", _moment(n - 1))) for n in _steps(days)
        ]
        _measure("one request of all", place, days, _an_id(place))
        print(picture([(n, m.cpu) for n, m in growing], [(n, m.cpu) for n, m in pruned]))


def make(place: Path, days: int) -> None:
    """Write what of so many days is not there yet."""
    if not list(place.glob("requests/**/*.parquet")):
        began = time.process_time()
        done = history.write(requests(LINES), place)
        print(f"written: {done.requests / (time.process_time() - began):,.0f} requests a second of CPU", flush=True)
    connection = connect(memory="1GB")
    first = sorted(place.glob(f"requests/day={_FIRST:%Y-%m-%d}/*/*.parquet"))
    for day in range(1, days):
        for part in first:
            _copy(connection, part, day)


def _copy(connection: Any, part: Path, day: int) -> None:
    """Write a part once more, some days later and under other IDs."""
    later = day * DAY_NS
    ((start,),) = connection.execute(f"SELECT min(start_unix_ns) FROM '{part}'").fetchall()
    target = Path(str(part).replace(partition_day(str(part)) or "", day_of(start + later)))
    if target.exists():
        return
    new = {
        "start_unix_ns": f"start_unix_ns + {later}",
        "created": f"created + {later // 10**9}",
        "trace_id": _other("trace_id", day),
        "span_id": _other("span_id", day),
        "request_id": f"left(request_id, 7) || {_other('substr(request_id, 8)', day)}",
        "response_id": f"left(response_id, 9) || {_other('substr(response_id, 10)', day)}",
    }
    source = f"read_parquet('{part}', hive_partitioning = false)"
    replaced = ", ".join(f"{sql} AS {name}" for name, sql in new.items())
    form = form_of_file(complete=True)
    _write(connection, f"SELECT * REPLACE ({replaced}) FROM {source}", target, form)
    ids = Path(ids_of_part(str(target)))
    _write(connection, ids_query(str(target)), ids, f"{COMPRESSED}, ROW_GROUP_SIZE 20480")


def _other(text: str, day: int) -> str:
    """Return another random text, as cheaply as that goes: turned round, in other digits."""
    turned, digits = day % 16, "0123456789abcdef"
    by = day // 16
    return (
        f"translate(substr({text}, {1 + turned}) || left({text}, {turned}), '{digits}', '{digits[by:] + digits[:by]}')"
    )


def _write(connection: Any, query: str, target: Path, form: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_suffix(".aside")
    connection.execute(f"COPY ({query}) TO '{aside}' ({form})")
    aside.rename(target)


def _steps(days: int) -> list[int]:
    return [n for n in (1, 2, 5, 10, 20, 50, 100) if n < days] + [days]


def _moment(days: float) -> str:
    return f"{_FIRST + timedelta(days=days):%Y-%m-%dT%H:%MZ}"


def _an_id(place: Path) -> str:
    part = max(place.glob("requests/**/*.parquet"))
    return str(duckdb.sql(f"SELECT trace_id FROM '{part}' LIMIT 1").fetchall()[0][0])


def _measure(what: str, place: Path, days: float, *arguments: str) -> Measured:
    took = measure(str(place), "--until", _moment(days), *arguments)
    print(
        f"{what}: {took.seconds:.2f} s, {took.cpu:.2f} s of CPU, {took.megabytes:,.0f} MB ({where()})",
        flush=True,
    )
    return took


def picture(growing: Sequence[tuple[int, float]], pruned: Sequence[tuple[int, float]]) -> str:
    """Return a drawing of CPU by millions of requests: all of them read, and one day of them."""
    right, top = growing[-1][0], max(cpu for _, cpu in growing)

    def at(millions: float, cpu: float) -> tuple[float, float]:
        return _EDGE + millions / right * (_WIDTH - 2 * _EDGE), _HEIGHT - _EDGE - cpu / top * (_HEIGHT - 2 * _EDGE)

    def line(points: Sequence[tuple[int, float]], colour: str, name: str) -> str:
        places = [at(*point) for point in points]
        dots = "".join(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" fill="{colour}"/>' for x, y in places)
        path = " ".join(f"{x:.0f},{y:.0f}" for x, y in places)
        x, y = places[-1]
        return (
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'
            f'<text x="{x:.0f}" y="{y - 8:.0f}" text-anchor="end" fill="{colour}">{name}: {points[-1][1]:.1f} s</text>'
        )

    (left, bottom), (end, _) = at(0, 0), at(right, 0)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
        f'<path d="M{left:.0f} {_EDGE}V{bottom:.0f}H{end:.0f}" fill="none" stroke="#555"/>'
        f'<text x="{left:.0f}" y="{_EDGE - 12}" fill="#333">seconds of CPU</text>'
        f'<text x="{end:.0f}" y="{bottom + 30:.0f}" text-anchor="end" fill="#333">million requests in Parquet</text>'
        + "".join(
            f'<text x="{at(n, 0)[0]:.0f}" y="{bottom + 16:.0f}" text-anchor="middle" fill="#333">{n}</text>'
            for n, _ in growing
        )
        + line(growing, "#1f6feb", "all read")
        + line(pruned, "#b35900", "one day read")
        + "</svg>"
    )
