//! HTTP: the doors and the interfaces, each on a listener of its own.

pub(crate) mod api;
pub(crate) mod extract;
pub(crate) mod gateway;
pub(crate) mod listen;
pub(crate) mod operator;
pub(crate) mod problem;
pub(crate) mod sample_upstream;
pub(crate) mod status;
