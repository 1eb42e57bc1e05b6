"""Refreshing: one token is spent once, what comes is stored or kept, a refusal is told apart."""

from __future__ import annotations

import json
import sys
import time
from contextlib import nullcontext
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from headless_login.codex.accounts import Accounts, list_accounts
from headless_login.codex.auth_file import Credentials, time_of_refresh
from headless_login.codex.journal import (
    LOCK,
    OUTCOME_UNKNOWN,
    Journal,
    recover,
)
from headless_login.codex.stored import interpret
from headless_login.commands.accounts import use
from headless_login.commands.context import Context
from headless_login.commands.token import valid_token
from headless_login.delivery.destination import CodexFolder
from headless_login.errors import (
    HeadlessLoginError,
    IssuerTrouble,
    LocalTrouble,
    OutcomeUnknown,
    RefreshRefused,
    SignInRefused,
)
from headless_login.issuer.client import IssuerClient
from headless_login.oauth.provider import Provider
from headless_login.practice.wire import Answer, Parameters, json_answer, nested, text_answer
from headless_login.terminal.output import Console, Output
from tests.support.canned import raw_issuer
from tests.support.machine import KILLED_BY, has_mode, hold
from tests.support.misbehaving import HTML, HangingIssuer
from tests.support.people import ADA, GRACE, places, signed_in_as
from tests.support.program import Piped, assert_ended, at_once, run
from tests.support.renewing import LATER, RefreshingIssuer, Renewing
from tests.support.stored_files import jwt

TOKENS = ("id_token", "access_token", "refresh_token")
HTML_TYPE = ("Content-Type", "text/html")


def test_all_of_codexs_fields_are_kept(renewing: Renewing) -> None:
    """New tokens and a new time, and nothing else; as Codex asks for them."""
    before = json.loads(renewing.content)
    before["of a later Codex"] = {"n": 1}
    renewing.auth_file.write_text(json.dumps(before))
    found = renewing.here()
    after = json.loads(renewing.content)
    assert found.access_token == after["tokens"]["access_token"]
    assert found.trouble == ""
    for name in TOKENS:
        assert after["tokens"].pop(name) != before["tokens"].pop(name)
    assert after.pop("last_refresh") > before.pop("last_refresh")
    assert after == before
    assert has_mode(renewing.auth_file, 0o600)
    (asked,) = renewing.issuer.refreshes
    reason = '"refresh_reason":"proactive_expiry"'
    assert asked.body.startswith(b'{"client_id":"app_EMoamEEZ73f0CkXaXp7hrann","grant_type":')
    assert f'"refresh_token",{reason},"refresh_token":"rt_'.encode() in asked.body
    assert renewing.here(force=True) != found
    assert renewing.issuer.refreshes[1].form()["refresh_reason"] == "forced"


@pytest.mark.parametrize("left_out", TOKENS)
def test_what_the_answer_leaves_out_keeps_its_value(left_out: str, renewing: Renewing) -> None:
    """Each field is optional (codex-facts.md §7)."""
    good = RefreshingIssuer.token_answer

    def without(form: Parameters) -> Answer:
        renewing.issuer.refreshing = None
        document = json.loads(good(renewing.issuer, form).body)
        del document[left_out]
        return json_answer(200, document)

    renewing.issuer.refreshing = without
    before = renewing.tokens
    renewing.here()
    assert {name for name in TOKENS if renewing.tokens[name] == before[name]} == {left_out}


def test_every_success_is_one(renewing: Renewing) -> None:
    """As for Codex: what came is stored, because the old refresh token is spent."""
    renewing.issuer.refreshing = json_answer(201, {"access_token": "new", "refresh_token": "rt_n"})
    assert renewing.here().access_token == "new"
    assert renewing.tokens["refresh_token"] == "rt_n"


def test_an_id_token_that_codex_cannot_read_is_left_out(renewing: Renewing) -> None:
    before = renewing.tokens
    renewing.issuer.refreshing = json_answer(200, {"access_token": "new", "id_token": "no JWT"})
    assert renewing.here().access_token == "new"
    assert renewing.tokens == before | {"access_token": "new"}


