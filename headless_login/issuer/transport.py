"""The road to the issuer: session, proxies, certificates, bounded time, translated failures."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from authlib.integrations.requests_client import OAuth2Session
from requests.utils import select_proxy

from headless_login.errors import HeadlessLoginError, IssuerTrouble
from headless_login.oauth.provider import Provider

CONNECT_TIMEOUT = 10.0  # seconds
_LARGEST_ANSWER = 1024 * 1024  # bytes

_Result = TypeVar("_Result")


class Transport:
    """Runs calls to one provider, and says in one sentence why one failed."""

    def __init__(self, provider: Provider, environ: Mapping[str, str]) -> None:
        """`environ` names proxies and certificates."""
        self._provider = provider
        self._certificates = certificates_of(environ)

    def options(self, timeout: float) -> dict[str, Any]:
        """Return the options of a request that may take `timeout` seconds."""
        # verify goes with each request: REQUESTS_CA_BUNDLE would override the session's.
        return {
            "timeout": (min(CONNECT_TIMEOUT, timeout), timeout),
            "allow_redirects": False,
            "stream": True,
            "verify": self._certificates[1] if self._certificates else True,
        }

    def run(self, timeout: float, call: Callable[[], _Result]) -> _Result:
        """Run one call, no longer than `timeout` seconds.

        Raises:
            IssuerTrouble: `issuer_unreachable` or `tls_error`, without a cause: that could carry
                a body along.
        """
        trouble: HeadlessLoginError
        try:
            return _within(timeout, call)
        except HeadlessLoginError as error:
            trouble = error.with_traceback(None)  # its frames hold the body
        except requests.exceptions.SSLError:
            trouble = self._tls_trouble()
        except requests.RequestException as error:
            trouble = self._unreachable(_reason(error))
        except TimeoutError:
            trouble = self._unreachable(f"no answer within {timeout:.0f} seconds")
        except OSError:
            # requests reports a certificate file that is missing or empty as a bare OSError.
            trouble = self._tls_trouble()
        raise trouble

    def _tls_trouble(self) -> IssuerTrouble:
        used = "the certificates that come with Python's requests"
        if self._certificates:
            used = f"{self._certificates[1]} (from {self._certificates[0]})"
        return IssuerTrouble(
            "tls_error",
            f"No trustworthy TLS connection to {self._host}; checked with {used}.",
        )

    def _unreachable(self, reason: str) -> IssuerTrouble:
        proxy = None if self._provider.on_loopback else self._proxy()
        way = f" through the proxy {proxy}" if proxy else ""
        return IssuerTrouble(
            "issuer_unreachable",
            f"{self._host} cannot be reached{way}: {reason}.",
        )

    def _proxy(self) -> str | None:
        url = self._provider.at.token_endpoint
        proxies = requests.utils.get_environ_proxies(url)
        parts = urlsplit(select_proxy(url, proxies) or "")
        return parts.netloc.rpartition("@")[2] or None  # without user name and password

    @property
    def _host(self) -> str:
        return urlsplit(self._provider.issuer).netloc


def certificates_of(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return variable and file that choose the CA certificates, in Codex's order, or None.

    After Codex's own two come those that requests itself honours.
    """
    names = ("CODEX_CA_CERTIFICATE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    return next(((name, environ[name]) for name in names if environ.get(name)), None)


def new_session(provider: Provider) -> OAuth2Session:
    """Return a session that sends nothing of its own but a truthful User-Agent."""
    session = OAuth2Session(client_id=provider.client_id, token_endpoint_auth_method="none")  # noqa: S106
    # Not imported: the package's face stands above all its parts.
    session.headers["User-Agent"] = f"headless-login/{sys.modules['headless_login'].__version__}"
    # A proxy from the environment must not see what stays on this machine.
    session.trust_env = not provider.on_loopback
    session.auth = _no_netrc
    return session


def _no_netrc(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from adding a password out of ~/.netrc."""
    return request


def read_body(response: requests.Response) -> bytes:
    """Read an answer of bounded size, and leave it where `response.json()` finds it."""
    body = b""
    for chunk in response.iter_content(65536):
        body += chunk
        if len(body) > _LARGEST_ANSWER:
            raise IssuerTrouble(
                "token_response_invalid",
                "The issuer's answer is not usable: it is far too long.",
            )
    response._content = body
    return body


def _reason(error: requests.RequestException) -> str:
    kinds: tuple[tuple[type[Exception], str], ...] = (
        (requests.exceptions.ProxyError, "the proxy refuses"),
        (requests.exceptions.ConnectTimeout, "no connection in time"),
        (requests.exceptions.Timeout, "no answer in time"),
    )
    for kind, reason in kinds:
        if isinstance(error, kind):
            return reason
    text = str(error).lower()
    if "name resolution" in text or "getaddrinfo" in text or "nodename" in text:
        return "its name cannot be resolved"
    return "connection refused" if "refused" in text else "the connection failed"


def _within(seconds: float, call: Callable[[], _Result]) -> _Result:
    """Run a call in a daemon thread and wait for it, no longer than that and interruptibly.

    Neither a name server nor a server that drips byte by byte honours a socket's time-out.

    Raises:
        TimeoutError: it was not done in time; its result will be dropped.
    """
    outcome: SimpleQueue[tuple[_Result | None, BaseException | None]] = SimpleQueue()

    def work() -> None:
        try:
            outcome.put((call(), None))
        except BaseException as error:  # noqa: BLE001
            outcome.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        try:
            # In slices: on Windows a wait for a lock does not notice Ctrl-C.
            result, error = outcome.get(timeout=min(left, 0.5))
        except Empty:
            continue
        if error is not None:
            raise error
        return result  # type: ignore[return-value]
    raise TimeoutError
