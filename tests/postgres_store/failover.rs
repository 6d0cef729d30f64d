//! A server that restarts, and one that takes over: whoever follows the changes hears that it may have missed some.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use portcullis::store::{ChangeStream as _, Changes};

use crate::cluster::{Cluster, psql};
use crate::stage::{open, until};
use crate::stream::{Reader, touch, workspace};

#[tokio::test]
async fn after_a_restart_of_the_server_the_first_answer_is_everything() {
    let cluster = Cluster::private();
    let store = open(cluster.url(), "portcullis", |options| options).await;
    let id = workspace(&store, 1).await;
    let mut reader = Reader::new(&store).await;
    let restarts: [fn(&Cluster); 3] = [Cluster::stop_immediate, Cluster::stop_fast, Cluster::kill];
    for stop in restarts {
        touch(&store, id).await;
        assert_ne!(reader.next().await, Changes::Everything);
        // Committed, and not heard of before the crash.
        touch(&store, id).await;
        stop(&cluster);
        assert!(reader.try_next().await.is_err());
        cluster.start();
        assert_eq!(reader.next().await, Changes::Everything);
        touch(&store, id).await;
        assert!(matches!(reader.next().await, Changes::These(all) if all.len() == 1));
    }
}

/// A standby of a cluster, in the cluster's own folder.
struct Standby {
    data: PathBuf,
}

impl Standby {
    fn of(cluster: &Cluster) -> Self {
        let standby = Self { data: cluster.folder().join("standby") };
        let data = standby.data.display().to_string();
        let copied = as_postgres("pg_basebackup")
            .args(["-d", cluster.url(), "-D", &data, "-R", "-c", "fast"])
            .status();
        assert!(copied.unwrap().success());
        standby
    }

    fn ctl(&self, rest: &[&str]) {
        let log = self.data.with_extension("log");
        let mut ctl = as_postgres("pg_ctl");
        ctl.args(rest).arg("-w").arg("-D").arg(&self.data).stdout(Stdio::null()).stderr(Stdio::null());
        if rest == ["start"] {
            ctl.arg("-l").arg(log);
        }
        assert!(ctl.status().unwrap().success(), "pg_ctl {rest:?}");
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        let mut stop = as_postgres("pg_ctl");
        let _ = stop.args(["stop", "-s", "-m", "immediate", "-D"]).arg(&self.data).status();
    }
}

/// One of the server's programs, as the user that it may run as.
fn as_postgres(program: &str) -> Command {
    let newest =
        std::fs::read_dir("/usr/lib/postgresql").ok().and_then(|all| all.flatten().map(|of| of.path()).max());
    let program = newest.map_or_else(|| PathBuf::from(program), |found| found.join("bin").join(program));
    let root = std::fs::metadata("/proc/self").is_ok_and(|of| std::os::unix::fs::MetadataExt::uid(&of) == 0);
    if !root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(program);
    command.current_dir(Path::new("/"));
    command
}

/// ATK-SQL-05, B6: the reads that decide go to the primary, and a new one is another server.
#[tokio::test]
async fn a_standby_answers_no_poll_and_a_promoted_one_says_everything() {
    let cluster = Cluster::private();
    let store = open(cluster.url(), "portcullis", |options| options).await;
    let id = workspace(&store, 1).await;
    let mut reader = Reader::new(&store).await;
    touch(&store, id).await;
    let standby = Standby::of(&cluster);
    assert!(matches!(reader.next().await, Changes::These(all) if all.len() == 1));
    // On the primary alone: what the standby never gets is lost with it.
    touch(&store, id).await;
    assert!(matches!(reader.next().await, Changes::These(all) if all.len() == 1));
    cluster.stop_immediate();
    // It takes the primary's port: what an address that follows the primary does.
    standby.ctl(&["start"]);
    assert_eq!(psql(cluster.url(), "SELECT pg_is_in_recovery()"), "t");
    for _ in 0..3 {
        assert!(reader.try_next().await.is_err(), "a standby may be behind");
        assert!(store.poll(None).await.is_err());
    }
    standby.ctl(&["promote"]);
    until("it has taken over", async || psql(cluster.url(), "SELECT pg_is_in_recovery()") == "f").await;
    assert_eq!(reader.next().await, Changes::Everything);
    touch(&store, id).await;
    assert!(matches!(reader.next().await, Changes::These(all) if all.len() == 1));
}
