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

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from headless_login.practice.issuer import PracticeIssuer  # noqa: E402
from headless_login.practice.person import approve  # noqa: E402

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


TOKENS = "tokens"
STORE = Action("login --with-api-key", ("login", "--with-api-key"), (OLD_KEY, NEW_KEY))
LOGOUT = Action("logout", ("logout",), (OLD_KEY, None))
FINISH = Action("login finish -", ("login", "finish", "-"), (OLD_KEY, TOKENS))
ACTIONS = (STORE, LOGOUT, FINISH)
REFRESH_TOKEN = "rt_"  # noqa: S105  # as each of them begins


def document(key: str) -> bytes:
    """Return an auth.json with a key, as Codex writes it."""
    return json.dumps({"auth_mode": "apikey", "OPENAI_API_KEY": key}, indent=2).encode()


class Folder:
    """A Codex folder of one kind, made anew for each run."""

    def __init__(self, place: Path, kind: str, issuer: PracticeIssuer) -> None:
        """`place` is an empty folder to make it in."""
        self.issuer = issuer
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

    @property
    def environ(self) -> dict[str, str]:
        """The environment of every command."""
        home = {"HOME": str(self.home), "CODEX_HOME": str(self.home)}
        return {"PATH": os.environ["PATH"], "HEADLESS_LOGIN_ISSUER": self.issuer.issuer, **home}

    def input_of(self, action: Action) -> str:
        """Return what a command reads: a key, or the answer to a sign-in that was just begun."""
        if action is not FINISH:
            return NEW_KEY
        start = [COMMAND, "login", "start"]
        begun = subprocess.run(start, env=self.environ, capture_output=True, text=True, check=True)
        return approve(begun.stdout.splitlines()[0])

    def run(self, words: tuple[str, ...], given: str, inject: str = "") -> tuple[int, str, str]:
        """Run a command, perhaps with something injected.

        Returns its exit code, its system calls and what it said.
        """
        log = self.home.parent.with_suffix(".strace")
        trace = ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={CALLS}"]
        trace += ["-e", f"inject={inject}"] if inject else []
        command = [*trace, COMMAND, *words]
        if self.kind == "mounted":
            bind = 'mount --bind "$0" "$0"; exec "$@"'
            command = ["unshare", "-m", "sh", "-ec", bind, str(self.auth_file), *command]
        done = subprocess.run(
            command,
            input=given,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "defect" not in done.stderr, (self.kind, words, inject, done.stderr)
        assert "Traceback" not in done.stderr, (self.kind, words, inject, done.stderr)
        calls = log.read_text()
        log.unlink()
        return done.returncode, calls, done.stderr

    def key(self) -> str | None:
        """Return the key that auth.json holds, or that it holds tokens; None if neither.

        Raises ValueError if it is torn.
        """
        if not self.real_file.exists():
            return None
        document = json.loads(self.real_file.read_bytes())
        if "tokens" in document:
            return TOKENS
        found: str | None = document["OPENAI_API_KEY"]
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


def check(action: Action, kind: str, inject: str, issuer: PracticeIssuer) -> list[str]:
    """Run one case in a folder of its own; returns what is wrong afterwards."""
    place = Path(tempfile.mkdtemp(prefix="sweep-", dir="/var/tmp"))
    try:
        folder = Folder(place, kind, issuer)
        given, granted = folder.input_of(action), len(issuer.requests)
        exit_code, _, said = folder.run(action.words, given, inject)
        wrong = _wrong_file(action, folder, exit_code, inject)
        exchanged = "/oauth/token" in {each.path for each in issuer.requests[granted:]}
        if action is FINISH and exchanged and "error" in inject and exit_code != 0:
            wrong += _lost_tokens(said)
        code, *_ = folder.run(STORE.words, NEXT_KEY)
        if code != 0 or folder.key() != NEXT_KEY:
            wrong.append(f"the next command does not store (exit code {code})")
        for secret in (OLD_KEY, NEW_KEY, REFRESH_TOKEN):
            wrong += [f"{name} holds a secret" for name in folder.others_with(secret)]
    finally:
        shutil.rmtree(place)
    return [f"{action.name}, {kind}, {inject}: {text}" for text in wrong]


def _wrong_file(action: Action, folder: Folder, exit_code: int, inject: str) -> list[str]:
    """Return what is wrong with auth.json after a run."""
    allowed = {*action.results}
    if folder.kind == "fresh":
        allowed = {None, action.results[-1]}
    try:
        key = folder.key()
    except ValueError:
        return ["auth.json is torn"]
    wrong = [] if key in allowed else [f"auth.json holds {key}"]
    if exit_code == 0 and key != action.results[-1]:
        wrong.append("exit code 0, and nothing was done")
    if exit_code != 0 and inject.startswith(NO_FAILURES):
        wrong.append(f"exit code {exit_code} for what is no failure")
    return wrong


def _lost_tokens(said: str) -> list[str]:
    """Return whether tokens that the issuer gave are neither stored nor set aside; tidies up."""
    found = re.search(r"safe in (\S+/auth\.json)", said.replace("\n", " "))
    if found is None or REFRESH_TOKEN not in Path(found[1]).read_text():
        return [f"the tokens are lost: {said}"]
    shutil.rmtree(Path(found[1]).parent)
    return []


def main() -> int:
    """Go through all cases; exit code 1 if anything is wrong after one."""
    short = "--short" in sys.argv[1:]
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or not shutil.which("strace"):
        print("Not run: this needs Linux, root and strace.", file=sys.stderr)
        return 0
    with PracticeIssuer() as issuer:
        failures = sweep(issuer, short=short)
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


def sweep(issuer: PracticeIssuer, *, short: bool) -> list[str]:
    """Go through all cases, print a table of them, and return what is wrong."""
    failures: list[str] = []
    print("| command | auth.json | cases | failures |\n|---|---|---|---|")
    for action in ACTIONS:
        for kind in SHORT_KINDS if short else KINDS:
            place = Path(tempfile.mkdtemp(prefix="sweep-", dir="/var/tmp"))
            folder = Folder(place, kind, issuer)
            exit_code, log, _ = folder.run(action.words, folder.input_of(action))
            shutil.rmtree(place)
            assert exit_code == 0, (action.name, kind)
            cases = [*injections(log, short=short)]
            found = [text for inject in cases for text in check(action, kind, inject, issuer)]
            failures += found
            print(f"| {action.name} | {kind} | {len(cases)} | {len(found)} |", flush=True)
    return failures


if __name__ == "__main__":
    sys.exit(main())
