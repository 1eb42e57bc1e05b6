"""The page in a real Chromium: true, clean, self-contained, and good to look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from headless_login.flows import page
from headless_login.flows.page import Page
from tests.support.chromium import Chromium
from tests.support.listening import Listening
from tests.support.program import Piped
from tests.support.scene import Scene

LONG = "Unbroken" * 250
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
PAGES = {
    "success": page.success(),
    "failure": page.failure("You pressed Deny.", "Start a new sign-in and press Approve."),
    "rejected": page.rejected("The answer belongs to another sign-in (its state is not ours)."),
    "not found": page.NOT_FOUND,
    "cancelled": page.CANCELLED,
    "interrupted": page.INTERRUPTED,
    "a long word": page.failure(LONG, LONG),
    "hostile": page.failure(HOSTILE, HOSTILE),
}
# Relative luminance and contrast as WCAG 2.2 defines them, for every text on the page.
CONTRAST = """
(() => {
  const rgb = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => c / 255).map(
      (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = rgb(getComputedStyle(e).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  return ['h1, h2, p, footer, .button, button', 'svg, textarea'].map((selector) => Math.min(
    ...[...document.querySelectorAll(selector)].map((element) => {
      const [a, b] = [light(rgb(getComputedStyle(element).color)), light(behind(element))];
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    })));
})()
"""
# Elements that are wider than their place, the page itself among them.
TOO_WIDE = """
[document.documentElement, ...document.querySelectorAll('body, body *')]
  .filter((element) => element.scrollWidth > element.clientWidth && element.clientWidth)
  .map((element) => element.tagName)
"""


def _show(browser: Chromium, shown: Page) -> Listening:
    """Show a page as our server would, with its headers' policy in force."""
    with Listening(outcome=lambda _: shown) as listening:
        browser.open(f"http://127.0.0.1:{listening.port}{listening.callback()}")
    return listening


@pytest.mark.parametrize("name", PAGES)
def test_the_text_is_shown_as_text(name: str, browser: Chromium) -> None:
    """Title, sentence and hint, whatever stands in them; nothing of it is run."""
    shown = PAGES[name]
    _show(browser, shown)
    assert browser.evaluate("document.title") == shown.title
    text = browser.evaluate("document.body.innerText")
    assert not [part for part in (shown.title, shown.text, shown.hint) if part not in text]
    assert browser.evaluate("document.scripts.length + document.images.length") == 0


@pytest.mark.parametrize("size", [(360, 740), (1280, 800), (240, 320)], ids=str)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_can_be_read(scheme: str, size: tuple[int, int], browser: Chromium) -> None:
    """No sideways scrolling, and the contrast of WCAG 2.2 (1.4.3, 1.4.11) for text and signs."""
    browser.look(scheme, *size)
    for shown in PAGES.values():
        _show(browser, shown)
        assert browser.evaluate("innerWidth") == size[0]
        assert browser.evaluate(TOO_WIDE) == []
        text, sign = browser.evaluate(CONTRAST)
        assert text >= 4.5
        assert sign >= 3
    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(16, 18, 20)") is (scheme == "dark")


def _asked(browser: Chromium) -> set[str]:
    """Return the hosts that were asked; fails if the browser complained about the policy."""
    kinds = ("Log.entryAdded", "Audits.issueAdded", "Runtime.consoleAPICalled")
    assert not [browser.told(kind) for kind in kinds if browser.told(kind)]
    urls = [told["request"]["url"] for told in browser.told("Network.requestWillBeSent")]
    return {urlsplit(url).netloc for url in urls if not url.startswith("data:")}


def test_it_needs_no_script_and_loads_nothing(browser: Chromium) -> None:
    """One request to us, none to anybody else, and not one complaint about the policy."""
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    del browser.events[:]
    try:
        port = _show(browser, page.success()).port
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert _asked(browser) == {f"127.0.0.1:{port}"}
    assert not browser.told("Network.loadingFailed")
    assert "Signed in to Codex" in browser.evaluate("document.body.innerText")


# The whole way, from the authorize page to ours, with the installed command.

APPROVE = "document.querySelector('button[value=approve]').click()"


def test_a_person_signs_in(scene: Scene, browser: Chromium) -> None:
    """At our page auth.json is complete; address bar, history and referrer hold no answer."""
    with scene.terminal() as terminal:
        browser.open(url := terminal.read_question())
        browser.call("Page.resetNavigationHistory")
        del browser.events[:]
        browser.do(APPROVE, "Page.loadEventFired")
        stored: dict[str, Any] = json.loads(scene.auth_file.read_text())
        assert "Signed in to Codex" in browser.evaluate("document.body.innerText")
        assert stored["tokens"]["refresh_token"]
        assert terminal.wait() == 0
        assert "The browser brought the answer" in terminal.text
    done = f"http://127.0.0.1:{scene.port}/auth/done"
    seen = browser.evaluate("[location.href, document.referrer, history.length]")
    assert seen == [done, "", 2]
    history = browser.call("Page.getNavigationHistory")["entries"]
    assert [entry["url"] for entry in history] == [url, done]
    assert _asked(browser) == {urlsplit(done).netloc, urlsplit(scene.issuer.issuer).netloc}


@pytest.mark.usefixtures("codexs_ports")
def test_without_a_listener_the_address_is_what_is_pasted(
    environ: dict[str, str], codex_home: Path, browser: Chromium
) -> None:
    """Nobody listens: the browser shows its error page, and its address bar has all we need."""
    with Piped("login", "--paste-redirect", environ=environ) as piped:
        browser.open(piped.read_url())
        failed = browser.do(APPROVE, "Page.frameNavigated")
        address = failed["frame"]["unreachableUrl"]
        assert address.startswith("http://127.0.0.1:1455/auth/callback?code=")
        assert piped.finish(address + "\n").exit_code == 0
    assert (codex_home / "auth.json").exists()
