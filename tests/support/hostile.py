"""A server that misbehaves, byte by byte, on a port of the loopback."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def hostile(behave: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """Hand each connection to `behave`, with an event that is set when the test is over; yield the address."""
    over = threading.Event()
    threads: list[threading.Thread] = []

    def handle(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65_536)
            behave(connection, over)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=handle, args=(connection,), daemon=True)
            thread.start()
            threads.append(thread)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            for thread in (accepting, *threads):
                thread.join(5)


def dripping(data: bytes, then: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Send `data`, then the bytes of `then` one at a time, over and over, until the test is over."""

    def behave(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(data)
        while not over.wait(0.02):
            connection.sendall(then)

    return behave


def answering(data: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Send these bytes and close."""

    def behave(connection: socket.socket, over: threading.Event) -> None:
        del over
        connection.sendall(data)

    return behave


OK = b"HTTP/1.1 200 OK\r\n"
HEADER_DRIP = dripping(OK, b"x-a: b\r\n")
BODY_DRIP = dripping(OK + b"content-length: 1000000\r\n\r\n", b"{")
CHUNK_DRIP = dripping(OK + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n")
CONTINUE_DRIP = dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n")
DRIPS = {"headers": HEADER_DRIP, "body": BODY_DRIP, "chunks": CHUNK_DRIP, "continue": CONTINUE_DRIP}
