//! What one call takes and answers, as it is written in the description.

use super::{Access, Call, Created, Leads, Schemas, Unkept, WrittenJson, problems};
use axum::{extract::State, response::NoContent};
use http::StatusCode;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What a handler takes.
pub(crate) trait Takes {
    fn describe(operation: &mut Operation<'_>);
}

/// What a handler answers when all is well.
pub(crate) trait Answers {
    fn describe(operation: &mut Operation<'_>);
}

/// A call that is being described.
pub(crate) struct Operation<'a> {
    call: Call,
    schemas: &'a mut Schemas,
    parameters: Vec<Value>,
    body: Option<Value>,
    responses: BTreeMap<u16, Value>,
    takes_tokens: bool,
    takes_clients: bool,
}

impl<'a> Operation<'a> {
    pub(crate) fn new(call: Call, schemas: &'a mut Schemas) -> Self {
        let mut operation = Self {
            call,
            schemas,
            parameters: Vec::new(),
            body: None,
            responses: BTreeMap::new(),
            takes_tokens: false,
            takes_clients: false,
        };
        // Whatever is called: its head may be too large.
        operation.fails(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        call.problems.iter().for_each(|status| operation.fails(*status));
        operation
    }

    /// Shows a token, and may be refused for it.
    pub(crate) fn shows_a_token(&mut self) {
        self.takes_tokens = true;
        self.fails(StatusCode::UNAUTHORIZED);
        self.fails(StatusCode::FORBIDDEN);
        self.fails(StatusCode::SERVICE_UNAVAILABLE);
    }

    /// Shows a token as OAuth's clients do.
    pub(crate) fn shows_a_client(&mut self) {
        self.takes_clients = true;
    }

    /// Has a body of JSON.
    pub(crate) fn takes_json<T: JsonSchema>(&mut self) {
        let required = !self.schemas.may_be_empty::<T>();
        let schema = self.schemas.asked::<T>();
        self.takes_body("application/json", &schema);
        if let Some(body) = &mut self.body {
            body["required"] = required.into();
        }
    }

    /// Has a form as its body, with the fields of `T`.
    pub(crate) fn takes_form<T: JsonSchema>(&mut self, content_type: &str) {
        let schema = self.schemas.asked::<T>();
        self.takes_body(content_type, &schema);
    }

    /// Has a body of this type.
    pub(crate) fn takes_body(&mut self, content_type: &str, schema: &Value) {
        self.body = Some(json!({"required": true, "content": {content_type: {"schema": schema}}}));
        self.fails(StatusCode::BAD_REQUEST);
        self.fails(StatusCode::REQUEST_TIMEOUT);
        self.fails(StatusCode::PAYLOAD_TOO_LARGE);
    }

    /// Has the fields of `T` as parameters.
    pub(crate) fn takes_query<T: JsonSchema>(&mut self) {
        for (name, schema, required) in self.schemas.fields::<T>() {
            self.takes("query", &name, schema, required);
        }
        self.fails(StatusCode::BAD_REQUEST);
    }

    /// Has a `T` where its path has a name in braces.
    pub(crate) fn takes_in_path<T: JsonSchema>(&mut self) {
        let schema = self.schemas.asked::<T>();
        let name = self.call.path.split(['{', '}']).nth(1).unwrap_or_default();
        self.takes("path", name, schema, true);
        self.fails(StatusCode::BAD_REQUEST);
        self.fails(StatusCode::NOT_FOUND);
    }

    /// Has a parameter: in `query`, `path` or `header`.
    pub(crate) fn takes(&mut self, place: &str, name: &str, mut schema: Value, required: bool) {
        let mut parameter = json!({"name": name, "in": place, "required": required});
        if let Some(about) = schema.as_object_mut().and_then(|s| s.shift_remove("description")) {
            parameter["description"] = about;
        }
        parameter["schema"] = schema;
        self.parameters.push(parameter);
    }

    /// May be answered with a problem of this status.
    pub(crate) fn fails(&mut self, status: StatusCode) {
        self.responses.insert(status.as_u16(), problems::reference(status));
    }

    /// Is answered with this status and a body of this type, if there is one.
    pub(crate) fn answers(
        &mut self,
        status: StatusCode,
        about: &str,
        body: Option<(&'static str, Value)>,
    ) {
        let mut response = json!({"description": about, "headers": problems::headers()});
        if let Some((content_type, schema)) = body {
            response["content"] = json!({content_type: {"schema": schema}});
        }
        if let Some(Leads { parameter, pointer, to }) = self.call.leads {
            let value = format!("$response.body#{pointer}");
            let link = |to: &&str| {
                let link = json!({"operationId": to, "parameters": {parameter: value}});
                ((*to).to_owned(), link)
            };
            response["links"] = to.iter().map(link).collect::<Map<_, _>>().into();
        }
        self.responses.insert(status.as_u16(), response);
    }

    /// Is answered with this status and a body of JSON.
    pub(crate) fn answers_json<T: JsonSchema>(&mut self, status: StatusCode, about: &str) {
        let schema = self.schemas.told::<T>();
        self.answers(status, about, Some(("application/json", schema)));
    }

    /// Has another form of an answer that is described already.
    pub(crate) fn may_answer(&mut self, status: StatusCode, media_type: &str, schema: &Value) {
        if let Some(response) = self.responses.get_mut(&status.as_u16()) {
            response["content"][media_type] = json!({"schema": schema});
        }
    }

    /// Has one more header in its answer.
    pub(crate) fn answers_with(&mut self, status: StatusCode, header: &str, description: Value) {
        if let Some(response) = self.responses.get_mut(&status.as_u16()) {
            response["headers"][header] = description;
        }
    }

    /// As it is written: an Operation Object.
    pub(crate) fn written(self) -> Value {
        let Call { name, summary, about, access, .. } = self.call;
        let access_in_words = match access {
            Access::Scope(scope) => format!("A token needs the scope `{scope}`."),
            Access::Operator => "Only the operator may, on the operator's socket; whoever shows \
                                 a token is refused with 403."
                .to_owned(),
            Access::Token => "It needs a token of an API that has access tokens.".to_owned(),
            Access::Client => "A client shows the id and the secret of a token: by HTTP Basic, or \
                               as `client_id` and `client_secret` in the body."
                .to_owned(),
            Access::Anybody => "It needs no token.".to_owned(),
        };
        let description = [about, &access_in_words].map(str::trim).join("\n\n");
        let mut written = Map::new();
        written.insert("operationId".into(), name.into());
        written.insert("tags".into(), json!([self.call.subject()]));
        written.insert("summary".into(), summary.into());
        written.insert("description".into(), description.trim().into());
        // For `bearer` the list has no meaning of its own: OpenAPI 3.1 lets it name what is
        // needed.
        let mut security = match access {
            Access::Token => vec![json!({"token": []})],
            Access::Scope(scope) if self.takes_clients || self.takes_tokens => {
                vec![json!({"bearer": [scope]})]
            }
            _ if self.takes_tokens => vec![json!({"bearer": []})],
            _ => Vec::new(),
        };
        if self.takes_clients {
            // It may be in the body, which the description has no words for.
            security.extend([json!({"client": []}), json!({})]);
        }
        if !security.is_empty() {
            written.insert("security".into(), security.into());
        }
        if access == Access::Operator {
            written.insert("x-operator-only".into(), true.into());
        }
        if !self.parameters.is_empty() {
            written.insert("parameters".into(), self.parameters.into());
        }
        if let Some(body) = self.body {
            written.insert("requestBody".into(), body);
        }
        let responses = self.responses.into_iter();
        let responses: Map<_, _> =
            responses.map(|(status, response)| (status.to_string(), response)).collect();
        written.insert("responses".into(), responses.into());
        written.into()
    }
}

/// What the server has by itself.
impl<S> Takes for State<S> {
    fn describe(_: &mut Operation<'_>) {}
}

impl<T: JsonSchema> Answers for axum::Json<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_json::<T>(StatusCode::OK, "All is well.");
    }
}

impl<T: JsonSchema> Answers for WrittenJson<T> {
    fn describe(operation: &mut Operation<'_>) {
        axum::Json::<T>::describe(operation);
    }
}

impl<T: JsonSchema> Answers for Created<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_json::<T>(StatusCode::CREATED, "Made.");
    }
}

impl<R: Answers> Answers for Unkept<R> {
    fn describe(operation: &mut Operation<'_>) {
        R::describe(operation);
        let kept = json!({"description": "No cache may keep it.", "schema": {"const": "no-store"}});
        operation.answers_with(StatusCode::OK, "Cache-Control", kept.clone());
        operation.answers_with(StatusCode::CREATED, "Cache-Control", kept);
    }
}

impl Answers for NoContent {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers(StatusCode::NO_CONTENT, "Done; there is nothing to say.", None);
    }
}

impl Answers for &'static str {
    fn describe(operation: &mut Operation<'_>) {
        let text = ("text/plain; charset=utf-8", json!({"type": "string"}));
        operation.answers(StatusCode::OK, "Yes.", Some(text));
    }
}
