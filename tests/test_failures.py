"""Every way a sign-in can fail: one sentence, its exit code, no secret, and the old file whole."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest
import requests

from headless_login.delivery.destination import CodexFolder
from headless_login.errors import HeadlessLoginError
from headless_login.issuer.client import IssuerClient
from headless_login.issuer.transport import Transport
from headless_login.oauth.provider import Provider
from headless_login.practice.issuer import Answer, PracticeIssuer
from headless_login.practice.person import approve
from headless_login.practice.wire import json_answer, text_answer
from headless_login.signin import begin, complete
from tests.support import misbehaving as bad
from tests.support.misbehaving import AnsweringIssuer as Bad
from tests.support.program import Outcome, Piped, Variables, environment, events_in, run
from tests.support.two_calls import FINISH, PENDING, START, TwoCalls

OLD = b'{"auth_mode": "apikey", "OPENAI_API_KEY": "sk-old-and-precious"}'
CLAIM = "https://api.openai.com/auth"
PASTE = ("login", "--paste-redirect")
EXIT_CODES = {"invalid_grant": 3, "id_token_invalid": 3, "signed_in": 0}  # else 4

# What makes an issuer, the word of the contract, and a phrase of the sentence.
Case = tuple[Callable[[], PracticeIssuer], str, str]


def _refused(description: str) -> Answer:
    return json_answer(400, {"error": "invalid_grant", "error_description": description})


def _echo(form: Mapping[str, str]) -> Answer:
    return _refused(f"bad code {form['code']} with {form['code_verifier']}")


INVALID, FORGED, REFUSED = "token_response_invalid", "id_token_invalid", "invalid_grant"
CHALLENGE, UNCHECKED = "challenge_page", "signature was not checked"
MITIGATED = (("cf-mitigated", "challenge"),)
ELSEWHERE = Answer(302, b"", (("Location", "http://127.0.0.1:1/"),))
_COUNTRY = {"code": "unsupported_country_region_territory", "message": "No.", "type": "x"}
COUNTRY = json_answer(403, {"error": _COUNTRY})
LESS = json_answer(200, {"access_token": "eyJMARKED-SECRET0123456789"})
# Every kind of answer from outside; test_token_response and test_id_token go into the judgements.
ISSUERS: dict[str, Case] = {
    "good": (PracticeIssuer, "signed_in", "Signed in to Codex as ada@example.com"),
    "garbage": (partial(Bad, Answer(200, b"\xff\x00{{{")), INVALID, "it is not JSON"),
    "HTML": (partial(Bad, Answer(200, bad.HTML)), INVALID, "a web page"),
    "far too long": (partial(Bad, Answer(200, b" " * 2**21)), INVALID, "far too long"),
    "redirect": (partial(Bad, ELSEWHERE), INVALID, "redirects"),
    "500": (partial(Bad, text_answer(500, "oops")), "issuer_unreachable", "HTTP 500"),
    "503 HTML": (partial(Bad, Answer(503, bad.HTML)), CHALLENGE, "challenge page"),
    "403": (partial(Bad, Answer(403, bad.HTML, MITIGATED)), CHALLENGE, "challenge page"),
    "country": (partial(Bad, COUNTRY), "unsupported_country", "country"),
    "invalid_grant": (partial(Bad, _refused("Expired.")), REFUSED, "invalid_grant: Expired"),
    "an echo": (partial(Bad, _echo), REFUSED, "bad code …"),
    "a token less": (partial(Bad, LESS), INVALID, "lacks id_token"),
    "unknown key": (partial(Bad, sign=bad.signed_by_a_stranger), FORGED, "not signed by"),
    "alg none": (partial(Bad, sign=bad.unsigned), FORGED, "in an accepted way"),
    "foreign issuer": (partial(Bad, claims={"iss": "https://evil.example"}), FORGED, "(iss)"),
    "expired": (bad.expired, FORGED, "has expired"),
    # The token came straight from the token endpoint: one line tells what is unchecked.
    "500 for keys": (partial(Bad, keys=Answer(500)), "signed_in", UNCHECKED),
    "HTML for keys": (partial(Bad, keys=Answer(200, bad.HTML)), "signed_in", UNCHECKED),
    "no keys": (partial(Bad, keys=Answer(200, b'{"keys": []}')), FORGED, "not signed by"),
    "redirected keys": (partial(Bad, keys=ELSEWHERE), "signed_in", UNCHECKED),
    "unsigned": (partial(Bad, keys=Answer(500), sign=bad.unsigned), FORGED, "in an accepted way"),
}


def _in_one_call(environ: Variables) -> tuple[Outcome, str]:
    """Return how `login` ended, and the last word of its events."""
    with Piped(*PASTE, "--json", environ=environ) as piped:
        outcome = piped.finish(approve(piped.read_url()))
    authorize, last = events_in(outcome.out)
    assert authorize["event"] == "authorize"
    return outcome, last.get("error", last["event"])


def _in_two_calls(environ: Variables) -> tuple[Outcome, str]:
    """Return how `finish` ended, and what `start` and other programs could see."""
    started = run(*START, environ=environ)
    with Piped(*FINISH, "-", environ=environ) as piped:
        process = Path(f"/proc/{piped.process.pid}")
        files = (process / "cmdline", process / "environ")
        seen = "".join(file.read_text() for file in files if file.exists())
        outcome = piped.finish(approve(started.out.splitlines()[0]))
    assert outcome.out == ""
    return outcome, started.out + started.err + seen


def _assert_nothing_happened(outcome: Outcome, codex_home: Path) -> None:
    assert (codex_home / "auth.json").read_bytes() == OLD
    left = {path.name for path in codex_home.iterdir()}
    assert left <= {"auth.json", "auth.lock", "auth.json.lock", PENDING}
    assert "Traceback" not in outcome.err
    assert len(re.findall(r"(?m)^Error: ", outcome.err)) == 1


@pytest.fixture(autouse=True)
def _signed_in_before(codex_home: Path) -> None:
    (codex_home / "auth.json").write_bytes(OLD)


@pytest.mark.parametrize("case", ISSUERS)
@pytest.mark.parametrize("calls", [1, 2])
def test_whatever_the_issuer_does(case: str, calls: int, codex_home: Path) -> None:
    """One sentence, its word and exit code, the old file; no secret on any stream or argument."""
    make, word, phrase = ISSUERS[case]
    sign_in = _in_one_call if calls == 1 else _in_two_calls
    with make() as issuer:
        outcome, seen = sign_in(environment(codex_home, issuer.issuer))
    assert outcome.exit_code == EXIT_CODES.get(word, 4), outcome.err
    assert outcome.err.count(phrase) == 1
    assert calls == 2 or seen == word
    if outcome.exit_code:
        _assert_nothing_happened(outcome, codex_home)
    (form,) = (each.form() for each in issuer.requests if each.path == "/oauth/token")
    told = outcome.out + outcome.err + seen
    secrets = {"MARKED-SECRET", "sk-old-and-precious", form["code"], form["code_verifier"]}
    assert not [secret for secret in secrets if secret in told]
    assert not re.search(r"eyJ[\w-]{20,}", told)


def test_a_hanging_issuer_is_given_up(codex_home: Path) -> None:
    """A server that takes the request and says nothing holds nobody for ever."""
    with bad.HangingIssuer() as issuer:
        environ = environment(codex_home, issuer.issuer)
        with Piped(*PASTE, "--timeout", "4", environ=environ) as piped:
            outcome = piped.finish(approve(piped.read_url()))
    assert outcome.exit_code == 4
    assert "cannot be reached: no answer" in outcome.err
    _assert_nothing_happened(outcome, codex_home)


def test_an_issuer_that_is_gone_is_named(codex_home: Path) -> None:
    """Connection refused is exit 4, with the address that refused."""
    with PracticeIssuer() as issuer:
        piped = Piped(*PASTE, environ=environment(codex_home, issuer.issuer))
        answer = approve(piped.read_url())
    with piped:
        outcome = piped.finish(answer)
    assert outcome.exit_code == 4
    host = issuer.issuer.removeprefix("http://")
    assert f"{host} cannot be reached: connection refused" in outcome.err
    assert (answer in outcome.err, outcome.out) == (False, "")
    _assert_nothing_happened(outcome, codex_home)


def test_denial_ends_the_sign_in(calls: TwoCalls) -> None:
    """The person's own No is exit 3, and nobody asks the token endpoint."""
    with calls.piped(*PASTE, "--json") as piped:
        outcome = piped.finish(approve(piped.read_url(), decision="deny"))
    assert (outcome.exit_code, events_in(outcome.out)[-1]["error"]) == (3, "access_denied")
    assert "denied" in outcome.err
    assert calls.exchanges == 0
    _assert_nothing_happened(outcome, calls.home)


