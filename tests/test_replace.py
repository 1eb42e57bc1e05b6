"""Replacing a file on real disks and mounts, and through every signal: old or new, never torn."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headless_login.codex.auth_file import Credentials
from headless_login.codex.files import replace_file, signals_held
from headless_login.codex.home import CodexHome
from headless_login.errors import LocalTrouble
from tests.support.machine import in_namespace, needs_root, python
from tests.support.program import COMMAND, environment
from tests.support.stored_files import store

OLD = b'{"auth_mode": "apikey", "OPENAI_API_KEY": "sk-old-and-precious"}'
PAGE = 4096

# Says in one line what the probe, the write (of so many bytes) and the removal come to.
ATTEMPT = """
import os, sys
from headless_login.codex.auth_file import AuthFile, Credentials
from headless_login.codex.home import CodexHome
from headless_login.codex.preflight import check_writable
from headless_login.errors import LocalTrouble

home, size = CodexHome(sys.argv[1]), int(sys.argv[2])
new = Credentials.api_key("k" * size)

def store():
    with AuthFile.locked(home) as auth_file:
        return auth_file.store(new)

def remove():
    with AuthFile.locked(home) as auth_file:
        return auth_file.remove()

def say(name, work):
    try:
        print(name, work())
    except LocalTrouble as trouble:
        print(name, trouble.message)

if len(sys.argv) > 4:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
for step in sys.argv[3].split(","):
    say(step, {"probe": lambda: check_writable(home), "store": store, "remove": remove}[step])
    print(sorted(os.listdir(home.path)))
    with open(home.auth_file, "rb") if os.access(home.auth_file, 4) else open(os.devnull) as file:
        content = file.read()
    print({new.content: "new", b"": "none"}.get(content, content))
