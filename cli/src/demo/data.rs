//! The demo's data: one SimBench low-voltage grid and a week of its profiles, embedded in the program.
//!
//! Why embedded: `isochrone demo` must run on a clean machine without a network. The tables in `cli/data/simbench/` are
//! copied row by row out of SimBench by `tools/cut_simbench.py`, so they still have its shape: nodes joined by switches,
//! types apart from elements, powers in MW, profiles as factors. This file turns them into plain structs in kW and indices.
//!
//! Contract: nodes joined by a closed switch are one bus, named by its busbar; bus 0 is the medium-voltage busbar that feeds
//! the transformer. Loads are positive when they consume, PV plants when they feed in.
//!
//! Failure modes: a table that does not read is a [`DataError`] that names table, row and column; nothing panics.

use std::collections::BTreeMap;

/// Length of one step of the profiles in hours.
pub const STEP_HOURS: f64 = 0.25;

/// The line that has to stand wherever the data or figures made from them are shown.
pub const LICENCE_LINE: &str = "Contains information from SimBench (PyPI package simbench 1.6.3, grid 1-LV-rural1--2-sw), \
    made available under the Open Database License (ODbL) 1.0, contents under the Database Contents License (DbCL) 1.0. \
    S. Meinecke et al., SimBench - A Benchmark Dataset of Electric Power Systems, Energies 2020, 13(12), 3290, \
    doi 10.3390/en13123290.";

/// A table that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A table has no column of this name.
    #[error("{table}: no column {column}")]
    NoColumn {
        /// File name of the table.
        table: &'static str,
        /// The column that was looked for.
        column: String,
    },
    /// A row has more or fewer cells than the header.
    #[error("{table}, line {line}: {found} cells where the header has {expected}")]
    Ragged {
        /// File name of the table.
        table: &'static str,
        /// Line in the file, from 1.
        line: usize,
        /// Cells in the header.
        expected: usize,
        /// Cells in the row.
        found: usize,
    },
    /// A cell is not a finite number.
    #[error("{table}, line {line}, column {column}: {value:?} is not a number")]
    NotANumber {
        /// File name of the table.
        table: &'static str,
        /// Line in the file, from 1.
        line: usize,
        /// Heading of the column.
        column: String,
        /// What stands there.
        value: String,
    },
    /// A row refers to something that no other table has.
    #[error("{table}: {element} refers to {missing:?}, which is not there")]
    Dangling {
        /// File name of the table.
        table: &'static str,
        /// The element that refers.
        element: String,
        /// What it refers to.
        missing: String,
    },
    /// A table has more or fewer rows than the demo is made for, or a value that it does not know.
    #[error("{table}: {what}")]
    Unexpected {
        /// File name of the table.
        table: &'static str,
        /// What was found.
        what: String,
    },
}

/// Active and reactive power.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Power {
    /// Active power in kW.
    pub p_kw: f64,
    /// Reactive power in kvar, inductive positive.
    pub q_kvar: f64,
}

/// A busbar with everything that closed switches join to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Bus {
    /// SimBench's name of the busbar.
    pub name: String,
    /// Nominal voltage, line to line, in kV.
    pub vn_kv: f64,
    /// Lowest allowed voltage in per unit.
    pub vm_min: f64,
    /// Highest allowed voltage in per unit.
    pub vm_max: f64,
}

/// A cable.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// SimBench's name.
    pub name: String,
    /// Bus at one end.
    pub from: usize,
    /// Bus at the other end.
    pub to: usize,
    /// Length in km.
    pub length_km: f64,
    /// Resistance in ohm per km.
    pub r_ohm_per_km: f64,
    /// Reactance in ohm per km.
    pub x_ohm_per_km: f64,
    /// Capacitive susceptance in microsiemens per km, at 50 Hz.
    pub b_us_per_km: f64,
    /// Rated current in A.
    pub i_max_a: f64,
}

/// The transformer, tapped on the high-voltage side.
#[derive(Debug, Clone, PartialEq)]
pub struct Transformer {
    /// SimBench's name.
    pub name: String,
    /// Bus on the medium-voltage side.
    pub hv: usize,
    /// Bus on the low-voltage side.
    pub lv: usize,
    /// Rating in kVA.
    pub rating_kva: f64,
    /// Rated voltage of the high-voltage side in kV.
    pub vn_hv_kv: f64,
    /// Rated voltage of the low-voltage side in kV.
    pub vn_lv_kv: f64,
    /// Short-circuit voltage in percent.
    pub vk_percent: f64,
    /// Copper losses at rated current in kW.
    pub copper_kw: f64,
    /// Iron losses in kW.
    pub iron_kw: f64,
    /// No-load current in percent of the rated one.
    pub no_load_percent: f64,
    /// How many percent the tap changer adds to the rated voltage of the high-voltage side.
    pub tap_percent: f64,
}

