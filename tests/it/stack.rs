//! The stack of `compose.yaml` as a user starts it: real containers, keys, permissions, two routers behind HAProxy.

mod cluster;
mod containers;
mod dashboards;
mod driving;
mod faults;
mod figures;
mod judged;
mod life;
mod restoring;
mod whole;

/// Every service, in the order in which they are replaced.
const SERVICES: [&str; 9] = [
    "registry-writer",
    "stage-scheduler",
    "analyzer",
    "traffic-updater",
    "deployer",
    "notifier",
    "api",
    "router-a",
    "router-b",
];
