"""Machines of all kinds: other users, other umasks, full disks, mounted files."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import tomllib  # noqa: F401
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO

import pytest

# Another user cannot read every folder that holds modules: what they need is loaded before.
import headless_login.codex.preflight
import headless_login.commands.status  # noqa: F401
from headless_login.codex.files import try_lock

if sys.platform != "win32":
    import pwd  # noqa: F401
    import resource

NOBODY = 65534
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
# Windows has neither, and knows but one way to end another process.
SIGHUP, SIGKILL = (getattr(signal, name, signal.SIGTERM) for name in ("SIGHUP", "SIGKILL"))
KILLED_BY = 9 if sys.platform == "win32" else -9  # the exit code of a process that kills itself
posix_modes = pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
posix_shell = pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX")
posix_signals = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
posix_paths = pytest.mark.skipif(sys.platform == "win32", reason="paths of POSIX")
needs_proc = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux has /proc, where programs are seen"
)
needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root can play another user")


def has_mode(path: Path | str, mode: int) -> bool:
    """Return whether a file, or what a link leads to, has these permissions; Windows knows none."""
    return sys.platform == "win32" or stat.S_IMODE(os.stat(path).st_mode) == mode


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let every write beyond so many bytes fail, wherever the file lies (RLIMIT_FSIZE)."""
    if sys.platform == "win32":
        pytest.skip("there is no limit of a file's size here")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def hold(path: Path) -> IO[bytes]:
    """Hold a lock as another program, until the file is closed."""
    file = open(path, "ab")  # noqa: SIM115
    while not try_lock(file.fileno()):
        time.sleep(0.01)
    return file


def is_held(path: Path) -> bool:
    with suppress(FileNotFoundError), open(path, "rb") as file:
        return not try_lock(file.fileno())
    return False


@contextmanager
def public_folder(owner: int | None = None) -> Iterator[Path]:
    """A folder that every user can enter, unlike pytest's; it belongs to `owner`, else to us."""
    if sys.platform == "win32":
        pytest.skip("no other user can be played here")
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        folder.chmod(0o755)
        if owner is not None and IS_ROOT:
            os.chown(folder, owner, owner)
        yield folder
    finally:
        shutil.rmtree(folder)


def as_user(uid: int, work: Callable[[], object]) -> str:
    """Return what `work` returns or raises, as text, when a user without privileges does it."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if IS_ROOT:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            said = str(work())
        except BaseException as error:  # noqa: BLE001
            said = f"{type(error).__name__}: {error}"
        os.write(into, said.encode(errors="replace")[:60000])
        os._exit(0)
    os.close(into)
    with open(out, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    return said


def within(seconds: float, work: Callable[[], object]) -> object:
    """Return what `work` returns; a call that hangs fails the test instead of stopping it."""
    outcome: Future[object] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome.result(seconds)


def in_namespace(
    script: str, *arguments: object, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a shell script (`$1`… are the arguments) whose mounts no other program sees."""
    if not _namespaces_work():
        pytest.skip("no private mounts here: `unshare -m` and mounting are not permitted")
    return subprocess.run(
        [*_UNSHARE, "sh", "-euc", script, "sh", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=dict(environ) if environ is not None else None,
        timeout=30,
        check=False,
    )


def python(source: str) -> str:
    """Return Python source as a command of a shell script, its own arguments to follow."""
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(source)}"


_UNSHARE = ["unshare", "-m"] if IS_ROOT else ["unshare", "-rm"]


@cache
def _namespaces_work() -> bool:
    try:
        probe = [*_UNSHARE, "mount", "-t", "tmpfs", "tmpfs", tempfile.gettempdir()]
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@contextmanager
def cgroups_swept(name: str) -> Iterator[None]:
    """Remove the control groups of this name, and those in them, at the end (Linux)."""
    try:
        yield
    finally:
        for depth in ("", "*/", "*/*/"):
            for path in Path("/sys/fs/cgroup").glob(f"{depth}{name}"):
                for group in sorted([path, *path.rglob("*/")], reverse=True):
                    with suppress(OSError):
                        group.rmdir()


def require_root(*programs: str) -> None:
    """Skip the test where we are not root on Linux, or where one of these programs is missing."""
    if not sys.platform.startswith("linux") or not IS_ROOT:
        pytest.skip("only root on Linux can have mounts, namespaces and control groups of its own")
    if missing := [name for name in programs if shutil.which(name) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
