"""Traefik with ForwardAuth."""

from __future__ import annotations

from .proxy import Kind
from .suite import Suite


class TestTraefik(Suite):
    kind = Kind(
        name="Traefik",
        folder="traefik",
        command=["traefik", "--configfile={folder}/traefik.yaml"],
        # Not a setting of it: who is not reached is an internal error.
        differs={"the sidecar is down": "500"},
    )
