"""The pure core: decides what happens next, and does none of it."""
