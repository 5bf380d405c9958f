"""What a verifier knows besides keys: status lists, further issuers, tokens met before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness import AUDIENCE, ISSUER, NOW, KeyServer, SigningKey
from queue_verifier import ConfigError, InvalidToken, Issuer, KeysUnavailable, Require, Verifier

CORPUS = Path(__file__).parents[2] / "tests" / "vectors" / "queue" / "status.jsonl"


def case(name: str) -> tuple[dict[str, Any], str]:
    """Return the settings and the token of one vector."""
    meta, *cases = (json.loads(line) for line in CORPUS.read_text("ascii").splitlines())
    found = next(case for case in cases if case["id"] == f"queue/status/{name}")
    policy = found["policy"]
    settings = {
        "issuer": policy["iss"],
        "audience": policy["aud"],
        "jwks": meta["meta"]["defs"][found["jwks"]],
        "status_lists": found["status_lists"],
    }
    return settings, found["jws"]


def refusal(verifier: Verifier, token: str, require: Require | None = None) -> str:
    with pytest.raises((InvalidToken, KeysUnavailable)) as caught:
        verifier.validate_session(token, require=require)
    return str(caught.value.code)


def test_a_revoked_session_is_refused_and_a_good_one_says_how_old_the_list_is() -> None:
    settings, token = case("revoked_1_bit")
    with Verifier(**settings, clock=lambda: NOW) as verifier:
        assert refusal(verifier, token) == "status_revoked"
    settings, token = case("valid_1_bit")
    with Verifier(**settings, clock=lambda: NOW) as verifier:
        freshness = verifier.validate_session(token).freshness
        assert freshness.status == "fresh"
        assert freshness.status_age is not None
        (issuer,) = verifier.status()["issuers"]
        assert [found["state"] for found in issuer["status_lists"]] == ["fresh"]
        assert verifier.validate_session(token, require=Require(fresh=True)).freshness.cached


def test_a_list_past_its_bound_is_a_fault_unless_it_is_accepted() -> None:
    settings, token = case("valid_1_bit")
    late = NOW + 200
    with Verifier(**settings, clock=lambda: late) as verifier:
        assert refusal(verifier, token) == "status_unavailable"
    with Verifier(**settings, when_stale="accept", clock=lambda: late) as verifier:
        assert verifier.validate_session(token).freshness.status == "stale"
        assert refusal(verifier, token, Require(fresh=True)) == "status_unavailable"
    with Verifier(**settings, status_max_age=300, clock=lambda: late) as verifier:
        assert verifier.validate_session(token).freshness.status == "fresh"


def test_status_that_nobody_could_look_up_cannot_be_required(key: SigningKey) -> None:
    with pytest.raises(ConfigError) as caught:
        Verifier(ISSUER, AUDIENCE, jwks=key.jwks, status_required=True)
    assert caught.value.code == "config_status_source_unfit"


def test_each_issuer_is_judged_by_its_own_keys(key: SigningKey, other_key: SigningKey) -> None:
    other = "https://login.example.net"
    further = Issuer(other, AUDIENCE, jwks=other_key.jwks)
    with Verifier(ISSUER, AUDIENCE, jwks=key.jwks, also=[further], clock=lambda: NOW) as verifier:
        assert verifier.validate_session(key.mint()).issuer == ISSUER
        assert verifier.validate_session(other_key.mint(iss=other)).issuer == other
        assert refusal(verifier, other_key.mint()) == "key_not_found"
        assert refusal(verifier, key.mint(iss="https://third.example")) == "claims_iss_mismatch"
        names = [issuer["issuer"] for issuer in verifier.status()["issuers"]]
        assert names == [ISSUER, other]
    assert repr(further) == f"Issuer({other!r}, {[AUDIENCE]!r})"
    with pytest.raises(ConfigError) as caught:
        Verifier(ISSUER, AUDIENCE, jwks=key.jwks, also=[Issuer(ISSUER, "x", jwks=key.jwks)])
    assert caught.value.code == "config_issuer_repeated"


@pytest.mark.parametrize(("remember", "cached"), [(10_000, True), (0, False)])
def test_a_token_met_again_is_recalled_unless_nothing_is_remembered(
    key: SigningKey, remember: int, cached: bool
) -> None:
    token = key.mint()
    with Verifier(
        ISSUER, AUDIENCE, jwks=key.jwks, remember=remember, clock=lambda: NOW
    ) as verifier:
        first, again = (verifier.validate_session(token) for _ in range(2))
        assert (first.freshness.cached, again.freshness.cached) == (False, cached)
        assert again.claims == first.claims
        assert again.subject == first.subject
        assert (verifier.status()["remembered"] is not None) == cached


def test_what_is_remembered_ends_with_the_token(key: SigningKey) -> None:
    now = NOW
    with Verifier(ISSUER, AUDIENCE, jwks=key.jwks, clock=lambda: now) as verifier:
        token = key.mint(exp=NOW + 10)
        verifier.validate_session(token)
        now = NOW + 39
        assert verifier.validate_session(token).freshness.cached
        now = NOW + 40
        assert refusal(verifier, token) == "claims_expired"


@pytest.fixture
def private_folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def test_a_snapshot_serves_a_start_without_the_issuer(
    key: SigningKey, key_server: KeyServer, private_folder: Path
) -> None:
    snapshot = private_folder / "keys.json"
    uri = key_server.jwks_uri
    with Verifier(ISSUER, AUDIENCE, jwks_uri=uri, snapshot=snapshot, clock=lambda: NOW) as verifier:
        assert verifier.ready(10)
    assert snapshot.exists()
    key_server.status = 500
    with Verifier(ISSUER, AUDIENCE, jwks_uri=uri, snapshot=snapshot, clock=lambda: NOW) as verifier:
        assert verifier.ready(10)
        assert verifier.validate_session(key.mint()).issuer == ISSUER


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"remember": -1}, "config_remember_out_of_bounds"),
        ({"remember": True}, "config_remember_out_of_bounds"),
        ({"remember": 1_000_001}, "config_remember_out_of_bounds"),
        ({"when_stale": "never"}, "config_when_stale_unknown"),
        ({"status_max_age": 0}, "config_status_max_age_out_of_bounds"),
        ({"status_max_age": 1.5}, "config_status_max_age_out_of_bounds"),
        ({"status_lists": ["no list"]}, "config_status_list_unusable"),
    ],
)
def test_a_wrong_setting_has_its_code(key: SigningKey, wrong: dict[str, Any], code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Verifier(ISSUER, AUDIENCE, jwks=key.jwks, **wrong)
    assert caught.value.code == code


def test_one_list_is_no_list_of_characters(key: SigningKey) -> None:
    with pytest.raises(TypeError):
        Verifier(ISSUER, AUDIENCE, jwks=key.jwks, status_lists="eyJhbGciOi")
