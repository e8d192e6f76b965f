//! The reader: recursive descent over one slice, checked for UTF-8 once at the start.
//!
//! Why by hand: numbers keep their Python meaning, and it is as fast as serde_json: strings are copied in one piece up
//! to the first escape, integers and short decimals are built while they are scanned.

use std::num::IntErrorKind;

use crate::codec::{CodecError, CodecErrorKind, Limits, Types, Value};

/// Reads one JSON value from exactly these bytes.
///
/// ```
/// use isochrone::codec::{Limits, Value, json};
/// let value = json::decode(b"[1, NaN]", &Limits::default()).unwrap();
/// assert!(value.same(&Value::List(vec![Value::Int(1), Value::Float(f64::NAN)])));
/// ```
///
/// # Errors
/// The input is not JSON as Python reads it (see the [module](crate::codec::json)), something follows the value, or
/// a limit is exceeded.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Value, CodecError> {
    decode_typed(bytes, limits, &Types::none())
}

pub(in crate::codec) fn decode_typed(
    bytes: &[u8],
    limits: &Limits,
    types: &Types,
) -> Result<Value, CodecError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| CodecError::syntax("JSON", bytes, e.valid_up_to(), "not UTF-8"))?;
    let mut reader = Reader { text, bytes, at: 0, depth: limits.depth, nodes: limits.nodes, limits, types };
    let value = reader.value()?;
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.wrong("something follows the value")),
    }
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// How many more levels may be opened.
    depth: usize,
    /// How many more values may follow.
    nodes: usize,
    limits: &'a Limits,
    types: &'a Types,
}

impl Reader<'_> {
    fn value(&mut self) -> Result<Value, CodecError> {
        let first = self.peek();
        self.count()?;
        match first {
            Some(b'"') => self.string().map(Value::Str),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'{') => self.nested(Reader::map),
            Some(b'[') => self.nested(Reader::list),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(b'N') => self.word("NaN", Value::Float(f64::NAN)),
            Some(b'I') => self.word("Infinity", Value::Float(f64::INFINITY)),
            Some(0xef) if self.bytes[self.at..].starts_with(b"\xef\xbb\xbf") => {
                Err(self.wrong("a byte order mark is not allowed"))
            }
            _ => Err(self.wrong("expected a value")),
        }
    }

    /// The next byte that is no white space; not consumed.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    #[cold]
    fn wrong(&self, problem: &'static str) -> CodecError {
        CodecError::syntax("JSON", self.bytes, self.at, problem)
    }

    #[inline]
    fn count(&mut self) -> Result<(), CodecError> {
        match self.nodes.checked_sub(1) {
            Some(left) => {
                self.nodes = left;
                Ok(())
            }
            None => Err(CodecErrorKind::Nodes { limit: self.limits.nodes, offset: self.at }.into()),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, CodecError>) -> Result<Value, CodecError> {
        let Some(depth) = self.depth.checked_sub(1) else {
            return Err(CodecErrorKind::Depth { limit: self.limits.depth, offset: self.at }.into());
        };
        self.depth = depth;
        self.at += 1;
        let value = read(self);
        self.depth += 1;
        value
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, CodecError> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.wrong("expected a value"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn list(&mut self) -> Result<Value, CodecError> {
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value()?);
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::List(items));
                }
                _ => return Err(self.wrong("expected ',' or ']'")),
            }
        }
    }

    fn map(&mut self) -> Result<Value, CodecError> {
        let mut entries = Vec::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Map(entries));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.wrong("expected a key in double quotes"));
            }
            self.count()?;
            let key = self.string()?;
            if self.peek() != Some(b':') {
                return Err(self.wrong("expected ':'"));
            }
            self.at += 1;
            entries.push((Value::Str(key), self.value()?));
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    merge_equal_keys(&mut entries);
                    return Ok(self.types.revive(entries));
                }
                _ => return Err(self.wrong("expected ',' or '}'")),
            }
        }
    }

    /// Reads the string whose quote is next.
    fn string(&mut self) -> Result<String, CodecError> {
        let start = self.at + 1;
        self.at = super::plain_run(self.bytes, start);
        if self.bytes.get(self.at) == Some(&b'"') {
            self.at += 1;
            return Ok(self.text[start..self.at - 1].to_owned());
        }
        self.escaped_string(start)
    }

    /// The rest of a string that does not end with its first plain run.
    #[cold]
    fn escaped_string(&mut self, start: usize) -> Result<String, CodecError> {
        let mut string = self.text[start..self.at].to_owned();
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(string);
                }
                Some(b'\\') => string.push(self.escape()?),
                Some(_) => return Err(self.wrong("control character in a string")),
                None => return Err(self.wrong("unterminated string")),
            }
            let run = self.at;
            self.at = super::plain_run(self.bytes, run);
            string.push_str(&self.text[run..self.at]);
        }
    }

    fn escape(&mut self) -> Result<char, CodecError> {
        let plain = match self.bytes.get(self.at + 1) {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(&c @ (b'"' | b'\\' | b'/')) => c.into(),
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(self.wrong("unknown escape")),
        };
        self.at += 2;
        Ok(plain)
    }

    /// `\uXXXX`, or a surrogate pair of two such. Half a pair becomes U+FFFD.
    fn unicode_escape(&mut self) -> Result<char, CodecError> {
        let first = self.hex4(self.at).ok_or_else(|| self.wrong("expected \\u and four hex digits"))?;
        self.at += 6;
        if (0xd800..0xdc00).contains(&first)
            && let Some(second @ 0xdc00..0xe000) = self.hex4(self.at)
        {
            self.at += 6;
            let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |code, &digit| Some(code << 4 | char::from(digit).to_digit(16)?))
    }

    fn number(&mut self) -> Result<Value, CodecError> {
        let start = self.at;
        let negative = self.bytes[start] == b'-';
        if negative {
            self.at += 1;
            if self.bytes.get(self.at) == Some(&b'I') {
                return self.word("Infinity", Value::Float(f64::NEG_INFINITY));
            }
        }
        // All digits, the decimal point left out; `mantissa` is meaningless beyond 19 of them.
        let mut mantissa = 0u64;
        let whole = self.digits(&mut mantissa);
        match whole {
            0 => return Err(self.wrong("expected a digit")),
            2.. if self.bytes[self.at - whole] == b'0' => {
                self.at -= whole;
                return Err(self.wrong("a number starts with a needless 0"));
            }
            _ => {}
        }
        let mut fraction = 0;
        let mut integer = true;
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            integer = false;
            fraction = self.digits(&mut mantissa);
            if fraction == 0 {
                return Err(self.wrong("expected a digit"));
            }
        }
        let digits = whole + fraction;
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            if self.digits(&mut 0) == 0 {
                return Err(self.wrong("expected a digit"));
            }
        } else if integer && digits <= 18 {
            let n = mantissa as i64;
            return Ok(Value::Int(if negative { -n } else { n }));
        } else if !integer && digits <= 18 && mantissa <= 1 << 53 && fraction < EXACT_POWERS.len() {
            // Both operands are exact, so the one division rounds correctly (Clinger's fast path).
            let x = mantissa as f64 / EXACT_POWERS[fraction];
            return Ok(Value::Float(if negative { -x } else { x }));
        }
        let text = &self.text[start..self.at];
        if integer && digits == self.at - start - usize::from(negative) {
            return Ok(big_integer(text));
        }
        text.parse().map(Value::Float).map_err(|_| self.wrong("not a number"))
    }

    /// Skips digits and returns how many; appends them to `mantissa`, wrapping.
    #[inline]
    fn digits(&mut self, mantissa: &mut u64) -> usize {
        let start = self.at;
        let mut m = *mantissa;
        while let Some(digit @ b'0'..=b'9') = self.bytes.get(self.at) {
            m = m.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        *mantissa = m;
        self.at - start
    }
}

