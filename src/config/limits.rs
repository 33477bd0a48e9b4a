//! `in_flight` and `rate` of an API become its limits.

use super::{
    document::Document,
    key_path::KeyPath,
    mistake::{Noted, Report},
    settings,
};
use counterfoil_core::limit::{Limits, Rate, Unsound};

/// The limits of the API at `at`.
pub(super) fn read(
    settings: &settings::Api,
    at: &KeyPath,
    report: &mut Report<'_>,
) -> Result<Limits, Noted> {
    let rate = at.key("rate");
    let mut rates = Ok(Vec::new());
    for (index, text) in settings.rate.0.iter().enumerate() {
        let read = report.accept(&place(&rate, index, report.document), text.parse::<Rate>());
        match (&mut rates, read) {
            (Ok(rates), Ok(rate)) => rates.push(rate),
            (_, Err(noted)) => rates = Err(noted),
            (Err(_), Ok(_)) => {}
        }
    }
    // A number that is wrong is found out also where a rate is.
    let counted = Limits::new(settings.in_flight, Vec::new());
    report.accept(&at.key("in_flight"), counted)?;
    Limits::new(settings.in_flight, rates?).map_err(|unsound| {
        let path = match unsound {
            Unsound::InFlight => at.key("in_flight"),
            Unsound::TooManyRates => rate,
            Unsound::Repeated { index, .. } => rate.index(index),
        };
        report.add(&path, unsound)
    })
}

/// Where the rate at this index stands: one may do so without a list around it.
fn place(rate: &KeyPath, index: usize, document: &Document<'_>) -> KeyPath {
    let in_list = rate.index(index);
    if document.has(&in_list) { in_list } else { rate.clone() }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Environment, Source};

    fn load(lines: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        let text = format!("[api.a]\nupstream = \"http://127.0.0.1:9000\"\n{lines}\n");
        let source = Source { name: "c.toml".into(), text };
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Config::load(Some(&source), &Environment(variables.collect()))
            .map(|loaded| loaded.config)
            .map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn one_rate_may_stand_alone() {
        for (lines, in_flight, rates) in [
            ("", None, &[][..]),
            ("in_flight = 5", Some(5), &[]),
            ("rate = \"1000/60s\"", None, &["1000/1m"]),
            (
                "in_flight = 1_000\nrate = [\"1000/60s\", \"10000/24h\"]",
                Some(1000),
                &["1000/1m", "10000/1d"],
            ),
        ] {
            let config = load(lines, &[]).unwrap();
            let limits = &config.apis[0].api.limits;
            assert_eq!(limits.in_flight(), in_flight, "{lines}");
            let found: Vec<_> = limits.rates().iter().map(ToString::to_string).collect();
            assert_eq!(found, rates, "{lines}");
        }
        let config = load("in_flight = 5", &[("COUNTERFOIL_API_A_IN_FLIGHT", "7")]).unwrap();
        assert_eq!(config.apis[0].api.limits.in_flight(), Some(7));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let in_flight = "api.a.in_flight: expected a number from 1 to 100000";
        let number = "api.a.in_flight: expected a whole number that is not negative";
        let form = "expected requests and a span of time, as in \"1000/60s\" or \"10000/24h\"";
        for (lines, mistake) in [
            ("in_flight = 0", format!("3:13: {in_flight}")),
            ("in_flight = 100001", format!("3:13: {in_flight}")),
            ("in_flight = -1", format!("3:13: {number}")),
            ("in_flight = \"5\"", format!("3:13: {number}, found a value of type string")),
            ("in_flight = 1.5", format!("3:13: {number}, found a value of type float")),
            ("rate = \"1000\"", format!("3:8: api.a.rate: {form}")),
            ("rate = [\"1/1s\", \"1000 a minute\"]", format!("3:17: api.a.rate[1]: {form}")),
            (
                "rate = \"1/32d\"",
                "3:8: api.a.rate: expected a span from 1s to 31d after the slash".into(),
            ),
            (
                "rate = [\"1/60s\", \"2/1m\"]",
                "3:18: api.a.rate[1]: there is a rate for 1m already, expected one for each span"
                    .into(),
            ),
            (
                "rate = [\"1/1s\", \"1/2s\", \"1/3s\", \"1/4s\", \"1/5s\"]",
                "3:8: api.a.rate: expected 4 rates at most".into(),
            ),
            (
                "rate = 1000",
                "3:8: api.a.rate: expected a text in quotes, or a list of them, found a value of \
                 type integer"
                    .into(),
            ),
            (
                "rate = [1]",
                "3:9: api.a.rate[0]: expected a text in quotes, found a value of type integer"
                    .into(),
            ),
            ("rates = \"1/1s\"", "3:1: api.a.rates: unknown key; did you mean rate?".into()),
        ] {
            let found = load(lines, &[]).unwrap_err();
            assert!(found.contains(&mistake), "{lines}\n{found}");
        }
        let found = load("", &[("COUNTERFOIL_API_A_IN_FLIGHT", "many")]).unwrap_err();
        assert!(found.contains("COUNTERFOIL_API_A_IN_FLIGHT"), "{found}");
        assert!(found.contains(number), "{found}");
    }
}
