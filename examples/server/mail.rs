//! Mail that goes nowhere: it is printed, and kept as files.

use std::io::Write as _;
use std::path::PathBuf;

use async_trait::async_trait;
use portcullis::id::Id as _;
use portcullis::ports::{Mail, Mailer, MailerError};

pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(crate) fn open(path: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&path)?;
        Ok(Self { path })
    }
}

#[async_trait]
impl Mailer for Folder {
    async fn send(&self, mail: &Mail) -> Result<(), MailerError> {
        let text =
            format!("To: {}\nSubject: {}\n\n{}\n", mail.to, mail.message.subject(), mail.message.text());
        // Ids sort by time; one mail sent twice is one file.
        let name = format!("{}-{}.txt", mail.id.uuid(), mail.message.kind());
        let mut file = super::private(&self.path.join(name)).map_err(|_| MailerError)?;
        file.write_all(text.as_bytes()).map_err(|_| MailerError)?;
        println!("\n✉ {}", text.trim_end().replace('\n', "\n  "));
        Ok(())
    }
}
