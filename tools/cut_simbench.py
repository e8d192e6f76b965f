#!/usr/bin/env python3
"""Cuts the demo's grid and its week of profiles out of the PyPI package simbench.

Why a script: the data in cli/data/simbench are somebody else's (ODbL), so anybody must be able to make them again and
see that nothing was changed. It needs Python's standard library alone, and pip when it has to fetch the wheel.

    python3 tools/cut_simbench.py                            # fetches simbench 1.6.3 with pip
    python3 tools/cut_simbench.py --wheel simbench-1.6.3-py3-none-any.whl
    python3 tools/cut_simbench.py --check                    # compares with the files in the repository

The grid is SimBench's code 1-LV-rural1--2-sw: version 1, low voltage, rural1, scenario 2, with switches. As in simbench's
own extraction (networks/extract_simbench_grids_from_csv.py) that is subnet LV1.101 of 1-complete_data-mixed-all-2-sw: the
rows whose subnet starts with LV1.101; of Node and Switch also the rows on the boundary (the busbar MV1.101 Bus 4, which
feeds the transformer, and its breaker). Rows are copied as they are. Of the types only the used rows are kept, of the
profiles only the used columns and days. Columns of profiles with the same values throughout share one column, whose heading
joins their names by "=".
"""

import argparse
import csv
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSION = "1.6.3"
FOLDER = "simbench/networks/1-complete_data-mixed-all-2-sw/"
SUBNET = "LV1.101"
START = "22.05.2016 00:00"
DAYS = 7
STEPS_A_DAY = 96
OUT = Path(__file__).resolve().parent.parent / "cli" / "data" / "simbench"

# What 1-LV-rural1--2-sw must contain; a cut that differs is not the grid that the demo describes.
EXPECTED = {"Line": 13, "Load": 28, "RES": 8, "Storage": 5, "Transformer": 1, "ExternalNet": 1, "Switch": 28}


def fetch(folder):
    """Downloads the wheel into folder and returns its path."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
         "--dest", folder, f"simbench=={VERSION}"],
        check=True,
    )
    return next(Path(folder).glob("simbench-*.whl"))


class Tables:
    """The CSV files of the complete data set in the wheel."""

    def __init__(self, wheel):
        self.zip = zipfile.ZipFile(wheel)

    def rows(self, name):
        """Yields the header, then the rows of one table, as lists of strings."""
        with self.zip.open(f"{FOLDER}{name}.csv") as raw:
            yield from csv.reader(io.TextIOWrapper(raw, "utf-8", newline=""), delimiter=";")

    def cut(self, name, keep):
        """Returns the header and the rows for which keep(row as a dict) holds."""
        rows = self.rows(name)
        header = next(rows)
        return [header] + [row for row in rows if keep(dict(zip(header, row)))]

    def columns(self, name, wanted, days):
        """Returns the wanted columns of a profile table for the days from START, and the times."""
        rows = self.rows(name)
        header = next(rows)
        places = [header.index(column) for column in wanted]
        times, values = [], [[] for _ in wanted]
        for row in rows:
            if times or row[0] == START:
                times.append(row[0])
                for place, column in zip(places, values):
                    column.append(row[place])
                if len(times) == days * STEPS_A_DAY:
                    return times, dict(zip(wanted, values))
        sys.exit(f"{name}: fewer than {days} days from {START}")


def column(table, name):
    """Returns the values of one column of a table that starts with its header."""
    place = table[0].index(name)
    return [row[place] for row in table[1:]]


def cut(wheel, days):
    """Returns {file name: text} of everything that is cut."""
    source = Tables(wheel)
    own = lambda row: row["subnet"].split("_")[0] == SUBNET
    tables = {name: source.cut(name, own) for name in ("Line", "Load", "RES", "Storage", "Transformer", "ExternalNet")}

    # the boundary: the busbar of the external net, and what is joined to it or to the transformer by a switch
    nodes = set(column(tables["ExternalNet"], "node")) | set(column(tables["Transformer"], "nodeHV"))
    switch = lambda row: own(row) or {row["nodeA"], row["nodeB"]} <= nodes
    tables["Switch"] = source.cut("Switch", switch)
    tables["Node"] = source.cut("Node", lambda row: own(row) or row["id"] in nodes)
    for name, used in (("LineType", set(column(tables["Line"], "type"))),
                       ("TransformerType", set(column(tables["Transformer"], "type")))):
        tables[name] = source.cut(name, lambda row: row["id"] in used)

    for name, count in EXPECTED.items():
        if len(tables[name]) - 1 != count:
            sys.exit(f"{name}: {len(tables[name]) - 1} rows, expected {count}: not the grid 1-LV-rural1--2-sw")
    busbars = [row for row in tables["Node"][1:] if row[1] == "busbar"]
    if len(busbars) != 15:
        sys.exit(f"Node: {len(busbars)} busbars, expected 14 and the one that feeds the transformer")

    wanted = [f"{profile}_{kind}" for profile in sorted(set(column(tables["Load"], "profile"))) for kind in ("pload", "qload")]
    times, load = source.columns("LoadProfile", wanted, days)
    same_times, res = source.columns("RESProfile", sorted(set(column(tables["RES"], "profile"))), days)
    if times != same_times:
        sys.exit("LoadProfile and RESProfile have different times")
    names_of = {}
    for name, values in {**load, **res}.items():
        names_of.setdefault(tuple(values), []).append(name)
    tables["Profile"] = [["time"] + ["=".join(names) for names in names_of.values()]]
    tables["Profile"] += [list(row) for row in zip(times, *names_of)]

    return {f"{name}.csv": "".join(";".join(row) + "\n" for row in table) for name, table in sorted(tables.items())}


def notice(wheel, days):
    """Returns the text of NOTICE."""
    digest = hashlib.sha256(Path(wheel).read_bytes()).hexdigest()
    return f"""\
