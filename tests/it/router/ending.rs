//! How a router stops, and why it does not start.

use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::upstream::{Echo, fed};
use super::*;

#[tokio::test]
async fn a_stop_lets_a_running_stream_finish() {
    let (feed, pieces) = mpsc::channel(1);
    let kit = Kit::serving("m", &[("1", 10_000, fed(pieces).await)]).await;
    feed.send("one").await.unwrap();
    let mut response = kit.get("/m").await;
    assert_eq!(response.chunk().await.unwrap().unwrap(), "one");
    let addr = kit.running.addr;
    let stopping = tokio::spawn(kit.running.stop(Duration::from_secs(10)));
    let began = Instant::now();
    while TcpStream::connect(addr).await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(5), "the listener closes at once");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    feed.send("two").await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "two");
    assert!(!stopping.is_finished());
    drop(feed);
    assert_eq!(response.chunk().await.unwrap(), None);
    assert!(stopping.await.unwrap());
}

#[tokio::test]
async fn a_stop_closes_idle_connections_and_cuts_what_outlasts_the_grace() {
    let echo = Echo::start("1").await;
    let kit = Kit::serving("m", &[("1", 10_000, echo.address)]).await;
    kit.get("/m").await;
    let began = Instant::now();
    assert!(kit.running.stop(Duration::from_secs(10)).await);
    assert!(began.elapsed() < Duration::from_secs(2), "an idle connection is not waited for");
    let (feed, pieces) = mpsc::channel(1);
    let kit = Kit::serving("m", &[("1", 10_000, fed(pieces).await)]).await;
    feed.send("one").await.unwrap();
    let mut response = kit.get("/m").await;
    response.chunk().await.unwrap();
    assert!(!kit.running.stop(Duration::from_millis(100)).await);
    assert!(response.chunk().await.is_err());
}

#[tokio::test]
async fn a_taken_port_is_one_sentence() {
    let kit = Kit::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        listen: kit.running.addr,
        state_dir: folder.path().to_owned(),
        router: "r2".to_owned(),
        limits: Limits::default(),
        trusted: TrustedPeers::default(),
    };
    let error = Proxy::start(config).await.unwrap_err();
    let expected = format!(
        "can't listen on {}: another process listens there already; stop it or choose another port",
        kit.running.addr
    );
    assert_eq!(error.to_string(), expected);
}
