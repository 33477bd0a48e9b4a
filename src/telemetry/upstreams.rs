//! What is counted of upstreams, and which of them are up.

use super::ApiLabels;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _},
    metrics::{MetricType, counter::Counter, family::Family, gauge::ConstGauge},
    registry::Registry,
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    api: String,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    api: String,
    upstream: String,
}

/// How an API's upstreams have failed; found once, so that counting is one addition.
#[derive(Debug, Clone)]
pub(crate) struct UpstreamFailures {
    /// No file descriptor for a connection to it.
    pub(crate) no_place: Counter,
    /// No connection to it.
    pub(crate) unreachable: Counter,
    /// The connection ended before the response began.
    pub(crate) closed: Counter,
    /// What it answered is no response that could be passed on.
    pub(crate) unfit: Counter,
    /// No response in time.
    pub(crate) silent: Counter,
    /// A response that began and did not come whole.
    pub(crate) cut: Counter,
    /// Requests that were sent again, or to another upstream.
    pub(crate) retries: Counter,
}

/// Whether one upstream is up, as the metrics tell it.
#[derive(Debug)]
pub(crate) struct UpGauge {
    labels: UpstreamLabels,
    is_up: AtomicBool,
}

impl UpGauge {
    pub(crate) fn set(&self, is_up: bool) {
        self.is_up.store(is_up, Ordering::Relaxed);
    }
}

/// What is known of all upstreams.
#[derive(Debug, Default, Clone)]
pub(crate) struct UpstreamMetrics {
    failures: Family<FailureLabels, Counter>,
    retries: Family<ApiLabels, Counter>,
    /// Those of an earlier configuration may live on for a while.
    gauges: Arc<Mutex<Vec<Weak<UpGauge>>>>,
}

impl UpstreamMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "gateway_upstream_failures",
            "Admitted requests that got no whole response of the upstream, by API and kind",
            self.failures.clone(),
        );
        registry.register(
            "gateway_upstream_retries",
            "Requests that were sent once more, or to another upstream, by API",
            self.retries.clone(),
        );
        registry.register_collector(Box::new(self.clone()));
    }

    /// How one API's upstreams have failed.
    pub(crate) fn failures(&self, api: &str) -> UpstreamFailures {
        let counter = |kind| {
            let labels = FailureLabels { api: api.to_owned(), kind };
            self.failures.get_or_create_owned(&labels)
        };
        UpstreamFailures {
            no_place: counter("no_place"),
            unreachable: counter("unreachable"),
            closed: counter("closed"),
            unfit: counter("unfit"),
            silent: counter("silent"),
            cut: counter("cut"),
            retries: self.retries.get_or_create_owned(&ApiLabels { api: api.to_owned() }),
        }
    }

    /// Whether one of an API's upstreams is up: it is, unless somebody says otherwise.
    pub(crate) fn gauge(&self, api: &str, upstream: &str) -> Arc<UpGauge> {
        let labels = UpstreamLabels { api: api.to_owned(), upstream: upstream.to_owned() };
        let gauge = Arc::new(UpGauge { labels, is_up: AtomicBool::new(true) });
        let mut gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        gauges.retain(|gauge| gauge.strong_count() > 0);
        gauges.push(Arc::downgrade(&gauge));
        gauge
    }
}

impl Collector for UpstreamMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        let gauges: Vec<_> = gauges.iter().filter_map(Weak::upgrade).collect();
        if gauges.is_empty() {
            return Ok(());
        }
        // Of two with one name the later is the one that holds now.
        let latest: BTreeMap<_, _> = gauges
            .iter()
            .map(|gauge| ((&gauge.labels.api, &gauge.labels.upstream), gauge))
            .collect();
        let help = "Whether an upstream is up, as far as the gateway knows, by API and upstream";
        let kind = MetricType::Gauge;
        let mut family = encoder.encode_descriptor("gateway_upstream_up", help, None, kind)?;
        for gauge in latest.values() {
            let value = ConstGauge::new(i64::from(gauge.is_up.load(Ordering::Relaxed)));
            value.encode(family.encode_family(&gauge.labels)?)?;
        }
        Ok(())
    }
}
