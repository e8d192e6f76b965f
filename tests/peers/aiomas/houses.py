"""A master of the real aiomas, as its documentation has it, and agents that are not Python's: `examples/workers.rs`.

    houses.py URL CODEC
"""
import asyncio
import json
import sys

from aiomas_peer import CODECS, aiomas


async def main(url, codec):
    container = await aiomas.Container.create(('127.0.0.1', 0), codec=CODECS[codec], as_coro=True)
    manager = await container.connect(url, timeout=10)
    house, address = await manager.spawn('plant.house:House', 3600, kwh=0.5)
    await manager.set_time(0)
    # it was created at -1
    assert await house.kwh() == 1.5
    # a timer of a second, under steps of fifteen minutes
    await manager.set_time(900)
    assert await house.kwh() == 901.5
    await manager.set_time(1800.25)
    readings = await (await container.connect(address)).readings()
    await manager.stop()
    await container.shutdown(as_coro=True)
    print(json.dumps(readings), flush=True)


if __name__ == '__main__':
    asyncio.run(main(*sys.argv[1:]))
