//! Checks an exported audit log, far from the database that wrote it.
//!
//! ```text
//! cargo run --example verify_audit -- EXPORT.jsonl CHAIN [CHECKPOINTS]
//! ```
//!
//! `CHAIN` is `accounts` or `workspace:` and a UUID; `CHECKPOINTS` is a file with one checkpoint a line. Their
//! key stands in `AUDIT_CHECKPOINT_KEY` as `ID:` and 64 hexadecimal digits; several are divided by commas.
//! The exit status is 0 for an intact log, 1 for one that is not, 2 when it could not be checked.

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::process::ExitCode;

use portcullis::audit::{ChainId, Checkpoint, CheckpointKey, Report, Verifier};

fn main() -> ExitCode {
    match run() {
        Ok(report) => {
            print(&report);
            if report.is_intact() { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(fault) => {
            eprintln!("not checked: {fault}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<Report, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(export), Some(chain)) = (arguments.next(), arguments.next()) else {
        return Err("give the export and the chain".into());
    };
    let chain: ChainId = chain.parse()?;
    let mut checkpoints = Vec::new();
    if let Some(path) = arguments.next() {
        let keys = keys(&std::env::var("AUDIT_CHECKPOINT_KEY")?)?;
        for text in std::fs::read_to_string(path)?.lines().filter(|line| !line.is_empty()) {
            checkpoints.push(Checkpoint::open(text, &keys)?);
        }
    }
    let mut verifier = Verifier::new(chain, &checkpoints);
    let mut file = File::open(export)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            return Ok(verifier.finish());
        }
        verifier.feed(buffer.get(..length).unwrap_or_default());
    }
}

fn keys(text: &str) -> Result<Vec<CheckpointKey>, Box<dyn Error>> {
    let key = |text: &str| {
        let (id, digits) = text.split_once(':')?;
        let mut key = [0; 32];
        let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
        if pairs.len() != key.len() {
            return None;
        }
        for (byte, pair) in key.iter_mut().zip(pairs) {
            *byte = u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(CheckpointKey::new(id.parse().ok()?, key))
    };
    text.split(',').map(|text| key(text).ok_or_else(|| "AUDIT_CHECKPOINT_KEY: ID:HEX".into())).collect()
}

fn print(report: &Report) {
    println!("{} lines of {}", report.lines, report.head.chain);
    println!("in place up to {}, link {}", report.head.sequence, report.head.link);
    match report.confirmed {
        Some(sequence) => println!("{} checkpoints agree, the last at {sequence}", report.checkpoints),
        None => println!("no checkpoint: a rewritten or shortened chain would not show"),
    }
    println!("{} entries without a seal", report.unsealed);
    println!("{} personal values erased", report.erased_values);
    for erased in &report.erased {
        match erased.sequence {
            Some(sequence) => println!("  {sequence} {}: {}", erased.id, erased.field),
            None => println!("  unsealed {}: {}", erased.id, erased.field),
        }
    }
    match &report.finding {
        None => println!("intact"),
        Some(finding) => {
            let id = finding.id.map_or("no entry".to_owned(), |id| id.to_string());
            println!("NOT INTACT at {} ({id}), line {}: {:?}", finding.sequence, finding.line, finding.kind);
        }
    }
}
