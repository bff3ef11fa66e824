"""Where each module of src is tested: `make check` holds that a stranger finds it.

`src/groqscope/ROOM/NAME.py` is tested by `tests/ROOM/test_NAME.py`. Those below are tested in files of other names:
by what they do together, or through the face of their room, so that they can be divided otherwise with the same tests.
"""

import sys
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parent
SOURCES: Final = TESTS.parent / "src" / "groqscope"
ELSEWHERE: Final = {
    "audit/reports/test_html.py": "audit/reports/html_data",
    "audit/reports/test_machines.py": "audit/reports/csv audit/reports/json audit/reports/markdown",
    "audit/reports/test_terminal.py": "audit/reports/details audit/reports/page audit/reports/rendering "
    "audit/reports/runs audit/reports/tables",
    "audit/reports/test_text.py": "audit/formatting audit/reports/bars _visible",
    "audit/reports/test_waterfall.py": "audit/reports/terminal_request",
    "audit/test_clickhouse.py": "audit/clickhouse_requests audit/clickhouse_schema audit/clickhouse_server "
    "audit/clickhouse_sql audit/clickhouse_traces",
    "audit/test_columnar.py": "audit/records audit/selected history/dataset history/measures",
    "audit/test_execution.py": "audit/scan audit/table audit/sample",
    "audit/test_expression.py": "audit/lexer audit/conditions",
    "audit/test_load.py": "audit/sources audit/dataframes store/sources",
    "audit/test_one.py": "audit/ids",
    "audit/test_overview.py": "audit/model audit/tally",
    "audit/test_runs.py": "audit/run_causes audit/run_fields",
    "audit/test_selection.py": "audit/errors",
    "audit/test_stored_runs.py": "audit/run_selection history/spans history/traces",
    "audit/test_verdict.py": "audit/baseline audit/rules audit/why",
    "cli/test_audit.py": "cli/options cli/output",
    "cli/test_demo.py": "cli/demo_scenes cli/demo_stages",
    "cli/test_doctor.py": "cli/doctor_checks",
    "cli/test_main.py": "cli/app _version",
    "cli/test_progress.py": "cli/demo_progress",
    "cli/test_simulate.py": "_serving",
    "cli/test_startup.py": "_lazy",
    "configuration/test_termination.py": "_termination",
    "delivery/test_outage.py": "delivery/exporters delivery/retrying delivery/sender delivery/spool",
    "delivery/test_push.py": "delivery/canonical delivery/transcode",
    "fastpath/test_decode.py": "fastpath/chunk_decoder",
    "history/test_compaction.py": "history/errors history/layout history/places",
    "instrument/test_calls.py": "instrument/apis instrument/recorder instrument/values",
    "instrument/test_control.py": "instrument/imports instrument/instrumentor instrument/scope",
    "instrument/test_endings.py": "instrument/lifecycle instrument/streams instrument/bytes",
    "instrument/test_exact_phases.py": "instrument/http testing/clock",
    "instrument/test_faults.py": "_diagnostics",
    "instrument/test_logs.py": "logs",
    "instrument/test_openai.py": "instrument/families instrument/hosts",
    "instrument/test_transparent.py": "instrument/records instrument/seam",
    "models/test_equality.py": "models/streamed_response",
    "runs/test_exact_parts.py": "runs/run",
    "runs/test_frameworks.py": "runs/spans",
    "simulator/test_endpoints.py": "simulator/errors simulator/received",
    "simulator/test_faults.py": "simulator/encoding simulator/events simulator/plan simulator/player simulator/script",
    "simulator/test_replay.py": "simulator/library simulator/ratelimits",
    "simulator/test_server.py": "simulator/app simulator/connection simulator/hub simulator/served simulator/uvicorn",
    "stack/test_check.py": "stack/checks",
    "cli/test_stack.py": "stack/files",
    "store/test_damage.py": "store/lenient store/report",
    "store/test_documents.py": "store/otlp",
    "store/test_foreign.py": "store/twice_told",
    "store/test_others.py": "store/traces",
    "store/test_reader.py": "store/decoding store/exporters store/messages",
    "store/test_writer.py": "store/directory store/locks store/segments",
    "telemetry/test_agreement.py": "telemetry/telemetry",
    "telemetry/test_metrics.py": "telemetry/background",
    "telemetry/test_spans.py": "telemetry/outer_inference",
    "test_codec.py": "semconv",
    "timeline/test_phases.py": "timeline/timeline",
    "timeline/test_stream.py": "timeline/sampling",
    "ui/test_app.py": "ui/server",
    "ui/test_collection.py": "ui/active ui/series",
    "ui/test_views.py": "ui/columns ui/parameters",
}
"""Files of tests, and the modules that they test."""


def main() -> int:
    """Print what is out of place; return the exit status."""
    listed = {module: file for file, modules in ELSEWHERE.items() for module in modules.split()}
    found = {
        str(path.relative_to(SOURCES).with_suffix("")): path
        for path in SOURCES.rglob("*.py")
        if not path.stem.startswith("__")
    }
    wrong = [
        f"tests/{file}: not there, but listed in tests/layout.py" for file in ELSEWHERE if not (TESTS / file).is_file()
    ]
    for module in sorted(found.keys() | listed.keys()):
        path = Path(module)
        by_name = (TESTS / path.parent / f"test_{path.name.lstrip('_')}.py").is_file()
        if module not in found:
            wrong.append(f"src/groqscope/{module}.py: not there, but listed in tests/layout.py")
        elif by_name and module in listed:
            wrong.append(f"src/groqscope/{module}.py: has tests of its name, and need not be listed in tests/layout.py")
        elif not by_name and module not in listed:
            wrong.append(
                f"src/groqscope/{module}.py: no tests/{path.parent}/test_{path.name}.py; say in tests/layout.py where"
            )
    print(*wrong, sep="\n", file=sys.stderr, end="\n" if wrong else "")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
