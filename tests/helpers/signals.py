"""Ctrl-C, sent to this process by a thread of its own."""
import _thread
import os
import signal
import time


def ctrl_c(*after):
    """Send Ctrl-C so many seconds from now, each; a list of when it was sent, which grows."""
    def send():
        for moment in after:
            time.sleep(max(0.0, began + moment - time.perf_counter()))
            sent.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)

    # (no threading.Timer: when the collector frees a Thread, Python calls back, and what Ctrl-C raises there is lost)
    began, sent = time.perf_counter(), []
    _thread.start_new_thread(send, ())
    return sent
