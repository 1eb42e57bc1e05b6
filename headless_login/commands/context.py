"""What a command was asked for, and what it works with: output, environment, clock, HTTP client."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from headless_login.oauth.provider import CODEX, Provider
from headless_login.terminal.output import Output
from headless_login.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import threading

    from headless_login.codex.home import CodexHome
    from headless_login.delivery.destination import Destination
    from headless_login.issuer.client import IssuerClient
    from headless_login.oauth.attempt import Attempt
    from headless_login.oauth.request import AuthorizationRequest

_BUSY_FOR = 0.5  # seconds in which the screen is completed; then it is the person who is busy


class Options(NamedTuple):
    """What was asked of `login` or `login start`; `timeout` in seconds for the whole sign-in.

    Pending attempts lie in `home`; the credentials go to `destination`, which is the target `to`,
    or empty for this machine. `replaces`: whoever is signed in there; `store_anyway`: also where
    Codex does not look at auth.json.
    """

    home: CodexHome
    destination: Destination
    provider: Provider = CODEX
    device: bool = False
    paste: bool = False
    browser: bool = True
    qr: str = "auto"
    qr_file: str | None = None
    timeout: float = 900.0
    port: int | None = None
    bind: str | None = None
    take_over: bool = False
    phone: bool = False
    phone_bind: str | None = None
    expect: tuple[str, ...] = ()
    to: str = ""
    replaces: bool = False
    store_anyway: bool = False

    def marked(self, attempt: Attempt) -> Attempt:
        """Return an attempt that knows where its credentials go."""
        return attempt._replace(to=self.to, replaces=self.replaces)


class Context:
    """What every command works with; a test or `demo` gives it other parts.

    `person` answers an authorization request in place of the terminal, as `demo` does.
    """

    def __init__(
        self,
        output: Output | None = None,
        environ: Mapping[str, str] = os.environ,
        *,
        clock: Callable[[], float] = time.monotonic,
        time_of_day: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        pause: Callable[[float], Awaitable[None]] | None = None,
        person: Callable[[AuthorizationRequest], str] | None = None,
    ) -> None:
        """`clock` and `time_of_day` return seconds: of any beginning, and since the epoch.

        `pause` is the sleep of an event loop, by default asyncio's own.
        """
        self.output = output or Output()
        self.environ = environ
        self.clock = clock
        self.time_of_day = time_of_day
        self.sleep = sleep
        self.pause = pause
        self.person = person
        self.say = self.output.say
        self._client: IssuerClient | None = None
        self._warming: threading.Thread | None = None

    def countdown(self, seconds: float) -> Callable[[], float]:
        """Return what returns the seconds that are left of these, never fewer than 0."""
        deadline = self.clock() + seconds
        return lambda: max(0.0, deadline - self.clock())

    def discover(self, issuer: str, client_id: str, scope: str) -> Provider:
        """Return another provider than Codex's by the endpoints that it publishes.

        Raises:
            IssuerTrouble: it cannot be reached, or publishes nothing usable.
        """
        from headless_login.issuer.client import IssuerClient

        self._client = IssuerClient.discovered(issuer, client_id, scope, environ=self.environ)
        return self._client.provider

    def client(self, provider: Provider) -> IssuerClient:
        """Return the one HTTP client of this command, made when it is first needed."""
        from headless_login.issuer.client import IssuerClient

        if self._client is None or self._client.provider != provider:
            self._client = IssuerClient(provider, environ=self.environ)
        return self._client

    def warm_up(self, delay: float = _BUSY_FOR) -> None:
        """Import what completing needs while the person is busy; a failure shows later, again."""
        import threading

        def load() -> None:
            time.sleep(delay)
            with suppress(ImportError):
                from headless_login.signin import load

                load()

        warming = threading.Thread(target=load, daemon=True)
        with suppress(RuntimeError):  # no thread to be had: it is loaded when it is needed
            warming.start()
            self._warming = warming

    def wait_until_warm(self) -> None:
        """Return when the imports of `warm_up` are done."""
        if self._warming is not None:
            self._warming.join()
