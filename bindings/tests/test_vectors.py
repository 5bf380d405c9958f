"""One corpus, four doors: here Python embedded and Python through the sidecar."""

from __future__ import annotations

import base64
import functools
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from queue_verifier import (
    Backend,
    ConfigError,
    Require,
    Session,
    SidecarVerifier,
    Verifier,
    VerifyError,
)

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests" / "vectors"
OUTCOMES = VECTORS / "outcomes.json"
# Algorithms that do not exist here cannot be allowed.
ALGORITHMS = {
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "EdDSA"),
}
Case = dict[str, Any]


def load(file: Path) -> list[Case]:
    meta, *cases = (json.loads(line) for line in file.read_text("utf-8").splitlines())
    for case in cases:
        if "jwks_parts" in case:
            case["jwks"] = joined(case["jwks_parts"])
        elif isinstance(case["jwks"], str):
            case["jwks"] = json.dumps(meta["meta"]["defs"][case["jwks"]])
        else:
            case["jwks"] = json.dumps(case["jwks"])
    return cases


def joined(parts: list[tuple[str, int]]) -> str:
    return "".join(text * count for text, count in parts)


def token_of(case: Case) -> str | bytes:
    if "jws_b64" in case:
        return base64.b64decode(case["jws_b64"])
    return joined(case["jws_parts"]) if "jws_parts" in case else str(case["jws"])


def setup_of(case: Case) -> str:
    """Return the settings of the case's verifier, as the helper reads them."""
    policy = case.get("policy", {})
    return json.dumps(
        {
            "issuer": policy.get("iss", "https://issuer.example.test"),
            "audience": policy.get("aud") or "service.example.test",
            "jwks": case["jwks"],
            "algorithms": [name for name in case["alg_allowed"] if name in ALGORITHMS],
            "leeway": policy.get("leeway", 0),
            "profile": case.get("profile", "jwt"),
            "now": case["now"],
            "status_lists": case.get("status_lists"),
            "status_policy": case.get("status_policy", {}),
        }
    )


def files() -> list[Path]:
    found = [*sorted(VECTORS.glob("shared/jwt/*.jsonl")), *sorted(VECTORS.glob("queue/*.jsonl"))]
    assert found, "the corpora are part of the checkout"
    return found


class Door(Protocol):
    def open(self, setup: str) -> Backend | str:
        """Return the verifier of `setup`, or the code of the setting that it refuses."""
        ...


class EmbeddedDoor:
    def open(self, setup: str) -> Backend | str:
        settings = json.loads(setup)
        now, policy = settings.pop("now"), settings.pop("status_policy")
        for name in ("max_age", "required"):
            if name in policy:
                settings[f"status_{name}"] = policy[name]
        if "when_stale" in policy:
            settings["when_stale"] = policy["when_stale"]
        try:
            return Verifier(**settings, clock=lambda: now)
        except ConfigError as error:
            return error.code


class SidecarDoor:
    """Sidecars started by the helper of the tests crate, one for each setup."""

    def __init__(self, helper: subprocess.Popen[str]) -> None:
        self.helper = helper

    def open(self, setup: str) -> Backend | str:
        assert self.helper.stdin is not None
        assert self.helper.stdout is not None
        self.helper.stdin.write(setup + "\n")
        self.helper.stdin.flush()
        answer = json.loads(self.helper.stdout.readline() or '{"config_error": "helper_ended"}')
        assert answer.get("config_error") != "helper_ended", "the helper ended early"
        if "config_error" in answer:
            return str(answer["config_error"])
        return SidecarVerifier(answer["url"], timeout=10)


@pytest.fixture(scope="session", params=["embedded", "sidecar"])
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    if request.param == "embedded":
        yield EmbeddedDoor()
        return
    binary = helper_binary()
    with subprocess.Popen(  # noqa: S603
        [binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as helper:
        yield SidecarDoor(helper)
        assert helper.stdin is not None
        helper.stdin.close()
        assert helper.wait(30) == 0


def helper_binary() -> Path:
    given = os.environ.get("QUEUE_TEST_SIDECARS")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    binary = Path(given) if given else target / "debug" / "queue-test-sidecars"
    if not binary.is_file():
        pytest.fail(
            f"{binary} is missing: run `cargo build -p queue-tests --bin queue-test-sidecars`, "
            "or name it in QUEUE_TEST_SIDECARS",
            pytrace=False,
        )
    return binary


@functools.cache
def golden() -> dict[str, str]:
    outcomes: dict[str, str] = json.loads(OUTCOMES.read_text("utf-8"))
    return outcomes


def judge(backend: Backend | str, case: Case) -> tuple[str, Session | None]:
    if isinstance(backend, str):
        return "config_error", None
    require = Require(**case["require"]) if "require" in case else None
    try:
        return "valid", backend.validate_session(token_of(case), require=require)
    except VerifyError as error:
        return error.code, None


def complaint(outcome: str, session: Session | None, case: Case) -> str | None:
    """Return what is wrong with `outcome`, or None."""
    outcomes = golden()
    if outcomes is not None and outcomes.get(case["id"]) != outcome:
        return f"{outcome}, elsewhere {outcomes.get(case['id'])}"
    is_free = case["expected"] == "policy" or (
        # A signature alone makes no session: such a token is refused for its claims.
        case["layer"] == "jws" and case["expected"] == "valid"
    )
    is_soft = "soft" in case.get("tags", ())
    if not is_free and not is_soft and (outcome == "valid") != (case["expected"] == "valid"):
        return f"{outcome}, expected {case['expected']}"
    if "code" in case and outcome != case["code"]:
        return f"{outcome}, expected {case['code']}"
    for name, value in case.get("session", {}).items():
        found = None if session is None else getattr(session, name)
        found = list(found) if isinstance(found, tuple) else found
        if found != value:
            return f"{name} is {found!r}, expected {value!r}"
    return None


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(VECTORS)))
def test_outcomes(door: Door, file: Path) -> None:
    backends: dict[str, Backend | str] = {}
    wrong = []
    cases = load(file)
    for case in cases:
        setup = setup_of(case)
        if setup not in backends:
            backends[setup] = door.open(setup)
        found = complaint(*judge(backends[setup], case), case)
        if found is not None:
            wrong.append(f"{case['id']}: {found}")
    for backend in backends.values():
        if not isinstance(backend, str):
            backend.close()
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong)


def test_every_case_has_an_outcome() -> None:
    outcomes = golden()
    if outcomes is None:
        pytest.fail(f"{OUTCOMES} is missing: the Rust door writes it", pytrace=False)
    assert {case["id"] for file in files() for case in load(file)} == set(outcomes)
