//! The document of the admin API, OpenAPI 3.1, made of the router's table.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use schemars::generate::{Contract, SchemaSettings};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::reference::{About, Answer, Body, MakeSchema, Param};
use crate::admin::auth::{Needs, Reach};
use crate::admin::problem::Code;
use crate::admin::router::{Call, calls};
use crate::api::form;
use crate::api::problem::{CONTENT_TYPE, Problem};

/// The document, whole.
#[must_use]
pub fn document() -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    let calls: Vec<(Call, About)> = calls()
        .into_iter()
        .map(|call| {
            let about = (call.about)();
            (call, about)
        })
        .collect();
    for (call, about) in &calls {
        let mut told = operation(call, about, &mut schemas);
        if let Some((name, pointer)) = about.makes {
            link(&mut told, links(&calls, name, pointer));
        }
        let path = paths.entry(call.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(call.method.as_str().to_ascii_lowercase(), told);
        }
    }
    json!({
        "openapi": "3.1.1",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Portcullis admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The listener of the admin API."}],
        "tags": TAGS.map(|(name, text)| json!({"name": name, "description": text})),
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An admin token.",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": crate::domain::token::SESSION_COOKIE,
                    "description": "A session of the dashboard. What changes something must come from the dashboard's own page.",
                },
            },
            "headers": {
                "RequestId": {
                    "description": "Names the call, here, in the audit log and in the gate's own log.",
                    "schema": {"type": "string", "pattern": "^req_[0-9A-Za-z]{16}$"},
                },
                "RetryAfter": {
                    "description": "After how many seconds to try again.",
                    "schema": {"type": "integer", "minimum": 1},
                },
                "WwwAuthenticate": {
                    "description": "How to say who you are.",
                    "schema": {"type": "string", "const": "Bearer"},
                },
            },
            "schemas": schemas.all(),
        },
    })
}

/// Says in its first answer which calls it leads to.
fn link(operation: &mut Value, links: Value) {
    let answers = operation
        .get_mut("responses")
        .and_then(Value::as_object_mut);
    let first = answers.and_then(|answers| answers.values_mut().next());
    if let Some(first) = first.and_then(Value::as_object_mut) {
        first.insert("links".into(), links);
    }
}

/// The calls whose path has `name`, which stands at `pointer` of an answer.
fn links(calls: &[(Call, About)], name: &str, pointer: &str) -> Value {
    let place = format!("{{{name}}}");
    let found = calls.iter().filter(|(call, _)| call.path.contains(&place));
    let found = found.map(|(call, about)| {
        let mut given = json!({name: format!("$response.body#{pointer}")});
        if call.path.contains("{number}") {
            merge(&mut given, json!({"number": 1}));
        }
        let link = json!({"operationId": about.id, "parameters": given});
        (about.id.to_owned(), link)
    });
    Value::Object(found.collect())
}

fn operation(call: &Call, about: &About, schemas: &mut Schemas) -> Value {
    let mut params = placeholders(call.path, schemas);
    params.extend(about.params.iter().map(|it| param(it, schemas)));
    let mut operation = json!({
        "operationId": about.id,
        "tags": [tag(call.path)],
        "summary": about.summary,
        "description": format!("{}\n\n{}", about.text, role_text(call.needs)).trim(),
        "security": security(call),
        "x-portcullis-role": role(call.needs),
        "parameters": params,
        "responses": answers(call, about, schemas),
    });
    if let (Some(body), Some(operation)) = (&about.body, operation.as_object_mut()) {
        operation.insert("requestBody".into(), request_body(body, schemas));
    }
    operation
}

