"""Where it runs, seen from variables and files, and what is advised there."""

from __future__ import annotations

import pytest

from headless_login.commands.command_line import tunnel_advice
from headless_login.terminal.place import Place, SshConnection, detect_place

HERE = Place(has_screen=True)
WSL = Place(wsl=True, has_screen=True)
DOCKER = Place(container="docker")
PODMAN = Place(container="podman")
POD = Place(container="kubernetes", pod=("team", "web-0"))
NO_POD = Place(container="kubernetes")
CODESPACE = Place(container="docker", editor="codespaces")
EDITOR = Place(editor="vscode")
HELPER = "/home/ada/.vscode-server/bin/0123/bin/helpers/browser.sh"
ACCOUNT = {"/var/run/secrets/kubernetes.io/serviceaccount/namespace": "team\n"}
KERNEL = {"/proc/version": "Linux version 5.15.90.1-microsoft-standard-WSL2 (gcc)"}


def _ssh(user: str = "", address: str = "", port: int = 22) -> Place:
    return Place(ssh=SshConnection(user, address, port))


def _look(environ: dict[str, str], files: dict[str, str], platform: str = "linux") -> Place:
    """Look around on a machine that has these files and no others."""
    return detect_place(
        environ,
        platform=platform,
        exists=files.__contains__,
        read=lambda path: files.get(path, ""),
    )


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        *(({}, Place()), ({"CI": "true"}, Place(ci=True)), ({"CI": "false"}, Place())),
        *(({"DISPLAY": ":0"}, HERE), ({"WAYLAND_DISPLAY": "wayland-0"}, HERE)),
        *(({"BROWSER": "firefox", "DISPLAY": ":0"}, HERE), ({"SSH_TTY": "/dev/pts/3"}, _ssh())),
        ({"container": "podman"}, PODMAN),
        ({"container": "systemd-nspawn"}, Place(container="systemd-nspawn")),
        ({"WSL_DISTRO_NAME": "Debian"}, WSL),
        ({"WSL_DISTRO_NAME": "Debian", "container": "wsl"}, WSL),  # with systemd
        ({"BROWSER": HELPER}, EDITOR),
        ({"VSCODE_IPC_HOOK_CLI": "/run/user/1000/vscode.sock"}, EDITOR),
        ({"TMUX": "/tmp/tmux-0/default,1,0"}, Place(multiplexer="tmux")),
        ({"STY": "123.pts-0.host"}, Place(multiplexer="screen")),
    ],
    ids=str,
)
def test_what_variables_mean(environ: dict[str, str], expected: Place) -> None:
    """Each is read as those who set it document it."""
    assert _look(environ, {}) == expected


@pytest.mark.parametrize(
    ("connection", "more", "expected"),
    [
        ("198.51.100.7 50022 192.0.2.10 22", {"USER": "ada"}, _ssh("ada", "192.0.2.10")),
        ("::1 50022 ::1 22", {"USER": "ada.lovelace"}, _ssh("ada.lovelace", "::1")),
        ("2001:db8::7 5 2001:db8::10 2222", {"LOGNAME": "ada"}, _ssh("ada", "2001:db8::10", 2222)),
        ("one two", {}, _ssh()),
        ("a 1 $(reboot) 22", {"USER": "ada;reboot"}, _ssh()),
        ("a 1 b 22", {"DISPLAY": "localhost:10.0"}, _ssh("", "b")._replace(has_screen=True)),
    ],
)
def test_what_ssh_tells(connection: str, more: dict[str, str], expected: Place) -> None:
    """The user, and this machine's address and port, if they can stand in a command."""
    assert _look({"SSH_CONNECTION": connection, **more}, {}) == expected


@pytest.mark.parametrize(
    ("pod", "files", "expected"),
    [
        ("web-0", ACCOUNT, POD),
        ("web-0", {}, POD._replace(pod=("default", "web-0"))),  # a pod without an account
        ("web;reboot", {}, NO_POD),
        ("", {}, NO_POD),
    ],
)
def test_what_a_pod_is_called(pod: str, files: dict[str, str], expected: Place) -> None:
    """By its namespace and name, if they can stand in a command."""
    assert _look({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": pod}, files) == expected


@pytest.mark.parametrize(
    ("environ", "files", "expected"),
    [
        ({}, {"/.dockerenv": ""}, DOCKER),
        ({}, {"/run/.containerenv": ""}, PODMAN),
        ({}, KERNEL, WSL),  # with a clean environment
        ({"CODESPACES": "true", "BROWSER": HELPER}, {"/.dockerenv": ""}, CODESPACE),
    ],
)
def test_what_files_mean(environ: dict[str, str], files: dict[str, str], expected: Place) -> None:
    """Docker, Podman and WSL leave them."""
    assert _look(environ, files) == expected


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_a_desktop_system_has_a_screen(platform: str) -> None:
    """DISPLAY means nothing there; the files of Linux are not there."""
    assert _look({}, {}, platform) == HERE


def test_looking_around_here_never_fails() -> None:
    assert isinstance(detect_place({}), Place)


@pytest.mark.parametrize(
    ("place", "remote"),
    [
        *((HERE, False), (WSL, False), (Place(), True), (HERE._replace(ci=True), True)),
        *((HERE._replace(container="docker"), True), (HERE._replace(editor="vscode"), True)),
        (HERE._replace(ssh=SshConnection("", "", 22)), True),
    ],
)
def test_where_the_browser_is(place: Place, remote: bool) -> None:
    """On this machine's own screen, or most likely somewhere else."""
    assert place.is_remote is remote


SSH_LINES = (
    "Or run, in a second terminal on the browser's machine:",
    "ssh -N -L {0}:localhost:{0} {1}",
)
CONTAINER_LINES = (
    "Or start the container with: {1} run -p 127.0.0.1:{0}:{0} …",
    "and in it: headless-login login --bind 0.0.0.0 --port {0}",
)
BOUND = "Reachable from the host if it was started with: docker run -p 127.0.0.1:1455:1455 …"
FORWARDED = "VS Code forwards port 1455 by itself; if not, open Ports and add 1455 there."


@pytest.mark.parametrize(
    ("place", "port", "bind", "lines", "target"),
    [
        (HERE, 1455, None, (), ""),
        (Place(), 1455, None, (), ""),
        (_ssh("ada", "192.0.2.10"), 1455, None, SSH_LINES, "ada@192.0.2.10"),
        (_ssh("ada", "2001:db8::10", 2222), 1457, None, SSH_LINES, "-p 2222 ada@2001:db8::10"),
        (_ssh("", "b")._replace(container="docker"), 1455, None, SSH_LINES, "b"),
        (_ssh(), 1455, None, SSH_LINES, "THIS-MACHINE"),  # to be filled in, and looks like it
        (DOCKER, 1455, None, CONTAINER_LINES, "docker"),
        (PODMAN, 1457, None, CONTAINER_LINES, "podman"),
        (DOCKER, 1455, "0.0.0.0", (BOUND,), ""),  # noqa: S104
        (POD, 1455, None, ("Or: kubectl -n team port-forward pod/web-0 {0}:{0}",), ""),
        (CODESPACE, 1455, None, (FORWARDED,), ""),
    ],
)
def test_the_advice_fits_the_place(
    place: Place, port: int, bind: str | None, lines: tuple[str, ...], target: str
) -> None:
    """Exact enough to be copied, with the real port, user and address."""
    assert tunnel_advice(place, port, bind) == [line.format(port, target) for line in lines]
