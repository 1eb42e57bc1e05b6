"""The loopback listener: only the right answer ends the wait, and nothing can hold it up."""

from __future__ import annotations

import asyncio
import gc
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headless_login.errors import SignInRefused, TimedOut
from headless_login.flows import page
from headless_login.flows.http_server import MOST_CONNECTIONS
from headless_login.flows.loopback import LoopbackListener
from headless_login.flows.ports import bind_loopback
from headless_login.oauth.provider import Provider
from headless_login.oauth.request import AuthorizationRequest, redirect_uri_for
from headless_login.oauth.values import Grant
from tests.support.listening import CODE, Answer, Listening, fetch, free_port, raw

pytestmark = pytest.mark.filterwarnings(
    "error::ResourceWarning", "error::pytest.PytestUnraisableExceptionWarning"
)
HOST = b"Host: 127.0.0.1\r\n"
FOREVER = 600.0


@pytest.fixture(autouse=True)
def _nothing_printed_by_asyncio(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail where asyncio would have printed an exception that nobody took."""
    yield
    gc.collect()
    assert not [record.getMessage() for record in caplog.records if record.name == "asyncio"]


def _wins(listening: Listening) -> None:
    assert listening.result is None
    assert "Signed in" in listening.win().body
    assert isinstance(listening.result, Grant)
    assert listening.result.code == CODE


def test_the_right_answer_ends_the_wait() -> None:
    """The grant holds the code with the verifier and redirect URI of its own request."""
    with Listening() as listening:
        listening.win()
    assert listening.result == Grant(
        CODE, listening.request.verifier, f"http://127.0.0.1:{listening.port}/auth/callback"
    )


def test_both_families_answer() -> None:
    """Old links say `localhost`, which may be ::1."""
    with Listening() as listening:
        try:
            client = socket.create_connection(("::1", listening.port), timeout=5)
        except OSError:
            pytest.skip("this machine has no IPv6 loopback")
        with client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_every_name_of_this_machine_is_taken(host: str) -> None:
    """Whatever the person's address said, the browser's Host header repeats it."""
    with Listening() as listening:
        assert fetch(listening.port, listening.callback(), host=host).status == 303


# What is not the answer: each is a function of the listener that returns the target of a GET.
FORGED: dict[str, Callable[[Listening], str]] = {
    "another state": lambda _: f"/auth/callback?code={CODE}&state={'s' * 43}",
    "no state": lambda _: f"/auth/callback?code={CODE}",
    "an empty state": lambda _: f"/auth/callback?code={CODE}&state=",
    "half the state": lambda it: it.callback(f"code={CODE}&state={it.request.state[:20]}"),
    "two states": lambda it: it.callback(
        f"code={CODE}&state={it.request.state}&state={it.request.state}"
    ),
    "two codes": lambda it: it.callback(f"code={CODE}&code={CODE}&state={it.request.state}"),
    "no code": lambda it: it.callback(f"state={it.request.state}"),
    "a short code": lambda it: it.callback(f"code=short&state={it.request.state}"),
    "a code and an error": lambda it: it.callback(
        f"code={CODE}&error=access_denied&state={it.request.state}"
    ),
    "a foreign iss": lambda it: it.callback(
        f"code={CODE}&state={it.request.state}&iss=https%3A%2F%2Fevil.example"
    ),
    "an error without state": lambda _: "/auth/callback?error=access_denied",
    "an error with another state": lambda _: "/auth/callback?error=access_denied&state=wrong",
    "a broken escape": lambda it: it.callback(f"code={CODE}&state={it.request.state}%ff"),
    "a hundred parameters": lambda it: it.callback() + "&a=b" * 100,
    "no query": lambda _: "/auth/callback",
    "the root": lambda _: "/",
    "the icon": lambda _: "/favicon.ico",
    "the last page too early": lambda _: "/auth/done",
    "a path below": lambda it: it.callback().replace("callback", "callback/"),
    "a doubled slash": lambda it: "/" + it.callback(),
    "an escaped path": lambda it: it.callback().replace("callback", "callbac%6b"),
    "dots": lambda it: it.callback().replace("/auth", "/auth/../auth"),
    "upper case": lambda it: it.callback().replace("/auth", "/AUTH"),
    "a whole address": lambda it: f"http://127.0.0.1:{it.port}{it.callback()}",
}


@pytest.mark.parametrize("case", FORGED)
def test_what_is_not_the_answer_is_refused_and_forgotten(case: str) -> None:
    """It gets its 4xx page, which repeats no secret, and the wait goes on."""
    with Listening() as listening:
        answer = fetch(listening.port, FORGED[case](listening))
        assert 400 <= answer.status < 500
        _assert_tells_nothing(answer, listening)
        _wins(listening)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST", "PUT", "DELETE", "get", "CONNECT"])
def test_other_methods_never_bring_the_answer(method: str) -> None:
    """A page elsewhere can make a browser send these; a redirect never does."""
    with Listening() as listening:
        answer = fetch(listening.port, listening.callback(), method=method)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET")
        _wins(listening)


def test_head_is_answered_without_a_body() -> None:
    """As RFC 9110 §9.3.2 has it, or the next byte would be taken for another answer."""
    with Listening() as listening:
        got = raw(listening.port, b"HEAD /auth/callback HTTP/1.1\r\n" + HOST + b"\r\n")
        assert got.startswith(b"HTTP/1.1 405")
        assert got.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "0.0.0.0", "127.0.0.2", "localhost.", ""],  # noqa: S104
)
def test_a_foreign_host_is_refused_even_with_the_right_state(host: str) -> None:
    """A name that was rebound to loopback can neither answer nor read the last page."""
    with Listening() as listening:
        assert fetch(listening.port, listening.callback(), host=host).status == 400
        listening.may_conclude.clear()
        fetch(listening.port, listening.callback())
        assert fetch(listening.port, "/auth/done", host=host).status == 400
        listening.may_conclude.set()
        fetch(listening.port, "/auth/done")


MALFORMED: dict[str, bytes] = {
    "no host": b"GET /auth/callback HTTP/1.1\r\n\r\n",
    "no host in HTTP/1.0": b"GET /auth/callback HTTP/1.0\r\n\r\n",
    "two hosts": b"GET /auth/callback HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "garbage": bytes(range(256)) * 8,
    "zeros": b"\0" * 4096,
    "words": b"hello there\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "a TLS ClientHello": bytes.fromhex("16030102000100 01fc0303") + b"\x55" * 505,
    "an HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0",
    "an SSH greeting": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a proxy protocol line": b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n",
    "1 MB in one header": b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 2**20 + b"\r\n\r\n",
    "1 MB of headers": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 174763 + b"\r\n",
    "1 MB of target": b"GET /" + b"a" * 2**20 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "1 MB without a line": b"a" * 2**20,
    "an unknown encoding": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1, 2\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\n" + HOST + b": x\r\n\r\n",
    "a 1 MB body": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 1048576\r\n\r\n"
    + b"b" * 2**20,
    "an upgrade": b"GET / HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: x\r\n\r\n",
    "everything's options": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "100-continue": b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\n"
    b"Content-Length: 4\r\n\r\n",
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_not_a_proper_request_is_refused(case: str) -> None:
    """It gets a whole 4xx page although more may come, and the wait goes on."""
    with Listening() as listening:
        started = time.monotonic()
        got = raw(listening.port, MALFORMED[case], end=True)
        assert re.match(rb"HTTP/1\.1 4\d\d ", got)
        assert got.endswith(b"</html>\n")
        assert time.monotonic() - started < 2
        _wins(listening)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"GET ", b"GET /auth/callback?state="]))
def test_no_bytes_end_the_wait(sent: bytes, before: bytes) -> None:
    """Whatever comes, the answer is a 4xx or nothing at all."""
    got = raw(_shared().port, before + sent, end=True)
    assert re.match(rb"HTTP/1\.1 4\d\d |$", got)
    assert _shared().result is None


_waiting: list[Listening] = []


def _shared() -> Listening:
    return _waiting[0]


@pytest.fixture(autouse=True, scope="module")
def _shared_listening() -> Iterator[None]:
    """Keep one listener for the test that sends the most."""
    with Listening(timeout=FOREVER) as listening:
        _waiting.append(listening)
        yield


def test_two_requests_at_once_get_one_answer() -> None:
    """A right answer that rides behind a forged request on one connection is not read."""
    with Listening() as listening:
        right = f"GET {listening.callback()} HTTP/1.1\r\n".encode() + HOST + b"\r\n"
        forged = b"GET /auth/callback?state=x HTTP/1.1\r\n" + HOST + b"\r\n"
        got = raw(listening.port, forged + right)
        assert re.findall(rb"HTTP/1\.1 \d+", got) == [b"HTTP/1.1 400"]
        _wins(listening)


def test_an_idle_connection_is_dropped_in_time() -> None:
    """A browser's pre-connection, a half-sent request and a drip all end by the same deadline."""
    with Listening(request_timeout=0.3) as listening, ExitStack() as clients:
        started = time.monotonic()
        idle, half, drip = (
            clients.enter_context(socket.create_connection(("127.0.0.1", listening.port), 5))
            for _ in range(3)
        )
        half.sendall(b"GET /auth/callback?code=")
        with suppress(ConnectionError):
            while time.monotonic() - started < 5:
                drip.send(b"G")
                time.sleep(0.02)
        assert 0.2 < time.monotonic() - started < 1.5
        for client in (idle, half):
            with suppress(ConnectionResetError):
                assert client.recv(100) == b""
        assert time.monotonic() - started < 1.5
        _wins(listening)


@pytest.mark.parametrize(
    ("count", "sent"),
    [
        (100, b""),
        (1000, b""),
        (200, b"GET /auth/callback?code="),
        (200, b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"),  # and never reads what comes
    ],
    ids=["100 idle", "1000 idle", "200 half-sent", "200 that never read"],
)
def test_a_crowd_cannot_keep_the_browser_out(count: int, sent: bytes) -> None:
    """The oldest of those who keep us waiting yields to the newest, and few are kept at all."""
    with Listening() as listening, ExitStack() as clients:
        crowd = []
        for _ in range(count):
            client = socket.socket()
            clients.enter_context(client)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            client.connect(("127.0.0.1", listening.port))
            client.sendall(sent)
            crowd.append(client)
        _wins(listening)
        if not sent:
            assert sum(_is_open(client) for client in crowd) <= MOST_CONNECTIONS


def _is_open(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def test_a_flood_cannot_keep_the_browser_out() -> None:
    """While several clients do nothing but open connections, the answer wins."""
    with Listening() as listening:
        enough, rising = threading.Event(), threading.Semaphore(0)

        def flood() -> None:
            while not enough.is_set():
                rising.release()
                with (
                    suppress(OSError),
                    socket.create_connection(("127.0.0.1", listening.port), 1) as client,
                ):
                    client.sendall(b"GET /auth/callback?state=x HTTP/1.1\r\n" + HOST + b"\r\n")

        flooders = [threading.Thread(target=flood) for _ in range(4)]
        for flooder in flooders:
            flooder.start()
        for _ in range(100):
            assert rising.acquire(timeout=30)
        try:
            for _ in range(5):  # a connection that a newer one replaces is reset: reloaded
                with suppress(ConnectionError):
                    listening.win()
                if listening.has_ended(1.0):
                    break
            assert isinstance(listening.result, Grant)
        finally:
            enough.set()
            for flooder in flooders:
                flooder.join()


REFUSALS = {
    "error=access_denied&error_description=The+person+said+no.": (
        "access_denied",
        "The sign-in was denied: The person said no.",
    ),
    "error=access_denied": ("access_denied", "The sign-in was denied: no reason was given."),
    "error=server_error": ("server_error", "(server_error)"),
    "error=access_denied&error_description=missing_codex_entitlement": (
        "missing_codex_entitlement",
        "does not allow you to use Codex",
    ),
}


@pytest.mark.parametrize("query", REFUSALS)
def test_a_refusal_with_the_right_state_ends_the_wait(query: str) -> None:
    """The person or the issuer said no: that is an answer, and its page says it."""
    error, phrase = REFUSALS[query]
    with Listening() as listening:
        sent_on = fetch(
            listening.port, listening.callback(f"{query}&state={listening.request.state}")
        )
        assert (sent_on.status, sent_on.headers["Location"]) == (303, "/auth/done")
        shown = fetch(listening.port, "/auth/done")
    assert isinstance(listening.result, SignInRefused)
    assert listening.result.error == error
    assert phrase in shown.body
    assert "Signed in" not in shown.body


def test_the_issuers_words_are_text_on_the_page() -> None:
    """A description with markup in it is shown, not obeyed."""
    markup = "%3Cscript%3Ealert(1)%3C/script%3E%22%3E%3Cimg%20src=x%3E"
    with Listening() as listening:
        query = f"error=access_denied&error_description={markup}&state={listening.request.state}"
        fetch(listening.port, listening.callback(query))
        shown = fetch(listening.port, "/auth/done").body
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&gt;&lt;img src=x&gt;" in shown
    assert "<script" not in shown
    assert "<img" not in shown


def test_nobody_comes_in_time() -> None:
    """The wait ends as told, with the word for programs."""
    with Listening(timeout=0.2) as listening:
        listening.wait_for_end()
    assert isinstance(listening.result, TimedOut)
    assert listening.result.exit_code == 5


def _assert_tells_nothing(answer: Answer, listening: Listening) -> None:
    secrets = (CODE, listening.request.state, listening.request.verifier)
    assert not [secret for secret in secrets if secret in answer.everything]


def test_the_browser_is_sent_to_a_clean_address() -> None:
    """Neither redirect nor page hold the code, the state or the verifier, and nothing is kept."""
    with Listening() as listening:
        sent_on = fetch(listening.port, listening.callback())
        shown = fetch(listening.port, "/auth/done")
    assert (sent_on.status, sent_on.headers["Location"], sent_on.body) == (303, "/auth/done", "")
    assert shown.status == 200
    for answer in (sent_on, shown):
        _assert_tells_nothing(answer, listening)
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Connection"] == "close"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "Set-Cookie" not in answer.headers


def test_success_is_shown_only_when_it_is_true() -> None:
    """Until `conclude`, the last page gives the browser not a single byte."""
    with Listening() as listening:
        listening.may_conclude.clear()
        fetch(listening.port, listening.callback())
        with socket.create_connection(("127.0.0.1", listening.port), 5) as client:
            client.sendall(b"GET /auth/done HTTP/1.1\r\n" + HOST + b"\r\n")
            client.settimeout(0.3)
            with pytest.raises(TimeoutError):
                client.recv(1)
            client.settimeout(5)
            listening.may_conclude.set()
            assert client.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_a_failure_after_the_answer_is_shown_as_it_is() -> None:
    """The code was good but the exchange was not: no page may say otherwise."""
    with Listening(outcome=lambda _: page.failure("The disk is full.", "Make room.")) as listening:
        shown = listening.win().body
    assert "The disk is full." in shown
    assert "Make room." in shown
    assert "Signed in" not in shown


def test_a_second_click_gets_the_same_page() -> None:
    """Two tabs with the same redirect: one grant, and both see how it ended."""
    pages: list[str] = []
    with Listening() as listening:
        listening.may_conclude.clear()
        first = fetch(listening.port, listening.callback())
        second = fetch(listening.port, listening.callback(code="x" * 40))
        assert (first.status, second.status) == (303, 303)
        assert str(first.headers) == str(second.headers)
        tabs = [
            threading.Thread(target=lambda: pages.append(fetch(listening.port, "/auth/done").body))
            for _ in range(2)
        ]
        for tab in tabs:
            tab.start()
        time.sleep(0.2)
        listening.may_conclude.set()
        for tab in tabs:
            tab.join()
    assert isinstance(listening.result, Grant)
    assert listening.result.code == CODE
    assert pages == [page.success().html().decode()] * 2


def test_a_refusal_after_the_answer_changes_nothing() -> None:
    """The first answer counts, whatever a later one says."""
    with Listening() as listening:
        listening.may_conclude.clear()
        fetch(listening.port, listening.callback())
        denied = listening.callback(f"error=access_denied&state={listening.request.state}")
        assert fetch(listening.port, denied).status == 303
    assert isinstance(listening.result, Grant)


def test_a_browser_that_never_follows_delays_the_end_by_half_a_second_at_most() -> None:
    """A `curl` of the redirect is enough to sign in, and does not come for the page."""
    with Listening() as listening:
        fetch(listening.port, listening.callback())
        listening.wait_for_end()
    assert 0.2 < listening.concluding_took < 0.5


def test_a_browser_that_follows_does_not_delay_the_end() -> None:
    """Not even if it keeps its idle connections open, as browsers do."""
    with Listening() as listening, ExitStack() as clients:
        for _ in range(3):
            clients.enter_context(socket.create_connection(("127.0.0.1", listening.port), 5))
        listening.win()
        listening.wait_for_end()
        assert 0 < listening.concluding_took < 0.25


def test_the_port_is_free_and_every_connection_ended() -> None:
    """After the end somebody else can listen there at once."""
    with Listening() as listening:
        idle = socket.create_connection(("127.0.0.1", listening.port), 5)
        listening.win()
    with idle:
        assert not _is_open(idle)
    _, sockets = bind_loopback((listening.port,))
    for listened in sockets:
        listened.close()


def _unheard(port: int) -> tuple[LoopbackListener, AuthorizationRequest]:
    request = AuthorizationRequest(Provider(), redirect_uri_for(port))
    return LoopbackListener(request, bind_loopback((port,))[1]), request


@pytest.mark.parametrize("query", ["error=access_denied", f"code={CODE}"])
def test_an_answer_that_nobody_waits_for_any_more_is_silent(query: str) -> None:
    """A paste that wins at the same moment cancels the wait; the refusal is not an accident."""

    async def race() -> None:
        listener, request = _unheard(port := free_port())
        waiting = asyncio.create_task(listener.wait())
        target = f"/auth/callback?{query}&state={request.state}"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {target} HTTP/1.1\r\n".encode() + HOST + b"\r\n")
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
        listener, _ = _unheard(port := free_port())
        await listener.close()
        await listener.conclude(page.success())
        listener, _ = _unheard(port)
        waiting = asyncio.create_task(listener.wait())
        await asyncio.sleep(0)
        await asyncio.gather(listener.close(), listener.close())
        waiting.cancel()

    asyncio.run(close_often())


def test_a_connection_at_the_very_end_is_silent() -> None:
    """It comes in the same turn in which the end begins; asyncio would print that."""

    async def end_as_it_comes() -> None:
        listener, _ = _unheard(port := free_port())
        waiting = asyncio.create_task(listener.wait())
        await asyncio.sleep(0.05)
        with socket.create_connection(("127.0.0.1", port), 5) as client:
            await asyncio.sleep(0)  # this step and the connection are due in the next turn
            await listener.close()
            with suppress(ConnectionResetError):
                assert client.recv(1) == b""
        waiting.cancel()

    for _ in range(5):
        asyncio.run(end_as_it_comes())


def test_running_out_of_descriptors_is_survived() -> None:
    """Where the machine has none left, the browser waits a moment instead of failing."""

    class Exhausted(socket.socket):
        failures = 3

        def accept(self) -> tuple[socket.socket, object]:
            Exhausted.failures -= 1
            if Exhausted.failures >= 0:
                raise OSError(24, "Too many open files")
            return super().accept()

    async def exhaust() -> int:
        listening = Exhausted(socket.AF_INET, socket.SOCK_STREAM)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        request = AuthorizationRequest(Provider(), redirect_uri_for(port))
        listener = LoopbackListener(request, [listening])
        waiting = asyncio.create_task(listener.wait())
        answer = await asyncio.to_thread(fetch, port, "/")
        waiting.cancel()
        await listener.close()
        return answer.status

    assert asyncio.run(exhaust()) == 404
