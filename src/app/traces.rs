//! Sets up what sends spans to a collector, where one is configured.

use std::sync::Arc;

use crate::app::error::StartError;
use crate::app::tasks::Tasks;
use crate::config;
use crate::control::traces::Exporter;
use crate::state::traces::Traces;

/// Where requests leave spans, and what sends them.
type Ends = (Arc<Traces>, Arc<Exporter>);

/// Both ends of the way of a span; `None` where nobody wants any.
pub(super) fn start(
    choice: Option<&config::Traces>,
    node: &str,
) -> Result<Option<Ends>, StartError> {
    let Some(choice) = choice else {
        return Ok(None);
    };
    let (queue, spans) = Traces::new(choice.sample);
    let exporter = Exporter::new(choice, node, Arc::clone(&queue), spans);
    let exporter = exporter.map_err(StartError::Traces)?;
    Ok(Some((queue, Arc::new(exporter))))
}

/// Sends them from now on.
pub(super) fn spawn(tasks: &Tasks, exporter: Option<&Arc<Exporter>>) {
    let Some(exporter) = exporter.cloned() else {
        return;
    };
    tasks.spawn("traces", move || {
        let exporter = Arc::clone(&exporter);
        async move { exporter.run().await }
    });
}
