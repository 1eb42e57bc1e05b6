"""Waiting for the browser and the person at once: one wins, and nothing runs on."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from headless_login.errors import SignInRefused, TimedOut
from headless_login.flows.race import NoWayLeft, first_grant
from headless_login.oauth.values import Grant, Tokens
from headless_login.practice.person import approve
from tests.support.browsing import follow
from tests.support.listening import PATIENCE, fetch, send
from tests.support.program import COMMAND, PROMPT, Terminal
from tests.support.scene import Scene

GRANTS = {
    name: Grant(f"ac_{name}", "v", "http://127.0.0.1:1455/auth/callback")
    for name in ("browser", "paste")
}


def _run(
    names: str, timeout: float = 30, *, cancelled: bool = False
) -> tuple[tuple[str, Grant | Tokens] | BaseException, list[str]]:
    """Race ways that do as they are called; returns how it ended, and which ways were ended."""
    ended: list[str] = []
    start = asyncio.Event()

    async def way(name: str) -> Grant | None:
        if name in ("terminal", "pipe"):
            try:
                await asyncio.Event().wait()  # for ever
            finally:
                await asyncio.sleep(0)  # a moment to tidy up
                ended.append(name)
        if name == "empty":
            return None
        await start.wait()
        if name == "refused":
            raise SignInRefused("access_denied", "No.")
        return GRANTS[name]

    async def race() -> tuple[str, Grant | Tokens] | BaseException:
        ways = {name: way(name) for name in names.split()}
        running: asyncio.Task[tuple[str, Grant | Tokens]]
        running = asyncio.create_task(first_grant(ways, timeout))
        for _ in range(3):  # turns, until all wait
            await asyncio.sleep(0)
        start.set()
        if cancelled:
            running.cancel()
        (outcome,) = await asyncio.gather(running, return_exceptions=True)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return outcome

    return asyncio.run(race()), ended


@pytest.mark.parametrize(
    ("names", "winner", "ended"),
    [
        ("terminal browser pipe", "browser", ["terminal", "pipe"]),
        ("browser paste", "browser", []),  # both at the same moment
        ("paste browser", "paste", []),
        ("refused paste", "paste", []),
        ("paste refused", "paste", []),
        ("empty browser", "browser", []),
    ],
)
def test_the_first_grant_wins(names: str, winner: str, ended: list[str]) -> None:
    """A grant counts before a refusal, else who is named first; then the others have ended."""
    assert _run(names) == ((winner, GRANTS[winner]), ended)


@pytest.mark.parametrize(
    ("names", "timeout", "cancelled", "raised", "ended"),
    [
        ("refused terminal", 30, False, SignInRefused, ["terminal"]),
        ("empty", 30, False, NoWayLeft, []),
        ("terminal pipe", 0.01, False, TimedOut, ["terminal", "pipe"]),
        ("terminal pipe", 0, False, TimedOut, ["terminal", "pipe"]),
        ("terminal pipe", 30, True, asyncio.CancelledError, ["terminal", "pipe"]),
    ],
    ids=["refused", "none left", "late", "late at once", "Ctrl-C"],
)
def test_without_a_grant_every_way_is_ended(
    names: str, timeout: float, cancelled: bool, raised: type[BaseException], ended: list[str]
) -> None:
    """Refused, late or interrupted; and where nobody can win any more, it is said at once."""
    outcome, course_ended = _run(names, timeout, cancelled=cancelled)
    assert isinstance(outcome, raised)
    assert course_ended == ended


# The installed command.

BROWSER_WON = "The browser brought the answer"
PASTE_WON = "The pasted answer is accepted"


def _bring(way: str, answer: str, terminal: Terminal) -> None:
    if way == "browser":
        follow(answer)
    else:
        terminal.send(answer + "\r")


@pytest.mark.parametrize(
    ("decision", "exit_code", "title", "told"),
    [("approve", 0, "Signed in to Codex", BROWSER_WON), ("deny", 3, "Not signed in", "Error: ")],
)
def test_the_browser_ends_the_question(
    decision: str, exit_code: int, title: str, told: str, scene: Scene
) -> None:
    """It vanishes, and the screen says who it was, or that it was a refusal."""
    with scene.terminal() as terminal:
        page = follow(approve(terminal.read_question(), decision=decision))
        assert terminal.wait() == exit_code
        assert title in page.text
        assert not any(PROMPT in line or " left" in line for line in terminal.lines)
        assert any(line.startswith(told) for line in terminal.lines)
        assert terminal.attributes == terminal.attributes_before
    scene.assert_port_is_free()
    assert scene.auth_file.exists() is (exit_code == 0)
    assert len(scene.exchanges()) == (1 if exit_code == 0 else 0)


def test_the_paste_wins(scene: Scene) -> None:
    """The port is free when it has ended; until then the browser's answer may still be needed."""
    scene.issuer.may_answer.clear()
    with scene.terminal() as terminal:
        terminal.paste(approve(terminal.read_question()))
        terminal.read_until(PASTE_WON)
        assert scene.issuer.asked.wait(PATIENCE)
        scene.issuer.may_answer.set()
        assert terminal.wait() == 0
        scene.assert_port_is_free()
        assert not any(PROMPT in line for line in terminal.lines)
    assert scene.auth_file.exists()


