"""A sign-in in two calls: what `start` printed, what the person sends back, what the issuer saw."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headless_login.codex.home import CodexHome
from headless_login.codex.pending.record import Moment, identifier
from headless_login.codex.pending.store import Claim, PendingAttempts
from headless_login.oauth.attempt import Attempt
from headless_login.oauth.provider import CODEX
from headless_login.oauth.request import AuthorizationRequest
from headless_login.oauth.values import DeviceCode
from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from tests.support.misbehaving import AnsweringIssuer
from tests.support.program import Outcome, Piped, Terminal, environment, events_in, run

START, FINISH = ("login", "start"), ("login", "finish")
PENDING = ".headless-login"
SIGNED_IN, LOST = (0, "signed_in"), (3, "no_pending_login")  # as `event_in` returns them


def begin(environ: dict[str, str], *options: str) -> str:
    """Run `login start` and return the address on its first line."""
    outcome = run(*START, *options, environ=environ)
    assert outcome.exit_code == 0, outcome.err
    return outcome.out.splitlines()[0]


def answered(environ: dict[str, str], *options: str) -> str:
    """Begin a sign-in, have the person approve it, and return what they send back."""
    return approve(begin(environ, *options))


def exchanges(issuer: PracticeIssuer) -> int:
    return sum(request.path == "/oauth/token" for request in issuer.requests)


def aged(path: Path, days: float = 3) -> None:
    """Have a file look so much older, as after a clock that was wrong has been put right."""
    then = time.time() - days * 86400
    follows = os.utime not in os.supports_follow_symlinks  # Windows
    os.utime(path, (then, then), follow_symlinks=follows)


def resealed(document: dict[str, Any]) -> bytes:
    """Return a record whose digest fits, as somebody makes it who has read how."""
    document.pop("digest", None)
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    return json.dumps(document | {"digest": digest}).encode()


class TwoCalls:
    """`login start` and `login finish` in one Codex folder, against one issuer."""

    def __init__(self, codex_home: Path, issuer: AnsweringIssuer) -> None:
        self.home = codex_home
        self.issuer = issuer
        self.auth_file = codex_home / "auth.json"
        self.environ = environment(codex_home, issuer.issuer)

    def run(self, *words: str, stdin: str | None = None) -> Outcome:
        return run(*words, environ=self.environ, stdin=stdin)

    def piped(self, *words: str, **options: Any) -> Piped:
        return Piped(*words, environ=self.environ, **options)

    def terminal(self, *words: str, **options: Any) -> Terminal:
        return Terminal(*words, environ=self.environ, **options)

    def begin(self, *options: str) -> str:
        return begin(self.environ, *options)

    def answered(self, *options: str) -> str:
        return answered(self.environ, *options)

    def finish(self, answer: str | None, *options: str) -> Outcome:
        """Run `login finish -` with the answer on standard input (None: nothing there)."""
        return self.run(*FINISH, "-", *options, stdin=answer)

    def begin_code(self, *options: str) -> tuple[str, str]:
        (event,) = events_in(self.run(*START, "--device-auth", "--json", *options).out)
        return event["verification_uri"], event["user_code"]

    def ask(self, *words: str) -> Outcome:
        """Ask once about a one-time code."""
        return self.run(*FINISH, *words, "--no-wait")

    @property
    def records(self) -> list[Path]:
        """The files of the pending sign-ins."""
        return sorted((self.home / PENDING).glob("*.json"))

    @property
    def exchanges(self) -> int:
        return exchanges(self.issuer)

    @property
    def polls(self) -> int:
        return sum(request.path.endswith("/deviceauth/token") for request in self.issuer.requests)


class Pending:
    """The pending attempts of a Codex home, opened anew for every question, as by a new process."""

    def __init__(self, codex_home: Path | str, moment: Moment | None = None) -> None:
        """Without a `moment`, at which time stands still, it is the present one."""
        self.home = CodexHome(str(codex_home))
        self.moment = moment

    def now(self) -> Moment:
        return self.moment or Moment.now()

    def passes(self, seconds: float, *, set_by: float = 0.0) -> None:
        """Let time pass, and have the time of day set by so much as well."""
        now = self.now()
        wall, uptime = now.wall + seconds + set_by, now.uptime + seconds
        self.moment = now._replace(wall=wall, uptime=uptime)

    def begin(
        self, seconds: float = 900.0, awaits: AuthorizationRequest | DeviceCode | None = None
    ) -> Attempt:
        """Keep a new attempt, by default one that awaits an answer."""
        attempt = Attempt(CODEX, awaits or AuthorizationRequest(CODEX), self.now().wall + seconds)
        PendingAttempts.keep(self.home, attempt, now=self.now)
        return attempt

    def record(self, attempt: Attempt) -> Path:
        return Path(self.home.path, PENDING, f"{identifier(attempt)}.json")

    @contextmanager
    def opened(self) -> Iterator[PendingAttempts]:
        with PendingAttempts.opened(self.home, now=self.now) as pending:
            yield pending

    @contextmanager
    def claim(self, attempt: Attempt) -> Iterator[Claim]:
        with self.opened() as pending, pending.claim(identifier(attempt)) as claim:
            yield claim

    def waiting(self) -> list[Attempt]:
        with self.opened() as pending:
            return pending.waiting()