/// The powers of ten that a float holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// An integer of more than 18 digits.
fn big_integer(text: &str) -> Value {
    match text.parse::<i64>() {
        Ok(n) => Value::Int(n),
        Err(e) if *e.kind() == IntErrorKind::PosOverflow => {
            text.parse().map_or_else(|_| Value::BigInt(text.to_owned()), Value::UInt)
        }
        Err(_) => Value::BigInt(text.to_owned()),
    }
}

/// Makes the last of equal keys win, at the place of the first.
///
/// Few keys are compared in pairs. Many are hashed cheaply and the hashes sorted: if all differ, so do the keys. Only
/// if two hashes agree are the keys themselves sorted, which is n log n for whatever a peer sends.
fn merge_equal_keys(entries: &mut Vec<(Value, Value)>) {
    if !may_hold_equal_keys(entries) {
        return;
    }
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|&i| entries[i].0.as_str());
    let mut keep = vec![true; entries.len()];
    // The sort is stable: equal keys follow each other in order of appearance.
    for pair in 1..order.len() {
        let (earlier, later) = (order[pair - 1], order[pair]);
        if entries[earlier].0 == entries[later].0 {
            // The first of the run stands for all of it from here on.
            keep[later] = false;
            order[pair] = earlier;
            entries[earlier].1 = std::mem::take(&mut entries[later].1);
        }
    }
    let mut keep = keep.into_iter();
    entries.retain(|_| keep.next().unwrap_or(true));
}

fn may_hold_equal_keys(entries: &[(Value, Value)]) -> bool {
    if entries.len() <= 8 {
        return (1..entries.len()).any(|i| entries[..i].iter().any(|(key, _)| *key == entries[i].0));
    }
    let mut hashes: Vec<u64> = entries.iter().filter_map(|(key, _)| key.as_str()).map(cheap_hash).collect();
    hashes.sort_unstable();
    hashes.windows(2).any(|pair| pair[0] == pair[1])
}

fn cheap_hash(key: &str) -> u64 {
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    let mut chunks = key.as_bytes().chunks_exact(8);
    let hash = chunks.by_ref().fold(key.len() as u64, |hash, chunk| {
        mix(hash, u64::from_le_bytes(chunk.try_into().expect("eight bytes")))
    });
    let tail = chunks.remainder().iter().fold(0u64, |word, &byte| word << 8 | u64::from(byte));
    mix(hash, tail)
}
