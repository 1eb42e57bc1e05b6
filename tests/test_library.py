"""The library: begin, accept or poll, complete; its values, and a destination of one's own."""

from __future__ import annotations

import builtins
import inspect
import json
import re
import typing
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headless_login
from headless_login import (
    Attempt,
    AuthorizationPending,
    CodexFolder,
    CodexHome,
    Credentials,
    DeviceCode,
    Grant,
    LocalTrouble,
    Provider,
    RejectedAnswer,
    Rules,
    Tokens,
    WrongUsage,
    begin,
    complete,
    rebuild,
)
from headless_login.commands.context import Context, Options
from headless_login.commands.login import login
from headless_login.oauth.provider import CODEX
from headless_login.oauth.request import AuthorizationRequest
from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve, approve_device
from headless_login.terminal.output import Console, Output


class Memory:
    """A destination that keeps credentials in memory: all that a new kind has to be."""

    name = "memory"

    def __init__(self, *workspaces: str) -> None:
        """`workspaces` are the only ones that it allows."""
        self.rules = Rules(workspace_ids=workspaces or None, workspace_source="a test")
        self.stored: list[Credentials] = []

    def check(self, say: Callable[[str], object] = print, *, method: str = "chatgpt") -> Rules:
        say(f"{method} is allowed")
        return self.rules

    def steps_before_use(self, rules: Rules) -> list[str]:
        assert rules is self.rules
        return ["carry it on"]

    def store(self, credentials: Credentials, say: Callable[[str], object] = print) -> None:
        say("kept in memory")
        self.stored.append(credentials)


def test_a_destination_is_four_members(issuer: PracticeIssuer) -> None:
    """The same road ends in another place, and neither the library nor `login` knows of it."""
    memory, provider = Memory(), Provider(issuer.issuer)
    attempt = begin(provider, memory.check())
    signed_in = complete(attempt.accept(approve(attempt.url)), attempt, memory, say=lambda _: None)
    assert signed_in.auth_file == "memory"
    said: list[str] = []
    context = Context(Output(Console()), {}, person=lambda request: approve(request.url))
    context.say = lambda *texts: said.extend(texts)
    login(Options(CodexHome("/nonexistent"), memory, provider, paste=True), context)
    assert "kept in memory" in said
    assert signed_in.steps_before_use == ("carry it on",)
    modes = [json.loads(credentials.content)["auth_mode"] for credentials in memory.stored]
    assert modes == ["chatgpt", "chatgpt"]


def test_its_rules_hold(issuer: PracticeIssuer) -> None:
    """What a destination does not allow is refused before anything is stored there."""
    memory = Memory("another workspace")
    attempt = begin(Provider(issuer.issuer), Rules())
    grant = attempt.accept(approve(attempt.url))
    with pytest.raises(headless_login.SignInRefused, match="workspace"):
        complete(grant, attempt, memory)
    assert memory.stored == []


def _kept(attempt: Attempt) -> Attempt:
    """Return an attempt that went through a session as JSON."""
    return rebuild(json.loads(json.dumps(attempt.kept())))


def test_an_attempt_is_rebuilt_for_its_answer(issuer: PracticeIssuer, codex_home: Path) -> None:
    """A web application answers each request in another process, and is told what was written."""
    attempt = begin(Provider(issuer.issuer))
    later = _kept(attempt)
    assert (later, later.url, later.user_code) == (attempt, attempt.url, None)
    with pytest.raises(RejectedAnswer):
        later.accept(approve(begin(Provider(issuer.issuer)).url))
    with pytest.raises(WrongUsage, match="no one-time code"):
        later.poll()
    grant = later.accept(approve(attempt.url))
    signed_in = complete(grant, later, CodexFolder.find(str(codex_home), {}))
    assert signed_in.identity.email == "ada@example.com"
    assert signed_in.auth_file == str(codex_home / "auth.json")
    assert signed_in.access_token_expires_at is not None
    document = json.loads((codex_home / "auth.json").read_text())
    assert document["tokens"]["oauth_provenance"]["issuer"] == issuer.issuer


def test_an_attempt_is_rebuilt_for_its_code(issuer: PracticeIssuer) -> None:
    """It is polled once it is approved, and completed by the client that polled."""
    attempt = begin(Provider(issuer.issuer), device=True)
    assert attempt.user_code
    later = _kept(attempt)
    assert later.poll() == AuthorizationPending()
    approve_device(later.url, attempt.user_code)
    grant = later.poll()
    assert isinstance(grant, Grant)
    memory = Memory()
    complete(grant, later, memory, say=lambda _: None)
    assert memory.stored


def test_nothing_secret_is_shown() -> None:
    """Neither an attempt nor anything in it has a secret in its repr."""
    request = AuthorizationRequest(CODEX)
    code = DeviceCode("https://x.example", "ABCD-EFGH", 5.0, 900.0, "MARKED-device")
    grant = Grant("MARKED-code", "MARKED-verifier", "http://127.0.0.1:1455/auth/callback")
    tokens = Tokens("MARKED-id", "MARKED-access", "MARKED-refresh")
    values = (request, code, grant, tokens)
    shown = repr([*values, Attempt(CODEX, request, 1.0, grant), Attempt(CODEX, code, 1.0, grant)])
    assert not [text for text in ("MARKED", request.state, request.verifier) if text in shown]


def test_a_failure_carries_no_secret(
    issuer: PracticeIssuer, codex_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the tokens cannot be stored, neither the exception nor what it hangs on holds one."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (codex_home / "auth.json").mkdir()
    attempt = begin(Provider(issuer.issuer))
    grant = attempt.accept(approve(attempt.url))
    with pytest.raises(LocalTrouble) as raised:
        complete(grant, attempt, CodexFolder.find(str(codex_home)))
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)
    assert "eyJ" not in repr(raised.value) + str(raised.value.__dict__)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)
PATHS = ["kind", "awaits", "awaits.state", "awaits.allowed_workspace_ids", "provider", "expires_at"]
PATHS += ["provider.issuer", "provider.endpoints", "grant", "more", "awaits.more"]


@given(st.sampled_from(PATHS), ANYTHING)
def test_damage_is_a_value_error(path: str, value: Any) -> None:
    """Whatever a session holds: the attempt that was kept, another whole one, or a ValueError."""
    kept = begin(CODEX).kept()
    *parents, name = path.split(".")
    inner = kept
    for parent in parents:
        inner = inner[parent]
    inner[name] = value
    with suppress(ValueError):
        assert isinstance(Attempt.rebuilt(kept).url, str)


def _signatures() -> Iterator[Callable[..., Any]]:
    for name in headless_login.__all__:
        public = getattr(headless_login, name)
        if inspect.isfunction(public):
            yield public
        for member, value in inspect.getmembers(public, inspect.isroutine):
            ours = str(getattr(value, "__module__", "")).startswith("headless_login")
            if ours and (member == "__init__" or not member.startswith("_")):
                yield value


# The libraries' own, which nobody has to name, and an alias.
FOREIGN = {"KeySet", "Say", "Session"}


def test_every_type_in_a_signature_is_public() -> None:
    """Who uses the library can name everything that it takes and returns."""
    hints = " ".join(str(getattr(each, "func", each).__annotations__) for each in _signatures())
    named = set(re.findall(r"\b[A-Z]\w+", hints))
    assert {"CodexHome", "Grant"} <= named
    assert named <= {*headless_login.__all__, *dir(typing), *dir(builtins), *FOREIGN}
