"""How fast the command is, as ratios to a bare interpreter's start within the same run.

    scripts/bench [rounds] [--json FILE]

Milliseconds differ between machines; ratios hold. Each round runs everything once, in random
order; what counts is the median of the rounds' ratios. A second bare start is the control: where
its ratio is not near 1, the machine was too busy and the run is inconclusive (exit code 2). Exit
code 1: over budget. The real Codex runs in the same rounds where `scripts/install-codex` has put
it, sshd and valgrind are used where they are installed.
"""

from __future__ import annotations

import argparse
import compileall
import fcntl
import json
import os
import pty
import random
import re
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from headless_login.codex.home import CodexHome  # noqa: E402
from headless_login.practice.issuer import PracticeIssuer  # noqa: E402
from headless_login.practice.person import approve  # noqa: E402
from tests.support.codex import NEWEST, cache_folder  # noqa: E402
from tests.support.hosts import hosts_in  # noqa: E402
from tests.support.instructions import counter, ratio  # noqa: E402
from tests.support.people import ADA, signed_in_as  # noqa: E402
from tests.test_counts import INSTRUCTIONS  # noqa: E402

COMMAND = str(Path(sys.executable).with_name("headless-login"))
BARE = [sys.executable, "-I", "-c", "pass"]
PRECISE = (0.95, 1.05)
CONTROL = "bare interpreter, again"
ADDRESS, PROMPT = b"codex_cli_rs\r\n", b"Paste the whole address here"
ANSWER = f"http://127.0.0.1:1455/auth/callback?code=ac_{'x' * 40}&state={'s' * 22}"
LOADED = 3.0  # seconds, in which all is loaded
CROWD, IDLE, PENDING, TARGETS = 64, 50, 1000, 32

# Ratios that must not be exceeded; those of Codex are shown beside them.
BUDGETS: dict[str, float | None] = {
    CONTROL: None,
    "--version": 1.3,
    "address: --paste-redirect": 2.0,
    "address: login": 2.4,
    "address to QR code": 1.8,
    "login status": 2.2,
    "login --with-api-key": 2.6,
    "logout": 2.5,
    "login start": 2.7,
    "token, nothing to refresh": 2.6,
    "device code shown": 9.0,
    "paste to auth.json, CPU": 6.0,
    "the same behind a key, CPU": 6.0,
    "codex --version": None,
    "codex address: login": None,
    "codex login status": None,
    "codex login --with-api-key": None,
    "codex device code shown": None,
    "codex address: login, npm": None,
    "codex login status, npm": None,
    "codex login --with-api-key, npm": None,
    "codex device code shown, npm": None,
}
# In their own units; measured once.
ONCE: dict[str, tuple[str, float | None]] = {
    "memory while waiting": ("MiB", 18.0),
    f"crowd of {CROWD}, every prompt shown": ("s", 2.5),
    f"{IDLE} waiting, idle, for 500": ("% of a core", 10.0),
    f"login start with {PENDING} pending": ("times one pending", 1.3),
    f"login finish with {PENDING} pending": ("times one pending", 1.3),
    f"push to {TARGETS} ssh targets": ("times one target", None),
}


class Place:
    """A Codex folder, a practice issuer, and the environment that leads to both."""

    def __init__(self, folder: Path, issuer: PracticeIssuer) -> None:
        """`folder` is an empty one."""
        self.folder = folder
        self.issuer = issuer
        self.signed_in = folder / "signed-in"
        self.signed_in.mkdir(mode=0o700)
        self.auth_json = signed_in_as(ADA, age=-(10**7)).content  # ends in some months

    def environ(self, home: Path | None = None, *, practice: bool = False) -> dict[str, str]:
        """Return an environment in which nothing slows Python down or leads elsewhere."""
        found = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder),
            "CODEX_HOME": str(home or self.folder),
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "SSH_CONNECTION": "bench",
        }
        return found | ({"HEADLESS_LOGIN_ISSUER": self.issuer.issuer} if practice else {})

    def run(self, command: list[str], stdin: bytes = b"", home: Path | None = None) -> float:
        """Return the seconds that a command takes from start to end."""
        environ = self.environ(home)
        started = time.perf_counter()
        subprocess.run(command, input=stdin, capture_output=True, env=environ, check=False)
        return time.perf_counter() - started

    def run_signed_in(self, command: list[str]) -> float:
        """The same, where somebody is signed in."""
        path = self.signed_in / "auth.json"
        path.write_bytes(self.auth_json)
        path.chmod(0o600)
        return self.run(command, home=self.signed_in)

    def until(
        self, mark: bytes, command: list[str], *, after: bytes = b"", practice: bool = False
    ) -> float:
        """Return the seconds until `mark` is on a terminal, from the start or from `after`."""
        with self.on_terminal(command, practice=practice) as (_, terminal, started):
            seen = b""
            while mark not in seen:
                seen += os.read(terminal, 65536)
                if after and after in seen:
                    started, after = time.perf_counter(), b""
            return time.perf_counter() - started

    @contextmanager
    def on_terminal(
        self, command: list[str], *, practice: bool = False
    ) -> Iterator[tuple[int, int, float]]:
        """Run a command on a terminal of 120 by 60; yields process, terminal and the start."""
        environ = self.environ(practice=practice)
        started = time.perf_counter()
        child, terminal = pty.fork()
        if child == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 120, 0, 0))
            os.execve(command[0], command, environ)  # noqa: S606
        try:
            yield child, terminal, started
        finally:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            os.close(terminal)

    def cpu_of_paste(self, key: bytes = b"") -> float:
        """Return the seconds of CPU from the paste to the end of a sign-in.

        A key that is pressed before has all that completes it loaded until then.
        """
        command = [COMMAND, "login", "--paste-redirect"]
        with self.on_terminal(command, practice=True) as (child, terminal, _):
            seen = b""
            while PROMPT not in seen:
                seen += os.read(terminal, 65536)
            (address,) = re.findall(rb"(http://\S+/oauth/authorize\S+)", seen)
            answer = approve(address.decode())
            if key:
                os.write(terminal, key)
                while PROMPT not in os.read(terminal, 65536):
                    pass
                time.sleep(LOADED)
            before = _cpu(child)
            os.write(terminal, f"\x1b[200~{answer}\x1b[201~\r".encode())  # as terminals do
            with suppress(OSError):
                while os.read(terminal, 65536):
                    pass
            _, _, used = os.wait4(child, 0)
            return used.ru_utime + used.ru_stime - before


