"""The errors of the client. Branch on the class or on ``code``, never on the message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Sequence

if TYPE_CHECKING:
    from .contract import ChapterView, Violation


class ChaptercastError(Exception):
    """Every error of this package; what a token function throws comes as it is."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        #: Stable: one of ``ErrorCode``, or one of the client’s own.
        self.code = code


class RefusedError(ChaptercastError):
    """The server refused the request."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int | None = None,
        errors: Sequence[Violation] = (),
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(code, message)
        #: Of the HTTP answer; None when an open stream was told.
        self.status = status
        #: Every part of the request that is not valid.
        self.errors = tuple(errors)
        self.request_id = request_id
        #: How long the server wants to be left alone, in seconds.
        self.retry_after = retry_after


class UnreachableError(ChaptercastError):
    """Nobody answered; ``__cause__`` says why."""

    def __init__(self, url: str) -> None:
        super().__init__("unreachable", f"{url} does not answer")


class ChapterFailedError(ChaptercastError):
    """The run ended with a part that failed."""

    def __init__(self, chapter: ChapterView) -> None:
        failed = [job["kind"] for job in chapter["jobs"] if job["status"] == "failed"]
        super().__init__("chapter_failed", f"Chapter {chapter['chapter_id']} failed: {', '.join(failed)}")
        self.chapter = chapter


class ChapterCancelledError(ChaptercastError):
    """The chapter was cancelled."""

    def __init__(self, chapter: ChapterView) -> None:
        super().__init__("chapter_cancelled", f"Chapter {chapter['chapter_id']} was cancelled")
        self.chapter = chapter
