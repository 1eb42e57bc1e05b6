"""`logout`: the file goes in any case; the refresh token only if asked, and to nobody else."""

from __future__ import annotations

import json
import os
import threading
from io import StringIO
from pathlib import Path
from typing import Any, NoReturn

import pytest
import requests
import responses

from headless_login.codex.home import CodexHome
from headless_login.commands.context import Context
from headless_login.commands.logout import logout
from headless_login.errors import LocalTrouble
from headless_login.practice.issuer import PracticeIssuer
from headless_login.terminal.output import Console, Output
from tests.support.machine import NOBODY, as_user, public_folder
from tests.support.program import Outcome, assert_ended, environment, run
from tests.support.stored_files import LOCKS, NEW, NO_FILES, document, made_by, with_tokens, write

REVOKED = "The refresh token is revoked"
NOT_TAKEN = "The refresh token could not be revoked"
NOT_READ = "So nothing can be revoked"
NOT_TRUSTED = "auth.json names no issuer that can be trusted"
ISSUER = "https://issuer.example"
REVOKE = f"{ISSUER}/oauth/revoke"


def _logout(home: CodexHome, *options: str, **variables: str) -> Outcome:
    """Sign out from outside; whatever is in the file, nothing of it is said."""
    outcome = run("logout", *options, environ=environment(home.path, None, **variables))
    assert "MARKED" not in outcome.err
    assert outcome.out == ""
    return outcome


def _sign_out(
    home: CodexHome,
    content: object,
    *,
    mode: int = 0o600,
    timeout: float = 5.0,
    context: type[Context] = Context,
) -> str:
    """Sign out of that with revocation, and return what was said; in any case the file goes."""
    path, said = write(home, content, mode), StringIO()
    logout(home, context(Output(Console(said)), {}), revoke=True, revoke_timeout=timeout)
    assert not path.exists()
    assert f"the sign-in in {path} is gone" in said.getvalue()
    assert "MARKED" not in said.getvalue()
    return said.getvalue()


# Without revocation.


def test_the_file_goes_and_nobody_is_asked(issuer: PracticeIssuer, home: CodexHome) -> None:
    """Other machines stay signed in; the lock files stay, as Codex leaves them."""
    path = write(home, made_by(issuer.issuer))
    outcome = _logout(home)
    assert (outcome.exit_code, outcome.err) == (0, f"Signed out: the sign-in in {path} is gone.\n")
    assert set(os.listdir(home.path)) == LOCKS
    assert issuer.requests == []


def test_nothing_to_do_is_no_error(home: CodexHome) -> None:
    """Without a file, a folder, or at a dangling link; and nothing is made."""
    for each in (home, CodexHome(f"{home.path}/missing")):
        outcome = _logout(each, "--revoke")
        assert outcome.exit_code == 0
        assert (
            outcome.err
            == f"Nothing to do: there is no sign-in in {os.path.normpath(each.auth_file)}\n"
        )
    assert os.listdir(home.path) == []
    NO_FILES["a dangling link"](Path(home.auth_file))
    assert "Nothing to do" in _logout(home).err
    os.unlink(home.auth_file)
    os.symlink("/nonexistent/auth.json", home.auth_file)  # no folder either
    assert_ended(_logout(home), 0, "Nothing to do")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"x" * 5_000_000])
@pytest.mark.parametrize("options", [[], ["--revoke"]])
def test_a_broken_file_goes_as_well(content: bytes, options: list[str], home: CodexHome) -> None:
    """Whoever signs out of it does not care what it was; with --revoke it is told."""
    path = write(home, content)
    outcome = _logout(home, *options)
    assert outcome.exit_code == 0
    assert not path.exists()
    assert (NOT_READ in outcome.err) is bool(options)


def test_a_file_that_may_not_be_read_goes_as_well() -> None:
    """One's own folder is enough to remove it."""
    with public_folder(NOBODY) as folder:
        home = CodexHome(str(folder))
        said = as_user(NOBODY, lambda: _sign_out(home, document(), mode=0))
    assert f"cannot be read: Permission denied. {NOT_READ}" in said


