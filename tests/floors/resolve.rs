//! Says what a path stands for, through `self`, `super`, renames, re-exports and globs.

use super::source::{Mention, Place, Source};

/// What a path stands for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// This module, or an item that it declares.
    Module(Place),
    /// Another crate, or something that every module knows (`String`, a local variable).
    Foreign(String),
}

/// More steps than any honest chain of re-exports has.
const STEPS: usize = 32;

impl Source {
    /// What `mention`, standing in the module `place`, stands for.
    pub(crate) fn resolve(&self, place: &Place, mention: &Mention) -> Target {
        self.follow(place, &mention.segments, mention.absolute, STEPS)
    }

    fn follow(&self, place: &Place, segments: &[String], absolute: bool, steps: usize) -> Target {
        let Some((first, rest)) = segments.split_first() else { return Target::Module(place.clone()) };
        let Some(steps) = steps.checked_sub(1) else { return Target::Foreign(first.clone()) };
        if absolute {
            return Target::Foreign(first.clone());
        }
        match first.as_str() {
            "crate" => self.descend(&Place::new(), rest, steps),
            "self" => self.follow_super(place.clone(), rest, steps),
            "super" => self.follow_super(place.clone(), segments, steps),
            _ => self.look_up(place, segments, steps).unwrap_or_else(|| Target::Foreign(first.clone())),
        }
    }

    fn follow_super(&self, mut place: Place, mut segments: &[String], steps: usize) -> Target {
        while let Some((first, rest)) = segments.split_first()
            && first == "super"
        {
            place.pop();
            segments = rest;
        }
        self.descend(&place, segments, steps)
    }

    fn descend(&self, place: &Place, segments: &[String], steps: usize) -> Target {
        if segments.is_empty() {
            return Target::Module(place.clone());
        }
        self.look_up(place, segments, steps).unwrap_or_else(|| Target::Module(place.clone()))
    }

    /// The first segment as a name of the module `place`.
    fn look_up(&self, place: &Place, segments: &[String], steps: usize) -> Option<Target> {
        let steps = steps.checked_sub(1)?;
        let module = self.modules.get(place)?;
        let (first, rest) = segments.split_first()?;
        if module.children.contains(first) {
            let mut child = place.clone();
            child.push(first.clone());
            return Some(self.descend(&child, rest, steps));
        }
        if let Some(alias) = module.aliases.get(first) {
            // `use ring;` names itself: a crate.
            if alias.segments.len() == 1 && alias.segments.first() == Some(first) {
                return Some(Target::Foreign(first.clone()));
            }
            let mut whole = alias.segments.clone();
            whole.extend(rest.iter().cloned());
            return Some(self.follow(place, &whole, alias.absolute, steps));
        }
        if module.items.contains(first) {
            return Some(Target::Module(place.clone()));
        }
        module.globs.iter().find_map(|glob| match self.follow(place, &glob.segments, glob.absolute, steps) {
            Target::Module(of) if of != *place => self.look_up(&of, segments, steps),
            _ => None,
        })
    }
}
