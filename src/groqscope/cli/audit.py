"""`groqscope audit`."""

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from groqscope.cli import options as opt
from groqscope.cli.output import checked_unit, look, say, say_first, write_new
from groqscope.cli.progress import Progress, uncollected

if TYPE_CHECKING:
    from groqscope.audit import Audit, Budgets, Query, ReadReport, Records, RunsAudit
    from groqscope.audit.formatting import UnitName
    from groqscope.audit.reports import Report, Section

OVER, BROKEN, INCONCLUSIVE = 1, 2, 3
"""Exit statuses: a budget is exceeded, an input is unreadable, a budget is inconclusive."""

_EXAMPLES = """\b
Examples:
  groqscope audit                  newest requests, percentiles by model
  groqscope audit req_01j9         one request, by the start of one of its IDs
  groqscope audit 4bf92f35         a run, by the start of its trace or span ID
  groqscope audit --since 1h --where 'ttfc > 1s and retries > 0'
  groqscope audit --slowest 10 --by queue --html report.html
  groqscope audit --by tag.feature tokens and cost of each value of a tag
  groqscope audit --budget 'ttfc.p95<400ms' --budget 'errors<1%'
  groqscope audit --compare before.jsonl after.jsonl
  groqscope audit --runs --order slowest
\b
Exit status: 0 success, 1 a budget is exceeded, 2 an error or unreadable
input, 3 too few requests to decide whether a budget is exceeded.
"""


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("audit", epilog=_EXAMPLES, short_help="Show where the time went; one request, budgets, changes.")(audit)


@dataclass(frozen=True, slots=True)
class _Output:
    json: bool
    csv: bool
    markdown: bool
    html: Path | None
    limit: int | None
    unit: "UnitName | None"
    force: bool


def audit(
    what: opt.What = None,
    tempo: opt.Tempo = None,
    clickhouse: opt.ClickHouse = None,
    since: opt.Since = None,
    until: opt.Until = None,
    model: opt.Model = None,
    service: opt.Service = None,
    outcome: opt.Outcome = None,
    where: opt.Where = None,
    last: opt.Last = None,
    slowest: opt.Slowest = None,
    by: opt.By = "duration",
    why: opt.Why = False,
    tools: opt.Tools = False,
    runs: opt.Runs = False,
    order: opt.Order = "newest",
    compare: opt.Compare = None,
    fields: opt.Fields = False,
    budget: opt.Budget = None,
    goodput: opt.Goodput = None,
    budgets: opt.ProjectBudgets = False,
    config: opt.Config = None,
    json: opt.Json = False,
    csv: opt.Csv = False,
    markdown: opt.Markdown = False,
    html: opt.Html = None,
    limit: opt.Limit = None,
    unit: opt.Unit = None,
    force: opt.Force = False,
) -> int:
    """Show where the time went: newest requests, percentiles by model, one request, budgets, or what changed."""
    from groqscope.audit import Query, Records, parse_moment, source_of

    if fields:
        _print_fields()
        return 0
    output = _Output(json, csv, markdown, html, limit, checked_unit(unit), force)
    _check(output)
    now = time.time_ns()
    query = Query(
        since=None if since is None else parse_moment(since, "--since", now),
        until=None if until is None else parse_moment(until, "--until", now),
        models=tuple(model or ()),
        services=tuple(service or ()),
        outcomes=tuple(outcome or ()),
        where=where,
        last=last,
        slowest=slowest,
        by=by,
    )
    if compare is not None and tempo is clickhouse is None:
        return _compare([Records(source_of([path]), query) for path in compare], output, of_runs=runs)
    if compare is not None:
        sides = [Records(source_of([], tempo, clickhouse), _at(query, period, now)) for period in compare]
        return _compare(sides, output, of_runs=runs)
    paths, wanted = sort_out(what or [])
    records = Records(source_of(paths, tempo, clickhouse), query)
    if wanted is not None:
        return _one_run(records, wanted, output) if runs else _one(records, wanted, output)
    limits = _limits(budget or (), goodput or (), config, from_project=budgets)
    section: Section = "why" if why else "tools" if tools else "groups" if query.grouping is not None else "all"
    if runs:
        return _runs(records, order, output, limits, section)
    return _overview(records, output, limits, section)


def _overview(records: "Records", output: _Output, limits: "Budgets | None", section: "Section") -> int:
    from groqscope.audit import overview
    from groqscope.audit.execution import processors

    with _watched(records) as watch:
        report = overview(
            records,
            listed=_listed(output),
            budgets=limits,
            why=section == "why" or output.json or output.html is not None or output.markdown,
            timelines=output.json or output.html is not None,
            workers=processors(),
            watch=watch,
        )
    _write(report, output, section)
    return _status(report, records.report)


def _one(records: "Records", wanted: str, output: _Output) -> int:
    from groqscope.audit import find

    with _watched(records) as watch:
        report = find(records, wanted, watch=watch)
    _write(report, output, "all")
    return BROKEN if _broken(records.report) else 0


def _one_run(records: "Records", wanted: str, output: _Output) -> int:
    from groqscope.audit import one_run, trace_source

    _write(one_run(trace_source(records.source), records.query, wanted, report=records.report), output, "all")
    return BROKEN if _broken(records.report) else 0


