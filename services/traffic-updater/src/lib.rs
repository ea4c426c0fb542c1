//! traffic-updater applies wished routes to targets, fenced and read back. The one kind of target here is the routers, which
//! watch a bucket and confirm in another what they serve.

mod handler;
mod routers;

use chassis::Core;

/// Its own pass applies what no message asks for, and what a message got lost for, this often.
const PASS_AGAIN: judge::Span = judge::Span(1_000);

/// Runs the service.
pub fn serve(core: &Core) {
    let routers = routers::Routers::new(core);
    chassis::serve(core, handler::TrafficUpdater::new(routers.clone()));
    core.tasks.spawn(pass(core.clone(), routers));
}

async fn pass(core: Core, routers: routers::Routers) {
    loop {
        tokio::select! {
            () = core.clock.sleep_until(core.clock.now().plus(PASS_AGAIN)) => {}
            () = core.stop.cancelled() => return,
        }
        let wishes = async { core.store.reader().await?.rows().routes().await };
        match wishes.await {
            Ok(wishes) => {
                for wish in wishes {
                    if let Err(error) = routers.write(&wish).await {
                        tracing::warn!("can't write the route of {}, trying again in a second: {error:#}", wish.model);
                    }
                }
            }
            Err(error) => tracing::warn!("can't read the wished routes, trying again in a second: {error:#}"),
        }
    }
}

/// The target of a rollout's model, as its row is called.
fn target_id(tenant: &rollout::Tenant, model: &rollout::Model) -> String {
    format!("routers/{}", proto::subject::key(tenant, model))
}
