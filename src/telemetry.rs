//! Logs and metrics.

mod nodes;
mod signing;
mod upstreams;

pub(crate) use upstreams::{UpGauge, UpstreamFailures, UpstreamMetrics};

use crate::{
    access_tokens::AccessTokenKeys,
    clock,
    config::{Log, LogFormat},
    latency::{Latency, LatencyCollector},
    limiter::Limiter,
    replica::Replica,
    tls::Certificate,
};
use counterfoil_core::Code;
use nodes::NodesCollector;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, text::encode},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
    },
    registry::Registry,
};
use signing::SigningCollector;
use std::{
    io::IsTerminal as _,
    sync::{Arc, atomic::AtomicU64},
};
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, filter::filter_fn, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Sends logs to standard error, as lines for people or as JSON.
///
/// # Errors
/// Where `level` is not a filter.
pub(crate) fn start_logs(log: &Log) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_new(&log.level).map_err(|error| anyhow::anyhow!("log.level: {error}"))?;
    let for_people = match log.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(may_be_logged));
    if for_people {
        let colours = std::io::stderr().is_terminal();
        registry.with(fmt::layer().with_writer(std::io::stderr).with_ansi(colours)).try_init()?;
    } else {
        let json = fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
        registry.with(json).try_init()?;
    }
    Ok(())
}

/// Whatever level is asked for: the client of PostgreSQL tells what statements are given, and
/// among that are digests, hashes of passwords and secrets of second factors.
fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || !metadata.target().starts_with("tokio_postgres")
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    door: &'static str,
    api: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DoorLabels {
    door: &'static str,
    api: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApiLabels {
    api: String,
}

/// What is counted.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    throttled: Family<DoorLabels, Counter>,
    streams_ended: Family<ApiLabels, Counter>,
    /// How upstreams have failed, and which are up.
    pub(crate) upstreams: UpstreamMetrics,
    /// Requests that no API could be found for, or that could be read in two ways.
    pub(crate) rejected: Counter,
    /// How long judging takes, at all doors.
    pub(crate) latency: Arc<Latency>,
}

/// The doors, by the names that they have in what is counted.
pub(crate) const DOORS: [&str; 6] =
    ["gateway", "forward_auth", "verify", "management", "authenticate", "oauth2"];

/// How many requests there were since the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) admitted: u64,
    pub(crate) anonymous: u64,
    /// By [`Code::ALL`].
    pub(crate) refused: [u64; Code::ALL.len()],
}

/// One API's counters, found once so that counting is one addition.
#[derive(Debug, Clone)]
pub(crate) struct ApiCounters {
    pub(crate) admitted: Counter,
    pub(crate) anonymous: Counter,
    refused: [Counter; Code::ALL.len()],
    /// Of those refused, how many were told to wait since their address had shown too much that
    /// proves nothing.
    pub(crate) throttled: Counter,
}

impl ApiCounters {
    pub(crate) fn refused(&self, code: Code) -> &Counter {
        &self.refused[code as usize]
    }
}

impl Metrics {
    pub(crate) fn new(replica: Arc<Replica>, limiter: Arc<Limiter>) -> Self {
        let mut registry = Registry::with_prefix("counterfoil");
        let requests = Family::default();
        let upstreams = UpstreamMetrics::default();
        let streams_ended = Family::default();
        let rejected = Counter::default();
        registry.register(
            "requests",
            "Requests at the doors, by door, API and outcome: admitted, anonymous, or a refusal's code",
            Family::clone(&requests),
        );
        let throttled = Family::default();
        registry.register(
            "throttled",
            "Of the refusals, those that were answered 429 since their address had shown too much that proves nothing, by door and API",
            Family::clone(&throttled),
        );
        upstreams.register(&mut registry);
        registry.register(
            "gateway_streams_ended",
            "Requests that were cut off because what admitted them had ended, by API",
            Family::clone(&streams_ended),
        );
        registry.register(
            "gateway_rejected",
            "Requests at the gateway that were ambiguous or for no API",
            Counter::clone(&rejected),
        );
        registry.register_collector(Box::new(ReplicaCollector(replica.clone())));
        registry.register_collector(Box::new(NodesCollector(replica)));
        registry.register_collector(Box::new(LimiterCollector(limiter)));
        let latency = Arc::<Latency>::default();
        registry.register_collector(Box::new(LatencyCollector(latency.clone())));
        Self { registry, requests, throttled, streams_ended, upstreams, rejected, latency }
    }

    /// The same, with how long these certificates are good.
    #[must_use]
    pub(crate) fn watching(mut self, certificates: Vec<Arc<Certificate>>) -> Self {
        self.registry.register_collector(Box::new(CertificateCollector(certificates)));
        self
    }

