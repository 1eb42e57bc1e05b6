"""The installed command when its ports are taken: another port, or a paste, or a plain word."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from headless_login.practice.person import approve
from tests.support.browsing import follow
from tests.support.listening import LOOPBACK, listen_at
from tests.support.program import Piped, Terminal, run
from tests.support.scene import Scene

pytestmark = pytest.mark.usefixtures("codexs_ports")


BY = "" if sys.platform == "win32" else " by "  # Wine tells no process of a socket


@contextmanager
def _taken(*ports: int) -> Iterator[None]:
    with ExitStack() as stack:
        for port in ports:
            stack.enter_context(listen_at("127.0.0.1", port))
        yield


@pytest.mark.parametrize(("taken", "bound"), [((), 1455), ((1455,), 1457)])
def test_the_redirect_uri_names_the_port_that_is_bound(
    taken: tuple[int, ...], bound: int, environ: dict[str, str], codex_home: Path
) -> None:
    """1455, else 1457; in the address, in the exchange, and on the socket alike."""
    with _taken(*taken), Piped("login", "--no-browser", environ=environ) as piped:
        url = piped.read_url()
        assert f"redirect_uri=http%3A%2F%2F127.0.0.1%3A{bound}%2Fauth%2Fcallback" in url
        assert (f"Port 1455 (in use{BY}" in piped.err) is bool(taken)
        follow(approve(url))
        assert piped.finish().exit_code == 0
    assert (codex_home / "auth.json").exists()


def test_without_a_port_it_goes_on_by_paste(environ: dict[str, str], codex_home: Path) -> None:
    """On a terminal: both ports are named, with who has them, and the question comes."""
    with _taken(1455, 1457), Terminal("login", environ=environ) as terminal:
        url = terminal.read_question()
        assert "127.0.0.1%3A1455" in url
        shown = " ".join(terminal.text.split())
        assert "port 1455 (in use by " in shown
        assert "port 1457 (in use by " in shown
        assert "Signing in by paste instead." in shown
        assert "Tunnel:" not in shown
        terminal.paste(approve(url))
        assert terminal.wait() == 0
    assert (codex_home / "auth.json").exists()


@pytest.mark.parametrize("address", LOOPBACK)
def test_a_chosen_port_that_is_taken(address: str, scene: Scene) -> None:
    """On either family, in a terminal: it says by whom, and goes on by paste at that port."""
    holder = rf"port {scene.port} \(in use by .*, process {os.getpid()}\)"
    with listen_at(address, scene.port), scene.terminal(columns=200) as terminal:
        url = terminal.read_question()
        assert f"127.0.0.1%3A{scene.port}%2F" in url
        assert re.search(holder, terminal.text)
        assert "port 1455" not in terminal.text
        terminal.paste(approve(url))
        assert terminal.wait() == 0
    assert scene.auth_file.exists()


def _why_not_there() -> str | None:
    try:
        with socket.socket() as unbound:
            unbound.bind(("192.0.2.1", 0))
    except OSError as error:
        return error.strerror
    return None


NO_ADDRESS = f"port 1455 ({_why_not_there()})"


# Ports that are taken, options, the reason, and a remedy.
NO_PORT: dict[str, tuple[tuple[int, ...], tuple[str, ...], str, str]] = {
    "both taken": ((1455, 1457), (), "port 1455 (in use", ""),
    "another machine's": ((), ("--bind", "192.0.2.1"), NO_ADDRESS, "--bind ADDRESS"),
}


@pytest.mark.parametrize("case", NO_PORT)
def test_without_a_port_a_pipe_is_enough(
    case: str, environ: dict[str, str], codex_home: Path
) -> None:
    """A paste signs in; without input it is exit 6: the port is what has to be mended."""
    taken, options, reason, remedy = NO_PORT[case]
    with _taken(*taken):
        without_input = run("login", *options, environ=environ)
        assert without_input.exit_code == 6
        assert f"Error: No browser can reach this sign-in: {reason}" in without_input.err
        assert remedy in without_input.err
        assert not (codex_home / "auth.json").exists()
        with Piped("login", *options, environ=environ) as piped:
            outcome = piped.finish(approve(piped.read_url()) + "\n")
    assert outcome.exit_code == 0
    assert reason in outcome.err
    assert "Signing in by paste instead." in outcome.err
    assert (codex_home / "auth.json").exists()


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
