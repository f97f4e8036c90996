//! A client that speaks HTTP/1.1 and HTTP/2 as it should.

use std::net::SocketAddr;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::admin::Key;
use super::clock::within;

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A request, and where it goes; awaited, it goes there on a connection of its own.
pub(crate) struct Ask {
    address: SocketAddr,
    method: Method,
    path: String,
    host: String,
    headers: HeaderMap,
    body: Body,
}

impl Ask {
    /// A request to an address.
    pub(crate) fn new(address: SocketAddr, method: Method, path: &str) -> Self {
        Self {
            address,
            method,
            path: path.to_owned(),
            host: address.to_string(),
            headers: HeaderMap::new(),
            body: whole(Bytes::new()),
        }
    }

    /// With a key, in the usual field.
    pub(crate) fn with(self, key: &Key) -> Self {
        self.header("x-api-key", &key.secret)
    }

    /// With one more field.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.headers
            .append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    /// For another host.
    pub(crate) fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// With a body of known length.
    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = whole(body.into());
        self
    }

    /// With a body in JSON.
    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    /// With a body that is sent as it is fed.
    pub(crate) fn feeding(mut self) -> (Self, Feed) {
        let (sender, receiver) = mpsc::channel(1);
        let frames = stream::unfold(receiver, async |mut receiver| {
            receiver.recv().await.map(|frame| (frame, receiver))
        });
        self.body = StreamBody::new(frames).boxed_unsync();
        (self, Feed(sender))
    }

    fn request(self, is_http2: bool) -> Request<Body> {
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method;
        *request.headers_mut() = self.headers;
        if is_http2 {
            let uri = format!("http://{}{}", self.host, self.path);
            *request.uri_mut() = uri.parse().unwrap();
        } else {
            *request.uri_mut() = self.path.parse().unwrap();
            let host = HeaderValue::from_str(&self.host).unwrap();
            request.headers_mut().insert("host", host);
        }
        request
    }
}

impl IntoFuture for Ask {
    type Output = Reply;
    type IntoFuture = Pin<Box<dyn Future<Output = Reply> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut connection = Connection::to(self.address).await;
            connection.send(self).await
        })
    }
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// The other end of a body that is sent as it is fed; ended when dropped.
pub(crate) struct Feed(mpsc::Sender<Result<Frame<Bytes>, std::io::Error>>);

impl Feed {
    /// Sends some of the body, when what was sent before is on its way; whether anyone wants it still.
    pub(crate) async fn send(&self, bytes: impl Into<Bytes>) -> bool {
        let sending = self.0.send(Ok(Frame::data(bytes.into())));
        within("some of a body is wanted", sending).await.is_ok()
    }

    /// Ends the body with trailers.
    pub(crate) async fn trailers(self, name: &'static str, value: &'static str) {
        let mut trailers = HeaderMap::new();
        trailers.insert(name, HeaderValue::from_static(value));
        let _ = self.0.send(Ok(Frame::trailers(trailers))).await;
    }

    /// Breaks off in the middle.
    pub(crate) async fn break_off(self) {
        let _ = self
            .0
            .send(Err(std::io::Error::other("broken off by the test")))
            .await;
    }
}

enum Sender {
    One(http1::SendRequest<Body>),
    Two(http2::SendRequest<Body>),
}

/// A connection that is kept. Closed when dropped.
pub(crate) struct Connection {
    sender: Sender,
    driver: JoinSet<()>,
    /// The same socket again, so that it is closed when this is dropped, not when the driver is.
    socket: Option<std::net::TcpStream>,
}

impl Connection {
    /// HTTP/1.1 to an address.
    pub(crate) async fn to(address: SocketAddr) -> Self {
        Self::connect(address, false).await
    }

    /// HTTP/2 to an address, by prior knowledge.
    pub(crate) async fn http2(address: SocketAddr) -> Self {
        Self::connect(address, true).await
    }