# Word, class, and what the issuer answers: codex-facts.md §7, §14.
REFUSED = [
    *(nested(status, f"refresh_token_{why}", "no") for status in (400, 401, 403)
      for why in ("reused", "expired", "invalidated")),
    json_answer(400, {"error": "invalid_grant"}),
    json_answer(401, {"error": "refresh_token_expired"}),
    json_answer(401, {"code": "refresh_token_expired"}),
    json_answer(401, {"error": {"code": "something_new"}}),
    Answer(401),
    Answer(401, HTML, (HTML_TYPE,)),
]  # fmt: skip
PASSING = [
    ("token_response_invalid", nested(400, "invalid_request", "no")),
    ("token_response_invalid", json_answer(403, {"error": "invalid_grant"})),
    ("token_response_invalid", nested(403, "forbidden", "no")),
    ("token_response_invalid", text_answer(404, "nothing here")),
    ("token_response_invalid", Answer(307, b"", (("Location", "https://elsewhere.example/"),))),
    ("challenge_page", Answer(403, HTML, (HTML_TYPE, ("cf-mitigated", "challenge")))),
    ("challenge_page", Answer(429, HTML, (HTML_TYPE,))),
    ("unsupported_country", nested(403, "unsupported_country_region_territory", "no")),
    ("issuer_unreachable", nested(429, "rate_limit", "no")),
    ("issuer_unreachable", nested(500, "refresh_token_reused", "no")),
    ("issuer_unreachable", text_answer(502, "bad gateway")),
    ("issuer_unreachable", Answer(503)),
]
UNKNOWN = [
    ("token_response_invalid", Answer(200, HTML, (HTML_TYPE,))),
    ("token_response_invalid", json_answer(200, {})),
    ("token_response_invalid", json_answer(201, {})),
    ("token_response_invalid", json_answer(200, {"token_type": "Bearer"})),
    ("token_response_invalid", json_answer(200, {"access_token": "MARKED\nMARKED"})),
    ("token_response_invalid", json_answer(200, {"access_token": 7})),
    ("token_response_invalid", Answer(200, b"x" * 2_000_000)),
    ("issuer_unreachable", Answer(200, b'{"access_token": "MARK', (("Content-Length", "999"),))),
]


def _fails(renewing: Renewing, later: float = LATER) -> HeadlessLoginError:
    """Return how it fails: the file is as it was, nothing is left, and no secret is told."""
    before, secret = renewing.content, renewing.tokens["refresh_token"]
    with pytest.raises(HeadlessLoginError) as raised:
        renewing.here(later)
    assert renewing.content == before
    assert not renewing.journal.exists()
    told = f"{raised.value.message}{raised.value.hint}{renewing.said}"
    assert "MARKED" not in told
    assert secret not in told + renewing.failure_file.read_text()
    return raised.value


@pytest.mark.parametrize("answer", REFUSED, ids=lambda answer: f"{answer.status}")
def test_a_refusal_is_for_good(answer: Answer, renewing: Renewing) -> None:
    """Even a token that is still valid is not printed; the time is kept for `doctor`."""
    renewing.issuer.refreshing = answer
    began = time.time()
    refused = _fails(renewing, later=0.0)
    assert isinstance(refused, RefreshRefused)
    assert (refused.error, refused.exit_code) == ("refresh_refused", 3)
    failure = renewing.failure
    assert failure
    assert (failure.error, failure.code) == ("refresh_refused", refused.code)
    assert began <= failure.at <= time.time()


