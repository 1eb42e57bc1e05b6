"""Whatever address was shown stays answerable by `login finish`: after signals, Ctrl-D, time."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headless_login.practice.person import approve, approve_device
from tests.support.browsing import follow
from tests.support.listening import PATIENCE
from tests.support.machine import SIGHUP
from tests.support.program import COMMAND, Outcome, Terminal, assert_ended, events_in, run, until
from tests.support.scene import Scene
from tests.support.two_calls import FINISH, PENDING

FINISHES = "login finish -"


def _finish(scene: Scene, answer: str | None) -> Outcome:
    return run(*FINISH, *(["-"] if answer else []), environ=scene.environ, stdin=answer)


def _records(scene: Scene) -> list[Path]:
    return [*(scene.auth_file.parent / PENDING).glob("*.json")]


def _assert_finishes(scene: Scene, answer: str) -> None:
    assert_ended(_finish(scene, answer), 0, "Signed in to Codex")
    assert len(scene.exchanges()) == 1


@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGTERM, 143), (SIGHUP, 129), (signal.SIGINT, 130)]
)
@pytest.mark.parametrize("more", [(), ("--paste-redirect",)], ids=["login", "paste"])
def test_a_signal_leaves_it_and_ctrl_c_forgets_it(
    number: signal.Signals, exit_code: int, more: tuple[str, ...], scene: Scene
) -> None:
    """The message and the event say so; the address may be open in a browser by then."""
    with scene.terminal(*more) as terminal:
        answer = approve(terminal.read_question())
        terminal.interrupt(number)
        assert terminal.wait() == exit_code
        assert terminal.attributes == terminal.attributes_before
        assert (FINISHES in terminal.text) is (number != signal.SIGINT)
    assert bool(_records(scene)) is (number != signal.SIGINT)
    if number == signal.SIGINT:
        assert_ended(_finish(scene, answer), 3)
    else:
        _assert_finishes(scene, answer)


def test_a_lost_connection(scene: Scene) -> None:
    """The terminal is gone, as when ssh breaks off: SIGHUP, and nothing can be written any more."""
    terminal = scene.terminal()
    answer = approve(terminal.read_question())
    os.close(terminal._slave)
    os.close(terminal._master)
    assert terminal.process.wait(PATIENCE) == 129
    scene.assert_port_is_free()
    _assert_finishes(scene, answer)


def test_a_lost_terminal_under_nohup(scene: Scene) -> None:
    """No Ctrl-D and no reason to spin: the browser's answer is awaited, or `finish` has it."""
    command = ("sh", "-c", 'trap "" HUP; exec "$@"', "sh")
    terminal = Terminal(*_command(scene), environ=scene.environ, command=command)
    url = terminal.read_question()
    os.close(terminal._slave)
    os.close(terminal._master)
    until(lambda: _records(scene))
    before = _ticks(terminal.process.pid)
    with pytest.raises(subprocess.TimeoutExpired):
        terminal.process.wait(1)
    assert _ticks(terminal.process.pid) - before < os.sysconf("SC_CLK_TCK") / 2
    assert "Signed in to Codex" in follow(approve(url)).text
    assert terminal.process.wait(PATIENCE) == 0
    assert len(scene.exchanges()) == 1


def _command(scene: Scene) -> list[str]:
    return [COMMAND, *scene.arguments]


def _ticks(process: int) -> int:
    """Return the time that a process has computed."""
    _, _, told = Path(f"/proc/{process}/stat").read_text().rpartition(")")
    return sum(map(int, told.split()[11:13]))


def test_a_short_time_out_leaves_it(scene: Scene) -> None:
    """The process gives up, not the person who signs in: 15 minutes since it was begun."""
    with scene.piped("--timeout", "1", "--json") as piped:
        answer = approve(piped.read_url())
        outcome = piped.finish()
    assert_ended(outcome, 5, "Timed out", FINISHES)
    assert events_in(outcome.out)[-1]["pending"] is True
    _assert_finishes(scene, answer)