# config.toml, exit code, a phrase of the sentence, whether the address is shown before.
CONFIGS = [
    ('forced_chatgpt_workspace_id = "other"', 3, "denied", True),
    ('forced_login_method = "api"', 3, "forced_login_method", False),
    ("forced_login_method = ", 6, "not valid TOML", False),
]


@pytest.mark.parametrize(("config", "exit_code", "phrase", "asked"), CONFIGS)
def test_config_toml_is_honoured(
    config: str, exit_code: int, phrase: str, asked: bool, environ: Variables, codex_home: Path
) -> None:
    """What an administrator forces holds before anything is written."""
    (codex_home / "config.toml").write_text(config)
    with Piped(*PASTE, environ=environ) as piped:
        outcome = piped.finish(approve(piped.read_url()) if asked else "")
    assert (outcome.exit_code, phrase in outcome.err) == (exit_code, True), outcome.err
    assert ("/oauth/authorize" in outcome.err) is asked
    assert (codex_home / "auth.json").read_bytes() == OLD


def test_a_workspace_is_checked_after_the_sign_in_as_well(codex_home: Path) -> None:
    """The parameter in the authorize URL is a hint only: the claim decides."""
    (codex_home / "config.toml").write_text('forced_chatgpt_workspace_id = ["wanted"]')
    claims = {CLAIM: {"chatgpt_account_id": "another", "chatgpt_plan_type": "plus"}}
    with Bad(claims=claims) as issuer:
        piped = Piped(*PASTE, environ=environment(codex_home, issuer.issuer))
        url = piped.read_url()
        answer = approve(url.replace("&allowed_workspace_id=wanted", ""))
        with piped:
            outcome = piped.finish(answer)
    assert "&allowed_workspace_id=wanted" in url
    assert outcome.exit_code == 3
    assert "workspace" in outcome.err
    assert (codex_home / "auth.json").read_bytes() == OLD


