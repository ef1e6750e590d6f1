"""What inject.c is told, by the memory that both map. Standard library only."""
import errno, mmap, struct

CALLS = ["write", "sync", "meta", "truncate", "open", "rename", "mmap", "fork", "exec", "accept", "malloc", "mkdir", "pipe"]
EVER = 0xffffffff


class Orders:
    def __init__(self, path):
        with open(path, "wb") as f:
            f.write(bytes(4096))
        with open(path, "r+b") as f:
            self.memory = mmap.mmap(f.fileno(), 4096)

    def fail(self, call, error, after=1, times=1):
        """The after-th such call from now on, and those behind it, times in all. error: a name such as "EIO", or "short"."""
        at = CALLS.index(call) * 16
        self.memory[at + 4:at + 16] = struct.pack("=IiI", times, 0 if error == "short" else getattr(errno, error), 0)
        self.memory[at:at + 4] = struct.pack("=I", after)

    def hits(self, call):
        return struct.unpack_from("=I", self.memory, CALLS.index(call) * 16 + 12)[0]

    def stop(self):
        for i in range(len(CALLS)):
            self.memory[i * 16:i * 16 + 4] = bytes(4)
