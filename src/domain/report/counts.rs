//! The counts of both kinds of report, and their form in a digest.

use std::collections::BTreeMap;

use serde::{Serialize as _, Serializer};

use crate::domain::check::{CheckName, Quality};
use crate::domain::counts::Counts;

/// `None` without any counts.
pub(super) fn quality(
    geocoding: Option<Counts>,
    validation: Option<Counts>,
    others: &BTreeMap<CheckName, Counts>,
) -> Option<Quality> {
    (geocoding.is_some() || validation.is_some() || !others.is_empty()).then(|| Quality {
        geocoding: geocoding.unwrap_or_default(),
        validation: validation.unwrap_or_default(),
        others: others.clone(),
    })
}

#[allow(clippy::ref_option, reason = "serde calls it with a reference to the field")]
pub(super) fn as_pair<S: Serializer>(counts: &Option<Counts>, serializer: S) -> Result<S::Ok, S::Error> {
    counts.map(|counts| (counts.attempts(), counts.successes())).serialize(serializer)
}

pub(super) fn as_pairs<S: Serializer>(checks: &BTreeMap<CheckName, Counts>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(checks.iter().map(|(name, counts)| (name, (counts.attempts(), counts.successes()))))
}
