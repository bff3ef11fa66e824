"""A certificate for 127.0.0.1, made on demand, for tests."""

import ssl
from typing import NamedTuple


class LocalTls(NamedTuple):
    """The contexts of a TLS server and of a client that trusts it."""

    server: ssl.SSLContext
    client: ssl.SSLContext


def make_local_tls() -> LocalTls:
    """Make a certificate authority and a certificate for localhost, kept in memory only.

    Raises:
        ImportError: `trustme` is not installed.
    """
    try:
        import trustme
    except ImportError as error:
        raise ImportError("Simulator(tls=True) needs trustme: pip install trustme") from error
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return LocalTls(server, client)
