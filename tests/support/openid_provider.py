"""A certified OpenID provider (npm: oidc-provider), and a person who answers its forms."""

from __future__ import annotations

import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Self
from urllib.parse import urljoin, urlsplit

import pytest
import requests

from tests.support.codex import cache_folder
from tests.support.listening import free_port

CLIENT_ID = "headless-client"
_SCRIPT = Path(__file__).with_name("oidc_provider.mjs")


class OpenIdProvider:
    """Runs it while entered."""

    def __init__(self) -> None:
        """Find it, or skip the test."""
        self._modules = cache_folder() / "oidc-provider" / "node_modules"
        if shutil.which("node") is None or not self._modules.is_dir():
            pytest.skip("oidc-provider is not installed: run scripts/install-codex (needs npm)")
        self.redirect_port = free_port()
        self._port = free_port()
        self.issuer = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            ["node", _SCRIPT, self._modules, str(self._port), str(self.redirect_port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout
        assert any(line.strip() == "listening" for line in self._process.stdout)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


class Browser:
    """A session that follows redirects and fills in forms, as a person called Grace."""

    def __init__(self) -> None:
        """Start without cookies."""
        self._session = requests.Session()
        self._session.trust_env = False

    def sign_in(self, address: str, *, deny: bool = False) -> str:
        """Open an address, answer every form, and return where the browser is sent at last."""
        response = self._open("GET", address)
        for _ in range(8):
            if response is None or "<form" not in response.text:
                break
            if deny and (abort := re.search(r'href="([^"]*/abort)"', response.text)):
                response = self._open("GET", urljoin(response.url, unescape(abort[1])))
            else:
                response = self._submit(response)
        return self._ended_at

    def type_code(self, address: str, user_code: str, *, deny: bool = False) -> None:
        """Open the verification page, type the code, and answer every form."""
        page = self._open("GET", address)
        assert page is not None
        xsrf = re.search(r'name="xsrf" value="([^"]+)"', page.text)
        assert xsrf, page.text
        form = {"xsrf": xsrf[1], "user_code": user_code}
        page = self._open("POST", page.url, form)
        assert page is not None
        page = self._open("POST", page.url, form | {"abort" if deny else "confirm": "yes"})
        while not deny and page is not None and "<form" in page.text:
            page = self._submit(page)

    def _submit(self, page: requests.Response) -> requests.Response | None:
        action = re.search(r'<form[^>]*action="([^"]+)"', page.text)
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
        if 'name="login"' in page.text:
            fields |= {"login": "grace", "password": "practice"}
        target = urljoin(page.url, unescape(action[1])) if action else page.url
        return self._open("POST", target, fields)

    def _open(
        self, method: str, address: str, form: dict[str, str] | None = None
    ) -> requests.Response | None:
        """Follow redirects on the provider's own port; None once it leads away from there."""
        self._ended_at = address
        home = urlsplit(address).netloc
        for _ in range(10):
            response = self._session.request(
                method, self._ended_at, data=form, allow_redirects=False, timeout=10
            )
            if not response.is_redirect:
                return response
            self._ended_at = urljoin(self._ended_at, response.headers["Location"])
            method, form = "GET", None
            if urlsplit(self._ended_at).netloc != home:
                return None
        raise AssertionError("the provider redirects without end")
