//! `RateLimit` and `RateLimit-Policy`, for clients that pace themselves
//! (draft-ietf-httpapi-ratelimit-headers-11).

use super::Standings;
use crate::error_format::ErrorFormat;
use std::fmt::Write;

/// The header fields that say how the rates stand, names in lower case; none where there are
/// no rates, and none of an API whose format is another product's, which does not have them.
///
/// A policy is named for its span. `r` is what is left, `t` the seconds until one request
/// more is given back: until then there is no more than `r`. With nothing left that is
/// `Retry-After`, unless another window has to be waited for longer.
pub fn fields(format: ErrorFormat, standings: &Standings) -> Option<[(&'static str, String); 2]> {
    if standings.is_empty() || !matches!(format, ErrorFormat::Problem | ErrorFormat::OAuth) {
        return None;
    }
    let (mut policy, mut state) = (String::new(), String::new());
    for standing in standings.iter() {
        let (name, separator) = (standing.per, if policy.is_empty() { "" } else { ", " });
        let (requests, seconds) = (standing.requests, standing.per.0);
        let (remaining, reset) = (standing.remaining, standing.reset.0);
        // Writing to a text does not fail.
        let _ = write!(policy, "{separator}\"{name}\";q={requests};w={seconds}");
        let _ = write!(state, "{separator}\"{name}\";r={remaining};t={reset}");
    }
    Some([("ratelimit-policy", policy), ("ratelimit", state)])
}
