//! What one route with one method means: what it takes and what it answers.
//!
//! The statuses that come with what a request has (parameters, a body, a key) and those that any request may meet are added here, so
//! that routes name only their own.

use std::collections::BTreeSet;

use utoipa::openapi::path::{Operation as Described, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::{Content, ContentBuilder, RefOr, Required, Response, Schema};
use utoipa::{IntoParams, ToSchema};

use super::answers;
use super::document;
use super::schema::{self, Schemas, boolean, list, named, object};
use crate::http::auth::Access;

/// What operations are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct Tag {
    /// Shown as a heading.
    pub(in crate::http) name: &'static str,
    /// A sentence or two.
    pub(in crate::http) description: &'static str,
}

/// A parameter in the path of a route.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct PathParameter {
    /// As in the braces of the route.
    pub(in crate::http) name: &'static str,
    /// What it stands for.
    pub(in crate::http) description: &'static str,
    /// What it may be.
    pub(in crate::http) schema: fn() -> RefOr<Schema>,
}

/// The description of a route and a method, while it is made.
pub(in crate::http) struct Operation {
    tag: Tag,
    id: &'static str,
    summary: &'static str,
    notes: Option<&'static str>,
    path: Option<&'static str>,
    path_parameters: Vec<PathParameter>,
    query_parameters: Vec<Parameter>,
    built: OperationBuilder,
    errors: BTreeSet<u16>,
    /// Those that it has not, although they come with what its requests have.
    exceptions: &'static [u16],
    schemas: Schemas,
    /// Whether there is anything behind it that could fail.
    is_refusal: bool,
}

impl Operation {
    /// An operation with an `id` of its own (in `snake_case`) and a summary of one line.
    pub(in crate::http) fn new(tag: Tag, id: &'static str, summary: &'static str) -> Self {
        Self {
            tag,
            id,
            summary,
            notes: None,
            path: None,
            path_parameters: Vec::new(),
            query_parameters: Vec::new(),
            built: OperationBuilder::new(),
            errors: BTreeSet::new(),
            exceptions: &[],
            schemas: Vec::new(),
            is_refusal: false,
        }
    }

    /// A route of Qdrant that this version has not: it answers 501, whatever the request.
    pub(in crate::http) fn unsupported(tag: Tag, id: &'static str, summary: &'static str) -> Self {
        let mut operation = Self::new(tag, id, summary).notes("Not supported by this version: always answered by 501.");
        operation.is_refusal = true;
        operation.errors(&[501])
    }

    /// What the summary does not say.
    #[must_use]
    pub(in crate::http) fn notes(mut self, notes: &'static str) -> Self {
        self.notes = Some(notes);
        self
    }

    /// The path that clients know, where the route has more paths than are of use.
    #[must_use]
    pub(in crate::http) fn at(mut self, path: &'static str) -> Self {
        self.path = Some(path);
        self
    }

    /// The parameters in the path; what cannot be read of them is a 400, and the rules for them a 422.
    #[must_use]
    pub(in crate::http) fn path(mut self, parameters: &[PathParameter]) -> Self {
        self.path_parameters.extend_from_slice(parameters);
        if self.is_refusal { self } else { self.errors(&[400, 422]) }
    }

    /// The parameters of the query, none of which have to be there.
    #[must_use]
    pub(in crate::http) fn query<Q: IntoParams>(mut self) -> Self {
        self.query_parameters.extend(Q::into_params(|| Some(ParameterIn::Query)));
        self.errors(&[400])
    }

    /// A body of JSON.
    #[must_use]
    pub(in crate::http) fn json<T: ToSchema>(mut self) -> Self {
        schema::add::<T>(&mut self.schemas);
        self.body("application/json", Content::new(Some(named::<T>()))).errors(&[400, 408, 422])
    }

    /// A form with one file in a field of this name.
    #[must_use]
    pub(in crate::http) fn file(self, field: &'static str, description: &'static str) -> Self {
        let file = answers::octets().description(Some(description));
        let form = ContentBuilder::new().schema(Some(object().property(field, file).required(field))).build();
        self.body("multipart/form-data", form).errors(&[400, 408, 413, 415])
    }

    fn body(mut self, media: &str, content: Content) -> Self {
        let body: RequestBody = RequestBodyBuilder::new().content(media, content).required(Some(Required::True)).build();
        self.built = self.built.request_body(Some(body));
        self
    }

