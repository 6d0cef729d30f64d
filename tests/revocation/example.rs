//! The example `two_nodes` does what it says.

use std::path::Path;
use std::process::Command;

use crate::cluster::Cluster;
use crate::house::alone;

/// The example, built if it is not: `cargo test --test revocation` alone does not build it.
fn example() -> Command {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join("examples/two_nodes");
    if !Path::new(&path).exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--features", "postgres", "--example", "two_nodes"]);
        assert!(cargo.status().unwrap().success(), "the example does not build");
    }
    let mut command = Command::new(path);
    command.env_remove("DATABASE_URL").env_remove("PORTCULLIS_POSTGRES");
    command
}

/// B6
#[tokio::test]
async fn the_example_shows_that_a_revocation_holds_on_the_other_node() {
    let _alone = alone().await;
    let output = example().env("DATABASE_URL", Cluster::shared()).output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{errors}");
    for line in
        ["50 revocations", "50 revocations with everywhere()", "accepted after everywhere(): 0", "dropped"]
    {
        assert!(said.contains(line), "{line:?} is missing in:\n{said}");
    }
    let schema = said.lines().find_map(|line| line.strip_prefix("schema ")).unwrap();
    let left = format!("SELECT count(*) FROM pg_namespace WHERE nspname = '{schema}'");
    assert_eq!(crate::cluster::psql(Cluster::shared(), &left), "0", "it leaves its schema behind");
}

/// Without a database it says how to get one.
#[tokio::test]
async fn without_a_database_the_example_says_how_to_get_one() {
    let _alone = alone().await;
    let output = example().output().unwrap();
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("DATABASE_URL") && errors.contains("tests/postgres/cluster hold"), "{errors}");
}
