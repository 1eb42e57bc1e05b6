"""Run the tests that attack the program, and write what they tried into SECURITY.md.

    scripts/attacks                  runs them and rewrites the table, row by row
    scripts/attacks WORD…            only the rows in which one of these words stands
    scripts/attacks --sweep FILE…    rewrites the row of scripts/sweep, from what that has printed
    scripts/attacks --check          exit 1 if SECURITY.md names another set of attacks

The numbers are those of the last run; a failure leaves the table as it is, with exit code 1.
"""

from __future__ import annotations

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
SECURITY = PROJECT / "SECURITY.md"
ATTACKS = {
    "forged tokens, key sets, hostile answers": ("forged", "hostile", "id_token", "token_response"),
    "failures of an issuer, secrets in what is said": ("failures", "metadata"),
    "pasted answers": ("pasted", "pasted_judgement", "pasted_shapes", "damaged_code"),
    "requests to the port, floods, other pages": ("loopback", "loopback_outside", "race", "page"),
    "a phone's page: its network, forgeries, other accounts": ("phone", "phone_attacks"),
    "mix-up, issuers from the environment": ("issuer_choice",),
    "pending sign-ins: changed, copied, at once": ("pending", "pending_folder", "start_finish"),
    "other users, links, folders": ("other_users",),
    "auth.json: full disks, signals, mounts, locks": ("auth_file", "replace", "locks"),
    "refresh tokens: refused, lost, raced, killed": ("refresh", "token"),
    "accounts: switched, killed, mixed up": (
        "accounts",
        "accounts_killed",
        "expect",
        "revoke",
    ),
    "proxies, certificates, clocks": ("network", "trust"),
    "policy, stores, credentials, beside Codex": ("agreement", "truth", "access_token"),
    "signals, pipes, terminals": ("interrupts", "streams", "terminal_input"),
}
SWEEP = "kills and errors at each system call that changes something (`scripts/sweep`)"
SWEPT = re.compile(r"(?m)^\| [^|]+ \| (?:fresh|existing|linked|mounted) \| (\d+) \| (\d+) \|$")
ROW = re.compile(r"(?m)^\| ([^|]+) \| (\d+) \| none \|$")
HEAD = "| attack | cases | open failures |\n|---|---|---|\n"
MARK = "<!-- made by scripts/attacks -->\n"


def run(names: tuple[str, ...]) -> tuple[int, int]:
    """Run test files; returns how many cases passed, and how many did not."""
    files = [f"tests/test_{name}.py" for name in names]
    command = [sys.executable, "-m", "pytest", "--quiet", "--numprocesses", "auto", *files]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|error)", done.stdout)}
    if done.returncode != 0:
        print(done.stdout, file=sys.stderr)
    return counts.get("passed", 0), counts.get("failed", 0) + counts.get("error", 0)


def swept(files: tuple[str, ...]) -> tuple[int, int]:
    """Return how many cases scripts/sweep has tried, and how many failures it has found."""
    found = [row for file in files for row in SWEPT.findall(Path(file).read_text())]
    return sum(int(cases) for cases, _ in found), sum(int(failures) for _, failures in found)


def write(text: str, cases: dict[str, str]) -> None:
    """Put the table into SECURITY.md, whose present text is given."""
    rows = [f"| {attack} | {cases.get(attack, '0')} | none |\n" for attack in (*ATTACKS, SWEEP)]
    table = re.compile(rf"{re.escape(MARK)}(?:\|.*\n)*")
    SECURITY.write_text(table.sub(lambda _: MARK + HEAD + "".join(rows), text))


def main() -> int:
    """Run everything, and write or check the table."""
    text = SECURITY.read_text()
    cases = dict(ROW.findall(text.partition(MARK)[2]))
    if sys.argv[1:] == ["--check"]:
        return 0 if [*cases] == [*ATTACKS, SWEEP] else 1
    runs = {
        attack: partial(run, names)
        for attack, names in ATTACKS.items()
        if not sys.argv[1:] or any(word in attack for word in sys.argv[1:])
    }
    if sys.argv[1:2] == ["--sweep"]:
        runs = {SWEEP: partial(swept, tuple(sys.argv[2:]))}
    for attack, tried in runs.items():
        passed, failed = tried()
        print(f"{attack}: {passed} cases, {failed} failures", flush=True)
        if failed:
            return 1
        cases[attack] = str(passed)
        write(text, cases)
    return 0


if __name__ == "__main__":
    sys.exit(main())