    /// 200, with a result in the common envelope.
    #[must_use]
    pub(in crate::http) fn result<T: ToSchema>(mut self) -> Self {
        schema::add::<T>(&mut self.schemas);
        self.answer(200, answers::result(named::<T>()))
    }

    /// 200, with a list of such in the common envelope.
    #[must_use]
    pub(in crate::http) fn results<T: ToSchema>(mut self) -> Self {
        schema::add::<T>(&mut self.schemas);
        self.answer(200, answers::result(list(named::<T>()).into()))
    }

    /// 200, with `true` in the common envelope, or `false` where there was nothing to do.
    #[must_use]
    pub(in crate::http) fn done(self) -> Self {
        self.answer(200, answers::result(boolean()))
    }

    /// 200, with JSON that is in no envelope.
    #[must_use]
    pub(in crate::http) fn plain<T: ToSchema>(mut self) -> Self {
        schema::add::<T>(&mut self.schemas);
        self.answer(200, answers::with("Done.", "application/json", Content::new(Some(named::<T>()))))
    }

    /// 200, with plain text.
    #[must_use]
    pub(in crate::http) fn text(self, description: &str) -> Self {
        self.media("text/plain", description)
    }

    /// 200, with text of some other type.
    #[must_use]
    pub(in crate::http) fn media(self, media: &str, description: &str) -> Self {
        self.answer(200, answers::with(description, media, Content::new(Some(schema::text()))))
    }

    /// 200, with the bytes of an archive.
    #[must_use]
    pub(in crate::http) fn archive(self, description: &str) -> Self {
        self.answer(200, answers::archive(description))
    }

    /// 202, for whoever does not wait.
    #[must_use]
    pub(in crate::http) fn accepted(self) -> Self {
        self.answer(202, answers::accepted())
    }

    /// Any other answer that is no failure.
    #[must_use]
    pub(in crate::http) fn answer(mut self, status: u16, response: Response) -> Self {
        self.built = self.built.response(status.to_string(), response);
        self
    }

    /// Failures that are this operation's own.
    #[must_use]
    pub(in crate::http) fn errors(mut self, statuses: &[u16]) -> Self {
        self.errors.extend(statuses);
        self
    }

    /// Failures that come with parameters or a body, and not here.
    #[must_use]
    pub(in crate::http) fn except(mut self, statuses: &'static [u16]) -> Self {
        self.exceptions = statuses;
        self
    }

    pub(super) fn id(&self) -> &'static str {
        self.id
    }

    pub(super) fn tag(&self) -> Tag {
        self.tag
    }

    pub(super) fn schemas(&self) -> impl Iterator<Item = (String, RefOr<Schema>)> {
        self.schemas.iter().cloned()
    }

    /// Where a route is described.
    pub(super) fn described_path<'a>(&'a self, route: &'a str) -> &'a str {
        self.path.unwrap_or(route)
    }

    /// The finished description.
    pub(super) fn build(self, path: &str, access: Access) -> Described {
        let given: BTreeSet<&str> = self.path_parameters.iter().map(|parameter| parameter.name).collect();
        let expected: BTreeSet<&str> = parameters_of(path).collect();
        assert!(given == expected, "the parameters of {path} are {expected:?}, described are {given:?}");
        let mut errors = self.errors;
        errors.retain(|status| !self.exceptions.contains(status));
        if !self.is_refusal {
            errors.extend([500, 503]);
        }
        errors.extend(match access {
            Access::Nothing => [].as_slice(),
            Access::Read => &[401],
            Access::Full => &[401, 403],
        });
        let parameters = self.path_parameters.into_iter().map(|parameter| {
            ParameterBuilder::new()
                .name(parameter.name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .description(Some(parameter.description))
                .schema(Some((parameter.schema)()))
                .build()
        });
        let built = parameters.chain(self.query_parameters).fold(self.built, OperationBuilder::parameter);
        errors
            .into_iter()
            .fold(built, |built, status| built.response(status.to_string(), answers::failure(status)))
            .operation_id(Some(self.id))
            .tag(self.tag.name)
            .summary(Some(self.summary))
            .description(self.notes)
            .securities(Some(document::keys(access)))
            .build()
    }
}

fn parameters_of(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}
