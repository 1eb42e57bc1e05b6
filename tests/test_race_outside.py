"""The installed command, waiting for the browser and the person at once."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from tests.support.browsing import follow
from tests.support.listening import fetch, free_port, raw
from tests.support.program import COMMAND, PROMPT, Piped, Terminal, environment

BROWSER_WON = "The browser brought the answer"
PASTE_WON = "The pasted answer is accepted"


class Scene:
    """A sign-in at a port of its own: issuer, environment and arguments that fit together."""

    def __init__(self, issuer: PracticeIssuer, port: int, codex_home: Path) -> None:
        self.issuer = issuer
        self.port = port
        self.auth_file = codex_home / "auth.json"
        self.environ = environment(codex_home, issuer.issuer)
        self.arguments = ("login", "--port", str(port))

    def terminal(self, *more: str) -> Terminal:
        """Start it in a terminal."""
        return Terminal(*self.arguments, *more, environ=self.environ)

    def piped(self, *more: str, stdin: int = subprocess.PIPE) -> Piped:
        """Start it with pipes."""
        return Piped(*self.arguments, *more, environ=self.environ, stdin=stdin)

    @property
    def exchanges(self) -> int:
        """How many codes were exchanged."""
        return sum(request.path == "/oauth/token" for request in self.issuer.requests)

    def assert_port_is_free(self) -> None:
        """Fail if anybody still listens."""
        with socket.create_server(("127.0.0.1", self.port)):
            pass


@pytest.fixture
def scene(codex_home: Path) -> Iterator[Scene]:
    """Set one up."""
    port = free_port()
    with PracticeIssuer(redirect_ports=(port,)) as issuer:
        yield Scene(issuer, port, codex_home)


def test_the_browser_wins(scene: Scene) -> None:
    """The question vanishes, the screen says who it was, and it ends within half a second."""
    with scene.terminal() as terminal:
        url = terminal.read_url()
        terminal.read_until(PROMPT)
        page = follow(approve(url))
        shown = time.monotonic()
        assert terminal.wait() == 0
        assert time.monotonic() - shown < 0.5
        assert "Signed in to Codex" in page.body
        assert not any(PROMPT in line or " left" in line for line in terminal.lines)
        assert any(line.startswith(BROWSER_WON) for line in terminal.lines)
        assert terminal.attributes == terminal.attributes_before
    scene.assert_port_is_free()
    assert json.loads(scene.auth_file.read_text())["auth_mode"] == "chatgpt"


def test_the_paste_wins(scene: Scene) -> None:
    """The port is closed at once, even while the issuer still thinks about the code."""
    thinking, may_answer = threading.Event(), threading.Event()
    answer = scene.issuer.token_answer

    def slow(form: dict[str, str]) -> object:
        thinking.set()
        may_answer.wait(20)
        return answer(form)

    scene.issuer.token_answer = slow  # type: ignore[assignment, method-assign]
    with scene.terminal() as terminal:
        url = terminal.read_url()
        terminal.read_until(PROMPT)
        terminal.paste(approve(url))
        terminal.read_until(PASTE_WON)
        assert thinking.wait(10)
        scene.assert_port_is_free()
        may_answer.set()
        assert terminal.wait() == 0
        assert not any(PROMPT in line for line in terminal.lines)
    assert scene.auth_file.exists()


def test_a_wrong_paste_leaves_the_browser_its_chance(scene: Scene) -> None:
    """The question comes again, and the port has been open all the time."""
    with scene.terminal() as terminal:
        url = terminal.read_url()
        terminal.read_until(PROMPT)
        terminal.paste(url)
        terminal.send("\r")
        terminal.read_until("(?s)address to open.*" + PROMPT)
        follow(approve(url))
        assert terminal.wait() == 0
        assert BROWSER_WON in terminal.text


def test_half_a_paste_is_no_obstacle(scene: Scene) -> None:
    """The browser wins while somebody is typing, and what was typed is not left for the shell."""
    with scene.terminal() as terminal:
        url = terminal.read_url()
        terminal.read_until(PROMPT)
        terminal.send("rm -rf nothing")
        terminal.read_until("12 characters")
        follow(approve(url))
        assert terminal.wait() == 0
        assert "rm -rf" not in terminal.text


def test_the_browser_says_no(scene: Scene) -> None:
    """A refusal in the browser ends the question in the terminal as well."""
    with scene.terminal() as terminal:
        url = terminal.read_url()
        terminal.read_until(PROMPT)
        page = follow(approve(url, decision="deny"))
        assert terminal.wait() == 3
        assert "Not signed in" in page.body
        assert "Error: " in terminal.text
        assert not any(PROMPT in line for line in terminal.lines)
    assert not scene.auth_file.exists()
    assert scene.exchanges == 0


def test_time_runs_out(scene: Scene) -> None:
    """Neither came: exit 5, and nothing is left of the question."""
    with scene.terminal("--timeout", "1") as terminal:
        terminal.read_until(PROMPT)
        assert terminal.wait(5) == 5
        assert "Timed out waiting for the sign-in" in terminal.text
        assert not any(PROMPT in line for line in terminal.lines)
    scene.assert_port_is_free()


@pytest.mark.parametrize("codes", ["one code", "two codes"])
def test_two_answers_at_the_same_moment(codes: str, scene: Scene) -> None:
    """Exactly one exchange and one file, and whoever came with the other is told the truth."""
    for _ in range(5):
        scene.auth_file.unlink(missing_ok=True)
        before = scene.exchanges
        with scene.terminal() as terminal:
            url = terminal.read_url()
            terminal.read_until(PROMPT)
            answer = approve(url)
            other = answer if codes == "one code" else approve(url)
            pages: list[str] = []
            browser = threading.Thread(target=_try, args=(other, pages))
            browser.start()
            terminal.paste(answer)
            assert terminal.wait() == 0
            browser.join(10)
            won = [text for text in (BROWSER_WON, PASTE_WON) if text in terminal.text]
        assert len(won) == 1
        assert scene.exchanges == before + 1
        assert scene.auth_file.exists()
        assert all("Signed in to Codex" in page for page in pages)


def _try(redirected_to: str, pages: list[str]) -> None:
    with suppress(OSError):  # the paste was quicker, and the port is closed
        pages.append(follow(redirected_to).body)


# Forged and foreign.


def test_two_hundred_forgeries_change_nothing(scene: Scene) -> None:
    """Each gets its 4xx or is dropped; memory stays, and the true answer wins within a second."""
    with scene.terminal() as terminal:
        url = terminal.read_url()
        terminal.read_until(PROMPT)
        state = re.search(r"state=([\w-]+)", url)
        assert state
        for request in _forgeries(scene.port, state[1]):
            raw(scene.port, request)  # what is first asked is loaded once
        before = _memory(terminal.process.pid)
        idle = [socket.create_connection(("127.0.0.1", scene.port)) for _ in range(60)]
        statuses = set()
        for _ in range(20):
            for request in _forgeries(scene.port, state[1]):
                started = time.monotonic()
                statuses.add(raw(scene.port, request)[9:12])
                assert time.monotonic() - started < 2
        assert statuses == {b"400", b"404", b"405"}
        assert _memory(terminal.process.pid) - before < 8 * 1024
        started = time.monotonic()
        follow(approve(url))
        assert terminal.wait() == 0
        assert time.monotonic() - started < 1
        assert terminal.text.count("Something else came to the port") == 1
        for connection in idle:
            connection.close()
    assert scene.exchanges == 1


def _forgeries(port: int, state: str) -> list[bytes]:
    """Requests that could end a sign-in somewhere else; `state` is the true one."""
    code = "ac_" + "f" * 60

    def get(query: str, host: str = "127.0.0.1", method: str = "GET", more: str = "") -> bytes:
        target = f"/auth/callback?{query}"
        return f"{method} {target} HTTP/1.1\r\nHost: {host}:{port}\r\n{more}\r\n".encode()

    return [
        get(f"code={code}&state=wrong"),
        get(f"code={code}"),
        get(f"code={code}&state={state}&state={state}"),
        get(f"code={code}&code={code}&state={state}"),
        get(f"code={code}&error=access_denied&state={state}"),
        get("error=access_denied&state=wrong"),
        get(f"code={code}&state={state}", host="evil.example"),
        get(f"code={code}&state={state}", method="POST"),
        get(f"code={code}&state={state}", more=f"X: {'x' * 1_000_000}\r\n"),
        b"GET /auth/other HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ]


def _memory(process: int) -> int:
    """Return the KiB that a process has in memory."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    assert found
    return int(found[1])


