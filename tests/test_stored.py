"""Reading auth.json, whoever left it: tolerant, offline, and never guessing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headless_login.codex.home import CodexHome
from headless_login.codex.shape import Torn, read_shape
from headless_login.codex.stored import StoredSignIn, read_stored
from headless_login.commands.status import report_status
from headless_login.errors import LocalTrouble
from headless_login.oauth.identity import Identity
from tests.support.machine import NOBODY, as_user, public_folder, within
from tests.support.stored_files import (
    ACCESS_CLAIMS,
    ACCESS_EXPIRES,
    AUTH,
    KEY,
    NEW,
    NO_FILES,
    NOW,
    PROFILE,
    REFRESH_TOKEN,
    chatgpt,
    document,
    jwt,
    made_by,
    part,
    read,
    tokens,
    with_tokens,
    write,
)

OURS = chatgpt().content


def test_a_sign_in_of_ours(home: CodexHome) -> None:
    """Everything that status and logout need, and no secret in the repr."""
    assert "MARKED" not in repr((read(home, NEW.content), read(home, OURS)))
    assert read(home, OURS) == StoredSignIn(
        "chatgpt",
        Identity("ada@example.com", "acc-1", "plus"),
        float(ACCESS_EXPIRES),
        NOW // 1 - 60,
        None,
        REFRESH_TOKEN,
        "https://auth.openai.com",
        "app_EMoamEEZ73f0CkXaXp7hrann",
        workspace_id="acc-1",
        access_token=jwt(ACCESS_CLAIMS),
        last_refresh="2026-11-23T05:49:32.344965Z",
    )


@pytest.mark.parametrize(
    ("content", "issuer", "client_id"),
    [(document(), None, None), (made_by("", "x"), "", "x")],
    ids=["an older Codex", "an empty issuer"],
)
def test_where_it_comes_from(
    content: object, issuer: str | None, client_id: str | None, home: CodexHome
) -> None:
    """Issuer and client as they stand there, even an empty one: nobody guesses another."""
    stored = read(home, content)
    assert (stored.issuer, stored.client_id) == (issuer, client_id)


def test_nothing_there(home: CodexHome) -> None:
    """No file, no folder, a link to nowhere: no sign-in, and that is no error."""
    assert read_stored(home) is None
    assert read_stored(CodexHome(f"{home.path}/missing")) is None
    NO_FILES["a dangling link"](Path(home.auth_file))
    assert read_stored(home) is None


OPAQUE = "opaque-access-token"
MODES: dict[str, tuple[object, str | None]] = {
    "chatgpt": (document(), "chatgpt"),
    "without auth_mode": (document(auth_mode=...), "chatgpt"),
    "auth_mode null": (document(auth_mode=None), "chatgpt"),
    "unknown members": (document(new={"a": [1]}) | {"": None}, "chatgpt"),
    "unknown members of the tokens": (with_tokens(new=1), "chatgpt"),
    "without last_refresh": (document(last_refresh=...), "chatgpt"),
    "an opaque access token": (with_tokens(access_token=OPAQUE), "chatgpt"),
    "only a refresh token": (with_tokens(access_token=""), "chatgpt"),
    "a long number": (b'{"n": %s, ' % (b"1" * 5000) + OURS[1:], "chatgpt"),
    "API key": ({"auth_mode": "apikey", "OPENAI_API_KEY": KEY}, "apikey"),
    "a key alone": ({"OPENAI_API_KEY": KEY}, "apikey"),
    "a key beside tokens": (document(auth_mode=..., OPENAI_API_KEY=KEY), "apikey"),
    "a key beside tokens in use": (document(OPENAI_API_KEY=KEY), "chatgpt"),
    "agent without its identity": (document(auth_mode="agentIdentity"), None),
    "a later mode, other members": ({"auth_mode": "new", "tokens": [1]}, "new"),
    "an empty object": ({}, None),
    "chatgpt without tokens": ({"auth_mode": "chatgpt"}, None),
    "chatgpt, tokens null": (document(tokens=None), None),
    "chatgpt with a key only": ({"auth_mode": "chatgpt", "OPENAI_API_KEY": KEY}, None),
    "empty tokens": (with_tokens(access_token="", refresh_token=""), None),
    "apikey without a key": ({"auth_mode": "apikey"}, None),
    "apikey, key null": ({"auth_mode": "apikey", "OPENAI_API_KEY": None}, None),
    "apikey, key empty": ({"auth_mode": "apikey", "OPENAI_API_KEY": ""}, None),
}


@pytest.mark.parametrize("case", MODES)
def test_modes(case: str, home: CodexHome) -> None:
    """The mode that Codex would be in, and None only where there is nothing to use."""
    content, mode = MODES[case]
    assert read(home, content).mode == mode


UNUSABLE: dict[str, tuple[object, str]] = {
    "empty": (b"", "is empty"),
    "blank": (b" \n", "is empty"),
    "torn": (OURS[:-40], "is not valid JSON"),
    "two documents": (OURS * 2, "is not valid JSON"),
    "invalid UTF-8": (b'{"auth_mode": "\xff"}', "is not valid JSON"),
    "NUL bytes": (b"\0" * 100, "is not valid JSON"),
    "NaN": (b'{"x": NaN}', "is not valid JSON"),
    "Infinity": (b'{"x": -Infinity}', "is not valid JSON"),
    "a byte-order mark": (b"\xef\xbb\xbf" + OURS, "byte-order mark"),
    "UTF-16": (OURS.decode().encode("utf-16"), "byte-order mark"),
    "deep": (b'{"x":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
    "10 MB": (b'{"x": "' + b"x" * 10_000_000 + b'"}', "far too long"),
    "a list": ([], "another shape"),
    "a text": ("x", "another shape"),
    "null": (None, "another shape"),
    "a number": (7, "another shape"),
    "auth_mode a number": (document(auth_mode=7), "its auth_mode is not a mode"),
    "auth_mode empty": (document(auth_mode=""), "its auth_mode is not a mode"),
    "key a number": (document(OPENAI_API_KEY=7), "its OPENAI_API_KEY is not a text"),
    "last_refresh empty": (document(last_refresh=""), "its last_refresh is not a time"),
    "last_refresh a number": (document(last_refresh=1), "its last_refresh is not a time"),
    "last_refresh a day": (document(last_refresh="2026-11-23"), "its last_refresh is not a time"),
    "tokens a text": (document(tokens="x"), "its tokens are not an object"),
    "tokens a list": (document(tokens=[]), "its tokens are not an object"),
    "tokens empty": (document(tokens={}), "its id_token is missing"),
    "no refresh token": (with_tokens(refresh_token=...), "its refresh_token is missing"),
    "access token null": (with_tokens(access_token=None), "its access_token is missing"),
    "ID token no JWT": (with_tokens(id_token="nonsense"), "its id_token is not a JSON Web"),
    "ID token empty": (with_tokens(id_token=""), "its id_token is not a JSON Web"),
    "ID token not JSON": (with_tokens(id_token="a.b.c"), "its id_token is not a JSON Web"),
    "ID token deep": (with_tokens(id_token=f"e30.{'W1tb' * 9000}.x"), "its id_token is not"),
    "account a number": (with_tokens(account_id=7), "its account_id is not a text"),
    "provenance a text": (with_tokens(oauth_provenance="x"), "its oauth_provenance is not an"),
    "provenance empty": (with_tokens(oauth_provenance={}), "its issuer is missing"),
    "a key beside broken tokens": (
        {"auth_mode": "apikey", "OPENAI_API_KEY": KEY, "tokens": "x"},
        "its tokens are not an object",
    ),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_is_not_the_same_as_signed_out(case: str, home: CodexHome) -> None:
    """What Codex itself cannot read gets a true sentence, exit 6, and is left alone."""
    content, phrase = UNUSABLE[case]
    with pytest.raises(LocalTrouble, match=phrase) as caught:
        read(home, content)
    assert (caught.value.error, caught.value.exit_code) == ("store_failed", 6)
    assert caught.value.message.startswith(home.auth_file)
    assert "igned in" not in caught.value.message
    assert "MARKED" not in caught.value.message + caught.value.hint
    assert caught.value.__cause__ is None
    encoded = content if isinstance(content, bytes) else json.dumps(content).encode()
    assert Path(home.auth_file).read_bytes() == encoded


# Files that are none, and files that may not be read.


@pytest.mark.parametrize(
    ("case", "phrase"),
    [
        ("a pipe", "it is not a regular file"),
        ("a device", "it is not a regular file"),
        ("a folder", "it is a folder"),
        ("a link to itself", "Too many levels"),
    ],
)
def test_what_is_no_file(case: str, phrase: str, home: CodexHome) -> None:
    """A pipe is not waited for, a device not read to its end, which never comes."""
    NO_FILES[case](Path(home.auth_file))
    with pytest.raises(LocalTrouble, match=f"cannot be read: {phrase}"):
        within(5, lambda: read_stored(home))


def test_a_file_in_the_folders_place(home: CodexHome) -> None:
    """CODEX_HOME being a file is trouble, and not a machine without a sign-in."""
    write(home, OURS)
    with pytest.raises(LocalTrouble, match="Not a directory"):
        read_stored(CodexHome(home.auth_file))


@pytest.mark.parametrize("closed", ["file", "folder"])
def test_what_may_not_be_read(closed: str) -> None:
    """Without permission nobody knows whether there is a sign-in: never `not signed in`."""
    with public_folder() as parent:
        home = CodexHome(str(parent / "codex"))
        home.make()
        Path(home.path).chmod(0 if closed == "folder" else 0o755)
        path = write(home, OURS, 0 if closed == "file" else 0o644)
        said = as_user(NOBODY, lambda: read_stored(home))
        Path(home.path).chmod(0o700)
    assert said == f"LocalTrouble: {path} cannot be read: Permission denied."


# A file that is being written.


def test_a_torn_file_is_read_again(home: CodexHome) -> None:
    """Half a file and an empty one, as older versions of Codex leave them for a moment."""
    stages = [b"", OURS[: len(OURS) // 2], OURS]
    write(home, stages.pop(0))
    pauses = []

    def write_on(seconds: float) -> None:
        pauses.append(seconds)
        write(home, stages.pop(0))

    stored = read_stored(home, sleep=write_on)
    assert stored
    assert stored.mode == "chatgpt"
    assert pauses == [0.05, 0.05]


def test_a_torn_file_is_told_wherever_it_ends() -> None:
    """It is never taken for another sign-in."""
    for end in range(len(OURS)):
        with pytest.raises(Torn):
            read_shape(OURS[:end])


def test_a_torn_file_that_goes_away(home: CodexHome) -> None:
    """Removed before the second look: there is no sign-in then."""
    path = write(home, b"{")
    assert read_stored(home, sleep=lambda _: path.unlink()) is None


@pytest.mark.parametrize(("content", "looks"), [(b"{", 4), (b"[]", 1)])
def test_patience_with_a_torn_file_ends(content: bytes, looks: int, home: CodexHome) -> None:
    """After four looks in 0.15 seconds it is broken; other trouble is not looked at twice."""
    write(home, content)
    pauses: list[float] = []
    with pytest.raises(LocalTrouble):
        read_stored(home, sleep=pauses.append)
    assert pauses == [0.05] * (looks - 1)


# Whom it names, and until when.

ADA, UNNAMED = Identity("ada@example.com", "acc-1", "plus"), Identity(None, None, None)
WHO: dict[str, tuple[object, Identity]] = {
    "as written": (document(), ADA),
    "account in the file only": (
        with_tokens(id_token=jwt({"email": "a@b.c"}), account_id="acc-2"),
        Identity("a@b.c", "acc-2", None),
    ),
    "account in the token only": (with_tokens(account_id=...), ADA),
    # Codex sends the one in the file.
    "account in both": (with_tokens(account_id="acc-2"), ADA._replace(account_id="acc-2")),
    "e-mail in the profile": (
        with_tokens(id_token=jwt({PROFILE: {"email": "p@b.c"}})),
        Identity("p@b.c", "acc-1", None),
    ),
    "e-mail in the access token": (
        with_tokens(id_token=jwt({}), access_token=jwt({PROFILE: {"email": "x@b.c"}})),
        Identity("x@b.c", "acc-1", None),
    ),
    "nobody": (with_tokens(id_token=jwt({}), account_id=...), UNNAMED),
    "claims of other types": (
        with_tokens(
            access_token=jwt({"email": 7, AUTH: [], PROFILE: "x"}),
            id_token=jwt({}),
            account_id=None,
        ),
        UNNAMED,
    ),
    "an API key": (document(auth_mode="apikey", OPENAI_API_KEY=KEY), UNNAMED),
}


@pytest.mark.parametrize("case", WHO)
def test_whom_it_names(case: str, home: CodexHome) -> None:
    """From the file, the ID token, the access token; what nobody names is None."""
    content, identity = WHO[case]
    assert read(home, content).identity == identity


NAN, INFINITY = float("nan"), float("inf")
NO_TIMES = [253402300800, 10**400, -1, NAN, INFINITY, -INFINITY, "1795412972", True, None, [1]]


@pytest.mark.parametrize(
    ("exp", "expected"),
    [*((exp, exp) for exp in (0, 1, 1.5, 253402300799)), *((exp, None) for exp in NO_TIMES)],
)
def test_until_when(exp: object, expected: float | None, home: CodexHome) -> None:
    """The access token's `exp` if it is a time that can be shown; nothing else is one."""
    claims = ACCESS_CLAIMS | {"exp": exp}
    assert read(home, with_tokens(access_token=jwt(claims))).access_token_expires_at == expected


