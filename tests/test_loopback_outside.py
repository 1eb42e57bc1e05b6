"""The installed command and the browser's page: true, in time, and the port free afterwards."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from html import unescape
from pathlib import Path

import pytest

from headless_login.practice.issuer import Answer, PracticeIssuer
from headless_login.practice.person import approve
from headless_login.practice.wire import Parameters, json_answer
from tests.support.browsing import follow
from tests.support.listening import free_port, raw
from tests.support.misbehaving import HTML
from tests.support.program import PROMPT, Outcome, Piped, Terminal, environment, run

OLD = b'{"auth_mode": "apikey", "OPENAI_API_KEY": "sk-old-and-precious"}'
LOOPBACK = [(socket.AF_INET, "127.0.0.1")] + (
    [(socket.AF_INET6, "::1")] if os.path.exists("/proc/net/if_inet6") else []
)
Spoil = Callable[[Callable[[], Answer], Parameters], Answer]


class SpoiledIssuer(PracticeIssuer):
    """Answers token requests as told; takes what makes an answer from the good one."""

    def __init__(self, port: int, spoil: Spoil) -> None:
        """Redirect to a port."""
        super().__init__(redirect_ports=(port,))
        self.asked = threading.Event()
        self._spoil = spoil

    def token_answer(self, form: Parameters) -> Answer:
        """Answer as told."""
        self.asked.set()
        return self._spoil(lambda: PracticeIssuer.token_answer(self, form), form)


class Scene:
    """A sign-in that only the browser can answer, at a port of its own."""

    def __init__(self, codex_home: Path, spoil: Spoil) -> None:
        self.port = free_port()
        self.issuer = SpoiledIssuer(self.port, spoil)
        self.auth_file = codex_home / "auth.json"
        self._codex_home = codex_home

    @contextmanager
    def start(self) -> Iterator[Piped]:
        """Run it in a pipe without input."""
        with self.issuer:
            environ = environment(self._codex_home, self.issuer.issuer)
            arguments = ("login", "--port", str(self.port))
            with Piped(*arguments, environ=environ, stdin=subprocess.DEVNULL) as piped:
                yield piped

    def redirect(self, url: str) -> None:
        """Approve, and bring the answer as a browser does that has not followed yet."""
        target = approve(url).partition(str(self.port))[2]
        assert raw(self.port, self._get(target)).startswith(b"HTTP/1.1 303 ")

    def ask_for_the_page(self) -> socket.socket:
        """Follow the redirect, and return the connection on which the page will come."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.sendall(self._get("/auth/done"))
        return connection

    def _get(self, target: str) -> bytes:
        return f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode()

    def assert_port_is_free(self) -> None:
        """Fail if anybody still listens, on either family."""
        for family, address in LOOPBACK:
            socket.create_server((address, self.port), family=family).close()


def _finish_at_once(piped: Piped) -> Outcome:
    started = time.monotonic()
    outcome = piped.finish()
    assert time.monotonic() - started < 1
    return outcome


def _words(page: str) -> list[str]:
    """Return the sentences of one of our pages."""
    return [unescape(text) for text in re.findall(r"<p(?: class=\"hint\")?>(.*?)</p>", page)]


def test_the_page_comes_when_the_file_is_there(codex_home: Path) -> None:
    """Not a byte of it before; at its first byte auth.json is complete, and then all is over."""
    may_answer = threading.Event()

    def slow(good: Callable[[], Answer], _: Parameters) -> Answer:
        may_answer.wait(20)
        return good()

    scene = Scene(codex_home, slow)
    with scene.start() as piped:
        scene.redirect(piped.read_url())
        assert scene.issuer.asked.wait(10)
        with scene.ask_for_the_page() as connection:
            connection.settimeout(0.3)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            assert not scene.auth_file.exists()
            connection.settimeout(10)
            may_answer.set()
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
            stored = json.loads(scene.auth_file.read_bytes())
            assert _finish_at_once(piped).exit_code == 0
            assert b"Signed in to Codex" in connection.recv(65536)
    assert all(stored["tokens"][name] for name in ("id_token", "access_token", "refresh_token"))
    assert stat.S_IMODE(scene.auth_file.stat().st_mode) == 0o600
    scene.assert_port_is_free()


def test_a_browser_that_does_not_follow_is_not_waited_for(codex_home: Path) -> None:
    """As `curl`, which shows the redirect and ends: signed in all the same."""
    scene = Scene(codex_home, lambda good, _: good())
    with scene.start() as piped:
        scene.redirect(piped.read_url())
        assert piped.finish().exit_code == 0
    assert scene.auth_file.exists()
    scene.assert_port_is_free()


def _without_refresh_token(good: Callable[[], Answer], _: Parameters) -> Answer:
    document = json.loads(good().body)
    del document["refresh_token"]
    return json_answer(200, document)


def _echoing(_: Callable[[], Answer], form: Parameters) -> Answer:
    said = f"<b>bad</b> {form['code']} {form['code_verifier']}"
    return json_answer(400, {"error": "invalid_grant", "error_description": said})