@pytest.mark.parametrize(
    ("typed", "shown"),
    [("{}\r", f"(?s)address to open.*{PROMPT}"), ("rm -rf nothing", "12 characters")],
    ids=["a wrong paste", "half a paste"],
)
def test_what_was_typed_is_no_obstacle(typed: str, shown: str, scene: Scene) -> None:
    """The question comes again, or half an answer stays; neither is left for the shell."""
    with scene.terminal() as terminal:
        url = terminal.read_question()
        terminal.send(typed.format(url))
        terminal.read_until(shown)
        follow(approve(url))
        assert terminal.wait() == 0
        assert BROWSER_WON in terminal.text
        assert "rm -rf" not in terminal.text


def test_time_runs_out(scene: Scene) -> None:
    """Neither came: exit 5, and nothing is left of the question."""
    with scene.terminal("--timeout", "1") as terminal:
        terminal.read_until(PROMPT)
        assert terminal.wait() == 5
        assert "Timed out waiting for the sign-in" in terminal.text
        assert not any(PROMPT in line for line in terminal.lines)
    scene.assert_port_is_free()


@pytest.mark.parametrize("codes", [1, 2])
def test_two_answers_at_the_same_moment(codes: int, scene: Scene) -> None:
    """Exactly one exchange and one file, and whoever came with the other is told the truth."""
    pages: list[str] = []

    def browse(answer: str) -> None:
        with suppress(OSError):  # the paste was quicker, and the port is closed
            pages.append(follow(answer).text)

    for number in range(1, 6):
        scene.auth_file.unlink(missing_ok=True)
        with scene.terminal() as terminal:
            url = terminal.read_question()
            answers = [approve(url) for _ in range(codes)]
            browser = threading.Thread(target=browse, args=(answers[0],))
            browser.start()
            terminal.paste(answers[-1])
            assert terminal.wait() == 0
            browser.join()
            assert len(re.findall(f"{BROWSER_WON}|{PASTE_WON}", terminal.text)) == 1
        assert len(scene.exchanges()) == number
        assert scene.auth_file.exists()
    assert all("Signed in to Codex" in page for page in pages)


# The first two and the last are answers of sorts, and worth a word on the screen.
FORGERIES = [
    "/auth/callback?code=old&state=old",
    "/auth/callback?code=ac_{code}&code=ac_{code}&state={state}",
    "/auth/other?code=ac_{code}&state={state}",
    "/auth/callback?code=ac_{code}&state={state}&x={code:x<100000}",
    "/auth/callback?error=access_denied&state=wrong",
]


