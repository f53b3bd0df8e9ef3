//! A page of metrics in Prometheus' text format: families in the order of the table, samples in the order given.

use collector::looked::{BOUNDS, Tally};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder, proto};

use super::table::{METRICS, Metric, Type};

/// The samples of every metric that has some.
#[derive(Debug)]
pub(super) struct Sheet {
    families: Vec<MetricFamily>,
}

impl Sheet {
    /// An empty one.
    pub(super) fn new() -> Self {
        let families = METRICS.iter().map(|metric| {
            let mut family = MetricFamily::default();
            family.set_name(metric.name.to_owned());
            family.set_help(metric.help.to_owned());
            family.set_field_type(match metric.kind {
                Type::Gauge => MetricType::GAUGE,
                Type::Counter => MetricType::COUNTER,
                Type::Histogram => MetricType::HISTOGRAM,
            });
            family
        });
        Self { families: families.collect() }
    }

    /// One more number of a gauge or counter; `values` are those of its labels, in their order.
    pub(super) fn add(&mut self, metric: &'static Metric, values: &[&str], value: f64) {
        let mut sample = labelled(metric, values);
        if metric.kind == Type::Counter {
            let mut counter = Counter::default();
            counter.set_value(value);
            sample.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            sample.set_gauge(gauge);
        }
        self.push(metric, sample);
    }

    /// The durations of one kind of look.
    pub(super) fn durations(&mut self, metric: &'static Metric, values: &[&str], tally: &Tally) {
        let mut below = 0;
        let buckets = BOUNDS.iter().zip(tally.buckets).map(|(bound, count)| {
            below += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(below);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(tally.count);
        histogram.set_sample_sum(tally.took.as_secs_f64());
        let mut sample = labelled(metric, values);
        sample.set_histogram(histogram);
        self.push(metric, sample);
    }

    fn push(&mut self, metric: &'static Metric, sample: proto::Metric) {
        // Families stand as in the table.
        let place = METRICS.iter().position(|other| std::ptr::eq(*other, metric));
        if let Some(family) = place.and_then(|place| self.families.get_mut(place)) {
            family.mut_metric().push(sample);
        }
    }

    /// The text.
    pub(super) fn text(mut self) -> Result<Vec<u8>, prometheus::Error> {
        self.families.retain(|family| !family.get_metric().is_empty());
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.families, &mut text)?;
        Ok(text)
    }
}

fn labelled(metric: &'static Metric, values: &[&str]) -> proto::Metric {
    debug_assert_eq!(metric.labels.len(), values.len(), "{}", metric.name);
    let labels = metric.labels.iter().zip(values).map(|(name, value)| {
        let mut label = LabelPair::default();
        label.set_name((*name).to_owned());
        label.set_value((*value).to_owned());
        label
    });
    proto::Metric::from_label(labels.collect())
}
