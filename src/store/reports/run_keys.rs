//! The keys of runs. A run is identified by pipeline, source and reported id; its row has a UUID as the key.

use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::report::Report;
use crate::domain::run_id::RunId;

/// The keys under which a report may be stored, in the order of preference; none without a reported id.
///
/// A run id that is a UUID is the key itself. Only if another source uses it, and for all other texts, the key is computed.
pub(in crate::store) fn possible_keys(report: &Report) -> impl Iterator<Item = Uuid> + use<> {
    let (own, computed) = match report {
        Report::DataQuality(metric) => (metric.id, None),
        Report::SourceRun(run) => match &run.id {
            Some(id) => (id.uuid(), Some(computed_key(&run.pipeline, &run.source, id))),
            None => (None, None),
        },
    };
    own.into_iter().chain(computed)
}

/// The keys under which a run may be stored.
pub(in crate::store) fn keys_of_run(
    pipeline: &PipelineKey,
    source: &SourceKey,
    id: &RunId,
) -> impl Iterator<Item = Uuid> + use<> {
    id.uuid().into_iter().chain([computed_key(pipeline, source, id)])
}

/// A version 8 UUID (RFC 9562) from the SHA-256 of pipeline, source and id.
fn computed_key(pipeline: &PipelineKey, source: &SourceKey, id: &RunId) -> Uuid {
    let uuid = id.uuid();
    let text = uuid.map_or_else(|| id.to_string(), |uuid| uuid.to_string());
    // None of the parts has a line break.
    let digest = Sha256::digest(format!("run\n{pipeline}\n{}\n{text}", source.as_str()));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    if let Some(uuid) = uuid {
        // Next to the UUID in the index, so that looking up both keys reads one page.
        bytes[..6].copy_from_slice(&uuid.as_bytes()[..6]);
    }
    Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_depends_on_pipeline_source_and_id() {
        let key = |pipeline: &str, source: &str, id: &str| {
            let (pipeline, source) = (pipeline.parse().expect("a key"), source.parse().expect("a key"));
            computed_key(&pipeline, &source, &id.parse().expect("an id"))
        };
        let uuid = "0194aef2-6b1e-7c3a-9a51-0f6f1d1e9d11";
        let keys = [
            key("p", "s", "1"),
            key("p", "s", "2"),
            key("q", "s", "1"),
            key("p", "t", "1"),
            key("p", "s", uuid),
            key("q", "s", uuid),
        ];
        for (index, one) in keys.iter().enumerate() {
            assert_eq!(one.get_version_num(), 8);
            assert!(keys[..index].iter().all(|other| other != one));
        }
        assert_eq!(key("p", "s", &uuid.to_uppercase()), keys[4]);
        assert!(keys[4].to_string().starts_with("0194aef2-6b1e-8"));
    }
}
