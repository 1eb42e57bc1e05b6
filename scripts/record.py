"""Record real terminal sessions (80 by 24) and the table of errors, and put them into README.md.

    scripts/record            rewrites the recorded blocks
    scripts/record --check    exit 1 if README.md shows something else

What differs from run to run (ports, random values, times, folders) is replaced by fixed samples
of the same length; everything else is what the command printed.
"""

from __future__ import annotations

import contextlib
import re
import socket
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from headless_login.errors import REMEDIES  # noqa: E402
from headless_login.practice.issuer import PracticeIssuer  # noqa: E402
from headless_login.practice.person import approve  # noqa: E402
from tests.support.program import PROMPT, Terminal, environment  # noqa: E402

HOME = "/home/grace/code"  # as long as the temporary folder's name
SAMPLES = [
    (r"127\.0\.0\.1:\d{5}(?=/oauth|, not)", "127.0.0.1:40123"),
    (r"code_challenge=[\w-]{43}", "code_challenge=uNb3Ff0dXJYQ2o0s9vK7jq5aWmCzLr4TtGx8hPe6RyI"),
    (r"state=[\w-]{22}", "state=Zk3vQ9dM1xT7cB5nW0aLpg"),
    (r"/tmp/headless-login-demo-\w{8}", "/tmp/headless-login-demo-k2v9x0qa"),  # noqa: S108
    (r"valid until [\d-]{10} [\d:]{5}", "valid until 2026-12-03 10:15"),
]


def record_demo(home: str) -> str:
    """Return the session of `headless-login demo`."""
    environ = environment(None, None, HOME=home)
    with Terminal("demo", environ=environ) as terminal:
        assert terminal.wait() == 0
        return "$ headless-login demo\n" + terminal.transcript(lambda text: plain(text, home))


def record_paste(home: str) -> str:
    """Return the session of `headless-login login --paste-redirect`, with a wrong paste first."""
    with PracticeIssuer() as issuer:
        environ = environment(None, issuer.issuer, HOME=home)
        with Terminal("login", "--paste-redirect", environ=environ) as terminal:
            url = terminal.read_url()
            terminal.read_until(PROMPT)
            terminal.paste(url)
            terminal.send("\r")
            terminal.read_until("(?s)address to open.*" + PROMPT)
            terminal.paste(approve(url))
            assert terminal.wait() == 0
            return "$ headless-login login --paste-redirect\n" + terminal.transcript(
                lambda text: plain(text, home)
            )


def record_login(home: str) -> str:
    """Return the session of `headless-login login` over ssh, without a tunnel."""
    port = free_port()
    with PracticeIssuer(redirect_ports=(port,)) as issuer:
        connection = "198.51.100.7 50022 192.0.2.10 22"
        environ = environment(
            None, issuer.issuer, HOME=home, SSH_CONNECTION=connection, USER="grace"
        )
        with Terminal("login", "--port", str(port), environ=environ) as terminal:
            url = terminal.read_url()
            terminal.read_until(PROMPT)
            terminal.paste(approve(url))
            assert terminal.wait() == 0
            return "$ headless-login login\n" + terminal.transcript(
                lambda text: plain(text.replace(str(port), "1455"), home)
            )


def table_of_errors() -> str:
    """Return the table of the `error` words, with the exit code and the remedy of each."""
    rows = [
        f"| `{word}` | {remedy.exit_code} | {remedy.hint} |" for word, remedy in REMEDIES.items()
    ]
    return "\n".join(
        ["| `error` | code | what to do, if the message says no more |", "|---|---|---|", *rows]
    )


def free_port() -> int:
    """Return a port that nobody has and that is as long as 1455, which somebody may have."""
    for port in range(5000, 9999):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise OSError("no port is free")


def plain(session: str, home: str) -> str:
    """Return what was written with its random values replaced by samples as long."""
    session = session.replace(home, HOME)
    for pattern, sample in SAMPLES:
        session = re.sub(pattern, sample, session)
    return session


def main() -> int:
    """Record the sessions, and rewrite or check README.md."""
    readme = PROJECT / "README.md"
    before = text = readme.read_text()
    for name, record in (("demo", record_demo), ("login", record_login), ("paste", record_paste)):
        with tempfile.TemporaryDirectory(dir="/tmp") as home:
            assert len(home) == len(HOME)
            block = f"<!-- recorded: {name} -->\n```text\n{record(home).strip()}\n```\n"
        pattern = rf"<!-- recorded: {name} -->\n```text\n.*?\n```\n"
        text, found = re.subn(pattern, lambda _, block=block: block, text, flags=re.DOTALL)  # type: ignore[misc]
        assert found == 1, f"README.md has no place for the recording {name!r}"
    pattern = r"<!-- recorded: errors -->\n.*?\n\n"
    block = f"<!-- recorded: errors -->\n{table_of_errors()}\n\n"
    text, found = re.subn(pattern, lambda _: block, text, flags=re.DOTALL)
    assert found == 1, "README.md has no place for the table of errors"
    if "--check" in sys.argv[1:]:
        return int(text != before)
    readme.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
