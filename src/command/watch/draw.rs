//! Draws the screen.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Table, TableState, Wrap};

use crate::command::watch::connection::Shown;
use crate::command::watch::screen::{Now, Screen, View};
use crate::command::watch::status::{Alert, Health, PipelineStatus};

/// From this width on the details of a pipeline are next to its sources.
const WIDE: u16 = 120;
const FAINT: Style = Style::new().fg(Color::DarkGray);
const HEADER: Style = Style::new().add_modifier(Modifier::BOLD);

pub(super) fn draw(frame: &mut Frame, screen: &Screen, now: Now) {
    let [title, summary, body, footer] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(2), Constraint::Min(1), Constraint::Length(1)])
            .areas(frame.area());
    draw_title(frame, screen, now, title);
    frame.render_widget(Paragraph::new(summary_line(screen)).wrap(Wrap { trim: true }), summary);
    match &screen.view {
        View::Overview => draw_overview(frame, screen, body),
        View::Pipeline(_) => draw_pipeline(frame, screen, now, body),
        View::Alerts(_) => draw_alerts(frame, screen, now, body),
    }
    frame.render_widget(Paragraph::new(footer_line(screen)), footer);
}

fn draw_title(frame: &mut Frame, screen: &Screen, now: Now, area: Rect) {
    let place = match &screen.view {
        View::Overview => String::new(),
        View::Pipeline(key) => format!(" › {key}"),
        View::Alerts(None) => " › alerts".to_owned(),
        View::Alerts(Some(key)) => format!(" › {key} › alerts"),
    };
    let (mark, style, state) = match &screen.connection {
        Shown::Connecting => ("○", FAINT, "connecting".to_owned()),
        Shown::Live => ("●", Style::new().fg(Color::Green), "live".to_owned()),
        Shown::Polling => ("◐", Style::new().fg(Color::Yellow), "polling".to_owned()),
        Shown::Offline(_) => ("○", Style::new().fg(Color::Red), "offline".to_owned()),
        Shown::Unauthorized(_) => ("○", Style::new().fg(Color::Red), "token refused".to_owned()),
    };
    let age = match screen.updated {
        Some(at) => format!(", data {} old", span(now.elapsed.saturating_sub(at))),
        None => String::new(),
    };
    let right = Line::from(vec![Span::styled(mark, style), Span::raw(format!(" {state}{age}"))]).right_aligned();
    let width = u16::try_from(right.width()).unwrap_or(area.width);
    let [left, state] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(width)]).spacing(1).areas(area);
    let name = Span::styled("pipewatch", HEADER);
    let server = Span::styled(format!("  {}", screen.server), FAINT);
    frame.render_widget(Line::from(vec![name, Span::raw(place), server]), left);
    frame.render_widget(right, state);
}

/// What matters most, in one line; a failure of the connection before anything else.
fn summary_line(screen: &Screen) -> Line<'static> {
    if let Shown::Offline(reason) | Shown::Unauthorized(reason) = &screen.connection {
        return Line::styled(clean(reason), Style::new().fg(Color::Red));
    }
    match (&screen.view, &screen.pipeline) {
        (View::Overview | View::Alerts(None), _) => match &screen.overview {
            Some(pipelines) => {
                let count = |health: Health| pipelines.iter().filter(|it| it.overall_status == health).count();
                let mut spans = vec![Span::raw(format!("{} pipelines: ", pipelines.len()))];
                for health in [Health::Error, Health::Warning, Health::Healthy, Health::Pending] {
                    let number = count(health);
                    if number > 0 {
                        spans.push(Span::styled(format!("{number} {}  ", health.as_str()), style(health)));
                    }
                }
                let alerts: u64 = pipelines.iter().map(|pipeline| pipeline.open_alerts).sum();
                spans.push(Span::raw(format!("{alerts} open alerts")));
                Line::from(spans)
            }
            None => Line::styled("waiting for the server", FAINT),
        },
        (_, Some(status)) => pipeline_summary(status),
        (_, None) => Line::styled("waiting for the server", FAINT),
    }
}

