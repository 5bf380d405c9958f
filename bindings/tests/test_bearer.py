from __future__ import annotations

import pytest

from queue_verifier import InvalidRequest
from queue_verifier.bearer import bearer_token


@pytest.mark.parametrize(
    "header",
    [
        "Bearer a.b.c",
        "bearer a.b.c",
        "BEARER   a.b.c",
        " Bearer a.b.c ",
        "Bearer a.b.c\t",
        "Bearer \ta.b.c",
    ],
)
def test_token(header: str) -> None:
    assert bearer_token(header) == "a.b.c"


@pytest.mark.parametrize("values", [(), (None,)])
def test_bearer_missing(values: tuple[str | None, ...]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        bearer_token(*values)
    assert caught.value.code == "bearer_missing"


@pytest.mark.parametrize(
    "values",
    [
        ("",),
        ("Basic dTpw",),
        ("Bearera.b.c",),
        ("Bearer\ta.b.c",),
        ("Bearer",),
        ("Bearer ",),
        ("Bearer a b",),
        ("Bearer a,Bearer b",),
        ("Bearer a\tb",),
        ("Bearer a\nb",),
        ("Bearer a", "Bearer a"),
        ("Bearer a", "Basic b"),
    ],
)
def test_bearer_malformed(values: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        bearer_token(*values)
    assert caught.value.code == "bearer_malformed"
