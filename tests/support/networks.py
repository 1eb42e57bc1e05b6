"""Three machines on two cables, as network namespaces: a server, a phone, and an attacker.

The server is reached by both at its one address; neither is on its loopback.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

SERVER, SERVER_6 = "10.99.1.1", "fd99:1::1"
_CLONE_NEWNET = 0x40000000
_CABLES = """
ip -n {server} link set lo up
ip -n {server} link add phone type veth peer name eth0 netns {phone}
ip -n {server} link add other type veth peer name eth0 netns {attacker}
ip -n {server} address add 10.99.1.1/24 dev phone
ip -n {server} address add fd99:1::1/64 dev phone nodad
ip -n {server} address add 10.99.2.1/24 dev other
ip -n {server} address add fd99:2::1/64 dev other nodad
ip -n {server} link set phone up
ip -n {server} link set other up
ip -n {phone} address add 10.99.1.2/24 dev eth0
ip -n {phone} address add fd99:1::2/64 dev eth0 nodad
ip -n {phone} link set eth0 up
ip -n {attacker} address add 10.99.2.2/24 dev eth0
ip -n {attacker} address add fd99:2::2/64 dev eth0 nodad
ip -n {attacker} link set eth0 up
ip -n {attacker} route add default via 10.99.2.1
ip -n {attacker} -6 route add default via fd99:2::1
ip -n {server} route add default via 10.99.1.2
"""


class Networks:
    """The namespaces by name; what is started inside one stays in it."""

    def __init__(self) -> None:
        self._names = {each: f"hl-{os.getpid()}-{each}" for each in ("server", "phone", "attacker")}

    @contextmanager
    def inside(self, machine: str) -> Iterator[None]:
        """Have this thread, and the threads and programs that it starts, be on a machine."""
        with (
            open(f"/run/netns/{self._names[machine]}") as there,
            open("/proc/thread-self/ns/net") as here,
        ):
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(here.fileno())

    def __enter__(self) -> Networks:
        if shutil.which("ip") is None:
            pytest.skip("not installed: ip")
        with ExitStack() as made:
            made.callback(self.__exit__)
            try:
                for name in self._names.values():
                    _run(f"ip netns add {name}")
                for line in _CABLES.format(**self._names).strip().splitlines():
                    _run(line)
            except (OSError, subprocess.CalledProcessError) as error:
                pytest.skip(f"no network namespaces here: {error}")
            made.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._names.values():
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def _run(line: str) -> None:
    subprocess.run(line.split(), check=True, capture_output=True)


def _enter(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
