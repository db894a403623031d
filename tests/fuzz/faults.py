"""Faults on purpose: the N-th call of the operations by which a save reaches the disk fails, or is the process's last."""
import os
from contextlib import contextmanager

OPERATIONS = ("open", "write", "fchmod", "fsync", "close", "link", "replace", "unlink")


class Faults:
    """Operations counted; the N-th fails with an errno, half done where it can be (or, with None, the process is killed)."""

    def __init__(self, n, code, after=False):
        self.n, self.code, self.after, self.count = n, code, after, 0

    @property
    def fired(self):
        return self.count >= self.n

    def fails(self, name):
        """An operation that counts, and fails when it is its turn."""
        real = getattr(os, name)

        def operation(*args, **options):
            self.count += 1
            if self.count != self.n:
                return real(*args, **options)
            if name == "write":
                real(args[0], args[1][:len(args[1]) // 2])
            elif self.after or name == "close":           # (what is not closed would stay open)
                real(*args, **options)
            if self.code is None:
                os._exit(9)
            raise OSError(self.code, os.strerror(self.code))
        return operation


@contextmanager
def faults(n, code, after=False, no_links=None):
    """The N-th operation in this block fails; ``no_links``: the errno of a file system without hard links."""
    machine, kept = Faults(n, code, after), {name: getattr(os, name) for name in OPERATIONS}

    def no_link(*args, **options):
        raise OSError(no_links, os.strerror(no_links))
    try:
        for name in OPERATIONS:
            setattr(os, name, machine.fails(name))
        if no_links is not None:
            os.link = no_link
        yield machine
    finally:
        for name, real in kept.items():
            setattr(os, name, real)


def in_a_child(work):
    """Do it in a child of this process, which may be killed; its exit code."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
