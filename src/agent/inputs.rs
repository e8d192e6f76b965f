//! What a simulator writes to a port: one value per source, in the order of the sources' names.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::codec::{Value, from_value};

/// The values of one port in one step: source → value, sorted by source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inputs<T> {
    values: Vec<(String, T)>,
}

impl<T> Default for Inputs<T> {
    fn default() -> Self {
        Inputs { values: Vec::new() }
    }
}

impl<T> Inputs<T> {
    /// Source and value, in the order of the sources' names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &T)> {
        self.values.iter().map(|(source, value)| (source.as_str(), value))
    }

    /// The values, in the order of their sources' names.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &T> {
        self.values.iter().map(|(_, value)| value)
    }

    /// The value of one source.
    pub fn get(&self, source: &str) -> Option<&T> {
        self.values.iter().find(|(name, _)| name == source).map(|(_, value)| value)
    }

    /// How many sources have written.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The sum over the sources, in their order: the same to the last bit in every run.
    pub fn sum(&self) -> T
    where
        T: Copy + std::iter::Sum<T>,
    {
        self.values().copied().sum()
    }
}

impl<T> IntoIterator for Inputs<T> {
    type Item = (String, T);
    type IntoIter = std::vec::IntoIter<(String, T)>;

    fn into_iter(self) -> Self::IntoIter {
        self.values.into_iter()
    }
}

impl<T> FromIterator<(String, T)> for Inputs<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(values: I) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(|a, b| a.0.cmp(&b.0));
        Inputs { values }
    }
}

/// What the sources of one port have written, as values: source and value.
pub type Written = Vec<(String, Value)>;

/// A source wrote something the port does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadInput {
    /// Who wrote it.
    pub source: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the value from {}: {}", self.source, self.message)
    }
}

impl<T: DeserializeOwned> Inputs<T> {
    /// Decodes what the sources wrote.
    ///
    /// # Errors
    /// [`BadInput`] for the first value of another type; null is a value of `Option<T>` only.
    pub fn decode(values: Written) -> Result<Self, BadInput> {
        values
            .into_iter()
            .map(|(source, value)| match from_value(value) {
                Ok(value) => Ok((source, value)),
                Err(error) => Err(BadInput { source, message: error.to_string() }),
            })
            .collect()
    }
}