FAILURES: dict[str, tuple[Spoil, int]] = {
    "refused": (_echoing, 3),
    "incomplete": (_without_refresh_token, 4),
    "a challenge": (lambda *_: Answer(403, HTML, (("cf-mitigated", "challenge"),)), 4),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failed_exchange_is_told_in_the_browser(case: str, codex_home: Path) -> None:
    """In the terminal's words, without a secret, as text; and the old sign-in stays."""
    spoil, exit_code = FAILURES[case]
    scene = Scene(codex_home, spoil)
    scene.auth_file.write_bytes(OLD)
    with scene.start() as piped:
        page = follow(approve(piped.read_url()))
        outcome = _finish_at_once(piped)
        (exchange,) = [r.form() for r in scene.issuer.requests if r.path == "/oauth/token"]
    assert outcome.exit_code == exit_code
    assert page.status == 200
    assert "<h1>Not signed in</h1>" in page.body
    told = " ".join(outcome.err.split())
    assert _words(page.body)
    assert not [sentence for sentence in _words(page.body) if sentence not in told]
    for secret in (exchange["code"], exchange["code_verifier"], "MARKED-SECRET", "<b>"):
        assert secret not in page.everything
    assert scene.auth_file.read_bytes() == OLD
    scene.assert_port_is_free()


def test_a_file_that_cannot_be_written_is_told_in_the_browser(codex_home: Path) -> None:
    """The tokens are here and the disk is not: that is no success."""

    def meanwhile(good: Callable[[], Answer], _: Parameters) -> Answer:
        (codex_home / "auth.json").mkdir()
        return good()

    scene = Scene(codex_home, meanwhile)
    with scene.start() as piped:
        page = follow(approve(piped.read_url()))
        outcome = _finish_at_once(piped)
    assert outcome.exit_code == 6
    assert "<h1>Not signed in</h1>" in page.body
    assert "auth.json" in _words(page.body)[0]
    scene.assert_port_is_free()


# Signals.

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_during_the_exchange_is_told_in_the_browser(
    number: signal.Signals, codex_home: Path
) -> None:
    """The page does not hang and does not break: it says what happened; and the port is free."""

    def hanging(_: Callable[[], Answer], __: Parameters) -> Answer:
        scene.issuer.stopped.wait(20)
        return Answer(500)

    scene = Scene(codex_home, hanging)
    with scene.start() as piped:
        scene.redirect(piped.read_url())
        assert scene.issuer.asked.wait(10)
        with scene.ask_for_the_page() as connection:
            piped.process.send_signal(number)
            outcome = _finish_at_once(piped)
            page = b"".join(iter(lambda: connection.recv(65536), b""))
    assert outcome.exit_code == SIGNALS[number]
    assert b"<h1>Sign-in interrupted</h1>" in page
    assert not scene.auth_file.exists()
    scene.assert_port_is_free()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_waiting_frees_both_families(
    number: signal.Signals, codex_home: Path
) -> None:
    """Whoever is connected is dropped, and the next sign-in has the port at once."""
    scene = Scene(codex_home, lambda good, _: good())
    with scene.start() as piped:
        piped.read_url()
        with socket.create_connection(("127.0.0.1", scene.port), timeout=10) as idle:
            time.sleep(0.2)  # until nothing goes on there
            piped.process.send_signal(number)
            assert _finish_at_once(piped).exit_code == SIGNALS[number]
            assert idle.recv(1) == b""
    scene.assert_port_is_free()


def test_a_crowd_cannot_drown_a_signal(codex_home: Path) -> None:
    """SIGTERM ends it at once, whatever it is doing for others at that moment."""
    scene = Scene(codex_home, lambda good, _: good())
    enough = threading.Event()

    def crowd() -> None:
        while not enough.is_set():
            with suppress(OSError):
                raw(scene.port, b"GET / HTTP/1.1\r\n\r\n", timeout=1)

    for _ in range(3):
        enough.clear()
        with scene.start() as piped:
            piped.read_url()
            threads = [threading.Thread(target=crowd) for _ in range(3)]
            for thread in threads:
                thread.start()
            time.sleep(0.2)
            try:
                piped.process.terminate()
                outcome = piped.finish(timeout=2)
            finally:
                enough.set()
                for thread in threads:
                    thread.join()
        assert outcome.exit_code == 143
        assert "Traceback" not in outcome.err, outcome.err


# Ports that cannot be had.


@pytest.mark.parametrize(("family", "address"), LOOPBACK)
def test_a_chosen_port_that_is_taken(
    family: socket.AddressFamily, address: str, codex_home: Path
) -> None:
    """On either family, in a terminal: it says by whom, and goes on by paste at that port."""
    port = free_port()
    with (
        PracticeIssuer(redirect_ports=(port,)) as issuer,
        socket.create_server((address, port), family=family),
        Terminal(
            "login",
            "--port",
            str(port),
            environ=environment(codex_home, issuer.issuer),
            columns=200,
        ) as terminal,
    ):
        url = terminal.read_url()
        terminal.read_until(PROMPT)
        assert f"127.0.0.1%3A{port}%2F" in url
        assert re.search(rf"port {port} \(in use by .*, process {os.getpid()}\)", terminal.text)
        terminal.paste(approve(url))
        assert terminal.wait() == 0
    assert (codex_home / "auth.json").exists()


def test_an_address_of_another_machine(environ: dict[str, str], codex_home: Path) -> None:
    """--bind with an address that is not here: said at once, and a paste still signs in."""
    arguments = ("login", "--bind", "192.0.2.1")
    reason = f"port 1455 ({os.strerror(errno.EADDRNOTAVAIL)})"
    without_input = run(*arguments, environ=environ)
    assert without_input.exit_code == 6
    assert reason in without_input.err
    assert "--bind ADDRESS" in without_input.err
    with Piped(*arguments, environ=environ) as piped:
        outcome = piped.finish(approve(piped.read_url()) + "\n")
    assert outcome.exit_code == 0
    assert reason in outcome.err
    assert "Signing in by paste instead." in outcome.err
    assert (codex_home / "auth.json").exists()
