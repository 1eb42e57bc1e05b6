"""Against a certified provider, through discovery: loopback, paste and device code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headless_login.issuer.client import IssuerClient
from tests.support.browsing import follow
from tests.support.openid_provider import CLIENT_ID, Browser, OpenIdProvider
from tests.support.program import Piped, environment, run


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdProvider]:
    """One provider for all tests here."""
    with OpenIdProvider() as running:
        yield running


@pytest.fixture
def environ(provider: OpenIdProvider, codex_home: Path) -> dict[str, str]:
    """The environment that names that provider and its client."""
    return environment(codex_home, provider.issuer, HEADLESS_LOGIN_CLIENT_ID=CLIENT_ID)


def _assert_signed_in(codex_home: Path, provider: OpenIdProvider) -> None:
    document: dict[str, Any] = json.loads((codex_home / "auth.json").read_text())
    tokens = document["tokens"]
    assert tokens["oauth_provenance"] == {"issuer": provider.issuer, "client_id": CLIENT_ID}
    assert tokens["account_id"] is None
    assert tokens["refresh_token"]
    told = run("login", "status", "--json", environ=environment(codex_home, None))
    assert told.exit_code == 0
    assert json.loads(told.out)["email"] == "grace@example.com"


def test_its_metadata_is_used(provider: OpenIdProvider) -> None:
    """Every endpoint is the one that it publishes, none is guessed."""
    found = IssuerClient.discovered(provider.issuer, CLIENT_ID, "openid", environ={}).provider
    assert found.at.authorization_endpoint == f"{provider.issuer}/auth"
    assert found.at.device_authorization_endpoint == f"{provider.issuer}/device/auth"
    assert found.requires_iss is True


def test_by_loopback(provider: OpenIdProvider, environ: dict[str, str], codex_home: Path) -> None:
    """The browser's answer, with `iss` in it (RFC 9207)."""
    port = str(provider.redirect_port)
    with Piped("login", "--no-browser", "--port", port, environ=environ) as piped:
        piped.read_until(r"(?m)^http://\S+/auth\?\S+\n")
        url = re.search(r"(?m)^http://\S+/auth\?\S+", piped.err)
        assert url
        assert "originator" not in url[0]
        redirected_to = Browser().sign_in(url[0])
        assert "&iss=" in redirected_to
        assert "Signed in to Codex" in follow(redirected_to).body
        assert piped.finish().exit_code == 0
    _assert_signed_in(codex_home, provider)


@pytest.mark.parametrize("spoil", ["", "no iss", "foreign iss"])
def test_by_paste(
    spoil: str, provider: OpenIdProvider, environ: dict[str, str], codex_home: Path
) -> None:
    """It names itself in every answer, so an answer that does not is not its own (RFC 9207)."""
    port = str(provider.redirect_port)
    with Piped("login", "--paste-redirect", "--port", port, environ=environ) as piped:
        piped.read_until(r"(?m)^http://\S+/auth\?\S+\n")
        url = re.search(r"(?m)^http://\S+/auth\?\S+", piped.err)
        assert url
        answer = Browser().sign_in(url[0])
        if spoil:
            answer = re.sub(r"&iss=[^&]+", "&iss=evil" if spoil == "foreign iss" else "", answer)
        outcome = piped.finish(answer + "\n")
    assert outcome.exit_code == (3 if spoil else 0), outcome.err
    if spoil:
        assert "another authorization server" in outcome.err
        assert not (codex_home / "auth.json").exists()
    else:
        _assert_signed_in(codex_home, provider)


def test_a_person_says_no(
    provider: OpenIdProvider, environ: dict[str, str], codex_home: Path
) -> None:
    """The provider's own access_denied."""
    port = str(provider.redirect_port)
    with Piped("login", "--paste-redirect", "--port", port, environ=environ) as piped:
        piped.read_until(r"(?m)^http://\S+/auth\?\S+\n")
        url = re.search(r"(?m)^http://\S+/auth\?\S+", piped.err)
        assert url
        outcome = piped.finish(Browser().sign_in(url[0], deny=True) + "\n")
    assert outcome.exit_code == 3
    assert "denied" in outcome.err
    assert not (codex_home / "auth.json").exists()


@pytest.mark.parametrize("deny", [False, True], ids=["approved", "denied"])
def test_by_device_code(
    deny: bool, provider: OpenIdProvider, environ: dict[str, str], codex_home: Path
) -> None:
    """RFC 8628: its page, its code, its polls; the tokens come from the token endpoint itself."""
    with Piped("login", "--device-auth", environ=environ) as piped:
        piped.read_until("--paste-redirect")
        page = re.search(r"(?m)^(http://\S+/device)$", piped.err)
        code = re.search(r"(?m)^([A-Z]{4}-[A-Z]{4})$", piped.err)
        assert page
        assert code
        Browser().type_code(page[1], code[1], deny=deny)
        outcome = piped.finish()
    if deny:
        assert outcome.exit_code == 3, outcome.err
        assert not (codex_home / "auth.json").exists()
    else:
        assert outcome.exit_code == 0, outcome.err
        _assert_signed_in(codex_home, provider)


def test_in_two_calls(provider: OpenIdProvider, environ: dict[str, str], codex_home: Path) -> None:
    """What discovery found is kept: `finish` needs neither issuer nor client nor network for it."""
    port = str(provider.redirect_port)
    started = run("login", "start", "--port", port, environ=environ)
    answer = Browser().sign_in(started.out.splitlines()[0])
    without = environment(codex_home, None)
    assert run("login", "finish", "-", environ=without, stdin=answer).exit_code == 0
    _assert_signed_in(codex_home, provider)


def test_by_device_code_in_two_calls(
    provider: OpenIdProvider, environ: dict[str, str], codex_home: Path
) -> None:
    """RFC 8628 across processes: pending, then the tokens, which the poll itself brings."""
    started = run("login", "start", "--device-auth", "--json", environ=environ)
    event = json.loads(started.out)
    without = environment(codex_home, None)
    assert run("login", "finish", "--no-wait", environ=without).exit_code == 5
    Browser().type_code(event["verification_uri"], event["user_code"])
    assert run("login", "finish", environ=without).exit_code == 0
    _assert_signed_in(codex_home, provider)


def test_another_issuers_document_is_refused(
    provider: OpenIdProvider, environ: dict[str, str]
) -> None:
    """The issuer has to be the very text that it calls itself."""
    environ["HEADLESS_LOGIN_ISSUER"] = provider.issuer.replace("127.0.0.1", "localhost")
    outcome = run("login", "--paste-redirect", environ=environ)
    assert outcome.exit_code == 4
    assert "it belongs to another issuer" in outcome.err
