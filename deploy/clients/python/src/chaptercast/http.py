"""Requests and event streams.

Requests that may succeed later (no answer, 408, 429, 5xx) are repeated, with full-jitter waits and not before the server
wants it; every other failure is a typed error at once.
"""

from __future__ import annotations

import asyncio
import email.utils
import inspect
import logging
import random
import time
from contextlib import aclosing
from typing import Any, AsyncGenerator, Awaitable, Callable, Mapping, Union

import httpx
from httpx_sse import EventSource, ServerSentEvent, SSEError

from .errors import ChaptercastError, RefusedError, UnreachableError

#: A token, or a function that is asked for the token of now; None sends none.
Token = Union[str, Callable[[], Union[str, None, Awaitable[Union[str, None]]]]]

ANSWER_TIMEOUT_S = 20.0
#: A server that lives sends a comment at least every 15 seconds.
SILENCE_TIMEOUT_S = 45.0
TRIES = 6
#: No further try of a request is waited for beyond this.
PATIENCE_S = 30.0
RETRY_BASE_S = 0.3
RETRY_CAP_S = 10.0
#: A stream that held this long is not one of a row of failures.
STEADY_S = 10.0

log = logging.getLogger("chaptercast")


def backoff(failures: int) -> float:
    """Wait after that many failures in a row, in seconds: full jitter under a doubling cap."""
    return random.random() * min(RETRY_CAP_S, RETRY_BASE_S * 2.0 ** min(failures, 10))


class Http:
    """One server. Every answer is JSON or a ``ChaptercastError``."""

    def __init__(self, base_url: str, token: Token | None, http_client: httpx.AsyncClient | None) -> None:
        self._base_url = base_url.rstrip("/")
        self._token = token
        self._is_own = http_client is None
        self._client = http_client or httpx.AsyncClient(timeout=ANSWER_TIMEOUT_S)

    async def aclose(self) -> None:
        if self._is_own:
            await self._client.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        tries: int = TRIES,
    ) -> Any:
        """The answer’s JSON; None for 204."""
        deadline = time.monotonic() + PATIENCE_S
        for attempt in range(1, tries + 1):
            try:
                return await self._ask_once(method, path, query, body, headers)
            except ChaptercastError as error:
                wait = retry_wait(error, attempt)
                if wait is None or attempt == tries or time.monotonic() + wait > deadline:
                    raise
                await asyncio.sleep(wait)
        raise AssertionError("tries is at least 1")

    async def stream(
        self,
        path: str,
        last_event_id: Callable[[], int],
        patience: float | None,
    ) -> AsyncGenerator[ServerSentEvent | None, None]:
        """Server-sent events over as many connections as it takes.

        None says that a connection ended in order; it is replaced when the reader goes on. Ends with 204: nothing
        follows. ``patience`` is how long, in seconds, nothing may come before the last failure is thrown.
        """
        failures = 0
        failing_since: float | None = None
        while True:
            began = time.monotonic()
            failure: ChaptercastError | None = None
            try:
                async with aclosing(self._stream_once(path, last_event_id())) as events:
                    async for event in events:
                        if event is NOTHING_FOLLOWS:
                            return
                        # A comment, or `retry`.
                        if not event.data:
                            continue
                        failing_since = None
                        # Once a logged event came on this connection.
                        if event.id:
                            failures = 0
                        yield event
                yield None
            except ChaptercastError as error:
                failure = error
            if time.monotonic() - began >= STEADY_S:
                failures, failing_since = 0, None
            failures += 1
            wait: float | None = backoff(failures)
            if failure is not None:
                wait = retry_wait(failure, failures)
                failing_since = began if failing_since is None else failing_since
                is_too_long = patience is not None and time.monotonic() - failing_since > patience
                if wait is None or is_too_long:
                    raise failure
                log.warning("%s; connecting again in %.1f s", failure, wait)
            await asyncio.sleep(wait or 0)

    async def _ask_once(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
    ) -> Any:
        url = self._base_url + path
        sent = {"accept": "application/json", **(headers or {}), **await self._authorization()}
        try:
            response = await self._client.request(
                method, url, params=_present(query), json=_present(body), headers=sent
            )
        except httpx.TransportError as error:
            raise UnreachableError(url) from error
        if response.status_code == 204:
            return None
        if response.is_success and _is_json(response):
            return _json_of(response)
        raise _refusal(response)

    async def _stream_once(self, path: str, last_event_id: int) -> AsyncGenerator[ServerSentEvent, None]:
        url = self._base_url + path
        headers = {"accept": "text/event-stream", "cache-control": "no-store", **await self._authorization()}
        if last_event_id > 0:
            headers["last-event-id"] = str(last_event_id)
        timeout = httpx.Timeout(ANSWER_TIMEOUT_S, read=SILENCE_TIMEOUT_S)
        try:
            async with self._client.stream("GET", url, headers=headers, timeout=timeout) as response:
                if response.status_code == 204:
                    yield NOTHING_FOLLOWS
                    return
                if not response.is_success:
                    await response.aread()
                    raise _refusal(response)
                async for event in EventSource(response).aiter_sse():
                    yield event
        except SSEError as error:
            # A proxy in the server’s place, or another server. It is a transport error too.
            raise RefusedError("bad_answer", str(error)) from error
        except httpx.TransportError as error:
            raise UnreachableError(url) from error

    async def _authorization(self) -> dict[str, str]:
        token = self._token() if callable(self._token) else self._token
        if inspect.isawaitable(token):
            token = await token
        return {} if token is None else {"authorization": f"Bearer {token}"}


NOTHING_FOLLOWS = ServerSentEvent()


def retry_wait(error: ChaptercastError, failures: int) -> float | None:
    """Seconds until it makes sense to ask again; None when it never does."""
    wait = backoff(failures)
    if isinstance(error, UnreachableError):
        return wait
    if not isinstance(error, RefusedError) or error.status is None:
        return None
    if error.status in (408, 429) or error.status >= 500:
        return max(wait, error.retry_after or 0)
    return None


def _present(fields: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Without what was not given: the server refuses a null where it wants a text."""
    return None if fields is None else {name: value for name, value in fields.items() if value is not None}


def _is_json(response: httpx.Response) -> bool:
    media_type: str = response.headers.get("content-type", "").split(";")[0].strip()
    return media_type == "application/json" or media_type.endswith("+json")


def _json_of(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise RefusedError("bad_answer", "The answer is no JSON", status=response.status_code) from error


def _refusal(response: httpx.Response) -> RefusedError:
    status = response.status_code
    retry_after = _retry_after(response.headers.get("retry-after"))
    problem = _json_of(response) if _is_json(response) else None
    if not isinstance(problem, dict) or "code" not in problem:
        message = f"HTTP {status} without a reason"
        return RefusedError("bad_answer", message, status=status, retry_after=retry_after)
    return RefusedError(
        problem["code"],
        problem.get("detail") or problem.get("title") or f"HTTP {status}",
        status=status,
        errors=problem.get("errors", ()),
        request_id=problem.get("request_id"),
        retry_after=retry_after,
    )


def _retry_after(text: str | None) -> float | None:
    """Of a header that names seconds or, as proxies do, a date."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
