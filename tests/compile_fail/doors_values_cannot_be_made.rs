//! M1: a caller, a session and a member come out of their door and from nowhere else.
use portcullis::api::Caller;
use portcullis::dashboard::{Member, Session};

fn forge_a_session(other: Session) -> Session {
    Session { ..other }
}

fn forge_a_member(other: Member) -> Member {
    Member { ..other }
}

fn forge_a_caller(other: Caller) -> Caller {
    Caller { ..other }
}

fn main() {}
