"""Run the tests that attack the program, and write what they tried into SECURITY.md.

    scripts/attacks           runs them and rewrites the table
    scripts/attacks --check   exit 1 if SECURITY.md names another set of attacks

The numbers are those of the last run; a failure leaves the table as it is, with exit code 1.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
SECURITY = PROJECT / "SECURITY.md"
ATTACKS = {
    "forged tokens, key sets, hostile answers": ("forged", "hostile", "id_token", "token_response"),
    "failures of an issuer, secrets in what is said": ("failures", "metadata"),
    "pasted answers": ("pasted", "pasted_judgement", "pasted_shapes"),
    "requests to the port, floods, other pages": ("loopback", "loopback_outside", "race", "page"),
    "mix-up, issuers from the environment": ("issuer_choice",),
    "pending sign-ins: changed, copied, at once": ("pending", "pending_folder", "start_finish"),
    "other users, links, folders": ("other_users",),
    "auth.json: full disks, signals, mounts, locks": ("auth_file", "replace", "locks"),
    "proxies, certificates, clocks": ("network", "trust"),
    "policy, stores, credentials, beside Codex": ("agreement", "truth", "access_token"),
    "signals, pipes, terminals": ("interrupts", "streams", "terminal_input"),
}
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


def main() -> int:
    """Run everything, and write or check the table."""
    text = SECURITY.read_text()
    _, _, rest = text.partition(MARK)
    if "--check" in sys.argv[1:]:
        named = re.findall(r"(?m)^\| ([^|]+) \| \d+ \| none \|$", rest)
        return 0 if named == [*ATTACKS] else 1
    rows = []
    for attack, names in ATTACKS.items():
        passed, failed = run(names)
        print(f"{attack}: {passed} cases, {failed} failures", flush=True)
        rows.append(f"| {attack} | {passed} | {failed or 'none'} |")
        if failed:
            return 1
    table = re.compile(rf"{re.escape(MARK)}(?:\|.*\n)*")
    SECURITY.write_text(table.sub(lambda _: MARK + HEAD + "\n".join(rows) + "\n", text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