fn pipeline_summary(status: &PipelineStatus) -> Line<'static> {
    let health = &status.scraping_health;
    let mut text = format!("  {} of {} sources processed", health.sources_processed, health.total_sources);
    for (number, word) in [(health.failed_sources, "failed"), (health.stale_sources, "overdue")] {
        if number > 0 {
            let _ = write!(text, ", {number} {word}");
        }
    }
    if health.counts.is_empty() {
        for (number, word) in [(health.articles_collected, "articles"), (health.events_extracted, "events")] {
            if number > 0 {
                let _ = write!(text, "  {word} {}", compact(number));
            }
        }
    }
    for (name, number) in &health.counts {
        let _ = write!(text, "  {name} {}", compact(*number));
    }
    Line::from(vec![Span::styled(status.overall_status.as_str(), style(status.overall_status)), Span::raw(text)])
}

fn footer_line(screen: &Screen) -> Line<'static> {
    if screen.is_searching {
        return Line::from(vec![Span::raw(format!("/{}", screen.search)), Span::styled("▏", FAINT)]);
    }
    let mut keys = match &screen.view {
        View::Overview => "↑↓ select  Enter open  a alerts  / search  q quit".to_owned(),
        View::Pipeline(_) => "↑↓ scroll  a alerts  / search  Esc back  q quit".to_owned(),
        View::Alerts(_) => "↑↓ select  / search  Esc back  q quit".to_owned(),
    };
    if !screen.search.is_empty() {
        keys = format!("search: {}  Esc clear  {keys}", screen.search);
    }
    Line::styled(keys, FAINT)
}

fn draw_overview(frame: &mut Frame, screen: &Screen, area: Rect) {
    let listed = screen.listed_pipelines();
    if listed.is_empty() && screen.overview.is_some() {
        return frame.render_widget(Paragraph::new(nothing(screen, "No pipelines yet.")), area);
    }
    let rows = listed.iter().map(|pipeline| {
        Row::new(vec![
            Cell::from(pipeline.key.as_str()),
            health_cell(pipeline.overall_status),
            right(format!("{}/{}", pipeline.sources_processed, pipeline.total_sources)),
            number_cell(pipeline.failed_sources),
            number_cell(pipeline.stale_sources),
            number_cell(pipeline.open_alerts),
            health_cell(pipeline.data_quality_status),
        ])
    });
    let header = ["PIPELINE", "STATUS", "SOURCES", "FAILED", "OVERDUE", "ALERTS", "QUALITY"];
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(8),
        Constraint::Length(11),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(8),
    ];
    draw_table(frame, screen, area, table(header, &[2, 3, 4, 5], rows.collect(), &widths));
}

fn draw_pipeline(frame: &mut Frame, screen: &Screen, now: Now, area: Rect) {
    let Some(status) = &screen.pipeline else { return };
    let (sources, details) = if area.width >= WIDE {
        let [left, right] =
            Layout::horizontal([Constraint::Percentage(58), Constraint::Percentage(42)]).spacing(1).areas(area);
        (left, right)
    } else {
        let lines = u16::try_from(status.data_quality.checks.len().max(status.alerts.len())).unwrap_or(u16::MAX);
        let height = (lines.saturating_add(2)).clamp(4, (area.height / 2).max(4));
        let [top, bottom] = Layout::vertical([Constraint::Fill(1), Constraint::Length(height)]).areas(area);
        (top, bottom)
    };
    draw_sources(frame, screen, now, sources);
    if area.width >= WIDE {
        let checks = u16::try_from(status.data_quality.checks.len()).unwrap_or(u16::MAX).clamp(1, 12) + 2;
        let steps =
            if status.steps.is_empty() { 0 } else { u16::try_from(status.steps.len()).unwrap_or(u16::MAX).min(10) + 2 };
        let areas = Layout::vertical([Constraint::Length(checks), Constraint::Length(steps), Constraint::Fill(1)]);
        let [checks, steps, alerts] = areas.areas(details);
        draw_checks(frame, status, checks);
        if steps.height > 0 {
            draw_steps(frame, status, steps);
        }
        draw_alert_list(frame, status, now, alerts);
    } else {
        let [checks, alerts] =
            Layout::horizontal([Constraint::Percentage(45), Constraint::Percentage(55)]).spacing(1).areas(details);
        draw_checks(frame, status, checks);
        draw_alert_list(frame, status, now, alerts);
    }
}