def test_a_stray_answer_is_told_once_above_the_question(scene: Scene) -> None:
    """An old tab came back: said in one line, and the question still stands below it."""
    with scene.terminal() as terminal:
        url = terminal.read_url()
        terminal.read_until(PROMPT)
        for _ in range(3):
            assert fetch(scene.port, "/auth/callback?code=old&state=old").status == 400
        terminal.read_until("Something else came to the port")
        terminal.send("half")
        terminal.read_until("4 characters")
        shown = [line for line in terminal.lines if line]
        assert shown[-1].startswith(PROMPT)
        assert sum("Something else" in line for line in shown) == 1
        assert "old" not in " ".join(shown[-4:])
        follow(approve(url))
        assert terminal.wait() == 0


# Without a terminal, or with half of one.


def test_without_a_terminal_the_browser_is_enough(scene: Scene) -> None:
    """Nothing to paste into: the listener alone waits, and nothing flickers in the log."""
    with scene.piped(stdin=subprocess.DEVNULL) as piped:
        page = follow(approve(piped.read_url()))
        outcome = piped.finish()
    assert outcome.exit_code == 0
    assert "Signed in to Codex" in page.body
    assert "There is no terminal to paste into" in outcome.err
    assert "\r" not in outcome.err
    assert "\x1b" not in outcome.err


