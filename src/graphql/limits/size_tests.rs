use async_graphql::parser::parse_query;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn checked(document: &str, variables: &Json) -> Result<Size, String> {
    let document = parse_query(document).expect("a document");
    let variables = variables.as_object().expect("variables");
    check(&document, variables).map_err(|refused| match refused {
        SizeError::Exceeded(exceeded) => exceeded.code().to_owned(),
        SizeError::Invalid(error) => error.message,
    })
}

/// `last` fragments, each of which spreads the next `times` times.
fn doubling(last: usize, times: usize, leaf: &str) -> String {
    let spread = |next: usize| format!("...F{next} ").repeat(times);
    let fragments = (0..last).map(|number| format!("fragment F{number} on Query {{ {} }} ", spread(number + 1)));
    fragments.chain([format!("fragment F{last} on Query {{ {leaf} }} {{ ...F0 }}")]).collect()
}

#[test]
fn selections_are_counted_with_fragments_expanded() {
    for (document, expect) in [
        ("{ a }", 1),
        ("{ a b: a __typename }", 3),
        ("{ a { b { c } } }", 3),
        ("{ ... { a } ... on Query { a } }", 4),
        ("query A { a } query B { a b }", 3),
        ("{ ...F ...F } fragment F on Query { a b }", 6),
        ("{ ...F } fragment F on Query { ...G ...G } fragment G on Query { a }", 5),
        ("{ ...Unknown }", 1),
    ] {
        assert_eq!(checked(document, &json!({})).map(|size| size.selections), Ok(expect), "{document}");
    }
}

#[test]
fn values_are_counted_with_variables_filled_in() {
    let long = "x".repeat(320);
    for (document, variables, expect) in [
        ("{ a }".to_owned(), json!({}), 0),
        ("{ a(b: 1) }".to_owned(), json!({}), 2),
        ("{ a(b: [1, 2], c: {d: 3}) }".to_owned(), json!({}), 8),
        ("{ a @b @c(d: 1) }".to_owned(), json!({}), 4),
        ("query ($v: X) { a(b: $v) c(b: $v) }".to_owned(), json!({"v": [1, 2, 3]}), 10),
        ("query ($v: X = [1, 2, 3]) { a(b: $v) }".to_owned(), json!({}), 5),
        ("query ($v: X = [1, 2, 3]) { a(b: $v) }".to_owned(), json!({"v": 1}), 5),
        (format!("{{ a(b: \"{long}\") }}"), json!({}), 12),
        ("query ($v: X) { a(b: $v) }".to_owned(), json!({"v": long}), 12),
        ("{ ...F ...F } fragment F on Query { a(b: [1, 2]) }".to_owned(), json!({}), 8),
    ] {
        assert_eq!(checked(&document, &variables).map(|size| size.values), Ok(expect), "{document}");
    }
}