    async fn connect(address: SocketAddr, is_http2: bool) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let stream = stream.into_std().unwrap();
        let socket = stream.try_clone().unwrap();
        let stream = TcpStream::from_std(stream).unwrap();
        let mut connection = Self::over(stream, is_http2).await;
        connection.socket = Some(socket);
        connection
    }

    /// Either, over a stream.
    pub(crate) async fn over<S>(stream: S, is_http2: bool) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(stream);
        let mut driver = JoinSet::new();
        let sender = if is_http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            driver.spawn(async move { drop(connection.await) });
            Sender::Two(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.unwrap();
            driver.spawn(async move { drop(connection.await) });
            Sender::One(sender)
        };
        Self {
            sender,
            driver,
            socket: None,
        }
    }

    /// Sends a request and reads the whole reply.
    pub(crate) async fn send(&mut self, ask: Ask) -> Reply {
        let answer = self.open(ask).await;
        within("the end of a reply", answer.reply()).await
    }

    /// Sends a request and reads the head of the reply.
    pub(crate) async fn open(&mut self, ask: Ask) -> Answer {
        within("a reply", self.begin(ask)).await.unwrap()
    }

    /// Begins a request. On HTTP/2 many can be under way.
    pub(crate) fn begin(
        &mut self,
        ask: Ask,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, hyper::Error>> + Send>> {
        match &mut self.sender {
            Sender::One(sender) => {
                let sent = sender.send_request(ask.request(false));
                Box::pin(async move { sent.await.map(Answer::new) })
            }
            Sender::Two(sender) => {
                let sent = sender.send_request(ask.request(true));
                Box::pin(async move { sent.await.map(Answer::new) })
            }
        }
    }

    /// Waits until the gate closes the connection.
    pub(crate) async fn closed(&mut self) {
        within("the gate closes a connection", self.driver.join_next()).await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(socket) = &self.socket {
            // The gate may have closed it first.
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// A reply whose body is still to come.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub status: u16,
    /// Which HTTP it came over.
    pub version: Version,
    /// Its fields.
    pub headers: HeaderMap,
    body: Incoming,
}

impl Answer {
    fn new(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        Self {
            status: head.status.as_u16(),
            version: head.version,
            headers: head.headers,
            body,
        }
    }

    /// Some of the body; `None` at its end.
    pub(crate) async fn some(&mut self) -> Option<Bytes> {
        loop {
            let frame = within("some of a reply", self.body.frame()).await?;
            let some = frame.unwrap().into_data().ok()?;
            // HTTP/2 ends a body with an empty frame.
            if !some.is_empty() {
                return Some(some);
            }
        }
    }

    /// Reads the rest.
    pub(crate) async fn reply(mut self) -> Reply {
        let mut reply = Reply {
            status: self.status,
            version: self.version,
            headers: self.headers,
            body: Vec::new(),
            trailers: None,
            is_cut: false,
        };
        while let Some(frame) = self.body.frame().await {
            let Ok(frame) = frame else {
                reply.is_cut = true;
                break;
            };
            match frame.into_data() {
                Ok(data) => reply.body.extend_from_slice(&data),
                Err(frame) => reply.trailers = frame.into_trailers().ok(),
            }
        }
        reply
    }
}

/// A reply, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    /// Its status.
    pub status: u16,
    /// Which HTTP it came over.
    pub version: Version,
    /// Its fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
    /// What came after it.
    pub trailers: Option<HeaderMap>,
    /// Whether it ended in the middle.
    pub is_cut: bool,
}

impl Reply {
    /// A field's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The code of a refusal, which must be whole: problem document and fields (RFC 9457).
    pub(crate) fn refusal(&self) -> String {
        let text = self.text();
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{} {text}",
            self.status
        );
        assert_eq!(self.header("cache-control"), Some("no-store"));
        let problem = self.json();
        let code = problem["code"].as_str().unwrap();
        let id = self.header("x-request-id").unwrap();
        assert_eq!(problem["type"], format!("urn:portcullis:problem:{code}"));
        assert_eq!(problem["status"], self.status, "{text}");
        assert_eq!(problem["request_id"], id, "{text}");
        assert!(!problem["title"].as_str().unwrap().is_empty());
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        assert_eq!(problem.as_object().unwrap().len(), 6, "{text}");
        let challenge = self.header("www-authenticate");
        assert_eq!(challenge, (self.status == 401).then_some("ApiKey"));
        assert_eq!(self.header("retry-after").is_some(), self.status == 429);
        assert_eq!(self.header("allow").is_some(), code == "method_not_allowed");
        code.to_owned()
    }

    /// The whole seconds after which to try again.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.header("retry-after").map(|text| text.parse().unwrap())
    }
}
