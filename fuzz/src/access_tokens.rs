//! Access tokens: nothing opens but the very texts that were signed.

use crate::input::{choice, chosen, text};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use counterfoil::fuzzing::AccessTokens;
use std::sync::LazyLock;

/// Keys that nothing else is signed with, so that an input means the same in every run.
const KEYS: [&str; 2] = [
    "MFECAQEwBQYDK2VwBCIEIKhx_hMJJ6tS5yzrU27jrwoNEPYYGkKSisXTABWniC_1gSEAsb2jn07u3XRad-ei\
     jRecOa-e8Osumddu53r-lyrYTZk",
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgUECM4lYIumjHqEDsviB-nR_lP5RhRJbQ4RGm\
     BOYv6qChRANCAARZu_7Un_tCYOtZPg690WL3ijBxWgcOMn7HzSi4aLt_Dso7p98IR5Hr02mMucV45DnE0XTk\
     TZPEU063k5iWHu_1",
];

/// All that is signed with them.
const SIGNED: [&str; 2] = [
    "eyJhbGciOiJFZERTQSIsImtpZCI6IkVXU1JIZ0FyMDNSQkI0NVNOYVp5UkV6djJBQXFOR0JNamRHekhyODgy\
     MmsiLCJ0eXAiOiJhdCtqd3QifQ.eyJpc3MiOiJodHRwczovL3Rva2Vucy5leGFtcGxlLmNvbSIsInN1YiI6I\
     jAxOGJjZmU1LTY4MDAtNzEwMS04MTAxLTAxMDEwMTAxMDEwMSIsImF1ZCI6ImluZ2VzdCIsImV4cCI6MTcwM\
     DA4NjQwMCwiaWF0IjoxNzAwMDAwMDAwLCJqdGkiOiIwMThiY2ZlNS02ODAwLTc5MDktODkwOS0wOTA5MDkwO\
     TA5MDkiLCJjbGllbnRfaWQiOiIwMThiY2ZlNS02ODAwLTcyMDItODIwMi0wMjAyMDIwMjAyMDIiLCJzY29wZ\
     SI6ImV2ZW50czp3cml0ZSBmZWVkYmFjazp3cml0ZSIsIm9yZ2FuaXphdGlvbiI6IjAxOGJjZmU1LTY4MDAtN\
     zMwMy04MzAzLTAzMDMwMzAzMDMwMyIsInNlY3JldF9tYXJrIjoiMDAwMTAyMDMwNDA1MDZmZiJ9.g-5K7EfQ\
     Kq55pNYVBbfJJ_P9RphTxU9kuxCaQPoxbiXTIR0N8RBAZaIrNA2nBHEvvZAC1uQmx1UeP4otDL6oAA",
    "eyJhbGciOiJFUzI1NiIsImtpZCI6IktsT0ota2xsVEVSWE1QeDk3TVNRanpINlpLVEp6aEZlMnc2MEFlVmJZ\
     RTQiLCJ0eXAiOiJhdCtqd3QifQ.eyJpc3MiOiJodHRwczovL3Rva2Vucy5leGFtcGxlLmNvbSIsInN1YiI6I\
     jAxOGJjZmU1LTY4MDAtNzEwMS04MTAxLTAxMDEwMTAxMDEwMSIsImF1ZCI6ImluZ2VzdCIsImV4cCI6MTcwM\
     DA4NjQwMCwiaWF0IjoxNzAwMDAwMDAwLCJqdGkiOiIwMThiY2ZlNS02ODAwLTc5MDktODkwOS0wOTA5MDkwO\
     TA5MDkiLCJjbGllbnRfaWQiOiIwMThiY2ZlNS02ODAwLTcyMDItODIwMi0wMjAyMDIwMjAyMDIiLCJzY29wZ\
     SI6ImV2ZW50czp3cml0ZSBmZWVkYmFjazp3cml0ZSIsIm9yZ2FuaXphdGlvbiI6IjAxOGJjZmU1LTY4MDAtN\
     zMwMy04MzAzLTAzMDMwMzAzMDMwMyIsInNlY3JldF9tYXJrIjoiMDAwMTAyMDMwNDA1MDZmZiJ9.WyNGK3i-\
     f5aaQ0BuBpDGIpeDaqsdwr1noJboEySWJYt7MHGZz9y6xA8Q39qwNSwvoDLPQQ1c3KyY1HlQp-TXTw",
];

static TOKENS: LazyLock<AccessTokens> = LazyLock::new(|| {
    let keys = KEYS.map(|key| BASE64.decode(key).unwrap());
    AccessTokens::new(keys.each_ref().map(Vec::as_slice)).unwrap()
});

/// A token; or a payload, as if it had been signed.
pub(crate) fn access_token(input: &[u8]) {
    let (choice, rest) = choice(input);
    if choice % 2 == 1 {
        if let Some(json) = AccessTokens::claims(rest) {
            assert_eq!(AccessTokens::claims(json.as_bytes()), Some(json));
        }
        return;
    }
    let text = text(rest);
    let said = TOKENS.open(&text);
    assert_eq!(said.is_some(), SIGNED.contains(&&*text), "{text}");
    if let Some(said) = said {
        let payload = text.split('.').nth(1).unwrap();
        assert_eq!(BASE64.decode(payload).unwrap(), said.as_bytes());
    }
}

pub(crate) fn access_token_seeds() -> Vec<Vec<u8>> {
    let payload = SIGNED[0].split('.').nth(1).unwrap();
    let payload = BASE64.decode(payload).unwrap();
    let mut seeds = chosen(SIGNED.map(|token| (0, token)));
    seeds.extend(chosen([
        (0, "eyJhbGciOiJub25lIn0.e30."),
        (0, "eyJhbGciOiJFZERTQSIsImp3ayI6e319.e30.AAAA"),
        (0, "a.b.c.d.e"),
    ]));
    seeds.extend(chosen([
        (1, payload.as_slice()),
        (1, br#"{"role":"writer","scope":"","exp":18446744073709551615}"#),
    ]));
    seeds
}
