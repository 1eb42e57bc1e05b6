"""A real Secret Service (gnome-keyring) on a D-Bus of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

if sys.platform == "linux":
    import secretstorage
    from jeepney import message_bus
    from jeepney.io.blocking import Proxy, open_dbus_connection

from tests.support.program import until

_DAEMONS = """
echo "$DBUS_SESSION_BUS_ADDRESS"
printf %s password | exec gnome-keyring-daemon --foreground --unlock --components=secrets
"""


class SecretService:
    """The service; `environ` leads to it."""

    def __init__(self, bus: str) -> None:
        """`bus` is the address of its D-Bus."""
        self.environ = {"DBUS_SESSION_BUS_ADDRESS": bus}
        self._bus = bus

    def is_there(self) -> bool:
        """Return whether it has started; asking it anything would start another one."""
        with suppress(OSError), open_dbus_connection(self._bus) as connection:
            bus = Proxy(message_bus, connection)
            return bool(bus.NameHasOwner("org.freedesktop.secrets")[0])
        return False

    def keep(self, user: str, secret: str) -> None:
        """Keep an item, as Codex does."""
        attributes = {"service": "Codex Auth", "username": user}
        with open_dbus_connection(self._bus) as connection:
            collection = secretstorage.get_default_collection(connection)
            collection.create_item("x", attributes, secret.encode(), replace=True)

    def lock(self) -> None:
        """Lock everything that is kept, for good."""
        with open_dbus_connection(self._bus) as connection:
            secretstorage.get_default_collection(connection).lock()


@contextmanager
def secret_service(folder: Path) -> Iterator[SecretService]:
    """Start it, or skip the test where it is not installed."""
    programs = ("dbus-run-session", "gnome-keyring-daemon")
    if not sys.platform.startswith("linux") or not all(map(shutil.which, programs)):
        pytest.skip(f"not installed: {', '.join(programs)}")
    runtime = folder / "run"
    runtime.mkdir(mode=0o700)
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_RUNTIME_DIR": str(runtime)}
    command = ["dbus-run-session", "--", "sh", "-c", _DAEMONS]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environ,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout
            service = SecretService(process.stdout.readline().strip())
            until(service.is_there, wanted="the Secret Service")
            yield service
        finally:
            os.killpg(process.pid, signal.SIGKILL)
