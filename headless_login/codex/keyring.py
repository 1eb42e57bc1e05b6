"""The keyring of this system, where Codex may keep a sign-in instead of auth.json (§12).

Only looked at, never changed, and only where the credential store makes it count: it is a service
that can be locked, missing or slow.
"""

from __future__ import annotations

import hashlib
import os
import subprocess  # nosec B404
import sys
from collections.abc import Mapping

from headless_login.codex.home import CodexHome
from headless_login.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

SERVICE = "Codex Auth"
_PATIENCE = 5.0  # seconds for each answer


def user_name(home: CodexHome) -> str:
    """Return the name under which Codex keeps the sign-in of a folder."""
    return "cli|" + hashlib.sha256(os.path.realpath(home.path).encode()).hexdigest()[:16]


def read_keyring(
    home: CodexHome, environ: Mapping[str, str] = os.environ, *, platform: str = sys.platform
) -> bytes | None:
    """Return what Codex keeps in the keyring for a folder; None if there is nothing to be had.

    On macOS the item is found and not read, which would ask the person: its content is `{}`. On
    Windows it is not looked for.
    """
    if platform == "darwin":
        return _find_in_keychain(home)
    return None if platform == "win32" else _read_secret_service(home, environ)


def _find_in_keychain(home: CodexHome) -> bytes | None:
    command = ["security", "find-generic-password", "-s", SERVICE, "-a", user_name(home)]
    try:
        found = subprocess.run(command, capture_output=True, timeout=_PATIENCE, check=False)  # nosec B603
    except (OSError, subprocess.SubprocessError):
        return None
    return b"{}" if found.returncode == 0 else None


def _read_secret_service(home: CodexHome, environ: Mapping[str, str]) -> bytes | None:
    """Ask the Secret Service (freedesktop.org); a locked item is none, as for Codex."""
    bus = environ.get("DBUS_SESSION_BUS_ADDRESS", "")
    if not bus and (folder := environ.get("XDG_RUNTIME_DIR")):
        bus = f"unix:path={folder}/bus"
    if not bus:
        return None
    try:
        return _ask_secret_service(bus, {"service": SERVICE, "username": user_name(home)})
    except Exception:  # noqa: BLE001  # no bus, no service, nonsense: nothing to be had
        return None


def _ask_secret_service(bus: str, attributes: dict[str, str]) -> bytes | None:
    """Return the first secret with these attributes that is not locked.

    The freedesktop.org Secret Service, version 0.2, by a plain session: the bus is this user's
    alone. Not by the package secretstorage, which loads cryptography to encrypt it.
    """
    from jeepney import DBusAddress, new_method_call
    from jeepney.io.blocking import open_dbus_connection
    from jeepney.wrappers import unwrap_msg

    path, name = "/org/freedesktop/secrets", "org.freedesktop.secrets"
    service = DBusAddress(path, name, "org.freedesktop.Secret.Service")
    with open_dbus_connection(bus) as connection:

        def ask(method: str, signature: str, *body: object) -> Any:
            call = new_method_call(service, method, signature, body)
            return unwrap_msg(connection.send_and_get_reply(call, timeout=_PATIENCE))

        unlocked, _ = ask("SearchItems", "a{ss}", attributes)
        if not unlocked:
            return None
        _, session = ask("OpenSession", "sv", "plain", ("s", ""))
        (secrets,) = ask("GetSecrets", "aoo", unlocked[:1], session)
        return next((bytes(secret[2]) for secret in secrets.values()), None)
