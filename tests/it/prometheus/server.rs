//! The outside world as it is: a Prometheus and model servers, each a process of its own that ends with its test.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use crate::house::{LIMIT, answer, binary};

/// A `modelsim` process.
pub(super) struct ModelServer {
    child: Child,
    pub(super) model: String,
    pub(super) version: String,
    pub(super) url: String,
}

impl ModelServer {
    pub(super) fn start(model: &str, version: &str, dials: &Value) -> Self {
        let mut child = Command::new(binary().with_file_name("modelsim"))
            .args(["--listen", "127.0.0.1:0", "--name", model, "--model-version", version])
            .args(["--dials", &dials.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self { child, model: model.to_owned(), version: version.to_owned(), url }
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A Prometheus with a folder and a port of its own, which scrapes each second.
pub(super) struct Prometheus {
    child: Child,
    folder: TempDir,
    pub(super) url: String,
}

impl Prometheus {
    pub(super) fn start(servers: &[ModelServer]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let targets = servers.iter().map(|server| {
            let (address, name, version) = (server.url.trim_start_matches("http://"), &server.model, &server.version);
            format!("      - {{targets: ['{address}'], labels: {{name: '{name}', version: '{version}'}}}}\n")
        });
        let config = "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n  - job_name: sentiment\n    static_configs:\n";
        std::fs::write(folder.path().join("prometheus.yml"), config.to_owned() + &targets.collect::<String>()).unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = spawn(&folder, &free.to_string());
        Self { child, folder, url: format!("http://{free}") }
    }

    pub(super) fn stop(&mut self) {
        end(&mut self.child);
    }

    /// The same, over what it wrote before.
    pub(super) fn start_again(&mut self) {
        self.child = spawn(&self.folder, self.url.trim_start_matches("http://"));
    }

    /// Waits until it has scraped so many targets.
    pub(super) async fn is_scraping(&self, targets: usize) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let since = Instant::now();
        loop {
            let asked = client.get(format!("{}/api/v1/query?query=sum(up)", self.url));
            if client.get(format!("{}/-/ready", self.url)).send().await.is_ok_and(|ready| ready.status().is_success()) {
                let (_, found) = answer(asked).await;
                if found["data"]["result"][0]["value"][1] == Value::String(targets.to_string()) {
                    return;
                }
            }
            assert!(since.elapsed() < LIMIT, "Prometheus does not scrape");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn spawn(folder: &TempDir, address: &str) -> Child {
    Command::new("prometheus")
        .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("tsdb").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--log.level=error")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("`prometheus` is installed: `./x test` does that")
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
