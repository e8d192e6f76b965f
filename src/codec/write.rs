//! From values and Rust types to bytes: what all codecs have in common when they write.
//!
//! Why one serializer: a codec only knows how scalars, lists and dicts look (`form`). How custom types, dates of
//! chrono, enums and keys are written is the same for all, and a [`Value`] is written as any other type that serializes,
//! so that a typed argument and the value it stands for are the same bytes.
//!
//! Contract: [`encode`] either appends one value or leaves the buffer as it was. Nothing is nested deeper than a peer
//! with our own limits would read.

use std::fmt::Display;
use std::marker::PhantomData;

use serde::ser::{self, Error as _, Serialize};

use super::form::{Form, Open};
use super::types::{self, Types};
use super::{CodecError, CodecErrorKind, Limits, TypeName, Value, date, marks, to_value};

/// Appends one value.
pub(super) fn encode<F: Form, T: Serialize + ?Sized>(
    value: &T,
    types: &Types,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let mark = out.len();
    let writer = Writer::<F, false> { out, types, depth: Limits::default().depth, form: PhantomData };
    value.serialize(writer).inspect_err(|_| out.truncate(mark))
}

struct Writer<'a, F, const KEY: bool> {
    out: &'a mut Vec<u8>,
    types: &'a Types,
    /// How many more levels may be opened.
    depth: usize,
    form: PhantomData<F>,
}

impl<'a, F: Form, const KEY: bool> Writer<'a, F, KEY> {
    /// The same place, once more.
    #[inline]
    fn again<const INNER_KEY: bool>(&mut self) -> Writer<'_, F, INNER_KEY> {
        Writer { out: self.out, types: self.types, depth: self.depth, form: PhantomData }
    }

    #[inline]
    fn scalar(self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), CodecError> {
        let quoted = KEY && F::TEXT_KEYS;
        if quoted {
            self.out.push(b'"');
        }
        write(self.out);
        if quoted {
            self.out.push(b'"');
        }
        Ok(())
    }

    #[inline]
    fn deeper(&mut self, levels: usize) -> Result<(), CodecError> {
        match self.depth.checked_sub(levels) {
            Some(depth) => {
                self.depth = depth;
                Ok(())
            }
            None => {
                Err(CodecErrorKind::Depth { limit: Limits::default().depth, offset: self.out.len() }.into())
            }
        }
    }

    #[inline(always)]
    fn list(mut self, len: Option<usize>, frame: Frame) -> Result<Compound<'a, F, KEY>, CodecError> {
        if KEY && F::TEXT_KEYS {
            return Err(not_a_key::<F>("list"));
        }
        self.deeper(1)?;
        let closing = self.begin(frame)?;
        let open = F::open_list(len, self.out);
        Ok(Compound { writer: self, open, closing })
    }

    #[inline(always)]
    fn map(mut self, len: Option<usize>, frame: Frame) -> Result<Compound<'a, F, KEY>, CodecError> {
        if KEY {
            return Err(not_a_key::<F>("dict"));
        }
        self.deeper(1)?;
        let closing = self.begin(frame)?;
        let open = F::open_map(len, self.out);
        Ok(Compound { writer: self, open, closing })
    }

    /// What stands around a list or dict of a type of this serde name.
    #[inline]
    fn frame(&self, serde_name: &'static str) -> Result<Frame, CodecError> {
        match marks::custom(serde_name) {
            Some(name) => Ok(self.types.user(name)?.map_or(Frame::None, Frame::Custom)),
            None => Ok(Frame::None),
        }
    }

    #[inline]
    fn begin(&mut self, frame: Frame) -> Result<Closing, CodecError> {
        match frame {
            Frame::None => Ok(Closing::None),
            Frame::Variant(name) => self.begin_variant(name),
            Frame::Custom(number) => self.begin_custom(number),
        }
    }

    #[inline(never)]
    fn begin_variant(&mut self, name: &'static str) -> Result<Closing, CodecError> {
        if KEY {
            return Err(not_a_key::<F>("dict"));
        }
        self.deeper(1)?;
        let mut map = F::open_map(Some(1), self.out);
        F::item(&mut map, self.out);
        F::str(name, self.out)?;
        F::colon(self.out);
        Ok(Closing::Variant)
    }

    #[inline(never)]
    fn begin_custom(&mut self, number: u32) -> Result<Closing, CodecError> {
        if KEY && F::TEXT_KEYS {
            return Err(not_a_key::<F>("object"));
        }
        self.deeper(2)?;
        let mut map = F::open_map(Some(1), self.out);
        F::item(&mut map, self.out);
        F::str(types::KEY, self.out)?;
        F::colon(self.out);
        let mut list = F::open_list(Some(2), self.out);
        F::item(&mut list, self.out);
        F::uint(number.into(), self.out);
        F::item(&mut list, self.out);
        Ok(Closing::Custom)
    }

    /// One value within a frame.
    fn framed<T: Serialize + ?Sized>(mut self, frame: Frame, value: &T) -> Result<(), CodecError> {
        let closing = self.begin(frame)?;
        match closing {
            Closing::None => value.serialize(self.again::<KEY>())?,
            _ => value.serialize(self.again::<false>())?,
        }
        closing.end::<F>(self.out)
    }

    /// A value that serde has no word for.
    fn marked(self, value: Value) -> Result<(), CodecError> {
        let (number, data) = match value {
            Value::BigInt(digits) => {
                let mut result = Ok(());
                self.scalar(|out| result = F::big_int(&digits, out))?;
                return result;
            }
            Value::Ext(code, bytes) => return F::ext(code, &bytes, self.out),
            Value::Date(date) => match date::to_wire(&date) {
                Some(text) => (self.types.date()?, Value::Str(text)),
                None => {
                    let text = date::to_text(&date);
                    return Err(CodecError::unsupported(format!(
                        "the date {text} is outside the years 1 to 9999 that Python knows"
                    )));
                }
            },
            Value::Proxy(reference) => {
                (self.types.proxy(reference.as_text())?, Value::from(reference.as_text()))
            }
            Value::Object(object) => match object.name {
                TypeName::Known(name) => (self.types.user(&name)?, object.data),
                TypeName::Unknown(number) => (Some(number), object.data),
            },
            plain => (None, plain),
        };
        self.framed(number.map_or(Frame::None, Frame::Custom), &data)
    }
}

