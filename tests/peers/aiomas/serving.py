"""The real aiomas as a server, with each codec on TCP and on Unix sockets: what `tests/aiomas/calling.rs` calls.

    serving.py

Prints one line of JSON, a list of {"codec", "transport", "rpc", "agents", "channel"} with addresses, when all listen. Ends
with its standard input.

* "rpc": the service of `aiomas_peer.py`, and `later(t)`, which answers after t seconds and counts, and `answered()`;
* "agents": a container with three agents of `aiomas_peer.py`;
* "channel": answers ["echo", x] with x, ["fail", x] with ValueError(x); for ["ask", x] it asks x back first.

All know one class of objects, Point.
"""
import asyncio
import json
import socket
import sys
import tempfile

from aiomas_peer import CODECS, Ag, Service, aiomas


@aiomas.codecs.serializable
class Point:
    def __init__(self, x, y):
        self.x = x
        self.y = y


class Root(Service):
    def __init__(self):
        super().__init__()
        self.count = 0

    @aiomas.expose
    async def later(self, t):
        await asyncio.sleep(t)
        self.count += 1

    @aiomas.expose
    def answered(self): return self.count

    @aiomas.expose
    def swap(self, point):
        assert isinstance(point, Point), point
        return Point(point.y, point.x)

    @aiomas.expose
    def caused(self):
        try:
            {}['x']
        except KeyError as error:
            raise RuntimeError('no x') from error


class Clever(Ag):
    @aiomas.expose
    def swap(self, point):
        assert isinstance(point, Point), point
        return Point(point.y, point.x)


async def answer(channel):
    while True:
        try:
            request = await channel.recv()
        except ConnectionError:
            return
        what, value = request.content
        if what == 'echo':
            await request.reply(value)
        elif what == 'fail':
            await request.fail(ValueError(value))
        else:
            await request.reply(['you said', await channel.send(value)])


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


async def main(directory):
    told = []
    for name, codec in CODECS.items():
        for transport in ('tcp', 'unix'):
            kw = dict(codec=codec, extra_serializers=[Point.__serializer__])

            def place(what):
                if transport == 'tcp':
                    address = ('127.0.0.1', free_port())
                    return address, f'tcp://{address[0]}:{address[1]}'
                path = f'{directory}/{name}-{what}'
                return path, f'ipc://[{path}]'
            places = {what: place(what) for what in ('rpc', 'agents', 'channel')}
            await aiomas.rpc.start_server(places['rpc'][0], Root(), **kw)
            await aiomas.channel.start_server(places['channel'][0], answer, **kw)
            container = await aiomas.Container.create(places['agents'][0], as_coro=True, **kw)
            for _ in range(3):
                Clever(container)
            told.append({'codec': name, 'transport': transport, **{what: url for what, (_, url) in places.items()}})
    print(json.dumps(told), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == '__main__':
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(main(made))
