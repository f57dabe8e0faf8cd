"""Requests, tokens, revisions and courses against a real server."""

from __future__ import annotations

from pathlib import Path
from time import time

import httpx
import jwt
import pytest
from anyio import fail_after
from chaptercast import ChapterEvent, ChapterUpdate, Chaptercast, RefusedError
from chaptercast.contract import ConceptCompletedPayload, CourseChapter, QuizPartial
from server import Proxy, Server
from typing_extensions import assert_type

SECRET = "a secret that is long enough for HS256"
DEADLINE_S = 30.0


async def test_a_request_that_is_not_valid_names_every_violation(chapters: Chaptercast) -> None:
    with pytest.raises(RefusedError) as refused:
        await chapters.create(course_id=0, owner_id=1, title=" ")
    error = refused.value
    assert (error.status, error.code) == (400, "invalid_request")
    assert {violation["path"] for violation in error.errors} == {"/body/course_id", "/body/title"}
    assert {violation["code"] for violation in error.errors} == {"too_small", "too_short"}
    assert error.request_id


async def test_a_lost_answer_does_not_make_two_chapters(server: Server) -> None:
    sent = []

    class Losing(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            sent.append(request.headers["idempotency-key"])
            response = await super().handle_async_request(request)
            await response.aread()
            if len(sent) == 1:
                raise httpx.ReadError("lost")
            return response

    async with httpx.AsyncClient(transport=Losing()) as http_client:
        chapters = Chaptercast(server.url, http_client=http_client)
        created = await chapters.create(course_id=71, owner_id=71, title="한 번만")
    assert len(sent) == 2 and sent[0] == sent[1]
    async with Chaptercast(server.url) as others:
        items = (await others.list(owner_id=71))["items"]
    assert [item["chapter_id"] for item in items] == [created["chapter_id"]]


async def test_a_busy_server_is_asked_again_when_it_wants() -> None:
    answers = [httpx.Response(503, headers={"retry-after": "0"}), httpx.Response(200, json={"chapter_id": 1})]

    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answers.pop(0))) as http_client:
        assert (await Chaptercast("http://example.org", http_client=http_client).get(1))["chapter_id"] == 1


async def test_lists_come_in_pages(chapters: Chaptercast) -> None:
    made = [
        (await chapters.create(course_id=72, owner_id=72, title=f"{n}장"))["chapter_id"] for n in range(3)
    ]
    page = await chapters.list(owner_id=72, status="processing", limit=2)
    rest = await chapters.list(owner_id=72, status="processing", limit=2, cursor=page["next_cursor"])
    found = [item["chapter_id"] for item in page["items"] + rest["items"]]
    assert found == made[::-1] and rest["next_cursor"] is None


async def test_a_part_is_written_again_and_brought_back(server: Server, chapters: Chaptercast) -> None:
    chapter_id = (await chapters.create(course_id=1, owner_id=1, title="다시"))["chapter_id"]
    await server.finish(chapter_id)
    accepted = await chapters.regenerate(chapter_id, "concept", instruction="더 쉽게")
    assert accepted["revision"] == 2
    watch = chapters.watch(chapter_id, after=8)
    with fail_after(DEADLINE_S):
        async for event in watch:
            if event.name == "concept_regenerating":
                assert event.payload.get("instruction") == "더 쉽게"
                better = {"title": "변수", "content": "쉬운 설명"}
                await server.post(f"/v1/chapter/{chapter_id}/concept-finish", better)
    assert (await chapters.learning(chapter_id))["concept"]["title"] == "변수"
    listed = (await chapters.revisions(chapter_id, "concept"))["revisions"]
    assert [(each["revision"], each["is_current"]) for each in listed] == [(1, False), (2, True)]
    first = await chapters.revision(chapter_id, "concept", 1)
    assert "변수란 무엇인가" in str(first)
    assert (await chapters.restore(chapter_id, "concept", 1))["revision"] == 3
    assert (await chapters.learning(chapter_id))["concept"]["title"] == "변수란 무엇인가"


