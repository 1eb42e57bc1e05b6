"""The phone's page in a real Chromium of a phone's size, from the scan to the end."""

from __future__ import annotations

import pytest

from headless_login.flows import phone_page
from headless_login.flows.phone_page import About
from tests.support.chromium import Chromium
from tests.support.people import ADA, Machine
from tests.support.program import Terminal
from tests.test_page import APPROVE, CONTRAST, HOSTILE, LONG, TOO_WIDE
from tests.test_phone import ASKED, PHONE, page_on

SIZE = (360, 740)
HEADING = "document.querySelector('h1').innerText"
ALERT = "document.querySelector('[role=alert]')?.innerText"
ABOUTS = {
    "usual": About("grace", "build-17", "14:03 UTC", "https://issuer.example/?a=b", True),
    "hostile": About(HOSTILE, HOSTILE, "14:03 UTC", f'https://x/?"><b>{HOSTILE}', False),
    "long": About(LONG, LONG, "14:03 UTC", f"https://issuer.example/?{LONG}", True),
}


def _fill_in(browser: Chromium, text: str) -> None:
    """Paste into the field and press Finish; returns when the page that follows is there."""
    browser.call("Page.bringToFront")
    browser.evaluate("document.querySelector('textarea').select()")
    browser.call("Input.insertText", text=text)
    browser.do("document.querySelector('form button').click()", "Page.loadEventFired")


def _title(browser: Chromium) -> str:
    """Return what the tab says; while its page asks for the next one, it cannot be evaluated."""
    targets = browser.call("Target.getTargets")["targetInfos"]
    return str(next(each["title"] for each in targets if each["attached"]))


def _sign_in(browser: Chromium, url: str) -> str:
    """Approve at the issuer, and return the address of the page that fails to load."""
    browser.open(url)
    return str(browser.do(APPROVE, "Page.frameNavigated")["frame"]["unreachableUrl"])


@pytest.mark.usefixtures("codexs_ports")
def test_from_the_scan_to_the_end(machine: Machine, browser: Chromium) -> None:
    """Scan, open, sign in, end at the page that fails, paste it back, confirm: without a script."""
    browser.look("dark", *SIZE)
    with Terminal(*PHONE, environ=machine.environ) as terminal:
        url, page = page_on(terminal)
        browser.open(page)
        link = browser.evaluate(
            "(({href, target, rel}) => [href, target, rel])(document.querySelector('a'))"
        )
        assert link == [url, "_blank", "noopener noreferrer"]
        failed = _sign_in(browser, url)
        browser.open(page)
        del browser.events[:]
        browser.call("Emulation.setScriptExecutionDisabled", value=True)
        _fill_in(browser, url)
        assert "That is the address to open" in browser.evaluate(ALERT)
        _fill_in(browser, failed)
        assert _title(browser) == "Confirm on the terminal"
        terminal.read_screen_until(ASKED.format(ADA.email))
        terminal.send("n\r")
        browser.wait_for("Page.loadEventFired")
        assert "was not confirmed" in browser.evaluate(ALERT)
        terminal.read_screen_until("Paste the whole")
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
        failed = _sign_in(browser, url)
        browser.open(page)
        _fill_in(browser, failed)
        terminal.until(lambda: terminal.text.count("[y/N]") > 1, "question")
        assert _title(browser) == "Confirm on the terminal"
        assert not machine.auth_file.exists()
        terminal.send("yes\r")
        browser.wait_for("Page.loadEventFired")
        assert browser.evaluate(HEADING) == "Signed in to Codex"
        assert machine.auth_file.exists()
        assert terminal.wait() == 0
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert browser.evaluate("location.search") == "?wait"
    assert "ContentSecurityPolicy" not in str(browser.told("Audits.issueAdded"))
    assert browser.call("Network.getAllCookies")["cookies"] == []


@pytest.mark.parametrize("text", ["100%", "200%"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_can_be_read(scheme: str, text: str, browser: Chromium) -> None:
    """No sideways scrolling and WCAG 2.2's contrast, at the usual size and with large text."""
    browser.look(scheme, *SIZE)
    browser.open("about:blank")
    for about in ABOUTS.values():
        for html in (
            phone_page.form(about),
            phone_page.form(about, LONG),
            phone_page.checking(about, 99),
        ):
            frame = browser.call("Page.getFrameTree")["frameTree"]["frame"]["id"]
            browser.call("Page.setDocumentContent", frameId=frame, html=html.decode())
            browser.evaluate(f"document.documentElement.style.fontSize = '{text}'")
            assert browser.evaluate(TOO_WIDE) == []
            written, drawn = browser.evaluate(CONTRAST)
            assert written >= 4.5
            assert drawn is None or drawn >= 3
            assert browser.evaluate("document.scripts.length + document.images.length") == 0
    small = "[...document.querySelectorAll('a, button')].filter(e => e.offsetHeight < 44).length"
    assert browser.evaluate(small) == 0
