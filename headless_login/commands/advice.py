"""How the browser's answer could reach this machine by itself: two lines at most, to be copied."""

from __future__ import annotations

from headless_login.terminal.place import Place

_WIDE = ("0.0.0.0", "::")  # noqa: S104


def tunnel_advice(place: Place, port: int, bind: str | None) -> list[str]:
    """Return the lines for this place, or none where a browser reaches the port anyway."""
    for advise in (_editor, _ssh, _pod, _container):
        if lines := advise(place, port, bind):
            return lines
    return []


def _editor(place: Place, port: int, bind: str | None) -> list[str]:  # noqa: ARG001
    if not place.editor:
        return []
    return [f"VS Code forwards port {port} by itself; if not, open Ports and add {port} there."]


def _ssh(place: Place, port: int, bind: str | None) -> list[str]:  # noqa: ARG001
    """ssh(1): -L, and the escape ~C, which OpenSSH 9.2 and newer take only if it is enabled."""
    if place.ssh is None:
        return []
    forward = f"-L {port}:localhost:{port}"
    user = f"{place.ssh.user}@" if place.ssh.user else ""
    other_port = f" -p {place.ssh.port}" if place.ssh.port != 22 else ""
    return [
        f"Tunnel: ssh {forward}{other_port} {user}{place.ssh.address or 'THIS-MACHINE'}",
        f"Or in this very session: press Enter, ~C, and type {forward}",
    ]


def _pod(place: Place, port: int, bind: str | None) -> list[str]:  # noqa: ARG001
    if place.pod is None:
        return []
    namespace, name = place.pod
    return [f"Tunnel: kubectl -n {namespace} port-forward pod/{name} {port}:{port}"]


def _container(place: Place, port: int, bind: str | None) -> list[str]:
    if place.container not in ("docker", "podman"):
        return []
    published = f"{place.container} run -p 127.0.0.1:{port}:{port}"
    if bind in _WIDE:
        return [f"Reachable from the host if it was started with: {published} …"]
    return [
        f"Tunnel: {published} …",
        f"and in it: headless-login login --bind 0.0.0.0 --port {port}",
    ]