async def test_a_course_is_made_at_once_and_followed_to_its_end(server: Server, chapters: Chaptercast) -> None:
    created = await chapters.create_all(73, [{"title": "하나"}, {"title": "둘", "quiz_count": 1}], owner_id=1)
    one, two = [chapter["chapter_id"] for chapter in created["chapters"]]
    async with Proxy(server.port) as proxy, Chaptercast(proxy.url) as through_proxy:
        titles: list[list[str]] = []
        changed: set[int] = set()
        with fail_after(DEADLINE_S):
            async for event in through_proxy.watch_course(73):
                if event.name == "joined_course":
                    titles.append([chapter["title"] for chapter in event.payload["chapters"]])
                    if len(titles) == 1:
                        proxy.cut()
                    else:
                        await server.finish(one)
                        await chapters.cancel(two)
                elif event.name == "chapter_status":
                    assert_type(event.payload, CourseChapter)
                    changed.add(event.payload["chapter_id"])
                else:
                    assert event.payload["counts"] == {
                        "processing": 0,
                        "completed": 1,
                        "failed": 0,
                        "cancelled": 1,
                    }
                    break
        assert titles == [["하나", "둘"], ["하나", "둘"]], "each connection begins with the list"
        assert {one, two} <= changed
        with fail_after(DEADLINE_S):
            assert (await through_proxy.watch_course(73).completed())["completed"] == 1
    page = await chapters.course(73, limit=1)
    assert (page["next"], page["counts"]["completed"]) == (one, 1)
    rest = await chapters.course(73, after=page["next"])
    assert [chapter["chapter_id"] for chapter in rest["chapters"]] == [two]


async def test_a_token_is_asked_for_each_time_and_a_watch_token_only_watches(folder: Path) -> None:
    server = Server(folder, GENERATOR="off", JWT_SECRET=SECRET)
    asked = 0

    async def token() -> str:
        nonlocal asked
        asked += 1
        return jwt.encode({"sub": "1", "exp": int(time()) + 60}, SECRET, algorithm="HS256")

    try:
        async with Chaptercast(server.url) as without_token:
            with pytest.raises(RefusedError) as refused:
                await without_token.list()
            assert refused.value.status == 401
        async with Chaptercast(server.url, token=token) as teacher:
            chapter_id = (await teacher.create(course_id=74, owner_id=1, title="비밀"))["chapter_id"]
            await server.finish(chapter_id)
            assert asked == 1
            learner_token = await teacher.watch_token(chapter_id, ttl_s=60)
            class_token = await teacher.course_watch_token(74)
            assert (await teacher.learning(chapter_id, answers=True))["exercise"]["answer"]
            assert asked == 4
        async with Chaptercast(server.url, token=learner_token["token"]) as learner:
            assert len([event async for event in learner.watch(chapter_id)]) == 8
            with pytest.raises(RefusedError) as answers:
                await learner.learning(chapter_id, answers=True)
            with pytest.raises(RefusedError) as cancel:
                await learner.cancel(chapter_id)
            assert (answers.value.status, cancel.value.status) == (403, 403)
        async with Chaptercast(server.url, token=lambda: class_token["token"]) as whole_class:
            assert (await whole_class.watch_course(74).completed())["completed"] == 1
    finally:
        server.stop()


async def test_what_a_token_function_raises_comes_as_it_is(server: Server) -> None:
    def token() -> str:
        raise LookupError("no session")

    async with Chaptercast(server.url, token=token) as chapters:
        with pytest.raises(LookupError):
            await chapters.list()
        with pytest.raises(LookupError):
            async for _ in chapters.watch(1):
                pass


def test_a_type_checker_knows_the_payload_by_the_name() -> None:
    def typed(event: ChapterEvent | ChapterUpdate) -> int:
        if event.name == "concept_completed":
            assert_type(event.payload, ConceptCompletedPayload)
            return event.payload["concept_id"]
        if event.name == "quiz_partial":
            assert_type(event.payload, QuizPartial)
        return 0

    assert callable(typed)
