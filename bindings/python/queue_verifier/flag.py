"""`FLAG_QUEUE_V1`: who Queue answers for; the issuer reads the same words and draws the same lots.

**Invariant:** a customer is in or out by its id alone, so every process and every restart agree,
and raising the share only adds customers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from .errors import ConfigError

__all__ = ["Flag"]


@dataclass(frozen=True, slots=True)
class Flag:
    """A share of the customers, in percent; 0 is off, 100 is on."""

    percent: int

    @classmethod
    def parse(cls, text: str) -> Flag:
        """Return the flag that `off`, `on` or `0%` to `100%` means.

        Raises:
            ConfigError: `config_flag_invalid`.
        """
        if text in _WORDS:
            return cls(_WORDS[text])
        share = _SHARE.fullmatch(text)
        if share is None or int(share[1]) > 100:
            raise ConfigError("config_flag_invalid", "expected off, on, or a share from 0% to 100%")
        return cls(int(share[1]))

    @property
    def is_visible(self) -> bool:
        """Whether `/api/v1` exists at all."""
        return self.percent > 0

    def admits(self, customer_id: str) -> bool:
        """Return whether Queue decides for this customer; an id that is no UUID is nobody's."""
        if self.percent in (0, 100):
            return self.percent == 100
        try:
            customer = UUID(customer_id)
        except ValueError:
            return False
        return bucket(customer) < self.percent


def bucket(customer: UUID) -> int:
    """Return the customer's place from 0 to 99: the start of SHA-256 over its id."""
    return int.from_bytes(sha256(customer.bytes).digest()[:4], "big") % 100


_WORDS = {"off": 0, "on": 100}
_SHARE = re.compile(r"([0-9]{1,3})%")
