//! Header fields that only the gateway sets, or by which a client could have an
//! upstream understand another request than the one that was verified.

use std::borrow::Cow;

/// Whole families, by how their names begin.
const FAMILIES: [&str; 4] = ["x-counterfoil-", "x-forwarded-", "x-http-method", "x-original-"];

const NAMES: [&str; 18] = [
    "authorization",
    "cf-connecting-ip",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "proxy",
    "proxy-authorization",
    "true-client-ip",
    "x-appengine-user-ip",
    "x-azure-clientip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-forwarded",
    "x-method-override",
    "x-real-ip",
    "x-request-id",
    "x-rewrite-url",
];

/// `name` as the laxest server would read it: CGI knows letters, digits and one
/// other character, for which every other one may stand.
pub(crate) fn folded(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Cow::Borrowed(name);
    }
    let fold = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    Cow::Owned(name.chars().map(fold).collect())
}

/// Whether a field of this [`folded`] name is not a client's to send.
pub(crate) fn contains(folded: &str) -> bool {
    FAMILIES.iter().any(|family| folded.starts_with(family)) || NAMES.contains(&folded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_one_name() {
        for name in [
            "x-counterfoil-account",
            "X_Counterfoil_Account",
            "x.counterfoil.role",
            "x'counterfoil!token-id",
            "X-Forwarded-User",
            "x-http-method-foo",
            "x.original.path",
            "Authorization",
            "Proxy",
        ] {
            assert!(contains(&folded(name)), "{name}");
        }
        for name in ["accept", "x-counterfeit", "x-custom_field", "proxy-free", "x-http"] {
            assert!(!contains(&folded(name)), "{name}");
        }
    }
}
