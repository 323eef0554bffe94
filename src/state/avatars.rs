//! Pictures of agents: small images, found by their digests. Which one is an agent's, the log says.

use uuid::Uuid;

use crate::db::{Db, Error, Statement};

/// The most bytes of a picture.
pub const IMAGE_BYTES_MAX: usize = 256 * 1024;

/// The pictures of this installation. A clone is another handle to the same.
#[derive(Debug, Clone)]
pub struct Avatars(Db);

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Avatar {
    /// Digest of the image in hexadecimal.
    pub sha256: String,
    /// The media type of the image.
    pub content_type: String,
    /// The image.
    pub image: Vec<u8>,
}

impl Avatars {
    pub(super) fn new(db: Db) -> Self {
        Self(db)
    }

    /// The picture of that life of an agent with this digest.
    pub async fn get(&self, incarnation: Uuid, sha256: &str) -> Result<Option<Avatar>, Error> {
        let find = "SELECT sha256, content_type, image FROM avatars \
                    WHERE incarnation = $1 AND sha256 = $2";
        let find = Statement::new(find).with(incarnation).with(sha256.to_owned());
        let mut rows = self.0.query(find).await?;
        let Some(row) = rows.first_mut() else { return Ok(None) };
        Ok(Some(Avatar { sha256: row.take()?, content_type: row.take()?, image: row.take()? }))
    }

    /// Keeps a picture beside those that are there; one that is there already stays as it is.
    pub async fn keep(&self, incarnation: Uuid, avatar: Avatar) -> Result<(), Error> {
        let keep = "INSERT INTO avatars (incarnation, sha256, content_type, image) \
                    VALUES ($1, $2, $3, $4) ON CONFLICT (incarnation, sha256) DO NOTHING";
        let Avatar { sha256, content_type, image } = avatar;
        let keep = Statement::new(keep).with(incarnation).with(sha256);
        self.0.execute(keep.with(content_type).with(image)).await?;
        Ok(())
    }

    /// Removes every picture of that life of an agent but the one with this digest, if any stays.
    pub async fn remove_all_but(
        &self,
        incarnation: Uuid,
        sha256: Option<&str>,
    ) -> Result<(), Error> {
        let remove = "DELETE FROM avatars WHERE incarnation = $1 AND sha256 <> $2";
        // No picture has this digest.
        let stays = sha256.unwrap_or_default().to_owned();
        self.0.execute(Statement::new(remove).with(incarnation).with(stays)).await?;
        Ok(())
    }
}
