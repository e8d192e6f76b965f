"""Solves the demo's grid with pandapower; the Python side of cli/tests/pandapower.rs.

    python check_grid.py cli/data/simbench/grid.json < injections

reads one set of injections a line from standard input, `p_kw:q_kvar` for each bus in the order of the file's bus table,
positive when they feed in, and writes one line for each: the voltages of all buses in per unit, the transformer's loading
in percent, its active and reactive power at the HV and the LV side in kW and kvar, the highest loading of a line in
percent, and the losses in kW. Everything in the file that consumes or feeds in is replaced by the injections; all options
of the power flow are pandapower's defaults but the tolerance.
"""

import sys
import warnings

warnings.filterwarnings("ignore")

import pandapower as pp


def main():
    net = pp.from_json(sys.argv[1])
    for table in ("load", "sgen", "storage"):
        net[table]["in_service"] = False
    injected = pp.create_sgens(net, net.bus.index, 0.0)
    for line in sys.stdin:
        powers = [tuple(float(number) / 1e3 for number in cell.split(":")) for cell in line.split()]
        if len(powers) != len(net.bus):
            sys.exit(f"{len(powers)} injections for {len(net.bus)} buses")
        net.sgen.loc[injected, "p_mw"] = [p for p, _ in powers]
        net.sgen.loc[injected, "q_mvar"] = [q for _, q in powers]
        pp.runpp(net, tolerance_mva=1e-10, numba=False)
        trafo = net.res_trafo.iloc[0]
        numbers = list(net.res_bus.vm_pu)
        numbers += [trafo.loading_percent, 1e3 * trafo.p_hv_mw, 1e3 * trafo.q_hv_mvar, -1e3 * trafo.p_lv_mw, -1e3 * trafo.q_lv_mvar]
        numbers += [net.res_line.loading_percent.max(), 1e3 * (net.res_trafo.pl_mw.sum() + net.res_line.pl_mw.sum())]
        print(*(repr(float(number)) for number in numbers))


if __name__ == "__main__":
    main()