def test_ctrl_d_says_what_goes_on(scene: Scene) -> None:
    """The browser alone is awaited; another process takes the address, and this one ends then."""
    with scene.terminal() as terminal:
        answer = approve(terminal.read_question())
        terminal.send("\x04")
        terminal.read_until(f"(?s)Nothing more is asked here.*{FINISHES}.*Waiting for the browser")
        _assert_finishes(scene, answer)
        assert terminal.wait() == 3
        assert "an earlier call has had its answer judged" in " ".join(terminal.text.split())
    scene.assert_port_is_free()


def test_without_a_terminal_it_is_kept_from_the_start(scene: Scene) -> None:
    """Said at once; Ctrl-C forgets it, and the browser's answer uses it up."""
    ends = ("browser", "finish", "killed", *(("Ctrl-C",) if sys.platform != "win32" else ()))
    for end in ends:
        with scene.piped() as piped:
            url = piped.read_url()
            piped.read_until(f"There is no terminal to paste into(?s:.*){FINISHES}")
            assert len(_records(scene)) == 1
            answer = approve(url)
            if end == "browser":
                assert "Signed in to Codex" in follow(answer).text
                assert piped.finish().exit_code == 0
                assert_ended(_finish(scene, answer), 3, "used up")
            elif end == "finish":
                assert_ended(_finish(scene, answer), 0)
                assert piped.process.wait(PATIENCE) == 3
            else:
                if end == "Ctrl-C":
                    piped.process.send_signal(signal.SIGINT)
                else:
                    piped.process.kill()
                piped.process.wait(PATIENCE)
                assert_ended(_finish(scene, answer), 3 if end == "Ctrl-C" else 0)
        assert not _records(scene)
    assert len(scene.exchanges()) == 3


def test_both_at_the_same_moment_are_one_exchange(scene: Scene) -> None:
    """The record is claimed by the process that exchanges first."""
    for number in range(1, 4):
        with scene.piped() as piped:
            answer = approve(piped.read_url())
            finishing = subprocess.Popen(
                [*_command(scene)[:1], *FINISH, "-"],
                stdin=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=scene.environ,
            )
            assert finishing.stdin
            finishing.stdin.write(answer.encode())
            finishing.stdin.close()
            deadline = time.monotonic() + PATIENCE
            while len(scene.exchanges()) < number and time.monotonic() < deadline:
                try:
                    follow(answer)
                except OSError:
                    break  # `finish` was quicker, and the port is closed
            assert sorted([finishing.wait(PATIENCE), piped.finish().exit_code]) == [0, 3]
        assert len(scene.exchanges()) == number


def test_a_code_that_was_shown(scene: Scene) -> None:
    """`--device-auth`, ended by SIGTERM: `finish` goes on asking for the same code."""
    with scene.terminal("--device-auth") as terminal:
        terminal.read_until("Waiting for you")
        code = next(line for line in terminal.lines if len(line) == 9 and line[4] == "-")
        page = next(line for line in terminal.lines if line.startswith("http"))
        terminal.interrupt(signal.SIGTERM)
        assert terminal.wait() == 143
        assert "login finish" in terminal.text
    approve_device(page, code)
    assert_ended(_finish(scene, None), 0, "Signed in to Codex")


def test_no_way_is_left_and_it_is_said(scene: Scene) -> None:
    """The port is taken and nothing can be pasted: one error, and what takes the answer."""
    with socket.create_server(("127.0.0.1", scene.port)), scene.piped("--json") as piped:
        answer = approve(piped.read_url())
        outcome = assert_ended(piped.finish(), 6, "Signing in by paste instead", FINISHES)
    last = json.loads(outcome.out.splitlines()[-1])
    assert (last["error"], last["pending"]) == ("port_unavailable", True)
    _assert_finishes(scene, answer)


def test_over_ssh_without_a_terminal_pasting_works(scene: Scene) -> None:
    """An open pipe is a way to paste, and is called so."""
    with scene.piped(stdin=subprocess.PIPE) as piped:
        answer = approve(piped.read_url())
        piped.read_until("standard input")
        assert "no terminal to paste into" not in piped.err
        piped.write(f"{answer}\n")
        piped.read_until("Signed in to Codex")
