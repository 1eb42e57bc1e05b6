"""A Codex folder whose access token ends soon; and a Codex elsewhere that gets its token there."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

from headless_login.codex.home import FAILURE, FOLDER, JOURNAL, CodexHome
from headless_login.codex.journal import Failure, last_failure
from headless_login.commands.token import ValidToken, valid_token
from headless_login.delivery.destination import CodexFolder
from headless_login.oauth.provider import Provider
from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from headless_login.practice.wire import Answer, Parameters, RecordedRequest, nested
from headless_login.signin import begin, complete
from tests.support.codex import NEWEST, run_codex
from tests.support.misbehaving import Given
from tests.support.program import Outcome, Piped, environment, run

LIFETIME = 600  # seconds; shorter than 900, so that every `token` refreshes
LATER = LIFETIME + 60.0  # seconds, after which nothing is valid any more


def is_ours(request: RecordedRequest) -> bool:
    """Return whether we have asked, and not Codex."""
    return request.headers.get("User-Agent", "").startswith("headless-login/")


def race_size(short: str) -> tuple[int, int]:
    """Return rounds and processes of a race: as told, as `20x50`, or else the short form."""
    rounds, processes = os.environ.get("HEADLESS_LOGIN_REFRESH_RACE", short).split("x")
    return int(rounds), int(processes)


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
        return [each.form()["refresh_token"] for each in self.refreshes if is_ours(each)]


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
        given: dict[str, Any] = {"environ": {}, "say": self.said.append, "sleep": lambda _: None}
        return valid_token(self.home, now=lambda: time.time() + later, **(given | options))

    def token(self, *options: str) -> Outcome:
        """Run `token`."""
        return run("token", *options, environ=self.environ)

    def piped(self, *options: str, **more: Any) -> Piped:
        return Piped("token", *options, environ=self.environ, **more)

    @property
    def failure(self) -> Failure | None:
        """How the last refresh with the present token failed."""
        return last_failure(self.home, self.tokens["refresh_token"])


class Backend(RefreshingIssuer):
    """An issuer with the model's endpoint, which takes the newest of its access tokens alone."""

    def answer(self, request: RecordedRequest) -> Answer:
        if request.path != "/backend/responses":
            return super().answer(request)
        if request.headers.get("Authorization") != f"Bearer {self.issued[-1]}":
            return nested(401, "token_expired", "no")
        item = {"type": "message", "role": "assistant", "id": "m",
                "content": [{"type": "output_text", "text": "PONG"}]}  # fmt: skip
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": {"id": "r"}},
            {"type": "response.output_item.done", "item": item},
            {"type": "response.completed", "response": {"id": "r", "usage": usage}},
        ]
        text = "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in events)
        return Answer(200, text.encode(), (("Content-Type", "text/event-stream"),))


def ask_model(
    backend: Renewing, codex_home: Path, command: str, *arguments: str
) -> tuple[int, str]:
    """Ask the model once, by README's config.toml with this command; as `run_codex`."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (text,) = re.findall(r"```toml\n(.*?)```", readme, re.DOTALL)
    wire = 'wire_api = "responses"'
    changes = {
        "https://chatgpt.com/backend-api/codex": f"{backend.issuer.issuer}/backend",
        'command = "headless-login"': f"command = {json.dumps(command)}",
        'args = ["token"]': f"args = {json.dumps(arguments)}",
        wire: f"{wire}\nrequest_max_retries = 0\nstream_max_retries = 0",
    }
    for old, new in changes.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    (codex_home / "config.toml").write_text(text)
    words = ("exec", "--skip-git-repo-check", "--sandbox", "read-only", "ping")
    return run_codex(NEWEST, *words, codex_home=codex_home)
