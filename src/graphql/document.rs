//! What the executor leaves out when it checks a document.

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, Field, InlineFragment, OperationDefinition, Selection, SelectionSet,
};
use async_graphql::{Positioned, ServerError};
use serde_json::{Map, Value};

/// The first required variable without a value. By the specification it is an error before execution, even if only a
/// directive uses the variable.
pub(super) fn missing_variable(operation: &OperationDefinition, given: &Map<String, Value>) -> Option<ServerError> {
    operation.variable_definitions.iter().find_map(|definition| {
        let variable = &definition.node;
        let name = variable.name.node.as_str();
        let is_required = !variable.var_type.node.nullable && variable.default_value.is_none();
        let is_missing = given.get(name).is_none_or(Value::is_null);
        (is_required && is_missing).then(|| {
            let message =
                format!("Variable \"${name}\" of required type \"{}\" was not provided.", variable.var_type.node);
            ServerError::new(message, Some(definition.pos))
        })
    })
}

/// Moves the directives of each `__typename` to a fragment around it, where the executor sees the variables in them.
pub(super) fn hoist_typename_directives(document: &mut ExecutableDocument) {
    match &mut document.operations {
        DocumentOperations::Single(operation) => hoist(&mut operation.node.selection_set.node),
        DocumentOperations::Multiple(operations) => {
            for operation in operations.values_mut() {
                hoist(&mut operation.node.selection_set.node);
            }
        }
    }
    for fragment in document.fragments.values_mut() {
        hoist(&mut fragment.node.selection_set.node);
    }
}

fn hoist(selections: &mut SelectionSet) {
    for selection in &mut selections.items {
        match &mut selection.node {
            Selection::Field(field) if has_hidden_directives(&field.node) => {
                let (mut field, pos) = (field.clone(), selection.pos);
                let directives = std::mem::take(&mut field.node.directives);
                let items = vec![Positioned::new(Selection::Field(field), pos)];
                let selection_set = Positioned::new(SelectionSet { items }, pos);
                let fragment = InlineFragment { type_condition: None, directives, selection_set };
                selection.node = Selection::InlineFragment(Positioned::new(fragment, pos));
            }
            Selection::Field(field) => hoist(&mut field.node.selection_set.node),
            Selection::InlineFragment(fragment) => hoist(&mut fragment.node.selection_set.node),
            Selection::FragmentSpread(_) => {}
        }
    }
}

fn has_hidden_directives(field: &Field) -> bool {
    field.name.node == "__typename" && !field.directives.is_empty()
}
