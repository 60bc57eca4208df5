use std::path::Path;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};

use super::*;
use crate::command::watch::screen::{Data, Key};

/// The screen as text must equal the file. `UPDATE_SCREENS=1` writes the files.
fn assert_screen(name: &str, screen: &Screen, (width, height): (u16, u16)) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    let wall = "2026-01-28T15:30:00Z".parse().expect("a time");
    let now = Now { elapsed: Duration::from_secs(12), wall };
    terminal.draw(|frame| draw(frame, screen, now)).expect("drawn");
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    let drawn: String = (0..height).map(|y| line(y) + "\n").collect();
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/command/watch/screens/{name}-{width}x{height}.txt"));
    if std::env::var_os("UPDATE_SCREENS").is_some() {
        std::fs::write(&file, &drawn).expect("written");
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(drawn == expected, "{} differs from:\n{drawn}", file.display());
}

fn screen(pipeline: Option<&str>, data: Data) -> Screen {
    let mut screen = Screen::new("http://127.0.0.1:8000".into(), pipeline.map(str::to_owned));
    screen.connection = Shown::Live;
    screen.take(data, Duration::from_secs(10));
    screen
}

fn overview(count: usize) -> Data {
    let healths = ["HEALTHY", "WARNING", "ERROR", "PENDING"];
    let pipeline = |number: usize| {
        json!({"key": format!("pipeline-{number:02}"), "overallStatus": healths[number % 4], "revision": "1",
            "sourcesProcessed": number, "totalSources": number + 2, "failedSources": number % 3, "staleSources": number % 2,
            "dataQualityStatus": "HEALTHY", "openAlerts": number % 5})
    };
    let pipelines: Vec<Value> = (0..count).map(pipeline).collect();
    Data::Overview(serde_json::from_value(pipelines.into()).expect("an overview"))
}

fn status() -> Data {
    let source = |name: &str, status: &str, stale: bool, runs: u64, last_run: Option<&str>| {
        json!({"source": name, "status": status, "stale": stale, "success_rate": 95.5, "running": u64::from(runs == 20),
            "runs": runs, "last_run": last_run})
    };
    let status = json!({
        "pipeline": "billing", "revision": "5", "timestamp": "2026-01-28T15:29:58Z", "overall_status": "error",
        "scraping_health": {"sources_processed": 3, "total_sources": 4, "failed_sources": 1, "stale_sources": 1,
            "counts": {"rows_loaded": 3_000_000_000_u64, "bytes": 81_234_567_890_u64},
            "sources": [
                source("load", "error", false, 20, Some("2026-01-28T15:28:02Z")),
                source("a source with quite a long name, longer than its column", "healthy", true, 3, Some("2026-01-27T15:30:00Z")),
                source("größe\u{202e}\u{7}\n日本語", "healthy", false, 7, Some("2026-01-28T15:29:59Z")),
                source("new", "pending", false, 0, None)]},
        "data_quality": {"status": "warning", "checks": [
            {"name": "not-null", "status": "healthy", "attempts": 120, "passes": 119, "rate": 99.2},
            {"name": "unique", "status": "warning", "attempts": 1_200_000, "passes": 900_000, "rate": 75.0},
            {"name": "fresh", "status": "pending", "attempts": 0, "passes": 0, "rate": null}]},
        "steps": [{"name": "extract", "state": "ok", "sources": 4, "failed": 0, "duration_seconds": 482.0},
            {"name": "transform", "state": "failed", "sources": 4, "failed": 1, "duration_seconds": null}],
        "alerts": [{"severity": "high", "state": "firing", "title": "Source \"load\" of pipeline \"billing\" has failed 3 times",
            "message": "The last error is: connection refused.\nSee the run's log.", "timestamp": "2026-01-28T15:10:00Z",
            "source": "load"}]
    });
    Data::Pipeline(serde_json::from_value(status).expect("a status"))
}

const SIZES: [(u16, u16); 2] = [(80, 24), (140, 30)];

#[test]
fn overview_fits() {
    for size in SIZES {
        assert_screen("overview", &screen(None, overview(40)), size);
    }
}

#[test]
fn selected_line_is_visible() {
    let mut screen = screen(None, overview(40));
    screen.press(Key::End);
    assert_screen("overview-end", &screen, SIZES[0]);
}

#[test]
fn search_shows_its_text() {
    let mut screen = screen(None, overview(40));
    "/-1".chars().for_each(|letter| screen.press(Key::Letter(letter)));
    assert_screen("search", &screen, SIZES[0]);
    screen.press(Key::Enter);
    assert_screen("search-done", &screen, SIZES[0]);
}

#[test]
fn pipeline_fits() {
    for size in SIZES {
        assert_screen("pipeline", &screen(Some("billing"), status()), size);
    }
}

#[test]
fn alerts_fit() {
    let mut of_pipeline = screen(Some("billing"), status());
    of_pipeline.press(Key::Letter('a'));
    let mut of_all = screen(None, overview(3));
    of_all.press(Key::Letter('a'));
    let alert = |pipeline: Option<&str>, state: &str| {
        json!({"severity": "MEDIUM", "state": state, "title": "not-null is at 70 %, expected 99 %", "pipeline": pipeline,
            "message": "30 of 100 attempts failed since 15:00.", "timestamp": "2026-01-28T09:10:00Z", "source": pipeline})
    };
    let alerts = json!([alert(Some("billing"), "FIRING"), alert(None, "ACKNOWLEDGED")]);
    of_all.take(Data::Alerts(serde_json::from_value(alerts).expect("alerts")), Duration::from_secs(11));
    for size in SIZES {
        assert_screen("pipeline-alerts", &of_pipeline, size);
        assert_screen("alerts", &of_all, size);
    }
}

#[test]
fn failures_are_shown_with_the_age_of_the_data() {
    let mut screen = screen(Some("billing"), status());
    screen.connection = Shown::Offline("cannot reach http://127.0.0.1:8000: Connection refused (os error 111)".into());
    assert_screen("offline", &screen, SIZES[0]);
    let mut screen = Screen::new("http://127.0.0.1:8000".into(), None);
    assert_screen("connecting", &screen, SIZES[0]);
    screen.take(overview(0), Duration::from_secs(3));
    screen.connection = Shown::Polling;
    assert_screen("empty", &screen, SIZES[0]);
}

#[test]
fn tiny_terminals_do_not_panic() {
    let mut terminal = Terminal::new(TestBackend::new(1, 1)).expect("a terminal");
    let screens = [screen(None, overview(3)), screen(Some("billing"), status())];
    for (width, height) in [(0, 0), (1, 1), (3, 2), (20, 5), (79, 4), (121, 3)] {
        terminal.backend_mut().resize(width, height);
        for screen in &screens {
            let now = Now { elapsed: Duration::ZERO, wall: DateTime::UNIX_EPOCH };
            terminal.draw(|frame| draw(frame, screen, now)).expect("drawn");
        }
    }
}

#[test]
fn numbers_and_times_are_short() {
    for (number, expect) in [
        (0, "0"),
        (9_999, "9999"),
        (999_999, "999k"),
        (1_200_000, "1.2M"),
        (81_234_567_890, "81.2G"),
        (1 << 53, "9007.2T"),
    ] {
        assert_eq!(compact(number), expect);
    }
    for (seconds, expect) in [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (172_800, "2 d")] {
        assert_eq!(span(Duration::from_secs(seconds)), expect);
    }
}
