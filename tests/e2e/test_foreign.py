"""Foreign libraries judge our tokens; we judge a foreign issuer's."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet

from conftest import World
from queue_verifier import InvalidToken, Verifier
from running import BINARIES, NODE, ROOT, Program, call

FOREIGN = ROOT / "tests" / "foreign"


def test_pyjwt_verifies_our_token_from_our_jwks_uri(world: World) -> None:
    token = world.issuer.mint(world.customer_id)
    key = jwt.PyJWKClient(world.issuer.jwks_uri).get_signing_key_from_jwt(token)
    claims = jwt.decode(
        token, key, algorithms=["RS256"], audience="raptor", issuer=world.issuer.name
    )
    assert claims["sub"] == world.customer_id


def test_joserfc_verifies_our_token_from_our_jwks_uri(world: World) -> None:
    token = world.issuer.mint(world.customer_id)
    with urllib.request.urlopen(world.issuer.jwks_uri) as response:
        keys = KeySet.import_key_set(json.load(response))
    decoded = joserfc_jwt.decode(token, keys, algorithms=["RS256"])
    joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": world.issuer.name},
        aud={"essential": True, "value": "raptor"},
        exp={"essential": True},
    ).validate(decoded.claims)
    assert decoded.header["typ"] == "at+jwt"


def test_jose_verifies_our_token_from_our_jwks_uri(world: World) -> None:
    token = world.issuer.mint(world.customer_id)
    done = subprocess.run(
        [NODE, "judge.mjs", world.issuer.jwks_uri, world.issuer.name, "raptor"],
        cwd=FOREIGN,
        input=token,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done
    assert json.loads(done.stdout)["sub"] == world.customer_id


@pytest.fixture(scope="module")
def oidc_provider() -> Iterator[str]:
    program = Program([NODE, "oidc_provider.mjs"], env={}, cwd=FOREIGN)
    yield program.wait_for(r"listening on (\S+)").group(1)
    program.stop()


def foreign_token(issuer: str) -> str:
    """Ask the foreign issuer for an access token by client credentials."""
    body = (
        b"grant_type=client_credentials&client_id=velvet&client_secret=velvet-secret&scope=api:read"
    )
    with urllib.request.urlopen(f"{issuer}/token", data=body) as response:
        return str(json.load(response)["access_token"])


def test_a_foreign_issuers_token_is_valid_by_its_discovered_keys(oidc_provider: str) -> None:
    with Verifier(oidc_provider, "urn:queue:raptor", profile="rfc9068") as verifier:
        assert verifier.ready(30)
        session = verifier.validate_session(foreign_token(oidc_provider))
        assert (session.client_id, session.scope) == ("velvet", ("api:read",))
    with Verifier(oidc_provider, "urn:queue:other", profile="rfc9068") as verifier:
        assert verifier.ready(30)
        with pytest.raises(InvalidToken) as refused:
            verifier.validate_session(foreign_token(oidc_provider))
    assert refused.value.code == "claims_aud_mismatch"


def test_the_sidecar_takes_the_foreign_issuer_as_well(oidc_provider: str, tmp_path: Path) -> None:
    program = Program(
        [str(BINARIES / "queue-sidecar")],
        env={
            "QUEUE_SIDECAR_LISTEN": "127.0.0.1:0",
            "QUEUE_SIDECAR_ISSUER": oidc_provider,
            "QUEUE_SIDECAR_AUDIENCE": "urn:queue:raptor",
            "QUEUE_SIDECAR_PROFILE": "rfc9068",
        },
        cwd=tmp_path,
    )
    try:
        address = program.wait_for(r"listening address=(\S+)").group(1)
        answer = call("POST", f"http://{address}/v1/validate", token=foreign_token(oidc_provider))
        assert (answer.status, answer.body["client_id"]) == (200, "velvet")
    finally:
        assert program.stop() == 0
