"""Where it runs, seen from variables and files, and what is advised there."""

from __future__ import annotations

import pytest

from headless_login.commands.command_line import tunnel_advice
from headless_login.terminal.place import Place, SshConnection, detect_place

HERE = Place(has_screen=True)
SSH = {"SSH_CONNECTION": "198.51.100.7 50022 192.0.2.10 22", "USER": "ada"}
HELPER = "/home/ada/.vscode-server/bin/0123/bin/helpers/browser.sh"
NAMESPACE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"


def _look(
    environ: dict[str, str], files: dict[str, str] | None = None, platform: str = "linux"
) -> Place:
    """Look around on a machine that has these files and no others."""
    files = files or {}
    return detect_place(
        environ,
        platform=platform,
        exists=files.__contains__,
        read=lambda path: files.get(path, ""),
    )


SIGNS: dict[str, tuple[dict[str, str], dict[str, str], Place]] = {
    "nothing": ({}, {}, Place()),
    "an X screen": ({"DISPLAY": ":0"}, {}, HERE),
    "a Wayland screen": ({"WAYLAND_DISPLAY": "wayland-0"}, {}, HERE),
    "ssh": (SSH, {}, Place(ssh=SshConnection("ada", "192.0.2.10", 22))),
    "ssh over IPv6, another port": (
        {"SSH_CONNECTION": "2001:db8::7 50022 2001:db8::10 2222", "LOGNAME": "ada"},
        {},
        Place(ssh=SshConnection("ada", "2001:db8::10", 2222)),
    ),
    "ssh, torn": ({"SSH_CONNECTION": "one two"}, {}, Place(ssh=SshConnection("", "", 22))),
    "ssh, hostile": (
        {"SSH_CONNECTION": "a 1 $(reboot) 22", "USER": "ada;reboot"},
        {},
        Place(ssh=SshConnection("", "", 22)),
    ),
    "ssh to this machine": (
        {"SSH_CONNECTION": "::1 50022 ::1 22", "USER": "ada.lovelace"},
        {},
        Place(ssh=SshConnection("ada.lovelace", "::1", 22)),
    ),
    "only SSH_TTY": ({"SSH_TTY": "/dev/pts/3"}, {}, Place(ssh=SshConnection("", "", 22))),
    "ssh -X": (
        SSH | {"DISPLAY": "localhost:10.0"},
        {},
        Place(ssh=SshConnection("ada", "192.0.2.10", 22), has_screen=True),
    ),
    "docker": ({}, {"/.dockerenv": ""}, Place(container="docker")),
    "podman": ({}, {"/run/.containerenv": ""}, Place(container="podman")),
    "podman by its variable": ({"container": "podman"}, {}, Place(container="podman")),
    "systemd-nspawn": ({"container": "systemd-nspawn"}, {}, Place(container="systemd-nspawn")),
    "a pod": (
        {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "web-0"},
        {NAMESPACE: "team\n"},
        Place(container="kubernetes", pod=("team", "web-0")),
    ),
    "a pod without an account": (
        {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "web-0"},
        {},
        Place(container="kubernetes", pod=("default", "web-0")),
    ),
    "a hostile pod": (
        {"KUBERNETES_SERVICE_HOST": "h", "HOSTNAME": "web;reboot"},
        {},
        Place(container="kubernetes"),
    ),
    "a pod without a name": ({"KUBERNETES_SERVICE_HOST": "h"}, {}, Place(container="kubernetes")),
    "WSL": ({"WSL_DISTRO_NAME": "Debian"}, {}, Place(wsl=True, has_screen=True)),
    "WSL with a clean environment": (
        {},
        {"/proc/version": "Linux version 5.15.90.1-microsoft-standard-WSL2 (gcc)"},
        Place(wsl=True, has_screen=True),
    ),
    "WSL with systemd": (
        {"WSL_DISTRO_NAME": "Debian", "container": "wsl"},
        {},
        Place(wsl=True, has_screen=True),
    ),
    "VS Code Remote": ({"BROWSER": HELPER}, {}, Place(editor="vscode")),
    "VS Code Remote, by its socket": (
        {"VSCODE_IPC_HOOK_CLI": "/run/user/1000/vscode.sock"},
        {},
        Place(editor="vscode"),
    ),
    "another BROWSER": ({"BROWSER": "firefox", "DISPLAY": ":0"}, {}, HERE),
    "Codespaces": (
        {"CODESPACES": "true", "BROWSER": HELPER},
        {"/.dockerenv": ""},
        Place(container="docker", editor="codespaces"),
    ),
    "tmux": ({"TMUX": "/tmp/tmux-0/default,1,0"}, {}, Place(multiplexer="tmux")),
    "screen": ({"STY": "123.pts-0.host"}, {}, Place(multiplexer="screen")),
    "CI": ({"CI": "true"}, {}, Place(ci=True)),
    "CI=false": ({"CI": "false"}, {}, Place()),
}


