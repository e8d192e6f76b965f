//! JSON Lines: every record as an object on a line of its own.
//!
//! The first line describes the run, the others are records. Schema:
//!
//! | key | in | type | what |
//! |---|---|---|---|
//! | `kind` | all | string | `header` in the first line, else the record's [label](crate::journal::Record::label) |
//! | `scenario`, `clock`, `level`, `epoch` | header | string | as in [`Header`] |
//! | `seed`, `shuffle` | header | string of digits; null without shuffle mode | 64 bits do not fit JavaScript's numbers |
//! | `configuration`, `build` | header | object of strings | as in [`Header`] |
//! | `parent` | header | `[journal, event]` or null | of what it is a fork |
//! | `event` | records | number | counted from 0; a volatile record has that of the next |
//! | `time` | records | number | ns since the epoch; may be negative |
//! | `round` | records | number | at that time |
//! | others | records | | the fields of the record, under the names that [`Record`](crate::journal::Record) lists |
//!
//! In fields a time is a number of ns, a hash a string of 16 hex digits, an optional field null or the value, an outcome
//! `{"ok": value}` or `{"error": text}`. In values bytes are a string of hex digits, and what JSON lacks is a string:
//! `"NaN"`, `"Infinity"`, `"-Infinity"`, dates, proxies; a custom type is `{"__type__": [name, data]}`.

use std::fmt::{self, Write as _};
use std::io;

use super::{ExportError, Text, Window};
use crate::journal::packed::json_text;
use crate::journal::record::Entry;
use crate::journal::{Header, Reader};

/// Writes a journal as JSON Lines; the schema is at the head of this file's source and in the README of the tools.
///
/// # Errors
/// The journal's or the output's; what was written until then is whole lines.
pub fn json_lines(journal: &mut Reader, window: &Window, out: &mut dyn io::Write) -> Result<(), ExportError> {
    let mut text = Text::new(out);
    let result = header(&mut text, journal.header());
    text.end(result)?;
    for entry in journal {
        let entry = entry?;
        if window.shows(&entry) {
            let mut text = Text::new(out);
            let result = line(&mut text, &entry);
            text.end(result)?;
        }
    }
    Ok(())
}

fn header(out: &mut Text<'_>, header: &Header) -> fmt::Result {
    out.write_str("{\"kind\":\"header\"")?;
    let texts = [
        ("scenario", header.scenario.as_str()),
        ("clock", &header.clock),
        ("level", header.level.as_str()),
        ("epoch", &header.epoch.to_string()),
        ("seed", &header.seed.to_string()),
    ];
    for (key, text) in texts {
        write!(out, ",\"{key}\":")?;
        json_text(out, text)?;
    }
    match header.shuffle {
        Some(seed) => write!(out, ",\"shuffle\":\"{seed}\"")?,
        None => out.write_str(",\"shuffle\":null")?,
    }
    for (key, map) in [("configuration", &header.configuration), ("build", &header.build)] {
        write!(out, ",\"{key}\":{{")?;
        for (n, (name, value)) in map.iter().enumerate() {
            out.write_str(if n > 0 { "," } else { "" })?;
            json_text(out, name)?;
            out.write_char(':')?;
            json_text(out, value)?;
        }
        out.write_char('}')?;
    }
    match &header.parent {
        Some((journal, event)) => {
            out.write_str(",\"parent\":[")?;
            json_text(out, journal)?;
            writeln!(out, ",{event}]}}")
        }
        None => out.write_str(",\"parent\":null}\n"),
    }
}

fn line(out: &mut Text<'_>, entry: &Entry) -> fmt::Result {
    let Entry { event, time, round, record } = entry;
    let (time, kind) = (time.as_nanos(), record.label());
    write!(out, "{{\"event\":{event},\"time\":{time},\"round\":{round},\"kind\":\"{kind}\"")?;
    let mut result = Ok(());
    record.fields(&mut |name, value| {
        if result.is_ok() {
            result = write!(out, ",\"{name}\":{value}");
        }
    });
    result?;
    out.write_str("}\n")
}
