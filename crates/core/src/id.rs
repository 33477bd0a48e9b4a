//! Identifiers: version 7 UUIDs (RFC 9562 §5.7), one type for each kind of thing.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Entropy for one identifier; ten bytes are drawn, 74 bits of them are used.
pub type Entropy = [u8; 10];

/// Why a text is not an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a UUID in its hyphenated form")]
pub struct NotAnId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
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

            /// From the sixteen bytes of [`Self::as_bytes`].
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
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

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    };
}

id! {
    /// Names a token. Public; it is also the token's client ID.
    TokenId
}
id! {
    /// Names an account.
    AccountId
}
id! {
    /// Names an organization.
    OrganizationId
}
id! {
    /// Names one answer that we gave.
    RequestId
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
        assert_eq!(TokenId::from_bytes(*id.as_bytes()), id);
        assert_eq!(&id.to_string()[14..15], "7");
        for wrong in
            ["", "0", "{00000000-0000-7000-8000-000000000000}", "00000000000070008000000000000000"]
        {
            assert_eq!(wrong.parse::<TokenId>(), Err(NotAnId));
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
        }
    }
}
