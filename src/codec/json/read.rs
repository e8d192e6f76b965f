//! The reader: tokens of one slice. It is checked for UTF-8 at the start, or, if it is short, where text stands, for only
//! that can be other than ASCII.
//!
//! Why by hand: numbers keep their Python meaning, and it is as fast as serde_json: strings are borrowed in one piece
//! up to the first escape, integers and short decimals are built while they are scanned.

use std::borrow::Cow;

use crate::codec::read::{self, Budget, Open, Source, Token};
use crate::codec::{CodecError, Limits, Types, Value};

/// Reads one JSON value from exactly these bytes; no dict is an instance of a custom type.
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
    read::all(bytes, limits, &Types::none(), read::value::<Reader<'_>>)
}

/// Up to so many bytes it costs less to check only the text in them.
const SHORT: usize = 64;

#[inline(never)]
fn checked(bytes: &[u8]) -> Result<&str, CodecError> {
    std::str::from_utf8(bytes).map_err(|e| CodecError::syntax("JSON", bytes, e.valid_up_to(), "not UTF-8"))
}

/// A list or dict of which nothing was read yet.
const FIRST: usize = 0;
const LATER: usize = 1;

#[derive(Debug)]
pub(in crate::codec) struct Reader<'de> {
    bytes: &'de [u8],
    /// The same, if it is checked; else empty.
    text: &'de str,
    at: usize,
    budget: Budget<'de>,
    types: &'de Types,
}

impl<'de> Source<'de> for Reader<'de> {
    #[inline(always)]
    fn new(bytes: &'de [u8], limits: &'de Limits, types: &'de Types) -> Result<Self, CodecError> {
        let text = if bytes.len() > SHORT { checked(bytes)? } else { "" };
        Ok(Reader { bytes, text, at: 0, budget: Budget::new(limits), types })
    }

    fn end(&mut self) -> Result<(), CodecError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.wrong("something follows the value")),
        }
    }

    #[inline]
    fn token(&mut self) -> Result<Token<'de>, CodecError> {
        let first = self.peek();
        self.budget.take(1, self.at)?;
        match first {
            Some(b'"') => self.string().map(Token::Str),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'{') => self.open().map(Token::Map),
            Some(b'[') => self.open().map(Token::List),
            Some(b't') => self.word("true", Token::Bool(true)),
            Some(b'f') => self.word("false", Token::Bool(false)),
            Some(b'n') => self.word("null", Token::Null),
            Some(b'N') => self.word("NaN", Token::Float(f64::NAN)),
            Some(b'I') => self.word("Infinity", Token::Float(f64::INFINITY)),
            Some(0xef) if self.bytes[self.at..].starts_with(b"\xef\xbb\xbf") => {
                Err(self.wrong("a byte order mark is not allowed"))
            }
            _ => Err(self.wrong("expected a value")),
        }
    }

    #[inline]
    fn item(&mut self, list: &mut Open) -> Result<bool, CodecError> {
        match self.peek() {
            Some(b']') => Ok(self.close()),
            _ if list.0 == FIRST => {
                list.0 = LATER;
                Ok(true)
            }
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            _ => Err(self.wrong("expected ',' or ']'")),
        }
    }

    #[inline]
    fn entry(&mut self, map: &mut Open) -> Result<bool, CodecError> {
        match self.peek() {
            Some(b'}') => return Ok(self.close()),
            _ if map.0 == FIRST => map.0 = LATER,
            Some(b',') => self.at += 1,
            _ => return Err(self.wrong("expected ',' or '}'")),
        }
        match self.peek() {
            Some(b'"') => Ok(true),
            _ => Err(self.wrong("expected a key in double quotes")),
        }
    }

    #[inline]
    fn colon(&mut self) -> Result<(), CodecError> {
        match self.peek() {
            Some(b':') => {
                self.at += 1;
                Ok(())
            }
            _ => Err(self.wrong("expected ':'")),
        }
    }

    fn null(&mut self) -> Result<bool, CodecError> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        self.token().map(|_| true)
    }

    #[inline]
    fn small(&mut self) -> Result<Option<i64>, CodecError> {
        let (Some(digit @ b'0'..=b'9'), start) = (self.peek(), self.at) else { return Ok(None) };
        let mut n = i64::from(digit - b'0');
        let mut at = start + 1;
        while digit != b'0'
            && let Some(digit @ b'0'..=b'9') = self.bytes.get(at)
        {
            n = n.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            at += 1;
        }
        if at - start > 18 || matches!(self.bytes.get(at), Some(b'0'..=b'9' | b'.' | b'e' | b'E')) {
            return Ok(None);
        }
        self.budget.take(1, start)?;
        self.at = at;
        Ok(Some(n))
    }

    #[inline]
    fn pass(&mut self) -> Result<bool, CodecError> {
        if self.peek() != Some(b'"') {
            return self.small().map(|integer| integer.is_some());
        }
        self.budget.take(1, self.at)?;
        self.string().map(|_| true)
    }

    #[inline]
    fn at_custom(&mut self) -> bool {
        if self.peek() != Some(b'{') || !self.types.exist() {
            return false;
        }
        let space = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\t' | b'\r');
        let rest = &self.bytes[self.at + 1..];
        let key = &rest[rest.iter().take_while(|byte| space(byte)).count()..];
        // the key itself, or one with an escape that may be it
        matches!(key, [b'"', b'_' | b'\\', ..])
    }

    fn hint(&self, _: &Open) -> usize {
        0
    }

    fn at(&mut self) -> usize {
        self.peek();
        self.at
    }

    fn types(&self) -> &'de Types {
        self.types
    }
}

