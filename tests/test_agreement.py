"""`login status` and the real Codex's, side by side: every file, policy, store and environment."""

from __future__ import annotations

import json
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from headless_login.codex.home import CodexHome
from headless_login.codex.keyring import user_name
from headless_login.codex.rules import PolicyPlace, Rules
from headless_login.codex.verdict import notes
from headless_login.commands.status import report_status
from headless_login.errors import LocalTrouble
from tests.support.codex import NEWEST
from tests.support.keyring import SecretService, secret_service
from tests.support.own_etc import OwnEtc, own_etc
from tests.support.program import environment, run
from tests.support.stored_files import AUTH, ID_CLAIMS, PROFILE, document, jwt, part, with_tokens

NOW = 1_800_000_000.0
LIVE = jwt({"exp": 4_000_000_000})
KEY = {"auth_mode": "apikey", "OPENAI_API_KEY": "sk-0123456789abcdefghij0123456789"}
AGENT = jwt({"account_id": "acc-1", "exp": 4_000_000_000})
BEDROCK = {"api_key": "k", "region": "us-east-1"}
AWS = {"access_key_id": "a", "secret_access_key": "s", "region": "us-east-1"}


class Row(NamedTuple):
    """One file in one Codex folder, under one policy, in one environment.

    `etc` and `config` are TOML, by the file's name and for config.toml; None is no file.
    """

    auth: object = None
    etc: Mapping[str, str] = {}
    config: str | None = None
    environ: Mapping[str, str] = {}


def chatgpt(**changes: object) -> dict[str, object]:
    return with_tokens(access_token=LIVE, **changes)


FILES: dict[str, object] = {
    "none": None,
    "chatgpt": chatgpt(),
    "chatgpt without account": chatgpt(account_id=None),
    "chatgpt without refresh token": chatgpt(refresh_token=""),
    "access token ended": with_tokens(access_token=jwt({"exp": 1})),
    "external tokens": chatgpt() | {"auth_mode": "chatgptAuthTokens"},
    "key": KEY,
    "key without mode": {"OPENAI_API_KEY": KEY["OPENAI_API_KEY"]},
    "key null": {"auth_mode": "apikey", "OPENAI_API_KEY": None},
    "key beside tokens": chatgpt() | KEY,
    "key beside tokens, no mode": {**chatgpt(), **KEY, "auth_mode": None},
    "personal": {"OPENAI_API_KEY": None, "personal_access_token": "at-0123456789"},
    "personal null": {"auth_mode": "personalAccessToken"},
    "agent": {"auth_mode": "agentIdentity", "OPENAI_API_KEY": None, "agent_identity": AGENT},
    "agent null": {"auth_mode": "agentIdentity"},
    "bedrock key": {"auth_mode": "bedrockApiKey", "bedrock_api_key": BEDROCK},
    "bedrock key null": {"auth_mode": "bedrockApiKey"},
    "aws": {"auth_mode": "bedrockAccessKeys", "bedrock_access_keys": AWS},
    "aws null": {"auth_mode": "bedrockAccessKeys"},
    "a later mode": {"auth_mode": "mindReading"},
    "empty object": {},
    "chatgpt without tokens": {"auth_mode": "chatgpt"},
    "empty key": {"auth_mode": "apikey", "OPENAI_API_KEY": ""},
    "ended access only": with_tokens(access_token=jwt({"exp": 1}), refresh_token=""),
}
# Where ours knowingly differs (cli.md). Codex says "signed in" of these:
WITHOUT_CREDENTIAL = {
    "empty object",
    "chatgpt without tokens",
    "empty key",
    "ended access only",
}
# And of these only a server can tell; Codex asks it, and gets no answer here.
UNCHECKED = {"personal", "agent"}


def forced(way: str) -> str:
    return f'forced_login_method = "{way}"'


def workspaces(value: object) -> str:
    return f"forced_chatgpt_workspace_id = {json.dumps(value)}"


def allowed(*ways: str) -> dict[str, str]:
    return {"requirements.toml": f"allowed_login_methods = {json.dumps(ways)}"}


def limited(*names: str) -> dict[str, str]:
    return {"requirements.toml": f"allowed_chatgpt_workspaces = {json.dumps(names)}"}


