"""`login --paste-redirect` from outside: in a terminal, and without any input."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from tests.support.program import PROMPT, Terminal, run


def test_a_paste_into_the_terminal_signs_in(environ: dict[str, str], codex_home: Path) -> None:
    """It ends with a private auth.json, and the terminal is as it was before."""
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


def test_nothing_to_read_is_wrong_usage(environ: dict[str, str], issuer: PracticeIssuer) -> None:
    """Without a terminal and without input it ends at once, and asks no issuer."""
    outcome = run("login", "--paste-redirect", environ=environ)
    assert outcome.exit_code == 2
    assert "no terminal and no input" in outcome.err
    assert not issuer.requests
