//! What a node meant to do and what it was told, written down before and after: a file that survives the node.
//!
//! Each line is one `write` to a file opened for appending. The kernel has it when the call returns, so that a SIGKILL
//! takes nothing away.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis::error::Coded;
use portcullis::id::{AccountId, KeyId, OperationId};
use portcullis::key::SecretId;
use serde::{Deserialize, Serialize};

/// A change that a node is about to ask for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Intent {
    SignUp { email: String },
    Verify { email: String },
    Invite { team: usize, email: String },
    Join { team: usize, email: String },
    Offboard { team: usize, email: String, personal: String, service: String },
    Issue { team: usize, key: String, service: bool, by: AccountId, operation: OperationId },
    Rotate { key: String, by: AccountId, operation: OperationId },
    Suspend { key: String },
    Resume { key: String },
    Revoke { key: String },
    Grant { grant: String, millionths: i64 },
    Limit { slot: usize, millionths: i64 },
    Settle { exact: bool, millionths: i64 },
}

impl Intent {
    /// What it is to do.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SignUp { .. } => "sign_up",
            Self::Verify { .. } => "verify",
            Self::Invite { .. } => "invite",
            Self::Join { .. } => "join",
            Self::Offboard { .. } => "offboard",
            Self::Issue { .. } => "issue",
            Self::Rotate { .. } => "rotate",
            Self::Suspend { .. } => "suspend",
            Self::Resume { .. } => "resume",
            Self::Revoke { .. } => "revoke",
            Self::Grant { .. } => "grant",
            Self::Limit { .. } => "limit",
            Self::Settle { .. } => "settle",
        }
    }
}

/// What the answer named, if it did.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Promised {
    pub account: Option<AccountId>,
    pub key: Option<KeyId>,
    pub secret: Option<SecretId>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Said {
    Intends(Intent),
    /// It was done.
    Did(Promised),
    /// It was not done, and why: a code.
    Refused(String),
    /// Nobody could tell.
    Unknown,
    /// A reservation was refused for want of money: nothing was to come of it.
    Short,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    pub node: u32,
    pub number: u64,
    pub said: Said,
}

/// The writing end, of one node.
pub struct Journal {
    file: File,
    /// Which node's.
    pub node: u32,
    numbers: AtomicU64,
}

impl Journal {
    pub fn open(path: &Path, node: u32) -> Self {
        Self { file: appending(path), node, numbers: AtomicU64::new(0) }
    }

    /// Does it, with what is said before and after on the record.
    pub async fn keep<T, E: Coded>(
        &self,
        intent: Intent,
        work: impl Future<Output = Result<T, E>>,
        promised: impl FnOnce(&T) -> Promised,
    ) -> Option<T> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.write(number, Said::Intends(intent));
        let answer = work.await;
        let said = match &answer {
            Ok(done) => Said::Did(promised(done)),
            Err(error) if leaves_open(error) => Said::Unknown,
            Err(error) => Said::Refused(error.code().to_owned()),
        };
        self.write(number, said);
        answer.ok()
    }

    /// A reservation was refused.
    pub fn short(&self) {
        self.write(self.numbers.fetch_add(1, Ordering::Relaxed), Said::Short);
    }

    fn write(&self, number: u64, said: Said) {
        append(&self.file, &Line { node: self.node, number, said });
    }
}

/// Whether it may have been done all the same: the commit's answer was lost, or the settlement is kept to be tried again.
pub fn leaves_open(error: &impl Coded) -> bool {
    matches!(error.code(), "commit_unknown" | "spending_unavailable")
}

pub fn appending(path: &Path) -> File {
    File::options().create(true).append(true).open(path).unwrap()
}

pub fn append(mut file: &File, line: &impl Serialize) {
    let mut text = serde_json::to_vec(line).unwrap();
    text.push(b'\n');
    file.write_all(&text).unwrap();
}

/// The reading end: what came since it was last asked.
pub struct Tail {
    file: File,
    begun: Vec<u8>,
}

impl Tail {
    pub fn open(path: &Path) -> Self {
        drop(appending(path));
        Self { file: File::open(path).unwrap(), begun: Vec::new() }
    }

    /// Only what is written from now on.
    pub fn at_end(path: &Path) -> Self {
        let mut tail = Self::open(path);
        tail.file.seek(SeekFrom::End(0)).unwrap();
        tail
    }

    pub fn lines<T: for<'a> Deserialize<'a>>(&mut self) -> Vec<T> {
        self.file.read_to_end(&mut self.begun).unwrap();
        let end = self.begun.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let rest = self.begun.split_off(end);
        let whole = std::mem::replace(&mut self.begun, rest);
        let lines = whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }
}
