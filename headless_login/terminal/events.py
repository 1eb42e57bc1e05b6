"""What programs read (`--json`): one JSON object a line on standard output, as things happen."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TextIO


@dataclass(frozen=True, slots=True)
class Events:
    """A stream of events, described in `headless_login/schemas/events.schema.json`.

    Silent unless `wanted`.
    """

    wanted: bool = False
    stream: TextIO | None = field(default_factory=lambda: sys.stdout)

    def emit(self, event: str, **fields: object) -> None:
        """Write one event at once; a reader that is gone does not end the sign-in."""
        if not self.wanted or self.stream is None:
            return
        import json

        with suppress(OSError, ValueError):
            self.stream.write(json.dumps({"event": event, **fields}) + "\n")
            self.stream.flush()


def utc(seconds: float) -> str:
    """Return a time (seconds since the epoch) as ISO 8601 in UTC, whole seconds."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(int(seconds), UTC).isoformat()
