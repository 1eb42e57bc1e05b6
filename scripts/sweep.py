"""Kill each command that writes at every state-changing system call, and let each such call fail.

    scripts/sweep            all commands, folders, calls and errors
    scripts/sweep --short    some of them, for CI

After every run auth.json is what it was or what was to be written, whole, wherever it lies; and
after the next command no file but auth.json holds a secret. Needs Linux, strace and root.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

COMMAND = str(Path(sys.executable).with_name("headless-login"))
CALLS = (
    "write,pwrite64,rename,renameat,renameat2,unlink,unlinkat,fsync,fdatasync,ftruncate,"
    "mkdir,mkdirat,chmod,fchmod,fchmodat,chown,fchown,fchownat,link,linkat,symlinkat,flock"
)
ERRORS = ("EIO", "ENOSPC", "EACCES", "EROFS", "ENOSYS", "EINVAL", "EINTR")
OLD_KEY, NEW_KEY, NEXT_KEY = (
    f"sk-proj-{name}-0123456789abcdefghij" for name in ("OLD", "NEW", "NEXT")
)
KINDS = ("fresh", "existing", "linked", "mounted")
SHORT_KINDS = ("existing", "mounted")
# A file system that cannot do these has not failed.
NO_FAILURES = ("fsync:error=EINVAL", "fsync:error=ENOSYS", "fchmod:error=ENOSYS")


class Action(NamedTuple):
    """One command: its words, and what auth.json may hold afterwards (None: nothing)."""

    name: str
    words: tuple[str, ...]
    results: tuple[str | None, ...]


STORE = Action("login --with-api-key", ("login", "--with-api-key"), (OLD_KEY, NEW_KEY))
ACTIONS = (STORE, Action("logout", ("logout",), (OLD_KEY, None)))


def document(key: str) -> bytes:
    """Return an auth.json with a key, as Codex writes it."""
    return json.dumps({"auth_mode": "apikey", "OPENAI_API_KEY": key}, indent=2).encode()


class Folder:
    """A Codex folder of one kind, made anew for each run."""

    def __init__(self, place: Path, kind: str) -> None:
        """`place` is an empty folder to make it in."""
        self.kind = kind
        self.home = place / "home"
        self.home.mkdir(mode=0o700)
        self.auth_file = self.home / "auth.json"
        self.real_file = self.auth_file
        if kind == "linked":
            (place / "elsewhere").mkdir(mode=0o700)
            self.real_file = place / "elsewhere" / "creds.json"
            self.auth_file.symlink_to(self.real_file)
        if kind != "fresh":
            self.real_file.write_bytes(document(OLD_KEY))
            self.real_file.chmod(0o600)

    def run(self, words: tuple[str, ...], key: str, inject: str = "") -> tuple[int, str]:
        """Run a command, perhaps with something injected; returns its exit code and its calls."""
        log = self.home.parent.with_suffix(".strace")
        trace = ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={CALLS}"]
        trace += ["-e", f"inject={inject}"] if inject else []
        command = [*trace, COMMAND, *words]
        if self.kind == "mounted":
            bind = 'mount --bind "$0" "$0"; exec "$@"'
            command = ["unshare", "-m", "sh", "-ec", bind, str(self.auth_file), *command]
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.home), "CODEX_HOME": str(self.home)}
        done = subprocess.run(
            command, input=key, env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert "defect" not in done.stderr, (self.kind, words, inject, done.stderr)
        assert "Traceback" not in done.stderr, (self.kind, words, inject, done.stderr)
        said = log.read_text()
        log.unlink()
        return done.returncode, said

    def key(self) -> str | None:
        """Return the key that auth.json holds, whole; None if it holds none."""
        if not self.real_file.exists():
            return None
        found: str | None = json.loads(self.real_file.read_bytes())["OPENAI_API_KEY"]
        return found

    def others_with(self, secret: str) -> list[str]:
        """Return the files beside auth.json that hold a secret."""
        files = [path for path in self.home.parent.rglob("*") if path.is_file()]
        others = {path.resolve() for path in files} - {self.real_file.resolve()}
        return [str(path) for path in others if secret.encode() in path.read_bytes()]


def injections(log: str, *, short: bool) -> Iterator[str]:
    """Yield what to inject: a kill before each call of a run, and each error in its place."""
    counts = Counter(re.findall(r"(?m)^\d+ +(\w+)\(", log))
    for call, count in counts.items():
        for number in range(1, count + 1):
            yield f"{call}:signal=KILL:when={number}"
            for error in ERRORS[: 1 if short else None]:
                yield f"{call}:error={error}:when={number}"


def check(action: Action, kind: str, inject: str) -> list[str]:
    """Run one case in a folder of its own; returns what is wrong afterwards."""
    place = Path(tempfile.mkdtemp(prefix="sweep-", dir="/var/tmp"))
    wrong = []
    try:
        folder = Folder(place, kind)
        exit_code, _ = folder.run(action.words, NEW_KEY, inject)
        allowed = {*action.results} - ({OLD_KEY} if kind == "fresh" else set())
        allowed |= {None} if kind == "fresh" else set()
        try:
            key = folder.key()
            if key not in allowed:
                wrong.append(f"auth.json holds {key}")
            if exit_code == 0 and key != action.results[-1]:
                wrong.append("exit code 0, and nothing was done")
            if exit_code != 0 and inject.startswith(NO_FAILURES):
                wrong.append(f"exit code {exit_code} for what is no failure")
        except ValueError:
            wrong.append("auth.json is torn")
        code, _ = folder.run(STORE.words, NEXT_KEY)
        if code != 0 or folder.key() != NEXT_KEY:
            wrong.append(f"the next command does not store (exit code {code})")
        for secret in (OLD_KEY, NEW_KEY):
            wrong += [f"{name} holds a secret" for name in folder.others_with(secret)]
    finally:
        shutil.rmtree(place)
    return [f"{action.name}, {kind}, {inject}: {text}" for text in wrong]


def main() -> int:
    """Go through all cases; exit code 1 if anything is wrong after one."""
    short = "--short" in sys.argv[1:]
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or not shutil.which("strace"):
        print("Not run: this needs Linux, root and strace.", file=sys.stderr)
        return 0
    failures: list[str] = []
    print("| command | auth.json | cases | failures |\n|---|---|---|---|")
    for action in ACTIONS:
        for kind in SHORT_KINDS if short else KINDS:
            place = Path(tempfile.mkdtemp(prefix="sweep-", dir="/var/tmp"))
            exit_code, log = Folder(place, kind).run(action.words, NEW_KEY)
            shutil.rmtree(place)
            assert exit_code == 0, (action.name, kind)
            cases = [*injections(log, short=short)]
            found = [text for inject in cases for text in check(action, kind, inject)]
            failures += found
            print(f"| {action.name} | {kind} | {len(cases)} | {len(found)} |", flush=True)
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