/// The parameters that stand in a path.
fn placeholders(path: &str, schemas: &mut Schemas) -> Vec<Value> {
    let names = path.split('/').filter_map(|segment| {
        let rest = segment.strip_prefix('{')?;
        rest.strip_suffix('}')
    });
    names
        .map(|name| {
            let (schema, example, text) = match name {
                "key_id" => (
                    schemas.sent::<form::KeyRef>(),
                    json!("key_3fXk29QmZa"),
                    "The key's id.",
                ),
                "user_id" => (
                    schemas.sent::<form::OwnerRef>(),
                    json!("usr_7Gh2kQw9Lp"),
                    "The owner's id.",
                ),
                "token_id" => (
                    schemas.sent::<form::TokenRef>(),
                    json!("tok_5Rt8vBn3Xc"),
                    "The token's id.",
                ),
                "policy_id" => (
                    schemas.sent::<form::PolicyRef>(),
                    json!("pol_9Zx4cVb6Nm"),
                    "The policy's id.",
                ),
                "number" => (
                    schemas.sent::<form::VersionNumber>(),
                    json!(1),
                    "The version's number.",
                ),
                "node" => (
                    json!({"type": "string", "minLength": 1}),
                    json!("gate-2"),
                    "The gate's name.",
                ),
                _ => (
                    json!({"type": "string", "minLength": 1}),
                    json!("starter"),
                    "Its id or its name.",
                ),
            };
            json!({
                "name": name, "in": "path", "required": true,
                "description": text, "schema": schema, "example": example,
            })
        })
        .collect()
}

fn param(param: &Param, schemas: &mut Schemas) -> Value {
    let mut told = json!({
        "name": param.name,
        "in": param.place,
        "required": false,
        "description": param.text,
        "schema": schemas.made(param.schema, Contract::Deserialize),
    });
    if let Some(told) = told.as_object_mut() {
        if !param.example.is_null() {
            told.insert("example".into(), param.example.clone());
        }
        if param.place == "query" {
            // `status=` asks for no status in particular.
            told.insert("allowEmptyValue".into(), json!(true));
        }
    }
    told
}

fn request_body(body: &Body, schemas: &mut Schemas) -> Value {
    let schema = schemas.made(body.schema, Contract::Deserialize);
    json!({
        "required": !body.is_optional,
        "content": {body.media: {"schema": schema, "example": body.example}},
    })
}

fn answers(call: &Call, about: &About, schemas: &mut Schemas) -> Value {
    let mut told: BTreeMap<String, Value> = BTreeMap::new();
    for answer in &about.answers {
        let content = content(answer, schemas);
        let entry = told.entry(answer.status.to_string()).or_insert_with(|| {
            json!({"description": answer.text, "headers": fields(&answer.fields), "content": {}})
        });
        merge(&mut entry["content"], content);
    }
    let mut by_status: BTreeMap<u16, BTreeSet<Code>> = BTreeMap::new();
    for code in codes(call, about) {
        by_status
            .entry(code.status().as_u16())
            .or_default()
            .insert(code);
    }
    for (status, codes) in by_status {
        let entry = told
            .entry(status.to_string())
            .or_insert_with(|| json!({"description": "", "headers": fields(&[]), "content": {}}));
        describe(entry, &codes);
        merge(&mut entry["headers"], problem_fields(status));
        merge(&mut entry["content"], problem(status, &codes, schemas));
    }
    json!(told)
}

/// Adds what `more` has to the object `there`.
fn merge(there: &mut Value, more: Value) {
    if let (Some(there), Value::Object(more)) = (there.as_object_mut(), more) {
        there.extend(more);
    }
}

fn describe(entry: &mut Value, codes: &BTreeSet<Code>) {
    let said = codes.iter().map(|code| {
        let text = code.text().trim().trim_end_matches('.');
        format!("`{}`: {text}.", code.as_str())
    });
    let said: Vec<String> = said.collect();
    let before = entry["description"].as_str().unwrap_or_default();
    entry["description"] = json!(format!("{before}\n\n{}", said.join(" ")).trim());
}

fn content(answer: &Answer, schemas: &mut Schemas) -> Value {
    let schema = schemas.made(answer.schema, Contract::Serialize);
    json!({answer.media: {"schema": schema, "example": answer.example}})
}

