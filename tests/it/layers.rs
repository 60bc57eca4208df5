use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The top-level modules of `src/`, lowest layer first. A module uses only modules of lower layers; services also use each
/// other, without a circle.
const LAYERS: [&[&str]; 10] = [
    &["domain"],
    &["api", "clock", "error", "files"],
    &["push", "store"],
    SERVICES,
    &["graphql"],
    &["http"],
    &["config"],
    &["demo"],
    &["app"],
    &["command", "main"],
];
const SERVICES: &[&str] =
    &["alerting", "ingest", "maintenance", "notify", "replay", "self_monitor", "status", "upkeep"];

/// Crates that only one module may use.
const CRATES: [(&str, &str); 2] = [("sea_orm::", "store"), ("hyper::", "http")];

/// What a pure module cannot contain.
const IMPURE: [&str; 6] = ["tokio::", "std::fs", "std::env", "std::thread", "SystemTime::now", "Utc::now"];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The program's code of each file, with the name of its top-level module: without comments and unit tests.
fn code() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let is_test = |path: &Path| path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests"));
    sources(&root)
        .into_iter()
        .filter(|path| !is_test(path) && !path.ends_with("lib.rs"))
        .map(|path| {
            let relative = path.strip_prefix(&root).expect("below the root").to_owned();
            let first = relative.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
            let text = without_tests_and_comments(&std::fs::read_to_string(&path).expect("a source file"));
            (first.trim_end_matches(".rs").to_owned(), relative, text)
        })
        .collect()
}

fn without_tests_and_comments(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        // By convention unit tests are the end of a file; a module in another file is only declared.
        if line == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.contains("mod ") && next.ends_with('{')) {
            break;
        }
        kept.push_str(line.split("//").next().unwrap_or_default());
        kept.push('\n');
    }
    kept
}

/// The top-level modules that a text names after `root`, such as `crate::`, also in groups.
fn used<'a>(text: &'a str, root: &'a str) -> BTreeSet<&'a str> {
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let name = |text: &'a str| &text[..text.find(|letter| !is_name(letter)).unwrap_or(text.len())];
    let mut found = BTreeSet::new();
    for (start, _) in text.match_indices(root) {
        if text[..start].chars().next_back().is_some_and(is_name) {
            continue;
        }
        let path = &text[start + root.len()..];
        let Some(group) = path.strip_prefix('{') else {
            found.insert(name(path));
            continue;
        };
        let mut depth = 0;
        let end = group.find(|letter| {
            depth += i32::from(letter == '{') - i32::from(letter == '}');
            depth < 0
        });
        let mut depth = 0;
        for part in group[..end.unwrap_or(group.len())].split_inclusive(['{', '}', ',']) {
            if depth == 0 && !name(part.trim_start()).is_empty() {
                found.insert(name(part.trim_start()));
            }
            depth += i32::from(part.ends_with('{')) - i32::from(part.ends_with('}'));
        }
    }
    found
}

/// Which module uses which, with the files that do.
fn uses(code: &[(String, PathBuf, String)]) -> BTreeMap<(String, String), BTreeSet<PathBuf>> {
    let mut uses = BTreeMap::<_, BTreeSet<_>>::new();
    for (module, path, text) in code {
        let root = if ["command", "main"].contains(&module.as_str()) { "pipewatch::" } else { "crate::" };
        for other in used(text, root) {
            if other != module {
                uses.entry((module.clone(), other.to_owned())).or_default().insert(path.clone());
            }
        }
    }
    uses
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn is_allowed(from: &str, to: &str) -> bool {
    let (Some(above), Some(below)) = (layer(from), layer(to)) else { return false };
    below < above || SERVICES.contains(&from) && SERVICES.contains(&to)
}

/// A circle that contains this module.
fn circle<'a>(edges: &'a BTreeSet<(String, String)>, path: &mut Vec<&'a str>) -> bool {
    let last = path[path.len() - 1];
    for (_, to) in edges.iter().filter(|(from, _)| from == last) {
        if path.contains(&to.as_str()) {
            path.push(to);
            return true;
        }
        path.push(to);
        if circle(edges, path) {
            return true;
        }
        path.pop();
    }
    false
}

#[test]
fn modules_use_lower_layers_only() {
    let uses = uses(&code());
    let forbidden: BTreeMap<_, _> = uses.iter().filter(|((from, to), _)| !is_allowed(from, to)).collect();
    assert!(forbidden.is_empty(), "forbidden uses, as (from, to), with their files: {forbidden:#?}");
}

#[test]
fn modules_have_no_circles() {
    let edges: BTreeSet<_> = uses(&code()).into_keys().collect();
    for (from, _) in &edges {
        let mut path = vec![from.as_str()];
        assert!(!circle(&edges, &mut path), "a circle: {}", path.join(" → "));
    }
}

#[test]
fn every_module_has_a_layer() {
    for (module, path, _) in code() {
        assert!(layer(&module).is_some(), "{module} ({}) has no layer", path.display());
    }
}

#[test]
fn crates_of_one_module_are_used_there_only() {
    for (module, path, text) in code() {
        for (name, owner) in CRATES {
            assert!(module == owner || !text.contains(name), "{}: only {owner} may use {name}", path.display());
        }
    }
}

#[test]
fn domain_is_pure() {
    for (_, path, text) in code().iter().filter(|(module, ..)| module == "domain") {
        for impure in IMPURE {
            assert!(!text.contains(impure), "{}: domain has no I/O and no clock: {impure}", path.display());
        }
    }
}

#[test]
fn uses_are_read_from_code() {
    let text = "use crate::{store::Store, http::{self, Route}, api};\nlet x = crate::graphql::limits();\nmycrate::no();\n\
        // crate::comment\nuse crate::domain::{a, b};\n#[cfg(test)]\nmod tests {\n    use crate::app::App;\n}\n";
    let code = without_tests_and_comments(text);
    assert_eq!(used(&code, "crate::"), BTreeSet::from(["api", "domain", "graphql", "http", "store"]));
    let code = [("push".to_owned(), PathBuf::from("push/topic.rs"), code)];
    let forbidden: Vec<_> =
        uses(&code).into_keys().filter(|(from, to)| !is_allowed(from, to)).map(|(_, to)| to).collect();
    assert_eq!(forbidden, ["graphql", "http", "store"]);
    let edges = [("a", "b"), ("b", "c"), ("c", "b")].map(|(from, to)| (from.to_owned(), to.to_owned())).into();
    assert!(circle(&edges, &mut vec!["a"]));
}
