//! The reader: tokens of one slice.

use std::borrow::Cow;

use crate::codec::read::{Budget, Open, Source, Token};
use crate::codec::{CodecError, Limits, Types, types};

#[derive(Debug)]
pub(in crate::codec) struct Reader<'de> {
    bytes: &'de [u8],
    at: usize,
    budget: Budget<'de>,
    types: &'de Types,
}

impl<'de> Source<'de> for Reader<'de> {
    fn new(bytes: &'de [u8], limits: &'de Limits, types: &'de Types) -> Result<Self, CodecError> {
        let mut budget = Budget::new(limits);
        budget.take(1, 0)?;
        Ok(Reader { bytes, at: 0, budget, types })
    }

    fn end(&mut self) -> Result<(), CodecError> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(self.wrong(self.at, "something follows the value"))
        }
    }

    #[inline(always)]
    fn token(&mut self) -> Result<Token<'de>, CodecError> {
        let start = self.at;
        let Some(&marker) = self.bytes.get(start) else { return Err(self.wrong(start, "expected a value")) };
        self.at += 1;
        Ok(match marker {
            0x00..=0x7f => Token::Int(marker.into()),
            0x80..=0x8f => return self.map(usize::from(marker & 15)),
            0x90..=0x9f => return self.list(usize::from(marker & 15)),
            0xa0..=0xbf => return self.str(usize::from(marker & 31)),
            0xc0 => Token::Null,
            0xc1 => return Err(self.wrong(start, "0xc1 is never used")),
            0xc2 => Token::Bool(false),
            0xc3 => Token::Bool(true),
            0xc4 => Token::Bytes(self.sized::<1>()?),
            0xc5 => Token::Bytes(self.sized::<2>()?),
            0xc6 => Token::Bytes(self.sized::<4>()?),
            0xc7 => return self.sized_ext::<1>(),
            0xc8 => return self.sized_ext::<2>(),
            0xc9 => return self.sized_ext::<4>(),
            0xca => Token::Float(f32::from_be_bytes(self.array()?).into()),
            0xcb => Token::Float(f64::from_be_bytes(self.array()?)),
            0xcc => Token::Int(self.array::<1>()?[0].into()),
            0xcd => Token::Int(u16::from_be_bytes(self.array()?).into()),
            0xce => Token::Int(u32::from_be_bytes(self.array()?).into()),
            0xcf => {
                let n = u64::from_be_bytes(self.array()?);
                i64::try_from(n).map_or(Token::UInt(n), Token::Int)
            }
            0xd0 => Token::Int(i8::from_be_bytes(self.array()?).into()),
            0xd1 => Token::Int(i16::from_be_bytes(self.array()?).into()),
            0xd2 => Token::Int(i32::from_be_bytes(self.array()?).into()),
            0xd3 => Token::Int(i64::from_be_bytes(self.array()?)),
            0xd4..=0xd8 => return self.ext(1 << (marker - 0xd4)),
            0xd9 => {
                let len = self.length::<1>()?;
                return self.str(len);
            }
            0xda => {
                let len = self.length::<2>()?;
                return self.str(len);
            }
            0xdb => {
                let len = self.length::<4>()?;
                return self.str(len);
            }
            0xdc => {
                let len = self.length::<2>()?;
                return self.list(len);
            }
            0xdd => {
                let len = self.length::<4>()?;
                return self.list(len);
            }
            0xde => {
                let len = self.length::<2>()?;
                return self.map(len);
            }
            0xdf => {
                let len = self.length::<4>()?;
                return self.map(len);
            }
            0xe0..=0xff => Token::Int((marker as i8).into()),
        })
    }

    #[inline(always)]
    fn item(&mut self, list: &mut Open) -> Result<bool, CodecError> {
        match list.0.checked_sub(1) {
            Some(left) => {
                list.0 = left;
                Ok(true)
            }
            None => {
                self.budget.leave();
                Ok(false)
            }
        }
    }

    #[inline]
    fn entry(&mut self, map: &mut Open) -> Result<bool, CodecError> {
        self.item(map)
    }

    #[inline]
    fn colon(&mut self) -> Result<(), CodecError> {
        Ok(())
    }

    #[inline(always)]
    fn null(&mut self) -> Result<bool, CodecError> {
        let null = self.bytes.get(self.at) == Some(&0xc0);
        self.at += usize::from(null);
        Ok(null)
    }

    #[inline(always)]
    fn small(&mut self) -> Result<Option<i64>, CodecError> {
        match self.bytes.get(self.at) {
            Some(&n @ (0x00..=0x7f | 0xe0..=0xff)) => {
                self.at += 1;
                Ok(Some((n as i8).into()))
            }
            _ => Ok(None),
        }
    }

    fn pass(&mut self) -> Result<bool, CodecError> {
        self.pass_over(1).map(|()| true)
    }

    #[inline(always)]
    fn at_custom(&mut self) -> bool {
        const LEN: u8 = types::KEY.len() as u8;
        if !self.types.exist() {
            return false;
        }
        match &self.bytes[self.at.min(self.bytes.len())..] {
            // the shortest form, or a longer one of a dict or of its key
            [0x81, key, first, ..] => (*key == 0xa0 | LEN && *first == b'_') || matches!(key, 0xd9..=0xdb),
            [0xde | 0xdf, ..] => true,
            _ => false,
        }
    }

    #[inline]
    fn hint(&self, open: &Open) -> usize {
        open.0
    }

    fn at(&mut self) -> usize {
        self.at
    }

    fn types(&self) -> &'de Types {
        self.types
    }
}

