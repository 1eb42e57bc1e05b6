"""Every way a sign-in can fail, from outside: one sentence, the right exit code, nothing changed.

An existing auth.json has to survive each of them byte for byte, no temporary file may stay, and
nothing that is secret may be printed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from headless_login.practice.issuer import Answer, PracticeIssuer
from headless_login.practice.person import approve
from headless_login.practice.wire import json_answer, text_answer
from tests.support import misbehaving as bad
from tests.support.program import Outcome, Piped, Terminal, environment, run

OLD = b'{"auth_mode": "apikey", "OPENAI_API_KEY": "sk-old-and-precious"}'
CLAIM = "https://api.openai.com/auth"


def _flat(status: int, error: str, description: str = "") -> Answer:
    return json_answer(status, {"error": error, "error_description": description})


def _nested(status: int, code: str) -> Answer:
    return json_answer(status, {"error": {"code": code, "message": "No.", "type": "x"}})


def _echo(form: dict[str, str]) -> Answer:
    return _flat(400, "invalid_grant", f"bad code {form['code']} with {form['code_verifier']}")


TOKEN_ENDPOINT: dict[str, tuple[Callable[[], PracticeIssuer], int, str]] = {
    "garbage": (lambda: bad.AnsweringIssuer(Answer(200, b"\xff\x00{{{")), 4, "it is not JSON"),
    "empty": (lambda: bad.AnsweringIssuer(Answer(200)), 4, "it is not JSON"),
    "a list": (lambda: bad.AnsweringIssuer(Answer(200, b"[1]", (bad.JSON,))), 4, "not usable"),
    "HTML": (lambda: bad.AnsweringIssuer(Answer(200, bad.HTML)), 4, "a web page"),
    "no refresh token": (lambda: bad.PartialIssuer(refresh_token=None), 4, "lacks refresh_token"),
    "an empty token": (lambda: bad.PartialIssuer(access_token=""), 4, "lacks access_token"),
    "a number": (lambda: bad.PartialIssuer(id_token=7), 4, "lacks id_token"),
    "far too long": (lambda: bad.AnsweringIssuer(Answer(200, b" " * 2**21)), 4, "far too long"),
    "redirect": (
        lambda: bad.AnsweringIssuer(Answer(302, b"", (("Location", "http://127.0.0.1:1/"),))),
        4,
        "redirects",
    ),
    "404": (lambda: bad.AnsweringIssuer(text_answer(404, "nothing")), 4, "HTTP 404"),
    "429": (lambda: bad.AnsweringIssuer(text_answer(429, "slow down")), 4, "HTTP 429"),
    "500": (lambda: bad.AnsweringIssuer(text_answer(500, "oops")), 4, "HTTP 500"),
    "503 HTML": (lambda: bad.AnsweringIssuer(Answer(503, bad.HTML)), 4, "challenge page"),
    "403 challenge": (
        lambda: bad.AnsweringIssuer(Answer(403, bad.HTML, (("cf-mitigated", "challenge"),))),
        4,
        "challenge page",
    ),
    "country": (
        lambda: bad.AnsweringIssuer(_nested(403, "unsupported_country_region_territory")),
        4,
        "country",
    ),
    "invalid_grant": (
        lambda: bad.AnsweringIssuer(_flat(400, "invalid_grant", "Expired.")),
        3,
        "invalid_grant: Expired",
    ),
    "nested 401": (
        lambda: bad.AnsweringIssuer(_nested(401, "token_exchange_user_error")),
        3,
        "token_exchange_user_error",
    ),
    "an echo": (lambda: bad.AnsweringIssuer(_echo), 3, "bad code …"),
    "403 without error": (lambda: bad.AnsweringIssuer(json_answer(403, {"a": 1})), 4, "HTTP 403"),
}

ID_TOKEN: dict[str, tuple[Callable[[], PracticeIssuer], int, str]] = {
    "unknown key": (lambda: bad.ForgingIssuer(bad.signed_by_a_stranger), 3, "not signed by"),
    "alg none": (lambda: bad.ForgingIssuer(bad.unsigned), 3, "not signed in an accepted way"),
    "HS256": (lambda: bad.ForgingIssuer(bad.signed_by_a_password), 3, "not signed in an accepted"),
    "no JWT": (lambda: bad.ForgingIssuer(lambda _: "nonsense"), 3, "not a JSON Web Token"),
    "foreign issuer": (lambda: bad.ClaimingIssuer(iss="https://evil.example"), 3, "(iss)"),
    "foreign client": (lambda: bad.ClaimingIssuer(aud=["app_other"]), 3, "(aud)"),
    "two audiences": (
        lambda: bad.ClaimingIssuer(aud=["app_EMoamEEZ73f0CkXaXp7hrann", "x"]),
        3,
        "azp",
    ),
    "no audience": (lambda: bad.ClaimingIssuer(aud=None), 3, "lacks the claim aud"),
    "no expiry": (lambda: bad.ClaimingIssuer(exp=None), 3, "lacks the claim exp"),
    "expired": (bad.expired, 3, "has expired"),
    "from the future": (lambda: bad.ClaimingIssuer(iat=4102444800), 3, "in the future"),
    "no account": (lambda: bad.ClaimingIssuer(**{CLAIM: {}}), 3, "names no ChatGPT account"),
    "wrong at_hash": (lambda: bad.ClaimingIssuer(at_hash="AAAA"), 3, "at_hash"),
}


def _secrets(issuer: PracticeIssuer) -> set[str]:
    """Return what must not be printed: codes and verifiers that the issuer saw, what it hid."""
    secrets = {"MARKED-SECRET", "sk-old-and-precious"}
    for request in issuer.requests:
        if request.path == "/oauth/token":
            form = request.form()
            secrets |= {form["code"], form["code_verifier"]}
    return secrets


def _sign_in(issuer: PracticeIssuer, codex_home: Path, *options: str) -> Outcome:
    environ = environment(codex_home, issuer.issuer)
    with Piped("login", "--paste-redirect", *options, environ=environ) as piped:
        return piped.finish(approve(piped.read_url()))


def _assert_nothing_happened(outcome: Outcome, codex_home: Path, secrets: set[str]) -> None:
    assert (codex_home / "auth.json").read_bytes() == OLD
    left = {path.name for path in codex_home.iterdir()}
    assert left <= {"auth.json", "auth.lock", "auth.json.lock"}
    printed = outcome.out + outcome.err
    assert not [secret for secret in secrets if secret in printed]
    assert "Traceback" not in printed
    assert not re.search(r"eyJ[\w-]{20,}", printed)
    assert len(re.findall(r"(?m)^Error: ", outcome.err)) == 1
    assert outcome.out == ""


@pytest.mark.parametrize("case", [*TOKEN_ENDPOINT, *ID_TOKEN])
def test_a_failing_issuer_changes_nothing(case: str, codex_home: Path) -> None:
    """Whatever the token endpoint does: one sentence, its exit code, the old file."""
    make, exit_code, phrase = (TOKEN_ENDPOINT | ID_TOKEN)[case]
    (codex_home / "auth.json").write_bytes(OLD)
    with make() as issuer:
        outcome = _sign_in(issuer, codex_home)
        assert (outcome.exit_code, phrase in outcome.err) == (exit_code, True), outcome.err
        _assert_nothing_happened(outcome, codex_home, _secrets(issuer))


def test_a_hanging_issuer_is_given_up(codex_home: Path) -> None:
    """A server that takes the request and says nothing holds nobody for ever."""
    (codex_home / "auth.json").write_bytes(OLD)
    with bad.HangingIssuer() as issuer:
        outcome = _sign_in(issuer, codex_home, "--timeout", "4")
        assert outcome.exit_code == 4
        assert "cannot be reached: no answer" in outcome.err
        _assert_nothing_happened(outcome, codex_home, _secrets(issuer))


def test_an_issuer_that_is_gone_is_named(codex_home: Path) -> None:
    """Connection refused is exit 4, with the address that refused."""
    (codex_home / "auth.json").write_bytes(OLD)
    issuer = PracticeIssuer()
    with issuer:
        environ = environment(codex_home, issuer.issuer)
        piped = Piped("login", "--paste-redirect", environ=environ)
        answer = approve(piped.read_url())
    with piped:
        outcome = piped.finish(answer)
    assert outcome.exit_code == 4
    assert "connection refused" in outcome.err
    _assert_nothing_happened(outcome, codex_home, {answer})


def test_denial_ends_the_sign_in(issuer: PracticeIssuer, codex_home: Path) -> None:
    """The person's own No is exit 3, and nobody asks the token endpoint."""
    (codex_home / "auth.json").write_bytes(OLD)
    environ = environment(codex_home, issuer.issuer)
    with Piped("login", "--paste-redirect", environ=environ) as piped:
        outcome = piped.finish(approve(piped.read_url(), decision="deny"))
    assert outcome.exit_code == 3
    assert "denied" in outcome.err
    assert not [request for request in issuer.requests if request.path == "/oauth/token"]
    _assert_nothing_happened(outcome, codex_home, set())


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500),
        Answer(200, bad.HTML),
        Answer(200, b'{"keys": []}', (bad.JSON,)),
        Answer(404),
        Answer(302, b"", (("Location", "http://127.0.0.1:1/"),)),
    ],
    ids=["500", "HTML", "no keys", "404", "redirect"],
)
def test_unreachable_keys_are_told_and_not_fatal(answer: Answer, codex_home: Path) -> None:
    """The token came straight from the token endpoint; one line says what was not checked."""
    with bad.KeylessIssuer(answer) as issuer:
        outcome = _sign_in(issuer, codex_home)
    assert outcome.exit_code == 0, outcome.err
    assert outcome.err.count("signature was not checked") == 1


