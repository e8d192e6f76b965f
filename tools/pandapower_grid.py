#!/usr/bin/env python3
"""Makes cli/data/simbench/grid.json, the demo's grid as JSON of pandapower, from the cut tables beside it.

Why: mosaik-pandapower loads its grid from such a file, and the test of our own solver needs the same grid in pandapower.
The conversion is that of simbench's converter (converter/csv_pp_converter.py, format_information.py), except that nodes
joined by closed switches become one bus: no switches are left, the power flow is the same. Elements are made with unit
peak values as in the tables; profiles are not part of the file.

    pip install pandapower==3.5.6
    python3 tools/pandapower_grid.py
"""

import csv
import math
from pathlib import Path

import pandapower as pp

DATA = Path(__file__).resolve().parent.parent / "cli" / "data" / "simbench"


def table(name):
    """Returns the rows of one cut table as dicts."""
    with open(DATA / f"{name}.csv", newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


def busbars():
    """Returns {node: busbar}, following the closed switches from each busbar."""
    nodes = {row["id"]: row for row in table("Node")}
    closed = [(row["nodeA"], row["nodeB"]) for row in table("Switch") if row["cond"] == "1"]
    found = {node: node for node, row in nodes.items() if row["type"] == "busbar"}
    grown = True
    while grown:
        grown = False
        for a, b in closed:
            for near, far in ((a, b), (b, a)):
                if near in found and far not in found:
                    found[far] = found[near]
                    grown = True
    return nodes, found


def grid():
    """Returns the pandapower net."""
    net = pp.create_empty_network(name="1-LV-rural1--2-sw", f_hz=50.0, sn_mva=1.0, add_stdtypes=False)
    nodes, busbar_of = busbars()
    bus = {}
    for name in dict.fromkeys(busbar_of.values()):
        row = nodes[name]
        bus[name] = pp.create_bus(net, float(row["vmR"]), name=name, type="b", zone=row["subnet"],
                                  min_vm_pu=float(row["vmMin"]), max_vm_pu=float(row["vmMax"]))
    at = lambda node: bus[busbar_of[node]]

    for row in table("ExternalNet"):
        set_point = nodes[row["node"]]
        pp.create_ext_grid(net, at(row["node"]), vm_pu=float(set_point["vmSetp"]), va_degree=float(set_point["vaSetp"]), name=row["id"])

    types = {row["id"]: row for row in table("TransformerType")}
    for row in table("Transformer"):
        t = types[row["type"]]
        pp.create_transformer_from_parameters(
            net, at(row["nodeHV"]), at(row["nodeLV"]), name=row["id"], std_type=row["type"],
            sn_mva=float(t["sR"]), vn_hv_kv=float(t["vmHV"]), vn_lv_kv=float(t["vmLV"]), vk_percent=float(t["vmImp"]),
            vkr_percent=100 * float(t["pCu"]) / (float(t["sR"]) * 1e3), pfe_kw=float(t["pFe"]), i0_percent=float(t["iNoLoad"]),
            shift_degree=float(t["va0"]), tap_side=t["tapside"].lower(), tap_neutral=int(t["tapNeutr"]), tap_min=int(t["tapMin"]),
            tap_max=int(t["tapMax"]), tap_step_percent=float(t["dVm"]), tap_step_degree=0.0, tap_pos=int(row["tappos"]),
            tap_changer_type="Ratio", max_loading_percent=float(row["loadingMax"]))

    types = {row["id"]: row for row in table("LineType")}
    for row in table("Line"):
        t = types[row["type"]]
        pp.create_line_from_parameters(
            net, at(row["nodeA"]), at(row["nodeB"]), float(row["length"]), name=row["id"], std_type=row["type"], type=t["type"],
            r_ohm_per_km=float(t["r"]), x_ohm_per_km=float(t["x"]), c_nf_per_km=float(t["b"]) * 1e3 / (2 * math.pi * 50),
            max_i_ka=float(t["iMax"]) / 1e3, max_loading_percent=float(row["loadingMax"]))

    for row in table("Load"):
        pp.create_load(net, at(row["node"]), float(row["pLoad"]), float(row["qLoad"]), sn_mva=float(row["sR"]), name=row["id"])
    for row in table("RES"):
        pp.create_sgen(net, at(row["node"]), float(row["pRES"]), float(row["qRES"]), sn_mva=float(row["sR"]), name=row["id"], type="PV")
    for row in table("Storage"):
        # pandapower counts charging as positive; a storage stands still until it is told otherwise
        pp.create_storage(net, at(row["node"]), 0.0, float(row["eStore"]), q_mvar=0.0, sn_mva=float(row["sR"]), soc_percent=50.0, name=row["id"])
    return net


def main():
    net = grid()
    pp.runpp(net, tolerance_mva=1e-10)
    path = DATA / "grid.json"
    pp.to_json(net, str(path))
    print(f"{path}: {len(net.bus)} buses, {len(net.line)} lines, {len(net.load)} loads, {len(net.sgen)} PV plants, "
          f"{len(net.storage)} batteries, {path.stat().st_size / 1000:.1f} kB")


if __name__ == "__main__":
    main()
