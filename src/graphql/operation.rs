//! A request as every transport takes it: checked for shape, parsed once, and known by its kind.

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet};
use async_graphql::{Pos, Positioned, Request, Variables};
use async_graphql_value::Value as Argument;
use serde_json::{Map, Value, json};

use crate::domain::key::PipelineKey;
use crate::domain::revision::Revision;
use crate::graphql::answer::{Reason, Refusal};
use crate::graphql::document;
use crate::graphql::limits::size::{self, Size};
use crate::graphql::limits::{cost, nesting};

/// The subscription to a log of events.
const LOG: &str = "alertEvents";
/// The subscription to a status, and the argument with the latest revision that the client has seen.
const STATUS: &str = "pipelineStatusUpdates";
const SINCE: &str = "sinceRevision";

/// The parameters of a GraphQL request, with their types checked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RequestParams {
    query: String,
    operation_name: Option<String>,
    variables: Map<String, Value>,
    extensions: Map<String, Value>,
}

/// A parameter that is missing or has the wrong type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct InvalidParam {
    field: &'static str,
    message: &'static str,
}

/// A parsed operation.
#[derive(Debug)]
pub struct Operation {
    /// Query, mutation or subscription.
    pub kind: OperationType,
    /// Whether it subscribes to a log, of which nothing may be skipped, rather than a state, of which only the newest
    /// matters.
    pub is_event_log: bool,
    /// The cost of its answer.
    pub cost: u64,
    /// The size of its document with all fragments expanded.
    pub(super) size: Size,
    /// The identity of a topic: document, name and variables, without the revision that the client has seen.
    pub identity: Vec<u8>,
    /// The latest revision of a pipeline's status that the client has seen, if it names one.
    pub seen: Option<Seen>,
    parameters: RequestParams,
    document: ExecutableDocument,
}

/// A revision that a client has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The pipeline of the status.
    pub pipeline: PipelineKey,
    /// The revision of the status.
    pub revision: Revision,
}

impl RequestParams {
    /// Reads the parameters from the JSON of a request.
    pub fn from_json(json: Value) -> Result<Self, InvalidParam> {
        let Value::Object(mut parameters) = json else {
            return Err(InvalidParam { field: "request", message: "it must be a JSON object with a `query`" });
        };
        let query = match parameters.remove("query") {
            Some(Value::String(query)) => query,
            Some(Value::Null) | None => {
                return Err(InvalidParam { field: "query", message: "it is missing; send the document as a string" });
            }
            Some(_) => return Err(InvalidParam { field: "query", message: "it must be a string" }),
        };
        let operation_name = match parameters.remove("operationName") {
            Some(Value::String(name)) => Some(name),
            None | Some(Value::Null) => None,
            Some(_) => return Err(InvalidParam { field: "operationName", message: "it must be a string or null" }),
        };
        let mut object = |field| match parameters.remove(field) {
            Some(Value::Object(object)) => Ok(object),
            None | Some(Value::Null) => Ok(Map::new()),
            Some(_) => Err(InvalidParam { field, message: "it must be an object or null" }),
        };
        let variables = object("variables")?;
        let extensions = object("extensions")?;
        Ok(Self { query, operation_name, variables, extensions })
    }
}

impl TryFrom<Request> for RequestParams {
    type Error = InvalidParam;

    /// Reads the parameters from a request of async-graphql, where a missing document is empty.
    fn try_from(request: Request) -> Result<Self, InvalidParam> {
        if request.query.is_empty() {
            return Err(InvalidParam {
                field: "query",
                message: "it is empty or missing; send the document as a string",
            });
        }
        let not_json = |field| InvalidParam { field, message: "it must be an object or null" };
        let Ok(Value::Object(variables)) = request.variables.into_value().into_json() else {
            return Err(not_json("variables"));
        };
        let extensions = request.extensions.0.into_iter().map(|(name, value)| Ok((name, value.into_json()?)));
        let extensions = extensions.collect::<serde_json::Result<_>>().map_err(|_| not_json("extensions"))?;
        Ok(Self { query: request.query, operation_name: request.operation_name, variables, extensions })
    }
}

impl RequestParams {
    /// The document.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// The extensions.
    pub fn extensions(&self) -> &Map<String, Value> {
        &self.extensions
    }
}

impl Operation {
    /// Parses the document after checking that its size permits it, and finds the operation. Nothing walks the
    /// document before the number of its selections is known.
    ///
    /// # Errors
    /// The request is invalid or exceeds a limit.
    pub fn parse(parameters: RequestParams) -> Result<Self, Refusal> {
        nesting::check(&parameters.query)?;
        let mut document =
            parse_query(&parameters.query).map_err(|error| Refusal::new(Reason::Request, vec![error.into()]))?;
        let size = size::check(&document, &parameters.variables).map_err(|refused| match refused {
            size::SizeError::Exceeded(exceeded) => Refusal::from(exceeded),
            size::SizeError::Invalid(error) => Refusal::from(*error),
        })?;
        document::hoist_typename_directives(&mut document);
        let operation = find(&document, parameters.operation_name.as_deref()).map_err(Refusal::request)?;
        if let Some(missing) = document::missing_variable(operation, &parameters.variables) {
            return Err(missing.into());
        }
        let (kind, cost) = (operation.ty, cost::cost(&document, operation, &parameters.variables));
        let is_event_log = selects(&document, &operation.selection_set.node, LOG);
        let (seen, given) = seen(operation, &parameters);
        let identity = identity(&parameters, given.as_ref());
        Ok(Self { kind, is_event_log, cost, size, identity, seen, parameters, document })
    }

