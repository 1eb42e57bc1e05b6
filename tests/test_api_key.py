"""`login --with-api-key`: a key from standard input only, shown to nobody, stored whole."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headless_login.codex.api_key import masked, read_api_key
from headless_login.codex.home import CodexHome
from headless_login.codex.stored import read_stored
from headless_login.errors import WrongUsage
from headless_login.practice.person import approve
from tests.support.machine import umask
from tests.support.program import COMMAND, Outcome, Piped, Terminal, environment, run
from tests.support.stored_files import KEY, jwt

LEGACY = "sk-legacy-MARKED-value-0123456789"


def _sign_in(codex_home: Path, stdin: str | bytes | None, *arguments: str) -> Outcome:
    environ = environment(codex_home, None)
    return run("login", "--with-api-key", *arguments, environ=environ, stdin=stdin)


def _printed(outcome: Outcome) -> str:
    return outcome.out + outcome.err


# What is a key.


@pytest.mark.parametrize(
    "content",
    [
        KEY.encode(),
        f"{KEY}\n".encode(),
        f"{KEY}\r\n".encode(),
        f"\n\t  {KEY} \n\n".encode(),
        f"\ufeff{KEY}\n".encode(),
        f" \ufeff{KEY}\ufeff ".encode(),
        f"{KEY}\r\n".encode("utf-16"),
        b"\xff\xfe" + KEY.encode("utf-16-le"),
        b"\xfe\xff" + KEY.encode("utf-16-be"),
    ],
)
def test_a_key_is_taken_out_of_its_wrapping(content: bytes) -> None:
    """Blanks, line ends and byte-order marks around it, and what PowerShell writes."""
    assert read_api_key(content) == KEY


REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "No API key came"),
    "blank": (b" \r\n\t", "No API key came"),
    "a mark alone": (b"\xef\xbb\xbf\n", "No API key came"),
    "two lines": (f"{KEY}\n{KEY}\n".encode(), "several lines or words"),
    "two words": (f"Bearer {KEY}".encode(), "several lines or words"),
    "a .env file": (f"OPENAI_API_KEY={KEY}\n".encode(), "quotes, `=`"),
    "double quotes": (f'"{KEY}"'.encode(), "quotes, `=`"),
    "single quotes": (f"'{KEY}'".encode(), "quotes, `=`"),
    "an address": (b"https://example.com/MARKED", "`://`"),
    "not ASCII": (f"{KEY}ä".encode(), "characters that no key has"),
    "Latin-1": (f"{KEY}ä".encode("latin-1"), "characters that no key has"),
    "a dash of a word processor": ("sk–MARKED0123456789".encode(), "characters that no key has"),
    "an escape sequence": (f"\x1b[200~{KEY}".encode(), "characters that no key has"),
    "NUL": (f"{KEY}\0".encode(), "characters that no key has"),
    "UTF-16 without a mark": (KEY.encode("utf-16-le"), "characters that no key has"),
    "UTF-32": (KEY.encode("utf-32"), "characters that no key has"),
    "a zero-width space": (f"{KEY[:9]}\u200b{KEY[9:]}".encode(), "characters that no key has"),
    "a JWT": (jwt({"MARKED": 1}).encode(), "an access token, not an API key"),
    "an access token": (b"at-MARKED-0123456789", "an access token, not an API key"),
    "far too long": (b"k" * 4097, "longer than any API key"),
    "a file of another kind": (b"MARKED" * 20_000, "longer than any API key"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_key_is_refused(case: str) -> None:
    """With the right command to use instead, and without a word of what was read."""
    content, phrase = REFUSED[case]
    with pytest.raises(WrongUsage) as caught:
        read_api_key(content)
    said = caught.value.message + caught.value.hint
    assert phrase in caught.value.message
    assert "headless-login login --" in caught.value.hint
    assert "MARKED" not in said + repr(caught.value)


def test_a_token_is_sent_the_right_way() -> None:
    """Who has a ChatGPT token wants the other sign-in."""
    with pytest.raises(WrongUsage) as caught:
        read_api_key(b"eyJhbGciOiJub25lIn0.e30.")
    assert "headless-login login --paste-redirect" in caught.value.hint


_BYTES = st.binary(max_size=60) | st.text(max_size=30).flatmap(
    lambda text: st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"]).map(
        lambda encoding: text.encode(encoding)
    )
)


@settings(max_examples=500, deadline=None)
@given(content=_BYTES | st.tuples(_BYTES, _BYTES).map(lambda two: two[0] + KEY.encode() + two[1]))
def test_no_key_holds_anything_odd(content: bytes) -> None:
    """Whatever is piped in: visible ASCII without blanks and quotes, or wrong usage."""
    try:
        key = read_api_key(content)
    except WrongUsage:
        return
    assert key
    assert all("!" <= character <= "~" for character in key)
    assert not set(key) & set("\"'=")
    assert not key.startswith(("eyJ", "at-"))


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        (KEY, "sk-proj-***fghij"),
        ("k" * 22, "kkkkkkkk***kkkkk"),
        ("k" * 21, "***"),
        ("short", "***"),
        ("", "***"),
    ],
)
def test_a_key_is_masked(key: str, shown: str) -> None:
    """The first 8 and last 5 characters, and only where most of it stays hidden."""
    assert masked(key) == shown


# From outside.


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_key_is_stored(end: str, codex_home: Path) -> None:
    """Exactly Codex's document; people read the masked key and what it has to be allowed."""
    outcome = _sign_in(codex_home, KEY + end)
    assert (outcome.exit_code, outcome.out) == (0, "")
    auth_file = codex_home / "auth.json"
    assert json.loads(auth_file.read_text()) == {"auth_mode": "apikey", "OPENAI_API_KEY": KEY}
    assert stat.S_IMODE(auth_file.stat().st_mode) == 0o600
    assert "Stored the API key sk-proj-***fghij in " in outcome.err
    assert "write access to the Responses API" in outcome.err
    assert KEY not in outcome.err


