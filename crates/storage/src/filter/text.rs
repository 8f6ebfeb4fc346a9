//! Words of texts, for full-text conditions on keys without a text index.
//!
//! A word is a longest run of letters and digits, in lower case: Qdrant's default tokenizer, which its engine uses for such
//! keys since version 1.19.1. A query without a word is never satisfied.

use std::collections::BTreeSet;

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// Whether every word of the query is a word of the text.
pub(super) fn has_all(text: &str, query: &str) -> bool {
    let present: BTreeSet<String> = words(text).collect();
    let mut wanted = words(query).peekable();
    wanted.peek().is_some() && wanted.all(|word| present.contains(&word))
}

/// Whether at least one word of the query is a word of the text.
pub(super) fn has_any(text: &str, query: &str) -> bool {
    let present: BTreeSet<String> = words(text).collect();
    words(query).any(|word| present.contains(&word))
}

/// Whether the words of the query stand next to each other in the text, in their order.
pub(super) fn has_phrase(text: &str, query: &str) -> bool {
    let wanted: Vec<String> = words(query).collect();
    let present: Vec<String> = words(text).collect();
    !wanted.is_empty() && present.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole_and_case_does_not_matter() {
        // Source: the engine of qdrant-edge on keys without an index.
        let texts = [
            "good cheap hardware",
            "Goodness",
            "cheap good",
            "under_score x",
            "ÄPFEL straße",
            "don't stop",
            "",
            "日本語テスト",
            "a1b2 c3",
            "İstanbul",
            "e\u{301}tude",
            "good, cheap",
        ];
        let cases: [(&str, [&[usize]; 3]); 13] = [
            ("good", [&[0, 2, 11], &[0, 2, 11], &[0, 2, 11]]),
            ("good cheap", [&[0, 2, 11], &[0, 2, 11], &[0, 11]]),
            ("cheap good", [&[0, 2, 11], &[0, 2, 11], &[2]]),
            ("under", [&[3], &[3], &[3]]),
            ("under_score", [&[3], &[3], &[3]]),
            ("äpfel", [&[4], &[4], &[4]]),
            ("STRASSE", [&[], &[], &[]]),
            ("don", [&[5], &[5], &[5]]),
            ("", [&[], &[], &[]]),
            ("!!", [&[], &[], &[]]),
            ("日本", [&[], &[], &[]]),
            ("日本語テスト", [&[7], &[7], &[7]]),
            ("tude", [&[10], &[10], &[10]]),
        ];
        for (query, [all, any, phrase]) in cases {
            let found = |has: fn(&str, &str) -> bool| -> Vec<usize> {
                (0..texts.len()).filter(|index| has(texts[*index], query)).collect()
            };
            assert_eq!(found(has_all), all, "all of {query:?}");
            assert_eq!(found(has_any), any, "any of {query:?}");
            assert_eq!(found(has_phrase), phrase, "phrase {query:?}");
        }
    }
}
