//! A mail server that speaks SMTP (RFC 5321) and plays what it is told, one play a mail.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What happens to a mail.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Play {
    /// The answer to `RCPT`.
    Recipient(&'static str),
    /// The answer to the whole mail.
    Refuse(&'static str),
    /// The connection ends in the middle of the mail.
    Cut,
    /// The mail is taken, but the server never says so.
    Silent,
}

/// A mail that was taken.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) to: String,
    pub(crate) text: String,
}

impl Letter {
    /// The one value of a header.
    pub(crate) fn header(&self, name: &str) -> &str {
        let (head, _) = self.text.split_once("\n\n").expect("a head");
        let prefix = format!("{name}: ");
        let mut found = head.lines().filter_map(|line| line.strip_prefix(&prefix));
        let value = found.next().expect("the header is there");
        assert!(found.next().is_none(), "{name} twice");
        value
    }
}

#[derive(Default)]
struct State {
    plays: Mutex<VecDeque<Play>>,
    taken: Mutex<Vec<Letter>>,
    auth: Mutex<Option<&'static str>>,
    logins: Mutex<usize>,
}

/// The server; gone when dropped.
pub(crate) struct Smtp {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    _serving: JoinSet<()>,
}

impl Smtp {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(State::default());
        let mut serving = JoinSet::new();
        let shared = Arc::clone(&state);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                connections.spawn(async move { drop(converse(stream, &state).await) });
            }
        });
        Self {
            address,
            state,
            _serving: serving,
        }
    }

    /// The setting that sends mail here.
    pub(crate) fn url(&self) -> String {
        format!("smtp://{}?tls=none", self.address)
    }

    /// What happens to the mails to come, in order; those beyond are taken.
    pub(crate) fn play(&self, plays: impl IntoIterator<Item = Play>) {
        self.state.plays.lock().unwrap().extend(plays);
    }

    /// Asks for a password from now on, and answers so.
    pub(crate) fn ask_password(&self, answer: &'static str) {
        *self.state.auth.lock().unwrap() = Some(answer);
    }

    /// How often a password was sent.
    pub(crate) fn logins(&self) -> usize {
        *self.state.logins.lock().unwrap()
    }

    pub(crate) fn taken(&self) -> Vec<Letter> {
        self.state.taken.lock().unwrap().clone()
    }
}

struct Talk {
    lines: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
}

impl Talk {
    async fn say(&mut self, line: &str) -> std::io::Result<()> {
        self.write.write_all(format!("{line}\r\n").as_bytes()).await
    }

    /// Everything up to the line with the one dot.
    async fn mail(&mut self) -> std::io::Result<String> {
        let mut text = String::new();
        while let Some(line) = self.lines.next_line().await? {
            if line == "." {
                return Ok(text);
            }
            text.push_str(line.strip_prefix('.').unwrap_or(&line));
            text.push('\n');
        }
        Err(std::io::ErrorKind::UnexpectedEof.into())
    }
}

async fn converse(stream: TcpStream, state: &State) -> std::io::Result<()> {
    let (read, write) = stream.into_split();
    let lines = BufReader::new(read).lines();
    let mut talk = Talk { lines, write };
    talk.say("220 smtp.test ready").await?;
    let mut play = None;
    let mut to = String::new();
    while let Some(line) = talk.lines.next_line().await? {
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => {
                let auth = state.auth.lock().unwrap().is_some();
                let more = if auth { "250-AUTH PLAIN\r\n" } else { "" };
                talk.say(&format!("250-smtp.test\r\n{more}250 8BITMIME"))
                    .await?;
            }
            "AUTH" => {
                *state.logins.lock().unwrap() += 1;
                let answer = state.auth.lock().unwrap().unwrap_or("235 welcome");
                talk.say(answer).await?;
            }
            "MAIL" => {
                play = state.plays.lock().unwrap().pop_front();
                talk.say("250 ok").await?;
            }
            "RCPT" => {
                to = line;
                let answer = match play {
                    Some(Play::Recipient(answer)) => answer,
                    _ => "250 ok",
                };
                talk.say(answer).await?;
            }
            "DATA" => {
                talk.say("354 go on").await?;
                if matches!(play, Some(Play::Cut)) {
                    talk.lines.next_line().await?;
                    return Ok(());
                }
                let text = talk.mail().await?;
                if let Some(Play::Refuse(answer)) = play {
                    talk.say(answer).await?;
                    continue;
                }
                let to = std::mem::take(&mut to);
                state.taken.lock().unwrap().push(Letter { to, text });
                if matches!(play, Some(Play::Silent)) {
                    return std::future::pending().await;
                }
                talk.say("250 taken").await?;
            }
            "QUIT" => return talk.say("221 bye").await,
            _ => talk.say("250 ok").await?,
        }
    }
    Ok(())
}
