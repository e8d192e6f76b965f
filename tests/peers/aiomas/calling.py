"""The real aiomas as the client of ours: each check is a promise about the other side, which is `aiomas_peer` in Rust.

    calling.py TARGETS

TARGETS is JSON: a list of {"name", "codec", "rpc", "agents", "channel", "here"}, where "rpc" is the address of `aiomas_peer server`,
"agents" the one of `aiomas_peer agents`, "channel" that of a channel that answers as `Channels` in `tests/aiomas/serving.rs`
does, and "here" one at which this program may listen. Prints one line of JSON for each check and target:
{"check", "target", "error"}; the error is null, or the traceback.
"""
import asyncio
import json
import math
import sys
import traceback

import arrow
from aiomas_peer import CODECS, Ag, addr, aiomas

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


class Target:
    def __init__(self, told):
        self.name = told['name']
        self.codec = CODECS[told['codec']]
        self.rpc, self.agents, self.channel, self.here = (addr(told[key]) for key in ('rpc', 'agents', 'channel', 'here'))
        self.binary = told['codec'] != 'json'

    def url(self, aid):
        return f'ipc://[{self.agents}]/{aid}' if isinstance(self.agents, str) else f'tcp://{self.agents[0]}:{self.agents[1]}/{aid}'

    async def client(self, service=None):
        return await aiomas.rpc.open_connection(self.rpc, rpc_service=service, timeout=5, codec=self.codec)

    async def container(self):
        return await aiomas.Container.create(self.here, codec=self.codec, as_coro=True)


class Own:
    """What our server calls back."""
    router = aiomas.rpc.Service()

    def __init__(self):
        self.pinged = 0

    @aiomas.expose
    def ping(self, *args):
        self.pinged += 1
        return ['own pong', *args]

    @aiomas.expose
    async def again(self, proxy):
        """Calls back itself, two levels deep."""
        return await proxy.add(20, b=2)

    @aiomas.expose
    def boom(self):
        raise KeyError('lost')


def same(got, expected):
    """Lists and tuples are the same; whole floats are floats."""
    if isinstance(expected, (list, tuple)):
        assert isinstance(got, (list, tuple)) and len(got) == len(expected), (got, expected)
        for one, other in zip(got, expected):
            same(one, other)
    elif isinstance(expected, dict):
        assert list(got) == list(expected), (got, expected)
        for key in expected:
            same(got[key], expected[key])
    elif isinstance(expected, float) and math.isnan(expected):
        assert isinstance(got, float) and math.isnan(got), got
    else:
        assert type(got) is type(expected) and got == expected, (got, expected)


async def fails(call):
    """The last line of what the other side raised."""
    try:
        result = await call
    except aiomas.RemoteException as error:
        return error.remote_traceback
    raise AssertionError(f'no failure but {result!r}')


VALUES = [
    None, True, 0, -1, 2 ** 31, -2 ** 63, 2 ** 64 - 1, 0.1, 1.0, -0.0, 1e300, 5e-324, math.inf, -math.inf, math.nan, '', 'ü\u2603\U0001f600"\\\n\0',
    [], [[], [1, [2.5]]], {}, {'a': {'b': [None]}, 'ü': ''},
]


@check
async def channel_asks_and_is_asked(t):
    channel = await aiomas.channel.open_connection(t.channel, timeout=5, codec=t.codec)
    values = VALUES + ([b'', b'\0\xff' * 40, {1: 'x', None: 'y', (1, 2): 'z'}] if t.binary else [])
    for value in values:
        same(await channel.send(['echo', value]), value)
    replies = [channel.send(['echo', n]) for n in range(500)]
    assert await asyncio.gather(*replies) == list(range(500))
    try:
        await channel.send(['fail', 42])
        raise AssertionError('no failure')
    except aiomas.RemoteException as error:
        assert error.remote_traceback == 'ValueError: 42\n', error.remote_traceback
    # it asks back before it answers, with an id of its own
    asked = channel.send(['ask', 'how much?'])
    request = await channel.recv()
    assert request.content == 'how much?', request.content
    await request.reply(1.5)
    assert await asked == ['you said', 1.5] or await asked == ('you said', 1.5)
    await channel.close()