    /// The same, with what signing keys lack.
    #[must_use]
    pub(crate) fn signing(mut self, keys: Arc<AccessTokenKeys>) -> Self {
        self.registry.register_collector(Box::new(SigningCollector(keys)));
        self
    }

    /// The counters of one API at one door.
    pub(crate) fn of_api(&self, door: &'static str, api: &str) -> ApiCounters {
        let counter = |outcome| {
            let labels = RequestLabels { door, api: api.to_owned(), outcome };
            self.requests.get_or_create_owned(&labels)
        };
        ApiCounters {
            admitted: counter("admitted"),
            anonymous: counter("anonymous"),
            refused: Code::ALL.map(|code| counter(code.as_str())),
            throttled: self
                .throttled
                .get_or_create_owned(&DoorLabels { door, api: api.to_owned() }),
        }
    }

    /// What has been counted of one API, at all doors.
    pub(crate) fn counted(&self, api: &str) -> Counted {
        let doors = DOORS.map(|door| self.of_api(door, api));
        let sum = |of: &dyn Fn(&ApiCounters) -> u64| doors.iter().map(of).sum();
        Counted {
            admitted: sum(&|door| door.admitted.get()),
            anonymous: sum(&|door| door.anonymous.get()),
            refused: Code::ALL.map(|code| sum(&|door| door.refused(code).get())),
        }
    }

    /// How many of one API's requests were cut off while they were under way.
    pub(crate) fn streams_ended(&self, api: &str) -> Counter {
        self.streams_ended.get_or_create_owned(&ApiLabels { api: api.to_owned() })
    }

    /// The text that a Prometheus server reads.
    pub(crate) fn render(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// What the limiter knows of itself, asked for at each scrape.
#[derive(Debug)]
struct LimiterCollector(Arc<Limiter>);

impl Collector for LimiterCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let gauges = [
            (
                "limiter_active_tokens",
                "Tokens of APIs with limits against which something counts",
                self.0.active(),
            ),
            ("slots_in_use", "Slots held by requests at the gateway", self.0.in_use()),
            ("named_slots_in_use", "Slots held by services that asked for them", self.0.named()),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let Some(is_up) = self.0.shared_up() else { return Ok(()) };
        let gauge = ConstGauge::new(i64::from(is_up));
        let help = "Whether the server by which nodes share limits is there";
        let up = encoder.encode_descriptor("limiter_shared_up", help, None, gauge.metric_type())?;
        gauge.encode(up)?;
        let counter = ConstCounter::new(self.0.decided_alone());
        let help = "Requests that this node decided about by itself, since that server was gone";
        let (name, kind) = ("limiter_decided_alone", counter.metric_type());
        counter.encode(encoder.encode_descriptor(name, help, None, kind)?)
    }
}

/// What the replica knows of itself, asked for at each scrape.
#[derive(Debug)]
struct ReplicaCollector(Arc<Replica>);

impl Collector for ReplicaCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let count = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        let gauges = [
            ("index_tokens", "Tokens in the index, whatever their state", count(self.0.tokens())),
            (
                "ledger_head",
                "The number of the last change that the index has taken in",
                i64::try_from(self.0.head().number).unwrap_or(i64::MAX),
            ),
            (
                "tokens_denied",
                "Tokens that the operator has this node deny",
                count(self.0.unjudged().denied_count()),
            ),
            ("ready", "Whether this node may verify tokens", i64::from(self.0.index().is_some())),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabels {
    listener: &'static str,
}

/// The certificates that listeners show, asked at each scrape.
#[derive(Debug)]
struct CertificateCollector(Vec<Arc<Certificate>>);

impl Collector for CertificateCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let days = Family::<ListenerLabels, Gauge<f64, AtomicU64>>::default();
        for certificate in &self.0 {
            let labels = ListenerLabels { listener: certificate.listener };
            days.get_or_create(&labels).set(certificate.days_left(clock::now()));
        }
        let help = "For how many days a listener's certificate is good";
        let kind = days.metric_type();
        days.encode(encoder.encode_descriptor("certificate_days_left", help, None, kind)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io, sync::Mutex};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_statements_are_given_is_never_logged() {
        let written = Written::default();
        let writer = written.clone();
        let everything = EnvFilter::new("trace,tokio_postgres::query=trace");
        let registry =
            tracing_subscriber::registry().with(everything).with(filter_fn(may_be_logged));
        let subscriber = registry.with(fmt::layer().with_writer(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!(target: "tokio_postgres::query", "a secret");
            tracing::trace!(target: "tokio_postgres::prepare", "a secret");
            tracing::info!(target: "tokio_postgres", "a notice");
            tracing::debug!(target: "counterfoil", "a detail");
        });
        let written = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(!written.contains("a secret"), "{written}");
        assert!(written.contains("a notice") && written.contains("a detail"), "{written}");
    }
}
