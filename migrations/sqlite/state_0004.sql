-- Pictures of agents: small images, of which the log holds the digest.

CREATE TABLE avatars (
    incarnation text PRIMARY KEY,
    sha256 text NOT NULL,
    content_type text NOT NULL,
    image blob NOT NULL
) STRICT;
