//! A real Prometheus that scrapes gates, on a free port, gone when the test is.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// A running Prometheus.
pub(super) struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// One that scrapes these gates five times a second, as job `portcullis`.
    pub(super) fn scraping(gates: &[SocketAddr], token: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let targets: Vec<String> = gates.iter().map(|gate| format!("\"{gate}\"")).collect();
        std::fs::write(folder.path().join("token"), token).unwrap();
        let config = format!(
            "scrape_configs:\n  - job_name: portcullis\n    scrape_interval: 200ms\n    scrape_timeout: 200ms\n\
             \x20   authorization: {{ credentials_file: token }}\n    static_configs: [{{ targets: [{}] }}]\n",
            targets.join(", ")
        );
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        let mut child = Command::new("prometheus")
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .args(["--web.listen-address=127.0.0.1:0", "--log.format=json"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("prometheus is there: apt-get install prometheus");
        let words = BufReader::new(child.stderr.take().unwrap());
        let mut lines = words.lines().map_while(Result::ok);
        let address = lines.find_map(|line| {
            let line: Value = serde_json::from_str(&line).ok()?;
            let address = line["address"].as_str()?.parse::<SocketAddr>().ok()?;
            (address.port() != 0).then_some(address)
        });
        // It ends when nobody reads what it says.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address: address.expect("it says where it listens"),
            _folder: folder,
        }
    }

    /// What a query comes to now: its series.
    pub(super) fn query(&self, query: &str) -> Vec<Value> {
        let form: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let body = format!("query={form}");
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let head = format!(
            "POST /api/v1/query HTTP/1.0\r\nhost: prometheus\r\ncontent-length: {}\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let told: Value = serde_json::from_str(body).unwrap();
        assert_eq!(told["status"], "success", "{query}: {told}");
        told["data"]["result"].as_array().unwrap().clone()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
