"""The one road after a grant, where it can break: between the exchange and the file."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from headless_login.delivery.destination import CodexFolder
from headless_login.errors import LocalTrouble
from headless_login.issuer.client import IssuerClient
from headless_login.oauth.provider import Provider
from headless_login.oauth.request import AuthorizationRequest
from headless_login.oauth.values import Tokens
from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from headless_login.signin import SignedIn, begin, complete
from tests.support.program import Piped


def _complete(issuer: PracticeIssuer, home: Path) -> SignedIn:
    attempt = begin(Provider(issuer.issuer))
    grant = attempt.accept(approve(attempt.url))
    return complete(grant, attempt, CodexFolder.find(str(home)))


def test_the_road_ends_at_the_file(issuer: PracticeIssuer, codex_home: Path) -> None:
    """The value that comes back says what was written where."""
    signed_in = _complete(issuer, codex_home)
    assert signed_in.identity.email == "ada@example.com"
    assert signed_in.auth_file == str(codex_home / "auth.json")
    document = json.loads((codex_home / "auth.json").read_text())
    assert document["tokens"]["oauth_provenance"]["issuer"] == issuer.issuer
    assert signed_in.access_token_expires_at is not None


def test_tokens_are_not_lost_with_the_disk(
    environ: dict[str, str], codex_home: Path, tmp_path: Path
) -> None:
    """If auth.json cannot be written after all, the sign-in is kept aside, privately, and told."""
    environ["TMPDIR"] = str(tmp_path)
    with Piped("login", "--paste-redirect", environ=environ) as piped:
        answer = approve(piped.read_url())
        (codex_home / "auth.json").mkdir()  # after the probe, before the write
        outcome = piped.finish(answer)
    assert outcome.exit_code == 6
    assert "it is a folder" in outcome.err
    (aside,) = tmp_path.glob("headless-login-*/auth.json")
    assert str(aside) in outcome.err
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600
    assert stat.S_IMODE(aside.parent.stat().st_mode) == 0o700
    assert json.loads(aside.read_text())["auth_mode"] == "chatgpt"


def test_a_failure_carries_no_secret(
    issuer: PracticeIssuer, codex_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the exception nor anything it hangs on holds a token."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    (codex_home / "auth.json").mkdir()
    with pytest.raises(LocalTrouble) as raised:
        _complete(issuer, codex_home)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None
    assert "eyJ" not in repr(raised.value) + str(raised.value.__dict__)


def test_values_do_not_show_their_secrets(issuer: PracticeIssuer) -> None:
    """A log line that prints any of them stays clean."""
    request = AuthorizationRequest(Provider(issuer.issuer))
    grant = request.accept(approve(request.url))
    tokens: Tokens = IssuerClient(Provider(issuer.issuer)).exchange(grant)
    shown = repr([request, grant, tokens])
    for secret in (request.verifier, request.state, grant.code, tokens.access_token):
        assert secret not in shown


def test_the_second_request_reuses_the_connection_without_the_token(
    issuer: PracticeIssuer, codex_home: Path
) -> None:
    """The request for the keys carries no Authorization header, though the session has a token."""
    _complete(issuer, codex_home)
    (keys,) = [request for request in issuer.requests if request.path.endswith("jwks.json")]
    assert keys.headers.get("Authorization") is None
