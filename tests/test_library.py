"""The library: begin, accept or poll, complete; its values, and a destination of one's own."""

from __future__ import annotations

import inspect
import json
import pydoc
import typing
from collections.abc import Callable
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
        self.rules = Rules(forced_workspace_ids=workspaces)
        self.stored: list[Credentials] = []

    def check(self, say: Callable[[str], object] = print) -> Rules:  # noqa: ARG002
        """Return its rules."""
        return self.rules

    def store(self, credentials: Credentials, say: Callable[[str], object] = print) -> None:
        """Keep them."""
        say("kept in memory")
        self.stored.append(credentials)


def test_a_destination_is_three_members(issuer: PracticeIssuer) -> None:
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
    """A web application answers each request in another process."""
    attempt = begin(Provider(issuer.issuer))
    later = _kept(attempt)
    assert (later, later.url, later.user_code) == (attempt, attempt.url, None)
    with pytest.raises(RejectedAnswer):
        later.accept(approve(begin(Provider(issuer.issuer)).url))
    signed_in = complete(
        later.accept(approve(attempt.url)), later, CodexFolder.find(str(codex_home), {})
    )
    assert signed_in.auth_file == str(codex_home / "auth.json")


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


def test_only_a_code_is_polled() -> None:
    """An attempt that awaits an answer says so."""
    with pytest.raises(WrongUsage, match="no one-time code"):
        begin(CODEX).poll()


def test_nothing_secret_is_shown() -> None:
    """Neither an attempt nor anything in it has a secret in its repr."""
    request = AuthorizationRequest(CODEX)
    code = DeviceCode("https://x.example", "ABCD-EFGH", 5.0, 900.0, "MARKED-device")
    grant = Grant("MARKED-code", "MARKED-verifier", "http://127.0.0.1:1455/auth/callback")
    shown = repr([Attempt(CODEX, request, 1.0, grant), Attempt(CODEX, code, 1.0, grant), grant])
    shown += repr(Tokens("MARKED-id", "MARKED-access", "MARKED-refresh"))
    assert not [text for text in ("MARKED", request.state, request.verifier) if text in shown]


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


def _types(hint: object) -> set[type]:
    """Return every class of ours in a type."""
    found = {hint} if inspect.isclass(hint) else set()
    for part in typing.get_args(hint):
        found |= _types(part)
    return {each for each in found if each.__module__.startswith("headless_login")}


def _signatures() -> list[Callable[..., Any]]:
    public = [getattr(headless_login, name) for name in headless_login.__all__]
    functions: list[Any] = [each for each in public if inspect.isfunction(each)]
    for each in filter(inspect.isclass, public):
        functions += [
            member
            for name, member in inspect.getmembers(each, inspect.isroutine)
            if name == "__init__" or not name.startswith("_")
            if getattr(member, "__module__", "").startswith("headless_login")
        ]
    return functions


def test_every_type_in_a_signature_is_public() -> None:
    """Who uses the library can name everything that it takes and returns."""
    exported = {getattr(headless_login, name) for name in headless_login.__all__ if name != "CODEX"}
    known: dict[str, Any] = {name: getattr(headless_login, name) for name in headless_login.__all__}
    missing = set()
    for function in _signatures():
        names = {**getattr(function, "__globals__", {}), **known}
        hints = {
            name: eval(text, names) if isinstance(text, str) else text  # noqa: S307
            for name, text in getattr(function, "__annotations__", {}).items()
            if "Self" not in str(text) and "OAuth2Session" not in str(text)
            if "KeySet" not in str(text)
        }
        missing |= {each for hint in hints.values() for each in _types(hint) - exported}
    assert not missing


def test_everything_public_is_shown() -> None:
    """`dir` and `help` list what the library has, though nothing is loaded yet."""
    assert {*headless_login.__all__} <= {*dir(headless_login)}
    text = pydoc.plain(pydoc.render_doc(headless_login))
    assert not [name for name in headless_login.__all__ if name not in text]
