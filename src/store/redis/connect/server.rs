//! One server: its address, how it is let in to, and what is looked at before it is used.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    Arg, AsyncConnectionConfig, Cmd, ConnectionAddr, FromRedisValue, InfoDict,
    IntoConnectionInfo as _, Pipeline, ProtocolVersion, RedisConnectionInfo, RedisError, Value,
};
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::config::RedisTls;
use crate::store::StoreError;

use super::fault::{Cause, Fault};
use super::trust::Trust;

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Address {
    /// A name or an IP address, without brackets.
    pub(super) host: Arc<str>,
    /// The port.
    pub(super) port: u16,
}

/// How servers are spoken to, wherever they are.
#[derive(Clone)]
pub(super) struct Access {
    settings: RedisConnectionInfo,
    /// With whom, where TLS is spoken.
    tls: Option<Trust>,
}

/// A server and the right to use it.
#[derive(Debug, Clone)]
pub(super) struct Server {
    access: Access,
    address: Address,
}

/// What kind of server the configuration takes an address for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// One that holds everything.
    Alone,
    /// A node of a cluster.
    Node,
}

/// A connection to a server.
#[derive(Debug, Clone)]
pub(in crate::store::redis) struct Connection {
    connection: MultiplexedConnection,
    /// How long each answer may take.
    deadline: Duration,
    /// Where it leads.
    address: Address,
    /// How many connections of the link there were with it; zero where it is of no line.
    pub(super) number: u64,
    /// Why nothing may be written over it; `None` where it may.
    pub(super) read_only: Option<Arc<str>>,
}

impl Address {
    /// The address that a text names, as servers tell each other's: a host, `:`, a port.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(Self {
            host: Arc::from(host),
            port: port.parse().ok()?,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Access {
    /// How the servers at `url` are spoken to, and the address it names. What is given apart of a user
    /// and a password goes before what the address has.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if it is no `redis://` or `rediss://` address.
    pub(super) fn of(
        url: &str,
        username: Option<&str>,
        password: Option<&Zeroizing<String>>,
        tls: &RedisTls,
    ) -> Result<(Self, Address), StoreError> {
        let info = url.into_connection_info().map_err(unusable)?;
        let mut settings = info
            .redis_settings()
            .clone()
            .set_protocol(ProtocolVersion::RESP2)
            .set_lib_name("portcullis", env!("CARGO_PKG_VERSION"));
        if let Some(username) = username {
            settings = settings.set_username(username);
        }
        if let Some(password) = password {
            settings = settings.set_password(password.as_str());
        }
        let (host, port, tls) = match info.addr() {
            ConnectionAddr::Tcp(host, port) => (host, *port, None),
            ConnectionAddr::TcpTls { host, port, .. } => (host, *port, Some(Trust::new(tls))),
            ConnectionAddr::Unix(_) | _ => {
                return Err(StoreError::Unusable {
                    place: PLACE.to_owned(),
                    reason: "is not `redis://` or `rediss://`".to_owned(),
                });
            }
        };
        let address = Address {
            host: Arc::from(host.as_str()),
            port,
        };
        Ok((Self { settings, tls }, address))
    }

    /// The same, but for who asks.
    pub(super) fn as_user(
        &self,
        username: Option<&str>,
        password: Option<&Zeroizing<String>>,
    ) -> Self {
        let mut settings = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP2)
            .set_lib_name("portcullis", env!("CARGO_PKG_VERSION"));
        if let Some(username) = username {
            settings = settings.set_username(username);
        }
        if let Some(password) = password {
            settings = settings.set_password(password.as_str());
        }
        Self {
            settings,
            tls: self.tls.clone(),
        }
    }

    /// The server at an address.
    pub(super) fn server(&self, address: Address) -> Server {
        Server {
            access: self.clone(),
            address,
        }
    }

