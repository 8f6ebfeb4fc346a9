//! Aliases: changed by one request in one commit, listed for all collections or for one.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use icecore_storage::AliasAction;
use serde::{Deserialize, Serialize};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::described::{ALIASES, in_collection};
use crate::app::App;
use crate::http::envelope::answer;
use crate::http::extract::{Body, InCollection};
use crate::http::openapi::schema::{object, tagged, text};
use crate::http::openapi::{Door, Operation};

/// Changes of aliases, made in their order and in one commit.
#[derive(Debug, Deserialize, ToSchema)]
struct UpdateAliases {
    actions: Vec<Action>,
}

#[derive(Debug, Deserialize)]
enum Action {
    #[serde(rename = "create_alias")]
    Create { collection_name: String, alias_name: String },
    #[serde(rename = "delete_alias")]
    Delete { alias_name: String },
    #[serde(rename = "rename_alias")]
    Rename { old_alias_name: String, new_alias_name: String },
}

impl PartialSchema for Action {
    fn schema() -> RefOr<Schema> {
        let names = |names: [&str; 2]| -> RefOr<Schema> {
            names.into_iter().fold(object(), |object, name| object.property(name, text()).required(name)).into()
        };
        tagged([
            ("create_alias", names(["collection_name", "alias_name"])),
            ("delete_alias", object().property("alias_name", text()).required("alias_name").into()),
            ("rename_alias", names(["old_alias_name", "new_alias_name"])),
        ])
    }
}

impl ToSchema for Action {
    fn name() -> Cow<'static, str> {
        "AliasAction".into()
    }
}

impl From<Action> for AliasAction {
    fn from(action: Action) -> Self {
        match action {
            Action::Create { collection_name, alias_name } => Self::Create { collection: collection_name, alias: alias_name },
            Action::Delete { alias_name } => Self::Delete { alias: alias_name },
            Action::Rename { old_alias_name, new_alias_name } => Self::Rename { old: old_alias_name, new: new_alias_name },
        }
    }
}

/// The aliases.
#[derive(Serialize, ToSchema)]
struct Aliases {
    aliases: Vec<Alias>,
}

/// An alias and its collection.
#[derive(Serialize, ToSchema)]
struct Alias {
    alias_name: String,
    collection_name: String,
}

/// The routes, and what they mean.
pub(super) fn routes() -> Door {
    let update_all = Operation::new(ALIASES, "update_aliases", "Create, rename and delete aliases")
        .at("/collections/aliases")
        .json::<UpdateAliases>()
        .done()
        .errors(&[404, 409]);
    Door::new()
        .post("/collections/{collection}", update, update_all)
        .get("/aliases", all, Operation::new(ALIASES, "get_collections_aliases", "All aliases").result::<Aliases>())
        .get(
            "/collections/{collection}/aliases",
            of_collection,
            in_collection(ALIASES, "get_collection_aliases", "The aliases of a collection").result::<Aliases>(),
        )
}

/// `POST /collections/aliases`. It shares its route with collections, so that one called `aliases` stays reachable; a `POST` to
/// any other collection has no meaning.
pub(super) async fn update(State(app): State<Arc<App>>, path: InCollection, body: Body) -> Response {
    if path.collection != "aliases" {
        return StatusCode::NOT_FOUND.into_response();
    }
    answer(move || {
        let request: UpdateAliases = body.parse()?;
        let actions: Vec<AliasAction> = request.actions.into_iter().map(AliasAction::from).collect();
        app.storage.update_aliases(&actions)?;
        Ok(true)
    })
    .await
}

/// `GET /aliases`
pub(super) async fn all(State(app): State<Arc<App>>) -> Response {
    answer(move || Ok(listed(&app, |_| true))).await
}

/// `GET /collections/{collection}/aliases`
pub(super) async fn of_collection(State(app): State<Arc<App>>, path: InCollection) -> Response {
    answer(move || {
        let collection = app.storage.resolve(&path.collection)?;
        Ok(listed(&app, |name| *name == collection))
    })
    .await
}

fn listed(app: &App, wanted: impl Fn(&String) -> bool) -> Aliases {
    let aliases = app
        .storage
        .aliases()
        .into_iter()
        .filter(|(_, collection)| wanted(collection))
        .map(|(alias_name, collection_name)| Alias { alias_name, collection_name })
        .collect();
    Aliases { aliases }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_actions_are_read() {
        let request: UpdateAliases = serde_json::from_str(
            r#"{"actions": [
                {"create_alias": {"collection_name": "c", "alias_name": "a"}},
                {"delete_alias": {"alias_name": "b"}},
                {"rename_alias": {"old_alias_name": "a", "new_alias_name": "z"}}
            ]}"#,
        )
        .unwrap();
        let actions: Vec<AliasAction> = request.actions.into_iter().map(AliasAction::from).collect();
        assert_eq!(
            actions,
            [
                AliasAction::Create { collection: "c".into(), alias: "a".into() },
                AliasAction::Delete { alias: "b".into() },
                AliasAction::Rename { old: "a".into(), new: "z".into() },
            ]
        );
    }

    #[test]
    fn an_unknown_action_is_an_error() {
        let error = serde_json::from_str::<UpdateAliases>(r#"{"actions": [{"swap_alias": {}}]}"#).unwrap_err();
        assert!(error.to_string().contains("unknown variant `swap_alias`"), "{error}");
    }
}
