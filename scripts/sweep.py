"""Kill each command that writes at every state-changing system call, and let each such call fail.

    scripts/sweep            all commands, folders, calls and errors
    scripts/sweep --short    some of them, for CI
    scripts/sweep WORD…      only the commands with one of these words

After every run auth.json is what it was or what was to be written, whole, wherever it lies, and so
is each pending sign-in; tokens that the issuer gave are stored or set aside; no sign-in is lost;
and after the next command each lies in one place, present or kept, and no other file holds
anything. A refresh leaves the refresh token that is alive at the issuer, unless it is killed
between the network and its first write. Needs Linux, strace and root.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from http.client import HTTPException
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple
from urllib.request import urlopen

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from headless_login import CodexFolder, Credentials, begin, complete  # noqa: E402
from headless_login.codex.home import FAILURE, JOURNAL, CodexHome  # noqa: E402
from headless_login.codex.pending.record import Damaged, read_record  # noqa: E402
from headless_login.oauth.provider import Provider  # noqa: E402
from headless_login.practice.issuer import PERSONAL_ACCESS_TOKEN, PracticeIssuer  # noqa: E402
from headless_login.practice.person import approve, approve_device  # noqa: E402
from headless_login.practice.wire import Answer, Parameters, json_answer  # noqa: E402

COMMAND = str(Path(sys.executable).with_name("headless-login"))
CALLS = (
    "write,pwrite64,rename,renameat,renameat2,unlink,unlinkat,fsync,fdatasync,ftruncate,"
    "mkdir,mkdirat,chmod,fchmod,fchmodat,chown,fchown,fchownat,link,linkat,symlinkat,flock"
)
MAKING = ("O_CREAT", "O_TMPFILE")  # an openat with one of these changes something, too
CALL = re.compile(r"(?m)^(\d+) +(\w+)\((?:\d+<([^>]*)>)?(.*)")  # a line of strace -f -y
PLACE = "/sweep"  # what the folder of a run is called in it
ERRORS = ("EIO", "ENOSPC", "EACCES", "EROFS", "ENOSYS", "EINVAL", "EINTR")
# A file system that cannot do these has not failed.
NO_FAILURES = ("fsync:error=EINVAL", "fsync:error=ENOSYS", "fchmod:error=ENOSYS")
KINDS = ("fresh", "existing", "linked", "mounted")
SHORT_KINDS = ("existing", "mounted")
# What a folder says that takes no files: then a new sign-in keeps none, and says so.
TAKES_NONE = ("error=EACCES", "error=EROFS")

OLD_KEY, NEW_KEY, NEXT_KEY = (
    f"sk-proj-{name}-0123456789abcdefghij" for name in ("OLD", "NEW", "NEXT")
)
TOKENS, AS_BEFORE = "tokens", "as before"
PASTED, VISITED = "pasted", "visited"  # what is done with the address of the last page
REFRESH_TOKEN = "rt_"  # noqa: S105  # as each of them begins


TWO_KEYS = (NEW_KEY, OLD_KEY)


class Action(NamedTuple):
    """One command: what it makes of auth.json (None: no file, or one without a credential).

    `given` is what it reads, or how the sign-in is answered whose address it prints, or `begun`
    has printed, the command that comes before it. `there` are the sign-ins that are there besides,
    the last one present.
    """

    words: str
    makes: str | None
    given: str = ""
    begun: str = ""
    there: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"{self.words}{', another one kept' if self.there == TWO_KEYS else ''}"


ACTIONS = (
    Action("login --with-api-key", NEW_KEY, NEW_KEY),
    Action("login --with-access-token", PERSONAL_ACCESS_TOKEN, PERSONAL_ACCESS_TOKEN),
    Action("logout", None, begun="login start"),
    Action("logout", None, there=TWO_KEYS),
    Action("accounts use -", NEW_KEY, there=TWO_KEYS),
    Action("token --refresh", AS_BEFORE, there=(TOKENS,)),
    Action("login start", AS_BEFORE),
    Action("login start --device-auth", AS_BEFORE),
    Action("login finish -", TOKENS, PASTED, begun="login start"),
    Action("login finish --no-wait", TOKENS, begun="login start --device-auth"),
    Action("login --paste-redirect --timeout 20", TOKENS, PASTED),
    Action("login --port {port} --timeout 20", TOKENS, VISITED),
    Action("login --device-auth --timeout 20", TOKENS),
)
# What comes next, and has to store and to tidy up.
NEXT = (("accounts", ""), ("login --with-api-key", NEXT_KEY), ("login start", ""))
LOST: list[str] = []  # the folders where a refresh's answer was lost before its first write
FOLLOWED: set[object] = set()  # the pictures after which that went well


class Issuer(PracticeIssuer):
    """One at which every one-time code is approved before it is shown.

    `alive` is the refresh token that it gave last: each works once.
    """

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        super().__init__(redirect_ports=(1455, self.port))
        self.alive = ""

    def token_answer(self, form: Parameters) -> Answer:
        """Answer a token request, and remember the refresh token."""
        answer = super().token_answer(form)
        if answer.status == 200:
            self.alive = json.loads(answer.body)["refresh_token"]
        return answer

    def user_code_answer(self, form: Parameters) -> Answer:
        """Answer with a one-time code that may be asked about after a second."""
        given: dict[str, Any] = json.loads(super().user_code_answer(form).body)
        approve_device(f"{self.issuer}/codex/device", given["user_code"])
        return json_answer(200, given | {"interval": "1"})


class Run(NamedTuple):
    """How a command ended: its exit code, its system calls, and what it said."""

    exit_code: int
    calls: str
    said: str


class Folder:
    """A Codex folder of one kind, made anew for each run, and removed after it."""

    def __init__(self, kind: str, issuer: Issuer) -> None:
        """See `KINDS`."""
        self.issuer = issuer
        self.kind = kind
        self.place = Path(tempfile.mkdtemp(prefix="sweep-", dir="/var/tmp"))
        self.home = self.place / "home"
        elsewhere = self.place / "elsewhere"
        for folder in (self.home, elsewhere, self.place / "tmp"):
            folder.mkdir(mode=0o700)
        self.pending = self.home / ".headless-login"
        self.accounts = self.pending / "accounts"
        self.places = (self.home, self.pending, self.accounts, elsewhere)
        self.auth_file = self.real_file = self.home / "auth.json"
        if kind == "linked":
            self.real_file = elsewhere / "creds.json"
            self.auth_file.symlink_to(self.real_file)
        if kind != "fresh":
            old = {"auth_mode": "apikey", "OPENAI_API_KEY": OLD_KEY}
            self.real_file.write_text(json.dumps(old, indent=2))
            self.real_file.chmod(0o600)

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.place)

    def run(self, words: str, given: str = "", inject: str | None = None) -> Run:
        """Run a command; with `inject` its system calls are noted, and one is perhaps changed."""
        log = self.place.with_suffix(".strace")
        command = [COMMAND, *words.format(port=self.issuer.port).split()]
        if inject is not None:
            command = [*self._strace(log, inject), *command]
        if self.kind == "mounted":
            bind = 'mount --bind "$0" "$0"; exec "$@"'
            command = ["unshare", "-m", "sh", "-ec", bind, str(self.auth_file), *command]
        environ = {"PATH": os.environ["PATH"], "HEADLESS_LOGIN_ISSUER": self.issuer.issuer}
        environ |= {"HOME": str(self.home), "CODEX_HOME": str(self.home)}
        environ |= {"TMPDIR": str(self.place / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command, env=environ, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0
        ) as process:
            head = b""
            if given in (PASTED, VISITED):
                given, head = _answered(process, given)
            out, err = process.communicate(given.encode(), timeout=120)
        said = (head + err + out).decode()
        assert "defect" not in said, (words, self.kind, inject, said)
        assert "Traceback" not in said, (words, self.kind, inject, said)
        calls = log.read_text() if inject is not None else ""
        log.unlink(missing_ok=True)
        return Run(process.returncode, calls, said)

    def _strace(self, log: Path, inject: str) -> list[str]:
        trace = ["strace", "-f", "-y", "-qq", "-o", str(log), "-e"]
        if "signal" not in inject:  # with this, which is quicker, strace sends none
            trace.insert(1, "--seccomp-bpf")
        if inject.startswith("openat"):  # of all that are opened, only what lies here
            paths = [word for path in self.places for word in ("-P", str(path))]
            trace += ["trace=openat", *paths]
        else:
            trace.append(f"trace={CALLS}")
        return [*trace, "-e", f"inject={inject}"] if ":" in inject else trace

    def begin(self, action: Action) -> str:
        """Bring about what is there before a command; returns what it reads then."""
        destination = CodexFolder(CodexHome(str(self.home)), {})
        for sign_in in action.there:
            if sign_in == TOKENS:
                attempt = begin(Provider(self.issuer.issuer))
                complete(attempt.accept(approve(attempt.url)), attempt, destination)
            else:
                destination.store(Credentials.api_key(sign_in))
        if not action.begun:
            return action.given
        begun = self.run(action.begun)
        assert begun.exit_code == 0, begun
        return approve(_address(begun.said)) if action.given == PASTED else action.given

    def held(self) -> str | None:
        """Return the key that auth.json holds, or that it holds tokens; None if neither.

        Raises ValueError if it is torn.
        """
        return _sign_in_of(self.real_file.read_bytes()) if self.real_file.exists() else None

    def sign_ins(self) -> list[str]:
        """Return what auth.json and the kept files hold, as `held`; raises ValueError, too."""
        kept = [json.loads(path.read_bytes()) for path in self.accounts.glob("*.json")]
        found = [self.held(), *(_sign_in_of(each["auth_json"].encode()) for each in kept)]
        return sorted(filter(None, found))

    def refresh_token(self) -> str:
        """Return the one in auth.json."""
        token: str = json.loads(self.real_file.read_bytes())["tokens"]["refresh_token"]
        return token

    def torn_records(self) -> list[str]:
        """Return what is wrong with the pending sign-ins."""
        torn = []
        for path in self.pending.glob("*.json"):
            try:
                read_record(path.read_bytes())
            except Damaged:
                torn.append("a pending sign-in is torn")
        return torn

    def picture(self) -> frozenset[tuple[object, ...]]:
        """Return what lies in it, without what is random: all that the next command can see."""
        files = [path for path in self.place.rglob("*") if path.is_file()]
        return frozenset(self._seen(path) for path in files)

    def _seen(self, path: Path) -> tuple[object, ...]:
        name = re.sub(r"[0-9a-f]{12,}", "*", str(path.relative_to(self.place)))
        holds: object = bool(path.read_bytes().strip(b"\0"))
        if path == self.real_file:
            holds = self.held()
        elif path.parent == self.accounts and path.suffix == ".json":
            holds = _sign_in_of(json.loads(path.read_bytes())["auth_json"].encode())
        return name, path.stat().st_mode, holds

    def strays(self) -> list[str]:
        """Return the files that hold anything, but for sign-ins where they belong.

        How the last refresh failed may stay, without a secret in it.
        """
        files = {path.resolve() for path in self.place.rglob("*") if path.is_file()}
        files -= {self.real_file.resolve(), *self.pending.glob("*.json")}
        files -= {*self.accounts.glob("*.json")}
        failure = self.pending / FAILURE
        if failure in files and not re.search(rb"rt_|sk-", failure.read_bytes()):
            files.remove(failure)
        return [f"{path.name} is left" for path in files if path.read_bytes().strip(b"\0")]


def _sign_in_of(content: bytes) -> str | None:
    document = json.loads(content)
    if "tokens" in document:
        return TOKENS
    found: str | None = document["OPENAI_API_KEY"] or document.get("personal_access_token")
    return found


def _address(said: str) -> str:
    return next((line for line in said.splitlines() if "/oauth/authorize?" in line), "")


def _answered(process: subprocess.Popen[bytes], how: str) -> tuple[str, bytes]:
    """Answer the sign-in whose address a command shows; returns its input and what it said."""
    head = b""
    assert process.stderr
    for line in iter(process.stderr.readline, b""):
        head += line
        if address := _address(line.decode()):
            answer = approve(address)
            if how == PASTED:
                return answer, head
            # A command that is killed answers nothing, or a part of it.
            with suppress(OSError, HTTPException), urlopen(answer) as page:
                page.read()
    return "", head


class Calls:
    """The state-changing calls of the commands, in their order, each to be tried once.

    What is only said, to a terminal or a server, changes no file: a kill before it leaves what the
    next kill leaves, and the program takes all its errors for one. A call is not tried again if
    another command has made it after the same ones, in a folder of the same kind and for the same
    kind of credentials: it is the same step of the same function.
    """

    def __init__(self) -> None:
        self._tried: set[object] = set()

    def injections(self, log: str, among: object, *, short: bool) -> Iterator[str]:
        """Yield what to inject: a kill before each call, and each error in its place."""
        counts: Counter[tuple[str, str]] = Counter()
        steps: dict[tuple[str, int], object] = {}
        so_far: dict[bool, tuple[str, ...]] = {True: (), False: ()}  # each log by itself
        for process, call, path, more in re.findall(CALL, log):
            counts[process, call] += 1
            if call == "openat" and not any(flag in more for flag in MAKING):
                continue
            if path and not path.startswith(PLACE):
                steps.setdefault((call, counts[process, call]), None)
                continue
            which = call == "openat"
            so_far[which] += (f"{call} {re.sub('[0-9a-f]{12,}', '*', path)}",)
            steps[call, counts[process, call]] = so_far[which]
        for at, ((call, number), step) in enumerate(steps.items()):
            if step:
                if (among, step) in self._tried:
                    continue
                self._tried.add((among, step))
                yield f"{call}:signal=KILL:when={number}"
            errors = (ERRORS[at % len(ERRORS)],) if short or not step else ERRORS
            for error in errors:
                yield f"{call}:error={error}:when={number}"


def check(action: Action, kind: str, inject: str, issuers: SimpleQueue[Issuer]) -> list[str]:
    """Run one case in a folder of its own; returns what is wrong afterwards."""
    issuer = issuers.get()
    try:
        with Folder(kind, issuer) as folder:
            wrong = _check(action, folder, inject)
    except AssertionError as error:  # the other cases are tried all the same
        wrong = [str(error)]
    finally:
        issuers.put(issuer)
    return [f"{action.name}, {kind}, {inject}: {text}" for text in wrong]


def _check(action: Action, folder: Folder, inject: str) -> list[str]:
    given, requests = folder.begin(action), folder.issuer.requests
    before, there, earlier = folder.held(), folder.sign_ins(), len(requests)
    run = folder.run(action.words, given, inject)
    wrong = _wrong_file(action, folder, before, run.exit_code, inject)
    wrong += folder.torn_records()
    if not wrong:
        wrong = _lost_sign_ins(action, folder, before, there, inject)
    if "(INJECTED)" not in run.calls and "killed by SIGKILL" not in run.calls:
        wrong.append("nothing was injected")
    exchanged = "/oauth/token" in {each.path for each in requests[earlier:]}
    if action.makes == TOKENS and exchanged and "error" in inject and run.exit_code != 0:
        wrong += _lost_tokens(run.said)
    if action.there == (TOKENS,):
        return wrong + _wrong_token(folder, run) + _wrong_afterwards(folder)
    if not wrong and (picture := (folder.kind, folder.picture())) not in FOLLOWED:
        wrong = _wrong_afterwards(folder)
        FOLLOWED.update([picture] if not wrong else [])
    return wrong


def _lost_sign_ins(
    action: Action, folder: Folder, before: str | None, there: list[str], inject: str
) -> list[str]:
    """Return what is wrong with which sign-ins there are: those before, or those afterwards."""
    without = {*there} - {before}
    after = {AS_BEFORE: {*there}, None: without}.get(action.makes, {*there, str(action.makes)})
    allowed = [{*there}, after]
    if inject.split(":")[1] in TAKES_NONE and action.words.startswith("login"):
        allowed.append(after - {before})
    try:
        found = {*folder.sign_ins()}
    except ValueError:
        return ["a kept sign-in is torn"]
    return [] if found in allowed else [f"there are {sorted(found)}, not {sorted(after)}"]


def _wrong_token(folder: Folder, run: Run) -> list[str]:
    """Return what is wrong with the refresh token after the next command."""
    code = folder.run("token --min-valid 60").exit_code
    if code == 0 and folder.refresh_token() == folder.issuer.alive:
        return []
    *_, (_, call, path, _) = re.findall(CALL, run.calls)
    on_the_way = run.exit_code < 0 and call == "write" and path.endswith(f"/{JOURNAL}")
    if code == 0 and on_the_way:
        LOST.append(folder.kind)
        return []
    return [f"the refresh token that is alive is lost (the next token: exit code {code})"]


def _wrong_afterwards(folder: Folder) -> list[str]:
    """Return what is wrong after the next commands."""
    wrong = []
    there = {*folder.sign_ins()}
    for words, text in NEXT:
        if (code := folder.run(words, text).exit_code) != 0:
            wrong.append(f"the next {words} ends with exit code {code}")
        there |= {text} - {""}
        if (found := folder.sign_ins()) != sorted(there):
            wrong.append(f"after the next {words} there are {found}, not {sorted(there)}")
    if folder.held() != NEXT_KEY:
        wrong.append("the next command does not store")
    return wrong + folder.strays()


def _wrong_file(
    action: Action, folder: Folder, before: str | None, exit_code: int, inject: str
) -> list[str]:
    """Return what is wrong with auth.json after a run."""
    after = before if action.makes == AS_BEFORE else action.makes
    try:
        held = folder.held()
    except ValueError:
        return ["auth.json is torn"]
    wrong = [] if held in (before, after) else [f"auth.json holds {held}"]
    if exit_code == 0 and held != after:
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


def log_of(action: Action, kind: str, issuer: Issuer) -> str:
    """Return the system calls of a command that nothing disturbs."""
    log = ""
    for calls in ("", "openat"):
        with Folder(kind, issuer) as folder:
            run = folder.run(action.words, folder.begin(action), calls)
            assert run.exit_code == 0, (action, kind, run.said)
            log += run.calls.replace(str(folder.place), PLACE)
    return log


def sweep(actions: list[Action], *, short: bool) -> list[str]:
    """Go through all cases, print a table of them, and return what is wrong."""
    failures: list[str] = []
    calls = Calls()
    workers = (os.cpu_count() or 1) + 1  # one more: some of them wait
    with ExitStack() as held:
        issuers: SimpleQueue[Issuer] = SimpleQueue()
        for _ in range(workers):
            issuers.put(held.enter_context(Issuer()))
        pool = held.enter_context(ThreadPoolExecutor(workers))
        print("| command | auth.json | cases | failures |\n|---|---|---|---|")
        for action in actions:
            for kind in SHORT_KINDS if short else KINDS:
                issuer = issuers.get()
                log = log_of(action, kind, issuer)
                issuers.put(issuer)
                among = kind, action.makes == TOKENS, action.there
                cases = [*calls.injections(log, among, short=short)]
                judge = partial(check, action, kind, issuers=issuers)
                found = [text for texts in pool.map(judge, cases) for text in texts]
                if len(LOST) != (action.there == (TOKENS,)):  # there is one such moment
                    found.append(f"{action.name}, {kind}: {len(LOST)} answers were lost")
                LOST.clear()
                for text in found:
                    print(text, file=sys.stderr, flush=True)
                failures += found
                print(f"| {action.name} | {kind} | {len(cases)} | {len(found)} |", flush=True)
    return failures


def main() -> int:
    """Go through all cases; exit code 1 if anything is wrong after one."""
    short, words = "--short" in sys.argv[1:], {*sys.argv[1:]} - {"--short"}
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or not shutil.which("strace"):
        print("Not run: this needs Linux, root and strace.", file=sys.stderr)
        return 0
    chosen = [each for each in ACTIONS if not words or words & {*each.words.split()}]
    return 1 if sweep(chosen, short=short) else 0


if __name__ == "__main__":
    sys.exit(main())
