//! A request as every transport takes it: checked for shape, parsed once, and known by its kind.

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, OperationType, Selection};
use async_graphql::{Pos, Positioned, Request, Variables};
use async_graphql_value::Value as Argument;
use serde_json::{Map, Value, json};

use crate::domain::pipeline::PipelineKey;
use crate::domain::revision::Revision;
use crate::graphql::answer::{Reason, Refusal};
use crate::graphql::document;
use crate::graphql::limits::size::{self, Size};
use crate::graphql::limits::{cost, nesting};

/// The subscription that follows a log.
const LOG: &str = "alertEvents";
/// The subscription to a status, and the argument that names what was seen of it.
const STATUS: &str = "pipelineStatusUpdates";
const SINCE: &str = "sinceRevision";

/// The parameters of a GraphQL request, of the right shapes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parameters {
    query: String,
    operation_name: Option<String>,
    variables: Map<String, Value>,
    extensions: Map<String, Value>,
}

/// A parameter that is missing or of the wrong shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct BadParameter {
    field: &'static str,
    message: &'static str,
}

/// An operation that can be executed.
#[derive(Debug)]
pub struct Operation {
    /// What it is.
    pub kind: OperationType,
    /// Whether it follows a log, of which nothing may be skipped, and not a state, of which the newest is all.
    pub follows_log: bool,
    /// What its answer costs.
    pub cost: u64,
    /// How large its document is with all fragments expanded.
    pub(super) size: Size,
    /// What tells it from others: document, name and variables, without what its client has seen.
    pub identity: Vec<u8>,
    /// What its client has seen of a pipeline's status, if it subscribes to that and says so.
    pub seen: Option<Seen>,
    /// The request, its document already parsed.
    pub request: Request,
}

/// A revision that a client has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Of which pipeline.
    pub pipeline: PipelineKey,
    /// Which one.
    pub revision: Revision,
}

impl Parameters {
    /// Takes the parameters out of a request's JSON.
    pub fn from_json(json: Value) -> Result<Self, BadParameter> {
        let Value::Object(mut parameters) = json else {
            return Err(BadParameter { field: "request", message: "it must be a JSON object with a `query`" });
        };
        let query = match parameters.remove("query") {
            Some(Value::String(query)) => query,
            Some(Value::Null) | None => {
                return Err(BadParameter { field: "query", message: "it is missing; send the document as a string" });
            }
            Some(_) => return Err(BadParameter { field: "query", message: "it must be a string" }),
        };
        let operation_name = match parameters.remove("operationName") {
            Some(Value::String(name)) => Some(name),
            None | Some(Value::Null) => None,
            Some(_) => return Err(BadParameter { field: "operationName", message: "it must be a string or null" }),
        };
        let mut object = |field| match parameters.remove(field) {
            Some(Value::Object(object)) => Ok(object),
            None | Some(Value::Null) => Ok(Map::new()),
            Some(_) => Err(BadParameter { field, message: "it must be an object or null" }),
        };
        let variables = object("variables")?;
        let extensions = object("extensions")?;
        Ok(Self { query, operation_name, variables, extensions })
    }
}

impl TryFrom<Request> for Parameters {
    type Error = BadParameter;

    /// Takes the parameters out of a request as async-graphql reads it, which has an empty document where there was none.
    fn try_from(request: Request) -> Result<Self, BadParameter> {
        if request.query.is_empty() {
            return Err(BadParameter {
                field: "query",
                message: "it is empty or missing; send the document as a string",
            });
        }
        let not_json = |field| BadParameter { field, message: "it must be an object or null" };
        let Ok(Value::Object(variables)) = request.variables.into_value().into_json() else {
            return Err(not_json("variables"));
        };
        let extensions = request.extensions.0.into_iter().map(|(name, value)| Ok((name, value.into_json()?)));
        let extensions = extensions.collect::<serde_json::Result<_>>().map_err(|_| not_json("extensions"))?;
        Ok(Self { query: request.query, operation_name: request.operation_name, variables, extensions })
    }
}

impl Parameters {
    /// The document.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// Which of the document's operations is meant.
    pub fn operation_name(&self) -> Option<&str> {
        self.operation_name.as_deref()
    }

    /// Whether it may follow a log, of which nothing is skipped. A document that only mentions it is served so as well.
    pub fn follows_log(&self) -> bool {
        self.query.contains(LOG)
    }

