"""Waiting for keys where threads are greenlets (gevent): the hub runs on meanwhile.

The native module asks here only when a token's key or status list has to be fetched first.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import _native
    from .session import Session

__all__ = ["is_patched", "wait"]


def is_patched() -> bool:
    """Return whether gevent took the place of threads in this process."""
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def wait(pending: _native.Pending) -> Session:
    """Return the session of `pending`; other greenlets run until it is there."""
    from gevent import get_hub
    from gevent.event import Event

    while True:
        woken = Event()
        # The one thing of a loop that another thread may touch.
        bell = get_hub().loop.async_()
        bell.start(woken.set)
        try:
            session = pending.poll(bell.send)
            if session is not None:
                return session
            woken.wait()
        finally:
            bell.stop()
            bell.close()
