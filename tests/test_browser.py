"""Which browser is opened where: a graphical one in front of the person, or none at all."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from headless_login.terminal.browser import open_browser
from headless_login.terminal.place import Place, SshConnection
from tests.support.listening import free_port
from tests.support.program import COMMAND, PROMPT, Terminal, environment

URL = "https://issuer.example/oauth/authorize?a=1&b=$(touch oops)&c='\";touch oops;'"
SCREEN = Place(has_screen=True)
SSH = SshConnection("ada", "192.0.2.10", 22)
HELPER = "/home/ada/.vscode-server/bin/0123/bin/helpers/browser.sh"
RUNDLL = "/mnt/c/Windows/System32/rundll32.exe"


class Launcher:
    """Starts nothing and remembers what it was to start; `works` tells what succeeds."""

    def __init__(self, works: Callable[[str], bool] = lambda _: True) -> None:
        self.started: list[list[str]] = []
        self._works = works

    def __call__(self, command: list[str]) -> bool:
        self.started.append(command)
        return self._works(command[0])


def _open(
    place: Place,
    environ: dict[str, str] | None = None,
    installed: tuple[str, ...] = ("xdg-open", "firefox", "w3m", "lynx", "my-browser"),
    platform: str = "linux",
    works: Callable[[str], bool] = lambda _: True,
) -> tuple[bool, list[list[str]]]:
    launcher = Launcher(works)
    opened = open_browser(
        URL,
        environ or {},
        place,
        launch=launcher,
        platform=platform,
        which=lambda name: name if name in installed or "/" in name else None,
    )
    return opened, launcher.started


@pytest.mark.parametrize(
    "place",
    [
        Place(),
        Place(ssh=SSH),
        Place(ssh=SSH, has_screen=True),
        Place(ci=True, has_screen=True),
        Place(container="docker"),
        Place(editor="codespaces"),
        Place(ci=True, editor="codespaces"),
    ],
)
def test_none_is_opened_where_nobody_sees_it(place: Place) -> None:
    """Over ssh, in CI, without a screen, or in an editor that names no way to its window."""
    assert _open(place, installed=("xdg-open", "firefox")) == (False, [])


@pytest.mark.parametrize(
    ("place", "environ", "installed", "platform", "expected"),
    [
        (SCREEN, {}, ("xdg-open", "firefox"), "linux", ["xdg-open", URL]),
        (SCREEN, {}, ("firefox",), "linux", ["firefox", URL]),
        (SCREEN, {"BROWSER": "my-browser"}, ("my-browser",), "linux", ["my-browser", URL]),
        (
            SCREEN,
            {"BROWSER": "my-browser --new '%s' &"},
            ("my-browser",),
            "linux",
            ["my-browser", "--new", URL],
        ),
        (SCREEN, {"BROWSER": "gone:my-browser"}, ("my-browser",), "linux", ["my-browser", URL]),
        (SCREEN, {}, (), "darwin", ["/usr/bin/open", URL]),
        (SCREEN, {}, (), "win32", [URL]),
        (Place(editor="vscode"), {"BROWSER": HELPER}, (), "linux", [HELPER, URL]),
        (Place(editor="vscode", ssh=SSH), {"BROWSER": HELPER}, (), "linux", [HELPER, URL]),
        (
            Place(editor="codespaces", container="docker"),
            {"BROWSER": HELPER},
            (),
            "linux",
            [HELPER, URL],
        ),
        (Place(wsl=True, has_screen=True), {}, ("wslview",), "linux", ["wslview", URL]),
        (
            Place(wsl=True, has_screen=True),
            {},
            ("xdg-open",),
            "linux",
            [RUNDLL, "url.dll,FileProtocolHandler", URL],
        ),
    ],
)
def test_the_best_one_is_opened(
    place: Place,
    environ: dict[str, str],
    installed: tuple[str, ...],
    platform: str,
    expected: list[str],
) -> None:
    """One command, the address one of its words, whatever stands in it."""
    assert _open(place, environ, installed, platform) == (True, [expected])


@pytest.mark.parametrize(
    "browser",
    ["w3m", "/usr/bin/lynx", "links2 -g", "elinks %s", "env w3m", "www-browser", "'unclosed", "&"],
)
def test_a_text_browser_is_never_opened(browser: str) -> None:
    """Whoever set BROWSER to one wants no window either: nothing else is tried."""
    assert _open(SCREEN, {"BROWSER": browser}) == (False, [])


@pytest.mark.parametrize(
    "browser",
    [
        "sh -c 'my-browser %s'",
        "bash -c 'my-browser \"%s\" &'",
        "cmd.exe /c start",
        "/mnt/c/Windows/System32/cmd.exe /c start",
        "powershell.exe -c start %s",
    ],
)
def test_the_address_is_never_code(browser: str) -> None:
    """A shell would cut it at its first `&`, or worse; the person opens it instead."""
    installed = ("sh", "bash", "env", "cmd.exe", "powershell.exe", "my-browser")
    assert _open(SCREEN, {"BROWSER": browser}, installed) == (False, [])


def test_a_shell_that_gets_it_as_a_word_may_open_it() -> None:
    """`$0` is a word, whatever stands in it."""
    words = ["sh", "-c", 'my-browser "$0"']
    browser = "sh -c 'my-browser \"$0\"'"
    assert _open(SCREEN, {"BROWSER": browser}, ("sh",)) == (True, [[*words, URL]])


def test_one_that_fails_gives_way_to_the_next() -> None:
    """An xdg-open without any browser behind it says so, and the next is tried."""
    opened, started = _open(SCREEN, works=lambda name: name == "firefox")
    assert opened
    assert [command[0] for command in started] == ["xdg-open", "firefox"]


def test_where_all_fail_none_was_opened() -> None:
    """Then the person is not told to look for one."""
    opened, started = _open(SCREEN, works=lambda _: False)
    assert not opened
    assert len(started) == 2


# Real processes.


@pytest.fixture
def browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write a shell script as BROWSER; it notes its arguments, then does as told."""

    def write(then: str) -> Path:
        script = tmp_path / "my-browser"
        script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$#" "$@" > {tmp_path}/asked\n{then}\n')
        script.chmod(0o755)
        monkeypatch.setenv("BROWSER", str(script))
        return tmp_path / "asked"

    return write


