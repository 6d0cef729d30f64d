//! Servers start, crash, come back and leave nothing behind.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::cluster::{Bouncer, Cluster, address_of, at_address, psql, try_psql};
use crate::proxy::{Proxy, Shape};

/// Set for the other process, which owns a cluster until it is killed.
const OWNER: &str = "PORTCULLIS_TEST_OWNER";

#[track_caller]
fn vanishes(folder: &Path) {
    let begun = Instant::now();
    while folder.exists() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{} is still there", folder.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until a session is in the middle of a statement that ends so.
#[track_caller]
fn runs(url: &str, end: &str) {
    let begun = Instant::now();
    let count =
        format!("select count(*) from pg_stat_activity where query like '%{end}' and state = 'active'");
    while psql(url, &count) == "0" {
        assert!(begun.elapsed() < Duration::from_secs(20), "no {end}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_shared_server_answers_and_is_the_same_for_all() {
    let url = Cluster::shared();
    assert_eq!(url, Cluster::shared());
    assert_eq!(psql(url, "select 6 * 7"), "42");
    assert_eq!(psql(url, "show server_encoding"), "UTF8");
    assert_eq!(psql(url, "show synchronous_commit"), "on");
    assert!(psql(url, "show max_connections").parse::<u32>().unwrap() >= 400);
    let why = try_psql(url, "select no_such_column").unwrap_err();
    assert!(why.contains("no_such_column"), "{why}");
}

#[test]
fn committed_rows_survive_a_crash_and_others_do_not() {
    let cluster = Cluster::private();
    let url = cluster.url();
    psql(url, "create table kept (x int)");
    psql(url, "insert into kept values (1)");
    let port = cluster.port();
    for crash in [Cluster::stop_immediate, Cluster::kill, Cluster::stop_fast] {
        let mut open = Command::new("psql")
            .args([
                "-qAtX",
                "-d",
                url,
                "-c",
                "begin; insert into kept values (2); select pg_sleep(60); commit",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        runs(url, "pg_sleep(60); commit");
        crash(&cluster);
        assert!(!open.wait().unwrap().success());
        assert!(try_psql(url, "select 1").is_err());
        cluster.start();
        assert_eq!(psql(url, "select x from kept"), "1");
        assert_eq!(cluster.port(), port);
    }
}

#[test]
fn a_private_server_answers_on_both_its_sockets_and_is_gone_with_its_files_when_dropped() {
    let cluster = Cluster::private();
    let (url, tcp, folder) = (cluster.url().to_owned(), cluster.tcp_url(), cluster.folder().to_path_buf());
    assert_eq!(psql(&url, "select inet_server_addr() is null"), "t");
    assert_eq!(psql(&tcp, "select inet_server_addr()"), "127.0.0.1");
    drop(cluster);
    assert!(!folder.exists());
    assert!(try_psql(&url, "select 1").is_err() && try_psql(&tcp, "select 1").is_err());
}

#[test]
fn a_stopped_server_is_gone_with_its_files_when_dropped() {
    let cluster = Cluster::private();
    let folder = cluster.folder().to_path_buf();
    cluster.stop_immediate();
    drop(cluster);
    assert!(!folder.exists());
}

/// Nothing without its variable: the other half of the next test.
#[test]
fn the_owner() {
    if std::env::var_os(OWNER).is_some() {
        let cluster = Cluster::private();
        let bouncer = Bouncer::start(cluster.url());
        println!("owns {} {}", cluster.folder().display(), bouncer.folder().display());
        std::thread::sleep(Duration::from_mins(10));
    }
}

#[test]
fn the_servers_of_a_killed_process_are_gone_with_their_files() {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["clusters::the_owner", "--exact", "--nocapture"])
        .env(OWNER, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let folders: Vec<PathBuf> = lines
        .find_map(|line| Some(line.unwrap().split_once("owns ")?.1.split(' ').map(PathBuf::from).collect()))
        .expect("the owner ended before it owned anything");
    assert!(folders.len() == 2 && folders.iter().all(|folder| folder.exists()), "{folders:?}");
    owner.kill().unwrap();
    owner.wait().unwrap();
    for folder in &folders {
        vanishes(folder);
    }
}

#[test]
fn pgbouncer_gives_a_server_connection_for_one_transaction_only() {
    let bouncer = Bouncer::start(Cluster::shared());
    let folder = bouncer.folder().to_path_buf();
    let (server, _) = bouncer.url().rsplit_once('/').unwrap();
    let config = psql(&format!("{server}/pgbouncer"), "show config");
    assert!(config.contains("pool_mode|transaction|") && config.contains("default_pool_size|8|"), "{config}");
    // All of these stay connected; one that kept its server connection would leave none for the ninth.
    let clients: Vec<_> = (0..12)
        .map(|_| {
            let mut client = Command::new("psql")
                .args(["-qAtX", "-d", bouncer.url()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut input = client.stdin.take().unwrap();
            let mut output = BufReader::new(client.stdout.take().unwrap());
            writeln!(input, "select 6 * 7;").unwrap();
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            assert_eq!(line, "42\n");
            (client, input, output)
        })
        .collect();
    for (mut client, input, _output) in clients {
        drop(input);
        assert!(client.wait().unwrap().success());
    }
    drop(bouncer);
    assert!(!folder.exists());
}

#[test]
fn psql_goes_through_the_proxy_and_meets_its_faults() {
    let url = Cluster::shared();
    let proxy = Proxy::start(address_of(url));
    let through = proxy.url(url);
    let asked = |sql: &str| try_psql(&through, sql);
    assert_eq!(asked("select 6 * 7").as_deref(), Ok("42"));
    proxy.set(Shape::Refuse);
    assert!(asked("select 1").is_err());
    for shape in [Shape::Drip, Shape::Delay(Duration::from_millis(20)), Shape::Reorder, Shape::Pass] {
        proxy.set(shape);
        assert_eq!(asked("select repeat('x', 100)"), Ok("x".repeat(100)), "{shape:?}");
    }
    std::thread::scope(|threads| {
        let late = threads.spawn(|| asked("select 1 from pg_sleep(1)"));
        runs(url, "from pg_sleep(1)");
        proxy.set(Shape::StallAnswers);
        std::thread::sleep(Duration::from_millis(1500));
        assert!(!late.is_finished());
        proxy.set(Shape::Pass);
        assert_eq!(late.join().unwrap().as_deref(), Ok("1"), "a late answer arrives");

        let cut = threads.spawn(|| asked("select 1 from pg_sleep(60)"));
        runs(url, "from pg_sleep(60)");
        proxy.set(Shape::Cut);
        assert!(cut.join().unwrap().is_err());
    });
}

#[test]
fn a_url_keeps_all_but_its_address() {
    let new = "127.0.0.1:9".parse().unwrap();
    for (old, changed) in [
        ("postgres://postgres@127.0.0.1:5432/postgres", "postgres://postgres@127.0.0.1:9/postgres"),
        ("postgres://u:p@127.0.0.1:1/db?a=b@c", "postgres://u:p@127.0.0.1:9/db?a=b@c"),
        ("postgresql://127.0.0.1:1", "postgresql://127.0.0.1:9"),
        ("postgresql://127.0.0.1:1?x=/", "postgresql://127.0.0.1:9?x=/"),
        ("postgres://u@127.0.0.1:1/db?host=%2Ftmp%2Fx", "postgres://u@127.0.0.1:9/db"),
        ("postgres://u@127.0.0.1:1/db?a=b&host=%2Ftmp%2Fx&c=d", "postgres://u@127.0.0.1:9/db?a=b&c=d"),
    ] {
        assert_eq!(at_address(old, new), changed);
        assert_eq!(address_of(changed), new);
    }
}
