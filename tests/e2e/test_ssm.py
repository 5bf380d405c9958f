"""Secrets kept in AWS SSM: read when the issuer starts, refused in one line when they cannot be."""

from __future__ import annotations

import base64
import secrets
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import RSAKey
from moto.server import ThreadedMotoServer

from running import Issuer, call, free_port

# What SSM hands out here and nowhere else; a message that shows it shows a secret.
SECRET = {"AWS_ACCESS_KEY_ID": "queue-tests", "AWS_SECRET_ACCESS_KEY": "queue-tests-secret"}
REGION = "eu-central-1"


class Ssm:
    """A local SSM, and the environment of an issuer that reads from it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.env = {"AWS_ENDPOINT_URL_SSM": url, "AWS_REGION": REGION, **SECRET}
        self._client: Any = boto3.client(
            "ssm",
            endpoint_url=url,
            region_name=REGION,
            aws_access_key_id="queue-tests",
            aws_secret_access_key="queue-tests-secret",
        )

    def put(self, name: str, value: str) -> str:
        """Keep `value` as a secret; return the word a setting names it by."""
        self._client.put_parameter(Name=name, Value=value, Type="SecureString")
        plain = self._client.get_parameter(Name=name, WithDecryption=False)
        assert plain["Parameter"]["Value"] != value, "decryption has to be asked for"
        return f"ssm:{name}"

    def demand_permission(self, *, after: str) -> None:
        """Let so many more calls through before a caller must be known and allowed."""
        self._steer("reset-auth", after)

    def forget(self) -> None:
        """Lose what an earlier server of this process was told."""
        self._steer("reset", "")

    def _steer(self, path: str, text: str) -> None:
        url = f"{self.url}/moto-api/{path}"
        request = urllib.request.Request(url, data=text.encode(), method="POST")
        request.add_header("Content-Type", "text/plain")
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.status == 200


@pytest.fixture
def ssm() -> Iterator[Ssm]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        ssm = Ssm(f"http://{host}:{port}")
        ssm.forget()
        yield ssm
    finally:
        server.stop()


def signing_key() -> tuple[rsa.RSAPrivateKey, str]:
    """Return a new key, and its PEM."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private, pem.decode()


def kek() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def published(issuer: Issuer) -> list[str]:
    return [str(key["kid"]) for key in call("GET", issuer.jwks_uri).body["keys"]]


def refusal(folder: Path, **env: str) -> str:
    """Return the one line of an issuer that does not start; nothing was made before it."""
    with pytest.raises(RuntimeError, match="ended with 64:") as refused:
        Issuer(folder, **env)
    assert not (folder / "queue-data").exists()
    _, line, rest = str(refused.value).split("\n", 2)
    assert not rest.strip(), refused.value
    assert "queue-tests" not in line
    return line


def test_the_signing_key_and_its_seal_come_from_ssm(ssm: Ssm, tmp_path: Path) -> None:
    private, pem = signing_key()
    env = {
        "QUEUE_JWT_SIGNING_KEY": ssm.put("/queue/signing-key", pem),
        "QUEUE_ISSUER_KEK": ssm.put("/queue/kek", kek()),
    }
    issuer = Issuer(tmp_path, **ssm.env, **env)
    try:
        kid = RSAKey.import_key(pem).thumbprint()
        assert published(issuer) == [kid]
        token = issuer.mint(issuer.customer("customer@example.com"))
    finally:
        assert issuer.program.stop() == 0
    assert jwt.get_unverified_header(token)["kid"] == kid
    claims = jwt.decode(token, private.public_key(), algorithms=["RS256"], audience="raptor")
    assert claims["iss"] == issuer.name
    log = "".join(issuer.program.lines)
    assert pem.splitlines()[1] not in log
    assert SECRET["AWS_SECRET_ACCESS_KEY"] not in log


def test_keys_made_under_a_seal_of_ssm_open_again(ssm: Ssm, tmp_path: Path) -> None:
    word = ssm.put("/queue/kek", kek())
    made = []
    for _ in range(2):
        issuer = Issuer(tmp_path, **ssm.env, QUEUE_ISSUER_KEK=word)
        made.append(published(issuer))
        issuer.mint(issuer.customer(f"customer{len(made)}@example.com"))
        assert issuer.program.stop() == 0
    assert made[0] == made[1]
    assert not (tmp_path / "queue-data" / "kek").exists(), "no key of its own"


def test_what_cannot_be_read_is_refused_in_one_line(ssm: Ssm, tmp_path: Path) -> None:
    key = "QUEUE_JWT_SIGNING_KEY (signing_key)"
    env = {**ssm.env, "QUEUE_JWT_SIGNING_KEY": "ssm:/queue/none"}
    line = refusal(tmp_path, **env)
    assert line == f"queue-issuer: {key}: ssm parameter /queue/none: not found"

    line = refusal(tmp_path, **ssm.env, QUEUE_ISSUER_KEK="ssm:/queue/none")
    assert line == "queue-issuer: QUEUE_ISSUER_KEK (kek): ssm parameter /queue/none: not found"

    nobody = {**env, "AWS_ENDPOINT_URL_SSM": f"http://127.0.0.1:{free_port()}"}
    assert refusal(tmp_path, **nobody).endswith("/queue/none: unreachable")

    # What is no key is a wrong setting like one given whole, and is not repeated.
    env["QUEUE_JWT_SIGNING_KEY"] = ssm.put("/queue/word", "queue-tests-no-key")
    assert refusal(tmp_path, **env).startswith(f"queue-issuer: {key}: ")

    ssm.demand_permission(after="0")
    try:
        assert refusal(tmp_path, **env).endswith("/queue/word: access denied")
    finally:
        ssm.demand_permission(after="inf")
