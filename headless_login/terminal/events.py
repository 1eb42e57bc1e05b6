"""What programs read (`--json`): one JSON object a line on standard output, as things happen."""

from __future__ import annotations

import sys
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from typing import TextIO

from headless_login.errors import LocalTrouble
from headless_login.terminal.console import write_answer


@dataclass(frozen=True, slots=True)
class Events:
    """A stream of events, described in `headless_login/schemas/events.schema.json`.

    Silent unless `wanted`; `strict` where the event is all that the command is called for.
    """

    wanted: bool = False
    strict: bool = False
    stream: TextIO | None = field(default_factory=lambda: sys.stdout)

    def emit(self, event: str, **fields: object) -> None:
        """Write one event at once; a reader that is gone does not end the sign-in.

        Raises:
            LocalTrouble: `store_failed`; it is strict, and cannot be written.
        """
        if not self.wanted:
            return
        import json

        line = json.dumps({"event": event, **fields}) + "\n"
        with nullcontext() if self.strict else suppress(LocalTrouble):
            write_answer(self.stream, line)


def utc(seconds: float) -> str:
    """Return a time (seconds since the epoch) as ISO 8601 in UTC, whole seconds."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(int(seconds), UTC).isoformat()
