//! A digest of what the configuration says of APIs: by it nodes tell whether theirs are the same.

use super::settings;
use crate::store::ConfigurationDigest;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// The digest of these APIs. What has its default counts as not said, so that a release which
/// knows more settings has the same digest as long as nobody uses them.
pub(super) fn of(apis: &BTreeMap<String, settings::Api>) -> ConfigurationDigest {
    let usual = to_value(&settings::Api::default());
    let said = apis.iter().map(|(name, api)| {
        let mut said = to_value(api);
        leave_out(&mut said, &usual);
        (name.clone(), said)
    });
    let mut said = Value::Object(said.collect());
    // What order fields are written in is up to the program.
    said.sort_all_objects();
    ConfigurationDigest(Sha256::digest(said.to_string()).into())
}

fn to_value(api: &settings::Api) -> Value {
    // Settings are what TOML has, which JSON has too.
    serde_json::to_value(api).unwrap_or_default()
}

/// Takes away what is as in `usual`.
fn leave_out(said: &mut Value, usual: &Value) {
    let (Value::Object(said), Value::Object(usual)) = (said, usual) else { return };
    said.retain(|key, value| {
        let Some(usual) = usual.get(key) else { return true };
        leave_out(value, usual);
        value != usual && *value != Value::Object(serde_json::Map::new())
    });
}

#[cfg(test)]
mod tests {
    use crate::{
        config::{Config, Environment, Source},
        store::ConfigurationDigest,
    };

    const ORDERS: &str = "[api.orders]\nupstream = \"http://127.0.0.1:9\"\n";

    fn digest(text: &str) -> ConfigurationDigest {
        let source = Source { name: "test".into(), text: text.into() };
        Config::load(Some(&source), &Environment::default()).unwrap().config.apis_digest
    }

    #[test]
    fn what_means_the_same_has_the_same_digest() {
        let plain = digest(ORDERS);
        for same in [
            "schemes = [\"bearer\"]\n",
            "errors = \"problem\"\nissuers = \"members\"\n",
            "[api.orders.timeouts]\nresponse = \"1m\"\n",
            "[api.orders.tokens]\n[server]\npublic_url = \"http://a.example\"\n",
            "# nothing\n",
        ] {
            assert_eq!(digest(&format!("{ORDERS}{same}")), plain, "{same}");
        }
        let environment =
            [("COUNTERFOIL_API_ORDERS_UPSTREAM".to_owned(), "http://127.0.0.1:9".to_owned())];
        let source = Source { name: "test".into(), text: ORDERS.replace(":9", ":8") };
        let loaded = Config::load(Some(&source), &environment.into_iter().collect()).unwrap();
        assert_eq!(loaded.config.apis_digest, plain);
    }

    #[test]
    fn what_decides_otherwise_has_another() {
        let plain = digest(ORDERS);
        for other in [
            "in_flight = 5\n",
            "rate = [\"1000/60s\"]\n",
            "routes = [\"GET /** -> anonymous\"]\n",
            "issuers = \"administrators\"\n",
            "[api.orders.tokens]\nprefix = \"ord\"\n",
            "[api.orders.access_tokens]\n",
            "[api.orders.scopes]\nread = \"Read\"\n",
            "[api.orders.timeouts]\nresponse = \"2m\"\n",
            "[api.costs]\nupstream = \"http://127.0.0.1:9\"\n",
        ] {
            assert_ne!(digest(&format!("{ORDERS}{other}")), plain, "{other}");
        }
        assert_ne!(digest(&ORDERS.replace(":9", ":8")), plain);
        assert_ne!(digest(&ORDERS.replace("orders", "order")), plain);
    }
}
