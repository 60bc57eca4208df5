use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{TypeKind, TypeSystemDefinition};
use serde_json::Value;

#[test]
fn schema_graphql_is_current() {
    let committed = include_str!("../../schema.graphql");
    assert!(committed == pipewatch::graphql::sdl(), "run `make schema` and commit schema.graphql");
}

/// Minimum number of words of a description.
const MIN_WORDS: usize = 4;

fn is_sentence(description: &str) -> bool {
    description.split_whitespace().count() >= MIN_WORDS && description.trim_end().ends_with(['.', ')', ']'])
}

#[test]
fn everything_in_schema_graphql_is_described() {
    let schema = parse_schema(pipewatch::graphql::sdl()).expect("a schema");
    let mut descriptions = Vec::new();
    for definition in schema.definitions {
        let TypeSystemDefinition::Type(definition) = definition else { continue };
        let definition = definition.node;
        let name = definition.name.node;
        let mut add = |path: String, description: Option<String>| descriptions.push((path, description));
        let text = |description: Option<async_graphql::Positioned<String>>| description.map(|text| text.node);
        add(name.to_string(), text(definition.description));
        match definition.kind {
            TypeKind::Object(object) => {
                for field in object.fields {
                    let field = field.node;
                    for argument in field.arguments {
                        let path = format!("{name}.{}({})", field.name, argument.node.name);
                        add(path, text(argument.node.description));
                    }
                    add(format!("{name}.{}", field.name), text(field.description));
                }
            }
            TypeKind::InputObject(input) => {
                for field in input.fields {
                    add(format!("{name}.{}", field.node.name), text(field.node.description));
                }
            }
            TypeKind::Enum(values) => {
                for value in values.values {
                    add(format!("{name}.{}", value.node.value), text(value.node.description));
                }
            }
            TypeKind::Scalar | TypeKind::Interface(_) | TypeKind::Union(_) => {}
        }
    }
    assert!(descriptions.len() > 300, "{}", descriptions.len());
    let bad: Vec<_> = descriptions.iter().filter(|(_, text)| !text.as_deref().is_some_and(is_sentence)).collect();
    assert!(bad.is_empty(), "without a sentence: {bad:#?}");
}

#[test]
fn everything_in_openapi_json_is_described() {
    let openapi: Value = serde_json::from_str(&pipewatch::http::openapi::json()).expect("JSON");
    let mut missing = Vec::new();
    collect(&openapi, "", &mut missing);
    for (name, schema) in openapi["components"]["schemas"].as_object().expect("schemas") {
        require(schema, name, &mut missing);
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            require(property, &format!("{name}.{field}"), &mut missing);
        }
    }
    for (path, methods) in openapi["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let what = format!("{method} {path}");
            if !operation["summary"].as_str().is_some_and(is_long) {
                missing.push(format!("{what}: summary"));
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                require(parameter, &format!("{what} {}", parameter["name"]), &mut missing);
            }
            for (status, response) in operation["responses"].as_object().expect("responses") {
                require(response, &format!("{what} {status}"), &mut missing);
                for (header, described) in response["headers"].as_object().into_iter().flatten() {
                    require(described, &format!("{what} {status} {header}"), &mut missing);
                }
            }
        }
    }
    assert!(missing.is_empty(), "without a description of {MIN_WORDS} words: {missing:#?}");
}

fn is_long(description: &str) -> bool {
    description.split_whitespace().count() >= MIN_WORDS
}

fn require(value: &Value, what: &str, missing: &mut Vec<String>) {
    // Of a value that may be null, its other form is described.
    if !value["description"].is_string() && !value["oneOf"][0]["description"].is_string() {
        missing.push(what.to_owned());
    }
}

/// Collects every description that is too short.
fn collect(value: &Value, path: &str, missing: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = format!("{path}/{name}");
                match value {
                    // An example or a property may have this name as well.
                    Value::String(text) if name == "description" && !path.contains("/example") => {
                        if !is_long(text) {
                            missing.push(format!("{path}: {text}"));
                        }
                    }
                    value => collect(value, &path, missing),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, path, missing)),
        _ => {}
    }
}
