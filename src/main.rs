//! Pipewatch.
fn main() {}
