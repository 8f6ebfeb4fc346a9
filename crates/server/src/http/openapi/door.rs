//! A router that knows what its routes mean.
//!
//! What is wrong with a description (an id that was given before, a parameter of the path that nobody describes, two schemas of one
//! name) is a mistake in this program and ends it, where axum does the same for routes that overlap: when the router is made, so in
//! every test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use utoipa::openapi::path::{HttpMethod, PathItem};
use utoipa::openapi::{OpenApi, RefOr, Schema};

use super::document;
use super::operation::{Operation, Tag};
use crate::app::App;
use crate::http::auth;

/// Routes with their descriptions.
#[derive(Default)]
pub(in crate::http) struct Door {
    router: Router<Arc<App>>,
    described: Vec<Described>,
}

/// What was said of a route.
struct Described {
    method: Method,
    route: String,
    operation: Operation,
}

impl Door {
    /// No routes.
    pub(in crate::http) fn new() -> Self {
        Self::default()
    }

    /// A route for `GET`, and by it for `HEAD`.
    #[must_use]
    pub(in crate::http) fn get<H: Handler<T, Arc<App>>, T: 'static>(self, route: &str, handler: H, operation: Operation) -> Self {
        self.add(Method::GET, route, get(handler), operation)
    }

    /// A route for `PUT`.
    #[must_use]
    pub(in crate::http) fn put<H: Handler<T, Arc<App>>, T: 'static>(self, route: &str, handler: H, operation: Operation) -> Self {
        self.add(Method::PUT, route, put(handler), operation)
    }

    /// A route for `POST`.
    #[must_use]
    pub(in crate::http) fn post<H: Handler<T, Arc<App>>, T: 'static>(
        self,
        route: &str,
        handler: H,
        operation: Operation,
    ) -> Self {
        self.add(Method::POST, route, post(handler), operation)
    }

    /// A route for `PATCH`.
    #[must_use]
    pub(in crate::http) fn patch<H: Handler<T, Arc<App>>, T: 'static>(
        self,
        route: &str,
        handler: H,
        operation: Operation,
    ) -> Self {
        self.add(Method::PATCH, route, patch(handler), operation)
    }

    /// A route for `DELETE`.
    #[must_use]
    pub(in crate::http) fn delete<H: Handler<T, Arc<App>>, T: 'static>(
        self,
        route: &str,
        handler: H,
        operation: Operation,
    ) -> Self {
        self.add(Method::DELETE, route, delete(handler), operation)
    }

    fn add(mut self, method: Method, route: &str, methods: MethodRouter<Arc<App>>, operation: Operation) -> Self {
        self.router = self.router.route(route, methods);
        self.described.push(Described { method, route: route.to_owned(), operation });
        self
    }

    /// All routes of both.
    #[must_use]
    pub(in crate::http) fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.described.extend(other.described);
        self
    }

    /// The same routes below `prefix`, where `otherwise` answers what none of them matches.
    #[must_use]
    pub(in crate::http) fn below<H: Handler<T, Arc<App>>, T: 'static>(self, prefix: &str, otherwise: H) -> Self {
        let routes = self.router.fallback(otherwise.clone()).method_not_allowed_fallback(otherwise);
        let prefixed = |described: Described| Described { route: format!("{prefix}{}", described.route), ..described };
        Self { router: Router::new().nest(prefix, routes), described: self.described.into_iter().map(prefixed).collect() }
    }

    /// Leaves it to the handlers how long bodies may be.
    #[must_use]
    pub(in crate::http) fn without_body_limit(mut self) -> Self {
        self.router = self.router.layer(DefaultBodyLimit::disable());
        self
    }

    /// The router, and the description of all of it.
    pub(super) fn open(self) -> (Router<Arc<App>>, OpenApi) {
        let mut parts = Parts::default();
        self.described.into_iter().for_each(|described| parts.add(described));
        (self.router, document::of(parts.paths, parts.schemas, &parts.tags))
    }
}

/// What a description consists of.
#[derive(Default)]
struct Parts {
    paths: BTreeMap<String, PathItem>,
    ids: BTreeSet<&'static str>,
    schemas: BTreeMap<String, RefOr<Schema>>,
    /// In the order of their first use.
    tags: Vec<Tag>,
}