fn draw_sources(frame: &mut Frame, screen: &Screen, now: Now, area: Rect) {
    let listed = screen.listed_sources();
    if listed.is_empty() {
        return frame.render_widget(Paragraph::new(nothing(screen, "No sources yet.")), area);
    }
    let rows = listed.iter().map(|source| {
        let status =
            if source.stale { Cell::from("overdue").style(style(Health::Warning)) } else { health_cell(source.status) };
        let last_run = source.last_run.as_deref().map_or_else(|| "never".to_owned(), |at| ago(at, now.wall));
        Row::new(vec![
            Cell::from(clean(&source.key)),
            status,
            number_cell(source.running),
            right(source.runs.to_string()),
            right(if source.runs == 0 { "–".to_owned() } else { format!("{:.1} %", source.success_rate) }),
            right(last_run),
        ])
    });
    let header = ["SOURCE", "STATUS", "RUNNING", "RUNS", "SUCCESS", "LAST RUN"];
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(8),
        Constraint::Length(7),
        Constraint::Length(6),
        Constraint::Length(8),
        Constraint::Length(10),
    ];
    draw_table(frame, screen, area, table(header, &[2, 3, 4, 5], rows.collect(), &widths));
}

fn draw_checks(frame: &mut Frame, status: &PipelineStatus, area: Rect) {
    let block = Block::new().title(Span::styled("CHECKS", HEADER));
    let rows = status.data_quality.checks.iter().map(|check| {
        let rate = check.rate.map_or_else(|| "–".to_owned(), |rate| format!("{rate:.1} %"));
        let counts = format!("{}/{}", compact(check.passes), compact(check.attempts));
        Row::new(vec![Cell::from(check.name.as_str()).style(style(check.status)), right(rate), right(counts)])
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return frame.render_widget(Paragraph::new(Line::styled("No checks.", FAINT)).block(block), area);
    }
    let widths = [Constraint::Fill(1), Constraint::Length(8), Constraint::Length(13)];
    frame.render_widget(Table::new(rows, widths).block(block), area);
}

fn draw_steps(frame: &mut Frame, status: &PipelineStatus, area: Rect) {
    let rows = status.steps.iter().map(|step| {
        let health = match step.state.as_str() {
            "failed" => Health::Error,
            "ok" => Health::Healthy,
            _ => Health::Pending,
        };
        let duration = step.duration_seconds.map_or_else(
            || "–".to_owned(),
            |seconds| Duration::try_from_secs_f64(seconds).map_or_else(|_| "–".to_owned(), span),
        );
        let sources = format!("{}/{}", step.sources.saturating_sub(step.failed), step.sources);
        Row::new(vec![
            Cell::from(step.name.as_str()),
            Cell::from(step.state.as_str()).style(style(health)),
            right(sources),
            right(duration),
        ])
    });
    let widths = [Constraint::Fill(1), Constraint::Length(8), Constraint::Length(9), Constraint::Length(8)];
    let block = Block::new().title(Span::styled("STEPS", HEADER));
    frame.render_widget(Table::new(rows.collect::<Vec<_>>(), widths).block(block), area);
}

fn draw_alert_list(frame: &mut Frame, status: &PipelineStatus, now: Now, area: Rect) {
    let block = Block::new().title(Span::styled("ALERTS", HEADER));
    let lines: Vec<_> = match status.alerts.as_slice() {
        [] => vec![Line::styled("No firing alerts.", FAINT)],
        alerts => alerts.iter().map(|alert| alert_line(alert, now)).collect(),
    };
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn alert_line(alert: &Alert, now: Now) -> Line<'static> {
    let age = Span::styled(format!("{:>8}  ", ago(&alert.timestamp, now.wall)), FAINT);
    Line::from(vec![age, Span::styled(clean(&alert.title), severity(&alert.severity))])
}

fn draw_alerts(frame: &mut Frame, screen: &Screen, now: Now, area: Rect) {
    let listed = screen.listed_alerts();
    if listed.is_empty() {
        return frame.render_widget(Paragraph::new(nothing(screen, "No firing alerts.")), area);
    }
    let [list, message] = Layout::vertical([Constraint::Fill(1), Constraint::Length(4)]).spacing(1).areas(area);
    let rows = listed.iter().map(|alert| {
        let subject = match (&alert.pipeline, &alert.source) {
            (Some(pipeline), Some(source)) => Cow::Owned(format!("{pipeline}/{source}")),
            (Some(only), None) | (None, Some(only)) => Cow::Borrowed(only.as_str()),
            (None, None) => Cow::Borrowed(""),
        };
        Row::new(vec![
            Cell::from(alert.severity.to_lowercase()).style(severity(&alert.severity)),
            Cell::from(alert.state.to_lowercase()),
            right(ago(&alert.timestamp, now.wall)),
            Cell::from(subject),
            Cell::from(clean(&alert.title)),
        ])
    });
    let widths = [
        Constraint::Length(8),
        Constraint::Length(12),
        Constraint::Length(8),
        Constraint::Fill(1),
        Constraint::Fill(3),
    ];
    let header = ["SEVERITY", "STATE", "SINCE", "SUBJECT", "ALERT"];
    draw_table(frame, screen, list, table(header, &[2], rows.collect(), &widths));
    if let Some(alert) = listed.get(screen.selected) {
        frame.render_widget(Paragraph::new(clean(&alert.message)).wrap(Wrap { trim: true }), message);
    }
}

fn table<'a, const N: usize>(
    header: [&'static str; N],
    right_aligned: &[usize],
    rows: Vec<Row<'a>>,
    widths: &[Constraint],
) -> Table<'a> {
    let cell = |(index, name)| {
        if right_aligned.contains(&index) { right(name) } else { Cell::from(name) }
    };
    let header = Row::new(header.into_iter().enumerate().map(cell)).style(HEADER);
    Table::new(rows, widths.to_vec()).header(header).row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
}