    /// The request for the executor, with its parsed document.
    pub(super) fn into_request(self) -> Request {
        let RequestParams { query, operation_name, variables, .. } = self.parameters;
        let mut request = Request::new(query).variables(Variables::from_json(Value::Object(variables)));
        request.operation_name = operation_name;
        request.set_parsed_query(self.document);
        request
    }

    /// The same without giving the operation away: copying a document costs less than parsing it again.
    pub(super) fn request(&self) -> Request {
        let mut request = Request::new(self.parameters.query.clone())
            .variables(Variables::from_json(Value::Object(self.parameters.variables.clone())));
        request.operation_name.clone_from(&self.parameters.operation_name);
        request.set_parsed_query(self.document.clone());
        request
    }
}

/// Whether a selection set has a field, itself or through fragments, which spread no cycle here.
fn selects(document: &ExecutableDocument, set: &SelectionSet, name: &str) -> bool {
    set.items.iter().any(|selection| match &selection.node {
        Selection::Field(field) => field.node.name.node == name,
        Selection::InlineFragment(fragment) => selects(document, &fragment.node.selection_set.node, name),
        Selection::FragmentSpread(spread) => {
            let fragment = document.fragments.get(&spread.node.fragment_name.node);
            fragment.is_some_and(|fragment| selects(document, &fragment.node.selection_set.node, name))
        }
    })
}

/// How a client passes the revision that it has seen.
enum Given {
    /// As a variable without another use.
    Variable(String),
    /// As a literal, between two byte offsets of the document.
    Literal(usize, usize),
}

/// The identity of a topic. Clients that have seen different revisions share one.
fn identity(parameters: &RequestParams, given: Option<&Given>) -> Vec<u8> {
    let (mut query, mut variables) = (parameters.query.clone(), parameters.variables.clone());
    match given {
        Some(Given::Variable(name)) => drop(variables.remove(name)),
        Some(Given::Literal(from, to)) => query.replace_range(from..to, ""),
        None => {}
    }
    let name = &parameters.operation_name;
    // A document without the literal is not one whose literal is empty.
    let is_resumed = matches!(given, Some(Given::Literal(..)));
    let mut identity = Vec::new();
    canonical(&json!({"query": query, "name": name, "variables": variables, "resumed": is_resumed}), &mut identity);
    identity
}

/// The revision in `sinceRevision`, and how it is passed if it can be left out of the identity.
fn seen(operation: &OperationDefinition, parameters: &RequestParams) -> (Option<Seen>, Option<Given>) {
    let mut fields = operation.selection_set.node.items.iter().filter_map(|selection| match &selection.node {
        Selection::Field(field) if field.node.name.node == STATUS => Some(&field.node),
        _ => None,
    });
    let text = |value: &Argument| match value {
        Argument::String(text) => Some(text.clone()),
        Argument::Variable(name) => parameters.variables.get(name.as_str())?.as_str().map(str::to_owned),
        _ => None,
    };
    let Some((field, since)) = fields.find_map(|field| Some((field, field.get_argument(SINCE)?))) else {
        return (None, None);
    };
    let given = match &since.node {
        Argument::Variable(name) if uses(&parameters.query, name) == Some(2) => Some(Given::Variable(name.to_string())),
        Argument::String(_) => literal(&parameters.query, since),
        _ => None,
    };
    let pipeline = match field.get_argument("pipeline") {
        Some(pipeline) => text(&pipeline.node).and_then(|pipeline| pipeline.parse().ok()),
        None => Some(PipelineKey::default()),
    };
    let revision = text(&since.node).and_then(|revision| revision.parse().ok());
    (pipeline.zip(revision).map(|(pipeline, revision)| Seen { pipeline, revision }), given)
}

/// The position of the digits of a literal revision. Any other text is an error that must not share a topic.
fn literal(query: &str, value: &Positioned<Argument>) -> Option<Given> {
    let start = offset(query, value.pos)?;
    let digits = query.get(start..)?.strip_prefix('"')?;
    let length = digits.find(|letter: char| !letter.is_ascii_digit())?;
    let is_revision = digits[length..].starts_with('"') && digits[..length].parse::<Revision>().is_ok();
    is_revision.then_some(Given::Literal(start + 1, start + 1 + length))
}