@pytest.mark.parametrize(
    ("word", "answer"),
    [*PASSING, *UNKNOWN],
    ids=lambda value: value if isinstance(value, str) else f"{value.status}",
)
def test_a_passing_failure(word: str, answer: Answer, renewing: Renewing) -> None:
    """The token is printed while it is valid; then it is the issuer's trouble."""
    renewing.issuer.refreshing = answer
    before = renewing.content
    found = renewing.here()
    assert found.access_token == renewing.tokens["access_token"]
    assert found.trouble
    assert renewing.content == before
    trouble = _fails(renewing)
    assert (trouble.error, trouble.exit_code) == (word, 4)
    is_unknown = (word, answer) in UNKNOWN
    assert isinstance(trouble, OutcomeUnknown) == is_unknown
    assert "run it again" in trouble.hint.lower()
    assert "start a new" not in trouble.hint
    failure = renewing.failure
    assert failure
    assert (failure.code == OUTCOME_UNKNOWN) == is_unknown
    renewing.issuer.refreshing = None
    assert not renewing.here().trouble


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"])
def test_a_connection_that_dies_after_the_request(answer: bytes) -> None:
    """Whether the token is used up cannot be known, and is said."""
    with raw_issuer(answer) as issuer:
        client = IssuerClient(Provider(issuer), environ={})
        with pytest.raises(OutcomeUnknown, match="may be used up"):
            client.refresh("rt_MARKED", "forced")


def test_an_issuer_that_never_answers() -> None:
    with HangingIssuer() as issuer:
        client = IssuerClient(Provider(issuer.issuer), environ={})
        with pytest.raises(OutcomeUnknown, match="may be used up"):
            client.refresh("rt_MARKED", "forced", timeout=0.5)


@pytest.mark.parametrize("issuer", ["http://127.0.0.1:9", "https://127.0.0.1:9"])
def test_what_was_never_sent_is_not_used_up(issuer: str) -> None:
    with pytest.raises(IssuerTrouble, match="cannot be reached") as raised:
        IssuerClient(Provider(issuer), environ={}).refresh("rt_MARKED", "forced")
    assert not isinstance(raised.value, OutcomeUnknown)


CLAIMS = "https://api.openai.com/auth"


@pytest.mark.parametrize("token", ["id_token", "access_token"])
@pytest.mark.parametrize(
    "stranger",
    [{CLAIMS: {"chatgpt_account_id": "other"}}, {CLAIMS: {"chatgpt_user_id": "x"}}, {"sub": "x"}],
    ids=["account", "user", "subject"],
)
def test_a_strangers_tokens_are_not_stored(
    token: str, stranger: dict[str, Any], renewing: Renewing
) -> None:
    """An answer that names somebody else changes nothing (Codex would write it)."""
    renewing.issuer.refreshing = json_answer(200, {"refresh_token": "rt_x", token: jwt(stranger)})
    refused = _fails(renewing, later=0.0)
    assert (type(refused), refused.error) == (SignInRefused, "unexpected_account")


@pytest.mark.parametrize(
    "issuer", ["http://evil.test", "https://user@evil.test", "", "file:///etc/passwd"]
)
def test_an_issuer_that_cannot_be_trusted_is_not_asked(issuer: str, renewing: Renewing) -> None:
    """Not OpenAI's in its place either, whose token it may not be."""
    provenance = renewing.tokens["oauth_provenance"] | {"issuer": issuer}
    before = renewing.change(oauth_provenance=provenance)
    with pytest.raises(LocalTrouble, match="no issuer that can be trusted"):
        renewing.here(LATER)
    assert "no issuer" in renewing.here().trouble
    assert renewing.content == before
    assert not renewing.issuer.refreshes


def test_a_file_that_cannot_be_written_spends_nothing(renewing: Renewing) -> None:
    """What could not be stored afterwards is not asked for; the token is printed while it lasts."""
    (renewing.path / "auth.json.lock").unlink()
    (renewing.path / "auth.json.lock").mkdir()
    assert "auth.json.lock" in renewing.here().trouble
    with pytest.raises(LocalTrouble):
        renewing.here(LATER)
    assert not renewing.issuer.refreshes