def test_what_cannot_be_removed_is_trouble(home: CodexHome) -> None:
    """A folder in the file's place: exit 6, and not a word about success."""
    os.mkdir(home.auth_file)
    outcome = _logout(home)
    assert outcome.exit_code == 6
    assert "it is a folder" in outcome.err
    assert "gone" not in outcome.err


def test_an_empty_option_is_not_the_default_folder(home: CodexHome) -> None:
    """A script's variable that is not set must not sign out of another folder."""
    path = write(home, document())
    assert _logout(home, "--codex-home", "").exit_code == 2
    assert path.exists()


# With revocation.


def test_the_request_is_codexs(issuer: PracticeIssuer, home: CodexHome) -> None:
    """As codex-facts.md §7 has it, to the issuer and by the client that the file names."""
    path = write(home, made_by(issuer.issuer))
    token = json.loads(path.read_bytes())["tokens"]["refresh_token"]
    outcome = _logout(home, "--revoke")
    assert outcome.exit_code == 0
    assert f"{REVOKED}; other machines" in outcome.err
    assert not path.exists()
    (request,) = issuer.requests
    assert (request.method, request.path, request.query) == ("POST", "/oauth/revoke", "")
    assert request.headers.get_content_type() == "application/json"
    assert json.loads(request.body) == {
        "token": token,
        "token_type_hint": "refresh_token",
        "client_id": "app_EMoamEEZ73f0CkXaXp7hrann",
    }
    assert "Authorization" not in request.headers


def test_another_clients_token_is_revoked_by_that_client(
    issuer: PracticeIssuer, home: CodexHome
) -> None:
    """The client that the file names, not Codex's: where its issuer publishes, as RFC 7009 asks."""
    _sign_out(home, made_by(issuer.issuer, "app_other"))
    asked = [request.path for request in issuer.requests]
    assert asked == ["/.well-known/openid-configuration", "/oauth/revoke"]
    assert not issuer.requests[1].is_json
    assert issuer.requests[1].form()["client_id"] == "app_other"


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 307, "headers": {"Location": "https://elsewhere.example/oauth/revoke"}},
        {"status": 400, "body": "no"},
        {"status": 401, "json": {"error": {"code": "MARKED"}}},
        {"status": 404, "body": "nothing here"},
        {"status": 500, "body": "oops"},
        {"status": 503, "body": b"\xff" * 2_000_000},
        {"body": requests.ConnectionError("refused")},
    ],
    ids=lambda answer: str(answer.get("status")),
)
@responses.activate
def test_a_refusal_keeps_nothing_here(answer: dict[str, Any], home: CodexHome) -> None:
    """The issuer says no, once and to nobody else: that is told, and the file is gone."""
    responses.post(REVOKE, **answer)
    assert NOT_TAKEN in _sign_out(home, made_by(ISSUER))
    assert [call.request.url for call in responses.calls] == [REVOKE]


