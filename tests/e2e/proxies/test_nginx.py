"""nginx with `auth_request`."""

from __future__ import annotations

from .proxy import Kind
from .suite import Suite


class TestNginx(Suite):
    kind = Kind(
        name="nginx",
        folder="nginx",
        command=["nginx", "-p", "{folder}", "-c", "{folder}/nginx.conf", "-g", "daemon off;"],
    )
