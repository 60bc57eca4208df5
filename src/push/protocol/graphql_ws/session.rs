//! The server's side of graphql-transport-ws as a state machine: a message in, an effect out.

use serde_json::{Map, Value};

use crate::push::protocol::close::Close;

/// What the server does for a message. `P` is the parsed payload of `subscribe`.
#[derive(Debug, PartialEq)]
pub enum Effect<P> {
    /// Nothing.
    None,
    /// Acknowledge the connection if its credentials are valid.
    Acknowledge {
        /// Those in the payload of `connection_init`, if there are any.
        credentials: Option<Credentials>,
    },
    /// Answer a ping with its payload, which is JSON text.
    Pong(Option<String>),
    /// Close the connection.
    Close(Close),
    /// Start an operation.
    Start {
        /// The id that the client chose.
        id: String,
        /// The operation.
        payload: P,
    },
    /// Stop an operation; nothing more is sent for it.
    Stop {
        /// Its id.
        id: String,
    },
}

/// Credentials in the payload of `connection_init`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// The value of `authorization`, such as `Bearer <token>`.
    Authorization(String),
    /// The value of `token`.
    Token(String),
}

/// One client's session: whether it is acknowledged, and the ids of its operations.
#[derive(Debug, Default)]
pub struct Session {
    is_acknowledged: bool,
    /// Most sessions have one: a list takes less memory than a set.
    running: Vec<Box<str>>,
}

impl Session {
    /// Handles a text message. `parse` parses the payload of `subscribe`; its error names the invalid field.
    pub fn receive<P>(&mut self, text: &str, parse: impl FnOnce(Value) -> Result<P, String>) -> Effect<P> {
        match self.handle(text, parse) {
            Ok(effect) => effect,
            Err(close) => Effect::Close(close),
        }
    }

    /// Frees the id of an operation that has ended. Returns false if the client had stopped it.
    pub fn finish(&mut self, id: &str) -> bool {
        let position = self.running.iter().position(|running| **running == *id);
        position.map(|position| self.running.swap_remove(position)).is_some()
    }

    /// The number of running operations.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    fn handle<P>(&mut self, text: &str, parse: impl FnOnce(Value) -> Result<P, String>) -> Result<Effect<P>, Close> {
        let message: Value =
            serde_json::from_str(text).map_err(|error| invalid(format!("the message is not valid JSON: {error}")))?;
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
            "subscribe" => self.subscribe(&mut message, parse),
            "complete" => {
                let id = id(&message)?;
                // A client may complete an operation that has just ended: an unknown id is not an error.
                Ok(if self.finish(&id) { Effect::Stop { id } } else { Effect::None })
            }
            other => Err(invalid(format!("the message type {other:?} is unknown"))),
        }
    }

    fn init<P>(&mut self, message: &Map<String, Value>) -> Result<Effect<P>, Close> {
        let credentials = payload(message)?.and_then(credentials);
        if std::mem::replace(&mut self.is_acknowledged, true) {
            return Err(Close::new(4429, "Too many initialisation requests"));
        }
        Ok(Effect::Acknowledge { credentials })
    }

    fn subscribe<P>(
        &mut self,
        message: &mut Map<String, Value>,
        parse: impl FnOnce(Value) -> Result<P, String>,
    ) -> Result<Effect<P>, Close> {
        let id = id(message)?;
        let Some(payload @ Value::Object(_)) = message.remove("payload") else {
            return Err(invalid("a subscribe message needs a `payload` object with a `query`"));
        };
        let payload = parse(payload).map_err(|error| invalid(format!("payload.{error}")))?;
        if !self.is_acknowledged {
            return Err(Close::new(4401, "Unauthorized"));
        }
        if self.running.iter().any(|running| **running == *id) {
            return Err(Close::new(4409, format!("Subscriber for {id} already exists")));
        }
        if self.running.is_empty() {
            self.running.reserve_exact(1);
        }
        self.running.push(id.as_str().into());
        Ok(Effect::Start { id, payload })
    }
}

fn pong<P>(message: &Map<String, Value>) -> Result<Effect<P>, Close> {
    Ok(Effect::Pong(payload(message)?.map(ToString::to_string)))
}

/// The optional payload of a message: an object, null or nothing.
fn payload(message: &Map<String, Value>) -> Result<Option<&Value>, Close> {
    match message.get("payload") {
        None => Ok(None),
        Some(payload @ (Value::Null | Value::Object(_))) => Ok(Some(payload)),
        Some(_) => Err(invalid("the message's `payload` must be an object, null or nothing")),
    }
}

/// The credentials in a payload: `{"authorization": "Bearer …"}` in any case, or `{"token": "…"}`.
fn credentials(payload: &Value) -> Option<Credentials> {
    let mut fields = payload.as_object()?.iter().filter(|(_, value)| !value.is_null());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match fields.clone().find(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
        Some((_, value)) => Some(Credentials::Authorization(text(value))),
        None => fields.find(|(name, _)| *name == "token").map(|(_, value)| Credentials::Token(text(value))),
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
#[path = "session_tests.rs"]
mod tests;
