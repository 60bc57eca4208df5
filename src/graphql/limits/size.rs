use std::collections::HashMap;

use async_graphql::parser::types::{Directive, ExecutableDocument, FragmentDefinition, Selection, SelectionSet};
use async_graphql::{Name, Positioned, ServerError};
use async_graphql_value::Value;
use serde_json::{Map, Value as Json};

use crate::graphql::errors::server_error;
use crate::graphql::limits::exceeded::{Exceeded, MAX_ARGUMENTS, MAX_DEPTH, MAX_SELECTIONS, MAX_VALUES, MAX_VARIABLES};

/// Bytes of a text that count as one more value: long texts are copied for each use.
const BYTES_OF_VALUE: usize = 32;

/// The size of a document with all fragments expanded. It is computed without expanding them, each fragment once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Fields and fragments, including aliases and `__typename`.
    pub(crate) selections: u64,
    /// Arguments, directives, and the parts of their values.
    pub(crate) values: u64,
    /// Depth of nested selection sets.
    depth: usize,
}

/// Checks the size of all operations of a document together, so that everything that walks it later, expanding its
/// fragments, ends soon.
///
/// # Errors
/// The document exceeds a limit, or has a fragment that is unused or spreads itself.
pub(crate) fn check(document: &ExecutableDocument, variables: &Map<String, Json>) -> Result<Size, SizeError> {
    let mut counter = Counter::new(document, variables);
    let mut size = Size::default();
    // The defaults of all operations come first: a fragment may be used by several.
    for (_, operation) in document.operations.iter() {
        let definitions = &operation.node.variable_definitions;
        if definitions.len() > MAX_VARIABLES {
            return Err(Exceeded::Variables(definitions.len()).into());
        }
        for definition in definitions {
            let default = definition.node.default_value.as_ref().map(|value| value.node.clone().into_value());
            counter.use_default(definition.node.name.node.as_str(), default.as_ref());
            size.add(counter.directives(&definition.node.directives)?);
        }
    }
    for (_, operation) in document.operations.iter() {
        size.add(counter.directives(&operation.node.directives)?);
        size.add(counter.selection_set(&operation.node.selection_set.node, 1)?);
    }
    if let Some((name, fragment)) = document.fragments.iter().find(|(name, _)| !counter.fragments.contains_key(*name)) {
        let error = ServerError::new(format!("Fragment \"{name}\" is never used"), Some(fragment.pos));
        return Err(SizeError::Invalid(Box::new(error)));
    }
    size.check()?;
    Ok(size)
}

/// Why a document is refused.
#[derive(Debug, Clone)]
pub(crate) enum SizeError {
    /// It exceeds a limit.
    Exceeded(Exceeded),
    /// Validation would find this error, but must not walk the document.
    Invalid(Box<ServerError>),
}

impl From<Exceeded> for SizeError {
    fn from(exceeded: Exceeded) -> Self {
        Self::Exceeded(exceeded)
    }
}

impl Size {
    /// Checks the size of operations that are executed together.
    ///
    /// # Errors
    /// The size exceeds a limit.
    pub(crate) fn check(self) -> Result<(), Exceeded> {
        if self.selections > MAX_SELECTIONS {
            return Err(Exceeded::Selections(self.selections));
        }
        if self.values > MAX_VALUES { Err(Exceeded::Values(self.values)) } else { Ok(()) }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.selections = self.selections.saturating_add(other.selections);
        self.values = self.values.saturating_add(other.values);
        self.depth = self.depth.max(other.depth);
    }
}

struct Counter<'a> {
    document: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    /// The number of values of each variable.
    variables: HashMap<&'a str, u64>,
    /// The counted fragments, and with `None` those that are being counted.
    fragments: HashMap<&'a Name, Option<Size>>,
}

impl<'a> Counter<'a> {
    fn new(document: &'a ExecutableDocument, variables: &'a Map<String, Json>) -> Self {
        let variables = variables.iter().map(|(name, value)| (name.as_str(), json_values(value))).collect();
        Self { document: &document.fragments, variables, fragments: HashMap::new() }
    }

    /// The default of a variable, which counts if it has more values than the given one.
    fn use_default(&mut self, name: &'a str, default: Option<&Value>) {
        let values = default.map_or(1, |value| self.value(value));
        let known = self.variables.entry(name).or_default();
        *known = values.max(*known);
    }

