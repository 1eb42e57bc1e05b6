"""Hostile answers, surroundings and files: taken where they are good, else words, no defect."""

from __future__ import annotations

import codecs
import gzip
import json
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headless_login.codex.home import CodexHome
from headless_login.codex.pending.record import Damaged, read_record
from headless_login.codex.rules import PolicyPlace, Rules
from headless_login.codex.stored import read_stored
from headless_login.errors import REMEDIES, HeadlessLoginError
from headless_login.issuer.client import IssuerClient
from headless_login.issuer.surroundings import check_surroundings
from headless_login.oauth.provider import CODEX, Provider, read_metadata
from headless_login.oauth.token_response import read_document
from headless_login.oauth.values import DeviceCode
from headless_login.practice.issuer import Answer, PracticeIssuer
from headless_login.signin import begin, complete
from tests.support.canned import NOWHERE, Kept, canned, raw_issuer
from tests.support.forged import (
    ACCESS,
    DEEP,
    GOOD,
    GRANT,
    NOW,
    PUBLIC,
    TOKENS,
    as_json,
    sign_in,
)
from tests.support.program import Terminal, environment, event_in, run
from tests.support.two_calls import LOST, TwoCalls, resealed

KEYS = Answer(200, as_json({"keys": [PUBLIC]}))


def _typed(kind: str) -> Answer:
    return Answer(200, as_json(TOKENS), (("Content-Type", kind),))


def _with(**more: object) -> Answer:
    return Answer(200, as_json(TOKENS | more))


LIFETIMES: tuple[Any, ...] = ("864000.0", "", None, -1, 10**400, float("nan"), "soon", [], True)
NO_ERRORS: tuple[Any, ...] = (None, "", False, 0, {}, [], {"code": 0})
CHARSETS = ("idna", "unknown-8", "undefined", "rot13", "hex", "utf-7", "zip", "", '"', "é")
TYPES = ("", "text/html", "json", ";", "multipart/form-data", "a/b;" * 99, "\x01", "image/png")
# Answers that are good, and odd: of tokens, and of keys.
ODD_TOKENS: dict[str, Answer] = {
    **{f"expires_in {each!r:.20}": _with(expires_in=each) for each in LIFETIMES},
    **{f"error {each!r}": _with(error=each) for each in NO_ERRORS},
    **{f"charset {each}": _typed(f"application/json; charset={each}") for each in CHARSETS},
    **{f"type {each!r:.20}": _typed(each) for each in TYPES},
    "a byte-order mark": Answer(200, codecs.BOM_UTF8 + as_json(TOKENS)),
    "UTF-16": Answer(200, json.dumps(TOKENS).encode("utf-16")),
    "blanks": Answer(200, b" \r\n" * 999 + as_json(TOKENS) + b"\n\n"),
    "more members": _with(more={"of": ["it"]}, token_type="mac", scope=5),
    "twins": Answer(200, b'{"id_token": 5, ' + as_json(TOKENS)[1:]),
}
ODD_KEYS: dict[str, Answer] = {
    "a byte-order mark": Answer(200, codecs.BOM_UTF8 + KEYS.body),
    "charset idna": Answer(200, KEYS.body, (("Content-Type", "text/json; charset=idna"),)),
    "90,000 deep": Answer(200, b'{"keys": %s}' % DEEP.encode()),
    "no UTF-8": Answer(200, b"\xff\xfe\x00"),
}
ODD = {f"tokens: {case}": (answer, KEYS) for case, answer in ODD_TOKENS.items()}
ODD |= {f"keys: {case}": (_with(), answer) for case, answer in ODD_KEYS.items()}


@pytest.mark.parametrize("case", ODD)
def test_odd_but_good_answers_are_stored(case: str) -> None:
    """What else an answer says, and how it calls itself, makes its tokens no worse."""
    kept, _ = sign_in(*ODD[case])
    (credentials,) = kept.stored
    assert json.loads(credentials.content)["tokens"]["access_token"] == ACCESS


