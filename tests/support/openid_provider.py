"""A certified OpenID provider (npm: oidc-provider), and a person who answers its forms."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urljoin

import pytest
import requests

from tests.support.codex import cache_folder
from tests.support.listening import free_port

CLIENT_ID = "headless-client"
_SCRIPT = Path(__file__).with_name("oidc_provider.mjs")


class OpenIdProvider(NamedTuple):
    """Where it is, and the loopback port to which it redirects."""

    issuer: str
    redirect_port: int


@contextmanager
def open_id_provider() -> Iterator[OpenIdProvider]:
    """Run it, or skip the test where it is not installed."""
    modules = cache_folder() / "oidc-provider" / "node_modules"
    if shutil.which("node") is None or not modules.is_dir():
        pytest.skip("oidc-provider is not installed: run scripts/install-codex (needs npm)")
    port, redirect_port = free_port(), free_port()
    command = ["node", str(_SCRIPT), str(modules), str(port), str(redirect_port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert any(line.strip() == "listening" for line in process.stdout)
            yield OpenIdProvider(f"http://127.0.0.1:{port}", redirect_port)
        finally:
            process.kill()


class _LeadsAway(requests.adapters.HTTPAdapter):
    """Stands where the provider sends the browser at last: nothing is asked there."""

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response.url = 200, str(request.url)
        response.request = request
        return response


class Browser:
    """A session that follows redirects and fills in forms, as a person called Grace."""

    def __init__(self, provider: OpenIdProvider) -> None:
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.mount(f"http://127.0.0.1:{provider.redirect_port}/", _LeadsAway())

    def sign_in(self, address: str, *, deny: bool = False) -> str:
        """Open an address, answer every form, and return where the browser is sent at last."""
        page = self._session.get(address, timeout=10)
        while "<form" in page.text:
            abort = re.search(r'href="([^"]*/abort)"', page.text) if deny else None
            if abort:
                page = self._session.get(urljoin(page.url, unescape(abort[1])), timeout=10)
            else:
                page = self._submit(page)
        return page.url

    def type_code(self, address: str, user_code: str, *, deny: bool = False) -> None:
        """Open the verification page, type the code, and answer every form."""
        page = self._session.get(address, timeout=10)
        xsrf = re.search(r'name="xsrf" value="([^"]+)"', page.text)
        assert xsrf, page.text
        form = {"xsrf": xsrf[1], "user_code": user_code}
        page = self._session.post(page.url, form, timeout=10)
        form |= {"abort" if deny else "confirm": "yes"}
        page = self._session.post(page.url, form, timeout=10)
        while not deny and "<form" in page.text:
            page = self._submit(page)

    def _submit(self, page: requests.Response) -> requests.Response:
        action = re.search(r'<form[^>]*action="([^"]+)"', page.text)
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
        if 'name="login"' in page.text:
            fields |= {"login": "grace", "password": "practice"}
        target = urljoin(page.url, unescape(action[1])) if action else page.url
        return self._session.post(target, fields, timeout=10)
