"""`token` from outside: what it prints, for whom, and the real Codex beside it."""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headless_login.codex.home import CodexHome
from headless_login.practice.wire import nested, text_answer
from tests.support.canned import raw_issuer
from tests.support.codex import refreshed_by_codex
from tests.support.machines import ssh_to_here
from tests.support.program import (
    COMMAND,
    Outcome,
    Terminal,
    assert_ended,
    environment,
    events_in,
    run,
)
from tests.support.renewing import Backend, Renewing, ask_model, race_size
from tests.support.stored_files import KEY, document, jwt, with_tokens, write

README = Path(__file__).parents[1] / "README.md"
PERSONAL = "at-MARKED0123456789abcdefghij"
PAST, FAR = jwt({"exp": 1}), jwt({"exp": 4_000_000_000})


def _token(home: CodexHome, *options: str) -> Outcome:
    return run("token", *options, environ=environment(home.path, None))


def _key(**more: object) -> dict[str, object]:
    return {"auth_mode": "apikey", "OPENAI_API_KEY": KEY} | more


def _personal() -> dict[str, object]:
    return {"OPENAI_API_KEY": None, "personal_access_token": PERSONAL}


ACCESS_ONLY = with_tokens(access_token=FAR, refresh_token="")
EXTERNAL = ACCESS_ONLY | {"auth_mode": "chatgptAuthTokens"}


@pytest.mark.parametrize(
    ("content", "options", "exit_code", "out", "said"),
    [
        (None, (), 1, "", "There is no sign-in in"),
        ({}, (), 1, "", "There is no sign-in in"),
        (with_tokens(access_token=FAR), (), 0, FAR, ""),
        (with_tokens(access_token="opaque"), (), 0, "opaque", ""),
        (_personal(), (), 0, PERSONAL, ""),
        (_personal(), ("--refresh",), 0, PERSONAL, ""),
        (_key(), (), 2, "", "headless-login token --api-key"),
        (_key(), ("--api-key",), 0, KEY, ""),
        (with_tokens(access_token=FAR), ("--api-key",), 0, FAR, ""),
        (ACCESS_ONLY, (), 0, FAR, ""),
        (ACCESS_ONLY, ("--refresh",), 0, FAR, "There is no refresh token here."),
        (EXTERNAL, ("--refresh",), 0, FAR, "There is no refresh token here."),
        (with_tokens(access_token=PAST, refresh_token=""), (), 1, "", "The access token has ended"),
        ({"auth_mode": "bedrockApiKey", "bedrock_api_key": {"api_key": "k", "region": "r"}},
         (), 1, "", "no access token"),
        ({"auth_mode": "of a later version"}, (), 1, "", "no access token"),
        (with_tokens(access_token=f"{FAR}\nsecond line"), (), 6, "", "The token in auth.json"),
        (b"{", (), 6, "", "not valid JSON"),
        (with_tokens(access_token=FAR), ("--min-valid", "-1"), 2, "", "--min-valid takes"),
        (with_tokens(access_token=FAR), ("--min-valid", "nan"), 2, "", "--min-valid takes"),
    ],
)  # fmt: skip
def test_what_is_printed(
    content: object, options: tuple[str, ...], exit_code: int, out: str, said: str, home: CodexHome
) -> None:
    """One line or nothing on standard output, one sentence or nothing on the other; no request."""
    if content == with_tokens(access_token="opaque"):  # its age is all that is known
        content = document(tokens=content["tokens"], last_refresh="2099-01-01T00:00:00Z")
    if content is not None:
        write(home, content)
    outcome = _token(home, *options)
    assert outcome.exit_code == exit_code, outcome.err
    assert outcome.out == f"{out}\n" * bool(out)
    assert said in outcome.err
    assert bool(said) == bool(outcome.err)
    assert "MARKED" not in outcome.err
    if content is not None:
        before = content if isinstance(content, bytes) else json.dumps(content).encode()
        assert Path(home.auth_file).read_bytes() == before
    if exit_code < 2:
        word = "token" if exit_code == 0 else "error"
        (event,) = events_in(_token(home, "--json", *options).out)
        assert event["event"] == word
        assert event.get("access_token", "") == out


def test_a_token_that_ends_soon_is_refreshed_once(renewing: Renewing) -> None:
    """Also where the new one lives shorter than was asked for; by the file's issuer alone."""
    before = renewing.tokens["access_token"]
    outcome = assert_ended(renewing.token(), 0)
    assert outcome.out == f"{renewing.tokens['access_token']}\n" != f"{before}\n"
    assert outcome.err == ""
    assert_ended(renewing.token("--min-valid", "60"), 0)
    assert len(renewing.issuer.refreshes) == 1


def test_the_old_one_is_printed_while_the_issuer_is_away(renewing: Renewing) -> None:
    renewing.issuer.refreshing = text_answer(503, "busy")
    outcome = assert_ended(renewing.token(), 0, "Note: The token was not refreshed; it is valid")
    assert outcome.out == f"{renewing.tokens['access_token']}\n"
    ended = renewing.change(access_token=PAST)
    assert_ended(renewing.token(), 4, "busy or broken", "run it again: the sign-in is as it was")
    renewing.issuer.refreshing = nested(401, "refresh_token_expired", "no")
    outcome = assert_ended(renewing.token(), 3, "it has expired", "headless-login login")
    assert outcome.out == ""
    assert renewing.content == ended


