//! The description of everything that is served, in the words of OpenAPI 3.1, and a page to read it.
//!
//! A route is registered and described by one call ([`Door`]), so that there is no route without a description and none described
//! that is not there; the parameters of its path and the keys that it needs are taken from, or checked against, what the router and
//! `auth` say. The schemas of bodies are derived from the types that are parsed and rendered, and written by hand beside those whose
//! parsers are. Whether the answers are as described is for the end-to-end tests to find out; nothing here looks at requests.
//!
//! A new route: `ToSchema` for the types of its body and its result, `Door::new().get("/path/{name}", handler, Operation::new(TAG, "id",
//! "Summary").path(&[NAME]).result::<Answer>().errors(&[404]))`, and a `merge` where the routes of its front door are put together.

pub(super) mod answers;
mod document;
mod door;
mod operation;
mod pages;
pub(super) mod schema;

pub(super) use door::Door;
pub(super) use operation::{Operation, PathParameter, Tag};
pub(super) use pages::served;
