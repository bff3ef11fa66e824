"""What these tests were given, by environment variables; they know nothing else of the machine that they are on.

Programs that may be started here:

    OTELCOL, PROMETHEUS, PROMTOOL, DOCKER_COMPOSE, TEMPO, SEAWEEDFS
                                                            each a command, as it is written in a shell

Addresses of a stack that runs already, from `docker compose up`, all four or none:

    STACK_COLLECTOR, STACK_TEMPO, STACK_PROMETHEUS, STACK_GRAFANA
    STACK_GRAFANA_PASSWORD                                  of its admin, if it was started with one

and GRAFANA_SDK, a folder with the newest grafana-foundation-sdk, CHDB, one with ClickHouse's engine (chdb-core),
SPARK, one with PySpark, and KAFKA, one with a broker's jars; the last two need Java.
"""

import os
import shlex

import pytest

ADDRESSES = ("STACK_COLLECTOR", "STACK_TEMPO", "STACK_PROMETHEUS", "STACK_GRAFANA")
PASSWORD = os.environ.get("STACK_GRAFANA_PASSWORD")


def running_stack() -> dict[str, str] | None:
    """Return the addresses of the stack that runs already, if there is one."""
    found = {name: os.environ[name].rstrip("/") for name in ADDRESSES if os.environ.get(name)}
    assert not found or len(found) == len(ADDRESSES), f"all of {ADDRESSES} or none, not only {list(found)}"
    return found or None


def program(name: str) -> list[str]:
    """Return the command that a variable names."""
    return shlex.split(os.environ[name])


def needs(*names: str) -> pytest.MarkDecorator:
    """Skip where a variable names nothing; the reason says which."""
    lacking = [name for name in names if not os.environ.get(name)]
    return pytest.mark.skipif(bool(lacking), reason=f"not given: {', '.join(lacking)} (docs/contributing.md says how)")


def needs_stack() -> pytest.MarkDecorator:
    """Skip without a stack that was given, and can be stopped and started, or the programs to run one here."""
    return needs("DOCKER_COMPOSE") if running_stack() else needs("OTELCOL", "PROMETHEUS")


ON_GITHUB = pytest.mark.skipif(
    not running_stack(),
    reason="on GitHub only (.github/workflows/stack.yml): needs the official images of Grafana and Tempo, "
    f"started by docker compose, and their addresses in {', '.join(ADDRESSES)}",
)
"""For a file of tests that no stand-in can serve."""
