# SPDX-License-Identifier: Apache-2.0
#
# Peers in Python, each as a program of its own that times itself: see README.md beside this folder for the protocol.
import importlib
import importlib.metadata
import json
import os
import platform
import sys
import time


class FileLock:
    """filelock: flock(2), polled."""

    package = "filelock"

    def __init__(self, module):
        self.module = module

    def make(self, path):
        return self.module.FileLock(path)

    def lock(self, path, _size, count):
        lock = self.make(path)
        for _ in range(count):
            with lock:
                pass

    def hold(self, path):
        lock = self.make(path)
        lock.acquire()
        return lock, lock.release


class SoftFileLock(FileLock):
    """filelock's SoftFileLock: a file that exists while the lock is held."""

    def make(self, path):
        return self.module.SoftFileLock(path)


class PortaLocker:
    """portalocker: flock(2), polled."""

    package = "portalocker"

    def __init__(self, module):
        self.module = module

    def lock(self, path, _size, count):
        for _ in range(count):
            with self.module.Lock(path, timeout=60):
                pass

    def hold(self, path):
        lock = self.module.Lock(path, timeout=60)
        lock.acquire()
        return lock, lock.release


class Original:
    """A state as services keep it: a JSON document, a temporary file, two flushes and a rename."""

    package = None

    def __init__(self, _module):
        self.documents = {}

    def save(self, path, size, count):
        if size not in self.documents:
            # A document of about that size when written.
            text = "0123456789abcdef" * (size // 16 + 1)
            self.documents[size] = {"state": text[: max(0, size - 13)]}
        directory = os.path.dirname(path)
        for _ in range(count):
            temporary = f"{path}.tmp"
            with open(temporary, "w") as file:
                json.dump(self.documents[size], file)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, path)
            entry = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(entry)
            finally:
                os.close(entry)


KINDS = {"filelock": FileLock, "soft": SoftFileLock, "portalocker": PortaLocker, "original": Original}


def main():
    kind = KINDS[sys.argv[1]]
    version = f"Python {platform.python_version()}"
    module = None
    if kind.package:
        module = importlib.import_module(kind.package)
        version = f"{kind.package} {importlib.metadata.version(kind.package)}, {version}"
    peer = kind(module)
    print(version, flush=True)
    held = None
    for line in sys.stdin:
        work, size, count, path = line.rstrip("\n").split(" ", 3)
        if work in ("hold", "wait"):
            held, release = peer.hold(path)
            answer = time.monotonic_ns()
            if work == "wait":
                release()
        else:
            body = getattr(peer, work)
            start = time.monotonic_ns()
            body(path, int(size), int(count))
            answer = time.monotonic_ns() - start
        print(answer, flush=True)


main()