OK = b"HTTP/1.1 200 OK\r\n"
BODY, CHUNKED = as_json(TOKENS), OK + b"Transfer-Encoding: chunked\r\n\r\n"
SIZE = b"%x" % len(BODY)
ARRIVES: dict[str, bytes] = {
    "until the end": OK + b"\r\n" + BODY,
    "one byte a chunk": CHUNKED + b"".join(b"1\r\n%c\r\n" % c for c in BODY) + b"0\r\n\r\n",
    "capitals and zeros": CHUNKED + b"000" + SIZE.upper() + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
    "extensions": CHUNKED + SIZE + b";a=b\r\n" + BODY + b"\r\n0;c\r\n\r\n",
    "trailers": CHUNKED + SIZE + b"\r\n" + BODY + b"\r\n0\r\nX-More: 1\r\n\r\n",
    "hints before it": b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"\r\n" + BODY,
    "another success": b"HTTP/1.1 201 Created\r\n\r\n" + BODY,
    "an unknown encoding": OK + b"Content-Encoding: x-own\r\n\r\n" + BODY,
}
LENGTH, PACKED = OK + b"Content-Length: ", OK + b"Content-Encoding: gzip\r\n\r\n"
NEVER_WHOLE: dict[str, bytes] = {
    "nothing": OK + b"\r\n",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "half of it": LENGTH + b"9999\r\n\r\n" + BODY[:50],
    "no length": LENGTH + b"x\r\n\r\n" + BODY[:50],
    "two lengths": LENGTH + b"5\r\nContent-Length: 6\r\n\r\n" + BODY,
    "a chunk of negative size": CHUNKED + b"-5\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a chunk of no size": CHUNKED + b"zz\r\n" + BODY,
    "an empty size": CHUNKED + b"\r\n\r\n",
    "an endless size": CHUNKED + b"1" * 70_000,
    "a huge chunk": CHUNKED + b"f" * 16 + b"\r\n" + BODY,
    "half a chunk": CHUNKED + SIZE + b"\r\n" + BODY[:50],
    "no last chunk": CHUNKED + b"5\r\n" + BODY[:5] + b"\r\n",
    "packed nonsense": PACKED + BODY,
    "packed and cut": PACKED + gzip.compress(BODY)[:40],
    "packed and endless": PACKED + gzip.compress(b" " * 2**26),
}


@pytest.mark.parametrize("case", ARRIVES)
def test_a_whole_answer_is_taken_however_it_comes(case: str) -> None:
    with raw_issuer(ARRIVES[case]) as issuer:
        assert IssuerClient(Provider(issuer)).exchange(GRANT).access_token == ACCESS


@pytest.mark.parametrize("case", NEVER_WHOLE)
def test_an_answer_that_never_arrives_whole_is_lost(case: str) -> None:
    """A 200 has used the code: the error says so, whatever becomes of the body."""
    with raw_issuer(NEVER_WHOLE[case]) as issuer, pytest.raises(HeadlessLoginError) as raised:
        IssuerClient(Provider(issuer)).exchange(GRANT)
    assert raised.value.error == "token_response_invalid"
    assert "MARKED" not in raised.value.message + raised.value.hint


@pytest.mark.parametrize("case", ["a chunk of negative size", "half of it", "packed nonsense"])
def test_and_its_attempt_is_used(case: str, calls: TwoCalls) -> None:
    """From outside: exit code 4, no defect, and no second try with the same code."""
    head, _, body = NEVER_WHOLE[case].removeprefix(OK).partition(b"\r\n\r\n")
    name, _, value = head.decode().partition(": ")
    answer = calls.answered()
    calls.issuer.tokens = Answer(200, body, ((name, value),))
    ended = calls.finish(answer, "--json")
    assert event_in(ended) == (4, "token_response_invalid")
    assert "defect" not in ended.err
    assert event_in(calls.finish(answer, "--json")) == LOST


