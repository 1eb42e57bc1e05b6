"""The road to the issuer: session, proxies, certificates, bounded time, translated failures."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import BytesIO
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

import requests

from headless_login.errors import HeadlessLoginError, IssuerTrouble
from headless_login.issuer.connections import Adapter, described, tls_context
from headless_login.issuer.surroundings import proxy_of
from headless_login.oauth.provider import Provider
from headless_login.oauth.text import printable

if TYPE_CHECKING:
    from authlib.integrations.requests_client import OAuth2Session

CONNECT_TIMEOUT = 10.0  # seconds
_LARGEST_ANSWER = 1024 * 1024  # bytes

_Result = TypeVar("_Result")


class Body(BytesIO):
    """A request's body that knows whether its sending has begun: from then on it may arrive."""

    is_sent = False

    def __init__(self, parameters: Mapping[str, str], *, as_json: bool) -> None:
        """Encode the parameters as JSON or as a form."""
        kind = "application/json" if as_json else "application/x-www-form-urlencoded"
        text = json.dumps(parameters, separators=(",", ":")) if as_json else urlencode(parameters)
        super().__init__(text.encode())
        self.headers = {"Content-Type": kind, "Accept": "application/json"}

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes; no connection asks for them before it stands."""
        self.is_sent = True
        return super().read(size)


class Transport:
    """Runs calls to one provider, and says in one sentence why one failed."""

    def __init__(self, provider: Provider, environ: Mapping[str, str]) -> None:
        """`environ` names proxies and certificates.

        Raises:
            IssuerTrouble: `issuer_unreachable`; a proxy is named that is none.
        """
        self._provider = provider
        self._environ = environ
        self._proxy = proxy_of(provider, environ)
        self.issuer_is_ahead = 0.0

    def new_session(self) -> requests.Session:
        """Return a session that sends nothing of its own but a truthful User-Agent.

        Raises:
            IssuerTrouble: `tls_error`; a file of certificates cannot be read.
        """
        session = requests.Session()
        # Not imported: the package's face stands above all its parts.
        version = sys.modules["headless_login"].__version__
        session.headers["User-Agent"] = f"headless-login/{version}"
        # What the environment says is read by us: requests takes some of it for something else.
        session.trust_env = False
        session.auth = _no_netrc
        session.hooks["response"].append(self._compare_clocks)
        if self._provider.issuer.startswith("https:"):
            session.mount("https://", Adapter(self._context()))
        if self._proxy:
            session.proxies = {"https": self._proxy.url, "http": self._proxy.url}
        elif sys.platform in ("darwin", "win32") and not self._provider.on_loopback:
            session.proxies = requests.utils.get_environ_proxies(self._provider.issuer)
        return session

    def token_session(self, session: requests.Session) -> OAuth2Session:
        """Return authlib's client for the token request, by the connections of this session."""
        from authlib.integrations.requests_client import OAuth2Session

        client = OAuth2Session(
            client_id=self._provider.client_id,
            token_endpoint_auth_method="none",  # noqa: S106  # nosec B106
        )
        for name in ("headers", "trust_env", "auth", "hooks", "proxies", "adapters"):
            setattr(client, name, getattr(session, name))
        return client

    def _context(self) -> Any:
        try:
            return tls_context(self._environ)
        except (OSError, ValueError):
            pass  # raised below
        raise self._tls_trouble("a file of certificates cannot be read")

    def _compare_clocks(self, response: requests.Response, **_: object) -> None:
        """Keep by how many seconds the issuer's clock is ahead of ours (RFC 9110 §6.6.1)."""
        from email.utils import parsedate_to_datetime

        with suppress(TypeError, ValueError, OverflowError):
            told = parsedate_to_datetime(response.headers.get("Date", ""))
            self.issuer_is_ahead = told.timestamp() - time.time()

    def options(self, timeout: float) -> dict[str, Any]:
        """Return the options of a request that may take `timeout` seconds."""
        return {
            "timeout": (min(CONNECT_TIMEOUT, timeout), timeout),
            "allow_redirects": False,
            "stream": True,
        }

    def run(self, timeout: float, call: Callable[[], _Result]) -> _Result:
        """Run one call, no longer than `timeout` seconds.

        Raises:
            IssuerTrouble: `issuer_unreachable` or `tls_error`, without a cause: that could carry
                a body along.
        """
        trouble: HeadlessLoginError
        try:
            return within(timeout, call)
        except HeadlessLoginError as error:
            trouble = error.with_traceback(None)  # its frames hold the body
        except TimeoutError:
            trouble = self._unreachable(f"no answer within {timeout:.0f} seconds")
        except Exception as error:  # noqa: BLE001  # whatever a library lets out of an answer
            trouble = self._translated(error)
        raise trouble

    def _translated(self, error: Exception) -> IssuerTrouble:
        text = str(error)
        if self._proxy and (
            reason := _reason_of_proxy(text, has_password=self._proxy.has_password)
        ):
            return self._unreachable(reason)
        if isinstance(error, requests.exceptions.SSLError):
            return self._tls_trouble(_reason_of_tls(text))
        if isinstance(error, requests.RequestException | OSError) and not isinstance(
            error,
            requests.exceptions.InvalidHeader,  # it was reached, and answered nonsense
        ):
            return self._unreachable(_reason(error))
        return IssuerTrouble(
            "token_response_invalid",
            f"The issuer's answer is not usable: it is no proper HTTP ({type(error).__name__}).",
        )

    def _tls_trouble(self, reason: str) -> IssuerTrouble:
        return IssuerTrouble(
            "tls_error",
            f"No trustworthy TLS connection to {self._host}: {reason}; checked with "
            f"{described(self._environ)}.",
        )

    def _unreachable(self, reason: str) -> IssuerTrouble:
        way = f" through the proxy {self._proxy.shown}" if self._proxy else ""
        return IssuerTrouble(
            "issuer_unreachable", f"{self._host} cannot be reached{way}: {reason}."
        )

    @property
    def _host(self) -> str:
        return self._provider.host


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


