"""Who hears how a command goes."""

from __future__ import annotations

from dataclasses import dataclass, field

from headless_login.errors import RejectedAnswer
from headless_login.terminal.console import Console
from headless_login.terminal.events import Events


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who hears how it goes: a person, and a program if it asked for events."""

    console: Console = field(default_factory=Console)
    events: Events = field(default_factory=Events)

    def tell_rejected(self, rejected: RejectedAnswer) -> None:
        """Say that an answer was not accepted, and what is awaited instead."""
        self.console.say(f"{rejected.message} {rejected.hint}")
        self.events.emit("rejected", error=rejected.error, message=rejected.message)