/// What a load is, told from its profile: SimBench gives chargers and heat pumps profiles of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LoadKind {
    /// A home or a farm (profiles `H0-*` and `L*`): not to be touched.
    Site,
    /// A charging point for electric vehicles (profiles `HLS_*`).
    Charger,
    /// A heat pump (profiles `Air_*` and `Soil_*`).
    HeatPump,
}

/// A consumer.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// SimBench's name.
    pub name: String,
    /// The bus it is connected to.
    pub bus: usize,
    /// What it is.
    pub kind: LoadKind,
    /// Power at factor 1.
    pub peak: Power,
    p_profile: usize,
    q_profile: usize,
}

/// A PV plant.
#[derive(Debug, Clone, PartialEq)]
pub struct Plant {
    /// SimBench's name.
    pub name: String,
    /// The bus it is connected to.
    pub bus: usize,
    /// Power at factor 1, in kW.
    pub peak_kw: f64,
    profile: usize,
}

/// A battery.
#[derive(Debug, Clone, PartialEq)]
pub struct Battery {
    /// SimBench's name.
    pub name: String,
    /// The bus it is connected to.
    pub bus: usize,
    /// Most power it takes or gives at its terminals, in kW.
    pub power_kw: f64,
    /// Energy it holds when full, in kWh.
    pub energy_kwh: f64,
    /// Efficiency of charging, and again of discharging (SimBench does not say which it means: this is the cautious reading).
    pub efficiency: f64,
    /// Share of its content that it loses in a day.
    pub self_discharge_per_day: f64,
}

/// A grid and a stretch of time: everything the demo knows about the world.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// All buses; 0 is the one of the external net.
    pub buses: Vec<Bus>,
    /// Voltage of bus 0 in per unit.
    pub slack_vm_pu: f64,
    /// The transformer.
    pub transformer: Transformer,
    /// All lines.
    pub lines: Vec<Line>,
    /// All loads.
    pub loads: Vec<Load>,
    /// All PV plants.
    pub plants: Vec<Plant>,
    /// All batteries.
    pub batteries: Vec<Battery>,
    times: Vec<String>,
    profiles: Vec<Vec<f64>>,
}

impl Case {
    /// Reads the embedded tables.
    ///
    /// # Errors
    /// [`DataError`] if a table is not what `tools/cut_simbench.py` writes.
    pub fn embedded() -> Result<Case, DataError> {
        macro_rules! table {
            ($name:literal) => {
                Table::parse(
                    concat!($name, ".csv"),
                    include_str!(concat!("../../data/simbench/", $name, ".csv")),
                )?
            };
        }
        let (node, switch) = (table!("Node"), table!("Switch"));
        let (buses, bus_of, set_points) = buses(&node, &switch, &table!("ExternalNet"))?;
        let (times, profiles, profile_of) = profiles(&table!("Profile"))?;
        let places = Places { bus_of, profile_of };
        Ok(Case {
            slack_vm_pu: set_points,
            transformer: transformer(&table!("Transformer"), &table!("TransformerType"), &places)?,
            lines: lines(&table!("Line"), &table!("LineType"), &places)?,
            loads: loads(&table!("Load"), &places)?,
            plants: plants(&table!("RES"), &places)?,
            batteries: batteries(&table!("Storage"), &places)?,
            buses,
            times,
            profiles,
        })
    }

    /// How many steps of 15 minutes the profiles have.
    pub fn steps(&self) -> usize {
        self.times.len()
    }

    /// SimBench's time of the beginning of a step, `dd.mm.yyyy hh:mm`; empty beyond the last one.
    pub fn time(&self, step: usize) -> &str {
        self.times.get(step).map_or("", String::as_str)
    }

    /// What a load consumes in a step; nothing beyond the last one.
    pub fn load(&self, load: &Load, step: usize) -> Power {
        Power {
            p_kw: load.peak.p_kw * self.factor(load.p_profile, step),
            q_kvar: load.peak.q_kvar * self.factor(load.q_profile, step),
        }
    }