POLICIES: dict[str, Row] = {
    "no policy": Row(),
    "forced chatgpt": Row(config=forced("chatgpt")),
    "forced api": Row(config=forced("api")),
    "managed api": Row(etc={"managed_config.toml": forced("api")}, config=forced("chatgpt")),
    "machine's config": Row(etc={"config.toml": forced("api")}),
    "allowed chatgpt": Row(etc=allowed("chatgpt")),
    "allowed api": Row(etc=allowed("api")),
    "this workspace": Row(config=workspaces("acc-1")),
    "another workspace": Row(config=workspaces(["x", "y"])),
    "limited to another": Row(etc=limited("x")),
    "limited to none": Row(etc=limited()),
}
MATRIX = {
    f"{file}, {policy}": row._replace(auth=auth)
    for file, auth in FILES.items()
    for policy, row in POLICIES.items()
}

STRENGTHS: dict[str, Row] = {
    f"{name}: {text}": Row(chatgpt(), etc, text)
    for name, etc, text in [
        ("overridden below", {"config.toml": forced("sso")}, forced("chatgpt")),
        ("overridden below", {"config.toml": workspaces("x")}, workspaces([])),
        ("overridden below", {"config.toml": workspaces("x")}, workspaces("")),
        ("managed wins", {"managed_config.toml": forced("chatgpt")}, forced("api")),
        ("managed wins", {"managed_config.toml": workspaces("acc-1")}, workspaces("x")),
        ("intersected", limited("x", "acc-1"), workspaces(["acc-1", "y"])),
        ("intersected to nothing", limited("x"), workspaces(["acc-1"])),
        ("intersected to another", limited("x"), workspaces(["acc-1", "x"])),
        ("intersected to nothing", allowed("api"), forced("chatgpt")),
        ("nothing left", allowed(), ""),
        ("nothing left", limited(), forced("chatgpt")),
        ("not a key there", {"requirements.toml": forced("api")}, ""),
        ("not a key there", {"managed_config.toml": 'allowed_login_methods = ["api"]'}, ""),
        ("not a key there", {}, "allowed_login_methods = 7"),
        ("not read there", {}, '[profiles.x]\nforced_login_method = "api"'),
        ("trimmed", {}, workspaces(" acc-1 ")),
        ("trimmed", limited(" acc-1 ", ""), ""),
        ("blank", limited(" "), ""),
        ("blank", {}, workspaces([" "])),
        ("case matters", limited("ACC-1"), ""),
        ("comma", {}, workspaces("acc-1,x")),
        ("comma in a list", {}, workspaces(["acc-1,x"])),
        ("wrong type", {}, "forced_chatgpt_workspace_id = 7"),
        ("wrong type", {}, "forced_chatgpt_workspace_id = {a = 1}"),
        ("wrong type", {}, 'forced_chatgpt_workspace_id = ["acc-1", 7]'),
        ("wrong type", {}, "forced_login_method = []"),
        ("wrong word", {}, forced("sso")),
        ("wrong word", {}, forced("chatgpt ")),
        ("wrong word", {}, forced("")),
        ("wrong word", allowed("API"), ""),
        ("wrong type", {"requirements.toml": 'allowed_login_methods = "api"'}, ""),
        ("wrong type", {"requirements.toml": "allowed_login_methods = {a = 1}"}, ""),
        ("wrong type", {"requirements.toml": 'allowed_chatgpt_workspaces = "x"'}, ""),
        ("broken", {}, "x = ["),
        ("broken", {"requirements.toml": "x = ["}, ""),
        ("broken", {"managed_config.toml": "x = ["}, ""),
        ("broken", {"config.toml": "x = ["}, ""),
        ("a byte-order mark", {"requirements.toml": "\ufeffx = 1"}, f"\ufeff{forced('chatgpt')}"),
        ("empty", {"requirements.toml": "", "config.toml": ""}, ""),
    ]
}


def _raw(text: str | bytes) -> str:
    content = text.encode() if isinstance(text, str) else text
    return urlsafe_b64encode(content).decode().rstrip("=")


def changed(**changes: object) -> dict[str, object]:
    return document(tokens={**chatgpt()["tokens"], **changes})  # type: ignore[dict-item]


