//! The example as a process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

pub struct Server {
    child: Child,
    pub address: SocketAddr,
    mail: PathBuf,
}

impl Server {
    /// Starts the example on a free port over a folder of data, and a database if these name one.
    pub fn start(data: &Path, database: &[(&str, String)]) -> Self {
        let mut child = Command::new(binary())
            .env("PORT", "0")
            .env("DATA", data)
            .env_remove("DATABASE_URL")
            .env_remove("API_DATABASE_URL")
            .envs(database.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("the server ended before it listened").unwrap();
            if let Some(address) = line.strip_prefix("listening on http://") {
                break address.parse().unwrap();
            }
        };
        // Whatever else it prints is read, so that it is never held up.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address, mail: data.join("mail") }
    }

    /// Asks it to stop, as a service manager does, and waits.
    pub fn stop(mut self) {
        // The shell's own: a bare machine has no other.
        let kill = format!("kill -TERM {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }

    /// Kills it where it stands.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The token of the one mail of a kind.
    pub fn mailed_token(&self, kind: &str) -> String {
        let patience = Instant::now() + Duration::from_secs(20);
        loop {
            let mails = std::fs::read_dir(&self.mail).unwrap().map(|entry| entry.unwrap().path());
            let mut mails: Vec<_> = mails.filter(|path| path.display().to_string().contains(kind)).collect();
            mails.sort();
            if let Some(mail) = mails.last() {
                let text = std::fs::read_to_string(mail).unwrap();
                if let Some((_, rest)) = text.split_once("#token=") {
                    return rest.split_whitespace().next().unwrap().to_owned();
                }
            }
            assert!(Instant::now() < patience, "no mail of kind {kind} came");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The example, built if it is not: `cargo test --test server` alone does not build it.
fn binary() -> PathBuf {
    static BUILT: std::sync::Once = std::sync::Once::new();
    BUILT.call_once(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--example", "server"]);
        #[cfg(feature = "postgres")]
        cargo.args(["--features", "postgres"]);
        let cargo = cargo.status();
        assert!(cargo.unwrap().success(), "the server example does not build");
    });
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples/server")
}

/// The code of this moment, or of some steps from now, by `oathtool` of OATH Toolkit. Where it is not installed the
/// code is computed by hand; `tests/run` installs it and asks for it.
pub fn totp(secret: &str, steps: i64) -> String {
    let second = || i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    // Not where the step is about to end.
    while second() % 30 > 24 {
        std::thread::sleep(Duration::from_millis(200));
    }
    let at = second() + 30 * steps;
    let secret: String = secret.split_whitespace().collect();
    let oathtool =
        Command::new("oathtool").args(["--totp", "--base32", &format!("--now=@{at}"), &secret]).output();
    match oathtool {
        Ok(output) => {
            assert!(output.status.success(), "oathtool: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        }
        Err(error) => {
            assert!(std::env::var("PORTCULLIS_NEED_OATHTOOL").is_err(), "oathtool: {error}");
            by_hand(&secret, at)
        }
    }
}

/// RFC 6238 over RFC 4226, with ring's HMAC.
fn by_hand(secret: &str, at: i64) -> String {
    let mut bits = 0_u64;
    let mut length = 0;
    let mut key = Vec::new();
    for c in secret.bytes() {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|&known| known == c).unwrap();
        bits = bits << 5 | value as u64;
        length += 5;
        if length >= 8 {
            length -= 8;
            key.push((bits >> length & 0xff) as u8);
        }
    }
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    let tag = ring::hmac::sign(&key, &u64::try_from(at / 30).unwrap().to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag[19] & 0xf);
    let word = u32::from_be_bytes(tag[offset..offset + 4].try_into().unwrap());
    format!("{:06}", (word & 0x7fff_ffff) % 1_000_000)
}
