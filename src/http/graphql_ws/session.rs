//! The server's side of graphql-transport-ws as a state machine: a message in, what is to be done out.
//!
//! Source: PROTOCOL.md of enisdenjo/graphql-ws.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::graphql::operation::Parameters;
use crate::http::viewer::bearer;
use crate::push::protocol::ws_frame::Close;

/// What is to be done.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Nothing.
    None,
    /// Acknowledge the connection, if who has this token may have it.
    Acknowledge {
        /// What the client gave as its token, if it gave any.
        token: Option<String>,
    },
    /// Send this text.
    Send(String),
    /// Close the connection.
    Close(Close),
    /// Begin the operation of this id.
    Start {
        /// The id that the client gave it.
        id: String,
        /// What it is.
        parameters: Parameters,
    },
    /// End the operation of this id; nothing more is sent for it.
    Stop {
        /// Its id.
        id: String,
    },
}

/// One client's session.
#[derive(Debug, Default)]
pub struct Session {
    is_acknowledged: bool,
    running: HashSet<String>,
}

impl Session {
    /// A text message came.
    pub fn receive(&mut self, text: &str) -> Effect {
        match self.understand(text) {
            Ok(effect) => effect,
            Err(close) => Effect::Close(close),
        }
    }

    /// An operation has ended by itself; its id is free again. Whether the client is still to be told.
    pub fn finish(&mut self, id: &str) -> bool {
        self.running.remove(id)
    }

    /// How many operations run.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    fn understand(&mut self, text: &str) -> Result<Effect, Close> {
        let message: Value =
            serde_json::from_str(text).map_err(|error| invalid(format!("the message is no JSON: {error}")))?;
        let Value::Object(mut message) = message else {
            return Err(invalid("the message must be an object"));
        };
        let kind = match message.get("type") {
            Some(Value::String(kind)) => kind.clone(),
            Some(_) => return Err(invalid("the message's `type` must be a string")),
            None => return Err(invalid("the message has no `type`")),
        };
        match kind.as_str() {
            "connection_init" => self.init(&message),
            "ping" => pong(&message),
            "pong" => payload(&message).map(|_| Effect::None),
            "subscribe" => self.subscribe(&mut message),
            "complete" => {
                let id = id(&message)?;
                // A client may complete what has just ended: an unknown id is no fault.
                Ok(if self.running.remove(&id) { Effect::Stop { id } } else { Effect::None })
            }
            other => Err(invalid(format!("there is no message type {other:?}"))),
        }
    }

    fn init(&mut self, message: &Map<String, Value>) -> Result<Effect, Close> {
        let token = payload(message)?.and_then(token);
        if std::mem::replace(&mut self.is_acknowledged, true) {
            return Err(Close::new(4429, "Too many initialisation requests"));
        }
        Ok(Effect::Acknowledge { token })
    }

    fn subscribe(&mut self, message: &mut Map<String, Value>) -> Result<Effect, Close> {
        let id = id(message)?;
        let Some(payload @ Value::Object(_)) = message.remove("payload") else {
            return Err(invalid("a subscribe message needs a `payload` object with a `query`"));
        };
        let parameters = Parameters::from_json(payload).map_err(|error| invalid(format!("payload.{error}")))?;
        if !self.is_acknowledged {
            return Err(Close::new(4401, "Unauthorized"));
        }
        if !self.running.insert(id.clone()) {
            return Err(Close::new(4409, format!("Subscriber for {id} already exists")));
        }
        Ok(Effect::Start { id, parameters })
    }
}

/// A message of the server's. The id and the payload are JSON text already.
pub(super) fn frame(kind: &'static str, id: Option<&str>, payload: Option<&str>) -> String {
    let id = id.map(|id| format!("\"id\":{id},")).unwrap_or_default();
    let payload = payload.map(|payload| format!(",\"payload\":{payload}")).unwrap_or_default();
    format!("{{{id}\"type\":\"{kind}\"{payload}}}")
}

fn pong(message: &Map<String, Value>) -> Result<Effect, Close> {
    let payload = payload(message)?.map(ToString::to_string);
    Ok(Effect::Send(frame("pong", None, payload.as_deref())))
}

/// The optional payload of a message: an object, null or nothing.
fn payload(message: &Map<String, Value>) -> Result<Option<&Value>, Close> {
    match message.get("payload") {
        None => Ok(None),
        Some(payload @ (Value::Null | Value::Object(_))) => Ok(Some(payload)),
        Some(_) => Err(invalid("the message's `payload` must be an object, null or nothing")),
    }
}

/// The token in a payload: `{"authorization": "Bearer …"}`, its name in any letters, or `{"token": "…"}`.
fn token(payload: &Value) -> Option<String> {
    let fields = payload.as_object()?;
    let mut said = fields.iter().filter(|(_, value)| !value.is_null());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match said.clone().find(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
        Some((_, value)) => Some(bearer(&text(value)).to_owned()),
        None => said.find(|(name, _)| *name == "token").map(|(_, value)| text(value)),
    }
}

fn id(message: &Map<String, Value>) -> Result<String, Close> {
    match message.get("id") {
        Some(Value::String(id)) if !id.is_empty() => Ok(id.clone()),
        Some(Value::String(_)) => Err(invalid("the message's `id` is empty")),
        Some(_) => Err(invalid("the message's `id` must be a string")),
        None => Err(invalid("the message has no `id`")),
    }
}

fn invalid(reason: impl Into<String>) -> Close {
    Close::new(4400, reason.into())
}

#[cfg(test)]
mod tests;
