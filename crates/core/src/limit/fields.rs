//! `RateLimit` and `RateLimit-Policy`, for clients that pace themselves
//! (draft-ietf-httpapi-ratelimit-headers-11).

use super::Standings;
use crate::error_format::ErrorFormat;

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
    // On the way of each request: written by hand, it takes a third of the time.
    let mut policy = String::with_capacity(40 * standings.iter().count());
    let mut state = String::with_capacity(policy.capacity());
    for standing in standings.iter() {
        for (text, first, number, second, seconds) in [
            (&mut policy, ";q=", standing.requests, ";w=", standing.per.0),
            (&mut state, ";r=", standing.remaining, ";t=", standing.reset.0),
        ] {
            let (count, unit) = standing.per.in_units();
            text.push_str(if text.is_empty() { "\"" } else { ", \"" });
            push(text, count);
            text.push(unit);
            text.push('"');
            text.push_str(first);
            push(text, number.into());
            text.push_str(second);
            push(text, seconds);
        }
    }
    Some([("ratelimit-policy", policy), ("ratelimit", state)])
}

/// A number in decimal.
fn push(text: &mut String, mut number: u64) {
    let mut digits = [0; 20];
    let mut begin = digits.len();
    loop {
        begin -= 1;
        digits[begin] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    text.extend(digits[begin..].iter().map(|digit| char::from(*digit)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{limit::Standing, time::Seconds};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_written_as_ever(number: u64) {
            let mut text = String::new();
            push(&mut text, number);
            prop_assert_eq!(text, number.to_string());
        }
    }

    #[test]
    fn rates_are_named_for_their_spans() {
        let standing = |requests, per, remaining, reset| Standing {
            requests,
            per: Seconds(per),
            remaining,
            reset: Seconds(reset),
        };
        let mut standings = Standings::default();
        assert_eq!(fields(ErrorFormat::Problem, &standings), None);
        standings.push(standing(1000, 60, 0, 56));
        standings.push(standing(10_000, 86_400, 9_999, 86_400));
        let [(_, policy), (_, state)] = fields(ErrorFormat::OAuth, &standings).unwrap();
        assert_eq!(policy, r#""1m";q=1000;w=60, "1d";q=10000;w=86400"#);
        assert_eq!(state, r#""1m";r=0;t=56, "1d";r=9999;t=86400"#);
        assert_eq!(fields(ErrorFormat::Message, &standings), None);
    }
}
