//! Query strings.
#![no_main]

use http::{HeaderMap, Uri};
use libfuzzer_sys::fuzz_target;
use pipewatch::domain::viewer::Viewer;
use pipewatch::http::{StatusParams, credentials, from_query};

fuzz_target!(|query: &[u8]| {
    let Ok(uri) = Uri::try_from([b"/graphql?", query].concat()) else { return };
    if let Ok(query) = StatusParams::of(&uri) {
        drop(query.listing());
        if let Ok(pipeline) = query.pipeline(Viewer::default()) {
            assert!((1..=64).contains(&pipeline.as_str().len()));
        }
    }
    drop(from_query(&uri));
    credentials(&uri, &HeaderMap::new());
});