@pytest.mark.parametrize("case", SIGNS)
def test_what_the_signs_mean(case: str) -> None:
    """Each sign is read as those who set it document it."""
    environ, files, expected = SIGNS[case]
    assert _look(environ, files) == expected


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_a_desktop_system_has_a_screen(platform: str) -> None:
    """DISPLAY means nothing there; the files of Linux are not there."""
    assert _look({}, platform=platform) == HERE


def test_looking_around_here_never_fails() -> None:
    """With the real files of this machine."""
    assert isinstance(detect_place({}), Place)


@pytest.mark.parametrize(
    ("place", "remote"),
    [
        (HERE, False),
        (Place(), True),
        (Place(has_screen=True, ssh=SshConnection("", "", 22)), True),
        (Place(has_screen=True, container="docker"), True),
        (Place(has_screen=True, editor="vscode"), True),
        (Place(has_screen=True, ci=True), True),
        (Place(has_screen=True, wsl=True), False),
    ],
)
def test_where_the_browser_is(place: Place, remote: bool) -> None:
    """On this machine's own screen, or most likely somewhere else."""
    assert place.is_remote is remote


ADVICE: dict[str, tuple[Place, int, str | None, list[str]]] = {
    "a screen": (HERE, 1455, None, []),
    "nothing known": (Place(), 1455, None, []),
    "ssh": (
        Place(ssh=SshConnection("ada", "192.0.2.10", 22)),
        1455,
        None,
        [
            "Tunnel: ssh -L 1455:localhost:1455 ada@192.0.2.10",
            "Or in this very session: press Enter, ~C, and type -L 1455:localhost:1455",
        ],
    ),
    "ssh, other ports": (
        Place(ssh=SshConnection("ada", "2001:db8::10", 2222)),
        1457,
        None,
        [
            "Tunnel: ssh -L 1457:localhost:1457 -p 2222 ada@2001:db8::10",
            "Or in this very session: press Enter, ~C, and type -L 1457:localhost:1457",
        ],
    ),
    "ssh into a container": (
        Place(ssh=SshConnection("root", "172.17.0.2", 22), container="docker"),
        1455,
        None,
        [
            "Tunnel: ssh -L 1455:localhost:1455 root@172.17.0.2",
            "Or in this very session: press Enter, ~C, and type -L 1455:localhost:1455",
        ],
    ),
    "docker": (
        Place(container="docker"),
        1455,
        None,
        [
            "Tunnel: docker run -p 127.0.0.1:1455:1455 …",
            "and in it: headless-login login --bind 0.0.0.0 --port 1455",
        ],
    ),
    "docker, bound": (
        Place(container="docker"),
        1455,
        "0.0.0.0",  # noqa: S104
        ["Reachable from the host if it was started with: docker run -p 127.0.0.1:1455:1455 …"],
    ),
    "podman": (
        Place(container="podman"),
        1457,
        None,
        [
            "Tunnel: podman run -p 127.0.0.1:1457:1457 …",
            "and in it: headless-login login --bind 0.0.0.0 --port 1457",
        ],
    ),
    "a pod": (
        Place(container="kubernetes", pod=("team", "web-0")),
        1455,
        None,
        ["Tunnel: kubectl -n team port-forward pod/web-0 1455:1455"],
    ),
    "Codespaces": (
        Place(container="docker", editor="codespaces"),
        1455,
        None,
        ["VS Code forwards port 1455 by itself; if not, open Ports and add 1455 there."],
    ),
}


@pytest.mark.parametrize("case", ADVICE)
def test_the_advice_fits_the_place(case: str) -> None:
    """Exact enough to be copied, with the real port, user and address."""
    place, port, bind, expected = ADVICE[case]
    assert tunnel_advice(place, port, bind) == expected
    assert len(expected) <= 2


def test_the_ssh_line_without_an_address() -> None:
    """What nobody knows is left to be filled in, and looks like it."""
    tunnel, _ = tunnel_advice(Place(ssh=SshConnection("", "", 22)), 1455, None)
    assert tunnel == "Tunnel: ssh -L 1455:localhost:1455 THIS-MACHINE"
