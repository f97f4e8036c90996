//! What the reference says of one call: its words, what it reads, what it answers.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use crate::admin::problem::Code;
use crate::api::form;

/// Makes the schema of a type.
pub(super) type MakeSchema = fn(&mut SchemaGenerator) -> Schema;

/// What the reference says of one call.
pub(crate) struct About {
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) text: &'static str,
    pub(super) params: Vec<Param>,
    pub(super) body: Option<Body>,
    pub(super) answers: Vec<Answer>,
    pub(super) codes: Vec<Code>,
    pub(super) makes: Option<(&'static str, &'static str)>,
}

/// A parameter of the query, or a field of the header.
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) place: &'static str,
    pub(super) text: &'static str,
    pub(super) schema: MakeSchema,
    pub(super) example: Value,
}

/// What a call is sent.
pub(super) struct Body {
    pub(super) media: &'static str,
    pub(super) is_optional: bool,
    pub(super) schema: MakeSchema,
    pub(super) example: Value,
}

/// An answer to a call that was done.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) text: &'static str,
    pub(super) media: &'static str,
    pub(super) schema: MakeSchema,
    pub(super) example: Value,
    pub(super) fields: Vec<(&'static str, &'static str)>,
}

impl About {
    /// A call of this name among programs and for people.
    pub(crate) fn new(id: &'static str, summary: &'static str, text: &'static str) -> Self {
        Self {
            id,
            summary,
            text,
            params: Vec::new(),
            body: None,
            answers: Vec::new(),
            codes: Vec::new(),
            makes: None,
        }
    }

    /// It takes a parameter in the query.
    pub(crate) fn query<T: JsonSchema>(
        mut self,
        name: &'static str,
        example: impl Into<Value>,
        text: &'static str,
    ) -> Self {
        self.params.push(Param {
            name,
            place: "query",
            text,
            schema: SchemaGenerator::subschema_for::<T>,
            example: example.into(),
        });
        self
    }

    /// It is told why, for the audit log.
    pub(crate) fn reason(self) -> Self {
        self.query::<form::Reason>("reason", "left the company", "Why, for the audit log.")
    }

    /// It can wait until every gate acts on what it did.
    pub(crate) fn waits(self) -> Self {
        let wait = "`all`: answers when every gate acts on it, or when the time is over.";
        let timeout = "How long to wait, at most `60s`; default `5s`.";
        self.query::<form::WaitAll>("wait", "all", wait)
            .query::<form::Length>("timeout", "5s", timeout)
    }

    /// It is a list that is told a page at a time.
    pub(crate) fn paged(self) -> Self {
        let limit = "How many items a page has at most.";
        let cursor = "Where to go on: the `next_cursor` of the page before, under the same query.";
        self.query::<form::PageLimit>("limit", 100, limit)
            .query::<String>("cursor", Value::Null, cursor)
            .code(Code::BadCursor)
    }

    fn field(mut self, name: &'static str, schema: MakeSchema, text: &'static str) -> Self {
        self.params.push(Param {
            name,
            place: "header",
            text,
            schema,
            example: Value::Null,
        });
        self
    }

    /// It can be made to depend on what the caller saw last.
    pub(crate) fn if_match(self) -> Self {
        let text = "Changes only what still has one of these entity tags, else 412.";
        self.field(
            "If-Match",
            SchemaGenerator::subschema_for::<form::EntityTags>,
            text,
        )
        .code(Code::PreconditionFailed)
    }

    /// It can be repeated without being done twice.
    pub(crate) fn idempotent(self) -> Self {
        let text = "Names this call for 24 hours: a repetition answers alike, and does nothing.";
        self.field(
            "Idempotency-Key",
            SchemaGenerator::subschema_for::<form::IdempotencyKey>,
            text,
        )
    }

    /// It is sent this.
    pub(crate) fn body<T: JsonSchema>(self, example: Value) -> Self {
        self.sent(
            "application/json",
            false,
            SchemaGenerator::subschema_for::<T>,
            example,
        )
    }

    /// It is sent this, or nothing.
    pub(crate) fn body_if_any<T: JsonSchema>(self, example: Value) -> Self {
        self.sent(
            "application/json",
            true,
            SchemaGenerator::subschema_for::<T>,
            example,
        )
    }

    /// It is sent text of this media type.
    pub(crate) fn text_body(self, media: &'static str, example: &str) -> Self {
        self.sent(
            media,
            false,
            SchemaGenerator::subschema_for::<String>,
            example.into(),
        )
    }

    fn sent(
        mut self,
        media: &'static str,
        is_optional: bool,
        schema: MakeSchema,
        example: Value,
    ) -> Self {
        self.body = Some(Body {
            media,
            is_optional,
            schema,
            example,
        });
        self
    }

    /// It answers this.
    pub(crate) fn answer<T: JsonSchema>(
        mut self,
        status: u16,
        text: &'static str,
        example: Value,
    ) -> Self {
        self.answers.push(Answer {
            status,
            text,
            media: "application/json",
            schema: SchemaGenerator::subschema_for::<T>,
            example,
            fields: Vec::new(),
        });
        self
    }

    /// It answers text of this media type.
    pub(crate) fn text_answer(
        mut self,
        media: &'static str,
        text: &'static str,
        example: &str,
    ) -> Self {
        self.answers.push(Answer {
            status: 200,
            text,
            media,
            schema: SchemaGenerator::subschema_for::<String>,
            example: example.into(),
            fields: Vec::new(),
        });
        self
    }

    /// The page that was told of before can be had as a file of NDJSON or CSV, too.
    pub(crate) fn exported(self, ndjson: &str, csv: &str) -> Self {
        self.with(
            "Content-Disposition",
            "With `ndjson` and `csv`: a name for a file.",
        )
        .with(
            "X-Next-Cursor",
            "With `ndjson` and `csv`: where it goes on, if it does.",
        )
        .text_answer("application/x-ndjson", "", ndjson)
        .text_answer("text/csv", "", csv)
    }

    /// The answer before has this field.
    pub(crate) fn with(mut self, name: &'static str, text: &'static str) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.fields.push((name, text));
        }
        self
    }

    /// The answer before names the state it tells of.
    pub(crate) fn tagged(self) -> Self {
        self.with("ETag", "Names this state of it, for `If-Match`.")
    }

    /// The answer before says where what was made is.
    pub(crate) fn located(self) -> Self {
        self.with("Location", "Where it is.")
    }

    /// What it answers names something that other calls have in their paths: by this name there, at this
    /// pointer here.
    pub(crate) fn makes(mut self, name: &'static str, pointer: &'static str) -> Self {
        self.makes = Some((name, pointer));
        self
    }

    /// It may end with this problem, besides those that follow from what it reads and does.
    pub(crate) fn code(mut self, code: Code) -> Self {
        self.codes.push(code);
        self
    }

    /// The same for several.
    pub(crate) fn codes(mut self, codes: &[Code]) -> Self {
        self.codes.extend_from_slice(codes);
        self
    }
}
