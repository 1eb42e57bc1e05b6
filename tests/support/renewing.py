"""A Codex folder whose access token ends soon: what is refreshed there, by whom, and how."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from headless_login.codex.home import CodexHome
from headless_login.codex.journal import FAILURE, JOURNAL, Failure, last_failure
from headless_login.codex.pending.folder import FOLDER
from headless_login.commands.token import ValidToken, valid_token
from headless_login.delivery.destination import CodexFolder
from headless_login.oauth.provider import Provider
from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from headless_login.practice.wire import Answer, Parameters, RecordedRequest
from headless_login.signin import begin, complete
from tests.support.misbehaving import Given
from tests.support.program import Outcome, Piped, environment, run

LIFETIME = 600  # seconds; shorter than 900, so that every `token` refreshes
LATER = LIFETIME + 60.0  # seconds, after which nothing is valid any more


class RefreshingIssuer(PracticeIssuer):
    """Its access tokens live ten minutes; answers to a refresh as told."""

    def __init__(self) -> None:
        super().__init__(access_token_lifetime=LIFETIME)
        self.refreshing: Given = None
        self.issued: list[str] = []  # access tokens, the newest last

    def token_answer(self, form: Parameters) -> Answer:
        given = self.refreshing if form.get("grant_type") == "refresh_token" else None
        told = given(form) if callable(given) else given
        answer = told or super().token_answer(form)
        if answer.status == 200 and not told:
            self.issued.append(json.loads(answer.body)["access_token"])
        return answer

    @property
    def refreshes(self) -> list[RecordedRequest]:
        """The requests to refresh, in their order."""
        asked = [each for each in self.requests if each.path == "/oauth/token"]
        return [each for each in asked if each.form().get("grant_type") == "refresh_token"]

    def spent_by_us(self) -> list[str]:
        """Return the refresh tokens that were sent by us, and not by Codex."""
        ours = [
            each
            for each in self.refreshes
            if each.headers.get("User-Agent", "").startswith("headless-login/")
        ]
        return [each.form()["refresh_token"] for each in ours]


class Renewing:
    """The folder, signed in there, and `token` from inside and outside."""

    def __init__(self, codex_home: Path, issuer: RefreshingIssuer) -> None:
        self.path, self.issuer = codex_home, issuer
        self.home = CodexHome(str(codex_home))
        self.auth_file = codex_home / "auth.json"
        self.journal = codex_home / FOLDER / JOURNAL
        self.failure_file = codex_home / FOLDER / FAILURE
        # Another issuer in the environment: a refresh goes where the file says.
        self.environ = environment(codex_home, "http://127.0.0.1:1")
        self.said: list[str] = []
        self.sign_in()

    def sign_in(self) -> None:
        destination = CodexFolder(self.home, {})
        attempt = begin(Provider(self.issuer.issuer))
        complete(attempt.accept(approve(attempt.url)), attempt, destination)

    @property
    def content(self) -> bytes:
        return self.auth_file.read_bytes()

    @property
    def tokens(self) -> dict[str, Any]:
        return dict(json.loads(self.content)["tokens"])

    def change(self, **changes: Any) -> bytes:
        """Change tokens in the file, as another program does; returns its content."""
        document = json.loads(self.content)
        document["tokens"] |= changes
        self.auth_file.write_text(json.dumps(document))
        return self.content

    def here(self, later: float = 0.0, **options: Any) -> ValidToken:
        """Ask for a token in this process, `later` (seconds) than now."""
        options = {"environ": {}, "say": self.said.append, "sleep": lambda _: None} | options
        return valid_token(self.home, now=lambda: time.time() + later, **options)

    def token(self, *options: str) -> Outcome:
        """Run `token`."""
        return run("token", *options, environ=self.environ)

    def piped(self, *options: str, **more: Any) -> Piped:
        return Piped("token", *options, environ=self.environ, **more)

    @property
    def failure(self) -> Failure | None:
        """How the last refresh with the present token failed."""
        return last_failure(self.home, self.tokens["refresh_token"])
