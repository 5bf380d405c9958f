"""A token minted by the running issuer, at every door that checks it."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import World
from queue_verifier import VerifyError
from running import BINARIES, Issuer, call


def doors(world: World) -> dict[str, Callable[[str], str]]:
    """Each door: a token → `valid` or a code."""

    def embedded(token: str) -> str:
        try:
            world.verifier.validate_session(token)
        except VerifyError as error:
            return error.code
        return "valid"

    def sidecar(token: str) -> str:
        return call("POST", f"{world.sidecar_url}/v1/validate", token=token).code

    return {
        "python": embedded,
        "sidecar": sidecar,
        "axum": lambda token: call("GET", world.axum_url, token=token).code,
        "flask": lambda token: call("GET", world.flask_url, token=token).code,
    }


def tampered(token: str) -> str:
    """Return the token with another subject and the old signature."""
    header, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    claims["sub"] = "0190c8a4-0000-7000-8000-000000000666"
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"{header}.{forged}.{signature}"


def test_a_minted_token_is_valid_at_every_door(world: World) -> None:
    token = world.issuer.mint(world.customer_id)
    assert {name: door(token) for name, door in doors(world).items()} == dict.fromkeys(
        doors(world), "valid"
    )


def test_a_tampered_token_gets_the_same_code_at_every_door(world: World) -> None:
    token = tampered(world.issuer.mint(world.customer_id))
    assert {door(token) for door in doors(world).values()} == {"signature_invalid"}


def test_a_session_says_the_same_over_http_and_from_python(world: World) -> None:
    token = world.issuer.mint(world.customer_id)
    session = world.verifier.validate_session(token)
    answer = call("POST", f"{world.sidecar_url}/v1/validate", token=token).body
    for name in ("issuer", "subject", "client_id", "session_id", "token_id", "tenant_id", "acr"):
        assert answer[name] == getattr(session, name), name
    for name in ("audience", "roles", "scope", "amr"):
        assert tuple(answer[name]) == getattr(session, name), name
    assert (session.subject, session.audience) == (world.customer_id, ("raptor",))
    assert session.roles == ("antlers-user",)


def test_the_header_and_claims_are_those_of_the_profile(world: World) -> None:
    token = world.issuer.mint(world.customer_id)
    header, claims = (
        json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        for part in token.split(".")[:2]
    )
    assert set(header) == {"alg", "typ", "kid"}
    assert (header["alg"], header["typ"]) == ("RS256", "at+jwt")
    assert set(claims) >= {"iss", "aud", "sub", "client_id", "iat", "exp", "jti", "sid"}
    assert 285 <= claims["exp"] - claims["iat"] <= 300
    assert len(token) <= 1536


def test_the_command_line_judges_at_another_time(world: World) -> None:
    token = world.issuer.mint(world.customer_id)
    expires_at = world.verifier.validate_session(token).expires_at
    lines = []
    for at, status in ((expires_at, 0), (expires_at + 30, 1)):
        done = subprocess.run(
            [
                *(str(BINARIES / "queue-sidecar"), "validate"),
                *("--jwks", world.issuer.jwks_uri, "--at", str(at)),
                *("--issuer", world.issuer.name, "--audience", "raptor"),
            ],
            input=token + "\n",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, done
        lines.append(json.loads(done.stdout))
    assert (lines[0]["valid"], lines[1]["code"]) == (True, "claims_expired")


def test_keys_rotate_under_load_without_one_refused_good_token(world: World) -> None:
    refused: list[tuple[str, str]] = []
    checked = dict.fromkeys(doors(world), 0)
    stop = threading.Event()

    def check(name: str, door: Callable[[str], str]) -> None:
        try:
            while not stop.is_set():
                if (outcome := door(world.issuer.mint(world.customer_id))) != "valid":
                    refused.append((name, outcome))
                checked[name] += 1
        except Exception as error:  # A door that breaks is a refusal as well.
            refused.append((name, repr(error)))

    threads = [threading.Thread(target=check, args=item) for item in doors(world).items()]
    for thread in threads:
        thread.start()
    try:
        kid = rotate(world.issuer)
        seen = dict(checked)
        # Every door has met the new key.
        deadline = time.monotonic() + 60
        while any(checked[name] < seen[name] + 3 for name in checked) and not refused:
            assert time.monotonic() < deadline, checked
            stop.wait(0.01)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert refused == []
    (issuer,) = world.verifier.status()["issuers"]
    assert kid in {key["kid"] for key in issuer["keys"]}
    (proof,) = (
        key for key in world.issuer.operate("GET", "/keys").body["keys"] if key["kid"] == kid
    )
    assert proof["state"] == "active", proof


def rotate(issuer: Issuer) -> str:
    """Publish a key and make it sign as soon as the issuer allows; return its `kid`."""
    kid = str(issuer.operate("POST", "/keys", {}).body["kid"])
    early = issuer.operate("POST", f"/keys/{kid}/activate")
    assert (early.status, early.code) == (409, "too_early"), early
    deadline = time.monotonic() + 120
    while (answer := issuer.operate("POST", f"/keys/{kid}/activate")).status == 409:
        assert time.monotonic() < deadline, answer
        threading.Event().wait(0.05)
    assert answer.status == 200, answer
    return kid


def test_no_program_logs_a_token(world: World) -> None:
    token = world.issuer.mint(world.customer_id)
    for door in doors(world).values():
        door(token)
        door(tampered(token))
    logs = "".join(line for program in world.programs for line in program.lines)
    assert logs
    for secret in (*token.split("."), world.issuer.service_token, world.issuer.operator_token):
        assert secret not in logs


def test_a_dark_issuer_answers_404_but_publishes_its_keys(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path, FLAG_QUEUE_V1="off")
    try:
        answer = call("POST", f"{issuer.url}/api/v1/customers", token=issuer.service_token, body={})
        assert (answer.status, answer.code) == (404, "queue_disabled")
        assert call("GET", issuer.jwks_uri).status == 200
    finally:
        assert issuer.program.stop() == 0


@pytest.mark.parametrize(
    ("program", "env"),
    [
        ("queue-issuer", {"QUEUE_ISSUER_URL": "not a url"}),
        ("queue-issuer", {"FLAG_QUEUE_V1": "perhaps"}),
        ("queue-issuer", {"QUEUE_ISSUER_TOKEN_LIFE": "soon"}),
        ("queue-sidecar", {"QUEUE_SIDECAR_LISTEN": "0.0.0.0:4140"}),
        ("queue-sidecar", {"QUEUE_SIDECAR_LEEWAY": "soon"}),
    ],
)
def test_a_wrong_setting_ends_with_64(program: str, env: dict[str, str], tmp_path: Path) -> None:
    good = {"QUEUE_SIDECAR_ISSUER": "https://a.example", "QUEUE_SIDECAR_AUDIENCE": "raptor"}
    done = subprocess.run(
        [str(BINARIES / program)],
        env={**(good if program == "queue-sidecar" else {}), **env},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 64, done
    assert next(iter(env)) in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_signature_layer_takes_keys_from_a_url(world: World) -> None:
    token = world.issuer.mint(world.customer_id)
    for jws, valid in ((token, True), (tampered(token), False)):
        done = subprocess.run(
            [str(BINARIES / "queue-sidecar"), "jws", "--jwks", world.issuer.jwks_uri],
            input=json.dumps({"id": 1, "jws": jws}) + "\n",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == (0 if valid else 1), done
        assert json.loads(done.stdout)["valid"] is valid
