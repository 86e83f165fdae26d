//! The descriptions of the OpenAPI document: paragraphs, lists and `code`, as text. The templates
//! make the markup, so that nothing in a description can become any.

/// A description.
pub(in crate::dashboard) struct Prose {
    pub(in crate::dashboard) blocks: Vec<Block>,
}

/// A paragraph, which has one item, or a list.
pub(in crate::dashboard) struct Block {
    pub(in crate::dashboard) is_list: bool,
    pub(in crate::dashboard) items: Vec<Vec<Piece>>,
}

/// A part of a sentence.
pub(in crate::dashboard) struct Piece {
    pub(in crate::dashboard) is_code: bool,
    pub(in crate::dashboard) text: String,
}

impl Prose {
    /// Reads the little Markdown that descriptions use.
    pub(super) fn read(text: &str) -> Self {
        let blocks = text.trim().split("\n\n").filter(|block| !block.trim().is_empty()).map(block);
        Self { blocks: blocks.collect() }
    }
}

fn block(text: &str) -> Block {
    match text.trim().strip_prefix("- ") {
        Some(list) => Block { is_list: true, items: list.split("\n- ").map(pieces).collect() },
        None => Block { is_list: false, items: vec![pieces(text)] },
    }
}

/// The parts between backticks are code. A backtick without a second one is a backtick.
fn pieces(text: &str) -> Vec<Piece> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (mut pieces, mut rest) = (Vec::new(), &*text);
    let mut add = |is_code, text: &str| {
        if !text.is_empty() {
            pieces.push(Piece { is_code, text: text.to_owned() });
        }
    };
    while let Some((before, (code, after))) =
        rest.split_once('`').and_then(|(before, rest)| Some((before, rest.split_once('`')?)))
    {
        add(false, before);
        add(true, code);
        rest = after;
    }
    add(false, rest);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_paragraphs_lists_and_code() {
        let prose = Prose::read("Two\nlines, `a b`.\n\n- one\n  goes on\n- `two\n\n");
        let said: Vec<_> = prose
            .blocks
            .iter()
            .map(|block| {
                let items = block
                    .items
                    .iter()
                    .map(|item| item.iter().map(|piece| (piece.is_code, &*piece.text)).collect::<Vec<_>>());
                (block.is_list, items.collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(
            said,
            [
                (false, vec![vec![(false, "Two lines, "), (true, "a b"), (false, ".")]]),
                (true, vec![vec![(false, "one goes on")], vec![(false, "`two")]]),
            ]
        );
    }
}
