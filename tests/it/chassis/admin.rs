//! The admin pages of a process.

use std::net::{SocketAddr, TcpListener};

use ::chassis::{Clock, Core, admin};
use store::Store;

async fn status(address: SocketAddr, page: &str) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(format!("http://{address}{page}")).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_process_is_ready_while_its_database_answers() {
    let folder = tempfile::tempdir().unwrap();
    let core = Core::start(Store::open(folder.path()).await.unwrap(), Clock::system()).await.unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    admin::listen(&core, free).await.unwrap();
    assert_eq!(
        (status(free, "/livez").await, status(free, "/readyz").await, status(free, "/metrics").await),
        (200, 200, 200)
    );
    core.store.close().await;
    assert_eq!((status(free, "/livez").await, status(free, "/readyz").await), (200, 503));
}

#[tokio::test]
async fn an_address_in_use_is_one_clear_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let core = Core::start(Store::open(folder.path()).await.unwrap(), Clock::system()).await.unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let said = format!("{:#}", admin::listen(&core, address).await.unwrap_err());
    assert!(said.starts_with(&format!("can't listen on {address}: Address already in use")), "{said}");
}
