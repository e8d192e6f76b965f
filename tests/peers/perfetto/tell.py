"""Tells what a Perfetto trace holds, as Perfetto's own protobuf classes read it: tracks, slices, instants, counters, flows.

    python tell.py TRACE

Prints one line each, in the order of the trace; a slice when it ends, and at the end those that never do. A flow is
told where it ends, with the event it comes from.
"""

import sys

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent


def main(path):
    trace = Trace()
    with open(path, "rb") as file:
        trace.ParseFromString(file.read())

    tracks = {}
    open_slices = {}
    flows = {}
    sequences = {packet.trusted_packet_sequence_id for packet in trace.packet}
    assert sequences == {1}, sequences

    for packet in trace.packet:
        if packet.HasField("track_descriptor"):
            track = packet.track_descriptor
            assert track.uuid not in tracks, f"track {track.uuid} is described twice"
            if track.HasField("process"):
                tracks[track.uuid] = track.process.process_name
                print(f"process {track.process.pid} {track.process.process_name}")
                continue
            name = f"{tracks[track.parent_uuid]} > {track.name}"
            tracks[track.uuid] = name
            print("counter" if track.HasField("counter") else "track", name)
            continue
        if not packet.HasField("track_event"):
            continue
        event = packet.track_event
        track = tracks[event.track_uuid]
        notes = {}
        for note in event.debug_annotations:
            notes[note.name] = note.string_value if note.HasField("string_value") else note.uint_value
        for flow in event.flow_ids:
            assert flow not in flows, f"a flow begins twice: {event}"
            flows[flow] = notes["event"]
        came = "".join(f" <- {flows.pop(flow)}" for flow in event.terminating_flow_ids)
        more = "".join(f" {key}={value}" for key, value in notes.items() if key != "event")
        if event.type == TrackEvent.TYPE_COUNTER:
            print(f"{packet.timestamp} [{track}] = {event.counter_value}")
        elif event.type == TrackEvent.TYPE_SLICE_BEGIN:
            open_slices.setdefault(event.track_uuid, []).append((packet.timestamp, event.name, came, notes["event"]))
        elif event.type == TrackEvent.TYPE_SLICE_END:
            begin, name, came, number = open_slices[event.track_uuid].pop()
            print(f"{begin}+{packet.timestamp - begin} [{track}] {name} #{number}{came}")
        elif event.type == TrackEvent.TYPE_INSTANT:
            category = ",".join(event.categories)
            print(f"{packet.timestamp} [{track}] {category}: {event.name} #{notes['event']}{came}{more}")
        else:
            raise AssertionError(f"an event of another type: {event}")

    for track, slices in open_slices.items():
        for begin, name, came, number in slices:
            print(f"{begin}+? [{tracks[track]}] {name} #{number}{came}")
    assert not flows, f"flows that end nowhere: {flows}"


main(sys.argv[1])
