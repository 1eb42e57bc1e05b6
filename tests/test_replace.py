"""Replacing a file on real disks and mounts, and through every signal: old or new, never torn."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from headless_login.codex.auth_file import Credentials
from headless_login.codex.replace import replace_file, signals_held
from tests.support.machine import in_namespace, python
from tests.support.program import COMMAND, environment
from tests.support.stored_files import LOCKS, OLD

PAGE = 4096

# Prints a line for each step: what it comes to, what auth.json holds then, and any file that was
# not there before. Only a probe must not even make the locks.
STEPS = (
    f"OLD, LOCKS = {OLD!r}, {LOCKS!r}"
    + """
import os, sys
from headless_login.codex.auth_file import AuthFile, Credentials
from headless_login.codex.home import CodexHome
from headless_login.codex.preflight import check_writable
from headless_login.errors import LocalTrouble

home, size = CodexHome(sys.argv[1]), int(sys.argv[2])
new = Credentials.api_key("k" * size)
before = {*os.listdir(home.path)}
if sys.argv[4] == "nobody":
    os.setgroups([]); os.setgid(65534); os.setuid(65534)

def attempt(step):
    try:
        if step == "probe":
            return check_writable(home)
        with AuthFile.locked(home) as auth_file:
            return auth_file.store(new) if step == "store" else auth_file.remove()
    except LocalTrouble as trouble:
        return trouble.message.removeprefix(f"{home.auth_file} cannot be written: ")

def held():
    if not os.access(home.auth_file, os.R_OK):
        return "hidden" if os.path.exists(home.auth_file) else "gone"
    with open(home.auth_file, "rb") as file:
        content, mode = file.read(), os.fstat(file.fileno()).st_mode & 0o777
    return {new.content: f"new {mode:o}", OLD: "old"}.get(content, repr(content.decode()))

for step in sys.argv[3].split():
    said = attempt(step)
    made = {*os.listdir(home.path)} - before - (set() if step == "probe" else LOCKS)
    print(step, said, held(), *made, sep=", ")
"""
)

PUT_OLD = f"printf %s '{OLD.decode()}' >"
# A single file that is mounted cannot be renamed over (EBUSY).
MOUNTED = f"""
mkdir "$1/other"; {PUT_OLD} "$1/other/real"
touch "$1/auth.json"; mount --bind "$1/other/real" "$1/auth.json"
"""


def _full(pages_left: int) -> str:
    """Mount 16 pages over the folder and put an old file there, with so many pages left."""
    return f"""
