//! A name server on a real socket, with answers of its own.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;

const A: u16 = 1;
const AAAA: u16 = 28;
/// Bytes of a message before its question.
const HEADER: usize = 12;

/// Answers questions for addresses by a script; nothing may be remembered (TTL 0).
pub struct Dns {
    pub address: SocketAddr,
    asked: Arc<Mutex<HashMap<(String, u16), usize>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Dns {
    /// The script is given a name and how often its addresses were asked for before.
    /// `None` is silence, no address at all means that there is no such name.
    pub async fn scripted(
        script: impl Fn(&str, usize) -> Option<Vec<&'static str>> + Send + Sync + 'static,
    ) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(HashMap::new()));
        let counts = asked.clone();
        let task = tokio::spawn(async move {
            let mut buffer = [0; 512];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let (name, kind, question) = read_question(&buffer[..length]);
                let number = {
                    let mut counts = counts.lock().unwrap();
                    let count = counts.entry((name.clone(), kind)).or_default();
                    *count += 1;
                    *count - 1
                };
                if let Some(found) = script(&name, number) {
                    let found: Vec<IpAddr> = found.iter().map(|ip| ip.parse().unwrap()).collect();
                    socket.send_to(&answer(&buffer, question, kind, &found), from).await.unwrap();
                }
            }
        });
        Self { address, asked, task }
    }

    /// How often the IPv4 addresses of a name were asked for.
    pub fn asked(&self, name: &str) -> usize {
        self.asked.lock().unwrap().get(&(name.to_owned(), A)).copied().unwrap_or_default()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The name, the type, and the bytes of the one question of a message.
fn read_question(message: &[u8]) -> (String, u16, &[u8]) {
    let (mut labels, mut at) = (Vec::new(), HEADER);
    while message[at] != 0 {
        let end = at + 1 + usize::from(message[at]);
        labels.push(std::str::from_utf8(&message[at + 1..end]).unwrap().to_lowercase());
        at = end;
    }
    // Type and class follow the empty label.
    (labels.join("."), u16::from_be_bytes([message[at + 1], message[at + 2]]), &message[HEADER..at + 5])
}

fn answer(asked: &[u8], question: &[u8], kind: u16, found: &[IpAddr]) -> Vec<u8> {
    let records: Vec<Vec<u8>> = found
        .iter()
        .filter_map(|ip| match ip {
            IpAddr::V4(ip) if kind == A => Some(ip.octets().to_vec()),
            IpAddr::V6(ip) if kind == AAAA => Some(ip.octets().to_vec()),
            _ => None,
        })
        .collect();
    // An answer, recursion available; 3: no such name.
    let flags = if found.is_empty() { 0x8183_u16 } else { 0x8180 };
    let mut message = asked[..2].to_vec();
    for number in [flags, 1, u16::try_from(records.len()).unwrap(), 0, 0] {
        message.extend(number.to_be_bytes());
    }
    message.extend(question);
    for record in records {
        // The name of the question, its type, class IN, TTL 0.
        message.extend([0xc0, 0x0c]);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1, 0, 0, 0, 0]);
        message.extend(u16::try_from(record.len()).unwrap().to_be_bytes());
        message.extend(record);
    }
    message
}