def test_a_hanging_issuer_is_not_waited_for(home: CodexHome) -> None:
    """The time for it is bounded; then the file goes."""
    over = threading.Event()

    def hang(_: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        over.wait(60)
        return 200, {}, ""

    with responses.RequestsMock(assert_all_requests_are_fired=False) as its_own:
        its_own.add_callback(responses.POST, REVOKE, hang)
        assert NOT_TAKEN in _sign_out(home, made_by(ISSUER), timeout=0.1)
    over.set()


@pytest.mark.parametrize("variables", [{}, {"SSL_CERT_FILE": "/nonexistent"}], ids=str)
def test_no_connection_keeps_nothing(variables: dict[str, str], home: CodexHome) -> None:
    """From outside: it is refused, or TLS cannot even begin."""
    path = write(home, made_by("https://127.0.0.1:9"))
    outcome = _logout(home, "--revoke", **variables)
    assert outcome.exit_code == 0
    assert NOT_TAKEN in outcome.err
    assert not path.exists()


def test_a_broken_installation_keeps_nothing(home: CodexHome) -> None:
    """Whatever goes wrong before a request can be made, the file has to go."""

    class Broken(Context):
        def client(self, *_: object) -> NoReturn:
            raise ModuleNotFoundError

    assert NOT_TAKEN in _sign_out(home, made_by(ISSUER), context=Broken)


UNTRUSTED = (
    # In the clear, and not to this machine.
    *("http://evil.test", "HTTP://evil.test", "http://127.0.0.1:9@evil.test"),
    *("http://127.0.0.1.evil.test", "http://localhost.evil.test"),
    # In disguise.
    *("http://user@127.0.0.1:9", "https://user@127.0.0.1:9", "https://user:password@127.0.0.1:9"),
    *("https://auth.openai.com@127.0.0.1:9", "https://auth.openai.com:443@127.0.0.1:9"),
    *("https://127.0.0.1:9\\@auth.openai.com", "https://127.0.0.1:9?x", "https://127.0.0.1:9\n"),
    *("http://127.0.0.1:9/?x=", "http://127.0.0.1:9/#", "http://127.0.0.1:9/a b"),
    # No address.
    *(" http://127.0.0.1:9", "//127.0.0.1:9", "127.0.0.1:9", "https://", ""),
    *("ftp://127.0.0.1:9", "file:///etc/passwd", "javascript:alert(1)"),
)
# A token of nobody knows whom is not sent to Codex's issuer instead.
BROKEN: tuple[object, ...] = (7, "https://evil.test", {}, {"issuer": 7})
# In API-key mode Codex sends nothing either, whatever stands beside the key.
NO_TOKEN: tuple[object, ...] = (
    NEW.content,
    made_by(ISSUER) | {"auth_mode": None, "OPENAI_API_KEY": "sk-MARKED"},
    made_by(ISSUER) | {"auth_mode": "apikey", "OPENAI_API_KEY": "sk-MARKED"},
    made_by(ISSUER, refresh_token=""),
    {},
    {"auth_mode": "of a later version"},
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        *((made_by(issuer), NOT_TRUSTED) for issuer in UNTRUSTED),
        *((with_tokens(oauth_provenance=value), NOT_READ) for value in BROKEN),
        *((content, "There is no") for content in NO_TOKEN),
    ],
)
@responses.activate
def test_nobody_is_asked(content: object, said: str, home: CodexHome) -> None:
    """Where there is no issuer that can be trusted, or no token in use; the file goes."""
    assert said in _sign_out(home, content)
    assert len(responses.calls) == 0


@responses.activate
def test_an_older_codexs_token_goes_to_codexs_issuer(home: CodexHome) -> None:
    """Without provenance it is Codex's own."""
    responses.post("https://auth.openai.com/oauth/revoke")
    assert REVOKED in _sign_out(home, document())
    assert len(responses.calls) == 1


@responses.activate
def test_a_file_that_stays_is_told_after_the_revocation(home: CodexHome) -> None:
    """Both are said: revoked there, but still here."""
    responses.post(REVOKE)
    path, said = write(home, made_by(ISSUER)), StringIO()
    path.with_name("auth.lock").mkdir()
    with pytest.raises(LocalTrouble, match=r"auth\.lock cannot be opened"):
        logout(home, Context(Output(Console(said)), {}), revoke=True)
    assert REVOKED in said.getvalue()
    assert "gone" not in said.getvalue()
    assert path.exists()


def test_a_killed_first_sign_in_is_swept(home: CodexHome) -> None:
    """Where auth.json was never reached, its temporary file holds the tokens all the same."""
    left = Path(home.path) / ".auth-0123456789ab"
    left.write_bytes(NEW.content)
    outcome = run("logout", environ=environment(home.path, None))
    assert outcome.exit_code == 0, outcome.err
    assert not left.exists()
