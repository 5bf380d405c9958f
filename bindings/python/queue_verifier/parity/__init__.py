"""How the legacy answer and Queue's differ: takes both, gives one class; no personal data.

python -m queue_verifier.parity report --hours 48

**Invariant:** what leaves this module about a customer is a keyed hash; routes, classes and reasons
are words of a fixed alphabet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["AGREE", "CLASSES", "DISAGREE", "NEUTRAL", "UNDECIDED", "Answer", "Sample", "classify"]

AGREE: Final = ("agree_valid", "agree_invalid")
"""Both said the same."""

DISAGREE: Final = (
    "legacy_only_valid",
    "queue_only_valid",
    "different_subject",
    "different_session_end",
)
"""They did not: each of these has to be explained before Queue becomes the authority."""

UNDECIDED: Final = ("queue_unavailable", "queue_failed", "shed")
"""Queue gave no answer, its leg had a fault of its own, or there was no room to ask."""

NEUTRAL: Final = ("queue_late", "not_compared")
"""The issuer agrees and verifiers had not heard of it yet; or there was nothing to compare."""

CLASSES: Final = (*AGREE, *DISAGREE, *UNDECIDED, *NEUTRAL)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one side says of a request.

    Attributes:
        is_valid: Whether the caller is signed in.
        subject: The customer's id, where known; of an invalid session too.
        session: The name by which the legacy side knows the session; a secret, never kept.
        ends_at: Unix seconds at which the session ends, where both sides can tell.
        reason: A stable code of why not; `queue_late` for a revocation not heard of yet.
    """

    is_valid: bool
    subject: str | None = None
    session: str | None = None
    ends_at: float | None = None
    reason: str = ""

    def __repr__(self) -> str:
        return f"Answer(is_valid={self.is_valid}, reason={self.reason!r})"


@dataclass(frozen=True, slots=True)
class Sample:
    """One comparison, as it is counted and kept."""

    observed_at: float
    route: str
    outcome: str
    reason: str = ""
    subject_hash: bytes | None = None
    session_hash: bytes | None = None


def classify(legacy: Answer, queue: Answer, tolerance: float) -> str:
    """Return the class of two answers; ends may lie `tolerance` seconds apart."""
    if queue.reason == "queue_late" and not legacy.is_valid:
        return "queue_late"
    if legacy.is_valid and not queue.is_valid:
        return "legacy_only_valid"
    if queue.is_valid and not legacy.is_valid:
        return "queue_only_valid"
    if not legacy.is_valid:
        return "agree_invalid"
    if legacy.subject != queue.subject:
        return "different_subject"
    ends = (legacy.ends_at, queue.ends_at)
    if ends[0] is not None and ends[1] is not None and abs(ends[0] - ends[1]) > tolerance:
        return "different_session_end"
    return "agree_valid"


def word(text: str) -> str:
    """Return `text` if it is a code, else `other`: nothing else gets into a log or a metric."""
    return text if _WORD.fullmatch(text) else "other"


_WORD = re.compile(r"[a-z0-9_.]{0,64}")