    fn selection_set(&mut self, set: &'a SelectionSet, depth: usize) -> Result<Size, SizeError> {
        if depth > MAX_DEPTH {
            return Err(Exceeded::Depth.into());
        }
        let mut size = Size { depth: 1, ..Size::default() };
        for selection in &set.items {
            size.add(Size { selections: 1, ..Size::default() });
            let (directives, below) = match &selection.node {
                Selection::Field(field) => {
                    size.add(self.arguments(&field.node.arguments)?);
                    let set = &field.node.selection_set.node;
                    let is_leaf = set.items.is_empty();
                    let below = if is_leaf { Size::default() } else { self.selection_set(set, depth + 1)? };
                    (&field.node.directives, below)
                }
                Selection::InlineFragment(fragment) => {
                    (&fragment.node.directives, self.selection_set(&fragment.node.selection_set.node, depth + 1)?)
                }
                Selection::FragmentSpread(spread) => {
                    (&spread.node.directives, self.fragment(&spread.node.fragment_name.node, depth + 1)?)
                }
            };
            size.add(Size { depth: below.depth + 1, ..below });
            size.add(self.directives(directives)?);
        }
        Ok(size)
    }

    /// Counts a fragment at its first spread. Unknown fragments are left to validation.
    fn fragment(&mut self, name: &Name, depth: usize) -> Result<Size, SizeError> {
        let Some((name, fragment)) = self.document.get_key_value(name) else { return Ok(Size::default()) };
        let size = match self.fragments.get(name) {
            Some(Some(size)) => *size,
            Some(None) => {
                let message = format!("fragment \"{name}\" spreads itself; remove the cycle");
                return Err(SizeError::Invalid(Box::new(server_error(message, "FRAGMENT_CYCLE"))));
            }
            None => {
                self.fragments.insert(name, None);
                let mut size = self.directives(&fragment.node.directives)?;
                size.add(self.selection_set(&fragment.node.selection_set.node, depth)?);
                self.fragments.insert(name, Some(size));
                size
            }
        };
        if depth + size.depth > MAX_DEPTH + 1 { Err(Exceeded::Depth.into()) } else { Ok(size) }
    }

    fn directives(&self, directives: &[Positioned<Directive>]) -> Result<Size, Exceeded> {
        directives.iter().try_fold(Size::default(), |mut size, directive| {
            size.add(self.arguments(&directive.node.arguments)?);
            size.add(Size { values: 1, ..Size::default() });
            Ok(size)
        })
    }

    fn arguments(&self, arguments: &[(Positioned<Name>, Positioned<Value>)]) -> Result<Size, Exceeded> {
        if arguments.len() > MAX_ARGUMENTS {
            return Err(Exceeded::Arguments(arguments.len()));
        }
        let values = arguments.iter().map(|(_, value)| self.value(&value.node).saturating_add(1));
        Ok(Size { values: values.fold(0, u64::saturating_add), ..Size::default() })
    }

    /// The parts of a value. Its depth is bounded by the brackets of the text.
    fn value(&self, value: &Value) -> u64 {
        match value {
            Value::Variable(name) => self.variables.get(name.as_str()).copied().unwrap_or(1),
            Value::String(text) => text_values(text),
            Value::List(values) => values.iter().fold(1, |sum, value| sum.saturating_add(self.value(value))),
            Value::Object(fields) => fields
                .iter()
                .fold(1, |sum, (name, value)| sum.saturating_add(text_values(name)).saturating_add(self.value(value))),
            _ => 1,
        }
    }
}

/// The parts of a variable. Its depth is bounded by the parser of JSON.
fn json_values(value: &Json) -> u64 {
    match value {
        Json::String(text) => text_values(text),
        Json::Array(values) => values.iter().fold(1, |sum, value| sum.saturating_add(json_values(value))),
        Json::Object(fields) => fields
            .iter()
            .fold(1, |sum, (name, value)| sum.saturating_add(text_values(name)).saturating_add(json_values(value))),
        _ => 1,
    }
}

fn text_values(text: &str) -> u64 {
    1 + u64::try_from(text.len() / BYTES_OF_VALUE).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "size_tests.rs"]
mod tests;
