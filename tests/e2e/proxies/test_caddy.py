"""Caddy with `forward_auth`."""

from __future__ import annotations

from .proxy import Kind
from .suite import Suite


class TestCaddy(Suite):
    kind = Kind(
        name="Caddy",
        folder="caddy",
        command=["caddy", "run", "--config", "{folder}/Caddyfile", "--adapter", "caddyfile"],
    )