ENDING = tokens(refresh_token="")


@pytest.mark.parametrize(
    ("content", "now", "usable"),
    [
        (document(), ACCESS_EXPIRES - 1, True),
        (document(), ACCESS_EXPIRES, True),
        (with_tokens(account_id=None), ACCESS_EXPIRES, False),
        (document(tokens=ENDING), ACCESS_EXPIRES - 1, True),
        (document(tokens=ENDING), ACCESS_EXPIRES, False),
        (with_tokens(access_token=OPAQUE, refresh_token=""), 4e9, True),
        (document(auth_mode=..., OPENAI_API_KEY=KEY), 4e9, True),
        (document(auth_mode=..., OPENAI_API_KEY=KEY, tokens=ENDING), 4e9, True),
        ({"auth_mode": "new"}, 4e9, False),
        ({}, 0, False),
    ],
)
def test_whether_codex_could_work_with_it(
    content: object, now: float, usable: bool, home: CodexHome
) -> None:
    """An expired access token needs a refresh token and an account id; a key needs none."""
    assert read(home, content).usable(now) is usable


@pytest.mark.parametrize(
    ("mode", "private"), [(0o600, True), (0o400, True), (0o640, False), (0o604, False)]
)
def test_whether_others_can_read_it(mode: int, private: bool, home: CodexHome) -> None:
    """Any right of anybody else counts; of a link, those of the file."""
    path = write(home, OURS, mode)
    path.rename(path.with_name("real"))
    path.symlink_to("real")
    stored = read_stored(home)
    assert stored
    assert stored.private is private


