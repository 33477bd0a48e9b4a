//! HTTP: the doors and the interfaces, each on a listener of its own.

pub(crate) mod api;
pub(crate) mod arrival;
pub(crate) mod beat;
pub(crate) mod calls;
pub(crate) mod client_address;
pub(crate) mod console;
pub(crate) mod desk;
pub(crate) mod door;
pub(crate) mod extract;
pub(crate) mod forward_auth;
pub(crate) mod gateway;
pub(crate) mod head;
mod http2;
pub(crate) mod hush;
pub(crate) mod identity;
pub(crate) mod in_time;
pub(crate) mod leaks;
pub(crate) mod listen;
pub(crate) mod live;
pub(crate) mod oauth;
pub(crate) mod openapi;
pub(crate) mod operator;
pub(crate) mod places;
pub(crate) mod problem;
pub(crate) mod qr;
pub(crate) mod sample_upstream;
mod seen;
mod server;
pub(crate) mod status;
pub(crate) mod throttle;
mod unproven;
pub(crate) mod verify;

use crate::loggable;
