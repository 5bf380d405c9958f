"""The plugin as a customer's tests have it: found by its entry point, in a run of their own."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness import code_of
from queue_verifier import Require, Verifier, VerifyError
from queue_verifier.testing import Forge

SUITE = """
import socket

import pytest
from queue_verifier import InvalidToken, Require


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_session(queue_forge, queue_verifier):
    session = queue_verifier.validate_session(queue_forge.mint(roles="billing", scope=["a", "b"]))
    assert (session.issuer, session.audience) == ("https://login.example.test", ("invoices",))
    assert (session.roles, session.scope) == (("billing",), ("a", "b"))
    require = Require(scope="a", roles="billing", max_auth_age=60)
    assert queue_verifier.validate_session(queue_forge.mint(roles="billing", scope="a"),
                                           require=require)


def test_clock(queue_forge, queue_verifier):
    token = queue_forge.mint()
    queue_forge.advance(329)
    queue_verifier.validate_session(token)
    queue_forge.advance(1)
    with pytest.raises(InvalidToken) as caught:
        queue_verifier.validate_session(token)
    assert caught.value.code == "claims_expired"


def test_each_test_has_its_own_clock(queue_forge):
    assert queue_forge.now == 1_800_000_000
"""


def test_a_customers_suite(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\naddopts = --strict-config\nfilterwarnings = error\n"
        "queue_issuer = https://login.example.test\nqueue_audience = invoices\n"
    )
    (tmp_path / "test_suite.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_loading_the_plugin_needs_no_cryptography() -> None:
    script = "import sys, queue_verifier.pytest_plugin; print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)  # noqa: S603
    assert done.stdout.decode().strip() == "False"


def test_without_cryptography(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    monkeypatch.delitem(sys.modules, "queue_verifier.testing")
    with pytest.raises(ImportError, match=r"queue-verifier\[testing\]"):
        __import__("queue_verifier.testing")


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("expired", "claims_expired"),
        ("not_yet_valid", "claims_not_yet_valid"),
        ("for_another_audience", "claims_aud_mismatch"),
        ("of_another_issuer", "claims_iss_mismatch"),
        ("tampered", "signature_invalid"),
        ("of_unknown_key", "key_not_found"),
    ],
)
def test_bad_tokens(queue_forge: Forge, queue_verifier: Verifier, method: str, code: str) -> None:
    mint: Any = getattr(queue_forge, method)
    with pytest.raises(VerifyError) as caught:
        queue_verifier.validate_session(mint(roles=["billing"]))
    assert caught.value.code == code


def test_claims(queue_forge: Forge, queue_verifier: Verifier) -> None:
    assert code_of(queue_verifier, queue_forge.mint("exp")) == "claims_missing"
    queue_forge.claims["tenant_id"] = "one"
    require = Require(tenant="one")
    session = queue_verifier.validate_session(queue_forge.mint(extra={"a": 1}), require=require)
    assert session.claims["extra"] == {"a": 1}
    assert code_of(queue_verifier, queue_forge.mint(tenant_id="two"), require) == (
        "claims_tenant_mismatch"
    )


def test_headers(queue_forge: Forge) -> None:
    assert queue_forge.headers("abc") == {"Authorization": "Bearer abc"}
    assert queue_forge.headers(roles="r")["Authorization"].count(".") == 2


def test_further_settings(queue_forge: Forge) -> None:
    with queue_forge.verifier(require=Require(roles="admin")) as strict:
        assert code_of(strict, queue_forge.mint()) == "claims_role_missing"
        assert strict.validate_session(queue_forge.mint(roles="admin"))


def test_the_native_module_cannot_sign() -> None:
    from queue_verifier import _native

    names = [name for _, member in inspect.getmembers(_native) for name in dir(member)]
    for word in ("sign", "mint", "private", "generate"):
        assert not [name for name in (*names, *dir(_native)) if word in name.lower()], word


def test_only_the_public_half_is_published(queue_forge: Forge) -> None:
    (jwk,) = queue_forge.jwks["keys"]
    assert set(jwk) == {"e", "kty", "n", "kid", "alg", "use"}
    assert json.dumps(jwk)
