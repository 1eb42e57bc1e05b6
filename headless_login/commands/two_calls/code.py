"""`login finish` for a one-time code: has the person approved, and then the rest."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from headless_login.codex.pending.claim import Claim
from headless_login.codex.pending.record import PendingSignIn
from headless_login.commands.command_line import own_command
from headless_login.commands.device import wait_for_approval
from headless_login.commands.two_calls.finishing import Finishing, is_final
from headless_login.errors import HeadlessLoginError, TimedOut
from headless_login.flows.device import slower
from headless_login.issuer.client import EXCHANGE_TIMEOUT, IssuerClient
from headless_login.oauth.device import Pending
from headless_login.oauth.values import DeviceCode, Grant, Tokens
from headless_login.signin import SignedIn


@dataclass(frozen=True, slots=True)
class FinishCode:
    """Finishes a sign-in by device code; without `wait` it asks only once."""

    finishing: Finishing
    wait: bool = True
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def run(self, chosen: PendingSignIn) -> SignedIn:
        """Finish it.

        Raises:
            TimedOut: `timed_out`, not approved yet; or `device_code_expired`.
            HeadlessLoginError: it was refused, or the issuer cannot be asked.
        """
        with self.finishing.pending.claim(chosen.identifier) as claim:
            grant = claim.sign_in.grant or self._approved(claim)
            claim.check()
            if isinstance(grant, Tokens):
                claim.use_up()
            elif claim.sign_in.grant is None:
                claim.keep(replace(claim.sign_in, grant=grant))  # it is given once
            return self.finishing.exchange(claim, grant)

    def _approved(self, claim: Claim) -> Grant | Tokens:
        """Return what the person's approval brought; a code that is dead is used up."""
        try:
            return self._ask(claim)
        except TimedOut as timed_out:
            if timed_out.error == "device_code_expired":
                claim.expire()
            raise
        except HeadlessLoginError as error:
            if is_final(error):
                claim.use_up()
            raise

    def _ask(self, claim: Claim) -> Grant | Tokens:
        sign_in = claim.sign_in
        assert isinstance(sign_in.awaits, DeviceCode)  # noqa: S101
        code = replace(sign_in.awaits, expires_in=sign_in.left)
        client = IssuerClient(sign_in.provider, environ=self.finishing.environ)
        if self.wait:
            return self._wait(client, code, max(0.0, code.interval - claim.age))
        answer = client.poll_device_code(code, timeout=min(EXCHANGE_TIMEOUT, code.expires_in))
        if not isinstance(answer, Pending):
            return answer
        if answer.slow_down:
            code = replace(code, interval=slower(code.interval))
            claim.keep(replace(sign_in, awaits=code))
        raise self._not_yet(code)

    def _wait(self, client: IssuerClient, code: DeviceCode, pause: float) -> Grant | Tokens:
        console = self.finishing.listeners.console
        console.say(f"Waiting for the code {code.user_code} at {code.verification_uri}")
        won = wait_for_approval(
            console, client, code, first_pause=pause, clock=self.clock, sleep=self.sleep
        )
        console.say("Approved; fetching the tokens…")
        return won

    def _not_yet(self, code: DeviceCode) -> TimedOut:
        finishing = self.finishing
        command = own_command(
            finishing.ready.home, finishing.environ, "login", "finish", "--no-wait"
        )
        return TimedOut(
            f"Nobody has typed the code {code.user_code} yet; the sign-in is still pending.",
            f"Ask again, not before {code.interval:.0f} seconds have passed: {command}",
        )
