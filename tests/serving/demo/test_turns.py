"""Who is next, and who is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from daformer_kedro.serving.demo.turns import TooManyWaitError, Turns


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns, also where a browser of other tests has a loop here."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


class Clients:
    """Clients whose work ends when it is told to."""

    def __init__(self, turns: Turns) -> None:
        self.begun: list[str] = []
        self._turns = turns
        self._ends: dict[str, asyncio.Event] = {}

    def ask(self, name: str) -> asyncio.Task[None]:
        """Ask as the client of the first letter."""
        self._ends[name] = asyncio.Event()
        return asyncio.ensure_future(self._work(name))

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await settled()

    async def _work(self, name: str) -> None:
        async with self._turns.take(name[0]):
            self.begun.append(name)
            await self._ends[name].wait()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def with_clients(
    scenario: Callable[[Clients], Coroutine[Any, Any, None]], turns: Turns
) -> None:
    async def main() -> None:
        await scenario(Clients(turns))

    run(main())


def test_a_client_who_asks_for_much_does_not_delay_another() -> None:
    async def scenario(clients: Clients) -> None:
        tasks = [clients.ask(f"a{number}") for number in range(5)]
        await settled()
        tasks.append(clients.ask("b0"))
        await settled()
        assert clients.begun == ["a0", "a1"]
        await clients.end("a0")
        assert clients.begun == ["a0", "a1", "b0"]
        await clients.end("b0")
        assert clients.begun[3:] == ["a2"]
        for name in ("a1", "a2", "a3", "a4"):
            await clients.end(name)
        await asyncio.gather(*tasks)
        assert clients.begun[3:] == ["a2", "a3", "a4"]
        assert not clients._turns._at_work

    with_clients(scenario, Turns(2, 10))


def test_of_a_full_queue_the_client_with_the_most_loses_the_newest() -> None:
    async def scenario(clients: Clients) -> None:
        tasks = [clients.ask(name) for name in ("a0", "a1", "a2", "b0", "a3")]
        await settled()
        with pytest.raises(TooManyWaitError):
            await tasks[4]
        tasks.append(clients.ask("c0"))
        await settled()
        with pytest.raises(TooManyWaitError):
            await tasks[2]
        for name in ("a0", "a1", "b0", "c0"):  # nobody has work under way
            await clients.end(name)
        assert clients.begun == ["a0", "a1", "b0", "c0"]

    with_clients(scenario, Turns(1, 3))


def test_who_gives_up_takes_no_turn() -> None:
    async def scenario(clients: Clients) -> None:
        first, second, third = (clients.ask(name) for name in ("a0", "b0", "c0"))
        await settled()
        second.cancel()
        await settled()
        await clients.end("a0")
        assert clients.begun == ["a0", "c0"]
        third.cancel()
        await settled()
        fourth = clients.ask("d0")
        await settled()
        assert clients.begun == ["a0", "c0", "d0"]
        fifth = clients.ask("e0")
        await settled()
        clients._ends["d0"].set()
        await asyncio.sleep(0)
        fifth.cancel()  # as its turn begins
        await settled()
        last = clients.ask("f0")
        await clients.end("f0")
        await asyncio.gather(first, fourth, last)
        assert clients.begun[-1] == "f0"

    with_clients(scenario, Turns(1, 10))
