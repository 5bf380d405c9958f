"""A headless Chromium with a passkey of its own: how to test signing in without a hand on a key.

The virtual authenticator (WebAuthn §11) answers every ceremony at once, as a person with a finger
on the sensor would.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.virtual_authenticator import (
    Protocol,
    Transport,
    VirtualAuthenticatorOptions,
)
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

SECONDS = 20


class Browser:
    """A page in Chromium, seen and used by what a person sees: texts, labels, buttons."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        """Go to `url`."""
        self.driver.get(url)

    def element(self, css: str) -> WebElement:
        """Return the first visible element of `css`, once there is one."""

        def find(driver: webdriver.Chrome) -> WebElement | None:
            found = driver.find_elements(By.CSS_SELECTOR, css)
            return next((one for one in found if one.is_displayed()), None)

        element = WebDriverWait(self.driver, SECONDS).until(find, f"expected {css} to be seen")
        assert element is not None
        return element

    def text(self, css: str) -> str:
        """Return the text of the first visible element of `css`."""
        return self.element(css).text

    def wait_for_text(self, css: str, text: str) -> None:
        """Wait until the element of `css` says `text`."""

        def says(driver: webdriver.Chrome) -> bool:
            found = driver.find_elements(By.CSS_SELECTOR, css)
            return any(text in one.text for one in found if one.is_displayed())

        WebDriverWait(self.driver, SECONDS).until(says, f"expected {css} to say {text!r}")

    def click(self, css: str, text: str | None = None) -> None:
        """Press the button of `css`, or the one in it that says `text`."""
        if text is None:
            self.element(css).click()
            return
        buttons = self.element(css).find_elements(By.TAG_NAME, "button")
        next(button for button in buttons if button.text == text).click()

    def type(self, css: str, text: str) -> None:
        """Put `text` into the field of `css`."""
        field = self.element(css)
        field.clear()
        field.send_keys(text)

    def complaints(self) -> list[str]:
        """Return what the console was told, but for refusals, which pages show themselves."""
        log = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        said = [str(entry["message"]) for entry in log]
        return [one for one in said if "Failed to load resource" not in one]

    def screenshot(self, path: Path) -> None:
        """Keep the whole page as a picture."""
        height = self.driver.execute_script("return document.documentElement.scrollHeight")
        self.driver.set_window_size(1200, max(800, int(height) + 140))
        self.driver.save_screenshot(str(path))


@contextmanager
def chromium(*, has_authenticator: bool = True) -> Iterator[Browser]:
    """Start Chromium, with a virtual authenticator or none; it ends with the block."""
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium")
    # Root has no sandbox of its own; the pages are ours.
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-proxy-server"):
        options.add_argument(argument)
    options.add_argument("--window-size=1200,900")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(program("chromedriver")))
    try:
        if has_authenticator:
            driver.add_virtual_authenticator(platform_authenticator())
        yield Browser(driver)
    finally:
        driver.quit()


def platform_authenticator() -> VirtualAuthenticatorOptions:
    """Return the authenticator of a phone or laptop: discoverable passkeys, and a finger known."""
    options = VirtualAuthenticatorOptions()
    options.protocol = Protocol.CTAP2
    options.transport = Transport.INTERNAL
    options.has_resident_key = True
    options.has_user_verification = True
    options.is_user_consenting = True
    options.is_user_verified = True
    return options


def program(name: str) -> str:
    """Return the path of a program that `.ci/setup` installs."""
    path = shutil.which(name)
    if path is None:
        raise FileNotFoundError(f"expected {name} on the PATH: install Debian's {name}")
    return path
