"""The supervisor: one process per session. It owns the door, the journal and the kernel process."""
