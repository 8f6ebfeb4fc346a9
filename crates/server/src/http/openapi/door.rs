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
    /// What stands before all of its routes.
    prefix: &'static str,
    router: Router<Arc<App>>,
    paths: BTreeMap<String, PathItem>,
    ids: BTreeSet<&'static str>,
    schemas: BTreeMap<String, RefOr<Schema>>,
    /// In the order of their first use.
    tags: Vec<Tag>,
}

impl Door {
    /// No routes.
    pub(in crate::http) fn new() -> Self {
        Self::default()
    }

    /// No routes, and those to come are below this path: they are registered without it, and described and guarded with it. The
    /// path is put before them by [`nested`](Self::nested).
    pub(in crate::http) fn below(prefix: &'static str) -> Self {
        Self { prefix, ..Self::default() }
    }

    /// A route for `GET`, and by it for `HEAD`.
    #[must_use]
    pub(in crate::http) fn get<H: Handler<T, Arc<App>>, T: 'static>(self, route: &str, handler: H, operation: Operation) -> Self {
        self.add(Method::GET, HttpMethod::Get, route, get(handler), operation)
    }

    /// A route for `PUT`.
    #[must_use]
    pub(in crate::http) fn put<H: Handler<T, Arc<App>>, T: 'static>(self, route: &str, handler: H, operation: Operation) -> Self {
        self.add(Method::PUT, HttpMethod::Put, route, put(handler), operation)
    }

    /// A route for `POST`.
    #[must_use]
    pub(in crate::http) fn post<H: Handler<T, Arc<App>>, T: 'static>(
        self,
        route: &str,
        handler: H,
        operation: Operation,
    ) -> Self {
        self.add(Method::POST, HttpMethod::Post, route, post(handler), operation)
    }

    /// A route for `PATCH`.
    #[must_use]
    pub(in crate::http) fn patch<H: Handler<T, Arc<App>>, T: 'static>(
        self,
        route: &str,
        handler: H,
        operation: Operation,
    ) -> Self {
        self.add(Method::PATCH, HttpMethod::Patch, route, patch(handler), operation)
    }

    /// A route for `DELETE`.
    #[must_use]
    pub(in crate::http) fn delete<H: Handler<T, Arc<App>>, T: 'static>(
        self,
        route: &str,
        handler: H,
        operation: Operation,
    ) -> Self {
        self.add(Method::DELETE, HttpMethod::Delete, route, delete(handler), operation)
    }

    fn add(
        mut self,
        method: Method,
        described_method: HttpMethod,
        route: &str,
        methods: MethodRouter<Arc<App>>,
        operation: Operation,
    ) -> Self {
        self.router = self.router.route(route, methods);
        let prefix = self.prefix;
        let path = format!("{prefix}{}", operation.described_path(route));
        self.note(operation.id());
        self.tag(operation.tag());
        for (name, schema) in operation.schemas() {
            self.schema(name, schema);
        }
        let item =
            PathItem::new(described_method, operation.build(&path, auth::needed(&method, Some(&format!("{prefix}{route}")))));
        self.path(path, item);
        self
    }

    /// All routes of both, which are below the same path.
    #[must_use]
    pub(in crate::http) fn merge(mut self, other: Self) -> Self {
        assert!(self.prefix == other.prefix, "routes below {:?} and below {:?} are merged", self.prefix, other.prefix);
        self.router = self.router.merge(other.router);
        other.ids.into_iter().for_each(|id| self.note(id));
        other.tags.into_iter().for_each(|tag| self.tag(tag));
        other.schemas.into_iter().for_each(|(name, schema)| self.schema(name, schema));
        other.paths.into_iter().for_each(|(path, item)| self.path(path, item));
        self
    }

    /// The same routes with their path before them. What no route below it matches, a wrong method included, is for `nothing`.
    #[must_use]
    pub(in crate::http) fn nested<H: Handler<T, Arc<App>>, T: 'static>(mut self, nothing: H) -> Self {
        let below = self.router.fallback(nothing.clone()).method_not_allowed_fallback(nothing);
        self.router = Router::new().nest(self.prefix, below);
        self.prefix = "";
        self
    }

    /// Leaves it to the handlers how long bodies may be.
    #[must_use]
    pub(in crate::http) fn without_body_limit(mut self) -> Self {
        self.router = self.router.layer(DefaultBodyLimit::disable());
        self
    }

    /// The router alone, for where no description is served.
    pub(in crate::http) fn router(self) -> Router<Arc<App>> {
        self.router
    }

    /// The router, and the description of all of it.
    pub(super) fn open(self) -> (Router<Arc<App>>, OpenApi) {
        (self.router, document::of(self.paths, self.schemas, &self.tags))
    }

    fn note(&mut self, id: &'static str) {
        assert!(self.ids.insert(id), "two operations are called {id}");
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

    fn path(&mut self, path: String, item: PathItem) {
        self.paths.entry(path).or_default().merge_operations(item);
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
    fn routes_below_a_path_are_described_and_guarded_with_it() {
        let below = Door::below("/api/v1").get("/healthz", handler, operation("up")).get("/a", handler, operation("get_a"));
        let (_, document) = below.nested(handler).merge(Door::new()).open();
        let secured = |path: &str| !document.paths.paths[path].get.as_ref().unwrap().security.as_ref().unwrap().is_empty();
        assert!(!secured("/api/v1/healthz") && secured("/api/v1/a"));
    }

    #[test]
    #[should_panic(expected = "/api/v1")]
    fn routes_below_a_path_are_not_mixed_with_others() {
        let _ = Door::new().merge(Door::below("/api/v1"));
    }

    #[test]
    #[should_panic(expected = "two operations are called get_a")]
    fn an_id_is_given_once() {
        let _ = Door::new().get("/a", handler, operation("get_a")).get("/b", handler, operation("get_a"));
    }

    #[test]
    #[should_panic(expected = "/a/{name}")]
    fn a_parameter_of_the_path_is_described() {
        let _ = Door::new().get("/a/{name}", handler, operation("get_a"));
    }

    #[test]
    #[should_panic(expected = "/a")]
    fn a_parameter_that_the_path_has_not_is_not_described() {
        let _ = Door::new().get("/a", handler, operation("get_a").path(&[NAME]));
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
        let _ = one.merge(Door::new().get("/b", handler, operation("get_b").result::<other::Thing>()));
    }
}
