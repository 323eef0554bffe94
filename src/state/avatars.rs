//! Pictures of agents: one small image for each life of an agent.

use uuid::Uuid;

use crate::db::{Db, Error, Statement};

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

    /// The picture of that life of an agent.
    pub async fn get(&self, incarnation: Uuid) -> Result<Option<Avatar>, Error> {
        let find = "SELECT sha256, content_type, image FROM avatars WHERE incarnation = $1";
        let mut rows = self.0.query(Statement::new(find).with(incarnation)).await?;
        let Some(row) = rows.first_mut() else { return Ok(None) };
        Ok(Some(Avatar { sha256: row.take()?, content_type: row.take()?, image: row.take()? }))
    }

    /// Keeps a picture in place of the one of before.
    pub async fn set(&self, incarnation: Uuid, avatar: Avatar) -> Result<(), Error> {
        let set = "INSERT INTO avatars (incarnation, sha256, content_type, image) \
                   VALUES ($1, $2, $3, $4) ON CONFLICT (incarnation) DO UPDATE SET \
                   sha256 = excluded.sha256, content_type = excluded.content_type, \
                   image = excluded.image";
        let Avatar { sha256, content_type, image } = avatar;
        let set = Statement::new(set).with(incarnation).with(sha256).with(content_type).with(image);
        self.0.execute(set).await?;
        Ok(())
    }

    /// Removes the picture, if there is one.
    pub async fn remove(&self, incarnation: Uuid) -> Result<(), Error> {
        let remove = "DELETE FROM avatars WHERE incarnation = $1";
        self.0.execute(Statement::new(remove).with(incarnation)).await?;
        Ok(())
    }
}
