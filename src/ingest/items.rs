//! Reads the items of a request body one by one, with limits. Only one item is held as JSON at a time.

use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Items per array.
pub const MAX_ITEMS: usize = 1_000;
/// Lines per NDJSON body. They are committed in one transaction, for which other requests wait.
pub const MAX_LINES: usize = 10_000;
/// JSON values per item. The largest valid report has about 600: 50 checks and 50 steps.
const MAX_VALUES: usize = 1_000;
/// Bytes of the names and texts per item. An error text alone may have 65,536 characters of four bytes.
const MAX_TEXT: usize = 512 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFormat {
    /// One object, or an array of objects.
    Json,
    /// One object per line.
    Ndjson,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBody {
    #[error("the request body is not valid JSON: {what} at line {line} column {column}")]
    Broken {
        what: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    #[error("the array has more than {MAX_ITEMS} items; send several requests, or NDJSON")]
    TooManyItems,
    #[error("the body has more than {MAX_LINES} lines; send several requests")]
    TooManyLines,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    #[error("the item has more than {MAX_VALUES} values")]
    Values,
    /// Its names and texts are too long.
    #[error("the item has more than {} KiB of text", MAX_TEXT / 1024)]
    Text,
}

impl TooLarge {
    /// What would be accepted.
    pub fn expected() -> String {
        format!("at most {MAX_VALUES} values and {} KiB of text in an item", MAX_TEXT / 1024)
    }
}

/// Reads a body, and hands over each item as soon as it is read.
///
/// # Errors
/// At the first byte that is not JSON, and at the first item too many. Items before it were handed over.
pub fn read(format: BodyFormat, body: &[u8], mut each: impl FnMut(Result<Value, TooLarge>)) -> Result<(), InvalidBody> {
    match format {
        BodyFormat::Json => {
            let mut reading = Reading { each: &mut each, has_too_many: false };
            let mut json = serde_json::Deserializer::from_slice(body);
            let read = BodySeed(&mut reading).deserialize(&mut json).and_then(|()| json.end());
            match read {
                _ if reading.has_too_many => Err(InvalidBody::TooManyItems),
                Ok(()) => Ok(()),
                Err(error) => Err(InvalidBody::broken(&error, error.line())),
            }
        }
        BodyFormat::Ndjson => {
            let lines = body.split(|byte| *byte == b'\n').enumerate();
            let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
            for (count, (index, line)) in lines.enumerate() {
                if count == MAX_LINES {
                    return Err(InvalidBody::TooManyLines);
                }
                let mut room = Room::default();
                let mut json = serde_json::Deserializer::from_slice(line);
                let read = ValueSeed(&mut room).deserialize(&mut json).and_then(|item| json.end().map(|()| item));
                let item = read.map_err(|error| InvalidBody::broken(&error, index + error.line().max(1)))?;
                each(room.item(item));
            }
            Ok(())
        }
    }
}

impl InvalidBody {
    fn broken(error: &serde_json::Error, line: usize) -> Self {
        let message = error.to_string();
        // serde_json ends its message with the place, which of a single line is not that of the body.
        let what = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what).to_owned();
        Self::Broken { what, line, column: error.column() }
    }
}

/// What an item has used of what it may have.
#[derive(Default)]
struct Room {
    values: usize,
    text: usize,
}

impl Room {
    fn is_exceeded(&self) -> bool {
        self.values > MAX_VALUES || self.text > MAX_TEXT
    }

    fn item(&self, item: Value) -> Result<Value, TooLarge> {
        if self.values > MAX_VALUES {
            Err(TooLarge::Values)
        } else if self.text > MAX_TEXT {
            Err(TooLarge::Text)
        } else {
            Ok(item)
        }
    }

    /// A text, empty where there is no room for it.
    fn text(&mut self, text: &str) -> String {
        self.text += text.len();
        if self.is_exceeded() { String::new() } else { text.to_owned() }
    }
}

struct Reading<F> {
    each: F,
    has_too_many: bool,
}

/// A whole body: an array of items, or one item.
struct BodySeed<'a, F>(&'a mut Reading<F>);

impl<'de, F: FnMut(Result<Value, TooLarge>)> DeserializeSeed<'de> for BodySeed<'_, F> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<F: FnMut(Result<Value, TooLarge>)> BodySeed<'_, F> {
    fn one<E>(self, read: impl FnOnce(ValueSeed<'_>) -> Result<Value, E>) -> Result<(), E> {
        let mut room = Room { values: 1, text: 0 };
        let item = read(ValueSeed(&mut room))?;
        (self.0.each)(room.item(item));
        Ok(())
    }
}

impl<'de, F: FnMut(Result<Value, TooLarge>)> Visitor<'de> for BodySeed<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        for count in 0.. {
            let mut room = Room::default();
            let Some(item) = items.next_element_seed(ValueSeed(&mut room))? else { break };
            if count == MAX_ITEMS {
                self.0.has_too_many = true;
                return Err(serde::de::Error::custom("too many items"));
            }
            (self.0.each)(room.item(item));
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<(), A::Error> {
        self.one(|seed| seed.visit_map(fields))
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.one(|_| Ok(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.one(|_| Ok(value.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.one(|_| Ok(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.one(|_| Ok(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.one(|_| Ok(number.into()))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.one(|seed| seed.visit_str(text))
    }
}

/// A JSON value that stops growing when its item has no room left; the rest of it is read and dropped.
struct ValueSeed<'a>(&'a mut Room);

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.0.values += 1;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        while !self.0.is_exceeded() {
            match elements.next_element_seed(ValueSeed(self.0))? {
                Some(element) => read.push(element),
                None => return Ok(Value::Array(read)),
            }
        }
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while !self.0.is_exceeded() {
            match fields.next_key_seed(TextSeed(self.0))? {
                Some(name) => drop(read.insert(name, fields.next_value_seed(ValueSeed(self.0))?)),
                None => return Ok(Value::Object(read)),
            }
        }
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(self.0.text(text)))
    }
}

/// The name of a field.
struct TextSeed<'a>(&'a mut Room);

impl<'de> DeserializeSeed<'de> for TextSeed<'_> {
    type Value = String;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for TextSeed<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(self.0.text(text))
    }
}

#[cfg(test)]
#[path = "items_tests.rs"]
mod tests;
