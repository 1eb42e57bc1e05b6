"""Which issuer a sign-in goes to: named where it is not OpenAI's, and never the environment's
alone unless it is on this machine (RFC 9700 §4.4, the mix-up attack)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from tests.support.program import environment, run

ELSEWHERE = "https://login.attacker.example"
WAYS = [
    ("login", "start"),
    ("login", "start", "--device-auth"),
    ("login", "--paste-redirect"),
    ("login", "--device-auth"),
    ("login", "--with-access-token"),
]


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
@pytest.mark.parametrize("client_id", [None, "", "app_EMoamEEZ73f0CkXaXp7hrann"])
def test_the_environment_alone_leads_nowhere_else(
    way: tuple[str, ...], client_id: str | None, codex_home: Path
) -> None:
    """No address, no code and no token go to a host that nobody named on the command line."""
    environ = environment(codex_home, ELSEWHERE)
    if client_id is not None:
        environ["HEADLESS_LOGIN_CLIENT_ID"] = client_id
    outcome = run(*way, environ=environ, stdin="at-secret")
    assert outcome.exit_code == 2
    assert outcome.out == ""
    assert "HEADLESS_LOGIN_ISSUER names login.attacker.example" in outcome.err
    assert "authorize" not in outcome.err
    assert not (codex_home / "auth.json").exists()


@pytest.mark.parametrize(
    ("arguments", "environ_issuer", "line"),
    [
        ((), None, None),
        (("--issuer", "https://auth.openai.com"), None, None),
        (("--issuer", "https://auth.openai.com/"), ELSEWHERE, None),
        (("--issuer", ELSEWHERE), None, "login.attacker.example, not at OpenAI: from --issuer"),
        ((), "http://127.0.0.1:9", "127.0.0.1:9, not at OpenAI: from HEADLESS_LOGIN_ISSUER"),
        ((), "https://localhost", "localhost, not at OpenAI: from HEADLESS_LOGIN_ISSUER"),
        (("--issuer", "http://[::1]:9"), None, "[::1]:9, not at OpenAI: from --issuer"),
        (("--issuer", "https://auth.openai.com.evil"), None, "auth.openai.com.evil, not at OpenAI"),
    ],
)
def test_another_issuer_is_named_before_the_address(
    arguments: tuple[str, ...], environ_issuer: str | None, line: str | None, codex_home: Path
) -> None:
    """With its host and where it came from; OpenAI's needs no word. Programs get it always."""
    environ = environment(codex_home, environ_issuer)
    outcome = run("login", "start", *arguments, environ=environ)
    assert outcome.exit_code == 0, outcome.err
    assert (f"This signs in at {line}" in outcome.err) if line else "signs in at" not in outcome.err
    told = run("login", *arguments, "start", "--json", environ=environ)
    assert told.err == ""
    expected = arguments[1] if arguments else environ_issuer or "https://auth.openai.com"
    assert json.loads(told.out)["issuer"] == expected


@contextmanager
def _attacker(honest: PracticeIssuer) -> Iterator[tuple[str, list[str]]]:
    """A server whose authorize page is the honest one's; yields its address and what it is sent."""
    sent: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", f"{honest.issuer}{self.path}")
            self.end_headers()

        def do_POST(self) -> None:
            sent.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_error(400)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", sent
        server.shutdown()


def test_the_mix_up_attack(issuer: PracticeIssuer, codex_home: Path) -> None:
    """What the attack needs is an issuer that the person did not choose. By its name it is refused
    before anything is shown; on this machine it is named before the address; and whoever goes on
    all the same has stored nothing."""
    with _attacker(issuer) as (address, sent):
        named = address.replace("127.0.0.1", "login.attacker.example").replace("http:", "https:")
        assert run("login", "start", environ=environment(codex_home, named)).exit_code == 2
        environ = environment(codex_home, address)
        begun = run("login", "start", environ=environ)
        host = address.partition("://")[2]
        assert f"This signs in at {host}, not at OpenAI: from HEADLESS_LOGIN_ISSUER" in begun.err
        url = begun.out.splitlines()[0]
        answer = approve(url.replace(address, issuer.issuer))
        finished = run("login", "finish", "-", environ=environ, stdin=answer)
    assert finished.exit_code != 0
    assert "code_verifier" in sent[0]  # what the line on the screen warned of
    assert not (codex_home / "auth.json").exists()
