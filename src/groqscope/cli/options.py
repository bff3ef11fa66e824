"""The options of `groqscope audit`, each with its help."""

from pathlib import Path
from typing import Annotated

import typer

Texts = list[str] | None

What = Annotated[
    Texts,
    typer.Argument(metavar="ID|FILE|DIR|-", help="A request or run by ID; files to read instead of the local store."),
]

Tempo = Annotated[
    str | None, typer.Option("--tempo", metavar="URL", help="Read from Tempo, for example http://127.0.0.1:3200.")
]
ClickHouse = Annotated[
    str | None,
    typer.Option(
        "--clickhouse",
        metavar="URL",
        help="Ask a ClickHouse that the collector writes to, for example http://127.0.0.1:8123/otel.",
    ),
]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Only after this: 30m, 1h, 2d ago, or an ISO date and time."),
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only before this, as in --since.")]
Model = Annotated[
    Texts, typer.Option("--model", metavar="NAME", help="Only models with this in their name; repeatable.")
]
Service = Annotated[Texts, typer.Option("--service", metavar="NAME", help="Only this service; repeatable.")]
Outcome = Annotated[
    Texts,
    typer.Option(
        "--outcome",
        metavar="OUTCOME",
        help="Only completed, closed, abandoned, cancelled, error or truncated; repeatable.",
    ),
]
Where = Annotated[
    str | None,
    typer.Option("--where", metavar="EXPR", help="Only requests for which this is true: 'ttfc > 1s and retries > 0'."),
]
Last = Annotated[int | None, typer.Option("--last", metavar="N", help="Only the newest N.")]
Slowest = Annotated[
    int | None, typer.Option("--slowest", metavar="N", help="List the slowest N instead of the newest.")
]
By = Annotated[
    str,
    typer.Option(
        "--by",
        metavar="FIELD",
        help="Group by texts, with commas: model,user,tag.NAME. With --slowest: a number or phase.",
    ),
]

Why = Annotated[bool, typer.Option("--why", help="Show the causes over all slow requests.")]
Tools = Annotated[bool, typer.Option("--tools", help="Show tool calls by tool.")]
Runs = Annotated[
    bool, typer.Option("--runs", help="List runs (agents, groqscope.run, server spans), or show one by ID.")
]
Order = Annotated[str, typer.Option("--order", metavar="ORDER", help="With --runs: newest, slowest or dearest first.")]
Compare = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--compare",
        metavar="A B",
        help="Show what changed from A to B: files or directories; with --clickhouse or --tempo two times, FROM..TO.",
    ),
]
Fields = Annotated[bool, typer.Option("--fields", help="List the fields that --where, --by and --budget know.")]

Budget = Annotated[
    Texts,
    typer.Option(
        "--budget", metavar="BUDGET", help="A limit: 'ttfc.p95<400ms', 'errors<1%', 'cost.sum<2usd'; repeatable."
    ),
]
Goodput = Annotated[
    Texts,
    typer.Option("--goodput", metavar="KEY:MS", help="Count requests that meet all of ttft:400, tpot:10, e2el:3000."),
]
ProjectBudgets = Annotated[
    bool, typer.Option("--budgets", help="Budgets of the nearest pyproject.toml, table tool.groqscope.budgets.")
]
Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="The same from another TOML file.")]

Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]
Csv = Annotated[bool, typer.Option("--csv", help="Write CSV, a line per request.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Write Markdown, for a pull request.")]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a self-contained HTML page.")]
Limit = Annotated[int | None, typer.Option("--limit", metavar="N", help="List at most N requests.")]
Unit = Annotated[str | None, typer.Option("--unit", metavar="UNIT", help="Durations in us, ms or s.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite an existing HTML file.")]