def test_an_open_pipe_without_content_is_no_obstacle(scene: Scene) -> None:
    """As under ssh without -t, where standard input stays open and nobody writes."""
    with scene.piped() as piped:
        follow(approve(piped.read_url()))
        piped.process.wait(10)
        assert piped.process.returncode == 0


def test_what_a_pipe_holds_is_the_paste(scene: Scene) -> None:
    """A program answers through standard input, and need not close it."""
    with scene.piped() as piped:
        answer = approve(piped.read_url())
        assert piped.process.stdin
        piped.process.stdin.write(answer.encode() + b"\n")
        piped.process.stdin.flush()
        piped.process.wait(10)
        assert piped.process.returncode == 0
        piped.read_until(PASTE_WON)
    scene.assert_port_is_free()


def test_a_wrong_answer_from_a_pipe_ends_it(scene: Scene) -> None:
    """Nobody can be asked again: exit 3."""
    with scene.piped() as piped:
        outcome = piped.finish(piped.read_url() + "\n")
    assert outcome.exit_code == 3
    assert "the address to open" in outcome.err
    scene.assert_port_is_free()


def test_a_file_holds_the_paste(scene: Scene, tmp_path: Path) -> None:
    """Standard input from a file, which no event loop can watch."""
    wrong = tmp_path / "answer"
    wrong.write_text("http://example.com/\n")
    with wrong.open("rb") as stdin, scene.piped(stdin=stdin.fileno()) as piped:
        assert piped.finish().exit_code == 3


def test_after_ctrl_d_only_the_browser_is_waited_for(scene: Scene) -> None:
    """The end of input closes the question, and a live line tells what still goes on."""
    with scene.terminal() as terminal:
        url = terminal.read_url()
        terminal.read_until(PROMPT)
        terminal.send("\x04")
        terminal.read_until(r"Waiting for the browser, 1[45]:\d\d left")
        follow(approve(url))
        assert terminal.wait() == 0
        assert not any("Waiting for" in line for line in terminal.lines)


def test_ctrl_c_after_ctrl_d(scene: Scene) -> None:
    """The live line can be interrupted like the question."""
    with scene.terminal() as terminal:
        terminal.read_until(PROMPT)
        terminal.send("\x04")
        terminal.read_until("Waiting for the browser")
        terminal.send("\x03")
        assert terminal.wait(5) == 130
        assert terminal.attributes == terminal.attributes_before
    scene.assert_port_is_free()