    fn client(&self, Address { host, port }: &Address) -> Result<redis::Client, Cause> {
        let (host, port) = (host.as_ref().to_owned(), *port);
        let address = match &self.tls {
            None => ConnectionAddr::Tcp(host, port),
            Some(_) => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            },
        };
        let fault = |source: RedisError| Cause::Connect { source };
        let info = address.into_connection_info().map_err(fault)?;
        let info = info.set_redis_settings(self.settings.clone());
        let client = match &self.tls {
            None => redis::Client::open(info),
            Some(trust) => {
                let certificates = trust.certificates().map_err(|error| fault(error.into()))?;
                redis::Client::build_with_tls(info, certificates)
            }
        };
        client.map_err(fault)
    }
}

/// Without the password.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { settings: _, tls } = self;
        f.debug_struct("Access")
            .field("tls", tls)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Where it is.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Connects, and looks at nothing. Each answer over the connection is waited for at most `deadline`.
    ///
    /// # Errors
    /// If there is no server, or it does not let us in.
    pub(super) async fn reach(&self, deadline: Duration) -> Result<Connection, Fault> {
        let client = self.access.client(&self.address);
        let client = client.map_err(|cause| self.fault(cause))?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_DEADLINE))
            // Each command has a deadline of its own.
            .set_response_timeout(None);
        let connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|source| self.fault(Cause::of_connecting(source)))?;
        Ok(Connection {
            connection,
            deadline,
            address: self.address.clone(),
            number: 0,
            read_only: None,
        })
    }

    /// Connects and looks at what is there. Each answer over the connection is waited for at most `deadline`.
    ///
    /// # Errors
    /// If there is no server, it does not let us in, it is too old, or it is not a master.
    pub(super) async fn connect(
        &self,
        part: Part,
        deadline: Duration,
    ) -> Result<Connection, Fault> {
        let mut connection = self.reach(deadline).await?;
        let mut look = redis::pipe();
        look.cmd("INFO").arg("server");
        look.cmd("ROLE");
        look.cmd("INFO").arg("memory");
        let (server, role, memory): (InfoDict, Vec<Value>, InfoDict) =
            connection.ask_all(&look).await?;
        let word = |name| server.get::<String>(name).unwrap_or_default();
        check(part, &word("redis_version"), &word("redis_mode"))
            .map_err(|cause| self.fault(cause))?;
        let role = role.into_iter().next().unwrap_or_default();
        let role: String = redis::from_redis_value(role).unwrap_or_default();
        if role != "master" {
            return Err(self.fault(Cause::NotMaster { role }));
        }
        let policy: Option<String> = memory.get("maxmemory_policy");
        connection.read_only = policy
            .filter(|policy| policy != "noeviction")
            .map(Arc::from);
        Ok(connection)
    }

    fn fault(&self, cause: Cause) -> Fault {
        Fault::at(&self.address, cause)
    }
}

impl Connection {
    /// Where it leads.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Sends one command and waits for its answer, not beyond the deadline.
    ///
    /// # Errors
    /// What the command failed with.
    pub(in crate::store::redis) async fn ask<T: FromRedisValue>(
        &self,
        command: &Cmd,
    ) -> Result<T, Fault> {
        let mut connection = self.connection.clone();
        let deadline = self.deadline_for(command);
        let answer = timeout(deadline, command.query_async(&mut connection)).await;
        self.in_time(answer)
    }

    /// Sends several commands at once and waits for all their answers, not beyond the deadline.
    ///
    /// # Errors
    /// What the first of them that failed failed with.
    pub(in crate::store::redis) async fn ask_all<T: FromRedisValue>(
        &self,
        commands: &Pipeline,
    ) -> Result<T, Fault> {
        let answers = self.answers(commands).await?;
        let answers: Result<Vec<Value>, Fault> = answers.into_iter().collect();
        let answers = redis::from_redis_value(Value::Array(answers?));
        answers.map_err(|source| self.fault(source.into()))
    }