# Anything at all, with what the judges look for in it, and a secret that no sentence may carry.
SECRET, PASSWORD = "MARKED-" + "S" * 40, "MARKED-password"  # longer than any text that is made up
SECRETS = (SECRET, GRANT.code, GRANT.verifier)
NAMES = "error code message type error_description id_token access_token refresh_token keys kty kid"
NAMES += " n e issuer token_endpoint jwks_uri authorization_endpoint user_code device_auth_id"
NAMES += " device_code interval expires_in expires_at verification_uri authorization_code"
NAMES += " code_challenge code_verifier chatgpt_user_id chatgpt_account_id chatgpt_plan_type"
NAMES += " chatgpt_account_is_fedramp code_challenge_methods_supported"
VALUES: list[Any] = [SECRET, "", "\ud800", "\x1b[2J", -1, 10**400, 1e308, float("nan"), True, None]
VALUES += ["RSA", "AQAB", "ABCD-EFGH", "https://x.example", NOWHERE.issuer, "S256", GOOD, PUBLIC]
VALUES += ["authorization_pending", "slow_down", "9999-12-31T23:59:59Z", "0001-01-01T00:00-14:00"]
ANY = st.recursive(
    st.sampled_from(VALUES) | st.text(max_size=9) | st.integers() | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES.split()) | st.text(max_size=5), inner, max_size=8)
    ),
    max_leaves=12,
)
BODIES = st.binary(max_size=99) | ANY.map(as_json) | st.sampled_from([DEEP.encode(), b"9" * 5000])
HEADERS = st.sampled_from(["content-type", "x-request-id", "cf-ray", "cf-mitigated", "date"])
ANSWERS = st.builds(
    lambda status, body, headers: Answer(status, body, (*headers.items(),)),
    st.sampled_from([200, 200, 200, 201, 204, 302, 400, 401, 403, 404, 418, 429, 500, 503]),
    BODIES,
    st.dictionaries(HEADERS, st.sampled_from([SECRET, "", "challenge", "text/html; charset=idna"])),
)
AT = NOWHERE.at._replace(device_token_endpoint="")
OPENID = Provider(NOWHERE.issuer, "client", "openid", AT)
CODE = DeviceCode("https://x.example", "ABCD-EFGH", 5.0, 900.0, SECRET)
ASKED: dict[str, Callable[[IssuerClient], object]] = {
    "tokens": lambda client: client.exchange(GRANT),
    "keys": lambda client: client.signing_keys(),
    "a code": lambda client: client.request_device_code(),
    "a poll": lambda client: client.poll_device_code(CODE),
    "a revocation": lambda client: client.revoke(SECRET),
    "whose it is": lambda client: client.personal_access_token_metadata(f"at-{SECRET}"),
    "keys of agents": lambda client: client.agent_identity_keys(),
    "all of it": lambda client: complete(
        GRANT, begin(NOWHERE), Kept(), client=client, now=lambda: NOW
    ),
}


class _Always(dict[str, Answer]):
    def __missing__(self, path: str) -> Answer:
        return self[""]


def _in_words(call: Callable[[], object], *more: str) -> None:
    """Fail unless a call returns, or says what is wrong: in known words, without a secret."""
    said = ""
    try:
        call()
    except HeadlessLoginError as error:
        said = f"{error.error}: {error.message} {error.hint}"
    assert not said or said.partition(":")[0] in REMEDIES.keys() - {"internal_error"}
    assert not [secret for secret in (*SECRETS, *more) if secret in said]
    assert "no proper HTTP" not in said  # that would be an exception of ours, translated
    assert said.isprintable()


@pytest.mark.parametrize("provider", [NOWHERE, OPENID], ids=["Codex", "OpenID"])
@pytest.mark.parametrize("what", ASKED)
@given(answer=ANSWERS)
def test_any_answer_ends_in_words(what: str, provider: Provider, answer: Answer) -> None:
    _in_words(lambda: ASKED[what](canned(_Always({"": answer}), provider)))


@given(BODIES)
def test_any_discovery_document_ends_in_words(body: bytes) -> None:
    document = read_document(body)
    for each in (document, {**document, "issuer": NOWHERE.issuer}):
        _in_words(partial(read_metadata, each, NOWHERE.issuer))


# Settings, whole, torn, and of every type.
SETTINGS = "cli_auth_credentials_store forced_login_method forced_chatgpt_workspace_id projects"
SETTINGS += " allowed_login_methods allowed_chatgpt_workspaces more"
TOML = '"file" "chatgpt" [] ["api"] {a=1} 1979-05-27 nan "\\ud800" "a,b" [ 0x_ "\\u001b[2J" "a\tb"'
LINES = st.tuples(st.sampled_from(SETTINGS.split()), st.sampled_from(TOML.split(" ")))
CONFIG = st.binary(max_size=60) | st.lists(LINES, max_size=4).map(
    lambda lines: "\n".join(f"{name} = {value}" for name, value in lines).encode()
)
CONFIG |= st.sampled_from([codecs.BOM_UTF8, b"a=" + b"[" * 90_000, b"a=" + b"9" * 5000])


