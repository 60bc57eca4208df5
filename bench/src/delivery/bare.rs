//! The limit of the machine: a prebuilt frame, and a `send()` for each socket.

use std::io::{ErrorKind, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use chrono::{SecondsFormat, Utc};
use socket2::{Domain, Socket, Type};

use crate::Result;

/// Sends a frame with a status to all subscribers, once a second; in between it accepts new ones.
pub(crate) fn run(status: &str, address: &str) -> Result<()> {
    let listener = listen(address.parse()?)?;
    crate::print("ready")?;
    let mut sockets: Vec<TcpStream> = Vec::new();
    let mut due = Instant::now() + Duration::from_secs(1);
    loop {
        while Instant::now() < due {
            match listener.accept() {
                Ok((socket, _)) => {
                    socket.set_nodelay(true)?;
                    socket.set_nonblocking(true)?;
                    sockets.push(socket);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => return Err(error.into()),
            }
        }
        due += Duration::from_secs(1);
        let message = frame(&stamped(status)?);
        sockets.retain_mut(|socket| send(socket, &message).is_ok());
    }
}

/// A listener whose queue holds the subscribers that connect while a status is sent.
fn listen(address: SocketAddr) -> Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(4_096)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Sends a whole message. It waits for a full socket, which does not happen while it is measured.
fn send(socket: &mut TcpStream, message: &[u8]) -> std::io::Result<()> {
    let sent = match socket.write(message) {
        Ok(sent) => sent,
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        Err(error) => return Err(error),
    };
    if sent < message.len() {
        socket.set_nonblocking(false)?;
        socket.write_all(&message[sent..])?;
        socket.set_nonblocking(true)?;
    }
    Ok(())
}

/// The status with the present instant in it.
fn stamped(status: &str) -> Result<String> {
    let mark = "\"timestamp\":\"";
    let at = status.find(mark).ok_or("the status has no timestamp")? + mark.len();
    let end = at + status[at..].find('"').ok_or("the status's timestamp has no end")?;
    Ok(format!("{}{}{}", &status[..at], Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true), &status[end..]))
}

fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 126];
    frame.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    frame.extend_from_slice(text.as_bytes());
    frame
}