def test_a_file_that_cannot_be_rewritten_spends_nothing(renewing: Renewing) -> None:
    """JSON knows numbers of thousands of digits, Python does not."""
    number = b'{"n": ' + b"9" * 5000 + b", "
    renewing.auth_file.write_bytes(renewing.content.replace(b"{", number, 1))
    with pytest.raises(LocalTrouble, match="cannot be written again"):
        renewing.here(LATER)
    assert not renewing.issuer.refreshes


# Other programs.


def test_newer_tokens_are_adopted_and_nothing_spent(renewing: Renewing) -> None:
    """While we wait for our lock another process refreshes: its tokens are as good."""
    new = jwt({"exp": int(time.time()) + 700})
    with renewing.piped("--refresh") as waiting:
        with Journal.locked(renewing.home):
            waiting.read_until("Waiting for another headless-login")
            renewing.change(access_token=new, refresh_token="rt_newer")
        assert waiting.finish().out == f"{new}\n"
    assert not renewing.issuer.refreshes


def _as_codex(renewing: Renewing, **changes: Any) -> Any:
    """Return an issuer's answer of `reused`, at which another program has written meanwhile."""

    def answer(_: Parameters) -> Answer:
        renewing.change(**changes)
        return nested(401, "refresh_token_reused", "no")

    return answer


def test_newer_tokens_after_a_refusal_are_a_success(renewing: Renewing) -> None:
    """Codex was quicker: it holds no lock while it asks."""
    new = jwt({"exp": int(time.time()) + 700})
    renewing.issuer.refreshing = _as_codex(renewing, access_token=new, refresh_token="rt_newer")
    found = renewing.here()
    assert (found.access_token, found.trouble) == (new, "")
    assert renewing.failure is None
    assert not renewing.journal.exists()


