"""A master of the real aiomas: drives a container that has a manager, aiomas's or ours, in the same words.

    master.py HERE URL CODEC [CA,CERT,KEY]

HERE is an address at which this program may listen, URL that of the manager. Prints what it has seen as one line of JSON, which is to be
the same whoever has the manager.
"""
import asyncio
import json
import sys

from aiomas_peer import CODECS, Ag, addr, aiomas


async def failed(call):
    try:
        await call
    except aiomas.RemoteException as error:
        return error.remote_traceback.strip().splitlines()[-1]
    raise AssertionError('no failure')


async def main(here, url, codec, files=None):
    ssl = aiomas.SSLCerts(*files.split(',')) if files else None
    container = await aiomas.Container.create(addr(here), codec=CODECS[codec], ssl=ssl, as_coro=True)
    me = Ag(container)
    manager = await container.connect(url, timeout=10)
    seen = {}
    base = url[:-2]
    proxy, address = await manager.spawn('aiomas_peer:Ag')
    seen['address'] = address[len(base):]
    seen['pong'] = (await proxy.ping())[len('pong from ' + base):]
    other, its_address = await manager.spawn('aiomas_peer:Ag')
    seen['second'] = its_address[len(base):]
    # by its address, too
    again = await container.connect(address)
    seen['echo'] = await again.echo(1, k=[2.5])
    seen['back'] = (await proxy.call_back(me))[:len('pong from ')]

    # time stands until it is set
    waiting = asyncio.ensure_future(proxy.sleep_until(5))
    later = asyncio.ensure_future(other.sleep_until(7.5))
    await asyncio.sleep(.02)
    assert not waiting.done() and not later.done()
    seen['set'] = await manager.set_time(0)
    await asyncio.sleep(.02)
    assert not waiting.done() and not later.done()
    await manager.set_time(5)
    seen['woken'] = await waiting
    assert not later.done()
    await manager.set_time(7.5)
    seen['later'] = await later

    # what is wrong, in its words
    seen['again'] = await failed(manager.set_time(7.5))
    seen['back in time'] = await failed(manager.set_time(1))
    seen['past'] = await failed(proxy.sleep_until(2))
    seen['kind of unknown'] = (await failed(manager.spawn('aiomas_peer:Nobody'))).split(':')[0] in ('LookupError', 'ValueError', 'AttributeError', 'ImportError')
    seen['kind of surplus'] = (await failed(manager.spawn('aiomas_peer:Ag', 1, 2))).split(':')[0]
    seen['stop'] = await manager.stop()
    await container.shutdown(as_coro=True)
    print(json.dumps(seen), flush=True)


if __name__ == '__main__':
    asyncio.run(main(*sys.argv[1:]))