/// The byte offset of a position, whose line and column count characters from 1.
fn offset(query: &str, pos: Pos) -> Option<usize> {
    let mut lines = query.split_inclusive('\n');
    let before: usize = lines.by_ref().take(pos.line - 1).map(str::len).sum();
    let line = lines.next()?;
    line.char_indices().nth(pos.column - 1).map(|(at, _)| before + at)
}

/// How often a variable occurs in a document, including its definition, comments and texts. `None` if something
/// separates a `$` from its name.
fn uses(query: &str, variable: &str) -> Option<usize> {
    let is_part = |letter: char| letter == '_' || letter.is_ascii_alphanumeric();
    let mut parts = query.split('$');
    parts.next();
    parts.try_fold(0, |uses, part| {
        let name = part.find(|letter| !is_part(letter)).map_or(part, |end| &part[..end]);
        (!name.is_empty()).then(|| uses + usize::from(name == variable))
    })
}

/// Writes JSON with the keys of objects sorted.
fn canonical(value: &serde_json::Value, out: &mut Vec<u8>) {
    match value {
        serde_json::Value::Object(object) => {
            let mut fields: Vec<_> = object.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            out.push(b'{');
            for (name, value) in fields {
                out.extend_from_slice(serde_json::Value::from(name.as_str()).to_string().as_bytes());
                out.push(b':');
                canonical(value, out);
                out.push(b',');
            }
            out.push(b'}');
        }
        serde_json::Value::Array(values) => {
            out.push(b'[');
            for value in values {
                canonical(value, out);
                out.push(b',');
            }
            out.push(b']');
        }
        plain => out.extend_from_slice(plain.to_string().as_bytes()),
    }
}

fn find<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Result<&'a OperationDefinition, String> {
    let mut operations = document.operations.iter();
    let found = match name {
        Some(name) => operations.find(|(found, _)| found.is_some_and(|found| found.as_str() == name)),
        None => operations.next(),
    };
    match (name, found) {
        (None, Some(_)) if operations.next().is_some() => {
            Err("the document has several operations; choose one with operationName".into())
        }
        (_, Some((_, operation))) => Ok(&operation.node),
        (Some(name), None) => Err(format!("unknown operation named {name:?}")),
        (None, None) => Err("the document has no operation".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_have_types() {
        for (json, expect) in [
            (json!({"query": "{ a }"}), None),
            (json!({"query": "{ a }", "operationName": null, "variables": null, "extensions": null}), None),
            (json!({"query": "{ a }", "operationName": "A", "variables": {"a": 1}, "extensions": {}}), None),
            (json!({"query": "{ a }", "more": 1}), None),
            (json!({}), Some("query")),
            (json!({"query": ""}), None),
            (json!({"query": 1}), Some("query")),
            (json!({"query": "{ a }", "operationName": 1}), Some("operationName")),
            (json!({"query": "{ a }", "variables": []}), Some("variables")),
            (json!({"query": "{ a }", "variables": "{}"}), Some("variables")),
            (json!({"query": "{ a }", "extensions": 0}), Some("extensions")),
            (json!([{"query": "{ a }"}]), Some("request")),
            (json!("{ a }"), Some("request")),
        ] {
            assert_eq!(RequestParams::from_json(json.clone()).err().map(|error| error.field), expect, "{json}");
        }
    }

    #[test]
    fn subscription_to_a_log_is_found_by_its_field() {
        for (query, expect) in [
            ("subscription { alertEvents { id } }", true),
            ("subscription { a: alertEvents { id } }", true),
            ("subscription { ...F } fragment F on Subscription { ... { alertEvents { id } } }", true),
            ("subscription alertEvents { alertEventsOther: other { alertEvents } } # alertEvents", false),
        ] {
            let parameters = RequestParams { query: query.into(), ..RequestParams::default() };
            let operation = Operation::parse(parameters).expect("an operation");
            assert_eq!(operation.is_event_log, expect, "{query}");
        }
    }

    #[test]
    fn operation_is_found_by_name() {
        let two = "query A { a } subscription B { b }";
        for (query, name, expect) in [
            ("{ a }", None, Some(OperationType::Query)),
            ("mutation { a }", None, Some(OperationType::Mutation)),
            ("subscription S { a }", None, Some(OperationType::Subscription)),
            ("subscription S { a }", Some("S"), Some(OperationType::Subscription)),
            ("{ a }", Some("A"), None),
            (two, Some("A"), Some(OperationType::Query)),
            (two, Some("B"), Some(OperationType::Subscription)),
            (two, Some("C"), None),
            (two, None, None),
            ("{ a", None, None),
            ("", None, None),
            ("query ($a: Int!) { a }", None, None),
            ("query ($a: Int! = 1) { a }", None, Some(OperationType::Query)),
            ("query ($a: Int) { a }", None, Some(OperationType::Query)),
        ] {
            let parameters =
                RequestParams { query: query.into(), operation_name: name.map(Into::into), ..RequestParams::default() };
            assert_eq!(Operation::parse(parameters).ok().map(|operation| operation.kind), expect, "{query} {name:?}");
        }
    }
}
