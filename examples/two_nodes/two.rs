//! Node 2: nothing but the programs' door. It is asked about keys on its standard input.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use portcullis::access::Scope;
use portcullis::api::{ApiDoor, ApiRequest};
use portcullis::store::ChangeStream as _;
use portcullis::store::sql::PostgresStore;

use super::Done;
use super::nodes::{SCOPE, catalogue, database, format, machine_nanos, options};

pub const SCHEMA: &str = "TWO_NODES_SCHEMA";

/// The process itself.
pub async fn run(schema: &str) -> Done {
    let url = database().ok_or("no database")?;
    let store = PostgresStore::open(&url, options(schema)?.migrate(false)).await?;
    let programs = ApiDoor::builder(store.clone(), store.clone(), catalogue()?, format()?).build();
    let _following = programs.follow();
    let need = programs.need(&Scope::parse(SCOPE)?).ok_or("no such scope")?;
    println!("ready {}", store.trust().as_millis());
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(tokio::io::stdin()));
    while let Some(key) = lines.next_line().await? {
        let header = format!("Bearer {key}");
        let request = ApiRequest { authorization: &[header.as_bytes()], peer: None, need };
        let asked = machine_nanos();
        let said = if programs.authenticate(&request).await.is_ok() { "accepted" } else { "refused" };
        println!("{said} {asked}");
    }
    Ok(())
}

/// The process, as node 1 sees it. Dropped, it is ended.
pub struct NodeTwo {
    child: Child,
    answers: BufReader<ChildStdout>,
    bound: Duration,
}

impl NodeTwo {
    pub fn start(schema: &str) -> Done<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .env(SCHEMA, schema)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let answers = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        let mut two = Self { child, answers, bound: Duration::ZERO };
        let ready = two.line()?;
        let bound = ready.strip_prefix("ready ").ok_or("node 2 did not start")?;
        two.bound = Duration::from_millis(bound.parse()?);
        println!("node 1 is process {}, node 2 is process {}", std::process::id(), two.child.id());
        println!("stated bound: {:?}", two.bound);
        Ok(two)
    }

    fn line(&mut self) -> Done<String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line)? {
            0 => Err("node 2 has ended".into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    /// Whether it accepts a key, and when it looked.
    pub fn ask(&mut self, key: &str) -> Done<(bool, u64)> {
        writeln!(self.child.stdin.as_mut().ok_or("no standard input")?, "{key}")?;
        let line = self.line()?;
        let (said, asked) = line.split_once(' ').ok_or("node 2 does not make sense")?;
        Ok((said == "accepted", asked.parse()?))
    }

    pub fn accepts(&mut self, key: &str) -> Done {
        if self.ask(key)?.0 { Ok(()) } else { Err("node 2 refuses a valid key".into()) }
    }

    /// When it looked and refused for the first time.
    pub fn first_refusal(&mut self, key: &str) -> Done<u64> {
        let begin = machine_nanos();
        loop {
            let (accepted, asked) = self.ask(key)?;
            if !accepted {
                return Ok(asked);
            }
            if Duration::from_nanos(asked.saturating_sub(begin)) > self.bound {
                return Err("node 2 accepts a revoked key beyond the bound".into());
            }
        }
    }
}

impl Drop for NodeTwo {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}
