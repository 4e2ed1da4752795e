"""The world in the namespace of `network_outside`: says what comes, one line each. Usage: network_listener.py NAME=ADDRESS…"""

import selectors
import socket
import struct
import sys

IP_PKTINFO = 8


def say(*words):
    print(*words, flush=True)


def name_of(query):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    return ".".join(labels), at + 5


def answer(query, names):
    """An answer with one address, with none, or that there is no such name."""
    name, end = name_of(query)
    say("dns", name)
    kind = struct.unpack_from(">H", query, end - 4)[0]
    known = names.get(name)
    records = b""
    if known and kind == 1:
        records = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 1, 4) + socket.inet_aton(known)
    head = struct.pack(">HHHHH", 0x8180 if known else 0x8183, 1, 1 if records else 0, 0, 0)
    return query[:2] + head + query[12:end] + records


def main():
    names = dict(argument.split("=") for argument in sys.argv[1:])
    streams = socket.create_server(("0.0.0.0", 80), backlog=128)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    datagrams.bind(("0.0.0.0", 53))
    selector = selectors.DefaultSelector()
    for one in (streams, datagrams):
        selector.register(one, selectors.EVENT_READ)
    say("ready")
    while True:
        for key, _ in selector.select():
            if key.fileobj is streams:
                connection, _ = streams.accept()
                say("tcp", connection.getsockname()[0])
                connection.sendall(b"hello")
                connection.close()
            else:
                data, extra, _, peer = datagrams.recvmsg(4096, 256)
                local = socket.inet_ntoa(extra[0][2][8:12])
                if len(data) < 17:
                    say("udp", local)
                    continue
                # From the address that was asked: it is where the answer is expected from.
                packet_info = struct.pack("=I4s4s", 0, socket.inet_aton(local), b"\0" * 4)
                datagrams.sendmsg([answer(data, names)], [(socket.IPPROTO_IP, IP_PKTINFO, packet_info)], 0, peer)


main()
