"""The installed command when its ports are taken: another port, or a paste, or a plain word."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from headless_login.practice.person import approve
from tests.support.browsing import follow
from tests.support.program import PROMPT, Piped, Terminal, run

pytestmark = pytest.mark.usefixtures("codexs_ports")


@contextmanager
def _taken(*ports: int) -> Iterator[None]:
    with ExitStack() as stack:
        for port in ports:
            stack.enter_context(socket.create_server(("127.0.0.1", port)))
        yield


@pytest.mark.parametrize(("taken", "bound"), [((), 1455), ((1455,), 1457)])
def test_the_redirect_uri_names_the_port_that_is_bound(
    taken: tuple[int, ...], bound: int, environ: dict[str, str], codex_home: Path
) -> None:
    """1455, else 1457; in the address, in the exchange, and on the socket alike."""
    with _taken(*taken), Piped("login", "--no-browser", environ=environ) as piped:
        url = piped.read_url()
        assert f"redirect_uri=http%3A%2F%2F127.0.0.1%3A{bound}%2Fauth%2Fcallback" in url
        assert ("Port 1455 (in use by " in piped.err) is bool(taken)
        follow(approve(url))
        assert piped.finish().exit_code == 0
    assert (codex_home / "auth.json").exists()


def test_without_a_port_it_goes_on_by_paste(environ: dict[str, str], codex_home: Path) -> None:
    """On a terminal: both ports are named, with who has them, and the question comes."""
    with _taken(1455, 1457), Terminal("login", environ=environ) as terminal:
        url = terminal.read_url()
        assert "127.0.0.1%3A1455" in url
        terminal.read_until(PROMPT)
        shown = " ".join(terminal.text.split())
        assert "port 1455 (in use by " in shown
        assert "port 1457 (in use by " in shown
        assert "Signing in by paste instead." in shown
        assert "Tunnel:" not in shown
        terminal.paste(approve(url))
        assert terminal.wait() == 0
    assert (codex_home / "auth.json").exists()


def test_without_a_port_a_pipe_is_enough(environ: dict[str, str], codex_home: Path) -> None:
    """The same through standard input."""
    with _taken(1455, 1457), Piped("login", environ=environ) as piped:
        outcome = piped.finish(approve(piped.read_url()) + "\n")
    assert outcome.exit_code == 0
    assert "Signing in by paste instead." in outcome.err
    assert (codex_home / "auth.json").exists()


def test_without_a_port_and_without_input_no_way_is_left(
    environ: dict[str, str], codex_home: Path
) -> None:
    """Exit 6: the port is what has to be mended."""
    with _taken(1455, 1457):
        outcome = run("login", environ=environ)
    assert outcome.exit_code == 6
    assert "Error: No browser can reach this sign-in: port 1455" in outcome.err
    assert not (codex_home / "auth.json").exists()


def test_the_port_that_was_asked_for_and_no_other(environ: dict[str, str]) -> None:
    """--port 1457 is taken: 1455 is not taken in its place."""
    with _taken(1457), Piped("login", "--port", "1457", environ=environ) as piped:
        outcome = piped.finish(approve(piped.read_url()) + "\n")
    assert outcome.exit_code == 0
    assert "port 1457 (in use" in outcome.err
    assert "1455" not in outcome.err


def test_a_wider_address_is_warned_about(environ: dict[str, str]) -> None:
    """--bind 0.0.0.0, for containers: it works, and says who else may come."""
    arguments = ("login", "--bind", "0.0.0.0", "--no-browser")  # noqa: S104
    with Piped(*arguments, environ=environ, stdin=subprocess.DEVNULL) as piped:
        url = piped.read_url()
        assert "Warning: listening on 0.0.0.0" in piped.err
        assert "docker run -p 127.0.0.1:1455:1455" in piped.err
        follow(approve(url))
        assert piped.finish().exit_code == 0


def test_paste_redirect_binds_nothing(environ: dict[str, str]) -> None:
    """The ports stay free all the time."""
    with Piped("login", "--paste-redirect", environ=environ) as piped:
        answer = approve(piped.read_url())
        with _taken(1455, 1457):
            pass
        assert piped.finish(answer).exit_code == 0
