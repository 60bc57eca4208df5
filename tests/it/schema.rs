#[test]
fn schema_graphql_is_current() {
    let committed = include_str!("../../schema.graphql");
    assert!(committed == pipewatch::graphql::sdl(), "run `make schema` and commit schema.graphql");
}
