//! A subscriber that reads what the wire says, line by line.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;

/// An open subscription.
pub(crate) struct Events {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    lines: Lines<BufReader<TcpStream>>,
}

/// One event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) data: Value,
}

impl Events {
    pub(crate) async fn open(to: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut stream = TcpStream::connect(to).await.expect("the issuer listens");
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: issuer.test\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut lines = BufReader::new(stream).lines();
        let mut line = async || lines.next_line().await.expect("read").expect("a head");
        let first = line().await;
        let status = first.split(' ').nth(1).expect("a status");
        let status = status.parse().expect("a status");
        let mut headers = Vec::new();
        loop {
            let line = line().await;
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Self {
            status,
            headers,
            lines,
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    async fn line(&mut self) -> Option<String> {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line());
        line.await.expect("an event, or the end").ok()?
    }

    /// The next event; none when the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        // Each event is one chunk of the body; lines with the length of a chunk have no field name,
        // and a chunk without length is the last.
        while let Some(line) = self.line().await {
            if line == "0" {
                return None;
            }
            match line.split_once(": ") {
                Some(("event", name)) => event.name = name.to_owned(),
                Some(("id", id)) => event.id = id.to_owned(),
                Some(("data", data)) => {
                    event.data = serde_json::from_str(data).expect("JSON");
                }
                _ if line.is_empty() && !event.name.is_empty() => return Some(event),
                _ => {}
            }
        }
        None
    }
}

/// Less than the silence after which a comment comes.
const PATIENCE: Duration = Duration::from_secs(10);