MEMBERS: dict[str, tuple[object, ...]] = {
    "personal_access_token": (7, "", {}),
    "agent_identity": (7, "x", {"agent_runtime_id": "a"}),
    "bedrock_api_key": (7, {}, BEDROCK, BEDROCK | {"api_key": 7}, BEDROCK | {"x": 1}),
    "bedrock_access_keys": ({}, AWS, {"access_key_id": "a", "secret_access_key": "s"}),
    "OPENAI_API_KEY": (7, "sk-x"),
    "tokens": (None, [], "x"),
    "last_refresh": (
        *(7, "", "yesterday", None, "2026-11-23T05:49:32+01:00", "2026-11-23 05:49:32Z"),
        *("2026-11-23T05:49:32", "2026-11-23", "2026-11-23T05:49:32.1234567891234Z"),
        *("20261123T054932Z", "2026-W48-1T00:00:00Z", "2026-11-23T05:49Z"),
        *("2026-11-23t05:49:32z", "2026-11-23T05:49:60Z", "2026-11-23T24:00:00Z"),
        *("2026-02-30T00:00:00Z", "2026-11-23T05:49:32+0100"),
    ),
    "auth_mode": (7, "", "ChatGPT", "api_key"),
}
OF_TOKENS: dict[str, tuple[object, ...]] = {
    "oauth_provenance": ({"issuer": "i"}, {"issuer": "i", "client_id": "c"}, None, []),
    "login_owner_id": (7, None),
    "account_id": (7,),
    "access_token": (None, 7),
    "refresh_token": (None,),
    "more": (7,),
    "id_token": (
        *(7, "", "a.b", "e30.e3.c2ln", "e30.e30.", ".e30.x", "e30.e30=.x", "e30.e30.x.y"),
        *("!!.e30.x", "e30.a+b/.x", f"{part({'alg': 'none'})}.{part({})}."),
        *(f"e30.{part({'email': 7})}.x", f"e30.{part({AUTH: {'chatgpt_account_id': 7}})}.x"),
        *(f"e30.{part({AUTH: {'chatgpt_plan_type': 'new'}})}.x", jwt({"exp": "x"})),
        jwt(ID_CLAIMS | {AUTH: {"chatgpt_account_id": "another"}}),
    ),
}
# What stands in an ID token, as it stands there. (Ours differs on what no issuer makes: an array
# for an object, which Codex reads by position, and nesting that Python does not read.)
CLAIMS: tuple[str | bytes, ...] = (
    *('{"email":"a","email":"b"}', '{"x":1,"x":2}', f'{{"{AUTH}":{{}},"{AUTH}":{{}}}}'),
    f'{{"{AUTH}":{{"chatgpt_account_id":"a","chatgpt_account_id":"b"}}}}',
    f'{{"{AUTH}":{{"chatgpt_plan_type":"plus","chatgpt_plan_type":"pro"}}}}',
    f'{{"{AUTH}":{{"chatgpt_user_id":"a","chatgpt_user_id":"b"}}}}',
    f'{{"{AUTH}":{{"user_id":"a","user_id":"b"}}}}',
    f'{{"{AUTH}":{{"user_id":7}}}}',
    f'{{"{AUTH}":{{"user_id":"a","chatgpt_user_id":"b"}}}}',
    f'{{"{AUTH}":{{"chatgpt_account_is_fedramp":"x"}}}}',
    f'{{"{AUTH}":{{"chatgpt_account_is_fedramp":true,"chatgpt_account_is_fedramp":true}}}}',
    f'{{"{AUTH}":{{"chatgpt_account_is_fedramp":null}}}}',
    f'{{"{AUTH}":{{"x":1,"x":2}}}}',
    f'{{"{PROFILE}":{{"email":"a","email":"b"}}}}',
    f'{{"{PROFILE}":{{}},"{PROFILE}":{{}}}}',
    *(f'{{"{AUTH}":null}}', f'{{"{PROFILE}":7}}'),
    *("\ufeff{}", " {}\n", "null", "{} x", "", '{"exp":1,"exp":2}', '{"exp":[]}'),
    *('{"x":NaN}', '{"x":Infinity}', '{"x":1e999}', '{"x":-0,"y":' + "9" * 5000 + "}"),
    *('{"x":"\\ud800"}', '{"email":"\\ud800"}', '{"email":null}', '{"x":"\t"}', '{"x":01}'),
    *('{"x":' + "[" * depth + "]" * depth + "}" for depth in (120, 127, 128)),
    *(b'{"x":"\xff"}', b'{"email":"\xff"}', '{"x":1}'.encode("utf-16"), b"{}\0"),
)
PARTS = ("e31", "e30 ", "e30\n", "e3 0", " e30", "e30!", "e", "e30.e30.e30", "ey0", "\u00e9e30")
TEXTS = [
    *("null", "[]", "", " \n", '{"auth_mode":null}', "{} x", "\ufeff{}", '{"x":01}'),
    *('{"a":1,}', '{"auth_mode":"apikey","OPENAI_API_KEY":"sk-1"'),
]
TEXTS += [
    f'{{"auth_mode":"apikey","OPENAI_API_KEY":"sk-1",{more}}}'
    for more in (
        *(
            '"OPENAI_API_KEY":"sk-2"',
            '"x":NaN',
            '"x":"\t"',
            '"x":"\\ud800"',
            '"agent_identity":"\\ud800"',
            '"x":1,"x":2',
        ),
        '"x":1e999,"y":-0,"z":' + "9" * 400,
    )
]
SHAPES: dict[str, Row] = {
    **{f"{n}={v!r:.60}": Row(chatgpt() | {n: v}) for n, values in MEMBERS.items() for v in values},
    **{
        f"tokens.{name}={value!r:.60}": Row(changed(**{name: value}))
        for name, values in OF_TOKENS.items()
        for value in values
    },
    **{
        f"claims {text[-60:]!r}": Row(changed(id_token=f"e30.{_raw(text)}.c2ln")) for text in CLAIMS
    },
    **{f"claims as {text!r}": Row(changed(id_token=f"e30.{text}.c2ln")) for text in PARTS},
    **{f"as it stands: {text[-60:]!r}": Row(text) for text in TEXTS},
}