impl Parts {
    fn add(&mut self, Described { method, route, operation }: Described) {
        let path = operation.described_path(&route).to_owned();
        let id = operation.id();
        assert!(self.ids.insert(id), "two operations are called {id}");
        self.tag(operation.tag());
        operation.schemas().for_each(|(name, schema)| self.schema(name, schema));
        let item = PathItem::new(in_words_of_openapi(&method), operation.build(&path, auth::needed(&method, Some(&route))));
        self.paths.entry(path).or_default().merge_operations(item);
    }

    fn tag(&mut self, tag: Tag) {
        match self.tags.iter().find(|known| known.name == tag.name) {
            None => self.tags.push(tag),
            Some(known) => assert!(*known == tag, "the tag {} has two descriptions", tag.name),
        }
    }

    fn schema(&mut self, name: String, schema: RefOr<Schema>) {
        if let Some(known) = self.schemas.get(&name) {
            assert!(*known == schema, "two schemas are called {name}");
        }
        self.schemas.insert(name, schema);
    }
}

fn in_words_of_openapi(method: &Method) -> HttpMethod {
    match *method {
        Method::PUT => HttpMethod::Put,
        Method::POST => HttpMethod::Post,
        Method::PATCH => HttpMethod::Patch,
        Method::DELETE => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

#[cfg(test)]
mod tests {
    use utoipa::openapi::path::HttpMethod;

    use super::super::schema;
    use super::*;
    use crate::http::openapi::PathParameter;

    const TAG: Tag = Tag { name: "Things", description: "What is tested." };
    const NAME: PathParameter = PathParameter { name: "name", description: "A name.", schema: schema::text };

    fn operation(id: &'static str) -> Operation {
        Operation::new(TAG, id, "Does it.").text("It is done.")
    }

    async fn handler() {}

    #[test]
    fn methods_of_one_path_are_described_together() {
        let first = Door::new().get("/a", handler, operation("get_a"));
        let second = Door::new().post("/a", handler, operation("post_a")).get("/b", handler, operation("get_b"));
        let (_, document) = first.merge(second).open();
        let path = &document.paths.paths["/a"];
        assert!(path.get.is_some() && path.post.is_some() && path.put.is_none());
        assert!(document.paths.get_path_operation("/b", HttpMethod::Get).is_some());
        assert_eq!(document.tags.map(|tags| tags.len()), Some(1));
    }

    #[test]
    fn a_prefix_is_part_of_the_path() {
        let door = Door::new().get("/a/{name}", handler, operation("get_a").path(&[NAME]));
        let (_, document) = door.below("/v1", handler).open();
        assert_eq!(document.paths.paths.keys().collect::<Vec<_>>(), ["/v1/a/{name}"]);
    }

    #[test]
    #[should_panic(expected = "two operations are called get_a")]
    fn an_id_is_given_once() {
        let _ = Door::new().get("/a", handler, operation("get_a")).get("/b", handler, operation("get_a")).open();
    }

    #[test]
    #[should_panic(expected = "/a/{name}")]
    fn a_parameter_of_the_path_is_described() {
        let _ = Door::new().get("/a/{name}", handler, operation("get_a")).open();
    }

    #[test]
    #[should_panic(expected = "/a")]
    fn a_parameter_that_the_path_has_not_is_not_described() {
        let _ = Door::new().get("/a", handler, operation("get_a").path(&[NAME])).open();
    }

    #[test]
    #[should_panic(expected = "two schemas are called Thing")]
    fn a_name_means_one_schema() {
        mod one {
            #[derive(utoipa::ToSchema)]
            pub(super) struct Thing {
                _a: u8,
            }
        }
        mod other {
            #[derive(utoipa::ToSchema)]
            pub(super) struct Thing {
                _b: u8,
            }
        }
        let one = Door::new().get("/a", handler, operation("get_a").result::<one::Thing>());
        let _ = one.merge(Door::new().get("/b", handler, operation("get_b").result::<other::Thing>())).open();
    }
}
