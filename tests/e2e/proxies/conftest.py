from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

pytest.register_assert_rewrite("proxies.suite", "proxies.table")

from .world import World  # noqa: E402


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path_factory.mktemp("proxies"), stack)
