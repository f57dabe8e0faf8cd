"""Events: a name beside its payload. A type checker knows the payload once the name is compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=str)
Payload = TypeVar("Payload")


@dataclass(frozen=True)
class Event(Generic[Name, Payload]):
    """A logged event of a chapter."""

    name: Name
    payload: Payload
    #: Counts the chapter’s events 1, 2, 3, … without a gap.
    seq: int
    #: For people, in the chapter’s language.
    message: str


@dataclass(frozen=True)
class LiveEvent(Generic[Name, Payload]):
    """What is told but not logged: only the latest counts."""

    name: Name
    payload: Payload
