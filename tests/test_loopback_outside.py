"""The installed command and the browser's page: true, in time, and the port free afterwards."""

from __future__ import annotations

import json
import re
import signal
from html import unescape

import pytest

from headless_login.flows.loopback import DONE_PATH
from headless_login.practice.issuer import Answer
from headless_login.practice.person import approve
from headless_login.practice.wire import Parameters, json_answer
from tests.support.browsing import follow
from tests.support.listening import fetch, flooded, get, is_open, read, send
from tests.support.machine import has_mode, posix_signals
from tests.support.misbehaving import HTML
from tests.support.scene import Good, Scene, Spoil

OLD = b'{"auth_mode": "apikey", "OPENAI_API_KEY": "sk-old-and-precious"}'
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}


def _redirect(scene: Scene, url: str) -> None:
    """Approve, and bring the answer as a browser does that has not followed yet."""
    assert fetch(scene.port, approve(url).partition(str(scene.port))[2]).status_code == 303


def _words(page: str) -> list[str]:
    """Return the sentences of one of our pages."""
    return [unescape(text) for text in re.findall(r"<p(?: class=\"hint\")?>(.*?)</p>", page)]


def test_the_page_comes_when_the_file_is_there(scene: Scene) -> None:
    """Not a byte of it before; at its first byte auth.json is complete, and then all is over."""
    scene.issuer.may_answer.clear()
    with scene.piped() as piped:
        _redirect(scene, piped.read_url())
        assert scene.issuer.asked.wait(10)
        with send(scene.port, get(DONE_PATH)) as connection:
            connection.settimeout(0.3)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            assert not scene.auth_file.exists()
            connection.settimeout(10)
            scene.issuer.may_answer.set()
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
            stored = json.loads(scene.auth_file.read_bytes())
            assert piped.finish().exit_code == 0
            assert b"Signed in to Codex" in read(connection)
    assert all(stored["tokens"][name] for name in ("id_token", "access_token", "refresh_token"))
    assert has_mode(scene.auth_file, 0o600)
    scene.assert_port_is_free()


def test_a_browser_that_does_not_follow_is_not_waited_for(scene: Scene) -> None:
    """As `curl`, which shows the redirect and ends: signed in all the same."""
    with scene.piped() as piped:
        _redirect(scene, piped.read_url())
        assert piped.finish().exit_code == 0
    assert scene.auth_file.exists()
    scene.assert_port_is_free()


def _without_refresh_token(good: Good, _: Parameters) -> Answer:
    document = json.loads(good().body)
    del document["refresh_token"]
    return json_answer(200, document)


def _echoing(_: Good, form: Parameters) -> Answer:
    said = f"<b>bad</b> {form['code']} {form['code_verifier']}"
    return json_answer(400, {"error": "invalid_grant", "error_description": said})


def _challenging(_: Good, __: Parameters) -> Answer:
    return Answer(403, HTML, (("cf-mitigated", "challenge"),))


@pytest.mark.parametrize(
    ("spoil", "exit_code"), [(_echoing, 3), (_without_refresh_token, 4), (_challenging, 4)]
)
def test_a_failed_exchange_is_told_in_the_browser(
    spoil: Spoil, exit_code: int, scene: Scene
) -> None:
    """In the terminal's words, without a secret, as text; and the old sign-in stays."""
    scene.issuer.spoil = spoil
    scene.auth_file.write_bytes(OLD)
    with scene.piped() as piped:
        page = follow(approve(piped.read_url()))
        outcome = piped.finish()
    assert outcome.exit_code == exit_code
    assert page.status_code == 200
    assert "<h1>Not signed in</h1>" in page.text
    told = " ".join(outcome.err.split())
    assert _words(page.text)
    assert not [sentence for sentence in _words(page.text) if sentence not in told]
    (exchange,) = scene.exchanges()
    for secret in (exchange["code"], exchange["code_verifier"], "MARKED-SECRET", "<b>"):
        assert secret not in f"{page.headers}{page.text}"
    assert scene.auth_file.read_bytes() == OLD
    scene.assert_port_is_free()


def test_a_file_that_cannot_be_written_is_told_in_the_browser(scene: Scene) -> None:
    """The tokens are here and the disk is not: that is no success."""

    def meanwhile(good: Good, _: Parameters) -> Answer:
        scene.auth_file.mkdir()
        return good()

    scene.issuer.spoil = meanwhile
    with scene.piped() as piped:
        page = follow(approve(piped.read_url())).text
        assert piped.finish().exit_code == 6
    assert "<h1>Not signed in</h1>" in page
    assert "auth.json" in _words(page)[0]
    assert "it is a folder" in " ".join(_words(page))
    scene.assert_port_is_free()


@posix_signals
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_during_the_exchange_is_told_in_the_browser(
    number: signal.Signals, scene: Scene
) -> None:
    """The page does not hang and does not break: it says what happened; and the port is free."""
    scene.issuer.may_answer.clear()
    with scene.piped() as piped:
        _redirect(scene, piped.read_url())
        assert scene.issuer.asked.wait(10)
        connection = send(scene.port, get(DONE_PATH))
        piped.process.send_signal(number)
        assert piped.finish().exit_code == SIGNALS[number]
        assert b"<h1>Sign-in interrupted</h1>" in read(connection)
    assert not scene.auth_file.exists()
    scene.assert_port_is_free()


@posix_signals
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_waiting_frees_both_families(number: signal.Signals, scene: Scene) -> None:
    """Whoever is connected is dropped, and the next sign-in has the port at once."""
    with scene.piped() as piped:
        piped.read_url()
        with send(scene.port, b"") as idle:
            assert fetch(scene.port, "/").status_code == 404  # it waits, for the idle one as well
            piped.process.send_signal(number)
            assert piped.finish().exit_code == SIGNALS[number]
            assert not is_open(idle, 10)
    scene.assert_port_is_free()


@posix_signals
def test_a_crowd_cannot_drown_a_signal(scene: Scene) -> None:
    """SIGTERM ends it, whatever it is doing for others at that moment."""
    for _ in range(3):
        with scene.piped() as piped:
            piped.read_url()
            with flooded(scene.port):
                piped.process.terminate()
                outcome = piped.finish()
        assert outcome.exit_code == 143
        assert "Traceback" not in outcome.err, outcome.err
