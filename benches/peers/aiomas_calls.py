"""aiomas as a server and as a client of the bench `ratios`, with MsgPack.

  aiomas_calls.py server                    prints the address it listens on
  aiomas_calls.py client ADDR DEPTH COUNT   so many calls of `add`, DEPTH in flight on one connection; prints ns per call
                                            and the share of the time in which this process was computing
"""

import asyncio
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "peers" / "aiomas"))
import aiomas_compat  # noqa: E402, F401
import aiomas  # noqa: E402


class Calc:
    router = aiomas.rpc.Service()

    @aiomas.expose
    def add(self, a, b):
        return a + b


async def server():
    listener = await aiomas.rpc.start_server(("127.0.0.1", 0), Calc(), codec=aiomas.MsgPack)
    host, port = listener.sockets[0].getsockname()
    print(f"{host}:{port}", flush=True)
    await asyncio.get_running_loop().create_future()


async def run(remote, depth, count):
    async def caller():
        for n in range(count // depth):
            assert await remote.add(n % 64, 1) == n % 64 + 1

    await asyncio.gather(*(caller() for _ in range(depth)))


async def client(address, depth, count):
    host, port = address.rsplit(":", 1)
    connection = await aiomas.rpc.open_connection((host, int(port)), codec=aiomas.MsgPack)
    await run(connection.remote, depth, count // 4)
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    await run(connection.remote, depth, count)
    wall, cpu = time.perf_counter_ns() - wall, time.process_time_ns() - cpu
    print(wall / count, cpu / wall, flush=True)


loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
if sys.argv[1] == "server":
    loop.run_until_complete(server())
else:
    loop.run_until_complete(client(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
