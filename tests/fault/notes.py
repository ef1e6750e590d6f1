"""Notes in the log that record.c writes: one write each, in order with the process's own. Standard library only."""
import os, struct

NOTE = 10


def notes(path):
    """A function that notes a text."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(text):
        data = text.encode() + b"\0"
        os.write(fd, struct.pack("=IIQQ", NOTE, len(data), 0, 0) + data)
    return note