#[test]
fn documents_that_ask_for_too_much_are_refused() {
    let fields = |count: usize| format!("{{ {} }}", "a ".repeat(count));
    let chain = |length: usize| doubling(length, 1, "a");
    let arguments =
        |count: usize| format!("{{ a({}) }}", (0..count).map(|n| format!("b{n}: 1 ")).collect::<Vec<_>>().concat());
    let variables = |count: usize| {
        format!("query ({}) {{ a }}", (0..count).map(|n| format!("$v{n}: Int ")).collect::<Vec<_>>().concat())
    };
    let list = "1 ".repeat(10_000);
    let spreads = |count: usize| "...F ".repeat(count);
    for (document, expect) in [
        (fields(1_000), Ok(())),
        (fields(1_001), Err("TOO_MANY_SELECTIONS")),
        (doubling(27, 4, "x"), Err("TOO_MANY_SELECTIONS")),
        (doubling(27, 4, "__typename"), Err("TOO_MANY_SELECTIONS")),
        (doubling(29, 1_000, "x"), Err("TOO_MANY_SELECTIONS")),
        (chain(30), Ok(())),
        (chain(31), Err("DOCUMENT_TOO_DEEP")),
        (chain(1_000), Err("DOCUMENT_TOO_DEEP")),
        (format!("{{ {} }}", "a { ".repeat(31) + "a" + &" }".repeat(31)), Ok(())),
        (format!("{{ {} }}", "a { ".repeat(32) + "a" + &" }".repeat(32)), Err("DOCUMENT_TOO_DEEP")),
        ("{ ...F } fragment F on Query { ...F }".into(), Err("fragment \"F\" spreads itself; remove the cycle")),
        ("{ a } fragment F on Query { a }".into(), Err("Fragment \"F\" is never used")),
        (arguments(32), Ok(())),
        (arguments(33), Err("TOO_MANY_ARGUMENTS")),
        (variables(100), Ok(())),
        (variables(101), Err("TOO_MANY_VARIABLES")),
        (format!("{{ ...F }} fragment F on Query {{ a(b: [{list}]) }}"), Ok(())),
        (format!("{{ {} }} fragment F on Query {{ a(b: [{list}]) }}", spreads(5)), Err("TOO_MANY_ARGUMENTS")),
        (
            format!("{{ {} }} fragment F on Query {{ a {} }}", spreads(200), "@b ".repeat(500)),
            Err("TOO_MANY_ARGUMENTS"),
        ),
    ] {
        let checked = checked(&document, &json!({})).map(|_| ());
        assert_eq!(
            checked.as_ref().map_err(String::as_str),
            expect.as_ref().map(|&()| &()).map_err(|e| *e),
            "{document:.80}"
        );
    }
}

/// The same count by expanding every fragment.
fn expanded(document: &ExecutableDocument, set: &SelectionSet) -> u64 {
    let below = |selection: &Selection| match selection {
        Selection::Field(field) => expanded(document, &field.node.selection_set.node),
        Selection::InlineFragment(fragment) => expanded(document, &fragment.node.selection_set.node),
        Selection::FragmentSpread(spread) => document
            .fragments
            .get(&spread.node.fragment_name.node)
            .map_or(0, |fragment| expanded(document, &fragment.node.selection_set.node)),
    };
    set.items.iter().map(|selection| 1 + below(&selection.node)).sum()
}

/// Selection sets that spread only fragments of higher numbers than their own.
fn selection_set(spreads: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let leaf = prop_oneof![Just("a".to_owned()), Just("b: a".to_owned()), Just("__typename".to_owned())];
    let leaf = if spreads.is_empty() {
        leaf.boxed()
    } else {
        prop_oneof![leaf, spreads.prop_map(|number| format!("...F{number}"))].boxed()
    };
    let set = prop::collection::vec(leaf, 1..4).prop_map(|items| items.join(" "));
    set.prop_recursive(2, 8, 3, |inner| {
        let nested = (prop_oneof![Just("a"), Just("..."), Just("... on Query")], inner)
            .prop_map(|(head, inner)| format!("{head} {{ {inner} }}"));
        prop::collection::vec(nested, 1..3).prop_map(|items| items.join(" "))
    })
}

proptest! {
    #[test]
    fn counting_agrees_with_expanding(
        operation in selection_set(0..4),
        fragments in (selection_set(1..4), selection_set(2..4), selection_set(3..4), selection_set(4..4)),
    ) {
        let (first, second, third, fourth) = fragments;
        let fragments = [first, second, third, fourth];
        let fragments = fragments.iter().enumerate().map(|(number, set)| format!("fragment F{number} on Query {{ {set} }} "));
        // Every fragment is used.
        let all = "...F0 ...F1 ...F2 ...F3";
        let text = format!("{{ {operation} {all} }} {}", fragments.collect::<String>());
        let document = parse_query(&text).expect("a document");
        let naive: u64 = document.operations.iter().map(|(_, it)| expanded(&document, &it.node.selection_set.node)).sum();
        match check(&document, &Map::new()) {
            Ok(size) => prop_assert_eq!(size.selections, naive),
            Err(SizeError::Exceeded(Exceeded::Selections(counted))) => prop_assert_eq!(counted, naive),
            Err(refused) => prop_assert!(false, "{:?}: {}", refused, text),
        }
    }
}