    /// Sends several commands at once; what each was answered.
    ///
    /// # Errors
    /// If there was no answer.
    pub(super) async fn answers(
        &self,
        commands: &Pipeline,
    ) -> Result<Vec<Result<Value, Fault>>, Fault> {
        let mut connection = self.connection.clone();
        let answers = connection.send_packed_commands(commands, 0, commands.len());
        let longest = commands.cmd_iter().map(|it| self.deadline_for(it)).max();
        let answers = timeout(longest.unwrap_or(self.deadline), answers).await;
        let answers = self.in_time(answers)?;
        let answer = |answer: Value| answer.extract_error().map_err(|source| self.fault(source));
        Ok(answers.into_iter().map(answer).collect())
    }

    /// A fault at this address.
    pub(in crate::store::redis) fn blame(&self, cause: Cause) -> Fault {
        Fault::at(&self.address, cause)
    }

    fn fault(&self, source: RedisError) -> Fault {
        self.blame(Cause::of(source))
    }

    /// How long a command may take: one that carries a change of thousands of records is longer on its way, and
    /// in the server, than others.
    fn deadline_for(&self, command: &Cmd) -> Duration {
        let bytes = command.args_iter().map(|arg| match arg {
            Arg::Simple(bytes) => bytes.len(),
            _ => 0,
        });
        let kibibytes = u32::try_from(bytes.sum::<usize>() / 1_024).unwrap_or(u32::MAX);
        self.deadline + Duration::from_millis(1).saturating_mul(kibibytes)
    }

    fn in_time<T>(&self, answer: Result<Result<T, RedisError>, Elapsed>) -> Result<T, Fault> {
        match answer {
            Ok(answer) => answer.map_err(|source| self.fault(source)),
            Err(_) => Err(self.blame(Cause::Silent)),
        }
    }
}

/// What speaks against a server of this version and kind.
fn check(part: Part, version: &str, mode: &str) -> Result<(), Cause> {
    let major = version.split('.').next().and_then(|text| text.parse().ok());
    if major.is_none_or(|major: u32| major < OLDEST) {
        return Err(Cause::Old {
            version: version.to_owned(),
        });
    }
    match (mode, part) {
        ("sentinel", _) => Err(Cause::Sentinel),
        ("cluster", Part::Alone) => Err(Cause::InCluster),
        ("standalone", Part::Node) => Err(Cause::NoCluster),
        _ => Ok(()),
    }
}

fn unusable(reason: RedisError) -> StoreError {
    StoreError::Unusable {
        place: PLACE.to_owned(),
        reason: reason.to_string(),
    }
}

const PLACE: &str = "the Redis address";
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);
/// `#!lua` scripts, which are refused whole when memory is short, came with Redis 7.
const OLDEST: u32 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port_and_is_written_as_it_is_read() {
        for (text, host, port) in [
            ("10.0.0.1:6379", "10.0.0.1", 6379),
            ("redis-1.example.com:7000", "redis-1.example.com", 7000),
            ("[::1]:6379", "::1", 6379),
        ] {
            let address = Address::read(text).unwrap();
            assert_eq!((&*address.host, address.port), (host, port));
            assert_eq!(address.to_string(), text);
        }
        assert_eq!(
            Address::read("fd00::7:6379").unwrap().to_string(),
            "[fd00::7]:6379"
        );
        for text in ["", "host", "host:", "host:x", "host:65536"] {
            assert_eq!(Address::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_server_is_taken_from_version_7_and_for_what_it_is() {
        let fits = |part, version, mode| check(part, version, mode).is_ok();
        assert!(fits(Part::Alone, "7.0.0", "standalone"));
        assert!(fits(Part::Node, "8.2.3", "cluster"));
        assert!(fits(Part::Alone, "10.1", ""));
        for version in ["6.2.14", "3.0", "", "unknown"] {
            assert!(!fits(Part::Alone, version, "standalone"), "{version}");
        }
        assert!(!fits(Part::Alone, "7.0.0", "cluster"));
        assert!(!fits(Part::Node, "7.0.0", "standalone"));
        assert!(!fits(Part::Alone, "7.0.0", "sentinel"));
    }
}