impl<'de> Reader<'de> {
    #[cold]
    fn wrong(&self, offset: usize, problem: &'static str) -> CodecError {
        CodecError::syntax("MsgPack", self.bytes, offset, problem)
    }

    #[inline(always)]
    fn take(&mut self, len: usize) -> Result<&'de [u8], CodecError> {
        match self.bytes[self.at..].get(..len) {
            Some(taken) => {
                self.at += len;
                Ok(taken)
            }
            None => Err(self.wrong(self.at, "the value is cut off")),
        }
    }

    #[inline(always)]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("as many as were taken"))
    }

    /// A length of so many bytes.
    #[inline(always)]
    fn length<const N: usize>(&mut self) -> Result<usize, CodecError> {
        let digits = self.array::<N>()?;
        Ok(digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit)))
    }

    fn sized<const N: usize>(&mut self) -> Result<&'de [u8], CodecError> {
        let len = self.length::<N>()?;
        self.take(len)
    }

    fn sized_ext<const N: usize>(&mut self) -> Result<Token<'de>, CodecError> {
        let len = self.length::<N>()?;
        self.ext(len)
    }

    fn ext(&mut self, len: usize) -> Result<Token<'de>, CodecError> {
        let [code] = self.array()?;
        Ok(Token::Ext(code as i8, self.take(len)?))
    }

    /// Passes over so many values, which are counted already.
    fn pass_over(&mut self, values: usize) -> Result<(), CodecError> {
        for _ in 0..values {
            match self.bytes.get(self.at) {
                Some(0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff) => self.at += 1,
                Some(&marker @ 0xa0..=0xbf) => {
                    self.at += 1;
                    let start = self.at;
                    if !self.take(usize::from(marker & 31))?.is_ascii() {
                        self.at = start;
                        self.str(usize::from(marker & 31))?;
                    }
                }
                _ => {
                    let inside = match self.token()? {
                        Token::List(open) => open.0,
                        Token::Map(open) => 2 * open.0,
                        _ => continue,
                    };
                    self.pass_over(inside)?;
                    self.budget.leave();
                }
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn str(&mut self, len: usize) -> Result<Token<'de>, CodecError> {
        let start = self.at;
        match std::str::from_utf8(self.take(len)?) {
            Ok(text) => Ok(Token::Str(Cow::Borrowed(text))),
            Err(e) => Err(self.wrong(start + e.valid_up_to(), "not UTF-8")),
        }
    }

    #[inline(always)]
    fn list(&mut self, len: usize) -> Result<Token<'de>, CodecError> {
        self.open(len, len).map(Token::List)
    }

    #[inline(always)]
    fn map(&mut self, len: usize) -> Result<Token<'de>, CodecError> {
        self.open(len, len.saturating_mul(2)).map(Token::Map)
    }

    /// All values of a list or dict are counted when it opens, and each has at least a byte: so whoever makes room for
    /// them makes no more than the limits and the bytes allow, in all of a frame.
    #[inline(always)]
    fn open(&mut self, len: usize, values: usize) -> Result<Open, CodecError> {
        if values > self.bytes.len() - self.at {
            return Err(self.wrong(self.at, "the value is cut off"));
        }
        self.budget.take(values, self.at)?;
        self.budget.enter(self.at)?;
        Ok(Open(len))
    }
}
