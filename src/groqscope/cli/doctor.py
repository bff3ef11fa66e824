"""`groqscope doctor`."""

import json
import platform
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from groqscope.cli.doctor_checks import Finding

_MARKS = {"ok": "ok", "broken": "BROKEN", "note": "note", "unknown": "-"}
_TITLES = {
    "instrumentation": "Which instrumentation is active",
    "telemetry": "Where telemetry goes",
    "test": "A test request and a test span",
}
_EXAMPLES = """\b
Examples:
  groqscope doctor                             with your program's settings
  opentelemetry-instrument groqscope doctor    the same, under zero code
  groqscope doctor --json                      for bug reports, no secrets
\b
Exit status: 0 success, 1 something is broken.
"""


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("doctor", epilog=_EXAMPLES, short_help="Check what is installed, and whether telemetry arrives.")(
        doctor
    )


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False) -> int:
    """Show what is installed, which instrumentation is active and where telemetry goes, and send a test span."""
    from groqscope.cli.doctor_checks import examine

    findings = list(examine())
    broken = [finding for finding in findings if finding.state == "broken"]
    if as_json:
        facts = {"schema_version": 1, "ok": not broken, **_surroundings()}
        print(json.dumps({**facts, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        _show(findings)
        print(f"\nBroken: {', '.join(f.name for f in broken)}." if broken else "\nAll is well.")
    return 1 if broken else 0


def _surroundings() -> dict[str, Any]:
    from groqscope import __version__
    from groqscope.cli.doctor_checks import PACKAGES, extras, variables, versions

    return {
        "groqscope": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": versions(PACKAGES),
        "extras": extras(),
        "environment": variables(),
    }


def _show(findings: "list[Finding]") -> None:
    about = _surroundings()
    print(f"groqscope {about['groqscope']}, Python {about['python']}, {about['platform']}\n\nWhat is installed")
    for name, version in about["packages"].items():
        _line("ok" if version else "BROKEN", name, version or "missing")
    for extra, what in about["extras"].items():
        _line("ok" if what else "-", f"extra {extra}", what or f"not installed: pip install 'groqscope[{extra}]'")
    for part, title in _TITLES.items():
        print(f"\n{title}")
        for finding in (f for f in findings if f.part == part):
            _line(_MARKS[finding.state], finding.name, finding.detail)
            if finding.remedy is not None:
                _line("", "", f"-> {finding.remedy}")
    if about["environment"]:
        print("\nSettings in the environment")
        for name, value in about["environment"].items():
            print(f"  {name}={value}")


def _line(mark: str, name: str, detail: str) -> None:
    print(f"  {mark:<7} {name:<20} {detail}")
