//! Real clients and a real API: curl, Python's requests and httpx over both versions of HTTP, nginx and
//! `python3 -m http.server` behind the gate.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::gate::Setup;
use crate::support::patience::until;
use crate::support::venv;

/// A server of someone else's, ended when dropped.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that was free a moment ago, for servers that must be told one.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn wait_for(address: SocketAddr) {
    until(&format!("something answers at {address}"), || {
        TcpStream::connect(address).is_ok()
    });
}

fn program(name: &str, package: &str) -> PathBuf {
    let places = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];
    let found = places
        .iter()
        .map(|place| Path::new(place).join(name))
        .find(|path| path.exists());
    found.unwrap_or_else(|| panic!("`{name}` is missing: install the package {package}"))
}

fn nginx(directory: &Path) -> (Peer, SocketAddr) {
    let port = free_port();
    let config = directory.join("nginx.conf");
    let place = directory.display();
    let text = format!(
        "daemon off; master_process off; pid {place}/nginx.pid; error_log stderr;\n\
         events {{}}\n\
         http {{ access_log off; client_body_temp_path {place}; proxy_temp_path {place};\n\
         fastcgi_temp_path {place}; uwsgi_temp_path {place}; scgi_temp_path {place};\n\
         server {{ listen 127.0.0.1:{port}; location / {{\n\
         return 200 \"key=[$http_x_api_key] id=[$http_x_portcullis_key_id]\\n\"; }} }} }}\n"
    );
    std::fs::write(&config, text).unwrap();
    let child = Command::new(program("nginx", "nginx"))
        .arg("-p")
        .arg(directory)
        .arg("-c")
        .arg(&config)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    wait_for(address);
    (Peer(child), address)
}

#[test]
fn curl_and_python_get_through_to_nginx_with_a_key_and_not_without() {
    let directory = tempfile::tempdir().unwrap();
    let (_nginx, upstream) = nginx(directory.path());
    let setup = Setup::new(upstream, "");
    let text = std::fs::read_to_string(setup.config()).unwrap();
    let with_h2c = text.replacen("'127.0.0.1:0' }", "'127.0.0.1:0', h2c: true }", 1);
    std::fs::write(setup.config(), with_h2c).unwrap();
    let gate = setup.start();
    let (key, secret) = gate.create_key("clients");
    let url = format!("http://{}/hello?a=1", gate.address);
    let through = format!("key=[] id=[{key}]\n");

    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let curl = |fields: &[&str]| {
            let output = Command::new(program("curl", "curl"))
                .args(["-s", "-w", "%{http_code}", version, &url])
                .args(fields)
                .output()
                .unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(
            curl(&["-H", &format!("X-API-Key: {secret}")]),
            format!("{through}200")
        );
        assert_eq!(
            curl(&["-H", &format!("Authorization: Bearer {secret}")]),
            format!("{through}200")
        );
        assert!(curl(&[]).ends_with("401"));
        assert!(curl(&["-H", "X-API-Key: nonsense"]).ends_with("401"));
    }

    let script = "
import os, sys, requests, httpx
url, secret, through = os.environ['URL'], os.environ['SECRET'], os.environ['THROUGH']
fields = {'X-API-Key': secret}
assert requests.get(url).status_code == 401
assert requests.get(url).json()['code'] == 'missing_key'
assert requests.get(url, headers={'X-API-Key': 'x'}).json()['code'] == 'unknown_key'
answer = requests.get(url, headers=fields)
assert (answer.status_code, answer.text) == (200, through), answer.text
session = requests.Session()
assert all(session.get(url, headers=fields).status_code == 200 for _ in range(5))
assert all(session.post(url, headers=fields, data=b'x' * 100000).status_code == 200 for _ in range(5))
for http2 in (False, True):
    client = httpx.Client(http1=not http2, http2=http2)
    answer = client.get(url, headers=fields)
    assert (answer.status_code, answer.text) == (200, through), answer.text
    assert answer.http_version == ('HTTP/2' if http2 else 'HTTP/1.1'), answer.http_version
    assert client.get(url).status_code == 401
print('well')
";
    let output = Command::new(venv::python())
        .args(["-c", script])
        .envs([("URL", &url), ("SECRET", &secret), ("THROUGH", &through)])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "well\n", "{said}");
}

#[test]
fn a_plain_python_server_is_protected_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("page.txt"), "a page\n").unwrap();
    let mut child = Command::new("python3")
        .args([
            "-u",
            "-m",
            "http.server",
            "0",
            "--bind",
            "127.0.0.1",
            "--directory",
        ])
        .arg(directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let _server = Peer(child);
    let port = line
        .split(" port ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    let setup = Setup::new(format!("127.0.0.1:{port}").parse().unwrap(), "");
    let gate = setup.start();
    let (_, secret) = gate.create_key("python");
    let get = |field: &str| {
        let url = format!("http://{}/page.txt", gate.address);
        let output = Command::new(program("curl", "curl"))
            .args(["-s", "-H", field, &url])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(get(&format!("X-API-Key: {secret}")), "a page\n");
    assert!(get("X-Nothing: x").contains("missing_key"));
}
