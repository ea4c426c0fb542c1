//! How late deadlines fire in a stage-scheduler of its own, with registry-writer following.

use chassis::Clock;

use super::plane::Plane;
use crate::deadlines::{Due, figure};
use crate::figure::Figure;

pub(super) async fn measure() -> anyhow::Result<Vec<Figure>> {
    let few = late_ms(Due { count: 1_000, within_ms: 10_000 }).await?;
    let many = late_ms(Due { count: 10_000, within_ms: 1_000 }).await?;
    Ok(vec![
        figure("deadline lateness, 1,000 waiting rollouts within 10 s, PostgreSQL", &few, "p99 <= 50 ms", 50.0),
        figure("deadline lateness, 10,000 due in one second, PostgreSQL", &many, "p99 < 1 s", 1_000.0),
    ])
}

async fn late_ms(due: Due) -> anyhow::Result<Vec<f64>> {
    let mut plane = Plane::set_up()?;
    let (store, clock) = (plane.store().await?, Clock::system());
    let first = due.write(&store, &clock).await?;
    plane.start("stage-scheduler").await?;
    plane.start("registry-writer").await?;
    due.fired((&store, &clock), first).await
}
