"""What a program holds of one chapter or course: an async iterator that goes on over lost connections.

A chapter’s events come once and in order of ``seq``. Each connection asks for what follows the last event that came, so
a cut, a server that restarts, or another node loses nothing and repeats nothing.
"""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, AsyncGenerator, Protocol, cast

from .contract import ChapterEvent, ChapterUpdate, ChapterView, CourseCounts, CourseEvent, LearningView, TextPartial
from .errors import ChapterCancelledError, ChapterFailedError, RefusedError
from .event import Event, LiveEvent

if TYPE_CHECKING:
    from .http import Http

#: Nothing of a run follows these, unless the log goes on: a retry, a late result, a regeneration.
END_EVENTS = ("all_completed", "chapter_failed", "chapter_cancelled")


class Chapters(Protocol):
    """What a watch asks of the client."""

    async def get(self, chapter_id: int) -> ChapterView: ...

    async def learning(self, chapter_id: int, *, answers: bool = False) -> LearningView: ...


class ChapterWatch:
    """Made by ``Chaptercast.watch``. Nothing is asked of the server until it is iterated."""

    def __init__(
        self, client: Chapters, http: Http, chapter_id: int, after: int, patience: float | None
    ) -> None:
        self._client = client
        self._http = http
        self._patience = patience
        self.chapter_id = chapter_id
        #: ``seq`` of the last event that came: another process goes on with ``watch(id, after=cursor)``.
        self.cursor = after

    async def __aiter__(self) -> AsyncGenerator[ChapterEvent, None]:
        """Every logged event after the cursor, until the run has ended."""
        async with aclosing(self._follow()) as events:
            async for event in events:
                if isinstance(event, Event):
                    yield event

    async def live(self) -> AsyncGenerator[ChapterEvent | ChapterUpdate, None]:
        """The same with progress and text so far between the logged events."""
        async with aclosing(self._follow()) as events:
            async for event in events:
                yield event

    async def completed(self, *, answers: bool = False) -> LearningView:
        """The content, when all of it is written.

        Raises ``ChapterFailedError`` or ``ChapterCancelledError`` when the run ends in another way.
        """
        while True:
            async with aclosing(self._follow()) as events:
                async for _ in events:
                    pass
            chapter = await self._client.get(self.chapter_id)
            if chapter["status"] == "completed":
                return await self._client.learning(self.chapter_id, answers=answers)
            if chapter["status"] == "failed":
                raise ChapterFailedError(chapter)
            if chapter["status"] == "cancelled":
                raise ChapterCancelledError(chapter)
            # Somebody has tried again meanwhile.

    async def _follow(self) -> AsyncGenerator[ChapterEvent | ChapterUpdate, None]:
        path = f"/v1/chapter/{self.chapter_id}/events"
        is_ended = False
        async with aclosing(self._http.stream(path, lambda: self.cursor, self._patience)) as stream:
            async for sent in stream:
                if sent is None:
                    if is_ended:
                        return
                    continue
                payload = _payload_of(sent.data)
                if sent.event == "chapter_deleted":
                    raise RefusedError("chapter_not_found", payload["message"])
                # Not by its id: what comes without one inherits the last.
                if "seq" not in payload:
                    yield cast(ChapterUpdate, LiveEvent(sent.event, payload))
                    continue
                # A number that is not higher comes from a server that was restored: it tells everything again.
                self.cursor = payload["seq"]
                is_ended = sent.event in END_EVENTS
                yield cast(ChapterEvent, Event(sent.event, payload, payload["seq"], payload["message"]))


class CourseWatch:
    """Made by ``Chaptercast.watch_course``. Nothing is asked of the server until it is iterated."""

    def __init__(self, http: Http, course_id: int, patience: float | None) -> None:
        self._http = http
        self._patience = patience
        self.course_id = course_id

    async def __aiter__(self) -> AsyncGenerator[CourseEvent, None]:
        """``joined_course`` with the whole list, then each change. Goes on until the loop is left.

        A new connection begins with the list again, which replaces the one before.
        """
        path = f"/v1/course/{self.course_id}"
        async with aclosing(self._http.stream(path, lambda: 0, self._patience)) as stream:
            async for sent in stream:
                if sent is not None:
                    yield cast(CourseEvent, LiveEvent(sent.event, _payload_of(sent.data)))

    async def completed(self) -> CourseCounts:
        """How its chapters ended, when it has some and nothing of it is processing any more."""
        async with aclosing(self.__aiter__()) as events:
            async for event in events:
                if event.name == "course_completed":
                    return event.payload["counts"]
                if event.name == "joined_course":
                    counts = event.payload["counts"]
                    if event.payload["chapters"] and counts["processing"] == 0:
                        return counts
        raise AssertionError("a course has no end")


def add_text(before: str, update: TextPartial) -> str:
    """The text so far of a kind, after an update.

    Offsets count UTF-16 units, as JavaScript does; Python counts an emoji as one.
    """
    units = before.encode("utf-16-le", "surrogatepass")[: update["offset"] * 2]
    units += update["text"].encode("utf-16-le", "surrogatepass")
    return units.decode("utf-16-le", "surrogatepass")


def _payload_of(data: str) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise RefusedError("bad_answer", "An event is no JSON") from error