@given(config=CONFIG, required=CONFIG)
def test_any_policy_ends_in_words(config: bytes, required: bytes, folder: Path) -> None:
    """config.toml and requirements.toml of any content are rules, or what is wrong with them."""
    (folder / "config.toml").write_bytes(config)
    (folder / "requirements.toml").write_bytes(required)
    _in_words(lambda: Rules.read(CodexHome(str(folder)), PolicyPlace(str(folder))))


MEMBERS = ["auth_mode", "OPENAI_API_KEY", "tokens", "last_refresh", *TOKENS, "account_id"]
STORED = st.dictionaries(st.sampled_from(MEMBERS), ANY).map(as_json) | BODIES


@given(content=STORED)
def test_any_stored_file_ends_in_words(content: bytes, folder: Path) -> None:
    """As do auth.json and, as damaged, the record of a pending attempt."""
    (folder / "auth.json").write_bytes(content)
    _in_words(lambda: read_stored(CodexHome(str(folder)), sleep=lambda _: None))
    records = [content]
    if document := read_document(content):
        records.append(resealed({**document, "format": 1}))
    for record in records:
        with pytest.raises(Damaged):
            read_record(record)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


NASTY = ["", "\n", "\udcff", "\x1b[2J\u202e", "x" * 5000, "{0}%s%n", "'\"`$(id)", "--help", "~"]
NASTY += ["../..", "/dev/null", "/proc/self/mem", "http://[::1%25x]:99999", "-1", "a,,*,."]
NASTY += [f"http://u:{PASSWORD}@127.0.0.1:1", "socks9://x"]
VARIABLES = ["HTTPS_PROXY", "ALL_PROXY NO_PROXY", "SSL_CERT_FILE", "CODEX_CA_CERTIFICATE"]
VARIABLES += ["CODEX_HOME", "HOME", "HEADLESS_LOGIN_ISSUER", "HEADLESS_LOGIN_CLIENT_ID"]
VARIABLES += ["TERM LANG SSH_CONNECTION BROWSER COLUMNS"]


@pytest.mark.parametrize("names", VARIABLES)
def test_any_environment_ends_in_words(
    names: str,
    codex_home: Path,
    issuer: PracticeIssuer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From outside: an exit code of the contract, no defect, no traceback, nothing raw."""
    monkeypatch.chdir(tmp_path)  # where relative folders are made
    secret = (PASSWORD,) * ("PROXY" in names or "ISSUER" in names)
    at = issuer.issuer if "CLIENT" in names else None
    for index, value in enumerate(NASTY):
        environ = environment(None if names == "HOME" else codex_home, at)
        environ |= dict.fromkeys(names.split(), value)
        words = ("login", "start") if value and index % 4 else ("login", "status")
        outcome = run(*words, environ=environ)
        said = outcome.err + outcome.out
        assert outcome.exit_code in {0, 1, *(each.exit_code for each in REMEDIES.values())}, said
        shown = ("defect", "Traceback", "Warning", "\x1b[2J", "\u202e", *secret)
        assert not [each for each in shown if each in said], (value, said)


@pytest.mark.parametrize("value", ["", "\udcff", "\x1b[2J", "-1", "9" * 30, "x" * 5000, "{0}%s%n"])
def test_any_terminal_ends_in_words(value: str, codex_home: Path) -> None:
    """What a terminal is said to be is no reason to fail in one."""
    extra = dict.fromkeys(("TERM", "LANG", "COLUMNS", "LINES", "BROWSER"), value)
    environ = environment(codex_home, None) | extra
    with Terminal("login", "--paste-redirect", environ=environ) as terminal:
        assert "/oauth/authorize?" in terminal.read_url()
        terminal.interrupt(signal.SIGINT)
        assert terminal.wait() == 130
        assert "defect" not in terminal.text


NAMES_OF_VARIABLES = st.sampled_from(" ".join(VARIABLES).split())


@given(NAMES_OF_VARIABLES, st.text(max_size=9) | st.sampled_from(NASTY), st.sampled_from(NASTY))
def test_any_surroundings_end_in_words(name: str, value: str, proxy: str) -> None:
    """The same of what is read before a request, and of the client itself."""
    environ = {"HTTPS_PROXY": proxy, name: value.replace("\0", "")}
    password = () if "CERTIFICATE" in name or "SSL" in name else (PASSWORD,)  # a path is shown
    _in_words(lambda: check_surroundings(CODEX, environ), *password)
    _in_words(lambda: IssuerClient(CODEX, environ=environ), *password)