    /// What a PV plant could feed in in a step, in kW; nothing beyond the last one.
    pub fn plant_kw(&self, plant: &Plant, step: usize) -> f64 {
        plant.peak_kw * self.factor(plant.profile, step)
    }

    /// Injections per bus in a step if nobody controls anything and the batteries stand still.
    pub fn uncontrolled(&self, step: usize) -> Vec<Power> {
        let mut injections = vec![Power::default(); self.buses.len()];
        for load in &self.loads {
            let power = self.load(load, step);
            injections[load.bus].p_kw -= power.p_kw;
            injections[load.bus].q_kvar -= power.q_kvar;
        }
        for plant in &self.plants {
            injections[plant.bus].p_kw += self.plant_kw(plant, step);
        }
        injections
    }

    fn factor(&self, profile: usize, step: usize) -> f64 {
        self.profiles.get(profile).and_then(|values| values.get(step)).copied().unwrap_or(0.0)
    }
}

/// Where names of nodes and profiles lead.
struct Places {
    bus_of: BTreeMap<String, usize>,
    profile_of: BTreeMap<String, usize>,
}

impl Places {
    fn bus(&self, row: &Row<'_>, column: &str) -> Result<usize, DataError> {
        let node = row.text(column)?;
        self.bus_of.get(node).copied().ok_or_else(|| row.dangling(node))
    }

    fn profile(&self, row: &Row<'_>, name: &str) -> Result<usize, DataError> {
        self.profile_of.get(name).copied().ok_or_else(|| row.dangling(name))
    }
}

type Buses = (Vec<Bus>, BTreeMap<String, usize>, f64);

/// Joins the nodes along closed switches; the bus of the external net comes first.
fn buses(nodes: &Table<'_>, switches: &Table<'_>, external: &Table<'_>) -> Result<Buses, DataError> {
    let net = external.only_row()?;
    let feeder = net.text("node")?;
    let mut buses = Vec::new();
    let mut bus_of = BTreeMap::new();
    let mut set_point = None;
    for row in nodes.rows() {
        if row.text("type")? != "busbar" {
            continue;
        }
        let name = row.text("id")?;
        if name == feeder {
            set_point = Some(row.number("vmSetp")?);
            buses.insert(0, name);
        } else {
            buses.push(name);
        }
    }
    let Some(set_point) = set_point else { return Err(net.dangling(feeder)) };
    for (bus, name) in buses.iter().enumerate() {
        bus_of.insert((*name).to_owned(), bus);
    }
    loop {
        let known = bus_of.len();
        for row in switches.rows() {
            if row.text("cond")? != "1" {
                continue;
            }
            let (a, b) = (row.text("nodeA")?, row.text("nodeB")?);
            for (near, far) in [(a, b), (b, a)] {
                if let (Some(&bus), false) = (bus_of.get(near), bus_of.contains_key(far)) {
                    bus_of.insert(far.to_owned(), bus);
                }
            }
        }
        if bus_of.len() == known {
            break;
        }
    }
    let mut parsed = Vec::new();
    for name in buses {
        for row in nodes.rows() {
            if row.text("id")? == name {
                parsed.push(Bus {
                    name: name.to_owned(),
                    vn_kv: row.number("vmR")?,
                    vm_min: row.number("vmMin")?,
                    vm_max: row.number("vmMax")?,
                });
            }
        }
    }
    Ok((parsed, bus_of, set_point))
}

fn transformer(table: &Table<'_>, types: &Table<'_>, places: &Places) -> Result<Transformer, DataError> {
    let row = table.only_row()?;
    let kind = types.named(&row, "type")?;
    if kind.text("tapside")? != "HV" || kind.number("dVa")? != 0.0 {
        return Err(DataError::Unexpected {
            table: types.name,
            what: "a tap changer that is not one of the voltage of the HV side".into(),
        });
    }
    Ok(Transformer {
        name: row.text("id")?.to_owned(),
        hv: places.bus(&row, "nodeHV")?,
        lv: places.bus(&row, "nodeLV")?,
        rating_kva: 1e3 * kind.number("sR")?,
        vn_hv_kv: kind.number("vmHV")?,
        vn_lv_kv: kind.number("vmLV")?,
        vk_percent: kind.number("vmImp")?,
        copper_kw: kind.number("pCu")?,
        iron_kw: kind.number("pFe")?,
        no_load_percent: kind.number("iNoLoad")?,
        tap_percent: (row.number("tappos")? - kind.number("tapNeutr")?) * kind.number("dVm")?,
    })
}

