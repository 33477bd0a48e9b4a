//! Metrics of the keys that sign access tokens.

use crate::{access_tokens::AccessTokenKeys, clock};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::gauge::ConstGauge,
};
use std::sync::Arc;

/// What they lack, asked at each scrape; nothing where no API has access tokens.
#[derive(Debug)]
pub(super) struct SigningCollector(pub(super) Arc<AccessTokenKeys>);

impl Collector for SigningCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some((due, mistakes)) = self.0.lacks(clock::now()) else { return Ok(()) };
        let gauges = [
            (
                "signing_keys_due",
                "Signing keys that the schedule wants and that are not there",
                due,
            ),
            (
                "signing_key_mistakes",
                "What is wrong with the files of signing keys that nodes share",
                mistakes,
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