def test_a_missing_folder_is_made_and_named(tmp_path: Path) -> None:
    """0700 even under a generous umask, which the command inherits."""
    with umask(0):
        outcome = _sign_in(tmp_path / "new", KEY)
    assert f"Made the Codex folder {tmp_path}/new." in outcome.err
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


@pytest.mark.parametrize("case", ["empty", "two lines", "a JWT", "not ASCII", "far too long"])
def test_a_refused_key_changes_nothing(case: str, codex_home: Path) -> None:
    """Exit 2, and the sign-in before is still there."""
    (codex_home / "auth.json").write_text("{}")
    outcome = _sign_in(codex_home, REFUSED[case][0])
    assert outcome.exit_code == 2
    assert REFUSED[case][1] in outcome.err
    assert "MARKED" not in _printed(outcome)
    assert [path.name for path in codex_home.iterdir()] == ["auth.json"]
    assert (codex_home / "auth.json").read_text() == "{}"


def test_no_input_at_all(codex_home: Path) -> None:
    """/dev/null, a closed standard input, and one that cannot be read: wrong usage."""
    assert _sign_in(codex_home, None).exit_code == 2
    for redirect in ("<&-", "< /", f"0> {codex_home}/only-written"):
        done = subprocess.run(
            ["sh", "-c", f'"$0" login --with-api-key {redirect}', COMMAND],
            env=environment(codex_home, None),
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr
        assert done.returncode == 2 or redirect == "< /"  # there Python itself does not start
    assert not (codex_home / "auth.json").exists()


def test_a_terminal_is_refused(codex_home: Path) -> None:
    """A key that is typed or pasted would stand on the screen: the pipe is named."""
    environ = environment(codex_home, None)
    with Terminal("login", "--with-api-key", environ=environ) as terminal:
        assert terminal.wait(10) == 2
        shown = " ".join(terminal.text.split())
    assert "read from standard input only" in shown
    assert "printenv OPENAI_API_KEY | headless-login login --with-api-key" in shown


def test_forced_chatgpt_refuses_keys(codex_home: Path) -> None:
    """config.toml decides, before a key is even read."""
    (codex_home / "config.toml").write_text('forced_login_method = "chatgpt"')
    outcome = _sign_in(codex_home, KEY)
    assert outcome.exit_code == 3
    assert "forced_login_method" in outcome.err
    assert not (codex_home / "auth.json").exists()
    (codex_home / "config.toml").write_text('forced_login_method = "api"')
    assert _sign_in(codex_home, KEY).exit_code == 0


def test_what_codex_prefers_to_the_file_is_told(codex_home: Path) -> None:
    """A keyring and variables: otherwise the person wonders why the new key does nothing."""
    (codex_home / "config.toml").write_text('cli_auth_credentials_store = "auto"')
    environ = environment(codex_home, None, CODEX_API_KEY="MARKED-other-key")
    outcome = run("login", "--with-api-key", environ=environ, stdin=KEY)
    assert outcome.exit_code == 0
    assert 'Note: config.toml says cli_auth_credentials_store = "auto"' in outcome.err
    assert "Note: CODEX_API_KEY is set" in outcome.err
    assert "MARKED" not in outcome.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--api-key", LEGACY],
        [f"--api-key={LEGACY}"],
        ["--with-api-key", "--api-key", LEGACY],
        ["--api-key", LEGACY, "--paste-redirect"],
        ["--with-api-key", LEGACY],
        [f"--with-api-key={LEGACY}"],
        [LEGACY],
        ["--with-api-key", LEGACY, LEGACY],
        ["--codex-home", "/nonexistent", "--api-key", LEGACY],
        ["status", LEGACY],
    ],
    ids=lambda arguments: " ".join(arguments).replace(LEGACY, "KEY"),
)
def test_a_key_as_an_argument_is_never_echoed_or_stored(
    arguments: list[str], codex_home: Path
) -> None:
    """Exit 2 whatever form it has, and nothing of the value in any output."""
    outcome = run("login", *arguments, environ=environment(codex_home, None), stdin=KEY)
    assert outcome.exit_code == 2
    assert "MARKED" not in _printed(outcome)
    assert not list(codex_home.iterdir())


def test_the_legacy_flag_names_the_new_one(codex_home: Path) -> None:
    """And says that the key has been seen by others."""
    outcome = run("login", "--api-key", LEGACY, environ=environment(codex_home, None))
    assert "printenv OPENAI_API_KEY | headless-login login --with-api-key" in outcome.err
    assert "exposed" in outcome.err


def test_from_key_to_chatgpt_and_back(environ: dict[str, str], codex_home: Path) -> None:
    """Each sign-in replaces the file whole: nothing of the one before shines through."""
    auth_file = codex_home / "auth.json"
    assert _sign_in(codex_home, KEY).exit_code == 0
    with Piped("login", "--paste-redirect", environ=environ) as piped:
        assert piped.finish(approve(piped.read_url())).exit_code == 0
    found = json.loads(auth_file.read_text())
    assert list(found) == ["auth_mode", "OPENAI_API_KEY", "tokens", "last_refresh"]
    assert found["OPENAI_API_KEY"] is None
    assert _sign_in(codex_home, KEY).exit_code == 0
    found = json.loads(auth_file.read_text())
    assert found == {"auth_mode": "apikey", "OPENAI_API_KEY": KEY}
    stored = read_stored(CodexHome(str(codex_home)))
    assert stored
    assert stored.mode == "apikey"
    assert not [name for name in os.listdir(codex_home) if name.startswith(".auth-")]