This folder contains information from SimBench, which is made available here under the Open Database License (ODbL) 1.0;
any rights in individual contents of the database are licensed under the Database Contents License (DbCL) 1.0.
The full texts are in ODbL-1.0.txt and DbCL-1.0.txt.

Source     SimBench, the PyPI package simbench {VERSION}, Copyright (c) 2019-2026 by University of Kassel, TU Dortmund,
           RWTH Aachen University and Fraunhofer Institute for Energy Economics and Energy System Technology (IEE) Kassel
           and individual contributors; https://simbench.de, https://github.com/e2nIEE/simbench
Wheel      simbench-{VERSION}-py3-none-any.whl
           sha256 {digest}
Folder     {FOLDER}
Cite       S. Meinecke, D. Sarajlic, S. R. Drauz, A. Klettke, L.-P. Lauven, C. Rehtanz, A. Moser, M. Braun:
           SimBench - A Benchmark Dataset of Electric Power Systems to Compare Innovative Solutions Based on Power Flow
           Analysis. Energies 2020, 13(12), 3290. https://doi.org/10.3390/en13123290

What was cut, by tools/cut_simbench.py, which makes these files again:
* the grid 1-LV-rural1--2-sw as it is: the rows of subnet LV1.101 of ExternalNet, Line, Load, Node, RES, Storage, Switch and
  Transformer, with the medium-voltage busbar that feeds it, and the used rows of LineType and TransformerType; no value was changed;
* Profile.csv: the used columns of LoadProfile and RESProfile, {days} days from {START} in steps of 15 minutes; no value was
  changed; columns that are equal throughout share one column, whose heading joins their names by "=".
Left out: Coordinates, Measurement, Substation, StudyCases, StorageProfile, and all other grids, days and profiles.

grid.json is the same grid, without profiles, as JSON of pandapower; made from these files by tools/pandapower_grid.py.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", help=f"path of simbench-{VERSION}-py3-none-any.whl; without it pip downloads the wheel")
    parser.add_argument("--days", type=int, default=DAYS, help="days of profiles (default %(default)s)")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write to (default %(default)s)")
    parser.add_argument("--check", action="store_true", help="write nothing, exit with 1 if the files differ")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheel = args.wheel or fetch(folder)
        files = cut(wheel, args.days)
        files["NOTICE"] = notice(wheel, args.days)
    total, differ = 0, []
    for name, text in files.items():
        path, data = args.out / name, text.encode()
        total += len(data)
        if args.check:
            if not path.exists() or path.read_bytes() != data:
                differ.append(name)
        else:
            args.out.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    if differ:
        sys.exit(f"different from the cut: {', '.join(differ)}")
    print(f"{len(files)} files, {total / 1000:.1f} kB, {'as cut' if args.check else 'written'}: {args.out}")


if __name__ == "__main__":
    main()
