from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from harness import AUDIENCE, ISSUER, NOW, KeyServer, SigningKey
from queue_verifier import KeysUnavailable, Verifier
from queue_verifier.doctor import main


class Stdin:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


@pytest.fixture
def settings(key: SigningKey, tmp_path: Path) -> list[str]:
    keys = tmp_path / "jwks.json"
    keys.write_text(json.dumps(key.jwks))
    return ["--issuer", ISSUER, "--audience", AUDIENCE, "--jwks", str(keys), "--at", str(NOW)]


def doctor(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        code = main(["doctor", *arguments])
    except SystemExit as left:
        code = int(left.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_good_token(
    capsys: pytest.CaptureFixture[str], settings: list[str], key: SigningKey
) -> None:
    code, out, err = doctor(capsys, key.mint(), *settings)
    assert (code, err) == (0, "")
    *checks, verdict = out.splitlines()
    assert verdict == "valid"
    assert [line.split()[0] for line in checks] == ["pass"] * 21
    rooms = [line.split()[1] for line in checks]
    order = ["token", "header", "key", "signature", "claims", "status"]
    assert sorted(rooms, key=order.index) == rooms


def test_a_bad_token(
    capsys: pytest.CaptureFixture[str], settings: list[str], key: SigningKey
) -> None:
    token = key.mint(exp=NOW - 31, aud="velvet")
    code, out, _ = doctor(capsys, token, *settings)
    assert code == 1
    assert out.splitlines()[-1] == "not valid: claims_aud_mismatch"
    failed = [line for line in out.splitlines() if line.startswith("FAIL")]
    assert ["claims_aud_mismatch" in failed[0], "claims_expired" in failed[1]] == [True, True]
    assert "found `velvet`, configured `raptor`" in failed[0]


def test_claims_that_nobody_vouches_for(
    capsys: pytest.CaptureFixture[str], settings: list[str], key: SigningKey
) -> None:
    token = key.mint()
    header, payload, _ = token.split(".")
    code, out, _ = doctor(
        capsys, f"{header}.{payload}.{key.mint(sub='x').split('.')[2]}", *settings
    )
    assert code == 1
    assert "(pass)  claims" in out
    assert "In brackets: claims that no good signature vouches for." in out
    assert out.splitlines()[-1] == "not valid: signature_invalid"


@pytest.mark.parametrize("place", ["stdin", "stdin-file", "file"])
def test_a_token_that_no_list_of_processes_shows(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    settings: list[str],
    key: SigningKey,
    tmp_path: Path,
    place: str,
) -> None:
    token = f"{key.mint()}\n"
    (tmp_path / "token").write_text(token)
    monkeypatch.setattr("sys.stdin", Stdin(token.encode()))
    given = {
        "stdin": ["-"],
        "stdin-file": ["--token-file", "-"],
        "file": ["--token-file", str(tmp_path / "token")],
    }[place]
    assert doctor(capsys, *given, *settings)[0] == 0
    code, _, err = doctor(capsys, "--token-file", str(tmp_path / "absent"), *settings)
    assert (code, err.count("\n")) == (1, 1)


def test_json(capsys: pytest.CaptureFixture[str], settings: list[str], key: SigningKey) -> None:
    code, out, _ = doctor(capsys, key.mint(exp=NOW - 31), "--json", *settings)
    report: dict[str, Any] = json.loads(out)
    assert (code, report["valid"], report["code"]) == (1, False, "claims_expired")
    assert set(report["checks"][0]) == {"room", "check", "outcome", "code", "detail"}


def test_settings_from_the_environment(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    key: SigningKey,
    key_server: KeyServer,
) -> None:
    monkeypatch.setenv("QUEUE_SIDECAR_ISSUER", ISSUER)
    monkeypatch.setenv("QUEUE_SIDECAR_AUDIENCE", f"velvet,{AUDIENCE}")
    monkeypatch.setenv("QUEUE_SIDECAR_JWKS", key_server.jwks_uri)
    assert doctor(capsys, key.mint(), "--at", str(NOW))[0] == 0
    # A flag beats it.
    code, out, _ = doctor(capsys, key.mint(), "--at", str(NOW), "--audience", "velvet")
    assert (code, out.splitlines()[-1]) == (1, "not valid: claims_aud_mismatch")


def test_public_key(capsys: pytest.CaptureFixture[str], key: SigningKey, tmp_path: Path) -> None:
    pem = tmp_path / "key.pem"
    pem.write_text(key.pem)
    settings = ["--issuer", ISSUER, "--audience", AUDIENCE, "--at", str(NOW)]
    assert doctor(capsys, key.mint(), *settings, "--public-key", str(pem))[0] == 0
    code, _, err = doctor(capsys, key.mint(), *settings, "--public-key", str(tmp_path))
    assert (code, "config_public_key_unusable" in err) == (64, True)


def test_wrong_settings(
    capsys: pytest.CaptureFixture[str], settings: list[str], key: SigningKey
) -> None:
    token = key.mint()
    for arguments, told in [
        ([token, *settings, "--leeway", "many"], "--leeway"),
        ([token, *settings, "--profile", "other"], "config_profile_unknown"),
        ([token, "--jwks", "http://keys.example"], "config_"),
        (["--", token, token, *settings], "unrecognized arguments"),
    ]:
        code, out, err = doctor(capsys, *arguments)
        assert (code, out) == (64, "")
        assert told in err
        assert token not in err


def test_the_token_is_never_repeated(
    capsys: pytest.CaptureFixture[str], settings: list[str], key: SigningKey
) -> None:
    good = key.mint(email="someone@example.test")
    for token in (good, good[:-3], good.replace(".", "!"), "secret-of-another-kind", good + "A"):
        for more in ([], ["--json"]):
            _, out, err = doctor(capsys, token, *settings, *more)
            for part in (*token.replace("!", ".").split("."), "someone@example.test"):
                assert part not in out + err


def test_a_closed_verifier(verifier: Verifier, key: SigningKey) -> None:
    assert verifier.doctor(key.mint())["valid"]
    verifier.close()
    with pytest.raises(KeysUnavailable):
        verifier.doctor(key.mint())
