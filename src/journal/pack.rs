//! MessagePack, as far as the journal needs it.
//!
//! Why own primitives: records are encoded in place, field by field, into the writer's buffer; a frame costs no
//! allocation. Integers always take their shortest form, so equal records are equal bytes.
//!
//! Contract: reading never panics and never allocates by a length that the bytes merely claim.

/// What is wrong with the bytes of a payload; the reader adds where.
pub(super) type Malformed = &'static str;

const NOT_INT: Malformed = "an integer is expected";
const NOT_ARRAY: Malformed = "an array is expected";
const CUT: Malformed = "it ends too early";

/// Where packed bytes go.
pub(crate) trait Out {
    /// Appends the first of some bytes, so many.
    fn put<const N: usize>(&mut self, bytes: [u8; N], count: usize);
    fn extend(&mut self, bytes: &[u8]);
}

impl Out for Vec<u8> {
    #[inline]
    fn put<const N: usize>(&mut self, bytes: [u8; N], count: usize) {
        // a fixed number is stored at once, without a loop
        let len = self.len();
        self.extend_from_slice(&bytes);
        self.truncate(len + count);
    }

    fn extend(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

#[inline(always)]
pub(super) fn nil(out: &mut impl Out) {
    out.put([0xc0], 1);
}

#[inline(always)]
pub(super) fn bool(out: &mut impl Out, value: bool) {
    out.put([0xc2 | u8::from(value)], 1);
}

/// How a number is written whose highest bit is this one: the tag, which of the number's bits belong to it, and so many
/// bytes after it.
const FORMS: [(u8, u8, u8); 64] = {
    let mut forms = [(0, 0x7f, 0); 64];
    let mut bit = 7;
    while bit < 64 {
        forms[bit] = match bit {
            7 => (0xcc, 0, 1),
            8..16 => (0xcd, 0, 2),
            16..32 => (0xce, 0, 4),
            _ => (0xcf, 0, 8),
        };
        bit += 1;
    }
    forms
};

/// A number's bytes, and how many of them count.
///
/// Why from a table: one field's numbers are of two or three lengths in turn, and a branch on that would often be guessed
/// wrong.
#[inline(always)]
pub(super) fn form(value: u64) -> ([u8; 9], usize) {
    let (tag, own, after) = FORMS[(value | 1).ilog2() as usize];
    let mut bytes = [tag | value as u8 & own; 9];
    bytes[1..].copy_from_slice(&value.rotate_right(8 * u32::from(after)).to_be_bytes());
    (bytes, 1 + usize::from(after))
}

#[inline(always)]
pub(super) fn uint(out: &mut impl Out, value: u64) {
    // as fields that are small mostly are
    if value < 0x80 {
        return out.put([value as u8], 1);
    }
    let (bytes, count) = form(value);
    out.put(bytes, count);
}

#[inline(always)]
pub(super) fn int(out: &mut impl Out, value: i64) {
    if value >= 0 {
        return uint(out, value as u64);
    }
    let (bytes, count) = negative(value);
    out.put(bytes, count);
}

/// As [`form`]. What is seldom called must not be given where the bytes go: that would have to lie in memory, always.
#[cold]
fn negative(value: i64) -> ([u8; 9], usize) {
    let (tag, after) = match value {
        -32.. => (value as u8, 0),
        -128..-32 => (0xd0, 1),
        -0x8000..-128 => (0xd1, 2),
        -0x8000_0000..-0x8000 => (0xd2, 4),
        _ => (0xd3, 8),
    };
    let mut bytes = [tag; 9];
    bytes[1..].copy_from_slice(&(value as u64).rotate_right(8 * after).to_be_bytes());
    (bytes, 1 + after as usize)
}

#[inline]
pub(super) fn float(out: &mut impl Out, value: f64) {
    eight(out, 0xcb, value.to_bits());
}

/// A hash, always nine bytes: one that is shorter by chance is no reason to look.
#[inline(always)]
pub(super) fn hash(out: &mut impl Out, value: u64) {
    eight(out, 0xcf, value);
}

#[inline(always)]
fn eight(out: &mut impl Out, tag: u8, value: u64) {
    let mut bytes = [tag; 9];
    bytes[1..].copy_from_slice(&value.to_be_bytes());
    out.put(bytes, 9);
}

/// The head of something of a length: the short form's tag and its limit, then the tags for 8 (0: none), 16 and 32 bits.
#[inline(always)]
fn head(out: &mut impl Out, len: usize, short: u8, limit: usize, [tag8, tag16, tag32]: [u8; 3]) {
    if len < limit {
        out.put([short | len as u8], 1);
    } else if len <= 0xff && tag8 != 0 {
        out.put([tag8, len as u8], 2);
    } else if let Ok(len) = u16::try_from(len) {
        let [a, b] = len.to_be_bytes();
        out.put([tag16, a, b], 3);
    } else {
        // longer ones do not fit a frame; the writer refuses it
        let [a, b, c, d] = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
        out.put([tag32, a, b, c, d], 5);
    }
}

#[inline(always)]
pub(super) fn array(out: &mut impl Out, len: usize) {
    head(out, len, 0x90, 16, [0, 0xdc, 0xdd]);
}

pub(super) fn map(out: &mut impl Out, len: usize) {
    head(out, len, 0x80, 16, [0, 0xde, 0xdf]);
}

pub(super) fn str(out: &mut impl Out, text: &str) {
    head(out, text.len(), 0xa0, 32, [0xd9, 0xda, 0xdb]);
    out.extend(text.as_bytes());
}

pub(super) fn bin(out: &mut impl Out, bytes: &[u8]) {
    head(out, bytes.len(), 0, 0, [0xc4, 0xc5, 0xc6]);
    out.extend(bytes);
}

pub(super) fn ext(out: &mut impl Out, kind: u8, bytes: &[u8]) {
    head(out, bytes.len(), 0, 0, [0xc7, 0xc8, 0xc9]);
    out.put([kind], 1);
    out.extend(bytes);
}

/// One element, as it stands there: for containers only their head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Item<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    /// Above `i64::MAX`.
    UInt(u64),
    Float(f64),
    Str(&'a str),
    Bin(&'a [u8]),
    Ext(u8, &'a [u8]),
    Array(usize),
    Map(usize),
}

/// Where packed bytes come from.
pub(super) trait In {
    /// The integer that most often comes next: one that is not negative, in its shortest form.
    fn short(&mut self) -> Option<u64>;
    fn int(&mut self) -> Result<i64, Malformed>;
    fn uint(&mut self) -> Result<u64, Malformed>;
    fn array(&mut self) -> Result<usize, Malformed>;
    /// What [`hash`] wrote.
    fn hash(&mut self) -> Result<u64, Malformed>;
    /// Whether the next element is nil, which is then taken.
    fn nil(&mut self) -> bool;
    /// Whether everything was read, and nothing else.
    fn is_done(&self) -> bool;
    /// Reads what is seldom read.
    fn other<R>(
        &mut self,
        read: impl FnOnce(&mut Unpack<'_>) -> Result<R, Malformed>,
    ) -> Result<R, Malformed>;
}

/// Reads elements one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unpack<'a>(pub(super) &'a [u8]);

impl<'a> Unpack<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(CUT)?;
        self.0 = rest;
        Ok(head)
    }

    /// A big-endian number of this many bytes, at most 8.
    #[inline]
    fn number(&mut self, len: usize) -> Result<u64, Malformed> {
        Ok(self.take(len)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    #[inline]
    fn len(&mut self, width: usize) -> Result<usize, Malformed> {
        Ok(self.number(width)? as usize)
    }

    fn text(&mut self, len: usize) -> Result<Item<'a>, Malformed> {
        std::str::from_utf8(self.take(len)?).map(Item::Str).map_err(|_| "a text is not UTF-8")
    }

    fn extension(&mut self, len: usize) -> Result<Item<'a>, Malformed> {
        let kind = self.number(1)? as u8;
        Ok(Item::Ext(kind, self.take(len)?))
    }

    /// The next element.
    pub(super) fn item(&mut self) -> Result<Item<'a>, Malformed> {
        let tag = self.number(1)? as u8;
        Ok(match tag {
            0..=0x7f => Item::Int(tag.into()),
            0x80..=0x8f => Item::Map((tag & 0xf).into()),
            0x90..=0x9f => Item::Array((tag & 0xf).into()),
            0xa0..=0xbf => self.text((tag & 0x1f).into())?,
            0xc0 => Item::Nil,
            0xc1 => return Err("it holds the byte C1, which MessagePack does not use"),
            0xc2 | 0xc3 => Item::Bool(tag == 0xc3),
            0xc4..=0xc6 => {
                let len = self.len(1 << (tag - 0xc4))?;
                Item::Bin(self.take(len)?)
            }
            0xc7..=0xc9 => {
                let len = self.len(1 << (tag - 0xc7))?;
                self.extension(len)?
            }
            0xca => Item::Float(f32::from_bits(self.number(4)? as u32).into()),
            0xcb => Item::Float(f64::from_bits(self.number(8)?)),
            0xcc..=0xcf => {
                let value = self.number(1 << (tag - 0xcc))?;
                i64::try_from(value).map_or(Item::UInt(value), Item::Int)
            }
            0xd0 => Item::Int((self.number(1)? as i8).into()),
            0xd1 => Item::Int((self.number(2)? as i16).into()),
            0xd2 => Item::Int((self.number(4)? as i32).into()),
            0xd3 => Item::Int(self.number(8)? as i64),
            0xd4..=0xd8 => self.extension(1 << (tag - 0xd4))?,
            0xd9..=0xdb => {
                let len = self.len(1 << (tag - 0xd9))?;
                self.text(len)?
            }
            0xdc | 0xdd => Item::Array(self.len(2 << (tag - 0xdc))?),
            0xde | 0xdf => Item::Map(self.len(2 << (tag - 0xde))?),
            0xe0..=0xff => Item::Int((tag as i8).into()),
        })
    }

    pub(super) fn map(&mut self) -> Result<usize, Malformed> {
        match self.item()? {
            Item::Map(len) => Ok(len),
            _ => Err("a map is expected"),
        }
    }

    pub(super) fn str(&mut self) -> Result<&'a str, Malformed> {
        match self.item()? {
            Item::Str(text) => Ok(text),
            _ => Err("a text is expected"),
        }
    }

    pub(super) fn bool(&mut self) -> Result<bool, Malformed> {
        match self.item()? {
            Item::Bool(value) => Ok(value),
            _ => Err("a truth value is expected"),
        }
    }

    /// The bytes of the next element with all that it contains.
    pub(super) fn element(&mut self) -> Result<&'a [u8], Malformed> {
        let start = self.0;
        let mut open: u64 = 1;
        while open > 0 {
            open -= 1;
            open = match self.item()? {
                Item::Array(len) => open.saturating_add(len as u64),
                Item::Map(len) => open.saturating_add(2 * len as u64),
                _ => open,
            };
        }
        Ok(&start[..start.len() - self.0.len()])
    }
}

