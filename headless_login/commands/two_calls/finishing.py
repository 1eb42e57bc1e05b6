"""From the grant of a pending sign-in to the file, with the sign-in used up at the right moment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from headless_login.codex.pending.claim import Claim
from headless_login.codex.pending.store import PendingSignIns
from headless_login.commands.ready import Ready, finish_sign_in
from headless_login.errors import HeadlessLoginError, IssuerTrouble, SignInRefused
from headless_login.issuer.client import EXCHANGE_TIMEOUT, IssuerClient
from headless_login.oauth.values import Grant, Tokens
from headless_login.signin import SignedIn
from headless_login.terminal.output import Listeners

_AGAIN = "This sign-in stays pending: then run the same command again."


@dataclass(frozen=True, slots=True)
class Finishing:
    """What it takes to finish pending sign-ins: a machine that is ready, and who listens."""

    listeners: Listeners
    ready: Ready
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def pending(self) -> PendingSignIns:
        """The sign-ins of this Codex home."""
        return PendingSignIns(self.ready.home)

    def exchange(self, claim: Claim, grant: Grant | Tokens) -> SignedIn:
        """Turn the grant into a sign-in, which uses it up as soon as the issuer has answered.

        Raises:
            HeadlessLoginError: as `signin.complete`; unanswered, the sign-in stays pending.
        """
        provider = claim.sign_in.provider
        exchanged: list[bool] = []

        def use_up() -> None:
            exchanged.append(True)
            claim.use_up()

        try:
            return finish_sign_in(
                grant,
                provider,
                self.ready,
                self.listeners,
                IssuerClient(provider, environ=self.environ),
                timeout=EXCHANGE_TIMEOUT,
                on_exchanged=use_up,
            )
        except (SignInRefused, IssuerTrouble) as error:
            if exchanged or is_final(error):
                claim.use_up()
                raise
            unanswered = error
        raise type(unanswered)(unanswered.error, unanswered.message, _mended(unanswered))


def is_final(error: HeadlessLoginError) -> bool:
    """Tell whether the issuer has answered, so that asking again is of no use."""
    return isinstance(error, SignInRefused) or error.error == "token_response_invalid"


def _mended(trouble: HeadlessLoginError) -> str:
    if "new sign-in" in trouble.hint:
        return f"Check the network and HTTPS_PROXY. {_AGAIN}"
    return f"{trouble.hint} {_AGAIN}"
