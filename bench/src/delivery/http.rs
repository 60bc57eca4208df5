use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::Result;

/// Posts JSON, and returns the body of the response.
pub(crate) fn post(address: &str, path: &str, body: &str) -> Result<String> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    ask(address, &format!("{head}{body}"))
}

/// Gets a body.
pub(crate) fn get(address: &str, path: &str) -> Result<String> {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"))
}

fn ask(address: &str, request: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer has no head")?;
    if head.starts_with("HTTP/1.1 20") {
        Ok(body.to_owned())
    } else {
        Err(format!("the answer was {head}: {body}").into())
    }
}