impl In for Unpack<'_> {
    #[inline(always)]
    fn short(&mut self) -> Option<u64> {
        let (value, rest) = match self.0 {
            [a @ 0..=0x7f, rest @ ..] => (u64::from(*a), rest),
            [0xcc, a, rest @ ..] => (u64::from(*a), rest),
            [0xcd, a, b, rest @ ..] => (u16::from_be_bytes([*a, *b]).into(), rest),
            [0xce, a, b, c, d, rest @ ..] => (u32::from_be_bytes([*a, *b, *c, *d]).into(), rest),
            [0xcf, rest @ ..] => {
                let (value, rest) = rest.split_first_chunk()?;
                (u64::from_be_bytes(*value), rest)
            }
            _ => return None,
        };
        self.0 = rest;
        Some(value)
    }
    #[inline]
    fn int(&mut self) -> Result<i64, Malformed> {
        match self.short() {
            Some(value) => value.try_into().map_err(|_| NOT_INT),
            None => match self.item()? {
                Item::Int(value) => Ok(value),
                _ => Err(NOT_INT),
            },
        }
    }

    #[inline]
    fn uint(&mut self) -> Result<u64, Malformed> {
        match self.short() {
            Some(value) => Ok(value),
            None => match self.item()? {
                Item::Int(value) => value.try_into().map_err(|_| NOT_INT),
                _ => Err(NOT_INT),
            },
        }
    }

    #[inline]
    fn array(&mut self) -> Result<usize, Malformed> {
        if let [head @ 0x90..=0x9f, rest @ ..] = self.0 {
            self.0 = rest;
            return Ok((head & 0xf).into());
        }
        match self.item()? {
            Item::Array(len) => Ok(len),
            _ => Err(NOT_ARRAY),
        }
    }

    #[inline(always)]
    fn hash(&mut self) -> Result<u64, Malformed> {
        match self.0 {
            [0xcf, a, b, c, d, e, f, g, h, rest @ ..] => {
                self.0 = rest;
                Ok(u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]))
            }
            _ => self.uint(),
        }
    }

    #[inline]
    fn nil(&mut self) -> bool {
        let nil = self.0.first() == Some(&0xc0);
        if nil {
            self.0 = &self.0[1..];
        }
        nil
    }

    #[inline]
    fn is_done(&self) -> bool {
        self.is_empty()
    }

    fn other<R>(
        &mut self,
        read: impl FnOnce(&mut Unpack<'_>) -> Result<R, Malformed>,
    ) -> Result<R, Malformed> {
        read(self)
    }
}

