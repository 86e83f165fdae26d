//! Server-Sent Events, as far as the feed uses them.
//!
//! Source: <https://html.spec.whatwg.org/multipage/server-sent-events.html>. Lines end with LF or
//! CRLF; a lone CR, which the feed never sends, does not end one.

/// The most bytes of one message; the longest event is far below.
pub const MESSAGE_MAX: usize = 16 * 1024 * 1024;

/// What came between two blank lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub id: Option<String>,
    pub event: Option<String>,
    /// The lines of data, joined.
    pub data: Option<String>,
    /// How long to wait before connecting again, in milliseconds.
    pub retry: Option<u64>,
}

/// A message has more than [`MESSAGE_MAX`] bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLong;

/// Makes messages of bytes, however they are cut.
#[derive(Debug, Default)]
pub struct Parser {
    bytes: Vec<u8>,
    /// Where the next line begins.
    line: usize,
    /// Up to here there is no end of that line.
    searched: usize,
    message: Message,
    /// Has the message a line yet?
    begun: bool,
}

impl Parser {
    /// Takes bytes in.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        self.bytes.drain(..self.line);
        self.searched -= self.line;
        self.line = 0;
        self.bytes.extend_from_slice(bytes);
        let held = self.message.data.as_ref().map_or(0, String::len);
        if self.bytes.len() + held > MESSAGE_MAX { Err(TooLong) } else { Ok(()) }
    }

    /// The next whole message.
    pub fn next(&mut self) -> Option<Message> {
        while let Some(length) = self.bytes[self.searched..].iter().position(|byte| *byte == b'\n') {
            let end = self.searched + length;
            let line = String::from_utf8_lossy(&self.bytes[self.line..end]).into_owned();
            self.line = end + 1;
            self.searched = self.line;
            let line = line.strip_suffix('\r').unwrap_or(&line);
            if !line.is_empty() {
                self.begun = true;
                self.take(line);
            } else if std::mem::take(&mut self.begun) {
                return Some(std::mem::take(&mut self.message));
            }
        }
        self.searched = self.bytes.len();
        None
    }

    fn take(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        let message = &mut self.message;
        match field {
            "id" => message.id = Some(value.to_owned()),
            "event" => message.event = Some(value.to_owned()),
            "retry" => message.retry = value.parse().ok(),
            "data" => match &mut message.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => message.data = Some(value.to_owned()),
            },
            // A comment, or what nobody knows.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_the_same_however_the_bytes_are_cut() {
        let text = "retry: 2000\nid: A\n\n: nothing new\r\nid: B\r\n\r\n\n\nid: C\nevent: deal.won\ndata: {\"ü\":\ndata:1}\n\nid: D\n";
        for size in 1..text.len() {
            let mut parser = Parser::default();
            let mut messages = Vec::new();
            for bytes in text.as_bytes().chunks(size) {
                parser.push(bytes).unwrap();
                messages.extend(std::iter::from_fn(|| parser.next()));
            }
            let id = |id: &str| Some(id.to_owned());
            let [hello, nothing, event] = &messages[..] else { panic!("{size}: {messages:?}") };
            assert_eq!((hello.id.clone(), hello.retry), (id("A"), Some(2000)));
            assert_eq!(*nothing, Message { id: id("B"), ..Message::default() });
            assert_eq!((event.id.clone(), event.event.as_deref()), (id("C"), Some("deal.won")));
            assert_eq!(event.data.as_deref(), Some("{\"ü\":\n1}"));
        }
    }

    #[test]
    fn a_message_without_an_end_is_refused() {
        let mut parser = Parser::default();
        let megabyte = vec![b'x'; 1024 * 1024];
        let pushed: Result<Vec<_>, _> = (0..17).map(|_| parser.push(&megabyte)).collect();
        assert_eq!(pushed, Err(TooLong));
    }
}
