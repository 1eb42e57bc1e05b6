"""What only Windows does: files that are open elsewhere, its quoting, its folder, its Codex."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from headless_login.codex.auth_file import AuthFile, Credentials
from headless_login.codex.files import patiently
from headless_login.codex.home import CodexHome
from headless_login.codex.preflight import check_writable
from headless_login.codex.replace import signals_held
from headless_login.commands.command_line import command_of
from headless_login.errors import LocalTrouble
from headless_login.oauth.text import clock_setting, exported, fed, shell_word, unset
from headless_login.practice.person import approve, approve_device
from tests.support.browsing import follow
from tests.support.codex import NEWEST, cache_folder, refreshed_by_codex, require_codex, run_codex
from tests.support.machine import hold
from tests.support.program import Outcome, Piped, Terminal, assert_ended, environment, run, url_in
from tests.support.scene import Scene
from tests.support.two_calls import FINISH, START

on_windows = pytest.mark.skipif(sys.platform != "win32", reason="Windows is asked itself")
NEW = Credentials.api_key("sk-proj-0123456789abcdefghij")


class Held:
    """A file that another program keeps open for some tries; the clock goes with each pause."""

    def __init__(self, tries: int) -> None:
        self.tries, self.now = tries, 0.0

    def work(self) -> str:
        if self.tries > 0:
            self.tries -= 1
            raise PermissionError(errno.EACCES, "Permission denied")
        return "done"

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    ("tries", "in_use", "outcome"),
    [(0, False, "done"), (5, True, "done"), (10**6, True, "EBUSY"), (1, False, "EACCES")],
)
def test_a_file_that_is_open_elsewhere_is_waited_for(
    tries: int, in_use: bool, outcome: str, tmp_path: Path
) -> None:
    """For three seconds; a missing permission is told at once."""
    held = Held(tries)
    path = str(tmp_path / "auth.json")

    def work() -> str:
        return patiently(
            held.work,
            path,
            platform="win32",
            is_in_use=lambda _: in_use,
            clock=lambda: held.now,
            sleep=held.sleep,
        )

    if outcome == "done":
        assert work() == outcome
    else:
        with pytest.raises(OSError, match="another program" if in_use else "denied") as caught:
            work()
        assert errno.errorcode[caught.value.errno or 0] == outcome
        assert (held.now >= 3) == in_use


def test_a_folder_is_none_that_is_not_permitted(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        patiently(Held(1).work, str(tmp_path), platform="win32", is_in_use=lambda _: False)


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("headless-login", "headless-login"),
        (r"C:\Users\ada\.codex", r"C:\Users\ada\.codex"),
        (r"C:\Grace Höpper\my codex", r'"C:\Grace Höpper\my codex"'),
        ("C:\\a&b", '"C:\\a&b"'),
    ],
)
def test_a_path_is_a_word_for_both_shells(path: str, word: str) -> None:
    assert shell_word(path, platform="win32") == word


PATH = r"C:\Grace's\my $codex"
QUOTED = r"'C:\Grace''s\my $codex'"  # PowerShell's, in which nothing is replaced
PROGRAM = r'"C:\Program Files\hl\headless-login.exe" logout'


@pytest.mark.parametrize(
    ("write", "posix", "windows"),
    [
        (partial(fed, "x -"), "x - < FILE", "type FILE | x -"),
        (clock_setting, "as root: timedatectl set-ntp true", "as administrator: w32tm /resync"),
        (partial(unset, "A", "B"), "unset A B",
         "set A= & set B= (PowerShell: Remove-Item Env:A, Env:B)"),
        (partial(exported, "A", PATH), """export A='C:\\Grace'"'"'s\\my $codex'""",
         f'set "A={PATH}" (PowerShell: $env:A = {QUOTED})'),
        (partial(command_of, ["x", "a b"]), "x 'a b'", 'x "a b"'),
        (partial(command_of, [PROGRAM.split('"')[1], "logout"]),
         r"'C:\Program Files\hl\headless-login.exe' logout",
         f"{PROGRAM} (PowerShell: & {PROGRAM})"),
    ],
)  # fmt: skip
def test_commands_are_those_of_the_system(
    write: Callable[..., str], posix: str, windows: str
) -> None:
    """What is printed can be run where it is read; where the shells differ, both are named."""
    assert (write(platform="linux"), write(platform="win32")) == (posix, windows)


@pytest.fixture
def held_open(codex_home: Path) -> Iterator[Callable[[int], int]]:
    """Open auth.json as another program, sharing it as asked (CreateFileW)."""
    import ctypes

    (codex_home / "auth.json").write_text("{}")
    kernel32 = ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
    handles: list[int] = []

    def opened(share: int) -> int:
        path = ctypes.c_wchar_p(str(codex_home / "auth.json"))
        handles.append(kernel32.CreateFileW(path, 0x80000000, share, None, 3, 0, None))
        return handles[-1]

    yield opened
    for handle in handles:
        kernel32.CloseHandle(handle)


@on_windows
def test_it_is_named_before_the_address(home: CodexHome, held_open: Callable[[int], int]) -> None:
    held_open(1)  # nobody else may write
    with pytest.raises(LocalTrouble, match="another program has it open") as caught:
        check_writable(home)
    assert "Close it" in caught.value.hint
    assert Path(home.auth_file).read_text() == "{}"


@on_windows
def test_what_is_open_for_a_moment_is_replaced(
    home: CodexHome, held_open: Callable[[int], int]
) -> None:
    """By a rename, and not in place: whoever reads meanwhile has one whole file."""
    import ctypes

    handle = held_open(3)  # as Python and many editors open files
    before = Path(home.auth_file).stat().st_ino
    close = ctypes.windll.kernel32.CloseHandle  # type: ignore[attr-defined,unused-ignore]
    closing = threading.Timer(0.3, close, [handle])
    closing.start()
    with AuthFile.locked(home) as auth_file:
        auth_file.store(NEW)
    closing.join()
    assert Path(home.auth_file).stat().st_ino != before
    assert "sk-proj" in Path(home.auth_file).read_text()


@on_windows
def test_the_profile_is_the_systems(environ: dict[str, str]) -> None:
    """Codex asks the system, too; %USERPROFILE% may say anything."""
    del environ["CODEX_HOME"]
    environ |= dict(os.environ) | {"USERPROFILE": r"C:\nowhere"}
    status = assert_ended(run("login", "status", "--json", environ=environ), 1)
    from headless_login.windows import profile_folder  # type: ignore[attr-defined,unused-ignore]

    folder = profile_folder()
    assert json.loads(status.out)["auth_file"] == os.path.join(folder, ".codex", "auth.json")


@on_windows
@pytest.mark.parametrize("lock", ["auth.lock", "auth.json.lock"])
def test_the_real_codex_and_ours_exclude_each_other(lock: str, codex_home: Path) -> None:
    """Codex stores no key while ours holds a lock: it waits for the first, gives up the second."""
    codex = require_codex(NEWEST)
    environ = dict(os.environ) | {"CODEX_HOME": str(codex_home)}
    with subprocess.Popen(
        [codex, "login", "--with-api-key"],
        env=environ,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        with hold(codex_home / lock):
            assert process.stdin
            process.stdin.write(b"sk-proj-0123456789abcdefghij\n")
            process.stdin.close()
            process.stdin = None
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(3)
            assert not (codex_home / "auth.json").exists()
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert "sk-proj" in (codex_home / "auth.json").read_text()


# A sign-in by each way, with the launcher that pip makes.


def _by_browser(scene: Scene) -> Outcome:
    with scene.piped() as piped:
        page = follow(approve(piped.read_url()))
        outcome = piped.finish()
    assert "Signed in to Codex" in page.text
    return outcome


def _by_paste(scene: Scene) -> Outcome:
    with scene.piped("--paste-redirect", stdin=subprocess.PIPE) as piped:
        return piped.finish(f"\ufeff{approve(piped.read_url())}\r\n")  # as PowerShell pipes it


def _code_in(shown: str) -> str:
    return str(re.findall(r"[A-Z0-9]{4}-[A-Z0-9]{4}", shown)[-1])


def _by_code(scene: Scene) -> Outcome:
    words = ("login", "--device-auth")
    with Piped(*words, environ=scene.environ, stdin=subprocess.DEVNULL) as piped:
        code = _code_in(piped.read_until(WAITING["by code"]))
        approve_device(f"{scene.issuer.issuer}/codex/device", code)
        return piped.finish()


def _by_two_calls(scene: Scene) -> Outcome:
    url, *_ = assert_ended(
        run(*START, "--port", str(scene.port), environ=scene.environ), 0
    ).out.splitlines()
    return run(*FINISH, "-", environ=scene.environ, stdin=approve(url))


@on_windows
@pytest.mark.parametrize("name", ["codex", "Grace Höpper & co", "100% (new)", "a^b, c;d=e"])
def test_cmd_runs_the_command_that_start_prints(name: str, scene: Scene, tmp_path: Path) -> None:
    """As it is printed, with the address at its standard input; a path may hold anything."""
    home = tmp_path / name
    words = (*START, "--port", str(scene.port), "--codex-home", str(home))
    shown = assert_ended(run(*words, environ=scene.environ), 0).out.splitlines()
    (command,) = [line for line in shown if "login finish -" in line]
    ended = subprocess.run(
        f'cmd /d /s /c "{command}"',
        input=approve(shown[0]).encode(),
        env={**os.environ, **scene.environ},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 0, (command, ended)
    assert_codex_says("Logged in using ChatGPT", home)


def assert_codex_says(expected: str, codex_home: Path) -> None:
    exit_code, said = run_codex(NEWEST, "login", "status", codex_home=codex_home)
    assert (exit_code, expected in said) == (0, True), said


@on_windows
@pytest.mark.parametrize("way", [_by_browser, _by_paste, _by_code, _by_two_calls])
def test_the_real_codex_goes_on_with_a_sign_in(
    way: Callable[[Scene], Outcome], scene: Scene
) -> None:
    """It is signed in, refreshes what we wrote, and we read what it wrote."""
    assert_ended(way(scene), 0)
    home = scene.auth_file.parent
    before = json.loads(scene.auth_file.read_text())["tokens"]["access_token"]
    assert_codex_says("Logged in using ChatGPT", home)
    told = refreshed_by_codex(home)
    status = assert_ended(run("login", "status", "--json", environ=scene.environ), 0)
    assert json.loads(status.out)["signed_in"] is True
    token = assert_ended(run("token", "--min-valid", "0", environ=scene.environ), 0)
    assert token.out.strip() == told["authToken"] != before


@on_windows
def test_the_real_codex_takes_a_key(codex_home: Path) -> None:
    environ = environment(codex_home, None)
    words = ("login", "--with-api-key")
    assert_ended(run(*words, environ=environ, stdin="sk-proj-0123456789abcdefghij\r\n"), 0)
    assert_codex_says("API key configured", codex_home)


@on_windows
def test_a_pipe_is_asked_without_reading_it() -> None:
    from headless_login.windows import pipe_state  # type: ignore[attr-defined,unused-ignore]

    there, into = os.pipe()
    seen = [pipe_state(there)]
    os.write(into, b"x")
    seen.append(pipe_state(there))
    os.close(into)
    seen.append(pipe_state(there))
    os.read(there, 9)
    assert [*seen, pipe_state(there)] == [
        (False, False),
        (True, False),
        (True, False),
        (False, True),
    ]
    os.close(there)


# Ctrl-Break as the C library tells it, by a thread of its own; Wine's console sends none.
BREAKING = """
import signal, socket, sys, threading
from headless_login.__main__ import run

