"""Forks, spawned processes and prefork servers: every request is exported once, by the process that made it."""

import os
from pathlib import Path

import pytest
from support.collector import collector
from support.processes import outcomes, run, stored

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")]


def test_fork_with_open_streams(tmp_path: Path) -> None:
    """Parent and child each export their own requests; the stream that was open at the fork is the parent's alone."""
    errors = run(
        tmp_path,
        """
        groqscope.configure()
        groqscope.instrument()
        ask()
        stream = opened()
        child = os.fork()
        if child == 0:
            list(stream)
            ask(2)
            left_open.append(opened())
            sys.exit(0)
        os.waitpid(child, 0)
        list(stream)
        """,
    )

    assert errors == ""
    assert outcomes(tmp_path) == ["abandoned"] + ["completed"] * 4
    assert len({r.span_id for r in stored(tmp_path)}) == 5


def test_fork_while_others_work(tmp_path: Path) -> None:
    """No child hangs on a lock of ours that a thread of its parent held at the fork, the loading of prices included.

    The SDK has locks too: a client's cookies, and what it finds out of the platform at its first request. So a child
    has a client of its own, and the parent has made a request.
    """
    run(
        tmp_path,
        """
        groqscope.configure()
        groqscope.instrument()
        stop = threading.Event()
        mine = client()
        ask(1, mine)
        def work():
            while not stop.is_set():
                ask(1, mine)
        threads = [threading.Thread(target=work) for _ in range(3)]
        [t.start() for t in threads]
        children = []
        for _ in range(20):
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                ask(1, client())
                os._exit(0 if groqscope.flush(10) else 1)
            children.append(child)
        statuses = [os.waitpid(child, 0)[1] for child in children]
        stop.set()
        [t.join() for t in threads]
        sys.exit(any(statuses))
        """,
    )

    pids = {path.name for path in (tmp_path / "store").glob("traces-*")}
    assert len(pids) == 21


def test_fork_while_a_thread_imports(tmp_path: Path) -> None:
    """No thread of ours imports what a child's own thread needs: a fork in between would leave that half imported.

    Here whatever a thread imports takes a second, and the process forks in the middle of it.
    """
    with collector() as endpoint:
        run(
            tmp_path,
            """
            class Slow:
                def find_spec(self, name, path=None, target=None):
                    if threading.current_thread() is not threading.main_thread():
                        time.sleep(1)

            sys.meta_path.insert(0, Slow())
            groqscope.configure()
            groqscope.instrument()
            ask()
            groqscope.flush(0.1)
            child = os.fork()
            if child == 0:
                signal.alarm(60)
                ask()
                os._exit(0 if groqscope.flush(20) else 1)
            assert os.waitpid(child, 0)[1] == 0
            """,
            OTEL_EXPORTER_OTLP_ENDPOINT=endpoint.url,
        )

        assert len([name for name in endpoint.span_names() if name.startswith("chat")]) == 2


def test_fork_counts_its_own_requests(tmp_path: Path) -> None:
    """What is in flight in a child are its own requests, not those its parent had open."""
    run(
        tmp_path,
        """
        from support.scope import Exported
        exported = Exported()
        groqscope.instrument(**exported.providers)
        stream = opened()
        child = os.fork()
        if child == 0:
            mine = opened()
            points = exported.metrics()["groqscope.requests.active"]
            os._exit(0 if sum(p.value for p in points) == 1 else 1)
        assert os.waitpid(child, 0)[1] == 0
        points = exported.metrics()["groqscope.requests.active"]
        assert sum(p.value for p in points) == 1
        list(stream)
        """,
    )


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing(tmp_path: Path, method: str) -> None:
    """Children that end without exit handlers export all the same, one that fails too, and what they left open."""
    errors = run(
        tmp_path,
        f"""
        import multiprocessing

        def work(number):
            groqscope.configure()
            groqscope.instrument()
            ask()
            left_open.append(opened())
            if number:
                raise SystemExit(number)

        if __name__ == "__main__":
            context = multiprocessing.get_context("{method}")
            groqscope.configure()
            groqscope.instrument()
            ask()
            children = [context.Process(target=work, args=(n,)) for n in range(2)]
            [child.start() for child in children]
            [child.join() for child in children]
            assert [child.exitcode for child in children] == [0, 1]
        """,
    )

    assert errors == ""
    assert outcomes(tmp_path) == ["abandoned"] * 2 + ["completed"] * 3


def test_process_pool(tmp_path: Path) -> None:
    """The workers of a process pool export their requests, though they end without exit handlers."""
    run(
        tmp_path,
        """
        from concurrent.futures import ProcessPoolExecutor

        if __name__ == "__main__":
            groqscope.configure()
            groqscope.instrument()
            with ProcessPoolExecutor(2) as pool:
                list(pool.map(ask, [3] * 4))
        """,
    )

    assert outcomes(tmp_path) == ["completed"] * 12


@pytest.mark.parametrize("where", ["before", "after"])
def test_prefork_server(tmp_path: Path, where: str) -> None:
    """Workers forked from a master, configured before the fork (preload) or in each worker, stopped by SIGTERM."""
    run(
        tmp_path,
        f"""
        def configure():
            groqscope.configure()
            groqscope.instrument()

        def serve(pipe):
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # as gunicorn's workers
            "{where}" == "after" and configure()
            ask(3)
            left_open.append(opened())
            os.write(pipe, b".")
            while True:
                time.sleep(10)

        "{where}" == "before" and configure()
        read, write = os.pipe()
        workers = []
        for _ in range(2):
            worker = os.fork()
            if worker == 0:
                serve(write)
            workers.append(worker)
        for _ in workers:
            assert os.read(read, 1) == b"."
        for worker in workers:
            os.kill(worker, signal.SIGTERM)
        assert [os.waitpid(worker, 0)[1] for worker in workers] == [0, 0]
        """,
    )

    assert outcomes(tmp_path) == ["abandoned"] * 2 + ["completed"] * 6
