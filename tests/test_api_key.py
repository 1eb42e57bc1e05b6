"""`login --with-api-key`: a key from standard input only, shown to nobody, stored whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headless_login.codex.home import CodexHome
from headless_login.codex.keys import masked, read_api_key
from headless_login.errors import WrongUsage
from tests.support.machine import has_mode, posix_shell, umask
from tests.support.program import COMMAND, Outcome, Terminal, environment, run
from tests.support.stored_files import KEY, jwt, write

LEGACY = "sk-legacy-MARKED-value-0123456789"
WINDOWS_PIPE = "type FILE | headless-login login --with-api-key"
PIPE = "printenv OPENAI_API_KEY | headless-login login --with-api-key"
PIPE = WINDOWS_PIPE if sys.platform == "win32" else PIPE


def _sign_in(home: CodexHome, stdin: str | bytes | None, *words: str, **extra: str) -> Outcome:
    """Run the command with a key in a pipe; nothing of a key is said."""
    arguments = words or ("--with-api-key",)
    outcome = run("login", *arguments, environ=environment(home.path, None, **extra), stdin=stdin)
    assert "MARKED" not in outcome.out + outcome.err
    return outcome


# What is a key.


BARE = KEY.encode()
WRAPPED = [
    *(BARE, BARE + b"\n", BARE + b"\r\n", b"\n\t  " + BARE + b" \n\n"),
    *(f"\ufeff{KEY}\n".encode(), f" \ufeff{KEY}\ufeff ".encode(), f"{KEY}\r\n".encode("utf-16")),
    *(b"\xff\xfe" + KEY.encode("utf-16-le"), b"\xfe\xff" + KEY.encode("utf-16-be")),
]


@pytest.mark.parametrize("content", WRAPPED)
def test_a_key_is_taken_out_of_its_wrapping(content: bytes) -> None:
    """Blanks, line ends and byte-order marks around it, and what PowerShell writes."""
    assert read_api_key(content) == KEY


ACCESS_TOKEN, ODD = "an access token, not an API key", "characters that no key has"
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
    "not ASCII": (f"{KEY}ä".encode(), ODD),
    "Latin-1": (f"{KEY}ä".encode("latin-1"), ODD),
    "a dash of a word processor": ("sk–MARKED0123456789".encode(), ODD),
    "an escape sequence": (f"\x1b[200~{KEY}".encode(), ODD),
    "NUL": (f"{KEY}\0".encode(), ODD),
    "UTF-16 without a mark": (KEY.encode("utf-16-le"), ODD),
    "UTF-32": (KEY.encode("utf-32"), ODD),
    "a zero-width space": (f"{KEY[:9]}\u200b{KEY[9:]}".encode(), ODD),
    "a JWT": (jwt({"MARKED": 1}).encode(), ACCESS_TOKEN),
    "an access token": (b"at-MARKED-0123456789", ACCESS_TOKEN),
    **{
        word: (word.encode(), "stands in the place of one")
        for word in (
            *(
                "null",
                "None",
                "undefined",
                "$OPENAI_API_KEY",
                "${KEY}",
                "%OPENAI_API_KEY%",
                "<key>",
            ),
            *(
                "your-api-key",
                "YOUR_API_KEY_HERE",
                "sk-...",
                "sk-xxxxxxxxxxxxxxxx",
                "sk-proj-***abcde",
            ),
            *("/home/ada/key.txt", "./key.txt", "~/key.txt", "{api_key}", "[object", "changeme"),
            *("\\\\server\\key.txt", "xxxxxxxx", "api_key", "TODO", "my-secret-token", "********"),
        )
    },
    "far too long": (b"k" * 4097, "longer than any API key"),
    "a file of another kind": (b"MARKED" * 20_000, "longer than any API key"),
}


@pytest.mark.parametrize(
    "key",
    [
        *(
            KEY,
            "sk-0123456789abcdef",
            "sk-ant-api03-AbC_dEf-123",
            "gsk_9aBcDeFgHiJk",
            "hf_aBcDeFgHi",
        ),
        *("AIzaSyA-0b1c2d3e4f5g6h", "0123456789abcdef0123456789abcdef", "pplx-1a2b3c", "ollama"),
        *(
            "sk-or-v1-0a1b2c",
            "sess-0a1b2c3d",
            "1a2b:3c4d",
            "key-from-the-office",
            "dummy-but-taken",
        ),
    ],
)
def test_keys_of_any_gateway_are_taken(key: str) -> None:
    """Whatever it looks like: a word of one's own choice is a key to a gateway of one's own."""
    assert read_api_key(f"{key}\n".encode()) == key


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_key_is_refused(case: str) -> None:
    """With the right command to use instead, and without a word of what was read."""
    content, phrase = REFUSED[case]
    with pytest.raises(WrongUsage) as caught:
        read_api_key(content)
    assert phrase in caught.value.message
    way = "--with-access-token" if phrase == ACCESS_TOKEN else "--with-api-key"
    assert f"headless-login login {way}" in caught.value.hint
    assert "MARKED" not in caught.value.message + caught.value.hint + repr(caught.value)


_BYTES = st.binary(max_size=60) | st.text(max_size=30).flatmap(
    lambda text: st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"]).map(
        lambda encoding: text.encode(encoding)
    )
)


@settings(max_examples=500)
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
    [(KEY, "sk-proj-***fghij"), ("k" * 22, "kkkkkkkk***kkkkk"), ("k" * 21, "***"), ("", "***")],
)
def test_a_key_is_masked(key: str, shown: str) -> None:
    """The first 8 and last 5 characters, and only where most of it stays hidden."""
    assert masked(key) == shown


# From outside.


def test_a_key_is_stored(tmp_path: Path) -> None:
    """Exactly Codex's document; people read the masked key, where it is, what it has to allow."""
    home = CodexHome(str(tmp_path / "new"))
    with umask(0):  # which the command inherits
        outcome = _sign_in(home, f"{KEY}\n")
    assert (outcome.exit_code, outcome.out) == (0, "")
    path = Path(home.auth_file)
    assert json.loads(path.read_text()) == {"auth_mode": "apikey", "OPENAI_API_KEY": KEY}
    assert has_mode(path, 0o600)
    assert has_mode(path.parent, 0o700)
    assert f"Made the Codex folder {home.path}." in outcome.err
    assert f"Stored the API key sk-proj-***fghij in {path}." in outcome.err
    assert "write access to the Responses API" in outcome.err


