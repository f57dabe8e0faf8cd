"""A real server of this checkout, as a user starts it, and workers that answer for it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[4]
START_S = 180.0

FINISHES: dict[str, dict[str, Any]] = {
    "concept": {"title": "변수란 무엇인가", "content": "# 변수\n\n값에 붙인 이름입니다."},
    "exercise": {"question": "두 변수의 값을 바꾸세요.", "answer": "a, b = b, a", "difficulty": "easy"},
    "quiz": {
        "quizzes": [
            {"question": "맞는 것은?", "correct_answer": "가", "options": ["가", "나"], "type": "multiple"}
        ]
    },
}


class Server:
    """``node dist/server.js``; ``npm run build`` comes before. Nothing is set but what a test sets."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._env = {
            "PATH": os.environ["PATH"],
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "DATA_DIR": "memory",
            "LOG_LEVEL": "warn",
            **env,
        }
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            ["node", str(ROOT / "dist" / "server.js")], cwd=self._folder, env=self._env
        )
        deadline = time.monotonic() + START_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError("the server did not start: run `npm run build` first")
            time.sleep(0.05)

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz").is_success
        except httpx.TransportError:
            return False

    async def post(self, path: str, body: dict[str, Any], token: str | None = None) -> Any:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient() as client:
            response = await client.post(self.url + path, json=body, headers=headers)
        assert response.is_success, response.text
        return response.json()

    async def finish(self, chapter_id: int, *kinds: str) -> None:
        for kind in kinds or FINISHES:
            await self.post(f"/v1/chapter/{chapter_id}/{kind}-finish", FINISHES[kind])


class Proxy:
    """A TCP proxy in front of a server, whose connections can be cut."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._writers: set[asyncio.StreamWriter] = set()
        self.connections = 0

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> None:
        for writer in [*self._writers]:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, target_writer}
        await asyncio.gather(_pipe(reader, target_writer), _pipe(target_reader, writer))
        self._writers -= {writer, target_writer}


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


def _free_port() -> int:
    """Below the ports that the system gives to clients, so that a restarted server finds it free."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free")
