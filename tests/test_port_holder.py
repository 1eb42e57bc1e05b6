"""Who has the port: named without being disturbed, ended only by order; and we let Codex end us."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from headless_login.errors import LocalTrouble
from headless_login.flows.port_holder import PortHolder, cancel, find_holder, started_by
from headless_login.flows.ports import bind_loopback
from headless_login.practice.person import approve
from tests.support.browsing import follow
from tests.support.codex import CODEX_VERSIONS, NEWEST, codex_environment, require_codex
from tests.support.listening import free_port, listen_at, needs_ipv6
from tests.support.machine import needs_proc, posix_shell
from tests.support.program import Piped, until
from tests.support.scene import Scene

ENDED = "asked this sign-in to end"


@needs_proc
@pytest.mark.parametrize("address", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
def test_this_very_process_is_found(address: str) -> None:
    """By the port's own socket, on either family; and nobody where there is none."""
    port = free_port()
    assert find_holder(port) is None
    with listen_at(address, port):
        name = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
        assert find_holder(port) == PortHolder(name, os.getpid())


@pytest.mark.parametrize(
    ("name", "shown", "can_be_cancelled"),
    [
        ("codex", "a Codex sign-in, process 42", True),
        ("codex.exe", "a Codex sign-in, process 42", True),
        ("headless-login", "another headless-login, process 42", True),
        ("nginx", "nginx, process 42", False),
    ],
)
def test_names(name: str, shown: str, can_be_cancelled: bool) -> None:
    """The two programs that know what a cancel request means are told from all others."""
    holder = PortHolder(name, 42)
    assert (str(holder), holder.can_be_cancelled) == (shown, can_be_cancelled)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("p4242\nccodex\nf17\n", PortHolder("codex", 4242)),
        ("p4242\ng4242\nccodex\n", PortHolder("codex", 4242)),
        ("p1\nc\x1b[31mevil\x1b[0m\n", PortHolder("[31mevil[0m", 1)),
        ("", None),
        ("nonsense", None),
    ],
)
@posix_shell
def test_where_there_is_no_proc_lsof_tells(
    output: str, expected: PortHolder | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """macOS: lsof's output for programs, whatever else stands in it; and Windows has neither."""
    lsof = tmp_path / "lsof"
    (tmp_path / "out").write_text(output)
    lsof.write_text(f'#!/bin/sh\nprintf "%s " "$@" > {tmp_path}/asked\ncat {tmp_path}/out\n')
    lsof.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_holder(1455, exists=lambda _: False) == expected
    assert (tmp_path / "asked").read_text() == "-nP -iTCP:1455 -sTCP:LISTEN -Fpc "
    monkeypatch.setenv("PATH", "/nonexistent")
    assert find_holder(1455, exists=lambda _: False) is None


PROGRAMS = {
    1: ("explorer.exe", 0),
    10: ("headless-login.exe", 1),
    11: ("python.exe", 10),
    12: ("python.exe", 11),
    20: ("codex.exe", 1),
    21: ("python.exe", 20),
    30: ("nginx.exe", 10),
}


@pytest.mark.parametrize(
    ("process", "named"),
    [
        *((11, 10), (12, 10), (20, 20), (30, 30)),
        (21, 21),  # an agent's own server is no sign-in
        (99, 99),  # it has ended
    ],
)
def test_a_launcher_stands_for_its_python(process: int, named: int) -> None:
    """Windows: what listens is Python, and pip's launcher says whose."""
    name = PROGRAMS[named][0] if named in PROGRAMS else "a program"
    assert started_by(process, PROGRAMS) == PortHolder(name, named)


@pytest.mark.skipif(sys.platform != "win32", reason="Windows is asked itself")
@pytest.mark.parametrize("address", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
def test_windows_names_it(address: str) -> None:
    from headless_login.windows import listener_on, programs  # type: ignore[attr-defined,unused-ignore]

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        name, parent = programs()[child.pid]
    assert (name.lower(), parent) == (Path(sys.executable).name.lower(), os.getpid())
    port = free_port()
    assert find_holder(port) is None
    with listen_at(address, port):
        if listener_on(port) == 0:
            pytest.skip("Wine: it tells no process of a socket")
        assert find_holder(port) == started_by(os.getpid(), programs())


# Ending another's sign-in.


@contextmanager
def _answering(port: int) -> Iterator[list[bytes]]:
    """A server of somebody else that notes what it is asked and goes on."""
    asked: list[bytes] = []
    with listen_at("127.0.0.1", port) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        asked.append(connection.recv(4096))

        threading.Thread(target=serve, daemon=True).start()
        yield asked
        with suppress(OSError):  # on Windows nothing that listens is shut down
            server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("name", "take_over", "shown", "hint"),
    [
        ("nginx", True, "nginx", "End that program."),
        ("codex", False, "a Codex sign-in", "Finish it first, or end it with --take-over-port."),
    ],
)
def test_nobody_is_asked_to_end_without_order_or_need(
    name: str, take_over: bool, shown: str, hint: str
) -> None:
    """To a stranger `GET /cancel` could mean anything; both are named, with the way out."""
    port, holder = free_port(), PortHolder(name, 42)
    with _answering(port) as asked, pytest.raises(LocalTrouble) as caught:
        bind_loopback((port,), take_over=take_over, find_holder=lambda _: holder)
    assert not asked
    assert caught.value.error == "port_unavailable"
    assert f"port {port} (in use by {shown}, process 42)" in caught.value.message
    assert caught.value.hint == hint


def test_one_that_does_not_go_is_given_up() -> None:
    """Asked once, tried ten times as Codex does, then the next port is taken."""
    first, second = free_port(), free_port()
    slept: list[float] = []
    told: list[str] = []
    with _answering(first) as asked:
        bound, sockets = bind_loopback(
            (first, second),
            take_over=True,
            on_passed_over=told.append,
            find_holder=lambda _: PortHolder("codex", 42),
            sleep=slept.append,
        )
    for listening in sockets:
        listening.close()
    assert bound == second
    assert [request.split(b"\r\n")[0] for request in asked] == [b"GET /cancel HTTP/1.1"]
    assert len(slept) == 9
    holder = "in use by a Codex sign-in, process 42"
    assert told == [f"Port {first} ({holder}) was passed over for {second}."]


def test_nobody_is_there_to_be_cancelled() -> None:
    """It may have ended by itself meanwhile."""
    cancel(free_port())


def test_ours_gives_way_to_ours(scene: Scene) -> None:
    """Two of us: the second takes the port of the first, which ends with the right words."""
    with scene.piped("--no-browser") as first:
        first.read_url()
        with scene.piped("--no-browser", "--take-over-port") as second:
            url = second.read_url()
            ended = first.finish()
            assert ended.exit_code == 130
            assert ENDED in ended.err
            follow(approve(url))
            assert second.finish().exit_code == 0


# The real Codex.


@contextmanager
def _codex_login(version: str) -> Iterator[subprocess.Popen[str]]:
    """Codex's own sign-in, waiting for its browser on its own port."""
    codex = require_codex(version)
    with tempfile.TemporaryDirectory() as home:
        (folder := Path(home, ".codex")).mkdir()
        environ = codex_environment(folder, Path(home)) | {"BROWSER": "true"}
        process = subprocess.Popen(
            [codex, "login"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environ,
            start_new_session=True,
        )
        try:
            until(lambda: find_holder(1455), wanted="Codex on port 1455")
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # 0.20 leaves the listening to a child
            process.communicate()


@needs_proc
@pytest.mark.usefixtures("codexs_ports")
@pytest.mark.parametrize("version", CODEX_VERSIONS)
def test_codexs_sign_in_is_named_and_left_alone(version: str, environ: dict[str, str]) -> None:
    """It waits on 1455: we say so, take 1457, and it never notices."""
    with _codex_login(version) as codex:
        with Piped("login", "--no-browser", environ=environ) as ours:
            url = ours.read_url()
            assert "Port 1455 (in use by a Codex sign-in, process " in ours.err
            assert "redirect_uri=http%3A%2F%2F127.0.0.1%3A1457%2F" in url
            follow(approve(url))
            assert ours.finish().exit_code == 0
        assert codex.poll() is None


@needs_proc
@pytest.mark.usefixtures("codexs_ports")
def test_codexs_sign_in_is_ended_by_order(environ: dict[str, str]) -> None:
    """With --take-over-port it ends as if its person had cancelled it, and 1455 is ours."""
    with _codex_login(NEWEST) as codex:
        with Piped("login", "--no-browser", "--take-over-port", environ=environ) as ours:
            assert "127.0.0.1%3A1455" in ours.read_url()
        assert codex.wait(20) != 0


@needs_proc
@pytest.mark.usefixtures("codexs_ports")
def test_codex_ends_ours(environ: dict[str, str]) -> None:
    """Codex finds its port taken, asks us to go, and we go at once."""
    require_codex(NEWEST)
    with Piped("login", "--no-browser", environ=environ) as ours:
        ours.read_url()
        with _codex_login(NEWEST) as codex:
            ended = ours.finish()
            assert ended.exit_code == 130
            assert ENDED in ended.err
            assert codex.stdout
            line = next(line for line in codex.stdout if "redirect_uri" in line)
            assert "127.0.0.1%3A1455" in line