"""


def _attempt(setup: str, folder: Path, size: int, *steps: str, extra: str = "") -> list[str]:
    """Return what the attempts said, after a shell script that prepares the folder `$1`."""
    script = f'{setup}\n{python(ATTEMPT)} "$1" {size} {",".join(steps)} {extra}'
    done = in_namespace(script, folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def _full_tmpfs(pages_left: int) -> str:
    """Mount 16 pages over the folder and put an old file there, with so many pages left."""
    return (
        'mount -t tmpfs -o size=64k tmpfs "$1"\n'
        f"printf %s '{OLD.decode()}' > \"$1/auth.json\"\n"
        f'head -c {(15 - pages_left) * PAGE} /dev/zero > "$1/filling"'
    )


def test_a_full_disk_shows_before_the_address(codex_home: Path) -> None:
    """The probe needs as much room as any auth.json, writes it, and leaves nothing behind."""
    said = _attempt(_full_tmpfs(2), codex_home, 100, "probe")
    assert said == [
        f"probe {codex_home}/auth.json cannot be written: the disk is full.",
        "['auth.json', 'filling']",
        str(OLD),
    ]


def test_a_disk_that_fills_up_meanwhile(codex_home: Path) -> None:
    """The write itself runs out of room half-way: the old file, and nothing of the new one."""
    said = _attempt(_full_tmpfs(1), codex_home, 3 * PAGE, "store")
    assert said == [
        f"store {codex_home}/auth.json cannot be written: the disk is full.",
        "['auth.json', 'auth.json.lock', 'auth.lock', 'filling']",
        str(OLD),
    ]


def test_a_disk_without_room_for_files(codex_home: Path) -> None:
    """Nothing can be made, not even a lock; but what is there can still be removed."""
    setup = (
        f'mount -t tmpfs -o nr_inodes=2 tmpfs "$1"\nprintf %s \'{OLD.decode()}\' > "$1/auth.json"'
    )
    said = _attempt(setup, codex_home, 100, "probe", "store", "remove")
    full = f"{codex_home}/auth.json cannot be written: the disk is full."
    unchanged = ["['auth.json']", str(OLD)]
    assert said[:6] == [f"probe {full}", *unchanged, f"store {full}", *unchanged]
    assert said[6] == "remove True"
    assert "auth.json" not in said[7].split("'")


MOUNTED = (
    'mkdir "$1/other"\n'
    f"printf %s '{OLD.decode()}' > \"$1/other/real\"\n"
    'touch "$1/auth.json"\nmount --bind "$1/other/real" "$1/auth.json"\n'
)
BESIDE = "['auth.json', 'auth.json.lock', 'auth.lock', 'other']"


@pytest.mark.parametrize("size", [10, 3 * PAGE], ids=["shorter", "longer"])
def test_a_mounted_file_is_written_in_place(size: int, codex_home: Path) -> None:
    """A single file that is mounted cannot be renamed over (EBUSY): its content is replaced."""
    said = _attempt(MOUNTED, codex_home, size, "probe", "store")
    assert said == ["probe None", "['auth.json', 'other']", str(OLD), "store True", BESIDE, "new"]
    real = codex_home / "other" / "real"
    assert real.read_bytes() == Credentials.api_key("k" * size).content
    assert real.stat().st_mode & 0o777 == 0o600


def test_a_mounted_file_is_emptied_by_signing_out(codex_home: Path) -> None:
    """It cannot be removed; what is left of it names no key and no token."""
    said = _attempt(MOUNTED, codex_home, 10, "remove")
    assert said[:2] == ["remove True", BESIDE]
    left = (codex_home / "other" / "real").read_text()
    assert left == '{\n  "auth_mode": "apikey",\n  "OPENAI_API_KEY": null\n}'


def test_a_read_only_mounted_file_is_found_by_the_probe(codex_home: Path) -> None:
    """The folder takes files and the rename is refused: both say that it is read-only."""
    setup = MOUNTED + 'mount -o remount,bind,ro "$1/auth.json"'
    said = _attempt(setup, codex_home, 10, "probe", "store", "remove")
    sentence = f"{codex_home}/auth.json cannot be written: the file system is read-only."
    assert said[0::3] == [f"probe {sentence}", f"store {sentence}", f"remove {sentence}"]
    assert said[2::3] == [str(OLD)] * 3
    assert said[4] == BESIDE


def test_a_read_only_folder(codex_home: Path) -> None:
    """Nothing can be locked there, and nobody else can hold a lock: one sentence, at once."""
    setup = (
        f"printf %s '{OLD.decode()}' > \"$1/auth.json\"\n"
        'mount --bind "$1" "$1"\nmount -o remount,bind,ro "$1"'
    )
    said = _attempt(setup, codex_home, 10, "probe", "store", "remove")
    sentence = f"{codex_home}/auth.json cannot be written: the file system is read-only."
    assert said[0::3] == [f"probe {sentence}", f"store {sentence}", f"remove {sentence}"]
    assert said[1::3] == ["['auth.json']"] * 3


def test_a_writable_file_in_a_read_only_folder(codex_home: Path) -> None:
    """As a container gets it: the folder from a read-only image, the file mounted into it."""
    setup = (
        'mount --bind "$1" "$1"\n' + MOUNTED + 'mount -o remount,bind,ro "$1"\n'
        'mount -o remount,bind,rw "$1/auth.json"'
    )
    said = _attempt(setup, codex_home, 10, "probe", "store")
    assert (said[0], said[3], said[5]) == ("probe None", "store True", "new")


def test_a_failure_in_place_puts_the_old_content_back(codex_home: Path) -> None:
    """The disk of a mounted file is full: what was overwritten is there again, to the byte."""
    setup = (
        'mkdir "$1/other"\nhome="$1"\nset -- "$1/other"\n'
        + _full_tmpfs(0)
        + '\nset -- "$home"\ntouch "$1/auth.json"\n'
        'mount --bind "$1/other/auth.json" "$1/auth.json"'
    )
    said = _attempt(setup, codex_home, 3 * PAGE, "store")
    assert said == [
        f"store {codex_home}/auth.json cannot be written: the disk is full.",
        BESIDE,
        str(OLD),
    ]


@needs_root
def test_a_mounted_file_of_another_user_is_found_by_the_probe(codex_home: Path) -> None:
    """It can be neither renamed over nor written: told before a code is spent, with its owner."""
    setup = (
        'mount -t tmpfs -o mode=755,uid=65534 tmpfs "$1"\n' + MOUNTED + 'chmod 600 "$1/auth.json"\n'
        'mount --bind "$1" /mnt\nset -- /mnt\nmount --bind /mnt/other/real /mnt/auth.json'
    )
    said = _attempt(setup, codex_home, 10, "probe", "store", extra="nobody")
    sentence = "/mnt/auth.json cannot be written: no permission: it belongs to root."
    assert said[0::3] == [f"probe {sentence}", f"store {sentence}"]


@needs_root
def test_an_immutable_file_is_found_by_the_probe(codex_home: Path) -> None:
    """What chattr +i protects even root cannot replace."""
    auth_file = codex_home / "auth.json"
    auth_file.write_bytes(OLD)
    if subprocess.run(["chattr", "+i", auth_file], capture_output=True, check=False).returncode:
        pytest.skip("this file system has no immutable files")
    try:
        said = _attempt(":", codex_home, 10, "probe", "store")
        assert [line.partition(": ")[2][:13] for line in said[0::3]] == ["no permission"] * 2
        assert said[2::3] == [str(OLD)] * 2
    finally:
        subprocess.run(["chattr", "-i", auth_file], check=True)


def test_the_command_says_it_in_one_sentence(codex_home: Path) -> None:
    """From outside: exit 6, no traceback, the key nowhere, the old file as it was."""
    script = f'{_full_tmpfs(0)}\necho sk-MARKED-0123456789abcdef | "$2" login --with-api-key'
    script += ' || echo "exit $?"; cat "$1/auth.json"; ls -A "$1"'
    done = in_namespace(script, codex_home, COMMAND, environ=environment(codex_home, None))
    assert done.stderr == (
        f"Error: {codex_home}/auth.json cannot be written: the disk is full.\n"
        "Make room, or name another folder with --codex-home.\n"
    )
    left = f"exit 6\n{OLD.decode()}auth.json\nauth.json.lock\nauth.lock\nfilling\n"
    assert done.stdout == left


def test_a_limit_on_file_sizes(codex_home: Path) -> None:
    """RLIMIT_FSIZE stops the write half-way: the old file, and no half of a new one."""
    home = CodexHome(str(codex_home))
    Path(home.auth_file).write_bytes(OLD)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(LocalTrouble, match="File too large"):
            store(home, Credentials.api_key("k" * 3000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert Path(home.auth_file).read_bytes() == OLD
    assert set(os.listdir(codex_home)) == {"auth.json", "auth.json.lock", "auth.lock"}


# Signals.

# Stores two sign-ins in turn until it is stopped, with a thread that signals can go to.
LOOP = """
import signal, sys, threading
from headless_login.codex.auth_file import AuthFile, Credentials
from headless_login.codex.home import CodexHome
from headless_login.errors import Terminated