def test_without_keys_a_bad_token_is_still_refused(codex_home: Path) -> None:
    """Only the signature goes unchecked: an unsigned token is not accepted without keys either."""

    class Unsigned(bad.KeylessIssuer):
        def sign_id_token(self, claims: object) -> str:
            assert isinstance(claims, dict)
            return bad.unsigned(claims)

    with Unsigned(Answer(500)) as issuer:
        outcome = _sign_in(issuer, codex_home)
    assert outcome.exit_code == 3
    assert not (codex_home / "auth.json").exists()


@pytest.mark.parametrize(
    ("config", "exit_code", "phrase"),
    [
        ('forced_chatgpt_workspace_id = "other"', 3, "denied"),
        ('forced_login_method = "api"', 3, "forced_login_method"),
        ("forced_login_method = ", 6, "not valid TOML"),
    ],
)
def test_config_toml_is_honoured(
    config: str, exit_code: int, phrase: str, issuer: PracticeIssuer, codex_home: Path
) -> None:
    """What an administrator forces holds before anything is written."""
    (codex_home / "config.toml").write_text(config)
    environ = environment(codex_home, issuer.issuer)
    with Piped("login", "--paste-redirect", environ=environ) as piped:
        answer = approve(piped.read_url()) if phrase == "denied" else ""
        outcome = piped.finish(answer)
    assert (outcome.exit_code, phrase in outcome.err) == (exit_code, True), outcome.err
    assert not (codex_home / "auth.json").exists()