ENVIRONMENTS: dict[str, Row] = {
    f"{name}={value!r}, {file}": Row(FILES[file], config=config, environ={name: value})
    for file, config in [("chatgpt", None), ("none", None), ("key", forced("api"))]
    for name, value in [
        ("OPENAI_FEDERATION_RULE_ID", "x"),
        ("OPENAI_FEDERATION_RULE_ID", ""),
        ("OPENAI_IDENTITY_TOKEN_FILE", "/nowhere"),
        ("OPENAI_IDENTITY_TOKEN_FILE", ""),
        ("CODEX_API_KEY", "sk-x"),
        ("CODEX_ACCESS_TOKEN", "at-x"),
        ("CODEX_ACCESS_TOKEN", "  "),
        ("CODEX_ACCESS_TOKEN", "garbage"),
        ("OPENAI_API_KEY", "sk-x"),
    ]
}

STORES: dict[str, Row] = {
    f"store {store!r} {where}": Row(chatgpt(), **{where: layer})  # type: ignore[arg-type]
    for store in ("file", "keyring", "auto", "ephemeral", "Keyring", "")
    for where, layer in [
        ("config", f'cli_auth_credentials_store = "{store}"'),
        ("etc", {"requirements.toml": f'cli_auth_credentials_store = "{store}"'}),
        ("etc", {"managed_config.toml": f'cli_auth_credentials_store = "{store}"'}),
    ]
}
STORES["the requirements' store counts"] = Row(
    chatgpt(),
    {"requirements.toml": 'cli_auth_credentials_store = "file"'},
    'cli_auth_credentials_store = "keyring"',
)

ROWS = MATRIX | STRENGTHS | SHAPES | ENVIRONMENTS | STORES


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnEtc]:
    with own_etc(tmp_path_factory.mktemp("machine")) as machine:
        yield machine


def _set_up(row: Row, machine: OwnEtc, codex_home: Path) -> None:
    machine.set_policy(row.etc)
    if row.config is not None:
        (codex_home / "config.toml").write_text(row.config)
    if row.auth is not None:
        content = row.auth if isinstance(row.auth, str) else json.dumps(row.auth)
        (codex_home / "auth.json").write_text(content)