# Whatever there may be.

_ODD = ["chatgpt", "apikey", "", "2026-11-23T05:49:32Z", KEY, "a.b.c", "e30.e30.x"]
_TEXTS = st.text(st.characters(codec=None), max_size=20) | st.sampled_from(_ODD)
_ANYTHING: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def _object(names: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names), values, max_size=len(names))


_CLAIMS = _object(
    ["email", "exp", "iat", AUTH, PROFILE],
    _ANYTHING | _object(["email", "chatgpt_account_id", "chatgpt_plan_type"], _ANYTHING),
)
_JWTS = st.builds(lambda claims: f"e30.{part(claims)}.x", _CLAIMS | _ANYTHING)
_TOKENS = st.fixed_dictionaries(
    {name: _JWTS | st.text(max_size=9) for name in ("id_token", "access_token", "refresh_token")},
    optional={
        "account_id": _ANYTHING,
        "oauth_provenance": _ANYTHING | _object(["issuer", "client_id"], _ANYTHING),
    },
)
_DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "auth_mode": st.sampled_from(["chatgpt", "apikey", None]) | _ANYTHING,
        "OPENAI_API_KEY": st.none() | _ANYTHING,
        "tokens": _TOKENS | _ANYTHING,
        "last_refresh": st.none() | _ANYTHING,
        "unknown": _ANYTHING,
    },
)


@settings(max_examples=450, suppress_health_check=list(HealthCheck))
@given(content=_DOCUMENTS | _ANYTHING | st.binary(max_size=300))
def test_anything_is_read_or_told(content: object, home: CodexHome) -> None:
    """Codex's names with any values: a report that can be printed, or LocalTrouble; no defect."""
    try:
        stored = read(home, content)
    except LocalTrouble:
        return
    text, exit_code = report_status(home, {}, NOW, as_json=True)
    assert "\n" not in text
    assert json.loads(text)["signed_in"] is (exit_code == 0) is stored.usable(NOW)
    shown, _ = report_status(home, {}, NOW, as_json=False)
    assert all(line.isprintable() for line in shown.split("\n"))
    shown.encode()
