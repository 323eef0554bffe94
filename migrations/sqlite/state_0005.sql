-- A picture is found by its digest, which the log holds: one that is being set and the one in force are
-- both there until the log says which it is.

CREATE TABLE pictures (
    incarnation text NOT NULL,
    sha256 text NOT NULL,
    content_type text NOT NULL,
    image blob NOT NULL,
    PRIMARY KEY (incarnation, sha256)
) STRICT;

INSERT INTO pictures SELECT incarnation, sha256, content_type, image FROM avatars;
DROP TABLE avatars;
ALTER TABLE pictures RENAME TO avatars;
