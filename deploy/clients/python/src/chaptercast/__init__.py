"""Watches chapters of a chaptercast server: every event once and in order, whatever happens to the connection."""

from .client import Chaptercast
from .contract import ChapterEvent, ChapterUpdate, CourseEvent
from .errors import (
    ChaptercastError,
    ChapterCancelledError,
    ChapterFailedError,
    RefusedError,
    UnreachableError,
)
from .event import Event, LiveEvent
from .http import Token
from .watch import ChapterWatch, CourseWatch, add_text

__all__ = [
    "ChapterCancelledError",
    "ChapterEvent",
    "ChapterFailedError",
    "ChapterUpdate",
    "ChapterWatch",
    "Chaptercast",
    "ChaptercastError",
    "CourseEvent",
    "CourseWatch",
    "Event",
    "LiveEvent",
    "RefusedError",
    "Token",
    "UnreachableError",
    "add_text",
]
