//! `pipewatch watch`: the live status in a terminal.

/// The state of the connection.
mod connection;
/// Drawing.
mod draw;
/// Server-Sent Events.
mod events;
/// Streams and polls.
mod feed;
/// Views, selection and search.
mod screen;
/// The shown statuses.
mod status;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use pipewatch::domain::key::PipelineKey;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::command::exit;
use crate::command::server::{Server, ServerFlags};
use crate::command::watch::connection::{Event, Shown};
use crate::command::watch::draw::draw;
use crate::command::watch::feed::{Content, Feed, Message};
use crate::command::watch::screen::{Data, Key, Now, Screen};
use crate::{fail, fail_with, shutdown_signal};

/// The time to connect, and the longest silence of a stream.
const TIMEOUT: Duration = Duration::from_mins(1);
/// How often ages are drawn again, and timers are looked at.
const TICK: Duration = Duration::from_millis(250);

/// The part of `--help` about keys and the token.
pub(crate) const ABOUT: &str = "\
Keys: arrows or j k select, Enter opens, Esc goes back, a shows alerts, / searches, q quits.

Access token: set PIPEWATCH_TOKEN if the server requires one.

Exit status: 0; 64 for an invalid argument or setting or without a terminal; 77 if the token is missing or invalid.";

#[derive(Args)]
pub(crate) struct Arguments {
    /// Key of the pipeline [default: an overview of all pipelines]
    pipeline: Option<PipelineKey>,
    #[command(flatten)]
    server: ServerFlags,
}

/// What a terminal sends.
enum Input {
    Key(Key),
    Resized,
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return fail_with(exit::USAGE, "watch needs a terminal; pipewatch check prints the status as a line");
    }
    let server = match Server::new(&arguments.server, TIMEOUT) {
        Ok(server) => server,
        Err(message) => return fail(&message),
    };
    let interrupted = match shutdown_signal() {
        Ok(interrupted) => interrupted,
        Err(error) => return fail(&format!("cannot install the signal handler: {error}")),
    };
    let screen = Screen::new(server.shown(), arguments.pipeline.map(|key| key.to_string()));
    let mut terminal = match ratatui::try_init() {
        Ok(terminal) => terminal,
        Err(error) => return fail(&format!("cannot use the terminal: {error}")),
    };
    let watched = watch(&mut terminal, screen, server, &interrupted).await;
    ratatui::restore();
    match watched {
        Ok(Shown::Unauthorized(reason)) => fail_with(exit::TOKEN_REFUSED, &reason),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("cannot use the terminal: {error}")),
    }
}

/// Returns the last state of the connection when the user quits.
async fn watch(
    terminal: &mut DefaultTerminal,
    mut screen: Screen,
    server: Server,
    interrupted: &CancellationToken,
) -> std::io::Result<Shown> {
    let start = Instant::now();
    let (sender, mut messages) = mpsc::unbounded_channel();
    let mut inputs = read_inputs()?;
    let mut feed = Feed::start(server, screen.topic(), sender, start.elapsed());
    let mut tick = tokio::time::interval(TICK);
    loop {
        screen.connection = feed.connection().shown();
        let now = Now { elapsed: start.elapsed(), wall: chrono::Utc::now() };
        terminal.draw(|frame| draw(frame, &screen, now))?;
        tokio::select! {
            () = interrupted.cancelled() => screen.is_over = true,
            _ = tick.tick() => feed.step(Event::Tick, start.elapsed()),
            Some(message) = messages.recv() => take(&mut screen, &mut feed, message, start.elapsed()),
            input = inputs.recv() => match input {
                Some(Input::Key(key)) => {
                    screen.press(key);
                    feed.follow(screen.topic(), start.elapsed());
                    if screen.needs_alerts() {
                        feed.query_alerts();
                    }
                }
                Some(Input::Resized) => {}
                // The terminal is gone.
                None => screen.is_over = true,
            },
        }
        if screen.is_over {
            return Ok(feed.connection().shown());
        }
    }
}

fn take(screen: &mut Screen, feed: &mut Feed, message: Message, now: Duration) {
    if !feed.is_current(&message) {
        return;
    }
    match message.content {
        Content::Connection(event) => feed.step(event, now),
        Content::Alerts(alerts) => screen.take(Data::Alerts(alerts), now),
        Content::Data { data, is_stream } => {
            // A poll that ends after the stream is live has nothing newer.
            if is_stream || feed.connection().shown() != Shown::Live {
                screen.take(data, now);
            }
            if screen.needs_alerts() {
                feed.query_alerts();
            }
        }
    }
}

/// Reads the terminal in a thread, which ends with the program.
fn read_inputs() -> std::io::Result<mpsc::UnboundedReceiver<Input>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::Builder::new().name("terminal".into()).spawn(move || {
        while let Ok(event) = event::read() {
            let input = match event {
                event::Event::Key(key) if key.kind != KeyEventKind::Release => key_of(key).map(Input::Key),
                event::Event::Resize(..) => Some(Input::Resized),
                _ => None,
            };
            if input.is_some_and(|input| sender.send(input).is_err()) {
                return;
            }
        }
    })?;
    Ok(receiver)
}

fn key_of(key: KeyEvent) -> Option<Key> {
    Some(match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Key::Interrupt,
        KeyCode::Char(letter) => Key::Letter(letter),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Enter | KeyCode::Right => Key::Enter,
        KeyCode::Esc | KeyCode::Left => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        _ => return None,
    })
}