def _ours(codex_home: Path, machine: OwnEtc, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return what we say, with the reason `unreadable` where it is an error."""
    home, place = CodexHome(str(codex_home)), PolicyPlace(str(machine.policy))
    try:
        text, exit_code = report_status(home, environ, NOW, as_json=True, place=place)
    except LocalTrouble as trouble:
        return {"signed_in": False, "reason": "unreadable", "message": trouble.message}
    said: dict[str, Any] = json.loads(text)
    assert exit_code == (0 if said["signed_in"] else 1)
    return said


def test_there_are_enough_rows() -> None:
    """Tables that shrink unnoticed prove nothing."""
    assert len(ROWS) >= 400


@pytest.mark.parametrize("name", ROWS)
def test_codex_says_the_same(name: str, machine: OwnEtc, codex_home: Path) -> None:
    """Signed in or not: as Codex says, but for what cli.md names."""
    row = ROWS[name]
    _set_up(row, machine, codex_home)
    ours = _ours(codex_home, machine, row.environ)
    exit_code, said = machine.codex(
        NEWEST, "login", "status", codex_home=codex_home, environ=row.environ
    )
    file = name.partition(", ")[0]
    if file in UNCHECKED and ours["signed_in"]:
        assert "failed to" in said  # as it cannot ask
    elif exit_code == 0 and not ours["signed_in"]:
        ended = ("no_file", "expired")
        assert ours["reason"] in ended, ours
        assert file in WITHOUT_CREDENTIAL or row in _BARE, ours
    else:
        assert ours["signed_in"] is (exit_code == 0), (ours, said)
    if "Error loading configuration" in said:
        assert ours["reason"] in ("policy", "environment", "unreadable"), ours


@pytest.fixture
def keyring(tmp_path: Path) -> Iterator[SecretService]:
    with secret_service(tmp_path) as service:
        yield service


ITEM = json.dumps(KEY)


@pytest.mark.parametrize(
    ("item", "locked"),
    [(None, False), (ITEM, False), (ITEM, True), ("{}", False), ("[]", False), ("garbage", False)],
)
@pytest.mark.parametrize("store", ["auto", "keyring"])
def test_a_keyring_that_answers(
    store: str,
    item: str | None,
    locked: bool,
    machine: OwnEtc,
    keyring: SecretService,
    codex_home: Path,
) -> None:
    """Under `auto` the file counts, unless an item can be read; under `keyring` it never does."""
    user = user_name(CodexHome(str(codex_home)))
    row = Row(chatgpt(), {}, f'cli_auth_credentials_store = "{store}"', keyring.environ)
    _set_up(row, machine, codex_home)
    if item is not None:
        keyring.keep(user, item)
    if locked:
        keyring.lock()
    ours = _ours(codex_home, machine, row.environ)
    exit_code, said = machine.codex(
        NEWEST, "login", "status", codex_home=codex_home, environ=row.environ
    )
    by_file = exit_code == 0 and "ChatGPT" in said and item != "{}"
    assert ours["signed_in"] is by_file, said
    assert ours["reason"] == (None if by_file else "store")


def test_a_trusted_repository_is_a_warning(machine: OwnEtc, codex_home: Path) -> None:
    """What its config file says counts for a Codex that is started in it; ours says so."""
    repository = machine.folder / "repository"
    (repository / "below" / ".codex").mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", str(repository)], check=True)
    (repository / "below" / ".codex" / "config.toml").write_text(forced("api"))
    for trusted in (False, True):
        config = f'[projects."{repository}"]\ntrust_level = "trusted"' if trusted else ""
        _set_up(Row(chatgpt(), config=config), machine, codex_home)
        for folder in (repository, repository / "below"):
            exit_code, _ = machine.codex(
                NEWEST, "login", "status", codex_home=codex_home, folder=folder
            )
            counts = trusted and folder.name == "below"
            assert exit_code == (1 if counts else 0)
            home, place = CodexHome(str(codex_home)), PolicyPlace(str(machine.policy))
            told = notes(home, Rules.read(home, place), {}, str(folder), place=place)
            assert bool(told) is counts


_BARE = [Row(text) for text in ('{"auth_mode":null}',)] + [Row(chatgpt() | {"tokens": None})]


def test_logout_says_what_is_left(keyring: SecretService, codex_home: Path) -> None:
    """Without auth.json Codex may still be signed in: by its keyring, or by a variable."""
    (codex_home / "config.toml").write_text('cli_auth_credentials_store = "auto"')
    (codex_home / "auth.json").write_text(json.dumps(KEY))
    environ = environment(codex_home, None) | keyring.environ
    keyring.keep(user_name(CodexHome(str(codex_home))), ITEM)
    assert "The keyring still holds a sign-in" in run("logout", environ=environ).err
    token = run("logout", environ=environ | {"CODEX_ACCESS_TOKEN": "at-secret"})
    assert "unset CODEX_ACCESS_TOKEN" in token.err
    assert "at-secret" not in token.err
    assert "still" not in run("logout", environ=environment(codex_home, None)).err
