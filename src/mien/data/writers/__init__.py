"""Writers: a manifest becomes a folder, a table or shards."""