def _runs(records: "Records", order: str, output: _Output, limits: "Budgets | None", section: "Section") -> int:
    from groqscope.audit import list_runs, trace_source
    from groqscope.audit.execution import processors

    with uncollected():
        report = list_runs(
            trace_source(records.source),
            records.query,
            order=order,
            listed=_listed(output),
            budgets=limits,
            report=records.report,
            workers=processors(),
        )
    _write(report, output, section)
    return _status(report, records.report)


@contextmanager
def _watched(records: "Records") -> Generator[Progress]:
    """Show a progress bar meanwhile."""
    progress = Progress(records)
    try:
        with uncollected():
            yield progress
    finally:
        progress.clear()


def _compare(sides: "list[Records]", output: _Output, *, of_runs: bool) -> int:
    from groqscope.audit import compare, compare_runs

    with _watched(sides[0]) as watch:
        report = compare_runs(*sides) if of_runs else compare(sides[0], sides[1], watch=watch)
    _write(report, output, "all")
    return BROKEN if any(_broken(side.report) for side in sides) else 0


def _at(query: "Query", period: str, now: int) -> "Query":
    """Return a query of a time that is written `FROM..TO`, either of which may be left out.

    Raises:
        AuditError: it is not written so.
    """
    from groqscope.audit import AuditError, parse_moment

    since, dots, until = (part.strip() for part in period.partition(".."))
    if not dots or not (since or until):
        raise AuditError(
            f"--compare {period!r} is not a time: with --clickhouse or --tempo write two, FROM..TO as in --since, for "
            "example --compare 2d..1d 1d.."
        )
    return replace(
        query,
        since=parse_moment(since, "--compare", now) if since else query.since,
        until=parse_moment(until, "--compare", now) if until else query.until,
    )


def sort_out(arguments: list[str]) -> tuple[list[str], str | None]:
    """Separate files and directories from the ID among the arguments.

    Raises:
        AuditError: there are several IDs.
    """
    from groqscope.audit import AuditError

    paths = [
        a
        for a in arguments
        if a == "-" or Path(a).exists() or "/" in a or a.endswith((".jsonl", ".json", ".gz", ".parquet"))
    ]
    ids = [a for a in arguments if a not in paths]
    if len(ids) > 1:
        raise AuditError(f"{ids[1]!r} is not a file or directory, and only one ID can be shown at a time ({ids[0]!r})")
    return paths, ids[0] if ids else None


def _limits(budget: Any, goodput: Any, config: Path | None, *, from_project: bool) -> "Budgets | None":
    from groqscope.audit import parse_budgets, project_budgets

    if from_project or config is not None:
        return parse_budgets(budget, goodput, project=project_budgets(config))
    return parse_budgets(budget, goodput)


def _status(report: "Audit | RunsAudit", read: "ReadReport") -> int:
    verdicts = {result.verdict for result in report.budgets}
    if "over" in verdicts:
        return OVER
    if _broken(read):
        return BROKEN
    return INCONCLUSIVE if "inconclusive" in verdicts else 0


def _broken(report: "ReadReport") -> bool:
    """Print what is damaged; return whether anything is. A line being written and a limit's effects are no damage."""
    broken = [warning for warning in report.warnings if warning.damage]
    say_first(broken)
    more = len(broken) - 3 + report.warnings_dropped
    if report.damaged and more > 0:
        say(f"and {more:,} more; the report lists them")
    return report.damaged


_LISTED_JSON, _LISTED_HTML, _LISTED_MARKDOWN = 1000, 10_000, 10


def _listed(output: _Output) -> int | None:
    from groqscope.audit import LISTED

    if output.limit is not None:
        return output.limit
    if output.csv:
        return None
    if output.html is not None:
        return _LISTED_HTML
    return _LISTED_JSON if output.json else _LISTED_MARKDOWN if output.markdown else LISTED


def _check(output: _Output) -> None:
    from groqscope.audit import AuditError

    if sum((output.json, output.csv, output.markdown)) > 1:
        raise AuditError("use only one of --json, --csv and --markdown")
    if output.limit is not None and output.limit < 0:
        raise AuditError(f"--limit must be at least 0, not {output.limit}")
    if output.html is not None and output.html.exists() and not output.force:
        raise AuditError(f"{output.html} exists already: choose another name, or overwrite it with --force")


def _write(report: "Report", output: _Output, section: "Section") -> None:
    from groqscope.audit import reports

    if output.html is not None:
        write_new(output.html, reports.HtmlRenderer(unit=output.unit).render(report), force=output.force)
        print(f"wrote {output.html}", file=sys.stderr)
    if output.json:
        text = reports.JsonRenderer().render(report)
    elif output.csv:
        text = reports.CsvRenderer().render(report, "groups" if section == "groups" else "all")
    elif output.markdown:
        text = reports.MarkdownRenderer(unit=output.unit).render(report)
    elif output.html is not None:
        return
    else:
        text = reports.TerminalRenderer(look(output.unit)).render(report, section)
    print(text, end="" if text.endswith("\n") else "\n")


def _print_fields() -> None:
    from groqscope.audit.fields import FIELDS

    width = max(len(field.name) for field in FIELDS)
    for field in FIELDS:
        names = f"{field.name:<{width}}"
        also = f" (also {', '.join(field.aliases)})" if field.aliases else ""
        kind = field.kind if field.kind != "number" or field.unit == "1" else field.unit
        print(f"{names}  {kind:<8}  {field.brief}{also}")
