//! traffic-updater applies wished routes to targets, fenced and read back. The one kind of target here is the routers, which
//! watch a bucket and confirm in another what they serve.

mod answer;
mod count;
mod drift;
mod handler;
mod known;
mod pass;
mod routers;
mod there;

use chassis::Core;

/// Runs the service.
pub fn serve(core: &Core) {
    let (routers, count) = (routers::Routers::new(core), count::Count::new(core));
    chassis::serve(core, handler::TrafficUpdater::new(routers.clone()));
    core.tasks.spawn(known::keep(core.clone(), routers.clone()));
    core.tasks.spawn(pass::stops(core.clone(), routers.clone()));
    core.tasks.spawn(pass::Pass::new(core.clone(), routers, count).run());
}

/// The target of a rollout's model, as its row is called.
fn target_id(tenant: &rollout::Tenant, model: &rollout::Model) -> String {
    format!("routers/{}", proto::subject::key(tenant, model))
}
