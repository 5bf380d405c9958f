"""Antlers and the operators' page in a real browser, with a passkey of its own."""

from __future__ import annotations

import email
import email.policy
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from chromium import Browser, chromium

from running import Issuer, Program, antlers, free_port, sidecar

EMAIL = "customer@example.com"
# Where pictures of the pages are kept to be looked at; nowhere unless somebody asks.
PICTURES = os.environ.get("QUEUE_TEST_PICTURES")


class World:
    """An issuer, Antlers before it, and a way to read the mail that it sends."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        port = free_port()
        self.page = f"http://localhost:{port}"
        address = f"127.0.0.1:{free_port()}"
        self.outbox = folder / "queue-data" / "outbox"
        self.read: set[Path] = set()
        self.issuer = Issuer(
            folder,
            QUEUE_ISSUER_LISTEN=address,
            QUEUE_ISSUER_URL=f"http://localhost:{address.rpartition(':')[2]}",
            QUEUE_ISSUER_ORIGINS=self.page,
            QUEUE_ISSUER_RP_ID="localhost",
        )
        stack.callback(self.issuer.program.stop)
        program, sidecar_url = sidecar(folder, self.issuer)
        stack.callback(program.stop)
        page: Program = antlers(folder, self.issuer, sidecar_url, port)
        stack.callback(page.stop)

    def new_code(self) -> str:
        """Return the code of a mail that was not read yet, once there is one."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for path in sorted(set(self.outbox.glob("*.eml")) - self.read):
                self.read.add(path)
                mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
                body = mail.get_body(("plain",))
                assert body is not None
                if found := re.search(r"\b(\d{4}) ?(\d{4})\b", body.get_content()):
                    return found[1] + found[2]
            time.sleep(0.05)
        raise AssertionError("expected a mail with a code")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path_factory.mktemp("antlers"), stack)


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser
        assert browser.complaints() == []


def sign_up(browser: Browser, world: World, email: str) -> None:
    browser.open(world.page)
    browser.click("[data-open=sign-up]")
    browser.type("#sign-up [name=email]", email)
    browser.type("#sign-up [name=name]", "Ada")
    browser.click("#sign-up .primary")
    browser.wait_for_text("#notice", "Your account is ready")


def picture(browser: Browser, name: str) -> None:
    if PICTURES:
        browser.screenshot(Path(PICTURES) / f"{name}.png")


def test_a_newcomer_signs_up_and_both_doors_know_the_session(
    browser: Browser, world: World
) -> None:
    browser.open(world.page)
    browser.element("#sign-in")
    picture(browser, "antlers-outside")
    sign_up(browser, world, EMAIL)
    for door in ("#door-sidecar", "#door-python"):
        browser.wait_for_text(f"{door} .verdict", "valid")
        assert "passkey-uv" in browser.text(door)
        assert "antlers-user" in browser.text(door)
    assert browser.text("#who") == "Ada"
    assert "this device" in browser.text("#devices")
    picture(browser, "antlers-inside")
    # The tokens are where scripts of other pages cannot get them.
    script = "return [document.cookie, localStorage.length, sessionStorage.length]"
    assert browser.driver.execute_script(script) == ["", 0, 0]
    browser.driver.refresh()
    browser.wait_for_text("#door-python .verdict", "valid")


def test_autofill_signs_in_who_chose_a_passkey(browser: Browser, world: World) -> None:
    sign_up(browser, world, "autofill@example.com")
    browser.click("#sign-out")
    # The virtual authenticator chooses at once, as a person would in the list under the field.
    browser.wait_for_text("#notice", "Welcome back")
    browser.wait_for_text("#door-sidecar .verdict", "valid")


def test_everything_a_customer_may_do_on_the_page(browser: Browser, world: World) -> None:
    sign_up(browser, world, "everything@example.com")

    browser.type("#rename [name=name]", "Ada Lovelace")
    browser.click("#rename button")
    browser.wait_for_text("#who", "Ada Lovelace")

    browser.click("#send-code")
    browser.wait_for_text("#notice", "A code is on its way")
    browser.wait_for_text("#address", "not verified")
    browser.type("#verify [name=code]", world.new_code())
    browser.click("#verify button")
    browser.wait_for_text("#notice", "Your address is verified")
    assert "not verified" not in browser.text("#address")

    browser.click("#make-codes")
    browser.wait_for_text("#notice", "Write these down")
    codes = browser.text("#codes .shown").splitlines()
    assert len(codes) == 10
    assert len(set(codes)) == 10
    picture(browser, "antlers-codes")

    browser.click("#passkeys", "Remove")
    browser.wait_for_text("#notice", "only passkey")

    # The second device of the same person: another browser, without the passkey.
    with chromium(has_authenticator=False) as other:
        other.open(world.page)
        other.click("[data-open=with-code]")
        other.type("#with-code [name=email]", "everything@example.com")
        other.type("#with-code [name=code]", codes[0])
        other.click("#with-code .primary")
        other.wait_for_text("#door-python", "recovery")
        browser.driver.refresh()
        browser.wait_for_text("#devices", "Sign out")
        assert browser.text("#devices").count("Chrome on Linux") == 2
        browser.click("#end-others")
        browser.wait_for_text("#notice", "Every other device")
        other.driver.refresh()
        other.element("#sign-in")

        other.click("[data-open=recover]")
        other.type("#recover [name=email]", "everything@example.com")
        other.click("#recover .primary")
        other.wait_for_text("#notice", "a code is on its way")
        other.type("#recover [name=code]", world.new_code())
        other.click("#recover .primary")
        other.wait_for_text("#door-python", "recovery")

    # The virtual authenticator would choose a passkey at once where a person is asked to.
    browser.driver.remove_virtual_authenticator()
    browser.click("#end-all")
    browser.wait_for_text("#notice", "signed out everywhere")


def test_the_operators_page(browser: Browser, world: World) -> None:
    browser.open(world.issuer.ops_url)
    browser.type("#token", "not-a-token")
    browser.click("#enter .primary")
    browser.wait_for_text("#refused", "did not open")
    browser.type("#token", world.issuer.operator_token)
    browser.click("#enter .primary")
    browser.wait_for_text("#state", "ready")
    browser.wait_for_text("#keys", "active")
    browser.wait_for_text("#verifiers", "generation")
    browser.wait_for_text("#sessions", "live")
    browser.wait_for_text("#mail", "sent")
    browser.wait_for_text("#audit", "session.opened")
    browser.click("#verify")
    browser.wait_for_text("#verdict", "Unbroken")
    picture(browser, "operators")
    browser.click("#leave")
    browser.element("#token")
