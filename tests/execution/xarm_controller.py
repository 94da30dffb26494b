"""A controller of an xArm, as far as a client in servo mode sees it, on a port of this machine.

Speaks the framing of UFACTORY's developer manual (private Modbus TCP: transaction, protocol 2, length, register; the
answer repeats them with a byte of flags before the data) and the few registers that moving in servo mode takes. The arm
is where it was told to be, at most as fast as `SPEED` allows. No dynamics, no kinematics, no other modes.
"""

import socket
import struct
import threading
import time

import numpy as np

SPEED = 2.0  # [rad/s]; slower than the limits of the arms in the tests, which are monitored
VERSION, MOTION_EN, SET_STATE, GET_STATE = 1, 11, 12, 13
GET_ERROR, SET_MODE, MOVE_SERVOJ, GET_JOINT_POS = 15, 19, 29, 42
FAULT, NOT_READY, INVALID = 0x40, 0x10, 0x08


class XArmController:
    """Use as a context manager; ``port`` is where it listens.

    Attributes:
        error: set it to make the arm stop with this error.
        refused: commands to move that came while the arm was not to move.
        silent: set it to leave requests without an answer.
    """

    def __init__(self, positions, *, axes=7):
        self.axes, self.error, self.refused, self.silent = axes, 0, 0, False
        self.enabled, self.mode, self.state = False, 0, 4
        self._q = np.zeros(7)
        self._q[:axes] = positions
        self._target, self._v, self._at = self._q.copy(), np.zeros(7), time.monotonic()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._clients = []

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        for connection in (self._socket, *self._clients):
            connection.close()

    @property
    def positions(self):
        self._move()
        return self._q[: self.axes].copy()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._clients.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            while True:
                transaction, protocol, length = struct.unpack(">HHH", self._read(connection, 6))
                body = self._read(connection, length)
                if protocol == 1:  # heartbeat
                    continue
                data, flags = self._answer(body[0], body[1:])
                if not self.silent:
                    connection.sendall(
                        struct.pack(">HHHBB", transaction, protocol, len(data) + 2, body[0], flags) + data
                    )
        except (OSError, EOFError):
            return

    @staticmethod
    def _read(connection, size):
        data = b""
        while len(data) < size:
            if not (more := connection.recv(size - len(data))):
                raise EOFError
            data += more
        return data

    def _answer(self, register, data):
        flags = 0
        if register == MOTION_EN:
            self.enabled = bool(data[1])
        elif register == SET_MODE:
            self.mode = data[0]
        elif register == SET_STATE:
            self._move()
            self.state = 2 if data[0] == 0 else data[0]
            self._target = self._q.copy()
        elif register == MOVE_SERVOJ:
            if self.ready and self.mode == 1:
                self._move()
                self._target = np.array(struct.unpack("<10f", data)[:7], dtype=np.float64)
            else:
                self.refused += 1
                flags |= INVALID
        flags |= FAULT * bool(self.error) | NOT_READY * (not self.ready)
        return self._data(register), flags

    @property
    def ready(self):
        return self.enabled and self.state in (1, 2) and not self.error

    def _data(self, register):
        if register == VERSION:
            return f"{self.axes},{self.axes},XI130000,AC130000,v2.3.0".encode().ljust(40, b"\0")
        if register == GET_STATE:
            return bytes([self.state])
        if register == GET_ERROR:
            return bytes([self.error, 0])
        if register == GET_JOINT_POS:
            self._move()
            return struct.pack("<21f", *self._q, *self._v, *np.zeros(7))
        return b""

    def _move(self):
        now = time.monotonic()
        dt, self._at = now - self._at, now
        if dt <= 0:
            return
        wanted = self._target if self.ready else self._q
        step = np.clip(wanted - self._q, -SPEED * dt, SPEED * dt)
        self._q, self._v = self._q + step, step / dt