def test_an_access_only_copy_is_printed_while_it_lasts(renewing: Renewing) -> None:
    """Nothing here can renew it, so it is said that it ends sooner than was asked for."""
    renewing.change(refresh_token="")
    token = f"{renewing.tokens['access_token']}\n"
    assert assert_ended(renewing.token(), 0, "There is no refresh token here.").out == token
    assert renewing.token("--min-valid", "60") == Outcome(0, token, "")
    assert not renewing.issuer.refreshes


def test_an_answer_that_is_lost_is_said(home: CodexHome) -> None:
    with raw_issuer(b"") as issuer:
        provenance = {"issuer": issuer, "client_id": "app_EMoamEEZ73f0CkXaXp7hrann"}
        write(home, with_tokens(access_token=PAST, oauth_provenance=provenance))
        assert_ended(_token(home), 4, "the refresh token may be used up")


def test_another_provider(renewing: Renewing) -> None:
    """Another client than Codex's asks by a form where its issuer publishes (RFC 6749 §6)."""
    provenance = renewing.tokens["oauth_provenance"] | {"client_id": "app_other"}
    renewing.change(oauth_provenance=provenance)
    assert_ended(renewing.token(), 3, "invalid_client")
    asked = renewing.issuer.requests[-2:]
    paths = ["/.well-known/openid-configuration", "/oauth/token"]
    assert [request.path for request in asked] == paths
    assert not asked[1].is_json
    assert set(asked[1].form()) == {"client_id", "grant_type", "refresh_token"}


def test_a_terminal_is_told_what_it_shows(renewing: Renewing) -> None:
    with Terminal("token", environ=renewing.environ, columns=2000) as terminal:
        assert terminal.wait() == 0
    said, token = terminal.text.splitlines()
    assert said.startswith("This is a secret.")
    assert token == renewing.tokens["access_token"]


def test_a_token_that_nobody_takes_is_not_lost_unnoticed(home: CodexHome) -> None:
    write(home, with_tokens(access_token=FAR))
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [COMMAND, "token"], stdout=full, stderr=-1, text=True, env=environment(home.path, None)
        )
    assert done.returncode == 6
    assert "Standard output cannot be written" in done.stderr


# The real Codex beside it.


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Renewing]:
    """A folder of the owner, signed in; the practice issuer has the model, too."""
    owners = tmp_path / "owner"
    owners.mkdir(mode=0o700)
    with Backend() as issuer:
        yield Renewing(owners, issuer)


def test_codex_works_by_our_command(backend: Renewing, codex_home: Path) -> None:
    """README's config.toml: no sign-in of its own, a fresh token, and a new one after a 401."""
    exit_code, said = ask_model(
        backend, codex_home, COMMAND, "token", "--codex-home", str(backend.path)
    )
    assert (exit_code, "PONG" in said) == (0, True), said
    assert not (codex_home / "auth.json").exists()
    assert backend.issuer.spent_by_us()
    assert len(backend.issuer.refreshes) == len(backend.issuer.spent_by_us())


def test_codex_works_by_ssh(backend: Renewing, codex_home: Path, tmp_path: Path) -> None:
    """README's other way: the refresh token stays on the machine of its owner."""
    (words,) = re.findall(r"its arguments `(\[.*?\])`", README.read_text())
    there = {"OWNER": ["owner"], "headless-login": [f"CODEX_HOME={backend.path}", COMMAND]}
    arguments = [each for word in json.loads(words) for each in there.get(word, [word])]
    with ssh_to_here(tmp_path) as config:
        exit_code, said = ask_model(backend, codex_home, "ssh", "-F", str(config), *arguments)
    assert (exit_code, "PONG" in said) == (0, True), said
    assert backend.issuer.spent_by_us()
    assert not (codex_home / "auth.json").exists()


def test_codex_shows_our_remedy(backend: Renewing, codex_home: Path) -> None:
    """What is wrong and what to do reach the person through Codex's own last line."""
    backend.issuer.refreshing = nested(401, "refresh_token_expired", "no")
    exit_code, said = ask_model(
        backend, codex_home, COMMAND, "token", "--codex-home", str(backend.path)
    )
    assert exit_code == 1
    assert "The issuer refused the refresh token: it has expired" in said
    assert "Sign in again: headless-login login" in said
    assert len(backend.issuer.refreshes) == 1  # however often Codex has run it


ROUNDS, PROCESSES = race_size("3x12")  # a third of them are Codex


@pytest.mark.timeout(120 + ROUNDS * PROCESSES * 5)
def test_all_refresh_at_once(renewing: Renewing) -> None:
    """Ours and the real Codex: none of ours spends a token twice, all end well, the file lives."""

    def ours() -> Outcome | None:
        return renewing.token(*(["--refresh"] * random.randint(0, 1)))  # noqa: S311

    def codexs() -> None:
        refreshed_by_codex(renewing.path)  # which may lose: codex-facts.md §14

    with ThreadPoolExecutor(PROCESSES) as pool:
        for _ in range(ROUNDS):
            calls = [codexs if number % 3 == 0 else ours for number in range(PROCESSES)]
            outcomes = [*pool.map(lambda call: call(), calls)]
            for outcome in filter(None, outcomes):
                assert outcome.exit_code == 0, outcome.err
                assert "Note:" not in outcome.err
                assert outcome.out.strip() in renewing.issuer.issued
            spent = renewing.issuer.spent_by_us()
            assert len(spent) == len(set(spent))
            assert_ended(renewing.token("--refresh"), 0)  # the file's own token is alive
    assert refreshed_by_codex(renewing.path)["authToken"] == renewing.tokens["access_token"]
