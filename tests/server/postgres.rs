//! A database of its own, with the schema and the rights that `examples/postgres_sql.rs` prints.

use std::io::Write as _;
use std::process::{Command, Stdio};

#[path = "../suite/cluster.rs"]
mod cluster;

use cluster::{Cluster, as_role, in_database, psql};

pub struct Database {
    name: String,
}

impl Database {
    /// With two roles, neither of which owns anything.
    pub fn with_roles() -> Self {
        let name = format!("server_{}", std::process::id());
        let (people, programs) = (format!("{name}_people"), format!("{name}_programs"));
        psql(Cluster::shared(), &format!("CREATE ROLE {people} LOGIN"));
        psql(Cluster::shared(), &format!("CREATE ROLE {programs} LOGIN"));
        psql(Cluster::shared(), &format!("CREATE DATABASE {name}"));
        let database = Self { name };
        let printed = Command::new(env!("CARGO"))
            .args(["run", "--quiet", "--features", "postgres", "--example", "postgres_sql", "--"])
            .args(["portcullis", &people, &programs])
            .output()
            .unwrap();
        assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
        let mut shell = Command::new("psql")
            .args(["-X", "-q", "--single-transaction", &database.url("postgres")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        shell.stdin.take().unwrap().write_all(&printed.stdout).unwrap();
        assert!(shell.wait().unwrap().success());
        database
    }

    pub fn people(&self) -> String {
        self.url(&format!("{}_people", self.name))
    }

    pub fn programs(&self) -> String {
        self.url(&format!("{}_programs", self.name))
    }

    /// Everything was written there, and nothing by anybody else.
    pub fn was_used(&self) {
        let count = |table| psql(&self.url("postgres"), &format!("SELECT COUNT(*) FROM portcullis.{table}"));
        assert_eq!(count("accounts"), "1");
        assert_ne!(count("keys"), "0");
        assert_ne!(count("usage"), "0", "the API door writes usage under its role");
        assert_ne!(count("audit WHERE sequence IS NOT NULL"), "0", "the audit log is chained");
    }

    fn url(&self, role: &str) -> String {
        as_role(&in_database(Cluster::shared(), &self.name), role)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        psql(Cluster::shared(), &format!("DROP DATABASE {} WITH (FORCE)", self.name));
        psql(Cluster::shared(), &format!("DROP ROLE {0}_people, {0}_programs", self.name));
    }
}
