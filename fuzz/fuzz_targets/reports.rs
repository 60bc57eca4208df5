//! Items of reports: arbitrary JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pipewatch::domain::key::PipelineKey;
use pipewatch::domain::report::{ReportContext, Report, ReportKind};
use pipewatch::domain::time::parse_rfc3339;

fuzz_target!(|text: &str| {
    let Ok(item) = serde_json::from_str::<serde_json::Value>(text) else { return };
    let received_at = parse_rfc3339("2026-01-28T15:30:45Z").expect("an instant");
    let arrival = ReportContext { received_at, pipeline: Ok(PipelineKey::default()) };
    for kind in [ReportKind::SourceRun, ReportKind::DataQuality] {
        match Report::parse(kind, item.clone(), &arrival) {
            Ok(report) => {
                // The same item gives the same report and digest.
                let again = Report::parse(kind, item.clone(), &arrival).expect("the same item");
                assert_eq!(report.digest(), again.digest());
                assert!(report.counts().len() <= 32);
                if let Report::SourceRun(run) = &report {
                    let texts = [&run.error, &run.log];
                    assert!(texts.into_iter().flatten().all(|text| text.len() < 17 * 1024));
                }
            }
            Err(faults) => {
                assert!(!faults.is_empty());
                assert!(faults.iter().all(|fault| !fault.message.is_empty() && !fault.expected.is_empty()));
            }
        }
    }
});