def test_two_hundred_forgeries_change_nothing(scene: Scene) -> None:
    """Each gets its 4xx, all together one line above the question, and the true answer wins."""
    with scene.terminal() as terminal:
        url = terminal.read_question()
        state = re.findall(r"state=([\w-]+)", url)[0]
        idle = [send(scene.port, b"") for _ in range(60)]
        for _ in range(40):
            for forgery in FORGERIES:
                target = forgery.format(code="f" * 60, state=state)
                assert fetch(scene.port, target).status_code in (400, 404)
        terminal.read_until("Something else came to the port")
        terminal.send("half")
        terminal.read_until("4 characters")
        shown = [line for line in terminal.lines if line]
        assert shown[-1].startswith(PROMPT)
        assert "old" not in " ".join(shown[-4:])
        follow(approve(url))
        assert terminal.wait() == 0
        assert terminal.text.count("Something else came to the port") == 1
        for connection in idle:
            connection.close()
    assert len(scene.exchanges()) == 1


# Without a terminal, or with half of one.


NO_TERMINAL = {
    subprocess.DEVNULL: "There is no terminal to paste into",
    subprocess.PIPE: "into the standard input",
}


@pytest.mark.parametrize("stdin", NO_TERMINAL, ids=["null", "open"])
def test_without_a_terminal_the_browser_is_enough(stdin: int, scene: Scene) -> None:
    """Neither with nothing to paste into nor with a pipe that stays open; nothing flickers."""
    with scene.piped(stdin=stdin) as piped:
        page = follow(approve(piped.read_url()))
        assert piped.process.wait(PATIENCE) == 0
        outcome = piped.finish()
    assert "Signed in to Codex" in page.text
    assert NO_TERMINAL[stdin] in outcome.err
    assert "\r" not in outcome.err
    assert "\x1b" not in outcome.err


def test_what_a_pipe_holds_is_the_paste(scene: Scene) -> None:
    """A program answers through standard input, and need not close it."""
    with scene.piped(stdin=subprocess.PIPE) as piped:
        answer = approve(piped.read_url())
        piped.write(f"{answer}\n")
        assert piped.process.wait(PATIENCE) == 0
        piped.read_until(PASTE_WON)
    scene.assert_port_is_free()


def test_a_wrong_answer_from_a_pipe_or_a_file_ends_it(scene: Scene, tmp_path: Path) -> None:
    """Nobody can be asked again: exit 3. No event loop can watch a file."""
    with scene.piped(stdin=subprocess.PIPE) as piped:
        url = piped.read_url()
        outcome = piped.finish(url + "\n")
    assert outcome.exit_code == 3
    assert "the address to open" in outcome.err
    (tmp_path / "answer").write_text(url)
    with (tmp_path / "answer").open() as file, scene.piped(stdin=file.fileno()) as piped:
        assert piped.finish().exit_code == 3
    scene.assert_port_is_free()


@pytest.mark.parametrize("end", ["the browser", "Ctrl-C"])
def test_after_ctrl_d_only_the_browser_is_waited_for(end: str, scene: Scene) -> None:
    """The end of input closes the question; a live line, with Ctrl-C, tells what still goes on."""
    with scene.terminal() as terminal:
        url = terminal.read_question()
        terminal.send("\x04")
        terminal.read_until(r"Waiting for the browser, 1[45]:\d\d left")
        if end == "Ctrl-C":
            terminal.send("\x03")
        else:
            follow(approve(url))
        assert terminal.wait() == (130 if end == "Ctrl-C" else 0)
        assert not any("Waiting for" in line for line in terminal.lines)
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


# The live line.


