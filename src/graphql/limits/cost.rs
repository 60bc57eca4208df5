use std::collections::HashMap;
use std::sync::LazyLock;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, ExecutableDocument, Field, FieldDefinition, FragmentDefinition, OperationDefinition, OperationType,
    Selection, SelectionSet, Type, TypeKind, TypeSystemDefinition,
};
use async_graphql::{Name, Positioned};
use async_graphql_value::{ConstValue, Value};
use serde_json::{Map, Value as Json};

use crate::graphql::limits::exceeded::LIST_COST;
use crate::graphql::schema::sdl;

/// The types of introspection, which the schema's SDL lacks, and the average lengths of their lists in this schema.
const INTROSPECTION: &str = "
    type __Schema { types: [__Type] queryType: __Type mutationType: __Type subscriptionType: __Type
        directives: [__Directive] }
    type __Type { fields: [__Field] interfaces: [__Type] possibleTypes: [__Type] enumValues: [__EnumValue]
        inputFields: [__InputValue] ofType: __Type }
    type __Field { args: [__InputValue] type: __Type }
    type __InputValue { type: __Type }
    type __Directive { locations: [String] args: [__InputValue] }
";
const INTROSPECTION_LISTS: [(&str, u64); 7] = [
    ("fields", 5),
    ("interfaces", 1),
    ("possibleTypes", 1),
    ("enumValues", 3),
    ("inputFields", 2),
    ("args", 1),
    ("directives", 5),
];

/// The types of the fields of the schema.
struct Shapes {
    /// Shapes by the names of a type and a field.
    fields: HashMap<String, HashMap<String, Shape>>,
}

/// The type of a field.
struct Shape {
    type_name: String,
    /// The length of a list without an argument; 1 for a single value.
    items: u64,
    /// The default of `first` or `last`, if the field has such an argument.
    page: Option<u64>,
}

