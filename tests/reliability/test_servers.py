"""gunicorn and Celery themselves: workers that are forked, recycled and stopped; every request is exported once."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from support.figures import Figure
from support.processes import environment, outcomes, stored
from support.waiting import wait_for

from groqscope import RequestRecord
from groqscope.simulator import Answer, Simulator

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")]

CONFIGURE = "import groqscope\ngroqscope.configure()\ngroqscope.instrument()\n"
REQUESTS, PER_WORKER = 24, 5
TASKS = 8


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait, while the process lives."""

    def true_or_over() -> bool:
        assert process.poll() is None, process.communicate()
        return true()

    wait_for(true_or_over)


def program(directory: Path, name: str, code: str) -> None:
    """Write a program's file."""
    (directory / name).write_text(textwrap.dedent(code), "utf-8")


def started(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a module of Python's in the directory."""
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=directory,
        env=environment(directory),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def left_behind(directory: Path) -> tuple[list[RequestRecord], int]:
    """Return the records in the store, and how many workers wrote them."""
    return stored(directory), len({path.name for path in (directory / "store").glob("traces-*")})


@pytest.mark.parametrize("where", ["before the fork", "in each worker", "in post_fork"])
def test_gunicorn(where: str, tmp_path: Path, figure: Figure) -> None:
    """Workers are recycled after a few requests and stopped by SIGTERM; what was left open is there as abandoned."""
    socket = tmp_path / "socket"
    with Simulator(Answer(["a", "b"])) as sim:
        program(
            tmp_path,
            "app.py",
            ("" if where == "in post_fork" else CONFIGURE)
            + f"""
import groq
from support.scope import ASK, STREAM

left_open = []

def app(environ, start_response):
    client = groq.Groq(api_key="test", base_url={sim.base_url!r})
    if environ["PATH_INFO"] == "/open":
        left_open.append(client.chat.completions.create(**STREAM))
        next(iter(left_open[0]))
    else:
        list(client.chat.completions.create(**STREAM))
    start_response("200 OK", [("content-length", "0")])
    return [b""]
""",
        )
        settings = f'bind, workers, max_requests = "unix:{socket}", 2, {PER_WORKER}\n'
        settings += f"preload_app = {where == 'before the fork'}\n"
        if where == "in post_fork":
            settings += "def post_fork(server, worker):\n" + textwrap.indent(CONFIGURE, "    ")
        program(tmp_path, "gunicorn.conf.py", settings)
        with (
            started(tmp_path, "gunicorn", "app:app") as master,
            httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=60) as web,
        ):
            wait_until(socket.exists, master)
            for _ in range(REQUESTS):
                assert web.get("http://web/").status_code == 200
            assert web.get("http://web/open").status_code == 200
            master.send_signal(signal.SIGTERM)
            said, _ = master.communicate(timeout=60)
    records, workers = left_behind(tmp_path)
    figure(f"gunicorn, configured {where}", f"{REQUESTS + 1} requests, {workers} workers, {len(records)} records")

    assert master.returncode == 0, said
    assert outcomes(tmp_path) == ["abandoned"] + ["completed"] * REQUESTS
    assert len({r.span_id for r in records}) == REQUESTS + 1
    assert workers > REQUESTS // PER_WORKER // 2


@pytest.mark.parametrize("where", ["before the fork", "in each worker"])
def test_celery(where: str, tmp_path: Path, figure: Figure) -> None:
    """A prefork worker, as the documentation has it, with a broker in files: recycled, and stopped by SIGTERM."""
    for folder in ("queue", "done"):
        (tmp_path / folder).mkdir()
    with Simulator(Answer(["a", "b"])) as sim:
        program(
            tmp_path,
            "tasks.py",
            (CONFIGURE if where == "before the fork" else "")
            + f"""
import groq, os
from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown
from support.scope import STREAM

app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {{"data_folder_in": "queue", "data_folder_out": "queue"}}
app.conf.worker_max_tasks_per_child = 3

@worker_process_init.connect
def observe(**_):
    if {where == "in each worker"}:
        import groqscope

        groqscope.configure(service_name="tasks")
        groqscope.instrument()

@worker_process_shutdown.connect
def export(**_):
    import groqscope

    groqscope.flush()

@app.task
def work(number):
    list(groq.Groq(api_key="test", base_url={sim.base_url!r}).chat.completions.create(**STREAM))
    open(f"done/{{number}}", "w").close()
""",
        )
        subprocess.run(
            [sys.executable, "-c", f"import tasks\nfor n in range({TASKS}): tasks.work.delay(n)"],
            cwd=tmp_path,
            env=environment(tmp_path) | {"GROQSCOPE_HOME": str(tmp_path / "sender")},
            check=True,
            timeout=60,
        )
        quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING")
        with started(
            tmp_path, "celery", "-A", "tasks", "worker", "--pool=prefork", "--concurrency=2", *quiet
        ) as worker:
            wait_until(lambda: len(list((tmp_path / "done").iterdir())) == TASKS, worker)
            worker.send_signal(signal.SIGTERM)
            said, _ = worker.communicate(timeout=60)
    records, workers = left_behind(tmp_path)
    figure(f"Celery, configured {where}", f"{TASKS} tasks, {workers} workers, {len(records)} records")

    assert worker.returncode == 0, said
    assert outcomes(tmp_path) == ["completed"] * TASKS
    assert len({r.span_id for r in records}) == TASKS
    assert workers > 1
