"""`login --paste-redirect` from outside: in a terminal and in a pipe, against a real issuer."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from tests.support.program import PROMPT, Piped, Terminal, run


def test_a_paste_into_the_terminal_signs_in(environ: dict[str, str], codex_home: Path) -> None:
    """The whole way, as a person on a server walks it."""
    with Terminal("login", "--paste-redirect", environ=environ) as terminal:
        url = terminal.read_url()
        terminal.read_until(PROMPT)
        terminal.paste(approve(url))
        assert terminal.wait() == 0
        assert "Signed in to Codex as ada@example.com" in terminal.text
        assert terminal.attributes == terminal.attributes_before
    auth = json.loads((codex_home / "auth.json").read_text())
    assert auth["auth_mode"] == "chatgpt"
    assert stat.S_IMODE((codex_home / "auth.json").stat().st_mode) == 0o600


def test_a_paste_through_a_pipe_signs_in(environ: dict[str, str], codex_home: Path) -> None:
    """A pipe need not be closed: a whole answer and a line break are enough."""
    with Piped("login", "--paste-redirect", environ=environ) as piped:
        url = piped.read_url()
        assert piped.process.stdin
        piped.process.stdin.write(approve(url).encode() + b"\n")
        piped.process.stdin.flush()
        piped.read_until("Signed in to Codex")
    assert (codex_home / "auth.json").exists()


def test_nothing_to_read_is_wrong_usage(environ: dict[str, str], issuer: PracticeIssuer) -> None:
    """Without a terminal and without input nobody is kept waiting."""
    outcome = run("login", "--paste-redirect", environ=environ)
    assert outcome.exit_code == 2
    assert "no terminal and no input" in outcome.err
    assert not issuer.requests
