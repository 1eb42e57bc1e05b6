"""Connections as Codex makes them: addresses raced, certificates from where Codex takes them."""

from __future__ import annotations

import errno
import os
import selectors
import socket
import ssl
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import chain, zip_longest
from typing import Any

import certifi
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from headless_login.issuer.surroundings import (
    CERTIFICATE_FOLDER,
    CODEX_CERTIFICATE,
    certificate_files,
)
from headless_login.oauth.text import one_line

_HEAD_START = 0.25  # seconds of an address before the next one is tried as well (RFC 8305 §5)

Address = tuple[Any, ...]  # family, type, protocol, name, socket address


def tls_context(environ: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """Return what TLS is checked with: Codex's own variable, then OpenSSL's or the system's.

    Raises:
        OSError: a file that the environment names cannot be read.
    """
    context = _system_context()
    # Python 3.13 refuses CAs of inspecting proxies that all other programs take.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    folder = environ.get(CERTIFICATE_FOLDER)
    files = certificate_files(environ)
    if not folder and not any(file.variable == "SSL_CERT_FILE" for file in files):
        context.load_default_certs()
        context.load_verify_locations(certifi.where())
    for file in files:
        context.load_verify_locations(file.path)
    if folder:
        for each in folder.split(os.pathsep):
            _load_folder(context, each)
    return context


def _system_context() -> ssl.SSLContext:
    if sys.platform == "darwin":  # where OpenSSL knows nothing of the keychain
        import truststore

        context: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return context
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _load_folder(context: ssl.SSLContext, folder: str) -> None:
    """Load every certificate in a folder, whatever its name: not everybody has run `rehash`."""
    with suppress(OSError):
        for name in os.listdir(folder):
            with suppress(OSError, ValueError):
                context.load_verify_locations(os.path.join(folder, name))


def described(environ: Mapping[str, str] = os.environ) -> str:
    """Return in words what TLS is checked with."""
    named = [f"{one_line(file.path)} (from {file.variable})" for file in certificate_files(environ)]
    if folder := environ.get(CERTIFICATE_FOLDER):
        named.append(f"{one_line(folder)} (from {CERTIFICATE_FOLDER})")
    if not named or all(CODEX_CERTIFICATE in each for each in named):
        named.append("this system's certificates")
    return " and ".join(named)


def connect(
    host: str,
    port: int,
    timeout: float,
    *,
    look_up: Callable[[str, int], Sequence[Address]] | None = None,
    head_start: float = _HEAD_START,
) -> socket.socket:
    """Return a socket that is connected to the first of a host's addresses that answers.

    Each address gets a head start before the next one is tried beside it (RFC 8305), so that dead
    ones cost little.

    Raises:
        socket.gaierror: the name has no address.
        TimeoutError: none answered within `timeout` seconds.
        OSError: all refuse; names them.
    """
    addresses = _by_turns((look_up or _look_up)(host, port))
    failures: list[OSError] = []
    with selectors.DefaultSelector() as trying:
        try:
            won = _race([*addresses], trying, failures, timeout, head_start)
        finally:
            for key in [*trying.get_map().values()]:
                key.fileobj.close()  # type: ignore[union-attr]
    if won is not None:
        won.settimeout(timeout)
        return won
    names = ", ".join(dict.fromkeys(str(address[4][0]) for address in addresses))
    code = failures[-1].errno if failures else 0
    reason = _REASONS.get(code or 0) or (failures[-1].strerror if failures else "no address")
    raise OSError(code, f"{reason} (tried {names})")


# As Linux says it; Windows does in the user's language, or not at all.
_REASONS = {
    errno.ECONNREFUSED: "Connection refused",
    errno.EHOSTUNREACH: "No route to host",
    errno.ENETUNREACH: "Network is unreachable",
    errno.ETIMEDOUT: "Connection timed out",
}


def _race(
    waiting: list[Address],
    trying: selectors.BaseSelector,
    failures: list[OSError],
    timeout: float,
    head_start: float,
) -> socket.socket | None:
    """Return the first socket that is connected, or None if all addresses refuse."""
    deadline = time.monotonic() + timeout
    while waiting or trying.get_map():
        if waiting:
            try:
                _start(waiting.pop(0), trying)
            except OSError as error:
                failures.append(error)
                continue
        if (left := deadline - time.monotonic()) <= 0:
            raise TimeoutError
        for key, _ in trying.select(min(left, head_start) if waiting else left):
            connecting = key.fileobj
            assert isinstance(connecting, socket.socket)  # noqa: S101  # nosec B101
            trying.unregister(connecting)
            if not (code := connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
                return connecting
            connecting.close()
            failures.append(OSError(code, os.strerror(code)))
    return None


def _look_up(host: str, port: int) -> Sequence[Address]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _by_turns(addresses: Sequence[Address]) -> list[Address]:
    """Return the addresses with the families by turns (RFC 8305 §4)."""
    first = addresses[0][0] if addresses else None
    mine = [each for each in addresses if each[0] == first]
    others = [each for each in addresses if each[0] != first]
    return [each for each in chain(*zip_longest(mine, others)) if each is not None]


def _start(address: Address, trying: selectors.BaseSelector) -> None:
    family, kind, protocol, _, where = address
    connecting = socket.socket(family, kind, protocol)
    try:
        connecting.setblocking(False)
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(BlockingIOError):
            connecting.connect(where)
        trying.register(connecting, selectors.EVENT_WRITE)
    except OSError:
        connecting.close()
        raise


class _Racing(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        """Connect, with urllib3's own exceptions."""
        timeout = self.timeout if isinstance(self.timeout, int | float) else 60.0
        try:
            return connect(self._dns_host, self.port or self.default_port, timeout)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from None
        except TimeoutError:
            raise ConnectTimeoutError(self, "no address answered in time") from None
        except OSError as error:
            raise NewConnectionError(self, str(error)) from None


class _SecureRacing(_Racing, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Racing


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureRacing


_POOLS = {"http": _Pool, "https": _SecurePool}


class Adapter(HTTPAdapter):
    """Sends requests over such connections."""

    def __init__(self, context: ssl.SSLContext) -> None:
        """`context` is what TLS is checked with."""
        self._context = context
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Have pools made that connect in our way."""
        super().init_poolmanager(*arguments, **options, ssl_context=self._context)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """As for requests without a proxy."""
        manager = super().proxy_manager_for(proxy, **options, ssl_context=self._context)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = _POOLS
        return manager

    def build_connection_pool_key_attributes(self, *arguments: Any) -> Any:
        """Leave the certificates to the context."""
        host, _ = super().build_connection_pool_key_attributes(*arguments)
        return host, {"ssl_context": self._context, "cert_reqs": "CERT_REQUIRED"}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ARG002
        """Leave the certificates to the context."""
        conn.cert_reqs, conn.ca_certs, conn.ca_cert_dir = "CERT_REQUIRED", None, None
