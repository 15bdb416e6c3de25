"""SIGINT and SIGTERM: the first asks for a save after the current chunk, the second ends the process at once."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class StopFlag:
    """Whether a signal has asked to stop, and which."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    @property
    def exit_code(self) -> int:
        return 0 if self.signal is None else EXIT_CODES[self.signal]


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopFlag]:
    """Catches both signals for the length of the block; outside the main thread it catches nothing.

    Python runs its handlers between two bytecodes, so not while a compiled chunk runs. The wake-up socket is written
    by the C-level handler at once, and a thread that reads it can end the process in the middle of a chunk.
    """
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    previous = {s: signal.signal(s, lambda number, frame: None) for s in EXIT_CODES}
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_listen, args=(reader, flag), daemon=True).start()
    try:
        yield flag
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in previous.items():
            signal.signal(number, handler)
        writer.close()


def _listen(reader: socket.socket, flag: StopFlag) -> None:
    with reader:
        while data := reader.recv(1):
            number = data[0]
            if number not in EXIT_CODES:
                continue
            if flag.signal is not None:
                os._exit(EXIT_CODES[signal.Signals(number)])
            flag.signal = signal.Signals(number)
