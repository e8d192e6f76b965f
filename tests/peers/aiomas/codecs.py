#!/usr/bin/env python3
"""The codecs of the real aiomas, for a test that compares ours with them.

Reads one request a line from stdin, a JSON object, and answers each with one line:
  {"decode": HEX, "codec": json|msgpack|blosc, "types": channel|rpc|container}  ->  {"content": DESCRIPTION}
  {"encode": DESCRIPTION, "codec": .., "types": ..}                             ->  {"hex": HEX}
  {"compress": HEX, "typesize": N, "clevel": N, "shuffle": N}                   ->  {"hex": HEX}
  {"decompress": HEX}                                                           ->  {"hex": HEX}
or, if the codec raises, {"error": TEXT}.  A description names the Python type of everything: {"int": "5"},
{"list": [..]}, {"dict": [[key, value], ..]}, {"date": ISO}, {"proxy": PATH}, {"object": [CLASS, data]}, ..
"""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import aiomas_compat  # noqa: F401, E402
import aiomas  # noqa: E402
import arrow  # noqa: E402
import blosc  # noqa: E402
import msgpack  # noqa: E402

CODECS = {"json": aiomas.JSON, "msgpack": aiomas.MsgPack, "blosc": aiomas.MsgPackBlosc}


@aiomas.codecs.serializable
class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y


@aiomas.codecs.serializable
class Grid:
    def __init__(self, name, points=()):
        self.name, self.points = name, points


class Proxy:
    """Stands for a service, as aiomas's own fallback for `object` does; that one needs a connection."""

    def __init__(self, path):
        self.path = path


def codec(request):
    made = CODECS[request["codec"]]()
    serializers = [Point.__serializer__(), Grid.__serializer__()]
    if request["types"] == "container":
        serializers.insert(0, aiomas.util.arrow_serializer())
    if request["types"] != "channel":
        serializers.append((object, lambda proxy: proxy.path, Proxy))
    for serializer in serializers:
        made.add_serializer(*serializer)
    return made


def describe(x):
    match x:
        case None:
            return None
        case bool():
            return {"bool": x}
        case int():
            return {"int": str(x)}
        case float():
            return {"float": repr(x)}
        case str():
            return {"str": x}
        case bytes():
            return {"bytes": x.hex()}
        case msgpack.ExtType():
            return {"ext": [x.code, x.data.hex()]}
        case msgpack.Timestamp():
            return {"ext": [-1, x.to_bytes().hex()]}
        case list() | tuple():
            return {"list": [describe(item) for item in x]}
        case dict():
            return {"dict": [[describe(key), describe(value)] for key, value in x.items()]}
        case arrow.Arrow():
            return {"date": str(x)}
        case Proxy():
            return {"proxy": x.path}
        case Point() | Grid():
            return {"object": [type(x).__name__, describe(x.__asdict__())]}
    raise TypeError(repr(x))


def build(d):
    if d is None:
        return None
    ((kind, x),) = d.items()
    match kind:
        case "bool" | "str":
            return x
        case "int":
            return int(x)
        case "float":
            return float(x)
        case "bytes":
            return bytes.fromhex(x)
        case "ext":
            data = bytes.fromhex(x[1])
            return msgpack.Timestamp.from_bytes(data) if x[0] == -1 else msgpack.ExtType(x[0], data)
        case "list":
            return [build(item) for item in x]
        case "dict":
            # a list as a key is a tuple
            key = lambda k: tuple(k) if isinstance(k, list) else k  # noqa: E731
            return {key(build(k)): build(v) for k, v in x}
        case "date":
            return arrow.get(x)
        case "proxy":
            return Proxy(x)
        case "object":
            return {"Point": Point, "Grid": Grid}[x[0]](**build(x[1]))
    raise TypeError(kind)


def answer(request):
    if "decode" in request:
        return {"content": describe(codec(request).decode(bytes.fromhex(request["decode"])))}
    if "encode" in request:
        return {"hex": codec(request).encode(build(request["encode"])).hex()}
    if "compress" in request:
        options = {key: request[key] for key in ("typesize", "clevel", "shuffle")}
        return {"hex": blosc.compress(bytes.fromhex(request["compress"]), cname="blosclz", **options).hex()}
    return {"hex": blosc.decompress(bytes.fromhex(request["decompress"])).hex()}


for line in sys.stdin:
    try:
        said = answer(json.loads(line))
    except Exception as e:
        said = {"error": f"{type(e).__name__}: {e}"}
    print(json.dumps(said), flush=True)
