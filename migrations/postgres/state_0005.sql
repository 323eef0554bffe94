-- A picture is found by its digest, which the log holds: one that is being set and the one in force are
-- both there until the log says which it is.

ALTER TABLE avatars DROP CONSTRAINT avatars_pkey, ADD PRIMARY KEY (incarnation, sha256);