@check
async def rpc_calls(t):
    con = await t.client()
    remote = con.remote
    assert await remote.add(1) == 1
    assert await remote.add(1, 2) == 3
    assert await remote.add(1, b=2) == 3
    assert await remote.add(a=0.5, b=2) == 2.5
    same(await remote.echo(), [[], {}])
    same(await remote.echo(*VALUES, a=1, b={'c': []}), [VALUES, {'a': 1, 'b': {'c': []}}])
    if t.binary:
        same(await remote.echo(b'\0\xff', {1: b''}), [[b'\0\xff', {1: b''}], {}])
    else:
        # beyond 64 bits
        same(await remote.echo(2 ** 70, -2 ** 70), [[2 ** 70, -2 ** 70], {}])
    same(await remote.echo('x' * 100_000), [['x' * 100_000], {}])
    await con.close()


@check
async def many_calls_at_once_are_answered_each(t):
    con = await t.client()
    sums = await asyncio.gather(*[con.remote.add(n, b=1) for n in range(500)])
    assert sums == list(range(1, 501))
    order = []

    async def slow(seconds):
        assert await con.remote.slow(seconds, r=seconds) == seconds
        order.append(seconds)
    await asyncio.gather(slow(.12), slow(0.), slow(.06))
    assert order == [0., .06, .12], order
    await con.close()


@check
async def nested_services(t):
    con = await t.client()
    assert await con.remote.sub.whoami() == 'sub'
    assert await fails(con.remote.sub.x()) == 'LookupError: Name "x" not found in "sub"\n'
    assert await fails(con.remote.x.whoami()) == 'LookupError: Name "x" not found in ""\n'
    assert await fails(con.remote.add.x()) == 'LookupError: Name "x" not found in "add"\n'
    await con.close()


@check
async def call_backs_during_a_call_and_proxies_as_arguments(t):
    own = Own()
    con = await t.client(own)
    same(await con.remote.call_back(own), ['own pong'])
    same(await con.remote.call_back(own, 'ping', 1, [2]), ['own pong', 1, [2]])
    same(await con.remote.call_back(proxy=own, method='ping'), ['own pong'])
    many = await asyncio.gather(*[con.remote.call_back(own, 'ping', n) for n in range(100)])
    same(many, [['own pong', n] for n in range(100)])
    assert own.pinged == 103
    failed = await fails(con.remote.call_back(own, 'boom'))
    assert failed.splitlines()[-1] == "KeyError: 'lost'", failed
    failed = await fails(con.remote.call_back(own, 'nothing'))
    assert failed.splitlines()[-1] == 'LookupError: Name "nothing" not found in ""', failed
    assert 'TypeError' in await fails(con.remote.call_back(5))
    await con.close()


@check
async def proxies_as_results(t):
    con = await t.client()
    sub = await con.remote.get_sub()
    assert isinstance(sub, aiomas.rpc.Proxy), sub
    assert await sub.whoami() == 'sub'
    await con.close()


@check
async def failures_have_kind_and_message(t):
    con = await t.client()
    assert await fails(con.remote.fail()) == 'ValueError: boom\n'
    assert await fails(con.remote.fail('a: b\nc')) == 'ValueError: a: b\nc\n'
    assert await fails(con.remote.add()) == "TypeError: add() missing 1 required positional argument: 'a'\n"
    assert await fails(con.remote.add(1, 2, 3)) == 'TypeError: add() takes from 1 to 2 positional arguments but 3 were given\n'
    assert await fails(con.remote.add(1, c=2)) == "TypeError: add() got an unexpected keyword argument 'c'\n"
    assert await fails(con.remote.nothing()) == 'LookupError: Name "nothing" not found in ""\n'
    assert await con.remote.add(1, 1) == 2
    await con.close()


@check
async def a_caller_that_gave_up_dies_of_the_late_reply_and_nobody_else_does(t):
    hasty, other = await t.client(), await t.client()
    try:
        await asyncio.wait_for(hasty.remote.slow(.4, r='late'), .01)
        raise AssertionError('it was not late')
    except asyncio.TimeoutError:
        pass
    asked = asyncio.ensure_future(other.remote.slow(.1, r='in time'))
    # aiomas closes its own side when an answer to nobody comes; the other side cannot know that it gave up
    for _ in range(200):
        await asyncio.sleep(.02)
        try:
            await hasty.remote.add(1)
        except (ConnectionError, RuntimeError):
            break
    else:
        raise AssertionError('it survived: say so in the documentation')
    assert await asked == 'in time'
    assert await other.remote.add(1, 1) == 2
    third = await t.client()
    assert await third.remote.add(2, 2) == 4
    for con in (other, third, hasty):
        await con.close()


