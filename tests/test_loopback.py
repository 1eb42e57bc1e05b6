"""The loopback listener: only the right answer ends the wait, and nothing can hold it up."""

from __future__ import annotations

import asyncio
import gc
import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headless_login.errors import SignInRefused
from headless_login.flows import page
from headless_login.flows.http_server import MOST_CONNECTIONS
from headless_login.flows.loopback import DONE_PATH, FINISHES, FOLLOWS, LoopbackListener
from headless_login.flows.ports import bind_loopback
from headless_login.oauth.provider import Provider
from headless_login.oauth.request import AuthorizationRequest, redirect_uri_for
from headless_login.oauth.values import Grant
from tests.support.listening import CODE, Listening, flooded, get, is_open, needs_ipv6, read, send

pytestmark = pytest.mark.filterwarnings(
    "error::ResourceWarning", "error::pytest.PytestUnraisableExceptionWarning"
)
HOST = b"Host: 127.0.0.1\r\n"


@pytest.fixture(autouse=True)
def _nothing_printed_by_asyncio(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail where asyncio would have printed an exception that nobody took."""
    yield
    gc.collect()
    assert not [record.getMessage() for record in caplog.records if record.name == "asyncio"]


@pytest.fixture
def listening() -> Iterator[Listening]:
    """A listener that waits; at the end it gets the right answer, if no other has come."""
    with Listening() as waiting:
        yield waiting


def test_the_right_answer_ends_the_wait(listening: Listening) -> None:
    """The grant holds the code with the verifier and redirect URI of its own request."""
    assert "Signed in" in listening.win().text
    redirect_uri = f"http://127.0.0.1:{listening.port}/auth/callback"
    assert listening.ended() == Grant(CODE, listening.request.verifier, redirect_uri)


@pytest.mark.parametrize(
    ("at", "host"),
    [
        *(("127.0.0.1", host) for host in ("127.0.0.1", "localhost", "LOCALHOST")),
        pytest.param("[::1]", "[::1]", marks=needs_ipv6),
    ],
)
def test_every_name_of_this_machine_is_taken(at: str, host: str, listening: Listening) -> None:
    """On both families: old links say `localhost`, and the Host header repeats the address."""
    assert listening.fetch(listening.callback(), host=host, at=at).status_code == 303


# What is not the answer. Text stands for a request's first line and perhaps a header.
CALLBACK = "GET /auth/callback?"
FOREIGN = ("evil.example", "127.0.0.1.evil.example", "0.0.0.0", "127.0.0.2", "localhost.", ":1")  # noqa: S104
FROM_PAGES = (
    *("Origin: https://evil.example", "Origin: null", "Referer: https://evil.example/"),
    *("Sec-Fetch-Site: same-site", "Sec-Fetch-Site: cross-site", "User-Agent: Mozilla/5.0 (X11)"),
)
REFUSED: dict[int, list[str | bytes]] = {
    400: [
        CALLBACK + "code={code}&state=sssssssssssssssssssssssssssssssssssssssssss",
        *(CALLBACK + "code={code}", CALLBACK + "code={code}&state="),
        CALLBACK + "code={code}&state={state:.20}",
        *(CALLBACK + "state={state}", CALLBACK + "code=short&state={state}"),
        *(CALLBACK + "error=access_denied", CALLBACK + "error=access_denied&state=wrong"),
        *("GET /auth/callback", "GET {right}&state={state}", "GET {right}&code={code}"),
        *("GET {right}&error=access_denied", "GET {right}&iss=https%3A%2F%2Fevil.example"),
        *("GET {right}%ff", "GET {right}" + "&a=b" * 100),
        *(f"GET {{right}}\r\nHost: {host}" for host in FOREIGN),
        *("GET {right}\r\nHost: localhost\r\nHost: localhost", "GET /cancel\r\nHost: evil.example"),
        "POST /\r\nTransfer-Encoding: gzip",
        *(b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", b"GET /\r\n\r\n"),
        *(b"hello there\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"),
        b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
        b"\x16\x03\1\2\0\1\0\1\xfc\3\3" + b"\x55" * 505,  # a TLS ClientHello
        *(bytes(range(256)) * 8, b"\0" * 4096, b"a" * 2**20),
        b"GET /" + b"a" * 2**20 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 2**20 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 174763 + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b": x\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1, 2\r\n\r\n",
    ],
    403: [f"GET /cancel\r\n{header}" for header in FROM_PAGES],
    404: [
        *("GET /", "GET /favicon.ico", "GET /auth/done", "GET /cancel/", "GET /Cancel"),
        *("GET /{right}", "GET /auth/..{right}", "GET http://127.0.0.1{right}"),
        "GET /auth/callback/?code={code}&state={state}",
        "GET /auth/callbac%6b?code={code}&state={state}",
        "GET /AUTH/callback?code={code}&state={state}",
        *("OPTIONS *", "GET /\r\nConnection: Upgrade\r\nUpgrade: x"),
        "POST /\r\nExpect: 100-continue\r\nContent-Length: 4",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1048576\r\n\r\n" + b"b" * 2**20,
    ],
    405: [
        *(f"{name} {{right}}" for name in ("HEAD", "OPTIONS", "POST", "PUT", "DELETE", "get")),
        *("CONNECT {right}", "POST /cancel", "HEAD /cancel"),
    ],
}


def _filled_in(sent: str, state: str) -> bytes:
    right = f"/auth/callback?code={CODE}&state={state}"
    line, *headers = sent.format(code=CODE, state=state, right=right).split("\r\n")
    host = () if "Host:" in sent else ("Host: 127.0.0.1",)
    return "\r\n".join([f"{line} HTTP/1.1", *host, *headers, "", ""]).encode()


@pytest.mark.parametrize(
    ("sent", "status"),
    [(sent, status) for status, requests in REFUSED.items() for sent in requests],
    ids=lambda value: str(value)[:60],
)
def test_what_is_not_the_answer_is_refused_and_forgotten(
    sent: str | bytes, status: int, listening: Listening
) -> None:
    """It gets its whole page, which repeats no secret, and the wait goes on."""
    request = _filled_in(sent, listening.request.state) if isinstance(sent, str) else sent
    got = read(listening.send(request, end=True))
    assert got.startswith(f"HTTP/1.1 {status} ".encode())
    # RFC 9110 §9.3.2: after HEAD, the next byte would be taken for another answer.
    assert got.endswith(b"\r\n\r\n" if request.startswith(b"HEAD") else b"</html>\n")
    assert (b"\r\nAllow: GET\r\n" in got) is (status == 405)
    assert not [secret for secret in _secrets(listening) if secret.encode() in got]
    assert listening.result is None
    listening.win()
    assert isinstance(listening.ended(), Grant)


def _secrets(listening: Listening) -> tuple[str, ...]:
    return CODE, listening.request.state, listening.request.verifier


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.binary(max_size=300), before=st.sampled_from([b"", b"GET ", b"GET /auth/callback?"]))
def test_no_bytes_end_the_wait(listening: Listening, sent: bytes, before: bytes) -> None:
    """Whatever comes, the answer is a 4xx or nothing at all."""
    got = read(listening.send(before + sent, end=True))
    assert re.match(rb"HTTP/1\.1 4\d\d |$", got)
    assert listening.result is None


def test_a_rebound_name_cannot_read_the_last_page(listening: Listening) -> None:
    """Not even after the answer."""
    listening.may_conclude.clear()
    listening.fetch(listening.callback())
    assert listening.fetch(DONE_PATH, host="evil.example").status_code == 400


def test_two_requests_at_once_get_one_answer(listening: Listening) -> None:
    """A right answer that rides behind a forged request on one connection is not read."""
    forged, right = get("/auth/callback?state=forged"), get(listening.callback())
    got = read(listening.send(forged + right))
    assert re.findall(rb"HTTP/1\.1 \d+", got) == [b"HTTP/1.1 400"]
    assert listening.result is None


def test_an_idle_connection_is_dropped_in_time() -> None:
    """A browser's pre-connection, a half-sent request and a drip all end by the same deadline."""
    with Listening(request_timeout=0.3) as listening:
        started = time.monotonic()
        idle, half = listening.send(b""), listening.send(b"GET /auth/callback?code=")
        with idle, half, listening.send(b"G") as drip:
            with suppress(ConnectionError):
                while is_open(drip, 0.02):
                    drip.send(b"G")
            assert time.monotonic() - started > 0.2
            assert read(idle) == read(half) == b""


@pytest.mark.parametrize(
    ("count", "sent"),  # of whom the last ones never read what comes
    [(100, b""), (1000, b""), (200, b"GET /auth/callback?code="), (200, get("/"))],
)
def test_a_crowd_cannot_keep_the_browser_out(count: int, sent: bytes, listening: Listening) -> None:
    """The oldest of those who keep us waiting yields to the newest, and few are kept at all."""
    with ExitStack() as clients:
        crowd = [clients.enter_context(socket.socket()) for _ in range(count)]
        for client in crowd:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            client.connect(("127.0.0.1", listening.port))
            client.sendall(sent)
        listening.may_conclude.clear()
        assert listening.fetch(listening.callback()).status_code == 303
        if not sent:
            assert sum(map(is_open, crowd)) <= MOST_CONNECTIONS
        listening.may_conclude.set()
        assert "Signed in" in listening.fetch(DONE_PATH).text


def test_a_flood_cannot_keep_the_browser_out(listening: Listening) -> None:
    with flooded(listening.port):
        for _ in range(5):  # a connection that a newer one replaces is reset: reloaded
            with suppress(OSError):
                listening.win()
        assert isinstance(listening.ended(), Grant)


DENIED = "error=access_denied"
TOLD = f"{DENIED}&error_description="
REFUSALS = [
    ("error=server_error", "server_error", "(server_error)"),
    (DENIED, "access_denied", "The sign-in was denied: no reason was given."),
    (f"{TOLD}Not+by+me.", "access_denied", "The sign-in was denied: Not by me."),
    (f"{TOLD}missing_codex_entitlement", "missing_codex_entitlement", "does not allow you to use"),
    (f"{TOLD}%3Cscript%3E%22%3E%3Cimg%20src=x%3E", "access_denied", "&lt;script&gt;&quot;&gt;&lt;"),
]


@pytest.mark.parametrize(("query", "error", "phrase"), REFUSALS)
def test_a_refusal_with_the_right_state_ends_the_wait(
    query: str, error: str, phrase: str, listening: Listening
) -> None:
    """The person or the issuer said no: that is an answer, and its page says it, as text."""
    sent_on = listening.fetch(listening.callback(query))
    assert (sent_on.status_code, sent_on.headers["Location"]) == (303, DONE_PATH)
    shown = listening.fetch(DONE_PATH).text
    result = listening.ended()
    assert isinstance(result, SignInRefused)
    assert result.error == error
    assert phrase in shown
    assert not re.search("Signed in|<script|<img", shown)


def test_the_browser_is_sent_to_a_clean_address(listening: Listening) -> None:
    """Neither redirect nor page hold the code, the state or the verifier, and nothing is kept."""
    sent_on = listening.fetch(listening.callback())
    shown = listening.fetch(DONE_PATH)
    assert (sent_on.status_code, sent_on.headers["Location"], sent_on.text) == (303, DONE_PATH, "")
    assert shown.status_code == 200
    for answer in (sent_on, shown):
        assert not [
            secret for secret in _secrets(listening) if secret in f"{answer.headers}{answer.text}"
        ]
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Connection"] == "close"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "Set-Cookie" not in answer.headers


def test_the_first_answer_counts(listening: Listening) -> None:
    """Whatever comes later, from a second tab or from Codex; and every tab sees how it ended."""
    listening.may_conclude.clear()
    first = listening.fetch(listening.callback())
    for later in (listening.callback(code="x" * 40), listening.callback("error=access_denied")):
        second = listening.fetch(later)
        assert (second.status_code, str(second.headers)) == (303, str(first.headers))
    tabs = [listening.send(get(DONE_PATH)) for _ in range(2)]
    assert listening.fetch("/cancel").status_code == 409  # and both tabs were accepted before
    listening.may_conclude.set()
    for tab in tabs:
        assert read(tab).endswith(b"\r\n\r\n" + page.success().html())
    result = listening.ended()
    assert isinstance(result, Grant)
    assert result.code == CODE


def test_a_browser_that_never_follows_is_not_waited_for_long() -> None:
    """A `curl` of the redirect is enough to sign in, and does not come for the page."""
    with Listening(follows=0.1) as listening:
        listening.fetch(listening.callback())
        assert isinstance(listening.ended(), Grant)
    assert FOLLOWS + FINISHES < 0.5


def test_a_browser_that_follows_does_not_delay_the_end() -> None:
    """Not even if it keeps its idle connections open, as browsers do; and the port is free."""
    with Listening(follows=600) as listening, listening.send(b"") as idle:
        listening.win()
        listening.ended()
        assert not is_open(idle, 10)
    for listened in bind_loopback((listening.port,))[1]:
        listened.close()


def _unheard() -> tuple[LoopbackListener, AuthorizationRequest, int]:
    """Return a listener that does not wait yet, with its request and its port."""
    _, sockets = bind_loopback((0,), ("127.0.0.1",))
    port = sockets[0].getsockname()[1]
    request = AuthorizationRequest(Provider(), redirect_uri_for(port))
    return LoopbackListener(request, sockets), request, port


@pytest.mark.parametrize("query", ["error=access_denied", f"code={CODE}"])
def test_an_answer_that_nobody_waits_for_any_more_is_silent(query: str) -> None:
    """A paste that wins at the same moment cancels the wait; the refusal is not an accident."""

    async def race() -> None:
        listener, request, port = _unheard()
        waiting = asyncio.create_task(listener.wait())
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(f"/auth/callback?{query}&state={request.state}"))
        while listener._answer is None or not listener._answer.done():
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await listener.conclude(page.success())
        assert (await reader.read()).startswith(b"HTTP/1.1 303")
        writer.close()
        await writer.wait_closed()

    asyncio.run(race())


