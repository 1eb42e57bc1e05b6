"""Who has the port: named without being disturbed, ended only by order; and we let Codex end us."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from headless_login.errors import LocalTrouble
from headless_login.flows import port_holder, ports
from headless_login.flows.port_holder import PortHolder, cancel, find_holder
from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from tests.support.codex import CODEX_VERSIONS, codex_environment, require_codex
from tests.support.listening import Listening, fetch, free_port, raw
from tests.support.program import Piped, environment

needs_proc = pytest.mark.skipif(
    not os.path.exists("/proc/net/tcp"), reason="/proc/net/tcp is Linux's"
)


@contextmanager
def _listening(port: int, address: str = "127.0.0.1") -> Iterator[None]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family):
        yield


@contextmanager
def _answering(port: int) -> Iterator[list[bytes]]:
    """A server of somebody else that notes what it is asked and goes on."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", port)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        asked.append(connection.recv(4096))

        threading.Thread(target=serve, daemon=True).start()
        yield asked
        server.shutdown(socket.SHUT_RDWR)


@needs_proc
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_this_very_process_is_found(address: str) -> None:
    """By the port's own socket, on either family."""
    port = free_port()
    name = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
    with _listening(port, address):
        assert find_holder(port) == PortHolder(name, os.getpid())


@needs_proc
def test_a_port_that_nobody_has() -> None:
    """Nobody is nobody, also while somebody is connected from such a port."""
    assert find_holder(free_port()) is None


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
    assert str(holder) == shown
    assert holder.can_be_cancelled is can_be_cancelled


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
def test_where_there_is_no_proc_lsof_tells(
    output: str, expected: PortHolder | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """macOS: lsof's output for programs, whatever else stands in it."""
    lsof = tmp_path / "lsof"
    (tmp_path / "out").write_text(output)
    lsof.write_text(f'#!/bin/sh\nprintf "%s " "$@" > {tmp_path}/asked\ncat {tmp_path}/out\n')
    lsof.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(os.path, "exists", lambda _: False)
    assert find_holder(1455) == expected
    assert (tmp_path / "asked").read_text() == "-nP -iTCP:1455 -sTCP:LISTEN -Fpc "


def test_without_lsof_nobody_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows, and machines that have neither."""
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(os.path, "exists", lambda _: False)
    assert find_holder(1455) is None


# Ending another's sign-in.


@needs_proc
def test_a_stranger_is_never_asked_to_end() -> None:
    """To another program `GET /cancel` could mean anything, so it is named and left alone."""
    port = free_port()
    with _answering(port) as asked, pytest.raises(LocalTrouble) as caught:
        ports.bind_loopback((port,), take_over=True)
    assert not asked
    assert caught.value.error == "port_unavailable"
    assert f"{port} (in use by " in caught.value.message
    assert caught.value.hint == "End that program."


def test_without_order_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sign-in that waits there is named, with the option that would end it."""
    port = free_port()
    monkeypatch.setattr(ports, "find_holder", lambda _: PortHolder("codex", 42))
    with _answering(port) as asked, pytest.raises(LocalTrouble) as caught:
        ports.bind_loopback((port,))
    assert not asked
    assert f"port {port} (in use by a Codex sign-in, process 42)" in caught.value.message
    assert "--take-over-port" in caught.value.hint


def test_one_that_does_not_go_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked once, tried ten times as Codex does, then the next port is taken."""
    first, second = free_port(), free_port()
    monkeypatch.setattr(ports, "find_holder", lambda _: PortHolder("codex", 42))
    slept: list[float] = []
    told: list[str] = []
    with _answering(first) as asked:
        bound, sockets = ports.bind_loopback(
            (first, second), take_over=True, sleep=slept.append, on_passed_over=told.append
        )
    for listening in sockets:
        listening.close()
    assert bound == second
    assert [request.split(b"\r\n")[0] for request in asked] == [b"GET /cancel HTTP/1.1"]
    assert len(slept) == 9
    assert told == [
        f"Port {first} (in use by a Codex sign-in, process 42) was passed over for {second}."
    ]


def test_ours_gives_way_to_ours() -> None:
    """Two of us: the second takes the port of the first, which ends with the right words."""
    port = free_port()
    with PracticeIssuer(redirect_ports=(port,)) as issuer, tempfile.TemporaryDirectory() as home:
        environ = environment(home, issuer.issuer)
        arguments = ("login", "--no-browser", "--port", str(port))
        with Piped(*arguments, environ=environ) as first:
            first.read_url()
            with Piped(*arguments, "--take-over-port", environ=environ) as second:
                url = second.read_url()
                ended = first.finish()
                assert ended.exit_code == 130
                assert "asked this sign-in to end" in ended.err
                answer = approve(url)
                sent_on = fetch(port, answer.partition(str(port))[2])
                fetch(port, sent_on.headers["Location"])
                assert second.finish().exit_code == 0


def test_nobody_is_there_to_be_cancelled() -> None:
    """It may have ended by itself meanwhile."""
    cancel(free_port())


# Being ended.

REFUSED = {
    "a page of another origin": b"Origin: https://evil.example",
    "a page of another port": b"Sec-Fetch-Site: same-site",
    "a page of another site": b"Sec-Fetch-Site: cross-site",
    "a link": b"Referer: https://evil.example/",
    "an old browser": b"User-Agent: Mozilla/5.0 (X11)",
    "an opaque origin": b"Origin: null",
}


@pytest.mark.parametrize("case", REFUSED)
def test_no_web_page_ends_a_sign_in(case: str) -> None:
    """What a page cannot help sending gives it away; the sign-in goes on."""
    with Listening() as listening:
        head = f"GET /cancel HTTP/1.1\r\nHost: 127.0.0.1:{listening.port}\r\n".encode()
        assert raw(listening.port, head + REFUSED[case] + b"\r\n\r\n").startswith(b"HTTP/1.1 403")
        assert listening.result is None
        listening.win()


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("POST /cancel", "127.0.0.1", 405),
        ("HEAD /cancel", "127.0.0.1", 405),
        ("GET /cancel", "evil.example", 400),
        ("GET /cancel/", "127.0.0.1", 404),
        ("GET /Cancel", "127.0.0.1", 404),
    ],
)
def test_only_the_very_request_ends_it(target: str, host: str, status: int) -> None:
    """A rebound name, another method or another path is not Codex's request."""
    with Listening() as listening:
        request = f"{target} HTTP/1.1\r\nHost: {host}:{listening.port}\r\n\r\n"
        assert raw(listening.port, request.encode()).startswith(f"HTTP/1.1 {status}".encode())
        listening.win()


def test_after_the_answer_it_is_too_late() -> None:
    """A sign-in that has its answer is finished, whoever asks for its port."""
    with Listening() as listening:
        listening.may_conclude.clear()
        fetch(listening.port, listening.callback())
        answer = fetch(listening.port, "/cancel")
        assert answer.status == 409
        listening.may_conclude.set()
        assert fetch(listening.port, "/auth/done").status == 200


# The real Codex.


@contextmanager
def _codex_login(version: str) -> Iterator[subprocess.Popen[str]]:
    """Codex's own sign-in, waiting for its browser on its own port."""
    codex = require_codex(version)
    with tempfile.TemporaryDirectory() as home:
        (folder := Path(home, ".codex")).mkdir()
        process = subprocess.Popen(
            [codex, "login"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=codex_environment(folder, Path(home)) | {"BROWSER": "true"},
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # 0.20 leaves the listening to a child
            process.communicate()


def _wait_for_port(port: int, held: bool) -> None:
    deadline = time.monotonic() + 15
    while bool(list(port_holder._listening_inodes(port))) is not held:
        assert time.monotonic() < deadline, f"port {port} is not {'held' if held else 'free'}"
        time.sleep(0.02)


@needs_proc
@pytest.mark.usefixtures("codexs_ports")
@pytest.mark.parametrize("version", CODEX_VERSIONS)
def test_codexs_sign_in_is_named_and_left_alone(
    version: str, environ: dict[str, str], codex_home: Path
) -> None:
    """It waits on 1455: we say so, take 1457, and it never notices."""
    with _codex_login(version) as codex:
        _wait_for_port(1455, held=True)
        with Piped("login", "--no-browser", environ=environ) as ours:
            url = ours.read_url()
            assert "Port 1455 (in use by a Codex sign-in, process " in ours.err
            assert "redirect_uri=http%3A%2F%2F127.0.0.1%3A1457%2F" in url
            answer = approve(url)
            sent_on = fetch(1457, answer.partition("1457")[2])
            fetch(1457, sent_on.headers["Location"])
            assert ours.finish().exit_code == 0
        assert codex.poll() is None
    assert (codex_home / "auth.json").exists()


@needs_proc
@pytest.mark.usefixtures("codexs_ports")
def test_codexs_sign_in_is_ended_by_order(environ: dict[str, str]) -> None:
    """With --take-over-port it ends as if its person had cancelled it, and 1455 is ours."""
    with _codex_login(CODEX_VERSIONS[0]) as codex:
        _wait_for_port(1455, held=True)
        with Piped("login", "--no-browser", "--take-over-port", environ=environ) as ours:
            assert "127.0.0.1%3A1455" in ours.read_url()
        assert codex.wait(5) != 0


@needs_proc
@pytest.mark.usefixtures("codexs_ports")
def test_codex_ends_ours(environ: dict[str, str]) -> None:
    """Codex finds its port taken, asks us to go, and we go at once."""
    require_codex(CODEX_VERSIONS[0])
    with Piped("login", "--no-browser", environ=environ) as ours:
        ours.read_url()
        with _codex_login(CODEX_VERSIONS[0]) as codex:
            ended = ours.finish(timeout=10)
            assert ended.exit_code == 130
            assert "asked this sign-in to end" in ended.err
            assert codex.stdout
            line = next(line for line in codex.stdout if "redirect_uri" in line)
            assert "127.0.0.1%3A1455" in line