impl<'de> Reader<'de> {
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
        match std::str::from_utf8(self.bytes) {
            Ok(_) => CodecError::syntax("JSON", self.bytes, self.at, problem),
            // most likely the cause of whatever was noticed
            Err(e) => CodecError::syntax("JSON", self.bytes, e.valid_up_to(), "not UTF-8"),
        }
    }

    #[inline]
    fn text(&self, from: usize, to: usize) -> Result<&'de str, CodecError> {
        match self.text.get(from..to) {
            Some(text) => Ok(text),
            None => std::str::from_utf8(&self.bytes[from..to]).map_err(|_| self.wrong("not UTF-8")),
        }
    }

    #[inline]
    fn open(&mut self) -> Result<Open, CodecError> {
        self.budget.enter(self.at)?;
        self.at += 1;
        Ok(Open(FIRST))
    }

    #[inline]
    fn close(&mut self) -> bool {
        self.budget.leave();
        self.at += 1;
        false
    }

    fn word(&mut self, word: &str, token: Token<'de>) -> Result<Token<'de>, CodecError> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.wrong("expected a value"));
        }
        self.at += word.len();
        Ok(token)
    }

    /// Reads the string whose quote is next.
    #[inline]
    fn string(&mut self) -> Result<Cow<'de, str>, CodecError> {
        let start = self.at + 1;
        self.at = super::plain_run(self.bytes, start);
        if self.bytes.get(self.at) == Some(&b'"') {
            self.at += 1;
            return self.text(start, self.at - 1).map(Cow::Borrowed);
        }
        self.escaped_string(start).map(Cow::Owned)
    }

    /// The rest of a string that does not end with its first plain run.
    #[cold]
    fn escaped_string(&mut self, start: usize) -> Result<String, CodecError> {
        let mut string = self.text(start, self.at)?.to_owned();
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
            string.push_str(self.text(run, self.at)?);
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

    /// `\uXXXX`, or a surrogate pair of two such.
    fn unicode_escape(&mut self) -> Result<char, CodecError> {
        let first = self.hex4(self.at).ok_or_else(|| self.wrong("expected \\u and four hex digits"))?;
        let mut code = first;
        let mut end = self.at + 6;
        if (0xd800..0xdc00).contains(&first)
            && let Some(second @ 0xdc00..0xe000) = self.hex4(end)
        {
            end += 6;
            code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        }
        let char = match char::from_u32(code) {
            Some(char) => char,
            None if self.types.exist() => return Err(self.wrong("half a surrogate pair")),
            None => char::REPLACEMENT_CHARACTER,
        };
        self.at = end;
        Ok(char)
    }

    fn hex4(&self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |code, &digit| Some(code << 4 | char::from(digit).to_digit(16)?))
    }

    fn number(&mut self) -> Result<Token<'de>, CodecError> {
        let start = self.at;
        let negative = self.bytes[start] == b'-';
        if negative {
            self.at += 1;
            if self.bytes.get(self.at) == Some(&b'I') {
                return self.word("Infinity", Token::Float(f64::NEG_INFINITY));
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
            return Ok(Token::Int(if negative { -n } else { n }));
        } else if !integer && digits <= 18 && mantissa <= 1 << 53 && fraction < EXACT_POWERS.len() {
            // Both operands are exact, so the one division rounds correctly (Clinger's fast path).
            let x = mantissa as f64 / EXACT_POWERS[fraction];
            return Ok(Token::Float(if negative { -x } else { x }));
        }
        let text = self.text(start, self.at)?;
        if integer && digits == self.at - start - usize::from(negative) {
            return Ok(big_integer(text));
        }
        text.parse().map(Token::Float).map_err(|_| self.wrong("not a number"))
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
fn big_integer(text: &str) -> Token<'_> {
    match (text.parse(), text.parse()) {
        (Ok(n), _) => Token::Int(n),
        (_, Ok(n)) => Token::UInt(n),
        _ => Token::BigInt(text),
    }
}