def test_a_workspace_is_checked_after_the_sign_in_as_well(codex_home: Path) -> None:
    """The parameter in the authorize URL is a hint only: the claim decides."""
    (codex_home / "config.toml").write_text('forced_chatgpt_workspace_id = ["wanted"]')

    claims = {CLAIM: {"chatgpt_account_id": "another", "chatgpt_plan_type": "plus"}}
    with bad.ClaimingIssuer(**claims) as issuer:
        environ = environment(codex_home, issuer.issuer)
        with Piped("login", "--paste-redirect", environ=environ) as piped:
            url = piped.read_url()
            assert "&allowed_workspace_id=wanted" in url
            outcome = piped.finish(approve(url.replace("&allowed_workspace_id=wanted", "")))
    assert outcome.exit_code == 3
    assert "workspace" in outcome.err
    assert not (codex_home / "auth.json").exists()


def test_an_auth_file_that_is_a_folder_is_found_first(
    issuer: PracticeIssuer, codex_home: Path
) -> None:
    """Before the address is shown: a code must not be spent on what cannot be written."""
    (codex_home / "auth.json").mkdir()
    outcome = run("login", "--paste-redirect", environ=environment(codex_home, issuer.issuer))
    assert outcome.exit_code == 6
    assert "it is a folder" in outcome.err
    assert "/oauth/authorize" not in outcome.err


def test_a_refused_paste_is_asked_for_again(
    issuer: PracticeIssuer, environ: dict[str, str], codex_home: Path
) -> None:
    """On a terminal the sign-in outlives wrong answers, and the right one still counts."""
    with Terminal("login", "--paste-redirect", environ=environ) as terminal:
        url = terminal.read_url()
        answer = approve(url)
        for wrong, phrase in [
            ("hello", "not the address of the page"),
            (url, "address to open"),
            (answer.replace("state=", "state=x"), "another sign-in"),
        ]:
            terminal.read_until("Paste the address it ends at:")
            terminal.paste(wrong)
            terminal.send("\r")
            terminal.read_until(phrase)
        assert not [r for r in issuer.requests if r.path == "/oauth/token"]
        terminal.paste(answer)
        assert terminal.wait() == 0
    assert (codex_home / "auth.json").exists()


def test_time_runs_out(environ: dict[str, str], codex_home: Path) -> None:
    """Nobody answers: exit 5, on a terminal, with its settings as they were."""
    with Terminal("login", "--paste-redirect", "--timeout", "1", environ=environ) as terminal:
        assert terminal.wait() == 5
        assert "Timed out waiting" in terminal.text
        assert terminal.attributes == terminal.attributes_before
    assert not (codex_home / "auth.json").exists()