static SHAPES: LazyLock<Shapes> = LazyLock::new(|| {
    // Both texts are the program's own, and a test reads them.
    let types = |text: &str| {
        let document = parse_schema(text).map(|schema| schema.definitions).unwrap_or_default();
        document
            .into_iter()
            .filter_map(|definition| match definition {
                TypeSystemDefinition::Type(definition) => match definition.node.kind {
                    TypeKind::Object(object) => Some((definition.node.name.node.to_string(), object.fields)),
                    TypeKind::Interface(interface) => Some((definition.node.name.node.to_string(), interface.fields)),
                    _ => None,
                },
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    let (own, meta) = (types(&sdl()), types(INTROSPECTION));
    let all = u64::try_from(own.len() + meta.len()).unwrap_or(LIST_COST);
    let mut fields: HashMap<_, HashMap<_, _>> = HashMap::new();
    for (name, definitions) in own {
        let is_connection = name.ends_with("Connection");
        let shapes =
            definitions.iter().map(|field| (field.node.name.node.to_string(), shape(&field.node, is_connection)));
        fields.insert(name, shapes.collect());
    }
    for (name, definitions) in meta {
        let shapes = definitions.iter().map(|field| {
            let field = &field.node;
            let known = INTROSPECTION_LISTS.iter().find(|(name, _)| field.name.node == *name).map(|(_, items)| *items);
            let items = if field.name.node == "types" { Some(all) } else { known };
            let shape = shape(field, false);
            (field.name.node.to_string(), Shape { items: items.unwrap_or(shape.items), ..shape })
        });
        fields.insert(name, shapes.collect());
    }
    if let Some(query) = fields.get_mut("Query") {
        for (field, type_name) in [("__schema", "__Schema"), ("__type", "__Type")] {
            query.insert(field.to_owned(), Shape { type_name: type_name.to_owned(), items: 1, page: None });
        }
    }
    Shapes { fields }
});

/// The shape of a field. The lists of a connection are as long as its `first` or `last`.
fn shape(field: &FieldDefinition, is_in_connection: bool) -> Shape {
    let (type_name, is_list) = base(&field.ty.node);
    let pages = field.arguments.iter().filter(|argument| is_page(&argument.node.name.node));
    let page = pages.map(|argument| match argument.node.default_value.as_ref().map(|value| &value.node) {
        Some(ConstValue::Number(number)) => number.as_u64().unwrap_or(LIST_COST),
        _ => LIST_COST,
    });
    let page = page.max();
    // A list whose length an argument says is counted once.
    let has_own_length = is_list && !is_in_connection && page.is_none();
    Shape { type_name, items: if has_own_length { LIST_COST } else { 1 }, page }
}

fn is_page(argument: &str) -> bool {
    argument == "first" || argument == "last"
}

/// The name of a type without its wrappers, and whether it is a list.
fn base(ty: &Type) -> (String, bool) {
    match &ty.base {
        BaseType::Named(name) => (name.to_string(), false),
        BaseType::List(inner) => (base(inner).0, true),
    }
}

/// The cost of an operation's answer: 1 per selection, where selections below a list count once per item, which
/// `first` and `last` give.
///
/// A fragment is walked once, so this takes time proportional to the document, whose depth must have been checked.
pub(crate) fn cost(document: &ExecutableDocument, operation: &OperationDefinition, given: &Map<String, Json>) -> u64 {
    let root = match operation.ty {
        OperationType::Query => "Query",
        OperationType::Mutation => "Mutation",
        OperationType::Subscription => "Subscription",
    };
    let fragments = &document.fragments;
    let mut walk = Walk { shapes: &SHAPES, fragments, operation, given, known: HashMap::new() };
    walk.selection_set(&operation.selection_set.node, root)
}

struct Walk<'a> {
    shapes: &'a Shapes,
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    operation: &'a OperationDefinition,
    given: &'a Map<String, Json>,
    /// The costs of fragments.
    known: HashMap<&'a Name, u64>,
}

impl<'a> Walk<'a> {
    fn selection_set(&mut self, set: &'a SelectionSet, type_name: &str) -> u64 {
        let costs = set.items.iter().map(|selection| match &selection.node {
            Selection::Field(field) => self.field(&field.node, type_name),
            Selection::InlineFragment(fragment) => {
                let condition = fragment.node.type_condition.as_ref().map(|condition| condition.node.on.node.as_str());
                self.selection_set(&fragment.node.selection_set.node, condition.unwrap_or(type_name)).saturating_add(1)
            }
            Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node).saturating_add(1),
        });
        costs.fold(0, u64::saturating_add)
    }

    fn field(&mut self, field: &'a Field, parent: &str) -> u64 {
        let shapes = self.shapes;
        let shape = shapes.fields.get(parent).and_then(|fields| fields.get(field.name.node.as_str()));
        // What validation refuses costs nothing more.
        let Some(shape) = shape else { return 1_u64.saturating_add(self.selection_set(&field.selection_set.node, "")) };
        let items = match shape.page {
            Some(default) => shape.items.saturating_mul(self.page(field, default)),
            None => shape.items,
        };
        let below = self.selection_set(&field.selection_set.node, &shape.type_name);
        let below = if items > 1 { below.max(1) } else { below };
        items.saturating_mul(below).saturating_add(1)
    }

    fn fragment(&mut self, name: &Name) -> u64 {
        let fragments = self.fragments;
        let Some((name, fragment)) = fragments.get_key_value(name) else { return 0 };
        if let Some(known) = self.known.get(name) {
            return *known;
        }
        let on = fragment.node.type_condition.node.on.node.as_str();
        let cost = self.selection_set(&fragment.node.selection_set.node, on);
        self.known.insert(name, cost);
        cost
    }

    /// The length of a page: the larger of `first` and `last`. An invalid length is refused later and counts like the
    /// default.
    fn page(&self, field: &Field, default: u64) -> u64 {
        let pages = field.arguments.iter().filter(|(name, _)| is_page(&name.node));
        pages.map(|(_, value)| self.number(&value.node).unwrap_or(default)).max().unwrap_or(default)
    }

    fn number(&self, value: &Value) -> Option<u64> {
        match value {
            Value::Number(number) => items(number),
            Value::Variable(name) => match self.given.get(name.as_str()) {
                Some(Json::Number(number)) => items(number),
                Some(_) => None,
                None => {
                    let definitions = &self.operation.variable_definitions;
                    let definition = definitions.iter().find(|definition| definition.node.name.node == *name)?;
                    match &definition.node.default_value.as_ref()?.node {
                        ConstValue::Number(number) => items(number),
                        _ => None,
                    }
                }
            },
            _ => None,
        }
    }
}

fn items(number: &serde_json::Number) -> Option<u64> {
    match number.as_u64() {
        Some(0) => None,
        Some(items) => Some(items),
        // A negative number is refused; one beyond the integers is more than any list has.
        None => number.as_f64().filter(|number| *number > 0.0).map(|_| u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::json;

    use super::*;

    fn cost_of(document: &str, variables: &Json) -> u64 {
        let document = parse_query(document).expect("a document");
        let operation = document.operations.iter().next().expect("an operation").1;
        cost(&document, &operation.node, variables.as_object().expect("variables"))
    }

    #[test]
    fn lists_multiply_what_is_below() {
        let none = json!({});
        for (document, variables, expect) in [
            ("{ __typename }", &none, 1),
            ("{ pipelineStatus { pipeline __typename a: pipeline } }", &none, 4),
            ("{ sources { key } }", &none, 1 + LIST_COST),
            ("{ sources(first: 7) { key } }", &none, 1 + 7),
            ("{ alertSilences { id } }", &none, 1 + LIST_COST),
            ("{ sources { ...F } } fragment F on Source { key }", &none, 1 + LIST_COST * 2),
            ("{ sources { ... { key } ... on Source { key } } }", &none, 1 + LIST_COST * 4),
            ("{ sourceRuns(first: 10) { nodes { id source } } }", &none, 1 + 10 * 3),
            ("{ sourceRuns(first: 10) { edges { node { id } } } }", &none, 1 + 10 * 3),
            ("{ sourceRuns { nodes { id } } }", &none, 1 + 50 * 2),
            ("{ sourceRuns(first: null) { nodes { id } } }", &none, 1 + 50 * 2),
            ("{ sourceRuns(first: -1) { nodes { id } } }", &none, 1 + 50 * 2),
            ("{ sourceRuns(first: 0) { nodes { id } } }", &none, 1 + 50 * 2),
            ("{ sourceRuns(first: \"9\") { nodes { id } } }", &none, 1 + 50 * 2),
            ("{ sourceRuns(first: 99999999999999999999999) { nodes { id } } }", &none, u64::MAX),
            ("{ sourceRuns(first: 18446744073709551615) { nodes { id } } }", &none, u64::MAX),
            ("{ sourceRuns(first: 1e30) { nodes { id } } }", &none, u64::MAX),
            ("query ($n: Int) { sourceRuns(first: $n) { nodes { id } } }", &json!({"n": 7}), 1 + 7 * 2),
            ("query ($n: Int) { sourceRuns(first: $n) { nodes { id } } }", &json!({"n": "7"}), 1 + 50 * 2),
            ("query ($n: Int) { sourceRuns(first: $n) { nodes { id } } }", &none, 1 + 50 * 2),
            ("query ($n: Int = 9) { sourceRuns(first: $n) { nodes { id } } }", &none, 1 + 9 * 2),
            ("query ($n: Int = 9) { sourceRuns(first: $n) { nodes { id } } }", &json!({"n": 8}), 1 + 8 * 2),
            ("{ unknown { below { it } } }", &none, 3),
            ("{ __type(name: \"A\") { fields { name } } }", &none, 2 + 5),
        ] {
            assert_eq!(cost_of(document, variables), expect, "{document}");
        }
    }

    #[test]
    fn every_type_of_the_schema_is_known() {
        for type_name in ["Query", "Mutation", "Subscription", "PipelineStatus", "__Schema", "__Type"] {
            assert!(SHAPES.fields.contains_key(type_name), "{type_name}");
        }
    }
}
