//! A small HTTP/1.1 client, so that the test depends on no one's idea of a cookie jar.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::process::Server;

/// A browser or a program: an address and at most one cookie.
pub struct Client {
    address: SocketAddr,
    cookie: Option<(String, String)>,
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub body: Value,
    headers: Vec<(String, String)>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

impl Client {
    pub fn of(server: &Server) -> Self {
        Self { address: server.address, cookie: None }
    }

    pub fn connect(&mut self, server: &Server) {
        self.address = server.address;
    }

    pub fn session_token(&self) -> String {
        self.cookie.clone().unwrap().1
    }

    pub fn set_session(&mut self, value: &str) {
        self.cookie = Some(("portcullis-insecure".to_owned(), value.to_owned()));
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], None)
    }

    /// Posts as a page of the dashboard does.
    pub fn post(&mut self, path: &str, body: &Value) -> Answer {
        let origin = format!("http://{}", self.address);
        self.send("POST", path, &[("Origin", &origin)], Some(body.to_string()))
    }

    /// Calls the pretend model API.
    pub fn call(&mut self, method: &str, path: &str, key: Option<&str>) -> Answer {
        let bearer = key.map(|key| format!("Bearer {key}"));
        let headers: Vec<_> = bearer.iter().map(|bearer| ("Authorization", bearer.as_str())).collect();
        let body = (method == "POST").then(|| r#"{"model":"parrot-1","prompt":"hello"}"#.to_owned());
        self.send(method, path, &headers, body)
    }

    fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<String>) -> Answer {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some((name, value)) = &self.cookie {
            request.push_str(&format!("Cookie: {name}={value}\r\n"));
        }
        if let Some(body) = &body {
            request
                .push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        request.push_str(body.as_deref().unwrap_or_default());
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let answer = read(&text);
        if let Some(cookie) = answer.header("set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookie = (!value.is_empty()).then(|| (name.to_owned(), value.to_owned()));
        }
        answer
    }
}

fn read(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Answer { status, body: serde_json::from_str(body).unwrap_or(Value::Null), headers }
}