#[cold]
fn not_a_key<F: Form>(kind: &str) -> CodecError {
    CodecError::unsupported(match F::TEXT_KEYS {
        true => format!("JSON keys must be str, int, float, bool or None, not {kind}"),
        false => format!("a {kind} cannot be the key of a dict, for Python could not read it"),
    })
}

/// What stands around a value.
#[derive(Debug, Clone, Copy)]
enum Frame {
    None,
    /// `{name: ...}`, an enum's variant.
    Variant(&'static str),
    /// `{"__type__": [number, ...]}`, an instance of a custom type.
    Custom(u32),
}

/// What is left of it to write after the value.
#[derive(Debug, Clone, Copy)]
enum Closing {
    None,
    Variant,
    Custom,
}

impl Closing {
    #[inline]
    fn end<F: Form>(self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let complete = |announced| Open { at: 0, announced, count: announced };
        match self {
            Closing::None => Ok(()),
            Closing::Variant => F::close_map(complete(1), out),
            Closing::Custom => {
                F::close_list(complete(2), out)?;
                F::close_map(complete(1), out)
            }
        }
    }
}

macro_rules! scalars {
    ($($form:ident $as:ty: $($method:ident($t:ty))*;)*) => {$($(
        #[inline]
        fn $method(self, v: $t) -> Result<(), CodecError> {
            self.scalar(|out| F::$form(<$as>::from(v), out))
        }
    )*)*};
}

impl<'a, F: Form, const KEY: bool> ser::Serializer for Writer<'a, F, KEY> {
    type Ok = ();
    type Error = CodecError;
    type SerializeSeq = Compound<'a, F, KEY>;
    type SerializeTuple = Compound<'a, F, KEY>;
    type SerializeTupleStruct = Compound<'a, F, KEY>;
    type SerializeTupleVariant = Compound<'a, F, KEY>;
    type SerializeMap = Compound<'a, F, KEY>;
    type SerializeStruct = Compound<'a, F, KEY>;
    type SerializeStructVariant = Compound<'a, F, KEY>;

    scalars! {
        bool bool: serialize_bool(bool);
        int i64: serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_u8(u8)
            serialize_u16(u16) serialize_u32(u32);
        uint u64: serialize_u64(u64);
        float f64: serialize_f32(f32) serialize_f64(f64);
    }

    fn serialize_i128(self, n: i128) -> Result<(), CodecError> {
        Value::from(n).serialize(self)
    }

    fn serialize_u128(self, n: u128) -> Result<(), CodecError> {
        Value::from(n).serialize(self)
    }

