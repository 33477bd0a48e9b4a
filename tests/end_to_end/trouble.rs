//! Trouble: what goes wrong is said in words that help, with the right exit code.

mod configuration;
mod data_directory;
mod full_disk;
mod occupied;
mod small_disk;

/// The shortest configuration with an API in it.
const ORDERS: &str = "[api.orders]\nupstream = \"http://127.0.0.1:1\"\n";
