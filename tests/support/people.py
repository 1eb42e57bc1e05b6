"""Several people who sign in to one Codex folder, with made-up tokens or at a practice issuer."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from headless_login.codex.auth_file import Credentials
from headless_login.codex.home import CodexHome
from headless_login.oauth.identity import Identity
from headless_login.oauth.provider import CODEX
from headless_login.oauth.values import Tokens
from headless_login.practice.issuer import Answer, Person, PracticeIssuer
from headless_login.practice.person import approve
from tests.support.program import Outcome, Piped, assert_ended, environment, run, validator
from tests.support.stored_files import AUTH, NOW, jwt

ADA = Person()
GRACE = Person("grace@example.com", "2c8e4b51-77aa-4c0e-8a3b-1d2e3f405162", "pro", "user-grace")
LIN = Person("lin@example.com", ADA.account_id, "plus", "user-lin")  # ADA's colleague
PEOPLE = {person.user_id: person for person in (ADA, GRACE, LIN)}
KEPT = Path(".headless-login", "accounts")


def signed_in_as(person: Person, token: str = "rt_MARKED", age: int = 0) -> Credentials:
    """Return a ChatGPT sign-in with this refresh token, whose tokens are so many seconds old."""
    account = {"chatgpt_account_id": person.account_id, "chatgpt_user_id": person.user_id}
    claims: dict[str, Any] = {"email": person.email, "iat": int(NOW) - age}
    claims |= {"exp": int(NOW) + 864_000, AUTH: account | {"chatgpt_plan_type": person.plan}}
    made = Tokens(jwt(claims), jwt(claims), token)
    identity = Identity(person.email, person.account_id, person.plan, person.user_id)
    return Credentials.chatgpt(made, identity, CODEX, NOW)


def token_in(content: bytes) -> tuple[str, str]:
    """Return whose sign-in the content of an auth.json is (a user id), and its refresh token."""
    from headless_login.codex.stored import interpret

    stored = interpret(content)
    return stored.identity.user_id or "", stored.refresh_token or ""


def places(home: CodexHome) -> list[tuple[str, str, str]]:
    """Return every place where a sign-in lies: the file's name, the user id, the refresh token."""
    found = []
    for path in sorted(Path(home.path).rglob("*")):
        if not path.is_file() or not (content := path.read_bytes()):
            continue
        if path.parent.name == KEPT.name and path.suffix == ".json":
            content = json.loads(content)["auth_json"].encode()
        elif path.name != "auth.json":
            assert b'"rt_' not in content, f"{path} holds a token"
            continue
        found.append((path.name, *token_in(content)))
    return found


class People(PracticeIssuer):
    """An issuer at which `person` signs in, and where a refresh token stays its person's."""

    def __init__(self) -> None:
        super().__init__()
        self._whose: dict[str, Person] = {}
        self._turn = threading.Lock()

    def token_answer(self, form: Any) -> Answer:
        with self._turn:
            here = self.person
            self.person = whose = self._whose.get(form.get("refresh_token", ""), here)
            try:
                answer = super().token_answer(form)
            finally:
                self.person = here
            if answer.status == 200:
                self._whose[json.loads(answer.body)["refresh_token"]] = whose
            return answer

    def whose(self, refresh_token: str) -> Person:
        """Return the person for whom it was given."""
        return self._whose[refresh_token]

    @property
    def revoked(self) -> list[str]:
        """The tokens that it was asked to revoke."""
        asked = [each for each in self.requests if each.path == "/oauth/revoke"]
        return [str(each.form()["token"]) for each in asked]


class Machine:
    """The command in one Codex folder, and an issuer at which several people sign in."""

    def __init__(self, codex_home: Path, issuer: People) -> None:
        self.folder, self.issuer = codex_home, issuer
        self.home = CodexHome(str(codex_home))
        self.auth_file = codex_home / "auth.json"
        self.environ = environment(codex_home, issuer.issuer)

    def run(self, *words: str, stdin: str | None = None) -> Outcome:
        return run(*words, environ=self.environ, stdin=stdin, timeout=300)  # many run at once

    def ok(self, *words: str, stdin: str | None = None) -> str:
        """Run a command that has to end well; returns what it said."""
        return assert_ended(self.run(*words, stdin=stdin), 0).err

    def sign_in(self, person: Person, *options: str) -> Outcome:
        self.issuer.person = person
        words = ("login", "--paste-redirect", *options)
        with Piped(*words, environ=self.environ) as program:
            return program.finish(approve(program.read_url()) + "\n")

    def listed(self) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.run("accounts", "--json").out.splitlines()]
        for each in found:
            validator("accounts").validate(each)
        return found

    @property
    def present(self) -> tuple[str, str]:
        return token_in(self.auth_file.read_bytes())

    @property
    def kept(self) -> list[Path]:
        return sorted((self.folder / KEPT).glob("*"))
