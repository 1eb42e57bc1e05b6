"""Against a certified provider, through discovery: loopback, paste and device code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from headless_login.issuer.client import IssuerClient
from tests.support.browsing import follow
from tests.support.openid_provider import CLIENT_ID, Browser, OpenIdProvider, open_id_provider
from tests.support.program import Piped, Variables, environment, run

ADDRESS = r"(?m)^(http://\S+/auth\?\S+)\n"


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdProvider]:
    with open_id_provider() as running:
        yield running


@pytest.fixture
def environ(provider: OpenIdProvider, codex_home: Path) -> Variables:
    """The environment that names that provider and its client."""
    return environment(codex_home, provider.issuer, HEADLESS_LOGIN_CLIENT_ID=CLIENT_ID)


def _assert_signed_in(environ: Variables, signed_in: bool = True) -> None:
    """Fail unless the provider's sign-in is stored, or nothing is."""
    auth_file = Path(environ["CODEX_HOME"]) / "auth.json"
    assert auth_file.exists() is signed_in
    if signed_in:
        tokens: dict[str, Any] = json.loads(auth_file.read_text())["tokens"]
        named = {"issuer": environ["HEADLESS_LOGIN_ISSUER"], "client_id": CLIENT_ID}
        assert tokens["oauth_provenance"] == named
        assert tokens["account_id"] is None
        assert tokens["refresh_token"]
        told = run("login", "status", "--json", environ=environment(auth_file.parent, None))
        assert told.exit_code == 0
        assert json.loads(told.out)["email"] == "grace@example.com"


@contextmanager
def _asked(at: OpenIdProvider, environ: Variables, option: str) -> Iterator[tuple[Piped, str]]:
    """Run `login` on the port that the provider knows, up to the address that it shows."""
    port = str(at.redirect_port)
    with Piped("login", option, "--port", port, environ=environ) as piped:
        piped.read_until(ADDRESS)
        yield piped, re.findall(ADDRESS, piped.err)[0]


def test_its_metadata_is_used(provider: OpenIdProvider) -> None:
    """Every endpoint is the one that it publishes, none is guessed."""
    found = IssuerClient.discovered(provider.issuer, CLIENT_ID, "openid", environ={}).provider
    assert found.at.authorization_endpoint == f"{provider.issuer}/auth"
    assert found.at.device_authorization_endpoint == f"{provider.issuer}/device/auth"
    assert found.requires_iss is True


def test_by_loopback(provider: OpenIdProvider, environ: Variables) -> None:
    """The browser's answer, with `iss` in it (RFC 9207)."""
    with _asked(provider, environ, "--no-browser") as (piped, url):
        assert "originator" not in url
        redirected_to = Browser(provider).sign_in(url)
        assert "&iss=" in redirected_to
        assert "Signed in to Codex" in follow(redirected_to).text
        assert piped.finish().exit_code == 0
    _assert_signed_in(environ)


PASTES: dict[str, tuple[str | None, str]] = {
    # What stands in place of `iss`, None for the provider's own; the reason of the refusal.
    "right": (None, ""),
    "no iss": ("", "another authorization server"),
    "foreign iss": ("&iss=evil", "another authorization server"),
    "access_denied": (None, "denied"),
}


@pytest.mark.parametrize("case", PASTES)
def test_by_paste(case: str, provider: OpenIdProvider, environ: Variables) -> None:
    """The person's yes or no; an answer that does not name the provider is not its own."""
    iss, refusal = PASTES[case]
    with _asked(provider, environ, "--paste-redirect") as (piped, url):
        answer = Browser(provider).sign_in(url, deny=refusal == "denied")
        answer = answer if iss is None else re.sub(r"&iss=[^&]+", iss, answer)
        outcome = piped.finish(answer + "\n")
    assert outcome.exit_code == (3 if refusal else 0), outcome.err
    assert refusal in outcome.err
    _assert_signed_in(environ, not refusal)


@pytest.mark.parametrize("deny", [False, True], ids=["approved", "denied"])
def test_by_device_code(deny: bool, provider: OpenIdProvider, environ: Variables) -> None:
    """RFC 8628: its page, its code, its polls; the tokens come from the token endpoint itself."""
    with Piped("login", "--device-auth", environ=environ) as piped:
        piped.read_until("--paste-redirect")
        (page,) = re.findall(r"(?m)^(http://\S+/device)$", piped.err)
        (code,) = re.findall(r"(?m)^([A-Z]{4}-[A-Z]{4})$", piped.err)
        Browser(provider).type_code(page, code, deny=deny)
        outcome = piped.finish()
    assert outcome.exit_code == (3 if deny else 0), outcome.err
    _assert_signed_in(environ, not deny)


def test_in_two_calls(provider: OpenIdProvider, environ: Variables, codex_home: Path) -> None:
    """What discovery found is kept: `finish` needs neither issuer nor client nor network for it."""
    started = run("login", "start", "--port", str(provider.redirect_port), environ=environ)
    answer = Browser(provider).sign_in(started.out.splitlines()[0])
    without = environment(codex_home, None)
    assert run("login", "finish", "-", environ=without, stdin=answer).exit_code == 0
    _assert_signed_in(environ)


def test_a_code_in_two_calls(provider: OpenIdProvider, environ: Variables) -> None:
    """RFC 8628 across processes: pending, then the tokens, which the poll itself brings."""
    event = json.loads(run("login", "start", "--device-auth", "--json", environ=environ).out)
    without = environment(environ["CODEX_HOME"], None)
    assert run("login", "finish", "--no-wait", environ=without).exit_code == 5
    Browser(provider).type_code(event["verification_uri"], event["user_code"])
    assert run("login", "finish", environ=without).exit_code == 0
    _assert_signed_in(environ)


def test_another_issuers_document_is_refused(environ: Variables) -> None:
    """The issuer has to be the very text that it calls itself."""
    other = environ["HEADLESS_LOGIN_ISSUER"].replace("127.0.0.1", "localhost")
    environ |= {"HEADLESS_LOGIN_ISSUER": other}
    outcome = run("login", "--paste-redirect", environ=environ)
    assert outcome.exit_code == 4
    assert "it belongs to another issuer" in outcome.err