fn fields(fields: &[(&str, &str)]) -> Value {
    let mut told = Map::new();
    told.insert(
        "X-Request-Id".into(),
        json!({"$ref": "#/components/headers/RequestId"}),
    );
    for (name, text) in fields {
        told.insert(
            (*name).to_owned(),
            json!({"description": text, "schema": {"type": "string"}}),
        );
    }
    Value::Object(told)
}

fn problem_fields(status: u16) -> Value {
    match status {
        401 => json!({"WWW-Authenticate": {"$ref": "#/components/headers/WwwAuthenticate"}}),
        429 | 503 => json!({"Retry-After": {"$ref": "#/components/headers/RetryAfter"}}),
        _ => json!({}),
    }
}

fn problem(status: u16, codes: &BTreeSet<Code>, schemas: &mut Schemas) -> Value {
    let words: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let example = codes.first().map(|code| {
        let mut example = json!({
            "type": format!("{}{}", crate::api::problem::TYPE_PREFIX, code.as_str()),
            "title": code.title(),
            "status": status,
            "code": code.as_str(),
            "detail": code.text().trim().trim_end_matches('.'),
            "request_id": "req_0Ab1Cd2Ef3Gh4Ij5",
        });
        if matches!(status, 400 | 422) {
            let fault =
                json!({"pointer": "/name", "code": "type", "detail": "this field is mandatory"});
            merge(&mut example, json!({"errors": [fault]}));
        }
        example
    });
    let schema = json!({
        "allOf": [
            schemas.told::<Problem>(),
            {"properties": {"status": {"const": status}, "code": {"enum": words}}},
        ],
    });
    json!({CONTENT_TYPE: {"schema": schema, "example": example}})
}

/// Every problem that a call may end with.
fn codes(call: &Call, about: &About) -> BTreeSet<Code> {
    use Code::{
        BadRequest, BodyTooLarge, Forbidden, Internal, Invalid, Misdirected, NotFound,
        RequestTimeout, StoreFull, StoreUnavailable, TooManyRequests, Unauthenticated,
        UnsupportedMediaType,
    };
    let mut codes: BTreeSet<Code> = about.codes.iter().copied().collect();
    codes.extend([Misdirected, Internal]);
    if is_probe(call.path) {
        return codes;
    }
    codes.insert(BadRequest);
    if call.needs != Needs::Nothing {
        codes.extend([
            Unauthenticated,
            Forbidden,
            TooManyRequests,
            StoreUnavailable,
        ]);
    }
    if call.path.contains('{') {
        codes.insert(NotFound);
    }
    if about.body.is_some() {
        codes.extend([RequestTimeout, BodyTooLarge, UnsupportedMediaType, Invalid]);
    }
    if call.method != Method::GET && call.needs != Needs::Nothing {
        codes.extend([Invalid, StoreFull]);
    }
    codes
}

/// What answers anybody and reads nothing.
fn is_probe(path: &str) -> bool {
    ["/healthz", "/readyz", "/openapi.json"].contains(&path)
}

fn security(call: &Call) -> Value {
    match call.needs {
        Needs::Role(..) => json!([{"token": []}, {"session": []}]),
        Needs::Metrics => json!([{"token": []}, {"session": []}, {}]),
        // Whoever is known may be told more than nobody.
        Needs::Nothing if call.path == "/admin/session" && call.method == Method::GET => {
            json!([{}, {"token": []}, {"session": []}])
        }
        Needs::Nothing => json!([]),
    }
}

/// The role that a call needs, for programs: `null` is nobody's in particular.
fn role(needs: Needs) -> Value {
    match needs {
        Needs::Nothing => Value::Null,
        Needs::Role(role, reach) => {
            json!({"role": role.as_str(), "bound": reach == Reach::Owned})
        }
        Needs::Metrics => json!({"role": "viewer", "bound": false}),
    }
}

