"""Which browser is opened where: a graphical one in front of the person, or none at all."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from headless_login.terminal.browser import open_browser
from headless_login.terminal.place import Place, SshConnection
from tests.support.machine import posix_shell
from tests.support.program import until
from tests.support.scene import Scene

URL = "https://issuer.example/oauth/authorize?a=1&b=$(touch oops)&c='\";touch oops;'"
SCREEN = Place(has_screen=True)
SSH = SshConnection("ada", "192.0.2.10", 22)
WSL = Place(wsl=True, has_screen=True)
EDITOR = Place(editor="vscode")
CODESPACE = Place(editor="codespaces", container="docker")
HELPER = "/home/ada/.vscode-server/bin/0123/bin/helpers/browser.sh"
RUNDLL = "/mnt/c/Windows/System32/rundll32.exe"


def _open(
    place: Place,
    browser: str = "",
    installed: str = "xdg-open firefox w3m lynx my-browser",
    platform: str = "linux",
    works: Callable[[str], bool] = lambda _: True,
) -> tuple[bool, list[list[str]]]:
    """Return whether one was opened, and all that was to be started."""
    started: list[list[str]] = []

    def launch(command: list[str]) -> bool:
        started.append(command)
        return works(command[0])

    def which(name: str) -> str | None:
        return name if name in installed.split() or "/" in name else None

    environ = {"BROWSER": browser} if browser else {}
    opened = open_browser(URL, environ, place, launch=launch, platform=platform, which=which)
    return opened, started


@pytest.mark.parametrize(
    "place",
    [
        *(Place(), Place(ssh=SSH), Place(container="docker"), Place(editor="codespaces")),
        *(SCREEN._replace(ssh=SSH), SCREEN._replace(ci=True), CODESPACE._replace(ci=True)),
    ],
)
def test_none_is_opened_where_nobody_sees_it(place: Place) -> None:
    """Over ssh, in CI, without a screen, or in an editor that names no way to its window."""
    assert _open(place, installed="xdg-open firefox") == (False, [])


@pytest.mark.parametrize(
    ("place", "browser", "installed", "platform", "expected"),
    [
        (SCREEN, "", "xdg-open firefox", "linux", ["xdg-open"]),
        (SCREEN, "", "firefox", "linux", ["firefox"]),
        (SCREEN, "my-browser", "my-browser", "linux", ["my-browser"]),
        (SCREEN, "my-browser --new '%s' &", "my-browser", "linux", ["my-browser", "--new"]),
        (SCREEN, "gone:my-browser", "my-browser", "linux", ["my-browser"]),
        # A shell that gets it as a word may open it: `$0` is one, whatever stands in it.
        (SCREEN, "sh -c 'my-browser \"$0\"'", "sh", "linux", ["sh", "-c", 'my-browser "$0"']),
        (SCREEN, "", "", "darwin", ["/usr/bin/open"]),
        (SCREEN, "", "", "win32", []),
        (EDITOR, HELPER, "", "linux", [HELPER]),
        (EDITOR._replace(ssh=SSH), HELPER, "", "linux", [HELPER]),
        (CODESPACE, HELPER, "", "linux", [HELPER]),
        (WSL, "", "wslview", "linux", ["wslview"]),
        (WSL, "", "xdg-open", "linux", [RUNDLL, "url.dll,FileProtocolHandler"]),
    ],
)
def test_the_best_one_is_opened(
    place: Place, browser: str, installed: str, platform: str, expected: list[str]
) -> None:
    """One command, the address one of its words, whatever stands in it."""
    assert _open(place, browser, installed, platform) == (True, [[*expected, URL]])


@pytest.mark.parametrize(
    "browser",
    [
        *("w3m", "/usr/bin/lynx", "links2 -g", "elinks %s", "env w3m", "www-browser"),
        *("'unclosed", "&"),
        # To a shell the address is code, cut at its first `&` or worse.
        *("sh -c 'my-browser %s'", "bash -c 'my-browser \"%s\" &'"),
        *("cmd.exe /c start", "/mnt/c/Windows/System32/cmd.exe /c start"),
        "powershell.exe -c start %s",
    ],
)
def test_what_shows_no_window_or_runs_the_address_is_never_opened(browser: str) -> None:
    """Whoever set BROWSER to it wants no window either: nothing else is tried."""
    shells = "sh bash env cmd.exe powershell.exe"
    browsers = "xdg-open firefox my-browser w3m links2 elinks www-browser"
    assert _open(SCREEN, browser, f"{shells} {browsers}") == (False, [])


@pytest.mark.parametrize("works", ["firefox", ""])
def test_one_that_fails_gives_way_to_the_next(works: str) -> None:
    """An xdg-open without any browser behind it says so; where all fail, none was opened."""
    opened, started = _open(SCREEN, works=lambda name: name == works)
    assert opened is bool(works)
    assert [command[0] for command in started] == ["xdg-open", "firefox"]


# Real processes.


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a shell script, which runs in its folder."""

    def write(*lines: str, name: str = "my-browser") -> Path:
        script = tmp_path / name
        script.write_text("\n".join(["#!/bin/sh", f"cd {tmp_path}", *lines, ""]))
        script.chmod(0o755)
        return script

    return write


