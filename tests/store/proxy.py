"""Stands between a store and its server, and cuts the line at a COMMIT."""

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from postgres import Server

COMMIT = b"COMMIT\x00"  # as the driver says it, and as the server answers
PORT = ".s.PGSQL.5432"


@dataclass
class Line:
    """Passes everything on, until it is told to cut.

    ``cut``: "before", the server never hears of the COMMIT; "after", its answer is lost; "during", the server is left
    with it, and with a client that it believes to be there.
    """

    server: Path
    place: Path
    cut: str = ""
    cuts: int = 0
    left_behind: list[socket.socket] = field(default_factory=list)

    def by_way_of(self, url: str) -> str:
        """Return a server's URL, so that it leads through here."""
        return url.replace(str(self.server), str(self.place))

    def serve(self, listener: socket.socket) -> None:
        """Accept until the listener is shut down."""
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, ExitStack() as ours, suppress(OSError):
            server = ours.enter_context(socket.socket(socket.AF_UNIX))
            server.connect(str(self.server / PORT))
            while True:
                for end in select.select([client, server], [], [])[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    if end is client and data.endswith(COMMIT) and self.cut:
                        self._cut(server, data)
                        if server in self.left_behind:
                            ours.pop_all()
                        return
                    (server if end is client else client).sendall(data)

    def _cut(self, server: socket.socket, data: bytes) -> None:
        how, self.cut = self.cut, ""
        if how != "before":
            server.sendall(data)
        if how == "after":
            while COMMIT not in server.recv(65536):
                pass
        if how == "during":
            self.left_behind.append(server)
        self.cuts += 1


@contextmanager
def line_to(server: Server) -> Iterator[Line]:
    with TemporaryDirectory() as place, socket.socket(socket.AF_UNIX) as listener:
        line = Line(server=server.socket, place=Path(place))
        listener.bind(str(line.place / PORT))
        listener.listen()
        accepting = Thread(target=line.serve, args=(listener,))
        accepting.start()
        try:
            yield line
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for one in line.left_behind:
                one.close()