def _reason_of_proxy(text: str, *, has_password: bool) -> str:
    """Return what a proxy, or the way to it, has against a request; nothing if it is not its."""
    if "connection failed: 407" in text or "authentication" in text:
        return "it does not take that password" if has_password else "it wants a password"
    if found := re.search(r"Tunnel connection failed: (\d{3})", text):
        return f"it refuses (HTTP {found[1]})"
    signs = {
        "WRONG_VERSION_NUMBER": "it does not speak TLS; write http:// before its name",
        "record layer failure": "it does not speak TLS; write http:// before its name",
        "refused": "nobody listens there",
        "resolve": "its name cannot be resolved",
        "Name or service not known": "its name cannot be resolved",
        "nodename nor servname": "its name cannot be resolved",
        "timed out": "it does not answer in time",
        "SOCKS": "it refuses",
        "connect to proxy": "it refuses",
    }
    return next((reason for sign, reason in signs.items() if sign in text), "")


def _reason_of_tls(text: str) -> str:
    kinds = {
        "certificate has expired": "its certificate has expired, or this machine's clock is wrong",
        "not yet valid": "its certificate is not valid yet; is this machine's clock right?",
        "ostname mismatch": "its certificate is for another host",
        "is not valid for": "its certificate is for another host",
        "self-signed": "its certificate is from an authority that is not known here",
        "self signed": "its certificate is from an authority that is not known here",
        "unable to get": "its certificate is from an authority that is not known here",
        "WRONG_VERSION": "what answers does not speak TLS",
    }
    return next((reason for sign, reason in kinds.items() if sign in text), "it failed")


def _reason(error: Exception) -> str:
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, requests.exceptions.Timeout):
        return "no answer in time"
    text = str(error)
    if "resolve" in text.lower() or "getaddrinfo" in text or "nodename" in text:
        return "its name cannot be resolved"
    tried = re.search(r"([A-Za-z ]+) \((tried [0-9A-Fa-f.:, ]+)\)", text)
    if "refused" in text.lower():
        return f"connection refused{f' ({tried[2]})' if tried else ''}"
    return (
        printable(f"{tried[1].strip()} ({tried[2]})".lower()) if tried else "the connection failed"
    )


def within(seconds: float, call: Callable[[], _Result]) -> _Result:
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

    try:
        threading.Thread(target=work, daemon=True).start()
    except RuntimeError:  # no thread to be had: then nothing but the sockets' time-outs bounds it
        return call()
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
