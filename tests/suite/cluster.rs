//! The real PostgreSQL for tests, and pgbouncer before it, both started by `tests/postgres/cluster`.
//!
//! Each belongs to a shell process that holds the other end of a pipe of ours: when our end closes, because the value
//! was dropped or because this process is gone, however it went, that shell stops the server and deletes its files.

#![allow(dead_code, unreachable_pub, reason = "shared by several test binaries; none needs all of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot be set up has failed")]

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres/cluster");

/// The URL of a running server; `tests/run` starts one for all test binaries.
const SHARED: &str = "PORTCULLIS_POSTGRES";

/// A server that lives as long as this value and this process.
struct Held {
    shell: Child,
    folder: PathBuf,
    url: String,
}

impl Held {
    #[track_caller]
    fn start(action: &str, rest: &[&str]) -> Self {
        Self::start_with(action, rest, None)
    }

    #[track_caller]
    fn start_with(action: &str, rest: &[&str], variable: Option<(&str, &str)>) -> Self {
        // The script deletes it: this process may not live to do so.
        let folder = tempfile::Builder::new().prefix("portcullis-").tempdir().unwrap().keep();
        let mut shell = Command::new(SCRIPT)
            .arg(action)
            .arg(&folder)
            .args(rest)
            .envs(variable)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is for us; the shell learns of it by our end.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut url).unwrap();
        if url.is_empty() {
            let mut why = String::new();
            shell.stderr.take().unwrap().read_to_string(&mut why).unwrap();
            // Empty, if it is still there.
            let _ = std::fs::remove_dir(&folder);
            panic!("tests/postgres/cluster {action} failed, and these tests need what it starts:\n{why}");
        }
        Self { shell, folder, url: url.trim_end().to_owned() }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// A PostgreSQL server of this process's own.
pub struct Cluster(Held);

impl Cluster {
    /// The URL of the server that tests share: that of the environment, or one for this process.
    #[track_caller]
    pub fn shared() -> &'static str {
        static URL: OnceLock<(String, Option<Cluster>)> = OnceLock::new();
        let (url, _) = URL.get_or_init(|| {
            if let Ok(url) = std::env::var(SHARED) {
                return (url, None);
            }
            let own = Cluster::private();
            (own.url().to_owned(), Some(own))
        });
        url
    }

    /// A server of the test's own, to be crashed at will.
    #[track_caller]
    pub fn private() -> Self {
        Self(Held::start("hold", &[]))
    }

    /// A standby of this one, which follows as it is written and answers reads.
    #[track_caller]
    pub fn standby(&self) -> Self {
        Self(Held::start("standby", &[self.url()]))
    }

    /// Has a standby take over. The server before it is to be stopped first.
    pub fn promote(&self) {
        self.script("promote", &[]);
    }

    /// The same, writing to the disk as in production.
    #[track_caller]
    pub fn durable() -> Self {
        Self(Held::start_with("hold", &[], Some(("CLUSTER_FSYNC", "on"))))
    }

    /// Its URL, through its Unix socket.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// Its URL over TCP.
    pub fn tcp_url(&self) -> String {
        at_address(self.url(), address_of(self.url()))
    }

    pub fn port(&self) -> u16 {
        address_of(self.url()).port()
    }

    /// Where its data, its sockets and its `log` are.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Ends every session and writes everything out.
    pub fn stop_fast(&self) {
        self.script("stop", &["fast"]);
    }

    /// A crash, as far as the data knows: the next start has to recover.
    pub fn stop_immediate(&self) {
        self.script("stop", &["immediate"]);
    }

    /// SIGKILL to the server's first process; the others see it and end.
    pub fn kill(&self) {
        self.script("stop", &["kill"]);
    }

    /// Starts it again after any kind of stop: the same data, the same port.
    pub fn start(&self) {
        self.script("restart", &[]);
    }

    #[track_caller]
    fn script(&self, action: &str, rest: &[&str]) {
        let output = Command::new(SCRIPT).arg(action).arg(&self.0.folder).args(rest).output().unwrap();
        assert!(output.status.success(), "{action} {rest:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A pgbouncer in transaction mode, with eight server connections for each user and database.
pub struct Bouncer(Held);

impl Bouncer {
    /// One before the server of `url`, which stands on 127.0.0.1.
    #[track_caller]
    pub fn start(url: &str) -> Self {
        Self(Held::start("bouncer", &[url]))
    }

    /// The server's URL, by way of this.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    pub fn folder(&self) -> &Path {
        &self.0.folder
    }
}

/// What `psql` answers: rows as lines, columns separated by `|`. Several statements are one transaction.
#[track_caller]
pub fn psql(url: &str, sql: &str) -> String {
    try_psql(url, sql).unwrap_or_else(|why| panic!("{sql}\n{why}"))
}

/// The same, or what `psql` complains of.
pub fn try_psql(url: &str, sql: &str) -> Result<String, String> {
    let output = Command::new("psql")
        .args(["-qAtX", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql])
        .env("PGCONNECT_TIMEOUT", "20")
        .env_remove("PGOPTIONS")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("psql is needed (apt-get install postgresql): {e}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Where the server of a URL with a numeric address listens, whether or not the URL leads through its Unix socket.
#[track_caller]
pub fn address_of(url: &str) -> SocketAddr {
    let (_, authority, _) = parts(url);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    host.parse().unwrap_or_else(|e| panic!("{host} in {url}: {e}"))
}

/// The same URL with another server's address, over TCP.
#[track_caller]
pub fn at_address(url: &str, address: SocketAddr) -> String {
    let (scheme, authority, rest) = parts(url);
    let user = authority.rsplit_once('@').map_or(String::new(), |(user, _)| format!("{user}@"));
    let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let kept: Vec<_> =
        parameters.split('&').filter(|one| !one.is_empty() && !one.starts_with("host=")).collect();
    let question = if kept.is_empty() { "" } else { "?" };
    format!("{scheme}://{user}{address}{path}{question}{}", kept.join("&"))
}

/// The same URL for another database.
#[track_caller]
pub fn in_database(url: &str, name: &str) -> String {
    let (scheme, authority, rest) = parts(url);
    let parameters = rest.find('?').map_or("", |at| &rest[at..]);
    format!("{scheme}://{authority}/{name}{parameters}")
}

/// The same URL as another user, without a password.
#[track_caller]
pub fn as_role(url: &str, role: &str) -> String {
    let (scheme, authority, rest) = parts(url);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{role}@{host}{rest}")
}

/// The same URL with one more parameter, as in `application_name=mine`.
pub fn with_parameter(url: &str, parameter: &str) -> String {
    format!("{url}{}{parameter}", if url.contains('?') { '&' } else { '?' })
}

/// Scheme, authority, and all that follows.
#[track_caller]
fn parts(url: &str) -> (&str, &str, &str) {
    let (scheme, rest) = url.split_once("://").unwrap_or_else(|| panic!("no URL: {url}"));
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    (scheme, authority, rest)
}
