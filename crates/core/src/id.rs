//! Identifiers: version 7 UUIDs (RFC 9562 §5.7), one type for each kind of thing.

use crate::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use uuid::Uuid;

/// Entropy for one identifier; ten bytes are drawn, 74 bits of them are used.
pub type Entropy = [u8; 10];

/// Why a text is not an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a UUID in its hyphenated form")]
pub struct NotAnId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, as in $example:literal) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema,
        )]
        #[serde(transparent)]
        #[schemars(extend("examples" = [$example]))]
        pub struct $name(Uuid);

        impl $name {
            /// A new identifier, from the time and entropy given.
            pub fn new(now: Timestamp, entropy: Entropy) -> Self {
                let millis = u64::try_from(now.as_millis()).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &entropy).into_uuid())
            }

            /// The sixteen bytes, in the order in which they are printed.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The hyphenated form, as it is printed, written into `place`.
            pub fn write_to<'p>(&self, place: &'p mut [u8; 36]) -> &'p str {
                self.0.hyphenated().encode_lower(place)
            }

            /// From the sixteen bytes of [`Self::as_bytes`].
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl std::str::FromStr for $name {
            type Err = NotAnId;

            /// Reads the hyphenated form only, in either case: one identifier, one length.
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                if text.len() != 36 {
                    return Err(NotAnId);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| NotAnId)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    };
}

id! {
    /// Names a token. Public; it is also the token's client ID.
    TokenId, as in "01890a5d-ac96-774b-bcce-b302099a8057"
}
id! {
    /// Names an account.
    AccountId, as in "01890a5b-3c1d-7d2e-9f60-51c2a47be813"
}
id! {
    /// Names an organization.
    OrganizationId, as in "01890a5a-91f4-7c35-8e0b-6a9d1f3c2b74"
}
id! {
    /// Names an invitation into an organization.
    InvitationId, as in "01890a5e-7b08-7a43-95d1-3e6f0c81b2a4"
}
id! {
    /// Names somebody's session in the console. It opens nothing: the session's secret does.
    SessionId, as in "01890a60-02f6-7c9b-8a17-d45be3906f21"
}
id! {
    /// Names one answer that we gave.
    RequestId, as in "01890a61-5e20-7b19-a4d7-0c8e35f2961a"
}
id! {
    /// Names a slot that a service holds for a request of its own.
    SlotId, as in "01890a62-1f7d-7d60-b2c9-58e4a90b137c"
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn print_and_read() {
        let id = TokenId::new(Timestamp::from_millis(1_700_000_000_000), [7; 10]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        let json = serde_json::to_value(id).unwrap();
        assert_eq!(serde_json::from_value::<TokenId>(json).unwrap(), id);
        assert_eq!(TokenId::from_bytes(*id.as_bytes()), id);
        assert_eq!(&id.to_string()[14..15], "7");
        for wrong in
            ["", "0", "{00000000-0000-7000-8000-000000000000}", "00000000000070008000000000000000"]
        {
            assert_eq!(wrong.parse::<TokenId>(), Err(NotAnId));
            assert!(serde_json::from_value::<TokenId>(wrong.into()).is_err());
        }
    }

    #[test]
    fn later_sorts_later() {
        let early = TokenId::new(Timestamp::from_millis(1000), [255; 10]);
        let late = TokenId::new(Timestamp::from_millis(1001), [0; 10]);
        assert!(early < late);
    }

    proptest! {
        #[test]
        fn any_id_prints_and_reads(bytes: [u8; 16]) {
            let id = TokenId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(*id.as_bytes(), bytes);
            let mut place = [0; 36];
            prop_assert_eq!(id.write_to(&mut place), id.to_string());
        }
    }
}