def test_in_the_background_it_is_not_stopped(scene: Scene) -> None:
    """Started with `&`, it must not touch the terminal, which would stop it (SIGTTOU)."""
    shell = f"set -m; {COMMAND} {' '.join(scene.arguments)} & wait $!; echo end $?"
    with Terminal("-c", shell, environ=scene.environ, command=("bash", "--norc")) as terminal:
        url = terminal.read_url()
        terminal.read_until("There is no terminal to paste into")
        follow(approve(url))
        terminal.read_until("end 0")


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="/proc is Linux's")
def test_waiting_costs_nothing(scene: Scene) -> None:
    """No thread is left once everything is loaded, and nothing is looked at over and over."""
    with scene.terminal() as terminal:
        terminal.read_until(PROMPT)
        folder = Path(f"/proc/{terminal.process.pid}")
        deadline = time.monotonic() + 10
        while len(list((folder / "task").iterdir())) > 1:
            assert time.monotonic() < deadline, "a thread is left"
            terminal.watch(0.1)
        before = _processor_time(folder)
        for _ in range(20):
            terminal.watch(0.1)
        assert _processor_time(folder) - before < 0.2


def _processor_time(folder: Path) -> float:
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# The live line.


def test_the_time_left_is_live(scene: Scene) -> None:
    """It counts down on the question's own line and nothing else moves."""
    with scene.terminal("--timeout", "3661") as terminal:
        terminal.read_until(PROMPT)
        seen: set[str] = set()
        deadline = time.monotonic() + 10
        while len(seen) < 3 and time.monotonic() < deadline:
            last = [line for line in terminal.watch(0.1) if line][-1]
            if found := re.search(r"^Paste the address it ends at:.* (\d:\d\d:\d\d) left$", last):
                seen.add(found[1])
        assert len(seen) == 3
        assert max(seen) <= "1:01:01"
        terminal.interrupt(signal.SIGINT)
        assert terminal.wait(5) == 130


def test_a_dumb_terminal_gets_plain_lines(scene: Scene) -> None:
    """TERM=dumb: no escape sequence, no live line, and both ways work."""
    scene.environ["TERM"] = "dumb"
    for win in ("browser", "paste"):
        with scene.terminal() as terminal:
            url = terminal.read_url()
            terminal.read_until(PROMPT)
            if win == "browser":
                follow(approve(url))
            else:
                terminal.send(approve(url) + "\r")
            assert terminal.wait() == 0
            assert "\x1b" not in terminal.text
            assert " left" not in terminal.text


# Inside other programs.


@pytest.mark.parametrize("win", ["browser", "paste"])
@pytest.mark.parametrize("wrapper", ["script", "screen", "tmux"])
def test_inside_another_terminal_program(
    wrapper: str, win: str, scene: Scene, tmp_path: Path
) -> None:
    """`script`, `screen` and `tmux` stand between it and the terminal; it works all the same."""
    if shutil.which(wrapper) is None:
        pytest.skip(f"{wrapper} is not installed")
    inner = f"{COMMAND} {' '.join(scene.arguments)}; echo end $?; sleep 5"
    wrapped = {
        "script": ["script", "-q", "-c", inner, "/dev/null"],
        "screen": ["screen", "-c", "/dev/null", "-S", f"hl{scene.port}", "sh", "-c", inner],
        "tmux": ["tmux", "-L", f"hl{scene.port}", "-f", "/dev/null", "new-session", inner],
    }[wrapper]
    environ = scene.environ | {"SCREENDIR": str(tmp_path), "TMUX_TMPDIR": str(tmp_path)}
    os.chmod(tmp_path, 0o700)
    with Terminal(environ=environ, command=wrapped, rows=40) as terminal:
        try:
            terminal.read_screen_until(PROMPT)
            shown = "".join(line.ljust(80) for line in terminal.lines)
            found = re.search(r"http://127\S+/oauth/authorize\?\S+", shown)
            assert found
            if win == "browser":
                follow(approve(found[0]))
            else:
                terminal.paste(approve(found[0]), marked=False)
                terminal.send("\r")
            terminal.read_screen_until("end 0")
        finally:
            subprocess.run(
                ["tmux", "-L", f"hl{scene.port}", "kill-server"]
                if wrapper == "tmux"
                else ["screen", "-S", f"hl{scene.port}", "-X", "quit"],
                env=environ,
                capture_output=True,
                check=False,
            )
    assert scene.auth_file.exists()
