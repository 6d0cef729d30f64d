//! M1: a caller, a session and a member come out of their door and from nowhere else, and so does the right to spend.
use portcullis::api::Caller;
use portcullis::budget::Purse;
use portcullis::dashboard::{Member, Session};
use portcullis::id::ProjectId;

fn forge_a_session(other: Session) -> Session {
    Session { ..other }
}

fn forge_a_member(other: Member) -> Member {
    Member { ..other }
}

fn forge_a_caller(other: Caller) -> Caller {
    Caller { ..other }
}

fn forge_a_purse(other: Purse, project: ProjectId) -> Purse {
    Purse { project, ..other }
}

fn main() {}
