//! Aliases: changed by one request in one commit, listed for all collections or for one.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use icecore_storage::AliasAction;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::http::envelope::answer;
use crate::http::extract::{Body, InCollection};

#[derive(Debug, Deserialize)]
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

impl From<Action> for AliasAction {
    fn from(action: Action) -> Self {
        match action {
            Action::Create { collection_name, alias_name } => Self::Create { collection: collection_name, alias: alias_name },
            Action::Delete { alias_name } => Self::Delete { alias: alias_name },
            Action::Rename { old_alias_name, new_alias_name } => Self::Rename { old: old_alias_name, new: new_alias_name },
        }
    }
}

#[derive(Serialize)]
struct Aliases {
    aliases: Vec<Alias>,
}

#[derive(Serialize)]
struct Alias {
    alias_name: String,
    collection_name: String,
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
