//! The mail that was delivered: a file that all nodes append to, and who looks something up in it.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use async_trait::async_trait;
use portcullis::ports::{Mail, Mailer, MailerError, Message};
use serde::{Deserialize, Serialize};

use crate::journal::{Tail, append, appending};

#[derive(Serialize, Deserialize)]
struct Delivered {
    to: String,
    message: Message,
}

/// Takes every mail.
pub struct Postman(File);

impl Postman {
    pub fn open(path: &Path) -> Self {
        Self(appending(path))
    }
}

#[async_trait]
impl Mailer for Postman {
    async fn send(&self, mail: &Mail) -> Result<(), MailerError> {
        let (to, message) = (mail.to.as_written().to_owned(), mail.message.clone());
        append(&self.0, &Delivered { to, message });
        Ok(())
    }
}

/// All mails so far, by address.
pub struct Mails {
    tail: Tail,
    to: HashMap<String, Vec<Message>>,
}

impl Mails {
    pub fn of(tail: Tail) -> Self {
        Self { tail, to: HashMap::new() }
    }

    pub fn refresh(&mut self) {
        for Delivered { to, message } in self.tail.lines() {
            self.to.entry(to).or_default().push(message);
        }
    }

    /// Those of a kind to an address.
    pub fn find(&self, to: &str, kind: &str) -> impl Iterator<Item = &Message> {
        self.to.get(to).into_iter().flatten().filter(move |message| message.kind() == kind)
    }

    pub fn count(&self) -> usize {
        self.to.values().map(Vec::len).sum()
    }
}
