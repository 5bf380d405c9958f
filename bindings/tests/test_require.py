"""What a call and its verifier require of a session: one behaviour, two transports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness import AUDIENCE, CLAIMS, ISSUER, NOW, FakeSidecar, SigningKey, code_of
from queue_verifier import Backend, ConfigError, Require, SidecarVerifier, Verifier


@pytest.mark.parametrize(
    ("require", "code"),
    [
        (Require(scope="read:profile"), None),
        (Require(scope="read:profile write:profile"), None),
        (Require(scope=["read:profile", "admin"]), "claims_scope_missing"),
        (Require(roles="antlers-user"), None),
        (Require(roles=["antlers-user", "admin"]), "claims_role_missing"),
        (Require(tenant=CLAIMS["tenant_id"]), None),
        (Require(tenant="other"), "claims_tenant_mismatch"),
        (Require(acr=["x", CLAIMS["acr"]]), None),
        (Require(acr="urn:other"), "claims_acr_insufficient"),
        (Require(max_auth_age=120), None),
        (Require(max_auth_age=60), "claims_auth_too_old"),
        (Require(authorized_parties="antlers"), None),
        (Require(authorized_parties=["console"]), "claims_client_not_allowed"),
    ],
)
def test_require(backend: Backend, key: SigningKey, require: Require, code: str | None) -> None:
    if code is None:
        assert backend.validate_session(key.mint(), require=require).issuer == ISSUER
        assert backend.validate_session(key.mint(), require=require).issuer == ISSUER
    else:
        assert code_of(backend, key.mint(), require) == code


@pytest.fixture(params=["embedded", "sidecar"])
def requiring(
    request: pytest.FixtureRequest, key: SigningKey, sidecar: FakeSidecar
) -> Callable[[Require], Backend]:
    """Makes a verifier that requires something of every session, by each transport."""
    if request.param == "sidecar":
        return lambda require: SidecarVerifier(sidecar.url, require=require)
    return lambda require: Verifier(
        ISSUER, AUDIENCE, jwks=key.jwks, clock=lambda: NOW, require=require
    )


@pytest.mark.parametrize(
    ("own", "call", "code"),
    [
        ({"scope": "admin"}, {"roles": "antlers-user"}, "claims_scope_missing"),
        ({"roles": "admin"}, {"scope": "admin"}, "claims_role_missing"),
        ({"scope": "read:profile"}, {"roles": "admin"}, "claims_role_missing"),
        ({"scope": "read:profile"}, {"roles": "antlers-user"}, None),
        ({"max_auth_age": 10_000}, {"max_auth_age": 0}, "claims_auth_too_old"),
        ({"max_auth_age": 0}, {"max_auth_age": 10_000}, "claims_auth_too_old"),
        ({"tenant": CLAIMS["tenant_id"]}, {"tenant": "other"}, "claims_tenant_mismatch"),
        ({"acr": CLAIMS["acr"]}, {"acr": "other"}, "claims_acr_insufficient"),
        ({"acr": ["other", CLAIMS["acr"]]}, {"acr": [CLAIMS["acr"], "third"]}, None),
        ({"authorized_parties": "x"}, {"authorized_parties": "y"}, "claims_client_not_allowed"),
        ({"fresh": True}, {"scope": "read:profile"}, "status_unavailable"),
        ({"scope": "read:profile"}, {"fresh": True}, "status_unavailable"),
    ],
)
def test_require_of_the_call_comes_beside_that_of_the_verifier(
    requiring: Callable[[Require], Backend],
    key: SigningKey,
    own: dict[str, Any],
    call: dict[str, Any],
    code: str | None,
) -> None:
    verifier = requiring(Require(**own))
    if code is None:
        session = verifier.validate_session(key.mint(), require=Require(**call))
        assert session.issuer == ISSUER
    else:
        assert code_of(verifier, key.mint(), Require(**call)) == code
    verifier.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"scope": ""},
        {"scope": [""]},
        {"roles": [" "]},
        {"tenant": ""},
        {"acr": [None]},
        {"roles": ["a\n"]},
        {"max_auth_age": -1},
        {"max_auth_age": True},
        {"max_auth_age": 1.5},
    ],
)
def test_requirement_that_asks_for_nothing(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        Require(**wrong)
    assert caught.value.code == "config_require_invalid"
