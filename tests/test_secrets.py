"""Everything that is printed, logged or raised, searched for everything that is secret."""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from headless_login.delivery.destination import CodexFolder
from headless_login.errors import HeadlessLoginError
from headless_login.issuer.client import IssuerClient
from headless_login.oauth.provider import Provider
from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from headless_login.signin import begin, complete
from tests.support import misbehaving as bad
from tests.support.program import Piped, environment, run
from tests.support.two_calls import events_in, records
from tests.test_failures_outside import ID_TOKEN, TOKEN_ENDPOINT

ISSUERS = {
    "good": PracticeIssuer,
    "hanging": bad.HangingIssuer,
    **{name: make for name, (make, *_) in (TOKEN_ENDPOINT | ID_TOKEN).items()},
}
# What the server's answers hold that nobody may see; a claim is one part of a token.
_SECRET_MEMBER = re.compile(
    r'"(?:\w+_token|device_auth_id|authorization_code|\w*verifier)": ?"([^"]{12,})"'
)


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Fill up with what goes over the wire and must go nowhere else."""
    found = {"MARKED-SECRET"}
    send = requests.adapters.HTTPAdapter.send

    def watched(self: Any, request: requests.PreparedRequest, *args: Any, **options: Any) -> Any:
        body = request.body.decode() if isinstance(request.body, bytes) else request.body or ""
        sent = (part.partition("=") for part in body.split("&"))
        found.update(value for name, _, value in sent if name in ("code", "code_verifier"))
        response = send(self, request, *args, **options)
        found.update(_SECRET_MEMBER.findall(response.text))
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", watched)
    return found


def _raised(error: BaseException | None) -> Iterator[str]:
    """Yield all that an error tells, and each error behind it, shown or not."""
    if error is None:
        return
    yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
    yield "".join(traceback.format_exception(error))
    yield from _raised(error.__cause__)
    if error.__context__ is not error.__cause__:
        yield from _raised(error.__context__)


@pytest.mark.parametrize("case", ISSUERS)
def test_no_secret_is_printed_logged_or_raised(
    case: str,
    secrets: set[str],
    codex_home: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Whatever the issuer does, with every library's log wide open."""
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    with ISSUERS[case]() as issuer:
        provider = Provider(issuer.issuer)
        attempt = begin(provider)
        client = IssuerClient(provider, environ={})
        grant = attempt.accept(approve(attempt.url))
        told += [repr(attempt), repr(grant), repr(client)]
        try:
            signed_in = complete(
                grant,
                attempt,
                CodexFolder.find(str(codex_home)),
                client=client,
                timeout=2,
                say=told.append,
            )
            told.append(repr(signed_in))
        except HeadlessLoginError as error:
            told += _raised(error)
    told += [f"{record.getMessage()} {record.args!r}" for record in caplog.records]
    told += capfd.readouterr()
    assert len(secrets) >= 3, "nothing was found to search for"
    everything = "\n".join(told)
    for secret in secrets:
        parts = [part for part in secret.split(".") if len(part) > 20] or [secret]
        assert not [part for part in parts if part in everything]


@pytest.mark.parametrize("case", [case for case in ISSUERS if case != "hanging"])
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_no_secret_leaves_the_two_calls(case: str, options: list[str], codex_home: Path) -> None:
    """Neither start nor finish prints verifier or code, or has either in its arguments."""
    with ISSUERS[case]() as issuer:
        environ = environment(codex_home, issuer.issuer)
        started = run("login", "start", "--json", environ=environ)
        answer = approve(events_in(started.out)[0]["url"])
        (record,) = records(codex_home)
        verifier = json.loads(record.read_text())["awaits"]["verifier"]
        code = parse_qs(urlsplit(answer).query)["code"][0]
        with Piped("login", "finish", "-", *options, environ=environ) as piped:
            process = Path(f"/proc/{piped.process.pid}")
            seen = [
                (process / name).read_text()
                for name in ("cmdline", "environ")
                if (process / name).exists()
            ]
            finished = piped.finish(answer)
    told = (started.out, started.err, finished.out, finished.err, *seen)
    for secret in (verifier, code):
        assert len(secret) > 20
        assert not [text for text in told if secret in text]
