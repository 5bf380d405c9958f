//! A client that sends exactly the bytes it is given.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// One connection.
pub(crate) struct Client {
    /// What `{HOST}` stands for.
    host: String,
    reader: BufReader<Wire>,
}

enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Client {
    pub(crate) fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the sidecar accepts");
        stream
            .set_read_timeout(PATIENCE)
            .expect("a timeout can be set");
        Self {
            host: format!("127.0.0.1:{port}"),
            reader: BufReader::new(Wire::Tcp(stream)),
        }
    }

    /// Connects to the socket at `path`, and calls itself as a proxy's client might.
    pub(crate) fn connect_unix(path: impl AsRef<Path>) -> Self {
        let stream = UnixStream::connect(path).expect("the sidecar accepts");
        stream
            .set_read_timeout(PATIENCE)
            .expect("a timeout can be set");
        Self {
            host: "shop.example.com".to_owned(),
            reader: BufReader::new(Wire::Unix(stream)),
        }
    }

    /// Writes `bytes`, `{HOST}` replaced, and waits for nothing.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let mut filled = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some(at) = rest.windows(6).position(|part| part == b"{HOST}") {
            filled.extend_from_slice(&rest[..at]);
            filled.extend_from_slice(self.host.as_bytes());
            rest = &rest[at + 6..];
        }
        filled.extend_from_slice(rest);
        // The other side may have refused and closed already; the answer tells.
        let _ = self.reader.get_mut().write_all(&filled);
    }

    /// Sends one request and reads one answer.
    pub(crate) fn send(&mut self, request: impl AsRef<[u8]>) -> Response {
        self.write(request);
        self.read().expect("an answer comes")
    }

    /// `POST /v1/validate` with a JSON body.
    pub(crate) fn post(&mut self, body: &[u8]) -> Response {
        self.begin_post("/v1/validate", body);
        self.read().expect("an answer comes")
    }

    /// `POST path` with a JSON body.
    pub(crate) fn post_to(&mut self, path: &str, body: &str) -> Response {
        self.begin_post_to(path, body);
        self.read().expect("an answer comes")
    }

    /// The same, without waiting for the answer.
    pub(crate) fn begin_post_to(&mut self, path: &str, body: &str) {
        self.begin_post(path, body.as_bytes());
    }

    fn begin_post(&mut self, path: &str, body: &[u8]) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {{HOST}}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.write([head.as_bytes(), body].concat());
    }

    /// Reads one answer; `None` when the connection ends instead.
    pub(crate) fn read(&mut self) -> Option<Response> {
        let mut head = Vec::new();
        loop {
            let mut line = Vec::new();
            if self.reader.read_until(b'\n', &mut line).ok()? == 0 {
                return None;
            }
            if line == b"\r\n" {
                break;
            }
            head.push(String::from_utf8(line).ok()?.trim_end().to_owned());
        }
        let status = head.first()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<(String, String)> = head[1..]
            .iter()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut response = Response {
            status,
            headers,
            body: Vec::new(),
        };
        let length = response
            .header("content-length")
            .and_then(|text| text.parse().ok());
        response.body = vec![0; length.unwrap_or(0)];
        self.reader.read_exact(&mut response.body).ok()?;
        Some(response)
    }

    /// Whether the other side has closed, without an answer.
    pub(crate) fn is_closed(&mut self) -> bool {
        matches!(self.reader.read(&mut [0]), Ok(0) | Err(_))
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&mut self) {
        let _ = match self.reader.get_mut() {
            Wire::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Wire::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }
}

/// Generous: a test that waits that long has failed.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(20));

/// One answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        let (_, value) = values.next()?;
        assert!(values.next().is_none(), "{name} is sent once");
        Some(value)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("a body is UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a body is JSON")
    }

    /// Asserts that this is a problem of `code`; gives it back for more.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, code: &str) -> Self {
        assert_eq!(
            (self.status, self.json()["code"].as_str()),
            (status, Some(code))
        );
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(self.json()["status"], status);
        assert_eq!(self.json()["type"], format!("urn:queue:problem:{code}"));
        assert_eq!(self.header("access-control-allow-origin"), None);
        self
    }
}
