//! deployer brings a candidate's workload up and says when it is ready. The one adapter here is `external`: others run the
//! servers, and we probe their health, their version and a smoke test.

mod handler;
mod probe;

use chassis::Core;

/// Runs the service.
pub fn serve(core: &Core) {
    chassis::serve(core, handler::Deployer::new());
}
