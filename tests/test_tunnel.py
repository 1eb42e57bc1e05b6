"""A laptop and a server with real ssh between: with a tunnel the browser wins, else a paste."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from tests.support.browsing import follow
from tests.support.machines import SERVER, Machines, two_machines
from tests.support.program import COMMAND, Terminal
from tests.support.renewing import Backend, Renewing, ask_model


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with two_machines(tmp_path_factory.mktemp("ssh")) as running:
        yield running


@pytest.fixture(autouse=True)
def _on_laptop(machines: Machines) -> Iterator[None]:
    """The test is there, with its issuer and its browser."""
    with machines.on_laptop():
        yield


class Server(NamedTuple):
    """The server as the laptop reaches it, and it the issuer: by options of ssh."""

    machines: Machines
    reach: tuple[str, str]
    login: str  # the command that signs in there, for a shell

    def session(self, *options: str) -> Terminal:
        return self.machines.ssh(*self.reach, *options, command=self.login)

    def run(self, words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run that command with more words, without a terminal."""
        return self.machines.run_ssh(*self.reach, command=f"{self.login} {words}", stdin=stdin)


@pytest.fixture
def server(machines: Machines, issuer: PracticeIssuer, codex_home: Path) -> Server:
    """The server, and on it a Codex folder and the address of the issuer."""
    port = issuer.issuer.rpartition(":")[2]
    settings = f"CODEX_HOME={codex_home} HEADLESS_LOGIN_ISSUER={issuer.issuer} USER=root"
    return Server(machines, ("-R", f"{port}:localhost:{port}"), f"env {settings} {COMMAND} login")


def test_the_browser_wins_by_the_advised_tunnel(server: Server, codex_home: Path) -> None:
    """The printed line, run on the laptop as it stands, makes the browser reach the listener."""
    with server.session() as terminal:
        url = terminal.read_question()
        (advised,) = (line for line in terminal.lines if line.startswith("ssh "))
        assert advised == f"ssh -N -L 1455:localhost:1455 root@{SERVER}"
        ssh, *rest = advised.split()
        words = (ssh, "-v", "-F", str(server.machines.config), *rest)
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as tunnel:
            assert tunnel.stderr
            assert any(b"pledge: network" in line for line in tunnel.stderr)  # it is through
            assert "Signed in to Codex" in follow(approve(url)).text
            tunnel.kill()
        assert terminal.wait() == 0
        assert "The browser brought the answer" in terminal.text
    assert (codex_home / "auth.json").exists()


def test_the_browser_wins_by_a_tunnel_of_the_session(server: Server, codex_home: Path) -> None:
    """The ~C way, where ssh was told to allow it; and the question survives it."""
    with server.session("-o", "EnableEscapeCommandline=yes") as terminal:
        url = terminal.read_question()
        assert "~C" not in terminal.text  # OpenSSH 9.2 and newer answer "commandline disabled"
        terminal.send("\r~C")
        terminal.read_until("ssh> ")
        terminal.send("-L 1455:localhost:1455\r")
        terminal.read_until("Forwarding port")
        assert "Signed in to Codex" in follow(approve(url)).text
        assert terminal.wait() == 0
        assert "Nothing was pasted" not in terminal.text
    assert (codex_home / "auth.json").exists()


def test_the_paste_wins_without_a_tunnel(server: Server, codex_home: Path) -> None:
    """The laptop's browser ends at a page that cannot load, and its address is pasted."""
    with server.session() as terminal:
        address = approve(terminal.read_question())
        with pytest.raises(requests.ConnectionError):
            follow(address)
        terminal.paste(address)
        assert terminal.wait() == 0
        assert "The pasted answer is accepted" in terminal.text
    assert (codex_home / "auth.json").exists()


def test_two_calls_over_ssh(server: Server) -> None:
    """`ssh host headless-login login start`, then `… finish` with the address on its input."""

    def answer() -> str:
        started = server.run("start")
        assert started.returncode == 0, started.stderr
        return approve(started.stdout.splitlines()[0])

    piped = server.run("finish -", answer())
    assert piped.returncode == 0, piped.stderr
    # Quoted for the server's shell as well, which cuts it at the first & otherwise.
    quoted = server.run(f"finish {shlex.quote(answer())}")
    assert quoted.returncode == 0, quoted.stderr
    bare = answer()
    assert "If a shell cut the address at an &" in server.run(f"finish {bare}").stderr
    assert server.run("finish", bare).returncode == 0


def test_codex_works_by_the_owners_token(server: Server, codex_home: Path, tmp_path: Path) -> None:
    """README's config.toml with ssh: the laptop's Codex has no sign-in, the server keeps it."""
    laptops = tmp_path / "laptop"
    laptops.mkdir()
    with Backend() as issuer:
        backend, port = Renewing(codex_home, issuer), issuer.issuer.rpartition(":")[2]
        words = ("-F", str(server.machines.config), "-R", f"{port}:localhost:{port}")
        ours = (f"root@{SERVER}", COMMAND, "token", "--codex-home", str(codex_home))
        exit_code, said = ask_model(backend, laptops, "ssh", *words, *ours)
        assert (exit_code, "PONG" in said) == (0, True), said
        assert issuer.spent_by_us()
    assert not (laptops / "auth.json").exists()


def test_paste_redirect_over_ssh_without_a_terminal(server: Server) -> None:
    """`ssh host headless-login login --paste-redirect` from a script ends at once, with advice."""
    done = server.run("--paste-redirect")
    assert done.returncode == 2
    assert "login start" in done.stderr
