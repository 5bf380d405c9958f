from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_type_hints

import pytest

from harness import CLAIMS, SigningKey
from queue_verifier import Backend, Freshness, Require, Session, Verifier


def test_every_field(backend: Backend, key: SigningKey) -> None:
    session = backend.validate_session(key.mint(private={"a": [1, 2.5, None]}))
    assert session == Session(
        issuer=CLAIMS["iss"],
        subject=CLAIMS["sub"],
        audience=("raptor",),
        client_id="antlers",
        session_id=CLAIMS["sid"],
        token_id=CLAIMS["jti"],
        tenant_id=CLAIMS["tenant_id"],
        roles=("antlers-user",),
        scope=("read:profile", "write:profile"),
        acr=CLAIMS["acr"],
        amr=("hwk", "user"),
        auth_time=CLAIMS["auth_time"],
        issued_at=CLAIMS["iat"],
        expires_at=CLAIMS["exp"],
        authz_ver=7,
        claims={**CLAIMS, "private": {"a": [1, 2.5, None]}},
        freshness=Freshness("fresh", 0, "absent", None, False),
    )


def test_absent_claims(backend: Backend, key: SigningKey) -> None:
    token = key.mint("tenant_id", "roles", "scope", "acr", "amr", "auth_time", "authz_ver")
    session = backend.validate_session(token)
    assert (session.roles, session.scope, session.amr) == ((), (), ())
    assert (session.tenant_id, session.acr, session.auth_time) == (None, None, None)
    assert session.authz_ver is None


def test_several_audiences_and_text_beyond_ascii(backend: Backend, key: SigningKey) -> None:
    token = key.mint(aud=["raptor", "vélo"], roles=["rôle \N{SNAKE}"])
    session = backend.validate_session(token)
    assert session.audience == ("raptor", "vélo")
    assert session.roles == ("rôle \N{SNAKE}",)
    assert session.claims["roles"] == ["rôle \N{SNAKE}"]


def test_frozen(backend: Backend, key: SigningKey) -> None:
    session = backend.validate_session(key.mint())
    with pytest.raises(dataclasses.FrozenInstanceError):
        session.subject = "other"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        object.__setattr__(session, "extra", 1)
    with pytest.raises(TypeError):
        session.claims["sub"] = "other"  # type: ignore[index]
    assert isinstance(hash(session), int)


def test_both_ways_to_make_one(verifier: Verifier, key: SigningKey) -> None:
    session = verifier.validate_session(key.mint())
    values = [getattr(session, item.name) for item in dataclasses.fields(Session)]
    made = Session(*values)
    assert type(session) is Session
    assert (session, hash(session), repr(session)) == (made, hash(made), repr(made))
    assert sys.getsizeof(session) == sys.getsizeof(made)


def test_the_native_class_is_the_dataclass_declared() -> None:
    names = [item.name for item in dataclasses.fields(Session)]
    assert list(inspect.signature(Session).parameters) == names == list(Session.__match_args__)
    assert list(get_type_hints(Session)) == names
    assert dataclasses.is_dataclass(Session)
    assert Session.__doc__ is not None
    values: dict[str, Any] = dict(zip(names, range(len(names)), strict=True))
    made: Any = Session(**values)
    assert dataclasses.asdict(made) == values
    assert (
        repr(made) == f"Session({', '.join(f'{name}={value}' for name, value in values.items())})"
    )
    assert Session(*values.values()) == made
    for name in names:
        other = dataclasses.replace(made, **{name: -1})
        assert other != made
        assert (hash(other) == hash(made)) == (name == "claims")
    assert (made == 1, made != 1) == (False, True)
    with pytest.raises(TypeError):
        Session()  # type: ignore[call-arg]


def test_a_member_looked_at_twice(verifier: Verifier, key: SigningKey) -> None:
    session = verifier.validate_session(key.mint())
    assert session.claims is session.claims
    assert session.freshness is session.freshness
    with pytest.raises(dataclasses.FrozenInstanceError):
        del session.subject


def test_sessions_in_many_threads(verifier: Verifier, key: SigningKey) -> None:
    """One object, looked at first by all of them at once."""
    token = key.mint()
    for _ in range(20):
        session = verifier.validate_session(token)
        barrier = threading.Barrier(8)

        def look(session: Session = session, barrier: threading.Barrier = barrier) -> int:
            barrier.wait(10)
            return id(session.freshness)

        with ThreadPoolExecutor(8) as pool:
            assert len({done.result() for done in [pool.submit(look) for _ in range(8)]}) == 1


def test_claims_are_a_mapping(backend: Backend, key: SigningKey) -> None:
    claims = backend.validate_session(key.mint()).claims
    assert dict(claims) == CLAIMS
    assert len(claims) == len(CLAIMS)
    assert "sub" in claims
    assert claims.get("absent") is None


def test_claims_that_python_may_not_read() -> None:
    """Python refuses integers of more than 4300 digits; the walk refuses them long before."""
    key = SigningKey()
    with Verifier("i", "a", jwks=key.jwks, profile="jwt", clock=lambda: 0) as verifier:
        digits = "9" * 300
        payload = f'{{"iss":"i","aud":"a","exp":9,"x":{digits},"y":-1e300,"z":1e-999}}'
        session = verifier.validate_session(key.sign(payload.encode(), typ="JWT"))
        assert session.claims["x"] == int(digits)


def test_repr_has_no_claim_values(backend: Backend, key: SigningKey) -> None:
    session = backend.validate_session(key.mint(email="someone@example.test"))
    assert "someone@example.test" not in repr(session)


def test_copies(backend: Backend, key: SigningKey) -> None:
    session = backend.validate_session(key.mint())
    assert pickle.loads(pickle.dumps(session)) == session  # noqa: S301
    assert copy.deepcopy(session) == session
    assert dataclasses.replace(session, subject="other").subject == "other"


def test_require_is_a_value() -> None:
    require = Require(scope=["b", "a"], roles="r", max_auth_age=0)
    assert require == Require(scope="b a", roles=("r",), max_auth_age=0)
    assert hash(require) == hash(Require(scope="b a", roles=("r",), max_auth_age=0))
    assert pickle.loads(pickle.dumps(require)) == require  # noqa: S301
    assert copy.copy(require) == require
    assert require.to_json() == {"scope": ["b", "a"], "roles": ["r"], "max_auth_age": 0}
