"""Signing in with what the person already has: an API key, or an access token of Codex."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from headless_login.codex.auth_file import Credentials
from headless_login.codex.keys import (
    LONGEST_TOKEN,
    PIPE_KEY,
    PIPE_TOKEN,
    check_agent_identity,
    is_personal,
    masked,
    read_access_token,
    read_api_key,
)
from headless_login.codex.rules import Rules
from headless_login.codex.stored import StoredSignIn
from headless_login.commands.context import Context
from headless_login.commands.words import announce_signed_in, place_of, used_from_now_on
from headless_login.delivery.destination import Destination
from headless_login.errors import WrongUsage
from headless_login.oauth.identity import Claims, Identity
from headless_login.oauth.provider import Provider
from headless_login.terminal.input import can_be_asked, quiet_input


def login_with_api_key(destination: Destination, context: Context, *, target: str = "") -> None:
    """Read a key from standard input and store it; `target` is the machine, empty for this one.

    Raises:
        WrongUsage: standard input holds no API key.
        SignInRefused: API keys are not allowed here.
        LocalTrouble: it cannot be stored, or would not be used.
    """
    rules = destination.check(context.say, method="api")
    key = read_api_key(_given(context, "Paste the API key (it is not shown): ", PIPE_KEY))
    to_revoke = destination.store(Credentials.api_key(key), context.say)
    context.say(
        f"Stored the API key {masked(key)} in {place_of(destination.name, target)}.",
        "Codex needs it to have write access to the Responses API (api.responses.write).",
    )
    _conclude(destination, rules, context, Identity(), to_revoke, target)


def login_with_access_token(
    destination: Destination,
    provider: Provider,
    context: Context,
    *,
    expect: Sequence[str] = (),
    target: str = "",
) -> None:
    """Read an access token from standard input, have it checked and store it.

    `expect` names the account that it has to be of, by e-mail address or id. `target` is the
    machine that it is for, empty for this one.

    Raises:
        WrongUsage: standard input holds no access token of Codex.
        SignInRefused: such tokens are not allowed here, or this one is not accepted.
        IssuerTrouble: it could not be checked.
        LocalTrouble: it cannot be stored, or would not be used.
    """
    rules = destination.check(context.say)
    given = _given(context, "Paste the access token (it is not shown): ", PIPE_TOKEN)
    token = read_access_token(given)
    client = context.client(provider)
    claims: Claims
    if is_personal(token):
        claims = client.personal_access_token_metadata(token)
        credentials, account = Credentials.personal_access_token(token), "chatgpt_account_id"
        plan, told = claims.get("chatgpt_plan_type"), f"the access token {masked(token)}"
    else:
        claims = check_agent_identity(token, client.agent_identity_keys())
        credentials, account = Credentials.agent_identity(token), "account_id"
        plan, told = claims.get("plan_type"), "the agent identity"
    user = _text(claims.get("chatgpt_user_id"))
    identity = Identity(_text(claims.get("email")), _text(claims.get(account)), _text(plan), user)
    rules.check_workspace(identity.account_id)
    identity.check(expect)
    to_revoke = destination.store(credentials, context.say)
    context.say(f"Stored {told} of {identity.name} in {place_of(destination.name, target)}.")
    _conclude(destination, rules, context, identity, to_revoke, target)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _conclude(
    destination: Destination,
    rules: Rules,
    context: Context,
    identity: Identity,
    to_revoke: StoredSignIn | None,
    target: str,
) -> None:
    if steps := destination.steps_before_use(rules):
        context.say(f"Stored; {used_from_now_on(steps)}")
    announce_signed_in(context.output.events, destination.name, identity, target)
    if to_revoke is not None:
        from headless_login.commands.logout import revoke_replaced

        revoke_replaced(to_revoke, context)


def _given(context: Context, label: str, pipe: str) -> bytes:
    """Return what a person pastes, hidden, or what a pipe or a file holds."""
    try:
        if can_be_asked():
            return _asked(context, label).encode()
        if sys.stdin is not None and not sys.stdin.closed and not sys.stdin.isatty():
            return sys.stdin.buffer.read(LONGEST_TOKEN + 1)
    except OSError:
        pass
    raise WrongUsage("Standard input cannot be read.", f"Use: {pipe}")


def _asked(context: Context, label: str) -> str:
    import asyncio

    from headless_login.terminal.prompt import AnswerPrompt, NoMoreAnswers

    console = context.output.console
    with quiet_input():
        prompt = AnswerPrompt(console, lambda: label, lambda _: False, str, lambda: None)
        try:
            answer = asyncio.run(prompt.ask())
        except (EOFError, NoMoreAnswers):
            return ""
    if answer is None:
        raise KeyboardInterrupt
    return answer


def refuse_key_argument() -> WrongUsage:
    """Return the error for the legacy `--api-key …`: a key in an argument is visible to all."""
    return WrongUsage(
        "--api-key is gone: other users can see the arguments of a command. Treat that key as "
        "exposed.",
        f"Use: {PIPE_KEY}",
    )
