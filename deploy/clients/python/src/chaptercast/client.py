"""A server’s chapters. The names are those of the JavaScript client, spelled as Python does."""

from __future__ import annotations

import secrets
from types import TracebackType
from typing import Any, List, Sequence, cast

import httpx

from .contract import (
    ChapterAccepted,
    ChapterCreated,
    ChapterEvent,
    ChapterList,
    ChapterStatus,
    ChapterView,
    CourseChaptersCreated,
    CourseChaptersCreateChaptersItem,
    CourseView,
    JobKind,
    LearningView,
    Locale,
    RevisionAccepted,
    RevisionList,
    RevisionView,
    WatchToken,
)
from .errors import RefusedError, UnreachableError
from .event import Event
from .http import Http, Token
from .watch import ChapterWatch, CourseWatch

#: How long a watch tries to connect before it gives up, in seconds.
WATCH_PATIENCE_S = 300.0


class Chaptercast:
    """Requests raise ``RefusedError`` or ``UnreachableError``; what may pass is asked again first, up to 30 seconds."""

    def __init__(
        self,
        base_url: str = "http://localhost:8000",
        *,
        token: Token | None = None,
        http_client: httpx.AsyncClient | None = None,
    ) -> None:
        """
        :param base_url: with the path of a proxy, if there is one
        :param token: sent with every request and connection; a function, also an async one, is asked each time
        :param http_client: instead of one of its own, for certificates or proxies; you close it
        """
        self._http = Http(base_url, token, http_client)

    async def __aenter__(self) -> Chaptercast:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._http.aclose()

    # Chapters

    async def create(
        self,
        *,
        course_id: int,
        owner_id: int,
        title: str,
        description: str | None = None,
        locale: Locale | None = None,
        quiz_count: int | None = None,
        metadata: dict[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> ChapterCreated:
        """Asks for a chapter. The key names it: asked again with the same key, the server gives the same one.

        It is random unless given, so that a lost answer never makes two.
        """
        body = {
            "course_id": course_id,
            "owner_id": owner_id,
            "title": title,
            "description": description,
            "locale": locale,
            "quiz_count": quiz_count,
            "metadata": metadata,
        }
        headers = {"idempotency-key": idempotency_key or secrets.token_hex(16)}
        return cast(ChapterCreated, await self._http.ask("POST", "/v1/chapter/", body=body, headers=headers))

    async def list(
        self,
        *,
        owner_id: int | None = None,
        course_id: int | None = None,
        status: ChapterStatus | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> ChapterList:
        """Newest first; the next page with its ``next_cursor``."""
        query = {
            "owner_id": owner_id,
            "course_id": course_id,
            "status": status,
            "limit": limit,
            "cursor": cursor,
        }
        return cast(ChapterList, await self._http.ask("GET", "/v1/chapter/", query=query))

    async def get(self, chapter_id: int) -> ChapterView:
        """Where it stands, and each of its jobs."""
        return cast(ChapterView, await self._http.ask("GET", f"/v1/chapter/{chapter_id}"))

    async def learning(self, chapter_id: int, *, answers: bool = False) -> LearningView:
        """The content as far as it is written; ``answers`` for those who may see them."""
        return cast(
            LearningView,
            await self._http.ask("GET", f"/v1/chapter/{chapter_id}/learning", query=_answers(answers)),
        )

    async def events(self, chapter_id: int, *, after: int = 0) -> List[ChapterEvent]:
        """The events logged so far, after that ``seq``. Empty when the log was deleted after its retention."""
        page = await self._http.ask("GET", f"/v1/chapter/{chapter_id}/events", query={"after": after})
        return [
            cast(ChapterEvent, Event(item["event"], item["data"], item["data"]["seq"], item["data"]["message"]))
            for item in page["events"]
        ]

    def watch(
        self, chapter_id: int, *, after: int = 0, patience: float | None = WATCH_PATIENCE_S
    ) -> ChapterWatch:
        """``async for event in client.watch(12)``: every event after ``after`` until the run has ended.

        ``patience`` is how long, in seconds, it tries to connect before it raises; None tries for ever.
        """
        return ChapterWatch(self, self._http, chapter_id, after, patience)

    async def retry(self, chapter_id: int) -> ChapterAccepted:
        """Starts what failed again."""
        # Asked twice it would be refused the second time.
        return cast(
            ChapterAccepted, await self._http.ask("POST", f"/v1/chapter/{chapter_id}/retry", tries=1)
        )

    async def cancel(self, chapter_id: int) -> ChapterAccepted:
        """Ends it, for good."""
        return cast(ChapterAccepted, await self._http.ask("POST", f"/v1/chapter/{chapter_id}/cancel"))

    async def remove(self, chapter_id: int) -> None:
        """Erases the chapter and everything of it."""
        path = f"/v1/chapter/{chapter_id}"
        try:
            await self._http.ask("DELETE", path, tries=1)
            return
        except RefusedError as error:
            if error.status is not None and error.status < 500:
                raise
        except UnreachableError:
            pass
        try:
            await self._http.ask("DELETE", path)
        except RefusedError as error:
            # It may be gone already: only its answer was lost.
            if error.code != "chapter_not_found":
                raise

    async def watch_token(
        self, chapter_id: int, *, ttl_s: int | None = None, answers: bool | None = None
    ) -> WatchToken:
        """A short-lived token that may only watch this chapter."""
        body = {"ttl_s": ttl_s, "answers": answers}
        return cast(WatchToken, await self._http.ask("POST", f"/v1/chapter/{chapter_id}/watch-token", body=body))

    # Revisions

    async def regenerate(
        self, chapter_id: int, kind: JobKind, *, instruction: str | None = None
    ) -> RevisionAccepted:
        """Has one kind written again; what there is stays readable meanwhile, and for good when it fails."""
        path = f"/v1/chapter/{chapter_id}/{kind}/regenerate"
        # Asked twice it would be refused the second time.
        answer = await self._http.ask("POST", path, body={"instruction": instruction}, tries=1)
        return cast(RevisionAccepted, answer)

    async def revisions(self, chapter_id: int, kind: JobKind) -> RevisionList:
        """What one kind has been, oldest first."""
        return cast(RevisionList, await self._http.ask("GET", f"/v1/chapter/{chapter_id}/{kind}/revisions"))

    async def revision(
        self, chapter_id: int, kind: JobKind, revision: int, *, answers: bool = False
    ) -> RevisionView:
        """One revision with its content."""
        path = f"/v1/chapter/{chapter_id}/{kind}/revisions/{revision}"
        return cast(RevisionView, await self._http.ask("GET", path, query=_answers(answers)))

    async def restore(self, chapter_id: int, kind: JobKind, revision: int) -> RevisionAccepted:
        """Makes an earlier revision’s content the current one, as a revision of its own."""
        path = f"/v1/chapter/{chapter_id}/{kind}/restore"
        # Asked twice it would be two revisions.
        return cast(
            RevisionAccepted, await self._http.ask("POST", path, body={"revision": revision}, tries=1)
        )

    # Courses

    async def create_all(
        self,
        course_id: int,
        chapters: Sequence[CourseChaptersCreateChaptersItem],
        *,
        owner_id: int,
        locale: Locale | None = None,
        quiz_count: int | None = None,
        metadata: dict[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> CourseChaptersCreated:
        """The chapters of a course in one request: all of them, or none. Safe to ask again, as ``create`` is."""
        body = {
            "owner_id": owner_id,
            "chapters": [*chapters],
            "locale": locale,
            "quiz_count": quiz_count,
            "metadata": metadata,
        }
        headers = {"idempotency-key": idempotency_key or secrets.token_hex(16)}
        answer = await self._http.ask("POST", f"/v1/course/{course_id}/chapters", body=body, headers=headers)
        return cast(CourseChaptersCreated, answer)

    async def course(
        self, course_id: int, *, after: int | None = None, limit: int | None = None
    ) -> CourseView:
        """A page of a course’s chapters, in the order of their ids; the next one ``after`` its ``next``."""
        query = {"after": after, "limit": limit}
        return cast(CourseView, await self._http.ask("GET", f"/v1/course/{course_id}", query=query))

    def watch_course(self, course_id: int, *, patience: float | None = WATCH_PATIENCE_S) -> CourseWatch:
        """``async for event in client.watch_course(42)``: the list, and each change of it, also of later chapters."""
        return CourseWatch(self._http, course_id, patience)

    async def course_watch_token(
        self, course_id: int, *, ttl_s: int | None = None, answers: bool | None = None
    ) -> WatchToken:
        """A short-lived token that may only watch this course."""
        body = {"ttl_s": ttl_s, "answers": answers}
        return cast(WatchToken, await self._http.ask("POST", f"/v1/course/{course_id}/watch-token", body=body))


def _answers(answers: bool) -> dict[str, str]:
    return {"answers": "true"} if answers else {}
