"""Turns at work of which only so much is done at once, shared among clients."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


class TooManyWaitError(Exception):
    """The queue is full, and most of it is this client's."""


@dataclass(eq=False)
class _Waiting:
    client: str
    turn: asyncio.Future[None]


class Turns:
    """A queue in which whoever asks for much makes mostly themselves wait.

    The next turn is that of the client with the least work under way; among equals, of
    the one who has waited longest. Of a full queue the client with the most in it
    loses the newest.

    Args:
        num_at_once: how much is done at once.
        most_waiting: length of the queue.
    """

    def __init__(self, num_at_once: int, most_waiting: int) -> None:
        self._num_free = num_at_once
        self._most_waiting = most_waiting
        self._waiting: list[_Waiting] = []
        self._at_work: Counter[str] = Counter()

    @asynccontextmanager
    async def take(self, client: str) -> AsyncIterator[None]:
        """Wait for a turn, which ends with the block.

        Raises:
            TooManyWaitError: the queue is full.
        """
        waiting = _Waiting(client, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._begin_next()
        if len(self._waiting) > self._most_waiting:
            self._refuse_one()
        try:
            await waiting.turn
        except asyncio.CancelledError:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            elif not waiting.turn.cancelled():  # it had just begun
                self._end(client)
            raise
        try:
            yield
        finally:
            self._end(client)

    def _begin_next(self) -> None:
        while self._num_free and self._waiting:
            # min takes the first of equals.
            chosen = min(self._waiting, key=lambda w: self._at_work[w.client])
            self._waiting.remove(chosen)
            if not chosen.turn.done():
                self._num_free -= 1
                self._at_work[chosen.client] += 1
                chosen.turn.set_result(None)

    def _end(self, client: str) -> None:
        self._num_free += 1
        self._at_work[client] -= 1
        self._at_work += Counter()  # forgets who has none
        self._begin_next()

    def _refuse_one(self) -> None:
        numbers = Counter(waiting.client for waiting in self._waiting)
        most = max(numbers.values())
        refused = next(w for w in reversed(self._waiting) if numbers[w.client] == most)
        self._waiting.remove(refused)
        if not refused.turn.done():
            refused.turn.set_exception(TooManyWaitError())
