"""The kit for moving an application from its own auth to Queue, step by step and back.

from queue_verifier.cutover import DualMode, ParityLog, ShadowSessions, queue_blueprint

app.register_blueprint(queue_blueprint(os.environ["QUEUE_BASE_URL"], flag="on"))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .dual import DualMode, NotComparable
from .flag import Flag
from .parity import Answer
from .parity.log import ParityLog
from .shadow import ShadowSessions
from .upstream import Timeouts, UpstreamUnavailable

if TYPE_CHECKING:
    from .blueprint import queue_blueprint

__all__ = [
    "Answer",
    "DualMode",
    "Flag",
    "NotComparable",
    "ParityLog",
    "ShadowSessions",
    "Timeouts",
    "UpstreamUnavailable",
    "queue_blueprint",
]


def __getattr__(name: str) -> Any:
    # Only the blueprint needs Flask.
    if name == "queue_blueprint":
        from .blueprint import queue_blueprint

        return queue_blueprint
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
