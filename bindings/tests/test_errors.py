from __future__ import annotations

import pickle
from typing import Any

import pytest

import queue_verifier
from harness import AUDIENCE, ISSUER, SigningKey
from queue_verifier import ConfigError, InvalidToken, Verifier, VerifyError, _native
from queue_verifier.errors import EDGE_CODES, ERROR_CODES, FAULT_CODES


def test_codes_are_those_of_the_walk() -> None:
    assert queue_verifier.ERROR_CODES == _native.ERROR_CODES
    assert set(FAULT_CODES) - set(EDGE_CODES) == set(_native.FAULT_CODES)
    assert not set(ERROR_CODES) & set(EDGE_CODES)


def test_error_carries_its_code(verifier: Verifier) -> None:
    with pytest.raises(InvalidToken) as caught:
        verifier.validate_session("no token")
    error = caught.value
    assert isinstance(error, VerifyError)
    assert error.code == "token_malformed"
    assert str(error) == f"token_malformed: {error.message}"
    assert type(pickle.loads(pickle.dumps(error))) is InvalidToken  # noqa: S301


def test_no_token_in_a_message(verifier: Verifier, key: SigningKey) -> None:
    token = key.mint(sub="somebody", exp=1)
    with pytest.raises(VerifyError) as caught:
        verifier.validate_session(token)
    assert all(part not in str(caught.value) for part in (*token.split("."), "somebody"))


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"issuer": ""}, "config_issuer_invalid"),
        ({"audience": ""}, "config_audience_invalid"),
        ({"audience": []}, "config_audience_invalid"),
        ({"algorithms": []}, "config_algorithms_empty"),
        ({"algorithms": ["HS256"]}, "config_algorithm_unknown"),
        ({"algorithms": ["none"]}, "config_algorithm_unknown"),
        ({"algorithms": "rs256"}, "config_algorithm_unknown"),
        ({"profile": "id_token"}, "config_profile_unknown"),
        ({"leeway": 301}, "config_leeway_out_of_bounds"),
        ({"leeway": -1}, "config_leeway_out_of_bounds"),
        ({"leeway": 0.5}, "config_leeway_out_of_bounds"),
        ({"leeway": 2**70}, "config_leeway_out_of_bounds"),
        ({"stale_limit": -1}, "config_stale_limit_out_of_bounds"),
        ({"stale_limit": 86401}, "config_stale_limit_out_of_bounds"),
        ({"snapshot_max_age": -1}, "config_snapshot_max_age_out_of_bounds"),
        ({"snapshot_max_age": 30 * 86400 + 1}, "config_snapshot_max_age_out_of_bounds"),
        ({"jwks": "{"}, "config_key_set_unusable"),
        ({"jwks": {}}, "config_key_set_unusable"),
        ({"jwks": {"keys": []}}, "config_key_set_unusable"),
        ({"jwks": None, "jwks_file": "/nonexistent"}, "config_key_file_unreadable"),
        ({"jwks": None, "public_key": "no pem"}, "config_public_key_unusable"),
        ({"jwks": None, "public_key": b"\xff"}, "config_public_key_unusable"),
        ({"jwks": None, "jwks_uri": "http://192.0.2.1/jwks"}, "config_jwks_uri_unusable"),
        ({"jwks": None, "jwks_uri": "no url"}, "config_jwks_uri_unusable"),
        ({"jwks": None}, "config_jwks_uri_unusable"),
        ({"jwks_uri": "https://auth.example.test/"}, "config_key_source_ambiguous"),
        ({"jwks_uri": None, "public_key": "x"}, "config_key_source_ambiguous"),
    ],
)
def test_wrong_setting(key: SigningKey, settings: dict[str, Any], code: str) -> None:
    insecure = "http://auth.example.test"
    issuer = insecure if settings == {"jwks": None} else ISSUER
    given = {"issuer": issuer, "audience": AUDIENCE, "jwks": key.jwks, **settings}
    with pytest.raises(ConfigError) as caught:
        Verifier(**given)
    assert caught.value.code == code
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).startswith(f"{code}: ")
