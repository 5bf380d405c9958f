//! Transport: takes a message, hands it to a mail server, or to a file where there is none.
//!
//! **Invariant:** a failure is told as a code. A server's own words are dropped: they repeat addresses.
//! **Invariant:** a connection on which a try was cut short is never used again, since its next answer would
//! belong to the mail before.

use std::error::Error as _;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{AsyncSmtpTransportBuilder, Error, PoolConfig};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use secrecy::ExposeSecret as _;

use crate::db::Id;
use crate::settings::{MailTarget, Settings, SmtpTarget, SmtpTls};

/// Where mail goes.
pub(super) enum Transport {
    Smtp(Smtp),
    /// Into this directory, one file a mail.
    Files(PathBuf),
}

/// A mail server, with the connections held open to it.
pub(super) struct Smtp {
    builder: AsyncSmtpTransportBuilder,
    pool: Mutex<Pool>,
}

/// Why a mail did not leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: String,
    /// The server will never take it.
    pub(super) is_final: bool,
}

impl Transport {
    /// What the settings name; needs the runtime, for the pool lives in it.
    pub(super) fn new(settings: &Settings) -> Result<Self, Error> {
        Ok(match &settings.mail.target {
            MailTarget::Files => Self::Files(settings.data_dir.join("outbox")),
            MailTarget::Smtp(target) => {
                let builder = builder(target, settings.mail.from.email.domain())?;
                let pool = Mutex::new(builder.clone().build());
                Self::Smtp(Smtp { builder, pool })
            }
        })
    }

    /// Hands the message of row `id` over.
    pub(super) async fn send(&self, id: Id, message: &Message) -> Result<(), Failure> {
        match self {
            Self::Smtp(smtp) => smtp.send(message).await,
            Self::Files(folder) => {
                let (folder, bytes) = (folder.clone(), message.formatted());
                let written = tokio::task::spawn_blocking(move || write(&folder, id, &bytes)).await;
                match written {
                    Ok(Ok(())) => Ok(()),
                    _ => Err(Failure::passing("file_not_written")),
                }
            }
        }
    }

    /// Says goodbye on every connection that rests.
    pub(super) async fn close(&self) {
        if let Self::Smtp(smtp) = self {
            shut(smtp.pool()).await;
        }
    }
}

impl Smtp {
    async fn send(&self, message: &Message) -> Result<(), Failure> {
        let pool = self.pool();
        let bytes = message.formatted();
        let sending = pool.send_raw(message.envelope(), &bytes);
        tokio::pin!(sending);
        match tokio::time::timeout(LIMIT, &mut sending).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Failure::of(&error)),
            Err(_) => {
                // The pool takes back a connection whose answer is still to come: nobody may find it there.
                self.replace();
                shut(pool.clone()).await;
                Err(Failure::passing("timeout"))
            }
        }
    }

    fn pool(&self) -> Pool {
        let pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.clone()
    }

    fn replace(&self) {
        let fresh = self.builder.clone().build();
        *self.pool.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
    }
}

impl Failure {
    pub(super) fn passing(code: &str) -> Self {
        Self {
            code: code.to_owned(),
            is_final: false,
        }
    }

    pub(super) fn lasting(code: &str) -> Self {
        Self {
            code: code.to_owned(),
            is_final: true,
        }
    }

    fn of(error: &Error) -> Self {
        let Some(status) = error.status() else {
            return Self::passing(if error.is_tls() || is_handshake(error) {
                "tls"
            } else if error.is_timeout() {
                "timeout"
            } else if error.is_response() {
                "answer_unreadable"
            } else if error.is_client() {
                "server_unfit"
            } else {
                "connection"
            });
        };
        let number = u16::from(status);
        Self {
            code: format!("smtp_{number}"),
            // 53x refuses the issuer (RFC 4954 §6), not the mail: a wrong password must not kill what waits.
            is_final: error.is_permanent() && !(530..540).contains(&number),
        }
    }
}

fn builder(target: &SmtpTarget, hello: &str) -> Result<AsyncSmtpTransportBuilder, Error> {
    let tls = || TlsParameters::new(target.host.clone());
    let tls = match target.tls {
        SmtpTls::Wrapper => Tls::Wrapper(tls()?),
        SmtpTls::Required => Tls::Required(tls()?),
        SmtpTls::None => Tls::None,
    };
    let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(target.host.as_str())
        .port(target.port)
        .tls(tls)
        .timeout(Some(CONNECT_LIMIT))
        .hello_name(ClientId::Domain(hello.to_owned()))
        .pool_config(PoolConfig::new().max_size(POOLED));
    Ok(match &target.credentials {
        Some((user, password)) => builder.credentials(Credentials::new(
            user.clone(),
            password.expose_secret().to_owned(),
        )),
        None => builder,
    })
}

/// Whether the server spoke, but not TLS with a certificate that is trusted: rustls says so as unusable data.
fn is_handshake(error: &Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == ErrorKind::InvalidData) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Closes what rests in a pool and lets nothing rest in it again; waits for no server.
async fn shut(pool: Pool) {
    drop(tokio::time::timeout(GOODBYE, pool.shutdown()).await);
}

/// Writes the file whole or not at all, for its owner's eyes.
fn write(folder: &Path, id: Id, bytes: &[u8]) -> std::io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let draft = folder.join(format!(".{id}.{}", uuid::Uuid::now_v7().simple()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&draft, folder.join(format!("{id}.eml"))));
    if written.is_err() {
        drop(fs::remove_file(&draft));
    }
    written
}

type Pool = AsyncSmtpTransport<Tokio1Executor>;

/// Longest time one mail may take from the connection to the server's last word.
pub(super) const LIMIT: Duration = Duration::from_secs(30);
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const GOODBYE: Duration = Duration::from_millis(200);
/// Connections kept for the next mail.
const POOLED: u32 = 4;
