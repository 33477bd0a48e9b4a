//! What is told of nodes and leases, where several nodes share the database.

use crate::{clock, replica::Replica};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric},
    metrics::gauge::ConstGauge,
};
use std::{fmt::Error, sync::Arc};

/// Asked at each scrape; the database is not.
#[derive(Debug)]
pub(super) struct NodesCollector(pub(super) Arc<Replica>);

impl Collector for NodesCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let Some(left) = self.0.lease_left() else { return Ok(()) };
        self.encode_own(&mut encoder, left.as_secs_f64())?;
        self.encode_all(&mut encoder)?;
        let counted = &self.0.counted;
        let counts: [(&str, &str, &dyn EncodeMetric); 5] = [
            (
                "lease_renewals",
                "Renewals of this node's lease that the database answered",
                &counted.renewals,
            ),
            (
                "lease_renewal_failures",
                "Renewals of this node's lease that the database did not answer, or not in time",
                &counted.failures,
            ),
            (
                "nodes_struck_off",
                "Nodes that this one has struck off, since they had not renewed their leases",
                &counted.struck_off,
            ),
            (
                "change_wait_seconds",
                "How long answers to changes waited until no node judged without the change",
                &counted.waits,
            ),
            ("changes_waiting", "Answers to changes that wait now", &counted.waiting),
        ];
        counts
            .into_iter()
            .try_for_each(|(name, help, metric)| tell(&mut encoder, name, help, metric))
    }
}

impl NodesCollector {
    /// What this node knows of itself.
    fn encode_own(&self, encoder: &mut DescriptorEncoder<'_>, left: f64) -> Result<(), Error> {
        let help = "For how much longer this node may verify tokens without the database";
        gauge(encoder, "lease_seconds_left", help, left)?;
        let help = "Changes that this node has heard of and its index has not taken in";
        let lag = self.0.sight.heard().saturating_sub(self.0.head().number);
        gauge(encoder, "node_lag_entries", help, whole(lag))?;
        let help = "How long the database took to answer the last renewal of this node's lease";
        let took = self.0.counted.took();
        took.map_or(Ok(()), |took| {
            gauge(encoder, "lease_renewal_seconds", help, took.as_secs_f64())
        })
    }

    /// What it has seen of all, when it looked last.
    fn encode_all(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let Some(view) = self.0.sight.view(clock::boot()) else { return Ok(()) };
        let others = || view.nodes.iter().filter(|node| !node.is_this);
        let differing = others().filter(|node| node.differs).count();
        let help = "Nodes that share the database";
        gauge(encoder, "nodes", help, whole(view.nodes.len() as u64))?;
        let help = "Changes that the furthest behind of all other nodes had not acknowledged";
        let lag = others().map(|node| node.lag).max().unwrap_or(0);
        gauge(encoder, "nodes_lag_entries_max", help, whole(lag))?;
        let help = "Other nodes whose configuration has other APIs than this one's";
        gauge(encoder, "nodes_configuration_differing", help, whole(differing as u64))?;
        let help = "L: how long leases are that begin now";
        gauge(encoder, "lease_seconds", help, whole(view.lengths.lease().seconds()))
    }
}

fn gauge<N: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: N,
) -> Result<(), Error> {
    tell(encoder, name, help, &ConstGauge::new(value))
}

fn tell(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &dyn EncodeMetric,
) -> Result<(), Error> {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;
    use crate::{limiter::Limiter, replica::Replica};
    use counterfoil_core::index::Index;
    use std::sync::Arc;

    #[test]
    fn who_has_the_database_alone_tells_nothing_of_nodes() {
        let told = |replica: Replica| {
            Metrics::new(Arc::new(replica), Arc::<Limiter>::default()).render().unwrap()
        };
        let alone = told(Replica::trusting(Index::default()));
        assert!(!alone.contains("lease") && !alone.contains("counterfoil_node"), "{alone}");
        let among_others = told(Replica::default());
        for line in [
            "counterfoil_lease_seconds_left 0.0\n",
            "counterfoil_node_lag_entries 0\n",
            "counterfoil_lease_renewals_total 0\n",
            "counterfoil_lease_renewal_failures_total 0\n",
            "counterfoil_nodes_struck_off_total 0\n",
            "counterfoil_change_wait_seconds_bucket{le=\"0.025\"} 0\n",
            "counterfoil_changes_waiting 0\n",
        ] {
            assert!(among_others.contains(line), "{line}{among_others}");
        }
    }
}