def test_codex_may_write_a_little_later(renewing: Renewing) -> None:
    """Between its answer and its write there is a moment, which is waited for, once."""
    new = jwt({"exp": int(time.time()) + 700})
    renewing.issuer.refreshing = nested(401, "refresh_token_reused", "no")
    pauses: list[float] = []

    def write(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            renewing.change(access_token=new, refresh_token="rt_newer")

    assert renewing.here(sleep=write).access_token == new
    pauses[:] = [0.0] * 10
    for waited in (True, False):
        before = len(pauses)
        with pytest.raises(RefreshRefused):
            renewing.here(sleep=write, force=True)
        assert (len(pauses) > before) == waited


def test_what_was_refreshed_meanwhile_is_not_refreshed_again(renewing: Renewing) -> None:
    """Whoever is present then: `--refresh` asks for a token that came after the call."""
    assert_ended(renewing.token("--refresh"), 0)
    lock = hold(renewing.journal.with_name(LOCK))
    with renewing.piped("--refresh") as piped:
        piped.read_until("Waiting for another")
        switched = json.loads(signed_in_as(GRACE).content)
        renewing.auth_file.write_text(
            json.dumps(switched | {"last_refresh": time_of_refresh(time.time())})
        )
        lock.close()
        ended = assert_ended(piped.finish(), 0)
    assert ended.out == f"{switched['tokens']['access_token']}\n"
    assert len(renewing.issuer.refreshes) == 1


@pytest.mark.parametrize("changes", [8, 1000])
def test_a_file_that_changes_under_our_hands(changes: int, renewing: Renewing) -> None:
    """As by a crowd that switches accounts: it is read anew, but not for ever."""
    left = iter(range(changes))

    def now() -> float:
        if (number := next(left, None)) is not None:
            renewing.change(access_token=jwt({"exp": 1, "number": number}))
        return time.time()

    expected = (
        pytest.raises(LocalTrouble, match="again and again") if changes > 99 else nullcontext()
    )
    with expected:
        found = valid_token(renewing.home, environ={}, now=now)
        assert found.access_token == renewing.issuer.issued[-1]
    assert len(renewing.issuer.refreshes) == (changes < 99)


@pytest.mark.parametrize("change", ["older", "another account's", "gone"])
def test_what_is_no_newer_is_not_adopted(change: str, renewing: Renewing) -> None:
    """A restored backup, another account or no file at all do not make a refusal a success."""
    good = renewing.tokens["access_token"]
    new = {"access_token": jwt({"exp": int(time.time()) + 5}), "refresh_token": "rt_x"}
    if change == "another account's":
        new |= {"account_id": "other", "access_token": good}
    answer = _as_codex(renewing, **new)

    def refuse(form: Parameters) -> Answer:
        refused: Answer = answer(form)
        if change == "gone":
            renewing.auth_file.unlink()
        return refused

    renewing.issuer.refreshing = refuse
    with pytest.raises(RefreshRefused):
        renewing.here()


@pytest.mark.parametrize("change", ["a new sign-in", "another account", "an API key", "gone"])
def test_what_was_written_meanwhile_is_left_alone(change: str, renewing: Renewing) -> None:
    """The new tokens go into the file whose token was spent, and into no other."""
    good = RefreshingIssuer.token_answer
    changes = {"refresh_token": "rt_newer", "access_token": jwt({"exp": int(time.time()) + 9000})}
    if change == "another account":
        changes["account_id"] = "other"
    written: list[bytes] = []

    def answer(form: Parameters) -> Answer:
        renewing.issuer.refreshing = None
        if change == "an API key":
            renewing.auth_file.write_text('{"auth_mode": "apikey", "OPENAI_API_KEY": "sk-x"}')
        elif change == "gone":
            renewing.auth_file.unlink()
        else:
            renewing.change(**changes)
        written.extend([renewing.content] if change != "gone" else [])
        return good(renewing.issuer, form)

    renewing.issuer.refreshing = answer
    code = {"an API key": 2, "gone": 1}.get(change)
    if code is None:
        assert renewing.here().access_token == changes["access_token"]
    else:
        with pytest.raises(HeadlessLoginError) as raised:
            renewing.here()
        assert raised.value.exit_code == code
    assert [path.read_bytes() for path in [renewing.auth_file] if path.exists()] == written
    assert "dropped" in renewing.said[0]
    assert not renewing.journal.exists()


def _switch(renewing: Renewing) -> None:
    """Make somebody else present, without our lock: it was waited for too long."""
    with Accounts.locked(renewing.home) as accounts:
        accounts.replace(signed_in_as(GRACE))


def _new_tokens(renewing: Renewing) -> dict[str, str]:
    """Return the refresh tokens by whose they are, after the next command; each lies once."""
    recover(renewing.home, renewing.said.append)
    list_accounts(renewing.home)
    found = places(renewing.home)
    assert [user for name, user, _ in found if name == "auth.json"] == [GRACE.user_id]
    assert len(found) == 2
    return {user: token for _, user, token in found}


@pytest.mark.parametrize("disk", ["", "full", "killed"])
def test_a_switch_meanwhile_loses_nothing(disk: str, renewing: Renewing) -> None:
    """The new tokens go to their account, where it is kept now; at last by the next command."""
    good, given = RefreshingIssuer.token_answer, list[str]()

    def answer(form: Parameters) -> Answer:
        renewing.issuer.refreshing = None
        _switch(renewing)
        if disk:  # this command cannot store it
            (renewing.path / "auth.json.lock").unlink()
            (renewing.path / "auth.json.lock").mkdir()
        answered = good(renewing.issuer, form)
        given.append(json.loads(answered.body)["refresh_token"])
        return answered

    renewing.issuer.refreshing = answer
    if disk:
        with pytest.raises(LocalTrouble, match=r"auth\.json\.lock"):
            renewing.here(force=True)
        (renewing.path / "auth.json.lock").rmdir()
        assert renewing.journal.exists()
    else:
        renewing.here()
    if disk == "killed":  # before its journal was removed
        journal = renewing.journal.read_bytes()
        _new_tokens(renewing)
        renewing.journal.write_bytes(journal)
    assert _new_tokens(renewing) == {GRACE.user_id: "rt_MARKED", ADA.user_id: given[0]}
    assert any("Another account was made present" in said for said in renewing.said)
    assert not [said for said in renewing.said if "dropped" in said]
    assert not renewing.journal.exists()
    use("ada", CodexFolder(renewing.home, {}), Context(Output(Console(StringIO())), {}))
    assert_ended(renewing.token("--refresh"), 0)


def test_codexs_locks_are_free_while_the_server_is_asked(renewing: Renewing) -> None:
    """Codex would throw its new tokens away after five seconds of waiting (codex-facts.md §14)."""
    good, taken = RefreshingIssuer.token_answer, []

    def answer(form: Parameters) -> Answer:
        renewing.issuer.refreshing = None
        for name in ("auth.lock", "auth.json.lock"):
            taken.append(name)
            hold(renewing.path / name).close()  # raises BlockingIOError if it is not free
        return good(renewing.issuer, form)

    renewing.issuer.refreshing = answer
    assert not renewing.here().trouble
    assert taken == ["auth.lock", "auth.json.lock"]


def test_those_who_waited_share_a_failure(renewing: Renewing) -> None:
    """What has just failed for one is not asked again by twelve others, one after the other."""
    asked: list[float] = []

    def refuse(_: Parameters) -> Answer:
        asked.append(time.time())
        renewing.issuer.stopped.wait(3)  # so that all of them wait by then
        return nested(401, "refresh_token_invalidated", "no")

    renewing.issuer.refreshing = refuse
    outcomes = at_once(8, renewing.token)
    assert {outcome.exit_code for outcome in outcomes} == {3}
    assert {outcome.err.splitlines()[-2] for outcome in outcomes} == {
        "Error: The issuer refused the refresh token: it was revoked, as by a sign-out or a newer "
        "sign-in (refresh_token_invalidated)."
    }
    assert len(asked) < 8


def test_a_refusal_is_not_asked_for_again_at_once(renewing: Renewing) -> None:
    """Codex runs a provider's command a dozen times; `--refresh`, or a minute later, asks again."""
    renewing.issuer.refreshing = nested(401, "refresh_token_expired", "no")
    for asked, later, force in ((1, 0, False), (1, 30, False), (2, 30, True), (3, 120, False)):
        with pytest.raises(RefreshRefused, match="it has expired"):
            renewing.here(later, force=force)
        assert len(renewing.issuer.refreshes) == asked


# Signing in and out, and what is left after a kill.


@pytest.mark.parametrize("words", [("logout",), ("login", "--with-api-key")])
def test_signing_in_and_out_wait_for_a_refresh(words: tuple[str, ...], renewing: Renewing) -> None:
    """What a refresh brings must not come back after a sign-out, nor be lost to a new sign-in."""
    renewing.here()
    with Piped(*words, environ=renewing.environ) as other:
        with Journal.locked(renewing.home):
            other.send("sk-proj-0123456789abcdefghij")
            other.read_until("Waiting for another headless-login")
            assert b"chatgpt" in renewing.content
        assert_ended(other.finish(), 0)
    assert not renewing.auth_file.exists() or b"chatgpt" not in renewing.content


def _interrupted(renewing: Renewing) -> dict[str, Any]:
    """Leave what a refresh leaves that is killed after its answer; returns the new tokens."""
    before = renewing.content
    renewing.here(force=True)
    after, old = renewing.content, json.loads(before)["tokens"]["refresh_token"]
    renewing.auth_file.write_bytes(before)
    with Journal.locked(renewing.home) as journal:
        journal.begin(old, time.time())
        assert journal.keep(Credentials(after))
    return dict(json.loads(after)["tokens"])


def test_the_next_command_finishes_it(renewing: Renewing) -> None:
    """What Codex has changed besides meanwhile, stays."""
    new = _interrupted(renewing)
    assert has_mode(renewing.journal, 0o600)
    renewing.change(login_owner_id="another")
    recover(renewing.home)
    assert renewing.tokens == new | {"login_owner_id": "another"}
    assert not renewing.journal.exists()


@pytest.mark.parametrize("torn", [b"", b'{"auth_mode": "chatg'])
def test_a_torn_file_is_whole_again(torn: bytes, renewing: Renewing) -> None:
    new = _interrupted(renewing)
    renewing.auth_file.write_bytes(torn)
    assert renewing.here(min_valid=60.0).access_token == new["access_token"]
    assert renewing.tokens == new


@pytest.mark.parametrize("words", [("logout", "--revoke"), ("login", "--with-api-key")])
def test_no_secret_is_left_behind(words: tuple[str, ...], renewing: Renewing) -> None:
    """The token that is alive is revoked, or kept with its account: it is in no other place."""
    new = _interrupted(renewing)
    assert_ended(run(*words, environ=renewing.environ, stdin="sk-proj-0123456789abcdefghij"), 0)
    revoked = [each.form()["token"] for each in renewing.issuer.requests if "revoke" in each.path]
    assert revoked == [new["refresh_token"]] * (words[0] == "logout")
    left = [path for path in renewing.path.rglob("*") if path.is_file()]
    found = [path for path in left if new["refresh_token"].encode() in path.read_bytes()]
    assert [path.parent.name for path in found] == ["accounts"] * (words[0] == "login")


def test_a_refresh_that_runs_is_left_alone(renewing: Renewing) -> None:
    """Who has the lock is alive; a token that is valid long enough does not wait for it."""
    _interrupted(renewing)
    before = renewing.content
    with Journal.locked(renewing.home):
        assert_ended(renewing.token("--min-valid", "1"), 0)
        assert renewing.journal.exists()
    assert renewing.content == before


def test_an_answer_that_was_lost_is_told(renewing: Renewing) -> None:
    """A kill before the answer, or in the midst of keeping it: the refusal says what it was."""
    renewing.here()
    for rest in ("", '{"content": "MARK'):
        with Journal.locked(renewing.home) as journal:
            journal.begin(renewing.tokens["refresh_token"], 1_000_000.0)
        with renewing.journal.open("a") as file:
            file.write(rest)
        recover(renewing.home)
        failure = renewing.failure
        assert failure
        assert (failure.code, failure.at) == (OUTCOME_UNKNOWN, 1_000_000.0)
        assert not renewing.journal.exists()
    renewing.issuer.refreshing = nested(401, "refresh_token_reused", "no")
    with pytest.raises(RefreshRefused, match="answer to an earlier refresh of ours was lost"):
        renewing.here()


def test_a_later_versions_journal_is_left_alone(renewing: Renewing) -> None:
    """By name; a valid token is printed, nothing is asked, and one can sign out and in."""
    _interrupted(renewing)
    later = b'{"format": 2}\n'
    renewing.journal.write_bytes(later)
    asked = len(renewing.issuer.refreshes)
    with pytest.raises(LocalTrouble, match=r"refresh-journal has the format 2"):
        renewing.here(LATER)
    assert "format 2" in renewing.here().trouble
    assert_ended(run("logout", environ=renewing.environ), 0, "format 2")
    assert not renewing.auth_file.exists()
    assert renewing.journal.read_bytes() == later
    assert len(renewing.issuer.refreshes) == asked


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff", b'{"format": 1}', b"{" * 9999])
def test_a_damaged_journal_is_thrown_away(content: bytes, renewing: Renewing) -> None:
    _interrupted(renewing)
    before = renewing.content
    renewing.journal.write_bytes(content)
    recover(renewing.home)
    assert renewing.content == before
    assert not renewing.journal.exists()


def test_tokens_that_cannot_be_stored_are_told_where(renewing: Renewing) -> None:
    """The disk fails after the answer: they are in the journal, and the next command has them."""
    good = RefreshingIssuer.token_answer

    def answer(form: Parameters) -> Answer:
        renewing.issuer.refreshing = None
        (renewing.path / "auth.json.lock").unlink()
        (renewing.path / "auth.json.lock").mkdir()
        return good(renewing.issuer, form)

    renewing.issuer.refreshing = answer
    before = renewing.tokens
    with pytest.raises(LocalTrouble) as raised:
        renewing.here()
    assert str(renewing.journal) in raised.value.hint
    (renewing.path / "auth.json.lock").rmdir()
    assert renewing.here(min_valid=60.0).access_token != before["access_token"]
    assert renewing.tokens["refresh_token"] != before["refresh_token"]
    assert len(renewing.issuer.refreshes) == 1


def test_tokens_that_no_journal_takes_are_stored_all_the_same(renewing: Renewing) -> None:
    good = RefreshingIssuer.token_answer

    def answer(form: Parameters) -> Answer:
        renewing.issuer.refreshing = None
        renewing.journal.unlink()
        renewing.journal.mkdir()
        return good(renewing.issuer, form)

    renewing.issuer.refreshing = answer
    before = renewing.tokens
    assert renewing.here().access_token == renewing.tokens["access_token"]
    assert renewing.tokens["refresh_token"] != before["refresh_token"]
    renewing.journal.rmdir()


# Its disk promises nothing any more (fsync) after so many times.
FULL_DISK = """
import os, sys
left, real = int(sys.argv[1]), os.fsync

def fsync(descriptor):
    global left
    left -= 1
    if left < 0:
        raise OSError(28, "No space left on device")
    real(descriptor)

os.fsync = fsync
from headless_login.cli import main
os._exit(main(sys.argv[2:]))
"""


def test_a_disk_that_promises_nothing_costs_no_tokens(renewing: Renewing, tmp_path: Path) -> None:
    """What was not stored then, the next command stores; there never is a second copy."""
    codes = []
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    renewing.environ["TMPDIR"] = str(temporary)
    for promised in range(20):
        command = (sys.executable, "-c", FULL_DISK, str(promised))
        with renewing.piped("--refresh", command=command) as piped:
            ended = piped.finish()
        assert not list(temporary.iterdir())
        assert_ended(renewing.token("--min-valid", "60"), 0)
        assert len(set(renewing.issuer.spent_by_us())) == len(renewing.issuer.refreshes)
        if ended.exit_code == 0 and "Note:" not in ended.err:
            break
        codes.append(ended.exit_code)
    assert codes.count(6) >= 2, codes  # after the exchange, before auth.json
    assert len(renewing.issuer.refreshes) > codes.count(6)


# Ends itself as by kill -9 before its n-th call that changes something on disk.
KILLED = """
import os, signal, sys
left = int(sys.argv[1])

def step():
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), 9)

def counted(name):
    real = getattr(os, name)
    def call(*arguments, **options):
        if name != "open" or arguments[1] & os.O_CREAT:
            step()
        return real(*arguments, **options)
    return call

for name in ("open", "write", "fsync", "replace", "unlink", "mkdir", "ftruncate", "fchmod"):
    setattr(os, name, counted(name))
from headless_login.cli import main
os._exit(main(sys.argv[2:]))
"""


@pytest.mark.timeout(300)
def test_killed_at_every_step(renewing: Renewing) -> None:
    """The next command has a sign-in that lives, unless what came was never written at all."""
    lost = 0
    for step in range(100):
        before = renewing.tokens["refresh_token"]
        command = (sys.executable, "-c", KILLED, str(step))
        with renewing.piped("--refresh", command=command) as piped:
            ended = piped.finish().exit_code
        interpret(renewing.content)  # whole
        assert_ended(renewing.token("--min-valid", "60"), 0)
        assert not renewing.journal.exists()
        if ended == 0:
            break
        assert ended == KILLED_BY
        if before in renewing.issuer.spent_by_us() and renewing.tokens["refresh_token"] == before:
            lost += 1
            assert_ended(renewing.token("--refresh"), 3, "answer to an earlier refresh of ours")
            renewing.sign_in()
    assert 12 < step < 99
    assert lost == 1
