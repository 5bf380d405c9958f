//! An issuer that publishes a JWK Set on loopback, or accepts and does not answer.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use queue_verifier::KeySource;

/// What it does with a request.
enum Conduct {
    Publish(String),
    Fail,
    Hang,
}

/// A running issuer; it ends with the test's process.
pub(crate) struct Issuer {
    port: u16,
    state: Arc<Mutex<State>>,
}

struct State {
    conduct: Conduct,
    fetches: usize,
    held: Vec<TcpStream>,
}

impl Issuer {
    pub(crate) fn publishing(jwk_set: String) -> Self {
        Self::start(Conduct::Publish(jwk_set))
    }

    pub(crate) fn failing() -> Self {
        Self::start(Conduct::Fail)
    }

    pub(crate) fn hanging() -> Self {
        Self::start(Conduct::Hang)
    }

    fn start(conduct: Conduct) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let port = listener
            .local_addr()
            .expect("a listener has an address")
            .port();
        let state = Arc::new(Mutex::new(State {
            conduct,
            fetches: 0,
            held: Vec::new(),
        }));
        let served = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &mut lock(&served));
            }
        });
        Self { port, state }
    }

    pub(crate) fn publish(&self, jwk_set: String) {
        lock(&self.state).conduct = Conduct::Publish(jwk_set);
    }

    pub(crate) fn fail(&self) {
        lock(&self.state).conduct = Conduct::Fail;
    }

    pub(crate) fn hang(&self) {
        lock(&self.state).conduct = Conduct::Hang;
    }

    pub(crate) fn fetches(&self) -> usize {
        lock(&self.state).fetches
    }

    pub(crate) fn uri(&self) -> String {
        format!("http://127.0.0.1:{}/jwks.json", self.port)
    }

    pub(crate) fn keys(&self) -> KeySource {
        KeySource::jwks_uri(self.uri())
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no thread of the issuer panics")
}

fn answer(stream: TcpStream, state: &mut State) {
    let mut lines = BufReader::new(&stream).lines();
    if !lines.any(|line| line.is_ok_and(|line| line.is_empty())) {
        return;
    }
    state.fetches += 1;
    let (status, body) = match &state.conduct {
        Conduct::Publish(set) => ("200 OK", set.as_str()),
        Conduct::Fail => ("500 Internal Server Error", ""),
        Conduct::Hang => {
            state.held.push(stream);
            return;
        }
    };
    let _ = write!(
        &stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nCache-Control: max-age=600\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
}
