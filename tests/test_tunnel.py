"""A laptop and a server with real ssh between: with a tunnel the browser wins, else a paste."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.machines import SERVER, Machines, two_machines
from tests.support.program import COMMAND

# The issuer and the browser are on the laptop; the server reaches the issuer through ssh.
ISSUER = """
import threading
from headless_login.practice.issuer import PracticeIssuer
with PracticeIssuer() as issuer:
    print(issuer.issuer, flush=True)
    threading.Event().wait()
"""
BROWSER = """
import sys
from headless_login.practice.person import approve
from tests.support.browsing import follow
address = approve(sys.argv[1])
try:
    print(follow(address).body)
except ConnectionRefusedError:
    print(address)
"""


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Two machines for all tests here."""
    with two_machines(tmp_path_factory.mktemp("ssh")) as running:
        yield running


@pytest.fixture(scope="module")
def issuer(machines: Machines) -> str:
    """The practice issuer on the laptop."""
    process = machines.start_on_laptop(str(Path(COMMAND).with_name("python")), "-c", ISSUER)
    assert process.stdout
    return process.stdout.readline().strip()


@pytest.fixture
def reach(issuer: str) -> tuple[str, str]:
    """The options of ssh by which the server reaches the issuer."""
    port = issuer.rpartition(":")[2]
    return "-R", f"{port}:localhost:{port}"


@pytest.fixture
def login(issuer: str, codex_home: Path) -> str:
    """The command that signs in on the server, for a shell."""
    settings = f"CODEX_HOME={codex_home} HEADLESS_LOGIN_ISSUER={issuer} USER=root"
    return f"env {settings} {COMMAND} login"


def test_the_browser_wins_through_the_tunnel_that_was_advised(
    machines: Machines, reach: tuple[str, str], login: str, codex_home: Path
) -> None:
    """The printed line, run on the laptop as it stands, makes the browser reach the listener."""
    with machines.ssh(*reach, command=login) as terminal:
        url = terminal.read_question()
        (advised,) = (line for line in terminal.lines if line.startswith("Tunnel: "))
        assert advised == f"Tunnel: ssh -L 1455:localhost:1455 root@{SERVER}"
        ssh, *rest = advised.removeprefix("Tunnel: ").split()
        words = (ssh, "-F", str(machines.config), *rest, "echo ready; sleep 60")
        tunnel = machines.start_on_laptop(*words)
        assert tunnel.stdout
        assert "ready" in tunnel.stdout.readline()
        assert "Signed in to Codex" in machines.python_on_laptop(BROWSER, url)
        assert terminal.wait() == 0
        assert "The browser brought the answer" in terminal.text
        tunnel.kill()
    assert (codex_home / "auth.json").exists()


def test_the_browser_wins_through_a_tunnel_added_to_the_session(
    machines: Machines, reach: tuple[str, str], login: str, codex_home: Path
) -> None:
    """The ~C way: the session at hand gets its tunnel, and the question survives it."""
    options = (*reach, "-o", "EnableEscapeCommandline=yes")
    with machines.ssh(*options, command=login) as terminal:
        url = terminal.read_question()
        assert "Or in this very session: press Enter, ~C" in terminal.text
        terminal.send("\r~C")
        terminal.read_until("ssh> ")
        terminal.send("-L 1455:localhost:1455\r")
        terminal.read_until("Forwarding port")
        assert "Signed in to Codex" in machines.python_on_laptop(BROWSER, url)
        assert terminal.wait() == 0
        assert "Nothing was pasted" not in terminal.text
    assert (codex_home / "auth.json").exists()


def test_the_paste_wins_without_a_tunnel(
    machines: Machines, reach: tuple[str, str], login: str, codex_home: Path
) -> None:
    """The laptop's browser ends at a page that cannot load, and its address is pasted."""
    with machines.ssh(*reach, command=login) as terminal:
        address = machines.python_on_laptop(BROWSER, terminal.read_question())
        assert address.startswith("http://127.0.0.1:1455/auth/callback?code=")
        terminal.paste(address.strip())
        assert terminal.wait() == 0
        assert "The pasted answer is accepted" in terminal.text
    assert (codex_home / "auth.json").exists()


def test_two_calls_over_ssh(machines: Machines, reach: tuple[str, str], login: str) -> None:
    """`ssh host headless-login login start`, then `… finish` with the address on its input.

    As an argument it has to be quoted twice: once for the laptop's shell, once for the server's,
    which cuts it at the first `&` otherwise.
    """

    def on_server(words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return machines.run_ssh(*reach, command=f"{login} {words}", stdin=stdin)

    def answer() -> str:
        started = on_server("start")
        assert started.returncode == 0, started.stderr
        address = machines.python_on_laptop(BROWSER, started.stdout.splitlines()[0]).strip()
        assert address.startswith("http://127.0.0.1:1455/auth/callback?")
        return address

    piped = on_server("finish -", answer())
    assert piped.returncode == 0, piped.stderr
    quoted = on_server(f"finish {shlex.quote(answer())}")
    assert quoted.returncode == 0, quoted.stderr
    bare = answer()
    cut = on_server(f"finish {bare}")
    assert "If a shell cut the address at an &" in cut.stderr
    assert on_server("finish", bare).returncode == 0


def test_paste_redirect_over_ssh_without_a_terminal(machines: Machines, login: str) -> None:
    """`ssh host headless-login login --paste-redirect` from a script ends at once, with advice."""
    done = machines.run_ssh(command=f"{login} --paste-redirect")
    assert done.returncode == 2
    assert "login start" in done.stderr
