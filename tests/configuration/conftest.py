"""A collector, and programs that send to it."""

import os
import textwrap
from collections.abc import Iterator

import pytest
from support.collector import Collector, collector
from support.configured import Run
from support.programs import Done, Programs


@pytest.fixture(name="endpoint")
def _endpoint() -> Iterator[Collector]:
    with collector() as running:
        yield running


@pytest.fixture(name="run")
def _run(programs: Programs) -> Run:
    """Run a program in the present environment and some variables more, and check its exit status."""
    prelude = """
        import groqscope, json, logging, os, signal, sys, threading
        from opentelemetry import metrics, trace
        logging.basicConfig(format="%(levelname)s %(name)s %(message)s", level=logging.INFO)
    """

    def run(code: str, *, status: int = 0, **environment: str) -> Done:
        done = programs.run(textwrap.dedent(prelude) + textwrap.dedent(code), {**os.environ, **environment})
        assert done.status == status, done.stderr
        return done

    return run