@check
async def agents_and_connect(t):
    c = await t.container()
    me, agent = Ag(c), await c.connect(t.url(0), timeout=5)
    assert str(agent) == f'AgProxy({t.url(0)!r})', str(agent)
    assert await agent.ping() == 'pong from ' + t.url(0)
    same(await agent.echo(*VALUES, k=[1.5]), [VALUES, {'k': [1.5]}])
    other = await c.connect(t.url(1))
    assert await other.ping() == 'pong from ' + t.url(1)
    # over the same connection: by the proxy we pass, and by our address
    assert await agent.call_back(me) == 'pong from ' + me.addr
    assert await agent.keep(me) is None
    assert await agent.call_kept('ping') == 'pong from ' + me.addr
    same(await agent.call_kept('echo', 1, [2]), [[1, [2]], {}])
    assert await agent.call(me.addr, 'ping') == 'pong from ' + me.addr
    assert await agent.call(t.url(2), 'ping') == 'pong from ' + t.url(2)
    failed = await fails(agent.call_kept('nothing'))
    # in the dictionary of agents names are paths
    assert failed.splitlines()[-1].startswith('LookupError: Name "nothing" not found in "agents/0"'), failed
    assert await fails(other.call_kept('ping')) == 'ValueError: nobody was kept\n'
    await c.shutdown(as_coro=True)


@check
async def a_proxy_is_called_by_several_at_once(t):
    c = await t.container()
    me, agent = Ag(c), await c.connect(t.url(0), timeout=5)
    pongs = await asyncio.gather(*[agent.call_back(me, 'echo', n) for n in range(200)])
    same(pongs, [[[n], {}] for n in range(200)])
    await c.shutdown(as_coro=True)


@check
async def dates(t):
    c = await t.container()
    agent = await c.connect(t.url(0), timeout=5)
    for text in ('2016-01-01T00:00:00+01:00', '2016-02-28T23:59:59.123456-05:30', '1969-12-31T00:00:00+00:00', '2400-01-01T00:00:00+00:00'):
        date = arrow.get(text)
        moved = await agent.when(date)
        assert isinstance(moved, arrow.Arrow), moved
        assert str(moved) == str(date.shift(days=1)), moved
        same(str((await agent.echo(date))[0][0]), str(date))
    assert await agent.when('tomorrow') == 'tomorrow'
    await c.shutdown(as_coro=True)


@check
async def validate_aid(t):
    con = await aiomas.rpc.open_connection(t.agents, timeout=5, codec=t.codec, extra_serializers=[aiomas.util.arrow_serializer])
    assert await con.remote.validate_aid('0') == 'Ag'
    assert await con.remote.validate_aid('2') == 'Ag'
    assert await con.remote.validate_aid('3') is None
    assert await con.remote.validate_aid('') is None
    await con.close()
    c = await t.container()
    try:
        await c.connect(t.url(3), timeout=5)
        raise AssertionError('no such agent')
    except ConnectionError as error:
        assert 'Agent "3" does not exist' in str(error), error
    await c.shutdown(as_coro=True)


@check
async def nothing_is_reached_by_accident(t):
    con = await aiomas.rpc.open_connection(t.agents, timeout=5, codec=t.codec, extra_serializers=[aiomas.util.arrow_serializer])
    zero = getattr(con.remote.agents, '0')
    for call in (zero.container.validate_aid('0'), zero.kept.ping(), con.remote.agents(), zero(), con.remote.shutdown(), con.remote.agents.x.ping()):
        failed = await fails(call)
        assert failed.startswith('LookupError: '), failed
    assert (await zero.ping()).startswith('pong from ')
    await con.close()


async def main(targets):
    async def one(function, target):
        error = None
        try:
            await asyncio.wait_for(function(target), 15)
        except BaseException:
            error = traceback.format_exc()
        print(json.dumps({'check': function.__name__, 'target': target.name, 'error': error}), flush=True)

    async def all_of(target):
        for function in CHECKS:
            await one(function, target)
    await asyncio.gather(*[all_of(Target(told)) for told in targets])


if __name__ == '__main__':
    asyncio.run(main(json.loads(sys.argv[1])))
