"""The sidecar's page for people, in a real browser: numbers, words, nothing from elsewhere."""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Browser, chromium

from running import BINARIES, Issuer, Program, call, free_port, sidecar

# Where pictures of the page are kept to be looked at; nowhere unless somebody asks.
PICTURES = os.environ.get("QUEUE_TEST_PICTURES")
LOOKS = {"light": 1200, "dark": 1200, "phone": 390, "phone-dark": 390}


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium(has_authenticator=False) as browser:
        yield browser
        assert browser.complaints() == []


def pictures(browser: Browser, name: str) -> None:
    """Keep the whole page as it looks on a desk and on a phone, by day and by night."""
    for look, width in LOOKS.items():
        scheme = "dark" if look.endswith("dark") else "light"
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        # Nothing sticks out of a screen, however narrow.
        wide = browser.driver.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, look
        if PICTURES:
            height = browser.driver.execute_script("return document.documentElement.scrollHeight")
            browser.driver.execute_cdp_cmd(
                "Emulation.setDeviceMetricsOverride", {**metrics, "height": int(height)}
            )
            browser.driver.save_screenshot(str(Path(PICTURES) / f"status-{name}-{look}.png"))
    browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def reload_until(browser: Browser, css: str, text: str) -> None:
    """Ask for the page again until it says `text`, as a person waiting for news would."""
    deadline = time.monotonic() + 20
    while text not in browser.text(css):
        assert time.monotonic() < deadline, browser.text("body")
        browser.driver.refresh()


def validate(url: str, token: str) -> str:
    return call("POST", f"{url}/v1/validate", token=token).code


def test_the_page_shows_what_the_sidecar_did(browser: Browser, tmp_path: Path) -> None:
    issuer = Issuer(tmp_path)
    program: Program | None = None
    try:
        program, url = sidecar(tmp_path, issuer)
        token = issuer.mint(issuer.customer("page@example.com"))
        for _ in range(12):
            assert validate(url, token) == "valid"
        for bad in ("abc", f"{token[:-8]}AAAAAAAA", "eyJhbGciOiJub25lIn0.e30."):
            assert validate(url, bad) != "valid"

        browser.open(url)
        assert browser.text("#state h2") == "Ready"
        assert "12 valid" in browser.text(".key")
        assert "3 refused" in browser.text(".key")
        assert "0 could not be decided" in browser.text(".key")
        assert "15 since the start" in browser.text("[aria-labelledby=latency-title]")
        assert "signature_invalid" in browser.text("[aria-labelledby=faults-title]")
        page = browser.text("section.issuer")
        assert issuer.name in page
        assert "The keys are fresh." in page
        assert "agrees with this one" in page or "s ahead" in page or "s behind" in page
        assert f"{issuer.name}/status-lists/" in page
        key_set = call("GET", issuer.jwks_uri).body
        assert all(key["kid"] in page for key in key_set["keys"])
        assert len(browser.driver.find_elements("css selector", "svg rect.valid")) >= 2
        pictures(browser, "ready")

        # Who cannot see the picture is told the same.
        title = browser.driver.execute_script(
            "return document.querySelector('#verdicts-picture').textContent"
        )
        assert "12 tokens valid, 3 refused, 0 undecided" in title
        # Nothing came from elsewhere, and no script ran.
        assert browser.driver.execute_script(
            "return [performance.getEntriesByType('resource').length, document.scripts.length]"
        ) == [0, 0]
        browser.driver.find_element("link text", "every 10 s").click()
        assert browser.text("nav") == "Stop reloading"
        assert browser.driver.find_elements("css selector", "meta[http-equiv=refresh]")
        browser.driver.find_element("link text", "Stop reloading").click()
        assert not browser.driver.find_elements("css selector", "meta[http-equiv=refresh]")
    finally:
        if program is not None:
            assert program.stop() == 0
        issuer.program.stop()


def test_the_page_says_what_is_wrong(browser: Browser, tmp_path: Path) -> None:
    issuer = Issuer(tmp_path, QUEUE_ISSUER_JWKS_MAX_AGE="1s")
    program, url = sidecar(tmp_path, issuer, QUEUE_SIDECAR_STALE_LIMIT="2h")
    try:
        token = issuer.mint(issuer.customer("wrong@example.com"))
        assert validate(url, token) == "valid"
        issuer.program.stop()
        browser.open(url)
        reload_until(browser, "section.issuer", "failing: ")
        assert browser.text("#state h2") == "Ready, while an issuer does not answer"
        assert "at most 2 h" in browser.text("section.issuer")
        pictures(browser, "issuer-down")
    finally:
        program.stop()


def test_the_page_of_a_sidecar_without_keys(browser: Browser, tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    settings = {
        "QUEUE_SIDECAR_LISTEN": "127.0.0.1:0",
        "QUEUE_SIDECAR_ISSUER": nobody,
        "QUEUE_SIDECAR_AUDIENCE": "raptor",
        "QUEUE_SIDECAR_DEADLINE": "100ms",
    }
    program = Program([str(BINARIES / "queue-sidecar")], env=settings, cwd=tmp_path)
    try:
        address = program.wait_for(r"listening address=(\S+)").group(1)
        url = f"http://{address}"
        unjudged = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.e30.AAAA"
        call("POST", f"{url}/v1/validate", token=unjudged)
        browser.open(url)
        assert browser.text("#state h2") == "Starting"
        assert "every token is answered with 503" in browser.text("#state")
        assert "What to do" in browser.text("#state")
        reload_until(browser, "section.issuer", "failed")
        pictures(browser, "starting")
    finally:
        program.stop()


def page_status(url: str, site: str) -> int:
    request = urllib.request.Request(f"{url}/", headers={"Sec-Fetch-Site": site})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def test_a_link_from_another_site_does_not_open_the_page(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path)
    program, url = sidecar(tmp_path, issuer)
    try:
        for site, status in (("none", 200), ("same-origin", 200), ("cross-site", 403)):
            assert page_status(url, site) == status, site
    finally:
        program.stop()
        issuer.program.stop()
