"""The two faces of the client behind one, so that every test runs against both."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from zmqkernel.client import AsyncClient, Client
from zmqkernel.paths import Session
from zmqkernel.protocol.connection import ConnectionInfo


class Blocking:
    def __init__(self, info: ConnectionInfo, timeout: float = 10.0, session: Session | None = None) -> None:
        if session:
            self.client = Client(info, sender="tester", timeout=timeout, session=session)
            self.client.check()
        else:
            self.client = Client.connect(info, sender="tester", timeout=timeout)

    def run(self, code: str, **options: Any) -> tuple[list[Any], Any]:
        execution = self.client.execute(code, **options)
        return list(execution), execution.reply

    def call(self, name: str, *arguments: Any) -> Any:
        return getattr(self.client, name)(*arguments)

    def read(self, count: int, **options: Any) -> list[Any]:
        following = self.client.follow(**options)
        result = [record for record, _ in zip(following, range(count), strict=False)]
        following.close()
        return result

    def start_following(self) -> Any:
        return self.client.follow()

    def take(self, following: Any, count: int) -> list[Any]:
        return [next(following) for _ in range(count)]

    def drain(self, following: Any) -> list[Any]:
        return list(following)

    def close(self) -> None:
        self.client.close()


class Async:
    def __init__(self, info: ConnectionInfo, timeout: float = 10.0, session: Session | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        try:
            self.client = self._do(self._open(info, timeout, session))
        except BaseException:
            self._loop.close()
            raise

    async def _open(self, info: ConnectionInfo, timeout: float, session: Session | None) -> AsyncClient:  # noqa: ASYNC109
        if session is None:
            return await AsyncClient.connect(info, sender="tester", timeout=timeout)
        client = AsyncClient(info, sender="tester", timeout=timeout, session=session)
        await client.check()
        return client

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(asyncio.wait_for(work, 60))

    def run(self, code: str, **options: Any) -> tuple[list[Any], Any]:
        async def work() -> tuple[list[Any], Any]:
            execution = self.client.execute(code, **options)
            outputs = [output async for output in execution]
            return outputs, execution.reply

        return self._do(work())

    def call(self, name: str, *arguments: Any) -> Any:
        return self._do(getattr(self.client, name)(*arguments))

    def read(self, count: int, **options: Any) -> list[Any]:
        async def work() -> list[Any]:
            following = self.client.follow(**options)
            result: list[Any] = []
            async for record in following:
                result.append(record)
                if len(result) == count:
                    break
            following.close()
            return result

        return self._do(work())

    def start_following(self) -> Any:
        async def work() -> Any:
            return self.client.follow()

        return self._do(work())

    def take(self, following: Any, count: int) -> list[Any]:
        async def work() -> list[Any]:
            return [await anext(following) for _ in range(count)]

        return self._do(work())

    def drain(self, following: Any) -> list[Any]:
        async def work() -> list[Any]:
            return [record async for record in following]

        return self._do(work())

    def close(self) -> None:
        self.client.close()
        self._loop.close()
