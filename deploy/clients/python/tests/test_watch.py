"""A chapter is followed by an async iterator, whatever happens to the connection."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio import fail_after
from chaptercast import (
    ChapterCancelledError,
    Chaptercast,
    ChapterFailedError,
    RefusedError,
    UnreachableError,
    add_text,
)
from server import Proxy, Server

DEADLINE_S = 30.0


async def new_chapter(chapters: Chaptercast, **fields: Any) -> int:
    created = await chapters.create(course_id=1, owner_id=1, title="변수와 자료형", **fields)
    return created["chapter_id"]


async def test_a_chapter_is_created_watched_to_its_end_and_read(sample_server: Server) -> None:
    async with Chaptercast(sample_server.url) as chapters:
        chapter_id = await new_chapter(chapters, quiz_count=2)
        watch = chapters.watch(chapter_id)
        with fail_after(DEADLINE_S):
            names = [event.name async for event in watch]
            assert names[0] == "chapter_processing_started"
            assert names[-1] == "all_completed"
            assert watch.cursor == len(names)
            learning = await watch.completed(answers=True)
        assert learning["concept"]["content"]
        assert [quiz["correct_answer"] for quiz in learning["quizzes"]] != [None, None]
        assert [event.seq for event in await chapters.events(chapter_id)] == [*range(1, len(names) + 1)]
        assert [event async for event in chapters.watch(chapter_id, after=watch.cursor)] == []


async def test_the_sample_text_grows_between_the_events(sample_server: Server) -> None:
    async with Chaptercast(sample_server.url) as chapters:
        chapter_id = await new_chapter(chapters)
        text, lengths, progress = "", [], []
        with fail_after(DEADLINE_S):
            async for event in chapters.watch(chapter_id).live():
                if event.name == "concept_partial":
                    text = add_text(text, event.payload)
                    lengths.append(len(text))
                elif event.name == "progress_update":
                    progress.append(event.payload["progress"])
        assert lengths == sorted(lengths)
        content = (await chapters.learning(chapter_id))["concept"]["content"]
        assert content is not None and text.strip() in content
        assert progress == sorted(progress) and progress


async def test_text_with_emoji_is_put_together_by_utf_16_units(server: Server, chapters: Chaptercast) -> None:
    chapter_id = await new_chapter(chapters)
    job = next(job for job in (await chapters.get(chapter_id))["jobs"] if job["kind"] == "concept")
    named = f"/v1/chapter/{chapter_id}/concept-partial?job_id={job['job_id']}&attempt={job['attempt']}"
    text = ""
    with fail_after(DEADLINE_S):
        async for event in chapters.watch(chapter_id).live():
            if event.name == "concept_processing":
                await server.post(named, {"text": "🍎는 "})
            elif event.name == "concept_partial":
                text = add_text(text, event.payload)
                if text == "🍎는 ":
                    await server.post(named, {"text": "사과", "offset": 4})
                else:
                    break
    assert text == "🍎는 사과"


@pytest.mark.parametrize(
    ("before", "offset", "added", "after"),
    [
        ("", 0, "가", "가"),
        ("가나", 1, "다", "가다"),
        ("🍎가", 2, "나", "🍎나"),
        ("오래된 글", 0, "새 글", "새 글"),
        ("\ud83c", 1, "\udf4e", "🍎"),
    ],
)
def test_an_update_keeps_what_stands_before_its_offset(
    before: str, offset: int, added: str, after: str
) -> None:
    update: Any = {"chapter_id": 1, "attempt": 1, "offset": offset, "text": added}
    assert add_text(before, update) == after


async def test_connections_that_are_cut_lose_and_repeat_nothing(server: Server, chapters: Chaptercast) -> None:
    chapter_id = await new_chapter(chapters)
    async with Proxy(server.port) as proxy, Chaptercast(proxy.url) as through_proxy:
        seen = []
        with fail_after(DEADLINE_S):
            async for event in through_proxy.watch(chapter_id):
                seen.append(event.seq)
                if event.seq in (2, 4):
                    proxy.cut()
                if event.seq == 4:
                    await server.finish(chapter_id, "concept", "exercise")
                if event.seq == 6:
                    proxy.cut()
                    await server.finish(chapter_id, "quiz")
    assert seen == [*range(1, 9)]
    assert proxy.connections >= 3


async def test_a_server_that_is_killed_and_comes_back_goes_on(folder: Path) -> None:
    server = Server(folder, DATA_DIR=str(folder / "data"), GENERATOR="off")
    try:
        async with Chaptercast(server.url) as chapters:
            chapter_id = await new_chapter(chapters)
            seen = []
            with fail_after(60):
                async for event in chapters.watch(chapter_id):
                    seen.append(event.seq)
                    if event.seq == 4:
                        server.kill()
                        await asyncio.to_thread(server.start)
                        await server.finish(chapter_id)
        assert seen == [*range(1, 9)]
    finally:
        server.stop()


async def test_a_server_that_lost_its_data_tells_the_new_chapter_from_its_start(folder: Path) -> None:
    server = Server(folder, GENERATOR="off")
    try:
        async with Chaptercast(server.url) as chapters:
            chapter_id = await new_chapter(chapters)
            await server.finish(chapter_id, "concept", "exercise")
            seen = []
            with fail_after(60):
                async for event in chapters.watch(chapter_id):
                    seen.append(event.seq)
                    if seen == [*range(1, 7)]:
                        server.kill()
                        await asyncio.to_thread(server.start)
                        assert await new_chapter(chapters) == chapter_id
                    elif seen[6:] == [*range(1, 5)]:
                        await server.finish(chapter_id)
        assert seen == [*range(1, 7), *range(1, 9)]
    finally:
        server.stop()


async def test_a_chapter_that_failed_says_why_and_can_be_retried(
    server: Server, chapters: Chaptercast
) -> None:
    chapter_id = await new_chapter(chapters)
    await server.finish(chapter_id, "concept", "exercise")
    job = next(job for job in (await chapters.get(chapter_id))["jobs"] if job["kind"] == "quiz")
    named = {"job_id": job["job_id"], "attempt": job["attempt"]}
    failure = {"error": "No", "reason": "refused", "retryable": False, **named}
    await server.post(f"/v1/chapter/{chapter_id}/quiz-fail", failure)
    watch = chapters.watch(chapter_id)
    with fail_after(DEADLINE_S):
        with pytest.raises(ChapterFailedError, match="quiz") as failed:
            await watch.completed()
        assert failed.value.code == "chapter_failed"
        accepted = await chapters.retry(chapter_id)
        assert accepted["status"] == "processing"
        names = []
        async for event in watch:
            names.append(event.name)
            if event.name == "chapter_retrying":
                await server.finish(chapter_id, "quiz")
        assert names == ["chapter_retrying", "quiz_completed", "all_completed"]
        # The whole log has an end in its middle.
        assert len([event async for event in chapters.watch(chapter_id)]) == watch.cursor


async def test_a_chapter_that_is_cancelled_ends_its_watch(chapters: Chaptercast) -> None:
    chapter_id = await new_chapter(chapters)
    watch = chapters.watch(chapter_id)
    with fail_after(DEADLINE_S):
        async for event in watch:
            if event.seq == 4:
                assert (await chapters.cancel(chapter_id))["status"] == "cancelled"
        with pytest.raises(ChapterCancelledError):
            await watch.completed()
    with pytest.raises(RefusedError) as refused:
        await chapters.retry(chapter_id)
    assert (refused.value.status, refused.value.code) == (409, "wrong_state")


async def test_a_chapter_that_is_erased_ends_its_watch(chapters: Chaptercast) -> None:
    chapter_id = await new_chapter(chapters)
    watch = chapters.watch(chapter_id)
    with fail_after(DEADLINE_S):
        names = []
        async for event in watch:
            names.append(event.name)
            if event.seq == 4:
                await chapters.remove(chapter_id)
        assert names[-1] == "chapter_cancelled", "what runs is cancelled first"
        with pytest.raises(RefusedError) as refused:
            await watch.completed()
    assert (refused.value.status, refused.value.code) == (404, "chapter_not_found")


async def test_an_unknown_chapter_is_refused_at_once(chapters: Chaptercast) -> None:
    with pytest.raises(RefusedError) as refused:
        async for _ in chapters.watch(987_654_321):
            pass
    assert refused.value.code == "chapter_not_found"


async def test_where_nobody_answers_a_watch_gives_up_after_its_patience() -> None:
    async with Proxy(1) as proxy:
        url = proxy.url
    async with Chaptercast(url) as chapters:
        with fail_after(DEADLINE_S), pytest.raises(UnreachableError):
            async for _ in chapters.watch(1, patience=0.5):
                pass


async def test_what_is_no_server_of_chapters_is_said_so() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text="<h1>Welcome</h1>", headers={"content-type": "text/html"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http_client:
        chapters = Chaptercast("http://example.org", http_client=http_client)
        with pytest.raises(RefusedError) as refused:
            await chapters.get(1)
        assert refused.value.code == "bad_answer"
        with pytest.raises(RefusedError) as refused:
            async for _ in chapters.watch(1):
                pass
        assert refused.value.code == "bad_answer"


async def test_the_programs_of_the_readme_run(
    sample_server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    first, follow, course = re.findall(r"^```python\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    first = first.replace("http://localhost:8000", sample_server.url)
    namespace: dict[str, Any] = {}
    exec(first.replace("asyncio.run(main())", ""), namespace)
    exec(follow + course, namespace)
    async with Chaptercast(sample_server.url) as chapters:
        with fail_after(60):
            await namespace["main"]()
            printed = capsys.readouterr().out
            assert "all_completed" in printed and printed.endswith(" 3\n")
            await namespace["follow"](chapters, await new_chapter(chapters))
            await namespace["write_course"](chapters)
            assert "2 chapters" in capsys.readouterr().out
