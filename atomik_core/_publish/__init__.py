"""The one life cycle of everything that is published: staged, completed, synced, placed, made durable, settled."""