mount -t tmpfs -o size=64k tmpfs "$1"; {PUT_OLD} "$1/auth.json"
head -c {(15 - pages_left) * PAGE} /dev/zero > "$1/filling"
"""


FULL = "the disk is full., old"
READ_ONLY = [f"{step}, the file system is read-only., old" for step in ("probe", "store", "remove")]
NOT_OURS = "no permission: it belongs to root."
SIGNED_OUT = '{\n  "auth_mode": "apikey",\n  "OPENAI_API_KEY": null\n}'
IN_PLACE = ["probe, None, old", "store, True, new 600"]

# What a shell script makes of the folder `$1` (`size`: of the new file, `user`: who does it), and
# what each step says then. A machine that cannot be set up so is left with 77.
DISKS: dict[str, tuple[str, list[str]]] = {
    # The probe needs as much room as any auth.json, and leaves none of it behind.
    "full": (_full(2), [f"probe, {FULL}"]),
    # The write itself runs out of room half-way.
    "full meanwhile": (f"{_full(1)} size={3 * PAGE}", [f"store, {FULL}"]),
    # Not even a lock can be made; but what is there can still be removed.
    "no room for files": (
        f'mount -t tmpfs -o nr_inodes=2 tmpfs "$1"; {PUT_OLD} "$1/auth.json"',
        [f"probe, {FULL}", f"store, {FULL}", "remove, True, gone"],
    ),
    "mounted, new one shorter": (MOUNTED, IN_PLACE),
    "mounted, new one longer": (f"{MOUNTED} size={3 * PAGE}", IN_PLACE),
    # It is emptied: what is left names no key and no token.
    "mounted, removed": (MOUNTED, [f"remove, True, {SIGNED_OUT!r}"]),
    # The folder takes files, and only the rename is refused.
    "mounted read-only": (f'{MOUNTED} mount -o remount,bind,ro "$1/auth.json"', READ_ONLY),
    # Nothing can be locked there, and no other program can hold a lock.
    "a read-only folder": (
        f'{PUT_OLD} "$1/auth.json"; mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"',
        READ_ONLY,
    ),
    # As a container gets it: the folder from a read-only image, the file mounted into it.
    "writable in a read-only folder": (
        f'mount --bind "$1" "$1"; {MOUNTED} mount -o remount,bind,ro "$1"\n'
        'mount -o remount,bind,rw "$1/auth.json"',
        IN_PLACE,
    ),
    # What was overwritten in place is there again, to the byte.
    "mounted from a full disk": (
        f'home="$1"; mkdir "$1/other"; set -- "$1/other"; {_full(0)} set -- "$home"\n'
        'touch "$1/auth.json"; mount --bind "$1/other/auth.json" "$1/auth.json"\n'
        f"size={3 * PAGE}",
        [f"store, {FULL}"],
    ),
    # What chattr protects even root cannot replace.
    "immutable": (
        f'{PUT_OLD} "$1/auth.json"; chattr +i "$1/auth.json" || exit 77\n'
        "trap 'chattr -i \"$1/auth.json\"' EXIT",
        [f"probe, {NOT_OURS}, old", f"store, {NOT_OURS}, old"],
    ),
    # It can be neither renamed over nor written.
    "mounted, of another user": (
        f'mount -t tmpfs -o mode=755,uid=65534 tmpfs "$1" || exit 77; {MOUNTED} user=nobody\n'
        'chmod 600 "$1/auth.json"; mount --bind "$1" /mnt; set -- /mnt\n'
        "mount --bind /mnt/other/real /mnt/auth.json",
        [f"probe, {NOT_OURS}, hidden", f"store, {NOT_OURS}, hidden"],
    ),
}


@pytest.mark.parametrize("case", DISKS)
def test_a_disk(case: str, codex_home: Path) -> None:
    """Old or new, told in one sentence, and foreseen by the probe; no other file is left."""
    setup, said = DISKS[case]
    steps = " ".join(line.partition(",")[0] for line in said)
    script = f'{setup}\n{python(STEPS)} "$1" ${{size:-10}} "{steps}" ${{user:-root}}'
    done = in_namespace(script, codex_home)
    if done.returncode == 77:
        pytest.skip("that cannot be set up here")
    assert done.stdout.splitlines() == said, done.stderr


def test_the_command_says_it_in_one_sentence(codex_home: Path) -> None:
    """From outside: exit 6, no traceback, the key nowhere, the old file as it was."""
    script = f'{_full(0)}\necho sk-MARKED-0123456789abcdef | "$2" login --with-api-key'
    script += ' || echo "exit $?"; cat "$1/auth.json"; ls -A "$1"'
    done = in_namespace(script, codex_home, COMMAND, environ=environment(codex_home, None))
    assert done.stderr == (
        f"Error: {codex_home}/auth.json cannot be written: the disk is full.\n"
        "Make room, or name another folder with --codex-home.\n"
    )
    left = f"exit 6\n{OLD.decode()}auth.json\nfilling\n"
    assert done.stdout == left


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
HELD = [getattr(signal, name) for name in ("SIGINT", "SIGHUP", "SIGTERM") if hasattr(signal, name)]
# Whatever is sent to another program on Windows, it is a kill.
KILL = signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL
STOPS = [KILL] if sys.platform == "win32" else [KILL, *HELD]


def _content(path: Path) -> bytes:
    """Return what a reader finds, whom Windows may keep out while the file changes."""
    while True:
        with suppress(*([PermissionError] if sys.platform == "win32" else [])):
            return path.read_bytes()


@pytest.mark.parametrize("number", STOPS, ids=lambda number: signal.Signals(number).name)
def test_a_signal_at_any_moment_tears_nothing(number: signal.Signals, codex_home: Path) -> None:
    """A reader finds one of two whole files at any time; only SIGKILL can leave a temporary one."""
    dice = random.Random(number)  # noqa: S311
    auth_file = codex_home / "auth.json"
    for _ in range(6):
        command, null = [sys.executable, "-c", LOOP, str(codex_home)], subprocess.DEVNULL
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=null) as writer:
            assert writer.stdout
            assert writer.stdout.readline().strip() == b"ready"
            for _ in range(dice.randrange(100 if sys.platform == "win32" else 2000)):
                assert _content(auth_file) in EITHER
            writer.send_signal(number)
            writer.wait(10)
        assert auth_file.read_bytes() in EITHER
        left = [name for name in os.listdir(codex_home) if name.startswith(".auth-")]
        assert not left or number == KILL


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


def _interrupt() -> None:
    """Send Ctrl-C to this process, and return when one of its threads has taken it."""
    if sys.platform == "win32":  # it knows no signals from outside
        signal.raise_signal(signal.SIGINT)
        return
    arrived, into = os.pipe()
    os.set_blocking(into, False)
    before = signal.set_wakeup_fd(into)
    try:
        os.kill(os.getpid(), signal.SIGINT)
        assert os.read(arrived, 1) == bytes([signal.SIGINT])
    finally:
        signal.set_wakeup_fd(before)
        os.close(arrived)
        os.close(into)


@pytest.mark.usefixtures("idle_thread")
@pytest.mark.parametrize("fails", [False, True], ids=["written", "failed"])
def test_signals_wait_for_the_end_of_a_write(fails: bool) -> None:
    """Ctrl-C is raised when it is over, whatever thread takes it; the handlers are back then."""
    before = [signal.getsignal(number) for number in HELD]
    steps = []
    with pytest.raises(KeyboardInterrupt), signals_held():  # noqa: PT012
        _interrupt()
        steps.append("held")
        if fails:
            raise OSError
    assert steps == ["held"]
    assert [signal.getsignal(number) for number in HELD] == before


def test_ignored_signals_stay_ignored() -> None:
    """Under nohup a lost connection is nothing, during a write as well."""
    for number in HELD:
        before = signal.signal(number, signal.SIG_IGN)
        try:
            with signals_held():
                signal.raise_signal(number)
            assert signal.getsignal(number) == signal.SIG_IGN
        finally:
            signal.signal(number, before)


def test_other_threads_write_as_well(tmp_path: Path) -> None:
    """Handlers belong to the main thread: elsewhere nothing is held, and nothing fails."""
    path = tmp_path / "auth.json"
    thread = threading.Thread(target=replace_file, args=(str(path), b"{}"))
    thread.start()
    thread.join()
    assert path.read_bytes() == b"{}"