fn lines(table: &Table<'_>, types: &Table<'_>, places: &Places) -> Result<Vec<Line>, DataError> {
    table
        .rows()
        .map(|row| {
            let kind = types.named(&row, "type")?;
            Ok(Line {
                name: row.text("id")?.to_owned(),
                from: places.bus(&row, "nodeA")?,
                to: places.bus(&row, "nodeB")?,
                length_km: row.number("length")?,
                r_ohm_per_km: kind.number("r")?,
                x_ohm_per_km: kind.number("x")?,
                b_us_per_km: kind.number("b")?,
                i_max_a: kind.number("iMax")?,
            })
        })
        .collect()
}

fn loads(table: &Table<'_>, places: &Places) -> Result<Vec<Load>, DataError> {
    table
        .rows()
        .map(|row| {
            let profile = row.text("profile")?;
            let kind = match profile {
                name if name.starts_with("HLS_") => LoadKind::Charger,
                name if name.starts_with("Air_") || name.starts_with("Soil_") => LoadKind::HeatPump,
                name if name.starts_with("H0-") || name.starts_with('L') => LoadKind::Site,
                name => {
                    return Err(DataError::Unexpected {
                        table: table.name,
                        what: format!("profile {name} of no known kind"),
                    });
                }
            };
            Ok(Load {
                name: row.text("id")?.to_owned(),
                bus: places.bus(&row, "node")?,
                kind,
                peak: Power { p_kw: 1e3 * row.number("pLoad")?, q_kvar: 1e3 * row.number("qLoad")? },
                p_profile: places.profile(&row, &format!("{profile}_pload"))?,
                q_profile: places.profile(&row, &format!("{profile}_qload"))?,
            })
        })
        .collect()
}

fn plants(table: &Table<'_>, places: &Places) -> Result<Vec<Plant>, DataError> {
    table
        .rows()
        .map(|row| {
            if row.text("type")? != "PV" || row.number("qRES")? != 0.0 {
                return Err(DataError::Unexpected {
                    table: table.name,
                    what: format!("{} is not a PV plant without reactive power", row.text("id")?),
                });
            }
            Ok(Plant {
                name: row.text("id")?.to_owned(),
                bus: places.bus(&row, "node")?,
                peak_kw: 1e3 * row.number("pRES")?,
                profile: places.profile(&row, row.text("profile")?)?,
            })
        })
        .collect()
}

fn batteries(table: &Table<'_>, places: &Places) -> Result<Vec<Battery>, DataError> {
    table
        .rows()
        .map(|row| {
            Ok(Battery {
                name: row.text("id")?.to_owned(),
                bus: places.bus(&row, "node")?,
                power_kw: 1e3 * row.number("sR")?,
                energy_kwh: 1e3 * row.number("eStore")?,
                efficiency: row.number("etaStore")?,
                self_discharge_per_day: row.number("sdStore")? / 100.0,
            })
        })
        .collect()
}

type Profiles = (Vec<String>, Vec<Vec<f64>>, BTreeMap<String, usize>);

/// Reads times and columns; a heading `a=b` means that a and b have the same values.
fn profiles(table: &Table<'_>) -> Result<Profiles, DataError> {
    let mut profile_of = BTreeMap::new();
    let mut columns = Vec::new();
    for heading in table.header.iter().skip(1) {
        let values = table.rows().map(|row| row.number(heading)).collect::<Result<Vec<_>, _>>()?;
        for name in heading.split('=') {
            profile_of.insert(name.to_owned(), columns.len());
        }
        columns.push(values);
    }
    let times = table.rows().map(|row| row.text("time").map(str::to_owned)).collect::<Result<Vec<_>, _>>()?;
    Ok((times, columns, profile_of))
}

/// A table as SimBench writes it: cells between semicolons, no quotes.
#[derive(Debug)]
struct Table<'a> {
    name: &'static str,
    header: Vec<&'a str>,
    lines: Vec<Vec<&'a str>>,
}

/// One row of a table.
struct Row<'a> {
    table: &'a Table<'a>,
    index: usize,
}

