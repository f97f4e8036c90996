//! Spans of requests on their way to a collector, by OTLP over HTTP.

mod exporter;
mod otlp;

pub(crate) use exporter::Exporter;