def _cpu(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measurements(place: Place) -> dict[str, Callable[[], float]]:
    """Return what is measured in every round, by name."""
    paste = [COMMAND, "login", "--paste-redirect"]
    key = b"sk-practice-key-0123456789"
    device = [COMMAND, "login", "--device-auth"]
    found = {
        CONTROL: lambda: place.run(BARE),
        "--version": lambda: place.run([COMMAND, "--version"]),
        "address: --paste-redirect": lambda: place.until(ADDRESS, paste),
        "address: login": lambda: place.until(ADDRESS, [COMMAND, "login"]),
        "address to QR code": lambda: place.until(b"page will fail", paste, after=ADDRESS),
        "login status": lambda: place.run_signed_in([COMMAND, "login", "status"]),
        "login --with-api-key": lambda: place.run([COMMAND, "login", "--with-api-key"], key),
        "logout": lambda: place.run_signed_in([COMMAND, "logout"]),
        "login start": lambda: place.run([COMMAND, "login", "start", "--timeout", "1"]),
        "token, nothing to refresh": lambda: place.run_signed_in([COMMAND, "token"]),
        "device code shown": lambda: place.until(b"one-time code", device, practice=True),
        "paste to auth.json, CPU": place.cpu_of_paste,
        "the same behind a key, CPU": lambda: place.cpu_of_paste(b"\r"),
    }
    modules = cache_folder() / f"codex-{NEWEST}" / "node_modules"
    binaries = [*modules.glob("@openai/codex-*/vendor/*/bin/codex")]
    for kind, path in (("", binaries[:1]), (", npm", [*modules.glob(".bin/codex")])):
        if path and not kind:
            found["codex --version"] = _calling(place.run, path[0], "--version")
        if path:
            theirs = _of_codex(place, str(path[0]), key).items()
            found |= {f"codex {name}{kind}": measure for name, measure in theirs}
    return found


def _of_codex(place: Place, codex: str, key: bytes) -> dict[str, Callable[[], float]]:
    """Return what is measured of the real Codex, too; it opens no browser."""
    login = ["/usr/bin/env", "BROWSER=true", codex, "login"]
    device = [*login, "--device-auth", "--experimental_issuer", place.issuer.issuer]
    return {
        "address: login": lambda: place.until(ADDRESS, login),
        "login status": _calling(place.run_signed_in, codex, "login", "status"),
        "login --with-api-key": lambda: place.run([codex, "login", "--with-api-key"], key),
        "device code shown": lambda: place.until(b"one-time code", device),
    }


def _calling(run: Callable[[list[str]], float], *words: str | Path) -> Callable[[], float]:
    return lambda: run([*map(str, words)])


def measure(rounds: int, place: Place) -> dict[str, list[float]]:
    """Return the ratios of all rounds; the first rounds only warm up."""
    todo = {"": lambda: place.run(BARE), **measurements(place)}
    ratios: dict[str, list[float]] = {name: [] for name in todo if name}
    for number in range(rounds + 2):
        took = {name: todo[name]() for name in random.sample(sorted(todo), len(todo))}
        for name in ratios if number >= 2 else ():
            ratios[name].append(took[name] / took[""])
    return ratios


def measure_once(place: Place) -> dict[str, float]:
    """Return what is measured once, by the names of ONCE."""
    found = [_memory(place), _crowd(place), _idle(place), *_pending(place)]
    with suppress(Exception):  # pytest's skip, where there is no sshd
        found.append(_targets(place))
    return dict(zip(ONCE, found, strict=False))


def _waiting(place: Place, count: int, held: ExitStack) -> list[int]:
    """Have so many sign-ins wait, all prompts shown; returns the processes."""
    command = [COMMAND, "login", "--paste-redirect", "--qr", "never"]
    running = [held.enter_context(place.on_terminal(command)) for _ in range(count)]
    for _, terminal, _ in running:
        seen = b""
        while PROMPT not in seen:
            seen += os.read(terminal, 65536)
    return [process for process, _, _ in running]


def _memory(place: Place) -> float:
    with ExitStack() as held:
        (process,) = _waiting(place, 1, held)
        time.sleep(2)  # what is loaded while the person is busy counts, too
        told = Path(f"/proc/{process}/status").read_text()
    (kib,) = re.findall(r"VmRSS:\s+(\d+)", told)
    return int(kib) / 1024


def _crowd(place: Place) -> float:
    started = time.perf_counter()
    with ExitStack() as held:
        _waiting(place, CROWD, held)
        return time.perf_counter() - started


def _idle(place: Place) -> float:
    with ExitStack() as held:
        processes = _waiting(place, IDLE, held)
        time.sleep(3)
        before, seconds = sum(map(_cpu, processes)), 5
        time.sleep(seconds)
        return (sum(map(_cpu, processes)) - before) / seconds * 100 * 500 / IDLE


def _pending(place: Place) -> Iterator[float]:
    home = place.folder / "pending"
    start, finish = [COMMAND, "login", "start"], [COMMAND, "login", "finish", ANSWER]
    times = []
    for wanted in (1, PENDING):
        home.mkdir(mode=0o700, exist_ok=True)
        while len(list(home.glob(".headless-login/*.json"))) < wanted:
            _begin_many(home, wanted)
        times.append(
            [min(place.run(each, home=home) for _ in range(5)) for each in (start, finish)]
        )
    yield from (many / one for one, many in zip(*times, strict=True))


def _begin_many(home: Path, count: int) -> None:
    from headless_login.codex.pending.store import PendingAttempts
    from headless_login.signin import begin

    for _ in range(count):
        PendingAttempts.keep(CodexHome(str(home)), begin())


def _targets(place: Place) -> float:
    with hosts_in(place.folder / "ssh") as hosts:
        hosts.begin(place.folder / "hosts")
        targets = [hosts.add(f"host{number}") for number in range(TARGETS)]
        (place.signed_in / "auth.json").write_bytes(place.auth_json)
        environ = hosts.path(place.environ(place.signed_in))
        times = []
        for wanted in (targets[:1], targets):
            started = time.perf_counter()
            subprocess.run([COMMAND, "push", *wanted], env=environ, capture_output=True, check=True)
            times.append(time.perf_counter() - started)
        return times[1] / times[0]


def instructions(folder: Path) -> dict[str, float]:
    """Return instructions as ratios to a bare start, which no load changes; where valgrind is."""
    if counter() is None:
        return {}
    found = {}
    for number, line in enumerate(INSTRUCTIONS):
        home = folder / f"counted{number}"
        home.mkdir(mode=0o700)
        found[line] = ratio(line, CodexHome(str(home)))
    return found


def report(ratios: dict[str, list[float]], once: dict[str, float], counts: dict[str, float]) -> int:
    """Print a table beside the budgets; returns the exit code."""
    over = []
    for name, budget in BUDGETS.items():
        if name not in ratios:
            print(f"{name:38} not here")
            continue
        low, median, high = statistics.quantiles(ratios[name], n=4)
        told = f"budget {budget:.1f}" if budget else ""
        print(f"{name:38} {median:6.2f}x  ({low:.2f} to {high:.2f})  {told}")
        over += [name] if budget and median > budget else []
    for name, value in once.items():
        unit, budget = ONCE[name]
        print(f"{name:38} {value:6.2f} {unit}  {f'budget {budget}' if budget else ''}")
        over += [name] if budget and value > budget else []
    for name, value in counts.items():
        print(f"instructions, {name:24} {value:6.2f}x")
    control = statistics.median(ratios[CONTROL])
    if not PRECISE[0] <= control <= PRECISE[1]:
        print(f"Inconclusive: the machine was too busy (control {control:.2f}).")
        return 2
    print(f"Over budget: {', '.join(over)}." if over else "Every budget is kept.")
    return 1 if over else 0


def main() -> int:
    """Measure, print a table, and tell whether every budget is kept."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rounds", nargs="?", type=int, default=21)
    parser.add_argument("--json", metavar="FILE", help="write all figures there, too")
    options = parser.parse_args()
    compileall.compile_dir(PROJECT / "headless_login", quiet=2)
    with tempfile.TemporaryDirectory() as folder, PracticeIssuer() as issuer:
        place = Place(Path(folder), issuer)
        ratios = measure(options.rounds, place)
        once, counts = measure_once(place), instructions(Path(folder))
    if options.json:
        found = {"ratios": ratios, "once": once, "instructions": counts}
        Path(options.json).write_text(json.dumps(found, indent=2))
    return report(ratios, once, counts)


if __name__ == "__main__":
    sys.exit(main())