    /// The variables.
    pub fn variables(&self) -> &Map<String, Value> {
        &self.variables
    }

    /// The extensions.
    pub fn extensions(&self) -> &Map<String, Value> {
        &self.extensions
    }
}

impl Operation {
    /// Parses the document, once it is known to be of a size that can be parsed, and finds the operation that is meant.
    /// Nothing walks the document before the size of its selections is known.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(parameters: Parameters) -> Result<Self, Refusal> {
        let follows_log = parameters.follows_log();
        nesting::check(&parameters.query)?;
        let mut document =
            parse_query(&parameters.query).map_err(|error| Refusal::new(Reason::Request, vec![error.into()]))?;
        let size = size::check(&document, &parameters.variables).map_err(|refused| match refused {
            size::Refused::Exceeded(exceeded) => Refusal::from(exceeded),
            size::Refused::Invalid(error) => Refusal::from(*error),
        })?;
        document::uncover_typename_directives(&mut document);
        let operation = find(&document, parameters.operation_name.as_deref()).map_err(Refusal::request)?;
        if let Some(missing) = document::missing_variable(operation, &parameters.variables) {
            return Err(missing.into());
        }
        let (kind, cost) = (operation.ty, cost::cost(&document, operation, &parameters.variables));
        let (seen, given) = seen(operation, &parameters);
        let identity = identity(&parameters, given.as_ref());
        let mut request =
            Request::new(parameters.query).variables(Variables::from_json(Value::Object(parameters.variables)));
        request.operation_name = parameters.operation_name;
        request.set_parsed_query(document);
        Ok(Self { kind, follows_log, cost, size, identity, seen, request })
    }
}

/// How a client gives the revision that it has seen.
enum Given {
    /// As a variable that is used for nothing else.
    Variable(String),
    /// As a literal in the document, from one byte of it to another.
    Literal(usize, usize),
}

/// What tells an operation from others: two clients that have seen different revisions subscribe to the same.
fn identity(parameters: &Parameters, given: Option<&Given>) -> Vec<u8> {
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

/// The revision that the client has seen, as `sinceRevision` names it, and how it is given where others may give another.
fn seen(operation: &OperationDefinition, parameters: &Parameters) -> (Option<Seen>, Option<Given>) {
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

/// Where the digits of a literal revision are in the document. A text that is not a revision is an error of its own.
fn literal(query: &str, value: &Positioned<Argument>) -> Option<Given> {
    let start = offset(query, value.pos)?;
    let digits = query.get(start..)?.strip_prefix('"')?;
    let length = digits.find(|letter: char| !letter.is_ascii_digit())?;
    let is_revision = digits[length..].starts_with('"') && digits[..length].parse::<Revision>().is_ok();
    is_revision.then_some(Given::Literal(start + 1, start + 1 + length))
}

/// The byte at a position of the document, whose lines and columns count characters from 1.
fn offset(query: &str, pos: Pos) -> Option<usize> {
    let mut lines = query.split_inclusive('\n');
    let before: usize = lines.by_ref().take(pos.line - 1).map(str::len).sum();
    let line = lines.next()?;
    line.char_indices().nth(pos.column - 1).map(|(at, _)| before + at)
}

/// How often a variable occurs in a document, its definition included; more often where comments or texts name it. Unknown
/// where there is something between a `$` and its name.
fn uses(query: &str, variable: &str) -> Option<usize> {
    let is_part = |letter: char| letter == '_' || letter.is_ascii_alphanumeric();
    let mut parts = query.split('$');
    parts.next();
    parts.try_fold(0, |uses, part| {
        let name = part.find(|letter| !is_part(letter)).map_or(part, |end| &part[..end]);
        (!name.is_empty()).then(|| uses + usize::from(name == variable))
    })
}

/// JSON with the keys of objects in their order, whatever order they came in.
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
            Err("the document has several operations; say which one with operationName".into())
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
    fn parameters_have_shapes() {
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
            assert_eq!(Parameters::from_json(json.clone()).err().map(|error| error.field), expect, "{json}");
        }
    }

    #[test]
    fn the_operation_that_is_meant_is_found() {
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
                Parameters { query: query.into(), operation_name: name.map(Into::into), ..Parameters::default() };
            assert_eq!(Operation::parse(parameters).ok().map(|operation| operation.kind), expect, "{query} {name:?}");
        }
    }
}
