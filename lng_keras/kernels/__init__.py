"""The arithmetic of grouped normalization: one reference and faster forms of it."""