def _really_open(browser: object, fails_within: float = 30) -> bool:
    return open_browser(URL, {"BROWSER": str(browser)}, SCREEN, fails_within=fails_within)


@posix_shell
@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="/proc is Linux's")
def test_it_gets_nothing_but_the_address(write: Write, tmp_path: Path) -> None:
    """As one word; no open file of ours, no terminal, and a session that Ctrl-C does not reach."""
    told = 'printf "%s\\n" $# "$@" $(ls /proc/self/fd | wc -l) $(cut -d" " -f6 /proc/$$/stat)'
    with socket.create_server(("127.0.0.1", 0)) as ours:
        ours.set_inheritable(True)
        assert _really_open(write(f"{told} > told"))
    *address, files, session = (tmp_path / "told").read_text().splitlines()
    assert address == ["1", URL]
    assert int(files) == 4  # the standard ones, of which one is the pipe to wc, and the folder
    assert int(session) != os.getsid(0)


@posix_shell
@pytest.mark.parametrize("first", ["exit 3", "kill -9 $$", "sleep 0.1; exit 1"])
def test_the_next_command_is_tried(first: str, write: Write, tmp_path: Path) -> None:
    """BROWSER with several commands: for real, one after the other; the exit code tells."""
    bad = write(first, name="bad")
    good = write('echo "$1" > asked', name="good")
    assert _really_open(f"{tmp_path}/missing:{bad}:{good} %s:{bad}")
    assert (tmp_path / "asked").read_text() == f"{URL}\n"
    assert not _really_open(bad)


@pytest.mark.skipif(sys.platform == "win32", reason="the system opens the address itself there")
def test_one_that_cannot_be_started_is_not_open(write: Write) -> None:
    """A broken installation is no accident of ours."""
    broken = write()
    broken.write_bytes(b"\x00\x01 no program")
    assert not _really_open(broken)


@posix_shell
@pytest.mark.parametrize("browser", [None, ""])
def test_xdg_open_looks_for_graphical_browsers_only(
    browser: str | None, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left to itself, it would try w3m and its like at the end."""
    write('echo "$BROWSER" > told', name="xdg-open")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("BROWSER", raising=False)
    if browser is not None:
        monkeypatch.setenv("BROWSER", browser)
    assert open_browser(URL, os.environ, SCREEN, fails_within=30)
    told = (tmp_path / "told").read_text().strip().split(":")
    assert "firefox" in told
    assert not [name for name in told if name in ("", "w3m", "lynx", "links", "www-browser")]


# Until it may end, but not for ever.
WAIT = "i=0; while [ ! -e enough ] && [ $i -lt 400 ]; do sleep 0.05; i=$((i+1)); done"


@posix_shell
def test_one_that_keeps_running_is_left_alone(write: Write, tmp_path: Path) -> None:
    """A browser started in the foreground is open, and is not waited for."""
    assert _really_open(write(WAIT, "echo end > end"), fails_within=0.1)
    assert not (tmp_path / "end").exists()
    (tmp_path / "enough").touch()
    until((tmp_path / "end").exists)


def _on_a_screen(scene: Scene, browser: Path) -> Scene:
    scene.environ |= {"DISPLAY": ":99", "BROWSER": str(browser)}
    del scene.environ["SSH_CONNECTION"]
    return scene


def test_a_noisy_browser_does_not_disturb_the_terminal(
    scene: Scene, write: Write, tmp_path: Path
) -> None:
    """Its output goes nowhere, its end is not ours, and the words fit an open browser."""
    _on_a_screen(scene, write('echo NOISE; echo NOISE >&2; echo "$@" > asked'))
    with scene.terminal() as terminal:
        url = terminal.read_question()
        assert "NOISE" not in terminal.text
        assert "A browser was opened" in terminal.text
        assert "QR code" not in terminal.text
        assert (tmp_path / "asked").read_text().strip() == url
        (tmp_path / "asked").unlink()
    with scene.terminal("--no-browser") as terminal:
        terminal.read_question()
        assert not (tmp_path / "asked").exists()
        assert "A browser was opened" not in terminal.text


def test_the_browser_outlives_a_sign_in_that_is_broken_off(
    scene: Scene, write: Write, tmp_path: Path
) -> None:
    """Ctrl-C ends us and not the browser, which has neither our port nor our terminal."""
    trap, noise = "trap 'echo hit >> signals' INT HUP TERM", "echo NOISE; echo NOISE > /dev/tty"
    _on_a_screen(scene, write(trap, WAIT, noise, "echo end > end"))
    with scene.terminal() as terminal:
        terminal.read_question()
        assert "A browser was opened" in terminal.text
        terminal.send("\x03")
        assert terminal.wait() == 130
        scene.assert_port_is_free()
        (tmp_path / "enough").touch()
        terminal.until((tmp_path / "end").exists, "end of the browser")
        terminal.watch(0.1)
        assert "NOISE" not in terminal.text
    assert not (tmp_path / "signals").exists()