def terminate(*_):
    raise Terminated

signal.signal(signal.SIGTERM, terminate)
threading.Thread(target=threading.Event().wait, daemon=True).start()
home = CodexHome(sys.argv[1])
two = [Credentials.api_key(letter * 9000) for letter in "ab"]

def store(one):
    with AuthFile.locked(home) as auth_file:
        auth_file.store(one)

store(two[0])
print("ready", flush=True)
while True:
    for one in two:
        store(one)
"""
EITHER = {Credentials.api_key(letter * 9000).content for letter in "ab"}
STOPS = [signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", STOPS, ids=lambda number: signal.Signals(number).name)
def test_a_signal_at_any_moment_tears_nothing(number: signal.Signals, codex_home: Path) -> None:
    """A reader finds one of two whole files at any time; only SIGKILL can leave a temporary one."""
    dice = random.Random(number)  # noqa: S311
    auth_file = codex_home / "auth.json"
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", LOOP, str(codex_home)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as writer:
            assert writer.stdout
            assert writer.stdout.readline() == b"ready\n"
            until = time.monotonic() + dice.uniform(0, 0.04)
            while time.monotonic() < until:
                assert auth_file.read_bytes() in EITHER
            writer.send_signal(number)
            writer.wait(10)
        assert auth_file.read_bytes() in EITHER
        left = [name for name in os.listdir(codex_home) if name.startswith(".auth-")]
        assert not left or number == signal.SIGKILL


def test_a_signal_tears_no_mounted_file(codex_home: Path, tmp_path: Path) -> None:
    """Even where a file is written in place, a signal waits until it is whole."""
    copies = tmp_path / "copies"
    copies.mkdir()
    script = MOUNTED + (
        f'for i in 1 2 3 4 5 6; do\n{python(LOOP)} "$1" > "$1/said" 2>/dev/null & writer=$!\n'
        'until [ -s "$1/said" ]; do sleep 0.01; done\nsleep 0.00$i\n'
        'kill -TERM $writer; wait $writer || :\ncp "$1/auth.json" "$2/$i"; rm "$1/said"\ndone'
    )
    done = in_namespace(script, codex_home, copies)
    assert done.returncode == 0, done.stderr
    assert len(list(copies.iterdir())) == 6
    assert {path.read_bytes() for path in copies.iterdir()} <= EITHER


@pytest.fixture
def idle_thread() -> Iterator[None]:
    """A thread that the kernel can deliver a signal to while another one blocks it."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    yield
    done.set()
    thread.join()


@pytest.mark.usefixtures("idle_thread")
def test_signals_wait_for_the_end_of_a_write() -> None:
    """Ctrl-C is not raised before the file is whole, even where other threads could take it."""
    steps = []
    with pytest.raises(KeyboardInterrupt), signals_held():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.02)
        steps.append("written")
    assert steps == ["written"]


@pytest.mark.usefixtures("idle_thread")
def test_a_failed_write_lets_signals_through() -> None:
    """After an error the signal counts all the same, and the handlers are the old ones."""
    before = [signal.getsignal(number) for number in STOPS]
    with pytest.raises(KeyboardInterrupt), signals_held():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        raise OSError
    assert [signal.getsignal(number) for number in STOPS] == before


def test_ignored_signals_stay_ignored() -> None:
    """Under nohup a lost connection is nothing, during a write as well."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_held():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_write_as_well(tmp_path: Path) -> None:
    """Handlers belong to the main thread: elsewhere nothing is held, and nothing fails."""
    path = tmp_path / "auth.json"
    thread = threading.Thread(target=replace_file, args=(str(path), b"{}"))
    thread.start()
    thread.join()
    assert path.read_bytes() == b"{}"
