//! What a router says of its routes, in a task of its own: neither a route nor a stop waits until a server has written what was said
//! before.

use futures_util::stream::{self, PollNext};
use futures_util::{Stream, StreamExt as _};
use rollout::{Direction, Model, Route, Tenant};
use tokio::sync::mpsc;

use super::Life;
use super::feed::{Feed, WORDS_AT_ONCE};
use crate::routes::Routes;

type Place = (Tenant, Model);

/// Where to leave word that there is something to say; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Words {
    /// Of routes that take traffic away: somebody waits for these.
    urgent: mpsc::UnboundedSender<Place>,
    others: mpsc::UnboundedSender<Place>,
}

impl Words {
    /// Says what of the routes is on the disk, until the process stops.
    pub(super) fn start(life: &Life, routes: Routes, feed: Feed) -> Self {
        let ((urgent, first), (others, then)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let places = stream::select_with_strategy(received(first), received(then), |(): &mut ()| PollNext::Left);
        let stop = life.stop.clone();
        life.tasks.spawn(async move {
            let say = async |(tenant, model): Place| feed.adopted(&routes, std::iter::once((&tenant, &model))).await;
            tokio::select! { () = places.for_each_concurrent(WORDS_AT_ONCE, say) => {}, () = stop.cancelled() => {} }
        });
        Self { urgent, others }
    }

    /// Has it said what of a route's model is on the disk.
    pub(super) fn say(&self, route: &Route) {
        if route.direction == Direction::Back || route.stopped {
            return self.say_first(route);
        }
        // One that says nothing any more ends with the process.
        let _ = self.others.send((route.tenant.clone(), route.model.clone()));
    }

    /// The same of a route whose candidates are held back.
    pub(super) fn say_first(&self, route: &Route) {
        let _ = self.urgent.send((route.tenant.clone(), route.model.clone()));
    }
}

fn received(mut places: mpsc::UnboundedReceiver<Place>) -> impl Stream<Item = Place> {
    stream::poll_fn(move |context| places.poll_recv(context))
}