def test_the_address_arrives_as_one_argument(browser: Callable[[str], Path]) -> None:
    """No shell looks at it."""
    asked = browser("")
    assert open_browser(URL, os.environ, SCREEN) is True
    assert asked.read_text() == f"1\n{URL}\n"


def test_it_gets_nothing_but_the_address(browser: Callable[[str], Path], tmp_path: Path) -> None:
    """No open file of ours, no terminal, and a session that our Ctrl-C does not reach."""
    browser(
        f"cd {tmp_path}; ls /proc/self/fd | wc -l > files; cut -d' ' -f6 /proc/$$/stat > session"
    )
    if not os.path.exists("/proc/self/fd"):
        pytest.skip("/proc is Linux's")
    with socket.create_server(("127.0.0.1", 0)) as ours:
        ours.set_inheritable(True)
        assert open_browser(URL, os.environ, SCREEN) is True
    assert int((tmp_path / "files").read_text()) == 4  # the standard ones, and the folder itself
    assert int((tmp_path / "session").read_text()) != os.getsid(0)


@pytest.mark.parametrize(
    ("first", "then"), [("exit 3", 0.0), ("kill -9 $$", 0.0), ("sleep 0.1; exit 1", 0.1)]
)
def test_the_next_command_is_tried(first: str, then: float, tmp_path: Path) -> None:
    """BROWSER with several commands: for real, one after the other."""
    for name, script in (("bad", first), ("good", f'echo "$1" > {tmp_path}/asked')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    started = time.monotonic()
    environ = {"BROWSER": f"{tmp_path}/missing:{tmp_path}/bad:{tmp_path}/good %s:{tmp_path}/bad"}
    assert open_browser(URL, environ, SCREEN) is True
    assert time.monotonic() - started >= then
    assert (tmp_path / "asked").read_text() == f"{URL}\n"


@pytest.mark.parametrize("browser", [None, ""])
def test_xdg_open_looks_for_graphical_browsers_only(
    browser: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left to itself, it would try w3m and its like at the end."""
    (tmp_path / "xdg-open").write_text(f'#!/bin/sh\necho "$BROWSER" > {tmp_path}/told\n')
    (tmp_path / "xdg-open").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    if browser is None:
        monkeypatch.delenv("BROWSER", raising=False)
    else:
        monkeypatch.setenv("BROWSER", browser)
    assert open_browser(URL, os.environ, SCREEN) is True
    told = (tmp_path / "told").read_text().strip().split(":")
    assert "firefox" in told
    assert not [name for name in told if name in ("", "w3m", "lynx", "links", "www-browser")]


def test_one_that_keeps_running_is_left_alone(browser: Callable[[str], Path]) -> None:
    """A browser started in the foreground is open, and is not waited for."""
    asked = browser("sleep 1; echo done >> $0.end")
    started = time.monotonic()
    assert open_browser(URL, os.environ, SCREEN) is True
    assert time.monotonic() - started < 0.9
    ended = asked.with_name("my-browser.end")
    while not ended.exists() and time.monotonic() - started < 10:
        time.sleep(0.02)
    assert ended.exists()


@pytest.mark.parametrize("then", ["exit 1", "kill -9 $$"])
def test_one_that_fails_at_once_is_not_open(then: str, browser: Callable[[str], Path]) -> None:
    """Its exit code tells."""
    browser(then)
    assert open_browser(URL, os.environ, SCREEN) is False


def test_one_that_cannot_be_started_is_not_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken installation is no accident of ours."""
    broken = tmp_path / "my-browser"
    broken.write_bytes(b"\x00\x01 no program")
    broken.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(broken))
    assert open_browser(URL, os.environ, SCREEN) is False


def test_a_noisy_browser_does_not_disturb_the_terminal(codex_home: Path, tmp_path: Path) -> None:
    """Its output goes nowhere, its end is not ours, and the words fit an open browser."""
    script = tmp_path / "noisy"
    script.write_text(f'#!/bin/sh\necho NOISE; echo NOISE >&2; echo "$@" > {tmp_path}/asked\n')
    script.chmod(0o755)
    environ = environment(codex_home, None, DISPLAY=":99", BROWSER=str(script))
    del environ["SSH_CONNECTION"]
    arguments = ("login", "--port", str(free_port()))
    with Terminal(*arguments, environ=environ) as terminal:
        url = terminal.read_url()
        terminal.read_until(PROMPT)
        assert "NOISE" not in terminal.text
        assert "A browser was opened" in terminal.text
        assert "QR code" not in terminal.text
        assert (tmp_path / "asked").read_text().strip() == url
        (tmp_path / "asked").unlink()
    with Terminal(*arguments, "--no-browser", environ=environ, command=(COMMAND,)) as terminal:
        terminal.read_until(PROMPT)
        assert not (tmp_path / "asked").exists()
        assert "A browser was opened" not in terminal.text


def test_the_browser_outlives_a_sign_in_that_is_broken_off(
    codex_home: Path, tmp_path: Path
) -> None:
    """Ctrl-C ends us and not the browser, which has neither our port nor our terminal."""
    script = tmp_path / "running"
    wait = "i=0; while [ ! -e enough ] && [ $i -lt 200 ]; do sleep 0.05; i=$((i+1)); done"
    script.write_text(
        f"#!/bin/sh\ncd {tmp_path}\ntrap 'echo hit >> signals' INT HUP TERM\n{wait}\n"
        "echo NOISE; echo NOISE > /dev/tty; echo end > end\n"
    )
    script.chmod(0o755)
    environ = environment(codex_home, None, DISPLAY=":99", BROWSER=str(script))
    del environ["SSH_CONNECTION"]
    port = free_port()
    with Terminal("login", "--port", str(port), environ=environ) as terminal:
        terminal.read_until(PROMPT)
        assert "A browser was opened" in terminal.text
        terminal.send("\x03")
        assert terminal.wait(5) == 130
        with socket.create_server(("127.0.0.1", port)):
            pass
        (tmp_path / "enough").touch()
        deadline = time.monotonic() + 10
        while not (tmp_path / "end").exists():
            assert time.monotonic() < deadline, "the browser was killed"
            terminal.watch(0.02)
        terminal.watch(0.1)
        assert "NOISE" not in terminal.text
    assert not (tmp_path / "signals").exists()
