use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::domain::key::{PipelineKey, SourceKey};

#[test]
fn valid_names_are_kept_and_others_end_with_a_hash() {
    let long = "x".repeat(300);
    for (namespace, job, pipeline, source) in [
        ("airflow", "dag.task", "airflow", "dag.task"),
        ("food_delivery-1.0", "The Job (1)", "food_delivery-1.0", "The Job (1)"),
        ("Prod", "a", "prod-", "a"),
        ("spark://host:7077", " a ", "spark-host-7077-", "a ~"),
        ("", "", "namespace-", "job ~"),
        ("__x", "a\nb", "x-", "a b ~"),
        ("größe", "größe", "gr-e-", "größe"),
        (&long, &long, "xxxxxxxx", "xxxxxxxx"),
        // Names that could be equal to changed ones are changed as well.
        ("a-0123456789", "a ~0123456789", "a-0123456789-", "a ~0123456789 ~"),
        ("a-012345678", "a ~012345678", "a-012345678", "a ~012345678"),
    ] {
        let keys = Naming::default().keys(namespace, job);
        assert!(keys.0.starts_with(pipeline), "{namespace:?}: {keys:?}");
        assert_eq!(keys.0 == namespace, pipeline == namespace, "{keys:?}");
        assert!(keys.1.starts_with(source), "{job:?}: {keys:?}");
        assert_eq!(keys.1 == job, source == job, "{keys:?}");
    }
    assert_eq!(Naming::default().keys("Prod", "a").0, "prod-5f56359ef1", "keys stay the same between versions");
}

#[test]
fn templates_and_other_names_choose_the_keys() {
    let naming = Naming {
        pipeline: "{job_first}".parse().expect("a template"),
        source: "{namespace}/{job_rest}".parse().expect("a template"),
        namespaces: [("spark://host".to_owned(), "spark".to_owned())].into(),
    };
    for (namespace, job, pipeline, source) in [
        ("airflow", "dag.group.task", "dag", "airflow/group.task"),
        ("airflow", "dag", "dag", "airflow/dag"),
        ("airflow", "dag.", "dag.", "airflow/dag."),
        ("spark://host", "a.b", "a", "spark/b"),
    ] {
        assert_eq!(naming.keys(namespace, job), (pipeline.to_owned(), source.to_owned()));
    }
    for invalid in ["", "{", "{jobs}", "a{job", "{job}{"] {
        assert_eq!(invalid.parse::<Template>(), Err(InvalidTemplate(invalid.into())));
    }
}

proptest! {
    #[test]
    fn keys_are_valid_and_distinct(names in proptest::collection::btree_set("(?s).{0,12}|[a-c-]{0,3}-[0-9a-f]{10}|[A-Ca-c ]{1,3}", 2..20)) {
        let keys: Vec<_> = names.iter().map(|name| Naming::default().keys(name, name)).collect();
        for (pipeline, source) in &keys {
            prop_assert!(pipeline.parse::<PipelineKey>().is_ok(), "{pipeline:?}");
            let parsed = source.parse::<SourceKey>().ok();
            prop_assert_eq!(parsed.as_ref().map(SourceKey::as_str), Some(source.as_str()));
        }
        prop_assert_eq!(keys.iter().map(|keys| &keys.0).collect::<BTreeSet<_>>().len(), names.len());
        prop_assert_eq!(keys.iter().map(|keys| &keys.1).collect::<BTreeSet<_>>().len(), names.len());
    }
}
