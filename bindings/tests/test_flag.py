from __future__ import annotations

import itertools
import json
from pathlib import Path
from uuid import UUID

import pytest

from queue_verifier import ConfigError
from queue_verifier.flag import Flag, bucket

VECTORS = json.loads((Path(__file__).parents[2] / "tests/vectors/cutover/buckets.json").read_text())


def test_buckets_are_those_of_the_issuer() -> None:
    for case in VECTORS["buckets"]:
        assert bucket(UUID(case["customer_id"])) == case["bucket"]
    for case in VECTORS["flags"]:
        assert Flag.parse(case["text"]) == Flag(case["percent"])


@pytest.mark.parametrize("text", VECTORS["malformed"])
def test_config_flag_invalid(text: str) -> None:
    with pytest.raises(ConfigError, match="config_flag_invalid"):
        Flag.parse(text)


def test_a_share_only_grows() -> None:
    ids = [case["customer_id"] for case in VECTORS["buckets"]]
    admitted = [{one for one in ids if Flag(share).admits(one)} for share in range(101)]
    assert not admitted[0]
    assert admitted[100] == set(ids)
    for fewer, more in itertools.pairwise(admitted):
        assert fewer <= more
    assert Flag(50).admits(ids[0].upper()) == Flag(50).admits(ids[0])
    assert not Flag(99).admits("nobody")
    assert not Flag(0).is_visible
    assert Flag(1).is_visible
