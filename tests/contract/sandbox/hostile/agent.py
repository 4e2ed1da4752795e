"""An agent that a stranger wrote. Usage: agent.py PLAN, a file of JSON: for each turn bytes in hexadecimal, and what is done after them.

Before the first turn it connects; before each later one it takes in what the host has sent.
"""

import json
import socket
import sys
import time


def main():
    with open(sys.argv[1]) as file:  # noqa: PTH123 (a program of its own)
        turns = json.load(file)
    connection = socket.socket(socket.AF_UNIX)
    if turns[0]["then"] == "never":
        time.sleep(600)
    connection.connect("agent.sock")
    for number, turn in enumerate(turns):
        if number:
            connection.recv(1 << 20)
        data = bytes.fromhex(turn["say"])
        if turn["then"] == "drip":
            while True:
                for byte in data:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.05)
        if turn["then"] == "flood":
            while True:
                connection.sendall(data * 10_000)
        connection.sendall(data)
        if turn["then"] == "close":
            connection.close()
            time.sleep(600)
        if turn["then"] == "exit":
            sys.exit(3)
    time.sleep(600)


try:
    main()
except OSError:
    # The host has closed the connection.
    time.sleep(600)