def test_the_time_left_is_live_and_costs_nothing(scene: Scene) -> None:
    """It counts down on the question's own line, without a thread or looking over and over."""
    with scene.terminal("--timeout", "3661") as terminal:
        terminal.read_until(PROMPT)
        process = Path("/proc", str(terminal.process.pid))
        terminal.until(lambda: len([*process.glob("task/*")]) <= 1, "end of all other threads")
        before = _wake_ups(process)
        seen: list[str] = []

        def has_ticked() -> bool:
            last = next(line for line in reversed(terminal.lines) if line)
            found = re.findall(r"^Paste the whole address here:.* (\d:\d\d:\d\d) left$", last)
            seen.extend(time for time in found if time not in seen)
            return len(seen) == 4

        terminal.until(has_ticked, "four times")
        assert _wake_ups(process) - before < 20
        assert seen == sorted(seen, reverse=True)
        assert seen[0] <= "1:01:01"
        terminal.interrupt(signal.SIGINT)
        assert terminal.wait() == 130


def _wake_ups(process: Path) -> int:
    """Return how often a process has waited for something, where the system tells."""
    told = "".join(path.read_text() for path in process.glob("status"))
    return sum(map(int, re.findall(r"(?m)^voluntary_ctxt_switches:\s+(\d+)", told)))


@pytest.mark.parametrize("way", ["browser", "paste"])
def test_a_dumb_terminal_gets_plain_lines(way: str, scene: Scene) -> None:
    """TERM=dumb: no escape sequence, no live line, and both ways work."""
    scene.environ["TERM"] = "dumb"
    with scene.terminal() as terminal:
        _bring(way, approve(terminal.read_question()), terminal)
        assert terminal.wait() == 0
        assert "\x1b" not in terminal.text
        assert " left" not in terminal.text


# Inside other programs: each with how it is started and how it is ended.
WRAPPERS = {
    "script": (["-q", "/dev/null", "-c"], None),
    "screen": (["-c", "/dev/null", "-S", "{name}", "sh", "-c"], ["-S", "{name}", "-X", "quit"]),
    "tmux": (["-L", "{name}", "-f", "/dev/null", "new-session"], ["-L", "{name}", "kill-server"]),
}


@pytest.mark.parametrize("way", ["browser", "paste"])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_inside_another_terminal_program(
    wrapper: str, way: str, scene: Scene, tmp_path: Path
) -> None:
    """It stands between the command and the terminal; the sign-in works all the same."""
    if shutil.which(wrapper) is None:
        pytest.skip(f"{wrapper} is not installed")
    start, end = (
        [wrapper, *(word.format(name=f"hl{scene.port}") for word in words or ())]
        for words in WRAPPERS[wrapper]
    )
    inner = f"{COMMAND} {' '.join(scene.arguments)}; echo end $?; sleep 5"
    environ = scene.environ | {"SCREENDIR": str(tmp_path), "TMUX_TMPDIR": str(tmp_path)}
    tmp_path.chmod(0o700)
    with Terminal(*start, inner, environ=environ, command=(), rows=40) as terminal:
        try:
            terminal.read_screen_until(PROMPT)
            shown = "".join(line.ljust(80) for line in terminal.lines)
            url = re.findall(r"http://127\S+/oauth/authorize\?\S+", shown)[0]
            _bring(way, approve(url), terminal)
            terminal.read_screen_until("end 0")
        finally:
            if len(end) > 1:
                subprocess.run(end, env=environ, capture_output=True, check=False)
    assert scene.auth_file.exists()


def test_a_browser_that_came_by_tls(scene: Scene) -> None:
    """A browser that makes every address https:// (HSTS of another server): one line says so."""
    context = ssl.create_default_context()
    with scene.terminal() as terminal:
        url = terminal.read_question()
        for _ in range(2):
            with (
                socket.create_connection(("127.0.0.1", scene.port)) as connection,
                pytest.raises((ssl.SSLError, OSError)),
            ):
                context.wrap_socket(connection, server_hostname="localhost")
        terminal.read_until("was refused: A browser asked")
        follow(approve(url))
        assert terminal.wait() == 0
        assert terminal.text.count("Something else came to the port") == 1
