//! A private Postgres cluster: started by the first test that asks, gone with the test process.
//!
//! It listens on a unix socket in its own directory only. A shell holds the server and waits on a pipe
//! from this process; when the pipe closes, however this process ends, the shell stops the server and
//! removes the directory.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex};

/// The URL of a new, empty database.
pub(crate) fn new_database() -> String {
    let name = format!("t_{}", uuid::Uuid::now_v7().simple());
    let cluster = CLUSTER
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    psql(
        &cluster.url("postgres"),
        &["-c", &format!("CREATE DATABASE {name}")],
    );
    cluster.url(&name)
}

/// Runs `psql` on the database and gives what it prints.
pub(crate) fn psql(url: &str, args: &[&str]) -> String {
    let output = Command::new(format!("{}/psql", *BIN))
        .args(["-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", url])
        .args(args)
        .output()
        .expect("psql runs: Debian package postgresql");
    assert!(
        output.status.success(),
        "psql {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("psql prints UTF-8")
}

struct Cluster {
    dir: String,
    /// Its standard input stays open as long as this process lives.
    _shell: Child,
}

impl Cluster {
    fn start() -> Self {
        let mut command = if is_root() {
            // The server refuses to run as root.
            let mut command = Command::new("setpriv");
            command.args([
                "--reuid=postgres",
                "--regid=postgres",
                "--init-groups",
                "sh",
            ]);
            command
        } else {
            Command::new("sh")
        };
        let mut child = command
            .args(["-c", SCRIPT, "sh", &BIN])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell starts");
        let mut dir = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout)
            .read_line(&mut dir)
            .expect("the shell says where the cluster is");
        let dir = dir.trim().to_owned();
        assert!(
            dir.starts_with('/'),
            "the cluster starts: Debian package postgresql"
        );
        Self { dir, _shell: child }
    }

    fn url(&self, database: &str) -> String {
        format!("postgres:///{database}?host={}&user=postgres", self.dir)
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    id.stdout.starts_with(b"0\n")
}

static CLUSTER: LazyLock<Mutex<Cluster>> = LazyLock::new(|| Mutex::new(Cluster::start()));

/// Where Debian keeps the programs of its newest Postgres.
pub(crate) static BIN: LazyLock<String> = LazyLock::new(|| {
    let installed = std::fs::read_dir("/usr/lib/postgresql").expect("Debian package postgresql");
    let newest = installed
        .filter_map(|version| {
            version
                .ok()?
                .file_name()
                .into_string()
                .ok()?
                .parse::<u32>()
                .ok()
        })
        .max()
        .expect("Debian package postgresql");
    format!("/usr/lib/postgresql/{newest}/bin")
});

const SCRIPT: &str = r#"
set -e
bin=$1
dir=$(mktemp -d /tmp/queue-postgres.XXXXXX)
trap 'rm -rf "$dir"' EXIT
trap '' INT TERM
"$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --no-locale --no-sync >"$dir/log" 2>&1
"$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c fsync=off -c synchronous_commit=off \
    -c full_page_writes=off -c max_connections=300 >>"$dir/log" 2>&1 </dev/null &
server=$!
until "$bin/pg_isready" -q -h "$dir"; do kill -0 "$server"; done
echo "$dir"
cat >/dev/null
kill -QUIT "$server"
wait "$server" || true
"#;