/// Scrolls so that the selected row is visible.
fn draw_table(frame: &mut Frame, screen: &Screen, area: Rect, table: Table) {
    let mut state = TableState::new().with_selected(screen.selected);
    frame.render_stateful_widget(table, area, &mut state);
}

fn nothing(screen: &Screen, text: &'static str) -> Line<'static> {
    Line::styled(if screen.search.is_empty() { text } else { "Nothing matches the search." }, FAINT)
}

fn right<'a>(text: impl Into<Cow<'a, str>>) -> Cell<'a> {
    Cell::from(Line::from(text.into()).right_aligned())
}

fn health_cell(health: Health) -> Cell<'static> {
    Cell::from(health.as_str()).style(style(health))
}

/// A number; 0 is left out.
fn number_cell(number: u64) -> Cell<'static> {
    right(if number == 0 { String::new() } else { number.to_string() })
}

fn style(health: Health) -> Style {
    Style::new().fg(match health {
        Health::Error => Color::Red,
        Health::Warning => Color::Yellow,
        Health::Healthy => Color::Green,
        Health::Pending => Color::DarkGray,
    })
}

fn severity(severity: &str) -> Style {
    match severity.to_lowercase().as_str() {
        "high" => style(Health::Error),
        "medium" => style(Health::Warning),
        _ => Style::new(),
    }
}

/// The time since an instant: `5 min ago`.
fn ago(at: &str, now: DateTime<Utc>) -> String {
    match DateTime::parse_from_rfc3339(at) {
        Ok(at) => span((now - at.with_timezone(&Utc)).to_std().unwrap_or_default()),
        Err(_) => "?".to_owned(),
    }
}

/// A duration with one unit: `5 min`.
fn span(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// A number in at most seven characters: `9999`, `120k`, `3.0G`.
#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
fn compact(number: u64) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..1_000_000 => format!("{}k", number / 1_000),
        1_000_000..1_000_000_000 => format!("{:.1}M", number as f64 / 1e6),
        1_000_000_000..1_000_000_000_000 => format!("{:.1}G", number as f64 / 1e9),
        _ => format!("{:.1}T", number as f64 / 1e12),
    }
}

/// A text of a reporter in one line, without characters that change the direction of others.
fn clean(text: &str) -> String {
    let is_format =
        |letter| matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_shown = |letter: &char| !is_format(*letter);
    let letters = text.chars().filter(is_shown);
    letters.map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
#[path = "draw_tests.rs"]
mod tests;