def test_it_can_be_closed_before_and_after_everything() -> None:
    """Every way out of a sign-in closes it, some of them twice, some before it began."""

    async def close_often() -> None:
        listener, *_ = _unheard()
        await listener.close()
        await listener.conclude(page.success())
        listener, *_ = _unheard()
        waiting = asyncio.create_task(listener.wait())
        await asyncio.sleep(0)
        await asyncio.gather(listener.close(), listener.close())
        waiting.cancel()

    asyncio.run(close_often())


@pytest.mark.parametrize("turns", range(1, 5))
def test_a_connection_at_the_very_end_is_silent(turns: int) -> None:
    """It is dropped, whether it comes a few turns before the end or in the same one."""

    async def end_as_it_comes() -> None:
        listener, _, port = _unheard()
        waiting = asyncio.create_task(listener.wait())
        for _ in range(5):  # turns, until it accepts
            await asyncio.sleep(0)
        with send(port, b"") as client:
            for _ in range(turns):  # the first is the one in which the connection is seen
                await asyncio.sleep(0)
            await listener.close()
            assert not is_open(client, 10)
        waiting.cancel()

    asyncio.run(end_as_it_comes())


@pytest.mark.skipif(sys.platform == "win32", reason="no accept() is called there, but AcceptEx")
def test_running_out_of_descriptors_is_survived() -> None:
    """Where the machine has none left, the browser waits a moment instead of failing."""

    class Exhausted(socket.socket):
        failures = 3

        def accept(self) -> tuple[socket.socket, object]:
            Exhausted.failures -= 1
            if Exhausted.failures >= 0:
                raise OSError(24, "Too many open files")
            return super().accept()

    with Listening(make_socket=Exhausted) as listening:
        assert "Signed in" in listening.win().text
    assert Exhausted.failures < 0
