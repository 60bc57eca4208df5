//! The contents of the screen, and how keys change them. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::command::watch::connection::Shown;
use crate::command::watch::status::{Alert, PipelineStatus, PipelineSummary};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum View {
    Overview,
    Pipeline(String),
    /// Of one pipeline, otherwise of all.
    Alerts(Option<String>),
}

/// What the server must send for a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Topic {
    Overview,
    Pipeline(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
    Backspace,
    Letter(char),
    Interrupt,
}

pub(super) enum Data {
    Overview(Vec<PipelineSummary>),
    Pipeline(Box<PipelineStatus>),
    Alerts(Vec<Alert>),
}

/// The lines that `PageUp` and `PageDown` move.
const PAGE: usize = 10;
const MAX_SEARCH: usize = 64;

pub(super) struct Screen {
    pub(super) server: String,
    pub(super) view: View,
    pub(super) connection: Shown,
    pub(super) overview: Option<Vec<PipelineSummary>>,
    pub(super) pipeline: Option<PipelineStatus>,
    pub(super) alerts: Option<Vec<Alert>>,
    /// When data arrived last, since the start of the program.
    pub(super) updated: Option<Duration>,
    pub(super) search: String,
    pub(super) is_searching: bool,
    pub(super) selected: usize,
    /// Whether the program was started for one pipeline, which is then the first view.
    is_single: bool,
    pub(super) is_over: bool,
}

/// The time of a drawing.
#[derive(Clone, Copy)]
pub(super) struct Now {
    pub(super) elapsed: Duration,
    pub(super) wall: DateTime<Utc>,
}

impl Screen {
    pub(super) fn new(server: String, pipeline: Option<String>) -> Self {
        Self {
            server,
            is_single: pipeline.is_some(),
            view: pipeline.map_or(View::Overview, View::Pipeline),
            connection: Shown::Connecting,
            overview: None,
            pipeline: None,
            alerts: None,
            updated: None,
            search: String::new(),
            is_searching: false,
            selected: 0,
            is_over: false,
        }
    }

    pub(super) fn topic(&self) -> Topic {
        match &self.view {
            View::Overview | View::Alerts(None) => Topic::Overview,
            View::Pipeline(key) | View::Alerts(Some(key)) => Topic::Pipeline(key.clone()),
        }
    }

    /// Whether the alerts of all pipelines must be queried.
    pub(super) fn needs_alerts(&self) -> bool {
        self.view == View::Alerts(None)
    }

    /// Takes data of the current topic. An older status, which a poll may return after a stream's newer one, is dropped.
    pub(super) fn take(&mut self, data: Data, now: Duration) {
        match data {
            Data::Overview(mut pipelines) => {
                pipelines.sort_by(|one, other| (one.overall_status, &one.key).cmp(&(other.overall_status, &other.key)));
                self.overview = Some(pipelines);
            }
            Data::Pipeline(status) => {
                let is_current = matches!(self.topic(), Topic::Pipeline(key) if key == status.pipeline);
                let is_newer = self.pipeline.as_ref().is_none_or(|shown| status.is_newer_than(shown));
                if is_current && is_newer {
                    self.pipeline = Some(*status);
                }
            }
            Data::Alerts(alerts) => self.alerts = Some(alerts),
        }
        self.updated = Some(now);
        self.clamp();
    }

    pub(super) fn press(&mut self, key: Key) {
        match key {
            Key::Letter(letter) if self.is_searching => {
                if self.search.chars().count() < MAX_SEARCH {
                    self.search.push(letter);
                }
                self.selected = 0;
            }
            Key::Backspace if self.is_searching => {
                // Without a text, it ends the search.
                self.is_searching = self.search.pop().is_some();
            }
            Key::Enter if self.is_searching => self.is_searching = false,
            Key::Escape if self.is_searching || !self.search.is_empty() => {
                self.is_searching = false;
                self.search.clear();
            }
            Key::Interrupt | Key::Letter('q') => self.is_over = true,
            Key::Letter('/') => self.is_searching = true,
            Key::Letter('a') => self.toggle_alerts(),
            Key::Escape | Key::Backspace | Key::Letter('h') => self.back(),
            Key::Enter | Key::Letter('l') => self.open(),
            Key::Up | Key::Letter('k') => self.selected = self.selected.saturating_sub(1),
            Key::Down | Key::Letter('j') => self.selected += 1,
            Key::PageUp => self.selected = self.selected.saturating_sub(PAGE),
            Key::PageDown => self.selected += PAGE,
            Key::Home | Key::Letter('g') => self.selected = 0,
            Key::End | Key::Letter('G') => self.selected = usize::MAX,
            Key::Letter(_) => {}
        }
        self.clamp();
    }

    fn toggle_alerts(&mut self) {
        match &self.view {
            View::Overview => self.show(View::Alerts(None)),
            View::Pipeline(key) => self.show(View::Alerts(Some(key.clone()))),
            View::Alerts(_) => self.back(),
        }
    }

    fn back(&mut self) {
        match &self.view {
            View::Alerts(Some(key)) => self.show(View::Pipeline(key.clone())),
            View::Alerts(None) => self.show(View::Overview),
            View::Pipeline(_) if !self.is_single => self.show(View::Overview),
            View::Pipeline(_) | View::Overview => {}
        }
    }