def wait(port):
    socket.create_connection(("127.0.0.1", port)).recv(1)
    signal.raise_signal(signal.SIGBREAK)

threading.Thread(target=wait, args=[int(sys.argv.pop(1))], daemon=True).start()
run()
"""
WAITING = {
    "by browser": r"(?m)^https?://\S+/oauth/authorize\?\S+\n",
    "by code": r"(?m)^\w{4}-\w{4}\s",
}


@on_windows
@pytest.mark.parametrize("way", WAITING)
def test_ctrl_break_ends_a_wait(way: str, scene: Scene) -> None:
    """As Ctrl-C; but a console that is closed tells it, too, so what was shown stays good."""
    words = ("login", "--device-auth") if way == "by code" else scene.arguments
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = (sys.executable, "-c", BREAKING, str(server.getsockname()[1]))
        with Piped(
            *words, environ=scene.environ, command=command, stdin=subprocess.DEVNULL
        ) as piped:
            shown = piped.read_until(WAITING[way])
            server.accept()[0].close()
            assert_ended(piped.finish(), 130, "Interrupted.", "stays pending")
    if way == "by code":
        approve_device(f"{scene.issuer.issuer}/codex/device", _code_in(shown))
        finished = run(*FINISH, environ=scene.environ)
    else:
        finished = run(*FINISH, "-", environ=scene.environ, stdin=approve(url_in(shown)))
    assert_ended(finished, 0)
    assert scene.auth_file.exists()


@on_windows
def test_ctrl_break_waits_for_the_end_of_a_write() -> None:
    number, told = signal.Signals["SIGBREAK"], list[int]()
    before = signal.signal(number, lambda number, _: told.append(number))
    try:
        with signals_held():
            signal.raise_signal(number)
            assert not told
        assert told == [number]
    finally:
        signal.signal(number, before)


# In a console: Wine's, whose picture is not that of Windows, but which reads keys as that does.

SCRIPT = Path(__file__).parent.parent / "scripts" / "windows"
in_a_console = pytest.mark.skipif(
    sys.platform == "win32" or not (cache_folder() / "windows" / ".made").exists(),
    reason="there is no Windows under Wine here, or it has no console of Wine's",
)


def _console(scene: Scene, *words: str) -> Terminal:
    home = "Z:" + str(scene.auth_file.parent).replace("/", "\\")
    environ = scene.environ | {
        "HOME": os.environ["HOME"],
        "CODEX_HOME": home,
        "HEADLESS_LOGIN_CODEX_CACHE": str(cache_folder()),
    }
    shell = ("bash", str(SCRIPT), "run")
    return Terminal(*words, environ=environ, command=shell, columns=600, rows=50)


def _approved(text: str) -> str:
    return approve(re.findall(r"https?://\S+/oauth/authorize\?[\w=&%.+-]+", text)[-1])


def _type(terminal: Terminal, answer: str) -> None:
    terminal.send(answer)
    terminal.send("\r")


ANSWERS: dict[str, Callable[[Terminal, str], object]] = {
    "typed": _type,
    "64 KiB": lambda terminal, answer: _type(terminal, "it says: " * 7000 + answer),
    "by the browser": lambda _, answer: follow(answer),
}


@in_a_console
@pytest.mark.parametrize("answers", ANSWERS)
def test_the_prompt_in_a_console(answers: str, scene: Scene) -> None:
    """What is typed is read whole and not shown; the browser's answer ends the question."""
    with _console(scene, *scene.arguments, "--no-browser") as terminal:
        answer = _approved(terminal.read_until("for keys", 60))
        ANSWERS[answers](terminal, answer)
        assert terminal.wait(60) == 0, terminal.text
        assert answer.partition("code=")[2] not in terminal.text
    assert scene.auth_file.exists()


@in_a_console
def test_ctrl_c_in_a_console(scene: Scene) -> None:
    """It ends the question; what `login start` began stays good."""
    with _console(scene, *START, "--port", str(scene.port)) as terminal:
        answer = _approved(terminal.read_until("login finish", 60))
        assert terminal.wait(60) == 0, terminal.text
    for typed, exit_code in (("\x03", 130), (f"{answer}\r", 0)):
        with _console(scene, *FINISH) as terminal:
            terminal.read_until("Paste", 60)
            terminal.send(typed)
            assert terminal.wait(60) == exit_code, terminal.text
            assert ("Interrupted." in terminal.text) is (exit_code == 130)
    assert scene.auth_file.exists()
