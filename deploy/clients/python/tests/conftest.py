"""The servers of the tests: one that writes chapters itself, and one whose workers are the tests."""

from __future__ import annotations

from pathlib import Path
from typing import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from chaptercast import Chaptercast
from server import Server


@pytest.fixture(scope="session")
def sample_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Nothing is configured: the sample generator writes."""
    server = Server(tmp_path_factory.mktemp("sample"), GENERATOR_DELAY_MS="100")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Nobody writes but the test."""
    server = Server(tmp_path_factory.mktemp("quiet"), GENERATOR="off", GENERATION_RETRY_BASE_MS="0")
    yield server
    server.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest_asyncio.fixture
async def chapters(server: Server) -> AsyncIterator[Chaptercast]:
    async with Chaptercast(server.url) as client:
        yield client