    fn open(&mut self) {
        let key = match &self.view {
            View::Overview => self.listed_pipelines().get(self.selected).map(|pipeline| pipeline.key.clone()),
            View::Alerts(None) => self.listed_alerts().get(self.selected).and_then(|alert| alert.pipeline.clone()),
            View::Pipeline(_) | View::Alerts(Some(_)) => None,
        };
        if let Some(key) = key {
            self.pipeline = None;
            self.show(View::Pipeline(key));
        }
    }

    fn show(&mut self, view: View) {
        self.view = view;
        self.selected = 0;
        self.search.clear();
        self.is_searching = false;
    }

    fn clamp(&mut self) {
        let length = match &self.view {
            View::Overview => self.listed_pipelines().len(),
            View::Pipeline(_) => self.listed_sources().len(),
            View::Alerts(_) => self.listed_alerts().len(),
        };
        self.selected = self.selected.min(length.saturating_sub(1));
    }

    fn matches(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.search.to_lowercase())
    }

    /// The pipelines that match the search.
    pub(super) fn listed_pipelines(&self) -> Vec<&PipelineSummary> {
        self.overview.iter().flatten().filter(|pipeline| self.matches(&pipeline.key)).collect()
    }

    /// The sources that match the search.
    pub(super) fn listed_sources(&self) -> Vec<&crate::command::watch::status::Source> {
        let sources = self.pipeline.iter().flat_map(|status| &status.scraping_health.sources);
        sources.filter(|source| self.matches(&source.key)).collect()
    }

    /// The alerts that match the search.
    pub(super) fn listed_alerts(&self) -> Vec<&Alert> {
        let alerts = match &self.view {
            View::Alerts(None) => self.alerts.as_ref(),
            _ => self.pipeline.as_ref().map(|status| &status.alerts),
        };
        let all = alerts.into_iter().flatten();
        let is_match = |alert: &&Alert| {
            self.matches(&alert.title)
                || alert.pipeline.as_deref().is_some_and(|pipeline| self.matches(pipeline))
                || alert.source.as_deref().is_some_and(|source| self.matches(source))
        };
        all.filter(is_match).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::watch::status::Health;

    fn summary(key: &str, health: Health) -> PipelineSummary {
        PipelineSummary {
            key: key.into(),
            overall_status: health,
            revision: "1".into(),
            sources_processed: 1,
            total_sources: 1,
            failed_sources: 0,
            stale_sources: 0,
            data_quality_status: Health::Pending,
            open_alerts: 0,
        }
    }

    fn screen() -> Screen {
        let mut screen = Screen::new("http://a".into(), None);
        let pipelines =
            vec![summary("ads", Health::Healthy), summary("billing", Health::Error), summary("crm", Health::Warning)];
        screen.take(Data::Overview(pipelines), Duration::ZERO);
        screen
    }

    fn keys(screen: &Screen) -> Vec<&str> {
        screen.listed_pipelines().iter().map(|pipeline| pipeline.key.as_str()).collect()
    }

    #[test]
    fn worst_pipelines_come_first() {
        assert_eq!(keys(&screen()), ["billing", "crm", "ads"]);
    }

    #[test]
    fn selection_stays_within_the_list() {
        let mut screen = screen();
        for (key, expect) in [
            (Key::Up, 0),
            (Key::Down, 1),
            (Key::PageDown, 2),
            (Key::Down, 2),
            (Key::Home, 0),
            (Key::End, 2),
            (Key::Letter('k'), 1),
        ] {
            screen.press(key);
            assert_eq!(screen.selected, expect, "{key:?}");
        }
        screen.take(Data::Overview(vec![summary("ads", Health::Healthy)]), Duration::ZERO);
        assert_eq!(screen.selected, 0);
    }

    #[test]
    fn search_filters_and_escape_clears_it() {
        let mut screen = screen();
        for key in [Key::Letter('/'), Key::Letter('q'), Key::Backspace, Key::Letter('R')] {
            screen.press(key);
        }
        assert_eq!((keys(&screen), screen.is_over), (vec!["crm"], false));
        screen.press(Key::Enter);
        assert!(!screen.is_searching && screen.search == "R");
        screen.press(Key::Escape);
        assert_eq!(keys(&screen).len(), 3);
        screen.press(Key::Letter('/'));
        screen.press(Key::Backspace);
        assert!(!screen.is_searching);
    }

    #[test]
    fn enter_opens_and_escape_goes_back() {
        let mut screen = screen();
        screen.press(Key::Enter);
        assert_eq!(screen.topic(), Topic::Pipeline("billing".into()));
        screen.press(Key::Letter('a'));
        assert_eq!(screen.view, View::Alerts(Some("billing".into())));
        screen.press(Key::Escape);
        screen.press(Key::Escape);
        screen.press(Key::Escape);
        assert_eq!(screen.view, View::Overview);
        screen.press(Key::Letter('a'));
        assert!(screen.needs_alerts() && screen.topic() == Topic::Overview);
        screen.press(Key::Letter('q'));
        assert!(screen.is_over);
    }

    #[test]
    fn single_pipeline_has_no_overview() {
        let mut screen = Screen::new("http://a".into(), Some("billing".into()));
        screen.press(Key::Escape);
        assert_eq!(screen.view, View::Pipeline("billing".into()));
    }
}
