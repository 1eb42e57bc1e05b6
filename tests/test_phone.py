"""`login --phone`: a page for a phone, which takes the address back; confirmed on the terminal."""

from __future__ import annotations

import re
from html import unescape

import requests
from requests import Response

from headless_login.practice.person import approve
from tests.support.listening import PATIENCE
from tests.support.people import ADA, Machine
from tests.support.program import Terminal
from tests.support.scanning import picture_of, read

PHONE = ("login", "--paste-redirect", "--phone", "--phone-bind", "127.0.0.1")
ASKED = r"Sign in this machine as {}\? \[y/N\]"


def titled(page: Response) -> str:
    """Return a page's heading, and what it refuses."""
    found = re.findall(r"<h1>(.*?)</h1>|role=\"alert\">(.*?)</p>", page.text)
    return unescape(" ".join(filter(None, (each for pair in found for each in pair))))


def bring(page: str, answer: str, **headers: str) -> Response:
    """Send the form as a browser does, which is sent on."""
    form = {"answer": answer}
    return requests.post(page, data=form, headers=headers, timeout=PATIENCE)


def page_on(terminal: Terminal) -> tuple[str, str]:
    """Return the authorize URL, and the page's address as it stands on the screen."""
    url = terminal.read_question()
    (page,) = read(picture_of(terminal.screen))
    assert page in terminal.text
    return url, page


def test_a_phone_brings_its_answer(machine: Machine) -> None:
    """Its code is on the screen; wrong pastes are named; nothing is written before the yes."""
    with Terminal(*PHONE, environ=machine.environ) as terminal:
        url, page = page_on(terminal)
        assert url.replace("&", "&amp;") in (first := requests.get(page, timeout=PATIENCE).text)
        assert first.count("state=") == 1
        assert "That is the address to open" in titled(bring(page, url))
        assert "Nothing was pasted" in titled(bring(page, " "))
        assert "The sign-in was denied" in titled(bring(page, approve(url, decision="deny")))
        assert titled(bring(page, approve(url))) == "Confirm on the terminal"
        terminal.read_screen_until(ASKED.format(ADA.email))
        assert not machine.auth_file.exists()
        terminal.send("y\r")
        assert terminal.wait() == 0
        assert terminal.text.count("A wrong answer on the phone's page") == 1
    assert machine.present[0] == ADA.user_id
    assert machine.issuer.revoked == []
