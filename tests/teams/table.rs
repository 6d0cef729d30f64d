//! Every operation of the people's door that works in a workspace, as one table, held against the source: what it is
//! called, which ids it takes, whether it writes, and what it asks for. The tests in here run all of it.

mod archived;
mod cases;
mod meanwhile;
mod recent;
mod scene;
mod source;
mod tenants;