def test_an_auth_file_that_is_a_folder_is_found(environ: Variables, codex_home: Path) -> None:
    """Before the address is shown: a code must not be spent on what cannot be written."""
    (codex_home / "auth.json").unlink()
    (codex_home / "auth.json").mkdir()
    outcome = run(*PASTE, environ=environ)
    assert outcome.exit_code == 6
    assert "it is a folder" in outcome.err
    assert "/oauth/authorize" not in outcome.err


LOGGED = ISSUERS | {"hanging": (bad.HangingIssuer, "", "")}
# What the server's answers hold that nobody may see; a claim is one part of a token.
SECRET = re.compile(r'"\w+_token": ?"([^"]{12,})"')


def _raised(error: BaseException | None) -> Iterator[str]:
    """Yield all that an error tells, and each error behind it, shown or not."""
    if error is None:
        return
    yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
    yield "".join(traceback.format_exception(error))
    yield from _raised(error.__cause__)
    if error.__context__ is not error.__cause__:
        yield from _raised(error.__context__)


@pytest.mark.parametrize("case", LOGGED)
def test_no_secret_is_printed_logged_or_raised(
    case: str,
    codex_home: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Whatever the issuer does, with every library's log wide open."""
    caplog.set_level(logging.DEBUG)
    with LOGGED[case][0]() as issuer:
        provider = Provider(issuer.issuer)
        attempt = begin(provider)
        grant = attempt.accept(approve(attempt.url))
        secrets = {"MARKED-SECRET", grant.code, grant.verifier}

        def watch(response: requests.Response, **_: object) -> None:
            secrets.update(SECRET.findall(response.text))

        session = Transport(provider, {}).new_session()
        session.hooks["response"].append(watch)
        client = IssuerClient(provider, environ={}, session=session)
        told = [repr(each) for each in (attempt, grant, client)]
        folder = CodexFolder.find(str(codex_home))
        try:
            signed_in = complete(grant, attempt, folder, client=client, timeout=2, say=told.append)
            told.append(repr(signed_in))
        except HeadlessLoginError as error:
            told += _raised(error)
    told += [f"{record.getMessage()} {record.args!r}" for record in caplog.records]
    told += capfd.readouterr()
    assert len(secrets) == 6 or case != "good"
    everything = "\n".join(told)
    for secret in secrets:
        parts = [part for part in secret.split(".") if len(part) > 20] or [secret]
        assert not [part for part in parts if part in everything]
