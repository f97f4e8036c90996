//! `traces`: where spans go, and which requests have one.

use reqwest::Url;
use zeroize::Zeroizing;

use super::Traces;
use super::fault::quoted;
use super::section::Section;
use super::table::{Absent, Field, Kind, Many, Nested, Table};
use super::walk::Walk;

pub(super) static TRACES: Nested = Nested {
    name: "traces",
    many: Many::One,
    table: &TABLE,
    absent: Absent::Means("none; `traceparent` passes as it came"),
    says: "Where spans of requests go.",
};

static TABLE: Table = Table {
    name: "traces",
    says: "Spans of requests, sent to a collector by OTLP over HTTP. A request that comes with a sampled \
           `traceparent` (W3C Trace Context) continues that trace; what is no `traceparent` is replaced.",
    exactly_one: false,
    fields: &[&ENDPOINT, &SAMPLE, &SERVICE, &AUTHORIZATION],
};

static ENDPOINT: Field<Url> = Field {
    name: "endpoint",
    kind: Kind::Text {
        what: "a URL, `http://` or `https://`, without user, query or fragment",
        pattern: Some("^https?://[^@?#\\s]+$"),
        secret: false,
        parse: |text| {
            let url = Url::parse(text).ok().filter(|url| {
                matches!(url.scheme(), "http" | "https")
                    && url.host().is_some()
                    && url.username().is_empty()
                    && url.password().is_none()
                    && url.query().is_none()
                    && url.fragment().is_none()
            });
            // Not quoted: what stands before an `@` may be a secret.
            url.ok_or_else(|| {
                "is no URL, `http://` or `https://`, without user, query or fragment".to_owned()
            })
        },
    },
    absent: Absent::Fault,
    says: "Where they are posted to, path and all: `http://collector:4318/v1/traces`.",
};

static SAMPLE: Field<f64> = Field {
    name: "sample",
    kind: Kind::Text {
        what: "a share from 0 to 1, as `0.01`",
        pattern: Some("^(0(\\.[0-9]+)?|1(\\.0+)?)$"),
        secret: false,
        parse: |text| {
            let is_plain = text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.');
            let share = text
                .parse()
                .ok()
                .filter(|share| (0.0..=1.0).contains(share));
            share
                .filter(|_| is_plain)
                .ok_or_else(|| format!("{} is not a share from 0 to 1, as `0.01`", quoted(text)))
        },
    },
    absent: Absent::Default("0.01"),
    says: "Which share of the requests that begin a trace here has a span.",
};

static SERVICE: Field<String> = Field {
    name: "service",
    kind: Kind::Text {
        what: "a name of at most 100 visible ASCII characters",
        pattern: Some("^[!-~]{1,100}$"),
        secret: false,
        parse: |text| {
            let fits =
                (1..=100).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_graphic());
            fits.then(|| text.to_owned()).ok_or_else(|| {
                format!(
                    "{} is not a name of at most 100 visible ASCII characters",
                    quoted(text)
                )
            })
        },
    },
    absent: Absent::Default("portcullis"),
    says: "`service.name` of the spans; `service.instance.id` is `node`.",
};

static AUTHORIZATION: Field<Zeroizing<String>> = Field {
    name: "authorization",
    kind: Kind::Text {
        what: "a value of the field `Authorization`",
        pattern: None,
        secret: true,
        parse: |text| {
            if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
                Ok(Zeroizing::new(text.to_owned()))
            } else {
                Err("holds other than visible ASCII characters and spaces".to_owned())
            }
        },
    },
    absent: Absent::Means("none"),
    says: "What the collector is shown as `Authorization`: `Bearer ${COLLECTOR_TOKEN}`.",
};

pub(super) fn read(root: &Section, walk: &mut Walk) -> Option<Traces> {
    let section = root.given(walk, &TRACES)?;
    if !cfg!(feature = "otlp") {
        walk.fault(
            root.path_of(TRACES.name),
            root.at_of(TRACES.name),
            "this gate was built without the feature `otlp`",
        );
    }
    let endpoint = section.read(walk, &ENDPOINT);
    let sample = section.get(walk, &SAMPLE);
    let service = section.get(walk, &SERVICE);
    let authorization = section.read(walk, &AUTHORIZATION);
    Some(Traces {
        endpoint: endpoint?.value,
        sample,
        service,
        authorization: authorization.map(|read| read.value),
    })
}