@pytest.mark.parametrize("case", ["empty", "two lines", "a JWT", "not ASCII", "far too long"])
def test_a_refused_key_changes_nothing(case: str, home: CodexHome) -> None:
    """Exit 2, and the sign-in before is still there."""
    path = write(home, {})
    outcome = _sign_in(home, REFUSED[case][0])
    assert outcome.exit_code == 2
    assert REFUSED[case][1] in outcome.err
    assert os.listdir(home.path) == ["auth.json"]
    assert path.read_text() == "{}"


@posix_shell
def test_no_input_at_all(home: CodexHome) -> None:
    """/dev/null, a closed standard input, and one that cannot be read: wrong usage."""
    assert _sign_in(home, None).exit_code == 2
    for redirect in ("<&-", "< /", f"0> {home.path}/only-written"):
        done = subprocess.run(
            ["sh", "-c", f'"$0" login --with-api-key {redirect}', COMMAND],
            env=environment(home.path, None),
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr
        assert done.returncode == 2 or redirect == "< /"  # there Python itself does not start
    assert not os.path.exists(home.auth_file)


@pytest.mark.parametrize(("typed", "expected"), [(f"{KEY}\r", 0), ("\x03", 130), ("\x04", 2)])
def test_a_person_is_asked_without_echo(typed: str, expected: int, home: CodexHome) -> None:
    """On a terminal the key is asked for, and nothing of it is shown."""
    environ = environment(home.path, None)
    with Terminal("login", "--with-api-key", environ=environ) as terminal:
        terminal.read_until("Paste the API key")
        terminal.send(typed)
        assert terminal.wait() == expected
        assert KEY not in terminal.text
    assert os.path.exists(home.auth_file) is (expected == 0)


def test_forced_chatgpt_refuses_keys(home: CodexHome) -> None:
    """config.toml decides, before a key is even read."""
    Path(home.config_file).write_text('forced_login_method = "chatgpt"')
    outcome = _sign_in(home, KEY)
    assert outcome.exit_code == 3
    assert "forced_login_method" in outcome.err
    assert not os.path.exists(home.auth_file)
    Path(home.config_file).write_text('forced_login_method = "api"')
    assert _sign_in(home, KEY).exit_code == 0


def test_what_codex_prefers_to_the_file_is_told(home: CodexHome) -> None:
    """A variable: otherwise the person wonders why the new key does nothing."""
    outcome = _sign_in(home, KEY, CODEX_API_KEY="MARKED-other-key")
    assert outcome.exit_code == 0
    assert "Note: CODEX_API_KEY is set" in outcome.err


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
    arguments: list[str], home: CodexHome
) -> None:
    """Exit 2 whatever form it has, and nothing of the value in any output."""
    assert _sign_in(home, KEY, *arguments).exit_code == 2
    assert os.listdir(home.path) == []


def test_the_legacy_flag_names_the_new_one(home: CodexHome) -> None:
    """And says that the key has been seen by others."""
    outcome = _sign_in(home, None, "--api-key", LEGACY)
    assert PIPE in outcome.err
    assert "exposed" in outcome.err