/// Bytes of a window.
pub(super) const WINDOW: usize = 256;
/// The longest frame for it: a power of two, half of it, and too short for the long form of a head.
pub(super) const SHORT: usize = WINDOW / 2;

/// Reads the elements of a short frame, as they most often are: what is otherwise leads astray, within the window, and
/// whoever asks at the end finds out.
pub(super) struct Window<'a> {
    bytes: &'a [u8; WINDOW],
    at: usize,
    end: usize,
}

/// Of an element's first byte: by how much the eight bytes after it are too many for its number, in bits, and how many
/// bytes it has in all; what is no number leads out of the frame.
const NUMBERS: [(u8, u8); 256] = {
    let mut numbers = [(0, SHORT as u8); 256];
    let mut tag = 0;
    while tag < 0x80 {
        numbers[tag] = (0, 1);
        tag += 1;
    }
    let mut size = 0;
    while size < 4 {
        numbers[0xcc + size] = (64 - (8 << size), 1 + (1 << size));
        size += 1;
    }
    numbers
};

impl<'a> Window<'a> {
    /// Of the bytes from `at` to `end`.
    #[inline(always)]
    pub(super) fn new(bytes: &'a [u8; WINDOW], at: usize, end: usize) -> Window<'a> {
        Window { bytes, at, end }
    }

    #[inline(always)]
    fn peek<const N: usize>(&self, ahead: usize) -> [u8; N] {
        // so that nothing needs to be asked
        let at = self.at % SHORT + ahead;
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.bytes[at..at + N]);
        bytes
    }

