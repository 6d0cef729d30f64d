//! One change: what its node was told, and what is there of it.

use crate::journal::Promised;

#[derive(Clone, Copy, Debug)]
pub enum Told {
    Did(Promised),
    Refused,
    /// Nothing yet, or nothing ever: the node is gone, or the commit's answer was lost.
    Nothing,
}

#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub told: Told,
    /// Whether it was seen done.
    pub seen: bool,
}

impl Step {
    pub fn new(told: Told) -> Self {
        Self { told, seen: false }
    }

    pub fn promised(&self) -> Promised {
        match self.told {
            Told::Did(promised) => promised,
            Told::Refused | Told::Nothing => Promised::default(),
        }
    }

    pub fn is_open(&self) -> bool {
        matches!(self.told, Told::Nothing) && !self.seen
    }
}

/// Whether the change was made, given each thing that is there of it once it is. What must not be goes to `found`.
pub fn settle(
    step: Option<&mut Step>,
    what: &str,
    effects: &[(&str, bool)],
    found: &mut Vec<String>,
) -> bool {
    let there = |wanted: bool| -> Vec<&str> {
        effects.iter().filter(|(_, there)| *there == wanted).map(|(name, _)| *name).collect()
    };
    let (present, missing) = (there(true), there(false));
    let done = missing.is_empty();
    let Some(step) = step else {
        if !present.is_empty() {
            found.push(format!("{what}: nobody asked for it, and there is {present:?}"));
        }
        return done;
    };
    match step.told {
        Told::Did(_) if !done => found.push(format!("{what}: acknowledged, and {missing:?} is lost")),
        Told::Refused if !present.is_empty() => {
            found.push(format!("{what}: refused, and there is {present:?}"));
        }
        _ if step.seen && !done => found.push(format!("{what}: was seen done, and {missing:?} is gone")),
        _ if !done && !present.is_empty() => {
            found.push(format!("{what}: half done, {present:?} without {missing:?}"));
        }
        _ => {}
    }
    step.seen |= done;
    done
}
