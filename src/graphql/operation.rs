//! A request as every transport takes it: checked for shape, parsed once, and known by its kind.

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, OperationType};
use async_graphql::{Request, Variables};
use serde_json::{Map, Value};

use crate::graphql::answer::{Reason, Refusal};
use crate::graphql::document;
use crate::graphql::limits::{cost, nesting, size};

/// The subscription that follows a log.
const LOG: &str = "alertEvents";

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
    /// The request, its document already parsed.
    pub request: Request,
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
        size::check(&document, &parameters.variables).map_err(|refused| match refused {
            size::Refused::Exceeded(exceeded) => Refusal::from(exceeded),
            size::Refused::Invalid(error) => Refusal::from(*error),
        })?;
        document::uncover_typename_directives(&mut document);
        let operation = find(&document, parameters.operation_name.as_deref()).map_err(Refusal::request)?;
        if let Some(missing) = document::missing_variable(operation, &parameters.variables) {
            return Err(missing.into());
        }
        let (kind, cost) = (operation.ty, cost::cost(&document, operation, &parameters.variables));
        let mut request =
            Request::new(parameters.query).variables(Variables::from_json(Value::Object(parameters.variables)));
        request.operation_name = parameters.operation_name;
        request.set_parsed_query(document);
        Ok(Self { kind, follows_log, cost, request })
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
    use serde_json::json;

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