fn role_text(needs: Needs) -> String {
    match needs {
        Needs::Nothing => "Needs no token.".to_owned(),
        Needs::Metrics => "Role `viewer`, unless `admin.open_metrics` is set.".to_owned(),
        Needs::Role(role, Reach::Owned) => {
            format!(
                "Role `{}`; one that is bound to an owner sees what is that owner's.",
                role.as_str()
            )
        }
        Needs::Role(role, Reach::Gate) => {
            format!("Role `{}`, not bound to an owner.", role.as_str())
        }
    }
}

fn tag(path: &str) -> &'static str {
    let path = path.strip_prefix("/admin/").unwrap_or_default();
    match path.split('/').next().unwrap_or_default() {
        "keys" if path.starts_with("keys/rotation") => "Automatic rotation",
        "keys" => "Keys",
        "users" => "Owners",
        "session" => "Sessions",
        "tokens" => "Tokens",
        "products" => "Products",
        "policies" => "Policies",
        "audit-logs" | "reports" => "Audit",
        "usage" | "live" => "Usage",
        _ => "The gate",
    }
}

/// The schemas of the wire types, those of what is sent and those of what is told: a field with a default
/// may be left out of the one and never is of the other.
struct Schemas {
    sent: SchemaGenerator,
    told: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|it| {
            it.meta_schema = None;
            it.definitions_path = "/components/schemas".into();
        });
        Self {
            sent: settings.clone().for_deserialize().into_generator(),
            told: settings.for_serialize().into_generator(),
        }
    }

    fn made(&mut self, make: MakeSchema, contract: Contract) -> Value {
        let generator = match contract {
            Contract::Serialize => &mut self.told,
            _ => &mut self.sent,
        };
        make(generator).to_value()
    }

    fn sent<T: JsonSchema>(&mut self) -> Value {
        self.sent.subschema_for::<T>().to_value()
    }

    fn told<T: JsonSchema>(&mut self) -> Value {
        self.told.subschema_for::<T>().to_value()
    }

    /// All that were referred to. What both have is the same in both; a test holds that.
    fn all(mut self) -> Map<String, Value> {
        let mut all = self.told.take_definitions(true);
        all.extend(self.sent.take_definitions(true));
        all
    }
}

const INTRODUCTION: &str = "How people and programs run a gate.\n\n\
    Bodies are JSON of at most 1 MiB; a field or a parameter that is not known is refused by its name. Times are \
    RFC 3339 in UTC, durations one number and `ms`, `s`, `m`, `h` or `d`. What is not known is `null`, not left \
    out; new fields may come. Lists go on where `next_cursor` says. Whatever is not done is told as \
    `application/problem+json` with a stable `code`.";

const TAGS: [(&str, &str); 10] = [
    (
        "Keys",
        "What owners hold: made, changed, rotated, paused and ended.",
    ),
    ("Automatic rotation", "Keys that rotate by themselves."),
    ("Owners", "Users, teams and systems that hold keys."),
    (
        "Products",
        "Bundles of permissions and limits that keys are given by name.",
    ),
    (
        "Policies",
        "What is asked of keys, and what becomes of those that nobody uses.",
    ),
    ("Usage", "What keys were used for, and what happens now."),
    (
        "Audit",
        "What was done, by whom and why; who may reach what.",
    ),
    ("Tokens", "Who may call this API."),
    ("Sessions", "Signing in to the dashboard."),
    ("The gate", "How it is, and which others share its store."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_and_told_under_one_name_is_one_schema() {
        let mut schemas = Schemas::new();
        for call in calls() {
            operation(&call, &(call.about)(), &mut schemas);
        }
        let told = schemas.told.take_definitions(true);
        for (name, schema) in schemas.sent.take_definitions(true) {
            if let Some(other) = told.get(&name) {
                assert_eq!(*other, schema, "{name}");
            }
        }
    }
}
