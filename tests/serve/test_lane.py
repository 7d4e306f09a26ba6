"""Streams take turns with other jobs, make nothing ahead, and end when their reader does."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import aclosing
from typing import Any

import pytest

from serve.toys import until
from tocsin.serve.lane import Lane


class Count:
    """Counts up to `most`; it remembers how far it came and whether it was closed."""

    def __init__(self, most: int = 10_000) -> None:
        self.most = most
        self.made = 0
        self.is_closed = False
        self.go = threading.Event()
        self.go.set()

    def __call__(self) -> Generator[int, None, None]:
        try:
            for number in range(self.most):
                self.go.wait(10)
                self.made += 1
                yield number
        finally:
            self.is_closed = True


def run(act: Callable[[Lane], Awaitable[Any]], threads: int = 1) -> Any:
    async def talk() -> Any:
        lane = Lane(threads, 10, 10.0)
        try:
            return await asyncio.wait_for(act(lane), 10)
        finally:
            lane.close()

    return asyncio.run(talk())


@pytest.mark.parametrize("threads", [1, 3])
def test_items_come_in_order_and_the_job_is_closed_behind_the_last(threads: int) -> None:
    count = Count(200)

    async def act(lane: Lane) -> list[int]:
        return [number async for number in lane.stream(count)]

    assert run(act, threads) == list(range(200))
    assert count.is_closed


def test_an_item_is_made_when_it_is_asked_for() -> None:
    count = Count()

    async def act(lane: Lane) -> list[int]:
        made = [count.made]
        async with aclosing(lane.stream(count)) as numbers:
            for _ in range(3):
                await anext(numbers)
                await asyncio.sleep(0.02)
                made.append(count.made)
        return made

    assert run(act) == [0, 1, 2, 3]


def test_other_jobs_have_their_turn() -> None:
    """On the one thread that there is; the negative control is a job that holds it to its end."""

    async def act(lane: Lane) -> tuple[str, int]:
        count = Count()
        async with aclosing(lane.stream(count)) as numbers:
            await anext(numbers)
            return await lane.run(lambda: "other"), count.made

    async def hold(lane: Lane) -> int:
        count = Count()
        whole = asyncio.create_task(lane.run(lambda: list(count())))
        await asyncio.sleep(0)
        await lane.run(lambda: "other")
        made = count.made
        await whole
        return made

    assert run(act) == ("other", 1)
    assert run(hold) == 10_000


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("busy", [True, False])
def test_a_reader_that_stops_ends_the_job(threads: int, busy: bool) -> None:
    """Also where an item is being made at that time: it is waited for, in the lane, before the job is closed."""
    count = Count()

    async def act(lane: Lane) -> tuple[int, bool]:
        async def read() -> None:
            async for number in lane.stream(count):
                if number == 2:
                    if busy:
                        count.go.clear()
                    else:
                        await asyncio.sleep(10)

        task = asyncio.create_task(read())
        await until(lambda: count.made == 3 and (not busy or not count.go.is_set()))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        closed_early = count.is_closed and busy
        count.go.set()
        await until(lambda: count.is_closed)
        return count.made, closed_early

    made, closed_early = run(act, threads)
    assert made == (4 if busy else 3)
    assert not closed_early


def test_a_failure_reaches_the_reader_and_the_lane_goes_on() -> None:
    def fail() -> Generator[int, None, None]:
        yield 1
        raise OverflowError("two")

    async def act(lane: Lane) -> tuple[int, str]:
        numbers = lane.stream(fail)
        first = await anext(numbers)
        with pytest.raises(OverflowError, match="two"):
            await anext(numbers)
        return first, await lane.run(lambda: "on")

    assert run(act) == (1, "on")


def test_a_stream_may_be_closed_after_its_lane() -> None:
    async def act(lane: Lane) -> int:
        async with aclosing(lane.stream(Count())) as numbers:
            first = await anext(numbers)
            lane.close()
        return first

    assert run(act) == 0


def test_a_long_text_is_not_stuck_but_a_long_token_is() -> None:
    async def act(lane: Lane) -> tuple[bool, bool]:
        lane._patience = 0.1
        count = Count()
        async with aclosing(lane.stream(count)) as numbers:
            for _ in range(15):
                await anext(numbers)
                await asyncio.sleep(0.02)
            before = lane.is_stuck()
            count.go.clear()
            waiting = asyncio.ensure_future(anext(numbers))
            await asyncio.sleep(0.2)
            after = lane.is_stuck()
            count.go.set()
            await waiting
        return before, after

    assert run(act) == (False, True)