impl<'a> Table<'a> {
    fn parse(name: &'static str, text: &'a str) -> Result<Table<'a>, DataError> {
        let mut rows = text.lines().map(|line| line.split(';').collect::<Vec<_>>());
        let header = rows.next().unwrap_or_default();
        let lines = rows.collect::<Vec<_>>();
        for (index, row) in lines.iter().enumerate() {
            if row.len() != header.len() {
                return Err(DataError::Ragged {
                    table: name,
                    line: index + 2,
                    expected: header.len(),
                    found: row.len(),
                });
            }
        }
        Ok(Table { name, header, lines })
    }

    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.lines.len()).map(|index| Row { table: self, index })
    }

    fn only_row(&self) -> Result<Row<'_>, DataError> {
        match self.lines.len() {
            1 => Ok(Row { table: self, index: 0 }),
            n => Err(DataError::Unexpected {
                table: self.name,
                what: format!("{n} rows where one is expected"),
            }),
        }
    }

    /// The row whose `id` is the text that `referrer` has in `column`.
    fn named(&self, referrer: &Row<'_>, column: &str) -> Result<Row<'_>, DataError> {
        let id = referrer.text(column)?;
        for row in self.rows() {
            if row.text("id")? == id {
                return Ok(row);
            }
        }
        Err(referrer.dangling(id))
    }
}

impl<'a> Row<'a> {
    fn text(&self, column: &str) -> Result<&'a str, DataError> {
        let place = self.table.header.iter().position(|name| *name == column);
        place
            .and_then(|place| self.table.lines[self.index].get(place).copied())
            .ok_or_else(|| DataError::NoColumn { table: self.table.name, column: column.to_owned() })
    }

    fn number(&self, column: &str) -> Result<f64, DataError> {
        let text = self.text(column)?;
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(DataError::NotANumber {
                table: self.table.name,
                line: self.index + 2,
                column: column.to_owned(),
                value: text.to_owned(),
            }),
        }
    }

    fn dangling(&self, missing: &str) -> DataError {
        DataError::Dangling {
            table: self.table.name,
            element: self.text("id").unwrap_or_default().to_owned(),
            missing: missing.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_kind(case: &Case, kind: LoadKind) -> usize {
        case.loads.iter().filter(|load| load.kind == kind).count()
    }

    #[test]
    fn the_embedded_case_is_the_grid_that_the_demo_describes() -> Result<(), DataError> {
        let case = Case::embedded()?;
        assert_eq!(
            (case.buses.len(), case.lines.len()),
            (15, 13),
            "14 low-voltage buses and the one that feeds them"
        );
        assert_eq!(case.transformer.rating_kva, 160.0);
        assert_eq!((case.plants.len(), case.batteries.len()), (8, 5));
        assert_eq!(of_kind(&case, LoadKind::Charger), 7);
        assert_eq!(of_kind(&case, LoadKind::HeatPump), 8);
        assert_eq!(of_kind(&case, LoadKind::Site), 13);
        let kw = case.plants.iter().map(|plant| plant.peak_kw).sum::<f64>();
        assert!((kw - 468.2).abs() < 1e-9, "{kw}");
        let (kw, kwh) = case
            .batteries
            .iter()
            .fold((0.0, 0.0), |(p, e), battery| (p + battery.power_kw, e + battery.energy_kwh));
        assert!((kw - 206.0).abs() < 1e-9 && (kwh - 412.0).abs() < 1e-9, "{kw} {kwh}");
        Ok(())
    }

    #[test]
    fn the_week_has_672_steps_from_its_first_minute() -> Result<(), DataError> {
        let case = Case::embedded()?;
        assert_eq!(case.steps(), 672);
        assert_eq!((case.time(0), case.time(671)), ("22.05.2016 00:00", "28.05.2016 23:45"));
        assert_eq!(case.load(&case.loads[0], 672), Power::default());
        Ok(())
    }

    #[test]
    fn a_cell_that_is_no_number_is_named() -> Result<(), DataError> {
        let table = Table::parse("Line.csv", "id;length\nline 1;0.5\nline 2;NULL\n")?;
        let error = table.rows().map(|row| row.number("length")).find_map(Result::err);
        assert_eq!(
            error.map(|error| error.to_string()).as_deref(),
            Some("Line.csv, line 3, column length: \"NULL\" is not a number")
        );
        Ok(())
    }

    #[test]
    fn a_row_of_the_wrong_length_is_named() {
        let error = Table::parse("Line.csv", "id;length\nline 1\n").err();
        assert_eq!(
            error.map(|error| error.to_string()).as_deref(),
            Some("Line.csv, line 2: 1 cells where the header has 2")
        );
    }
}
