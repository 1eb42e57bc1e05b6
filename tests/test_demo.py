"""`demo`: the whole sign-in in seconds, leaving nothing behind."""

from __future__ import annotations

from pathlib import Path

from tests.support.program import Terminal, environment, run


def test_the_demo_shows_a_whole_sign_in(tmp_path: Path) -> None:
    """It ends signed in, in a temporary folder that is gone; proxies and Codex are not used."""
    misleading = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    environ = environment(tmp_path, "https://issuer.invalid", TMPDIR=str(tmp_path), **misleading)
    outcome = run("demo", environ=environ)
    assert outcome.exit_code == 0, outcome.err
    assert "Signed in to Codex as ada@example.com" in outcome.err
    assert "Signed in with ChatGPT as ada@example.com" in outcome.err
    assert not [*tmp_path.iterdir()]


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    environ = environment(None, None, HOME=str(tmp_path), TMPDIR=str(tmp_path))
    with Terminal("demo", environ=environ) as terminal:
        terminal.read_until("practice person")
        terminal.send("\x03")
        assert terminal.wait(10) in (0, 130)
        assert terminal.attributes == terminal.attributes_before
    assert not [*tmp_path.iterdir()]
