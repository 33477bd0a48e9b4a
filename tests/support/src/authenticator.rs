//! What stands in for somebody's telephone: time-based one-time passwords (RFC 6238).

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use std::time::{SystemTime, UNIX_EPOCH};

/// An authenticator: what it shows so many steps from now.
pub fn code(key: &str, steps: u64) -> String {
    let mut bits = Vec::new();
    for letter in key.bytes() {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|l| *l == letter).unwrap();
        bits.extend((0..5).rev().map(|bit| value >> bit & 1));
    }
    let byte = |bits: &[usize]| u8::try_from(bits.iter().fold(0, |n, bit| n << 1 | bit)).unwrap();
    let secret: Vec<u8> = bits.chunks_exact(8).map(byte).collect();
    #[expect(clippy::disallowed_methods, reason = "authenticators have a clock")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let step = (now / 30 + steps).to_be_bytes();
    let mac = Hmac::<Sha1>::new_from_slice(&secret).unwrap().chain_update(step);
    let mac = mac.finalize().into_bytes();
    let at = usize::from(mac[19] & 15);
    let number = u32::from_be_bytes([mac[at] & 127, mac[at + 1], mac[at + 2], mac[at + 3]]);
    format!("{:06}", number % 1_000_000)
}
