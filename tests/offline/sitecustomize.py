"""On PYTHONPATH, every Python that starts refuses to leave this machine; kernels talk on the loopback only.

Programs that are not Python are not held back.
"""

import re
import sys

LOCAL = re.compile(r"127(\.\d+){3}|::1|localhost|0\.0\.0\.0")
NAMES = "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"


def refuse(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = args[1]
        host = address[0] if isinstance(address, tuple) else ""     # a Unix socket's address is a path
    elif event in NAMES:
        host = args[0] or ""
    else:
        return
    host = host.decode() if isinstance(host, bytes) else str(host)
    if host and not LOCAL.fullmatch(host):
        raise ConnectionRefusedError(f"A lesson must not use the network, and this one called {event} for {host!r}.")


sys.addaudithook(refuse)
