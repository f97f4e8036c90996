//! Watching requests as they finish: the service, and the tasks behind it.

use std::sync::Arc;

use crate::app::tasks::Tasks;
use crate::control::fleet::FleetService;
use crate::control::live::LiveService;
use crate::proxy::Plane;
use crate::store::Store;

/// What is watched at this gate, and asked of the others in `fleet`.
pub(super) fn service(
    plane: &Plane,
    store: &Arc<dyn Store>,
    fleet: &Arc<FleetService>,
) -> Arc<LiveService> {
    let routes = plane.routes.routes().iter();
    Arc::new(LiveService::new(
        Arc::clone(&plane.tap),
        Arc::clone(store),
        Arc::clone(fleet),
        (Arc::clone(&plane.node), plane.boot),
        routes.map(|route| Arc::clone(&route.name)).collect(),
    ))
}

/// Takes counts while someone watches them, and answers other gates.
pub(super) fn spawn(tasks: &Tasks, live: &Arc<LiveService>) {
    let (counting, answering) = (Arc::clone(live), Arc::clone(live));
    tasks.spawn("live-counts", move || {
        let live = Arc::clone(&counting);
        async move { live.count().await }
    });
    tasks.spawn("live-answers", move || {
        let live = Arc::clone(&answering);
        async move { live.answer_others().await }
    });
}
