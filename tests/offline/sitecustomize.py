"""On PYTHONPATH, every Python that starts refuses to leave this machine; kernels talk on the loopback only."""

import sys

LOCAL = ("127.", "::1", "localhost")


def refuse(event, args):
    if event in ("socket.connect", "socket.sendto"):
        address = args[1]
        host = address[0] if isinstance(address, tuple) else ""     # a Unix socket's address is a path
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = args[0] or ""
    else:
        return
    host = host.decode() if isinstance(host, bytes) else str(host)
    if host and not host.startswith(LOCAL):
        raise ConnectionRefusedError(f"A lesson must not use the network, and this one called {event} for {host!r}.")


sys.addaudithook(refuse)
