//! The issuer under load: the optimised program with default settings, but for rates nobody reaches.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

pub(crate) struct Issuer {
    pub(crate) public: SocketAddr,
    process: Child,
    dir: PathBuf,
}

impl Issuer {
    /// On the empty database at `url`.
    pub(crate) fn start(url: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("queue-load-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let log = File::create(dir.join("log")).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_queue-issuer"));
        command.env_clear().current_dir(&dir).envs([
            ("DATABASE_URL_QUEUE", url),
            ("QUEUE_ISSUER_LISTEN", "127.0.0.1:0"),
            ("QUEUE_ISSUER_OPS_LISTEN", "127.0.0.1:0"),
            ("QUEUE_ISSUER_KEK", KEK),
            ("QUEUE_SERVICE_TOKEN_RAPTOR", SERVICE_TOKEN),
            ("FLAG_QUEUE_V1", "on"),
        ]);
        command.envs(LIMITS.map(|name| (format!("QUEUE_ISSUER_LIMIT_{name}"), "1000000/s")));
        let process = command
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("the issuer starts");
        let mut issuer = Self {
            public: SocketAddr::from(([0, 0, 0, 0], 0)),
            process,
            dir,
        };
        issuer.public = issuer.listening();
        issuer
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    fn listening(&mut self) -> SocketAddr {
        loop {
            let log = fs::read_to_string(self.dir.join("log")).expect("a log");
            let address = log
                .split_once("listening public=")
                .and_then(|(_, rest)| rest.split_ascii_whitespace().next());
            if let Some(address) = address {
                return address.parse().expect("an address");
            }
            let ended = self.process.try_wait().expect("a child");
            assert!(ended.is_none(), "the issuer ended:\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(fs::remove_dir_all(&self.dir));
    }
}

/// Of this benchmark alone.
pub(crate) const SERVICE_TOKEN: &str = "queue-bench-service-token-queue-bench-service-token";
const KEK: &str = "jsgKfbssMzHccbZ/8L1Rqg7gpY4OS8W7XxradgbR5Z4=";
const LIMITS: [&str; 8] = [
    "AUTH_ADDRESS",
    "AUTH_ACCOUNT",
    "AUTH_PAIR",
    "REFRESH_ADDRESS",
    "REFRESH_ACCOUNT",
    "REFRESH_PAIR",
    "SERVICE_ADDRESS",
    "SERVICE_CLIENT",
];