    #[inline(always)]
    fn number(&mut self) -> u64 {
        let [tag] = self.peek(0);
        if tag < 0x80 {
            self.at += 1;
            return tag.into();
        }
        let (shift, len) = NUMBERS[usize::from(tag)];
        let after = u64::from_be_bytes(self.peek(1)) >> shift;
        self.at += usize::from(len);
        after
    }
}

impl In for Window<'_> {
    #[inline(always)]
    fn short(&mut self) -> Option<u64> {
        Some(self.number())
    }

    #[inline(always)]
    fn int(&mut self) -> Result<i64, Malformed> {
        self.number().try_into().map_err(|_| NOT_INT)
    }

    #[inline(always)]
    fn uint(&mut self) -> Result<u64, Malformed> {
        Ok(self.number())
    }

    #[inline(always)]
    fn array(&mut self) -> Result<usize, Malformed> {
        let [tag] = self.peek(0);
        self.at += 1;
        if tag & 0xf0 == 0x90 { Ok((tag & 0xf).into()) } else { Err(NOT_ARRAY) }
    }

    #[inline(always)]
    fn hash(&mut self) -> Result<u64, Malformed> {
        let [tag] = self.peek(0);
        let value = u64::from_be_bytes(self.peek(1));
        self.at += if tag == 0xcf { 9 } else { SHORT };
        Ok(value)
    }

    #[inline(always)]
    fn nil(&mut self) -> bool {
        let [tag] = self.peek(0);
        let nil = tag == 0xc0;
        self.at += usize::from(nil);
        nil
    }

    #[inline(always)]
    fn is_done(&self) -> bool {
        self.at == self.end
    }

    // so that it stays in registers where the rest of the frame is
    #[inline(always)]
    fn other<R>(
        &mut self,
        read: impl FnOnce(&mut Unpack<'_>) -> Result<R, Malformed>,
    ) -> Result<R, Malformed> {
        let mut rest = Unpack(self.bytes.get(self.at..self.end).ok_or(CUT)?);
        let value = read(&mut rest)?;
        self.at = self.end - rest.0.len();
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_integer_is_read_as_it_was_written_in_its_shortest_form() {
        for shift in 0..64 {
            for value in [(1u64 << shift) - 1, 1 << shift, (1 << shift) + 1] {
                let mut out = Vec::new();
                uint(&mut out, value);
                assert_eq!(Unpack(&out).uint(), Ok(value));
                for signed in [value as i64, (value as i64).wrapping_neg()] {
                    let mut out = Vec::new();
                    int(&mut out, signed);
                    assert_eq!(Unpack(&out).int(), Ok(signed));
                    let width =
                        [5, 7, 15, 31].iter().position(|bits| (-1 << bits..1 << bits).contains(&signed));
                    assert!(out.len() <= [1, 2, 3, 5, 9][width.unwrap_or(4)], "{signed} takes {out:?}");
                }
            }
        }
    }

    #[test]
    fn an_element_ends_where_its_last_part_ends() {
        let mut out = Vec::new();
        array(&mut out, 2);
        map(&mut out, 1);
        str(&mut out, "soc");
        float(&mut out, 0.5);
        bin(&mut out, &[7; 300]);
        let len = out.len();
        nil(&mut out);
        let mut unpack = Unpack(&out);
        assert_eq!(unpack.element().map(<[u8]>::len), Ok(len));
        assert!(unpack.nil() && unpack.is_empty());
        for cut in 0..len {
            assert_eq!(Unpack(&out[..cut]).element(), Err(CUT), "cut at {cut}");
        }
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        assert_eq!(Unpack(&[0xdd, 0xff, 0xff, 0xff, 0xff]).element(), Err(CUT));
        assert_eq!(Unpack(&[0xdb, 0xff, 0xff, 0xff, 0xff]).str(), Err(CUT));
    }
}
