use std::process::Command;

use serde_json::Value;
use spdx::{Expression, Licensee, ParseMode};

/// `deny.toml` accepts the licence of every dependency, on all platforms, including test dependencies.
#[test]
fn every_dependency_has_an_accepted_licence() {
    let root = env!("CARGO_MANIFEST_DIR");
    let rules = std::fs::read_to_string(format!("{root}/deny.toml")).expect("deny.toml");
    let rules: toml::Table = rules.parse().expect("good TOML");
    let accepted: Vec<Licensee> = rules["licenses"]["allow"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|licence| Licensee::parse(licence.as_str().expect("a name")).expect("an SPDX licence"))
        .collect();
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version", "1"])
        .current_dir(root)
        .output()
        .expect("cargo metadata");
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    assert!(packages.len() > 100, "{} packages", packages.len());
    let refused: Vec<String> = packages
        .iter()
        .filter(|package| !is_accepted(&package["license"], &accepted))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(refused.is_empty(), "deny.toml does not accept:\n{}", refused.join("\n"));
}

fn is_accepted(licence: &Value, accepted: &[Licensee]) -> bool {
    // Older packages separate alternatives with a slash.
    let expression = licence.as_str().and_then(|text| Expression::parse_mode(text, ParseMode::LAX).ok());
    expression.is_some_and(|expression| {
        expression.evaluate(|required| accepted.iter().any(|licensee| licensee.satisfies(required)))
    })
}
