//! Found: inputs that broke a target once.

use counterfoil_fuzz::target;

const FOUND: &[(&str, &[u8])] = &[
    // A number that was read back as its neighbour, so that a replay came to another state.
    ("change", b"\x01{\"metadata\":{\"n\":953.16470500148089}}"),
    (
        "change",
        b"\x01{\"external_id\":\"x\",\"metadata\":{\"a\":[1,-2.5e-7,null,true,\"b\"],\"c\":\
          {\"d\":1.7976931348723157308}}}",
    ),
];

#[test]
fn what_was_found_once_stays_mended() {
    for (name, input) in FOUND {
        (target(name).unwrap().check)(input);
    }
}