    fn serialize_char(self, c: char) -> Result<(), CodecError> {
        self.serialize_str(c.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, text: &str) -> Result<(), CodecError> {
        F::str(text, self.out)
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), CodecError> {
        let text = value.to_string();
        match date::is_chrono::<T>().then(|| date::from_text(&text)).flatten() {
            Some(date) => self.marked(Value::Date(date)),
            None => self.serialize_str(&text),
        }
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), CodecError> {
        if KEY && F::TEXT_KEYS {
            return Err(not_a_key::<F>("bytes"));
        }
        F::bytes(bytes, self.out)
    }

    #[inline]
    fn serialize_none(self) -> Result<(), CodecError> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), CodecError> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), CodecError> {
        self.scalar(F::null)
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<(), CodecError> {
        let frame = self.frame(name)?;
        self.framed(frame, &())
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), CodecError> {
        self.serialize_str(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), CodecError> {
        if !name.starts_with('$') {
            return value.serialize(self);
        }
        if marks::custom(name).is_some() {
            let frame = self.frame(name)?;
            return self.framed(frame, value);
        }
        match marks::join(name, to_value(value)?) {
            Ok(value) => self.marked(value),
            Err(content) => content.serialize(self),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), CodecError> {
        self.framed(Frame::Variant(variant), value)
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, CodecError> {
        self.list(len, Frame::None)
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, CodecError> {
        self.list(Some(len), Frame::None)
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, CodecError> {
        let frame = self.frame(name)?;
        self.list(Some(len), frame)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, CodecError> {
        self.list(Some(len), Frame::Variant(variant))
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, CodecError> {
        self.map(len, Frame::None)
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct, CodecError> {
        let frame = self.frame(name)?;
        self.map(Some(len), frame)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, CodecError> {
        self.map(Some(len), Frame::Variant(variant))
    }
}

struct Compound<'a, F, const KEY: bool> {
    writer: Writer<'a, F, KEY>,
    open: Open,
    closing: Closing,
}

impl<F: Form, const KEY: bool> Compound<'_, F, KEY> {
    #[inline]
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        F::item(&mut self.open, self.writer.out);
        // what a key is made of must be fit for one, too
        value.serialize(self.writer.again::<KEY>()).map_err(|e| e.in_item(self.open.count - 1))
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), CodecError> {
        F::item(&mut self.open, self.writer.out);
        if name == types::KEY && self.writer.types.exist() {
            return Err(types::reserved());
        }
        F::str(name, self.writer.out)?;
        F::colon(self.writer.out);
        value.serialize(self.writer.again::<false>()).map_err(|e| e.in_entry(name))
    }

    #[inline]
    fn end_list(self) -> Result<(), CodecError> {
        F::close_list(self.open, self.writer.out)?;
        self.closing.end::<F>(self.writer.out)
    }

    #[inline]
    fn end_map(self) -> Result<(), CodecError> {
        F::close_map(self.open, self.writer.out)?;
        self.closing.end::<F>(self.writer.out)
    }
}

macro_rules! items {
    ($($trait:ident::$method:ident)*) => {$(
        impl<F: Form, const KEY: bool> ser::$trait for Compound<'_, F, KEY> {
            type Ok = ();
            type Error = CodecError;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
                self.item(value)
            }

            #[inline]
            fn end(self) -> Result<(), CodecError> {
                self.end_list()
            }
        }
    )*};
}
items! {
    SerializeSeq::serialize_element SerializeTuple::serialize_element
    SerializeTupleStruct::serialize_field SerializeTupleVariant::serialize_field
}

macro_rules! fields {
    ($($trait:ident)*) => {$(
        impl<F: Form, const KEY: bool> ser::$trait for Compound<'_, F, KEY> {
            type Ok = ();
            type Error = CodecError;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), CodecError> {
                self.field(name, value)
            }

            #[inline]
            fn end(self) -> Result<(), CodecError> {
                self.end_map()
            }
        }
    )*};
}
fields! { SerializeStruct SerializeStructVariant }

impl<F: Form, const KEY: bool> ser::SerializeMap for Compound<'_, F, KEY> {
    type Ok = ();
    type Error = CodecError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), CodecError> {
        F::item(&mut self.open, self.writer.out);
        let start = self.writer.out.len();
        key.serialize(self.writer.again::<true>())?;
        if self.writer.types.exist() {
            let written = &self.writer.out[start..];
            // No longer form of this text is written; whether it is text is seen when it is likely.
            let key_bytes = types::KEY.as_bytes();
            if written.len() <= key_bytes.len() + 2
                && written.windows(key_bytes.len()).any(|part| part == key_bytes)
                && to_value(key)?.as_str() == Some(types::KEY)
            {
                return Err(types::reserved());
            }
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        if self.open.count == 0 {
            return Err(CodecError::custom("a value of a dict without its key"));
        }
        F::colon(self.writer.out);
        value.serialize(self.writer.again::<false>())
    }

    fn end(self) -> Result<(), CodecError> {
        self.end_map()
    }
}
