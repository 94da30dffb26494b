"""A controller of a UR arm, as far as a client that streams joint targets sees it, on one address of this machine.

Three services of the real one: the dashboard (29999, lines of text), the real-time script port (30003, takes a program)
and RTDE (30004, Universal Robots' "Real-Time Data Exchange guide", protocol 2). The program that ur_rtde uploads is not
run; what it does with its registers is acted out: a command number in input_int_register_0, its arguments in
input_double_register_*, and output_int_register_0 says 1 (ready) or 2 (done). The arm goes to its target, at most as
fast as `SPEED`. No dynamics, no kinematics, no safety system but two flags.
"""

import contextlib
import itertools
import multiprocessing
import os
import socket
import struct
import threading
import time

import numpy as np

DASHBOARD, SCRIPT, RTDE = 29999, 30003, 30004
SPEED = 3.14  # [rad/s]
NO_COMMAND, SERVOJ, SERVO_STOP, STOP_SCRIPT = 0, 11, 16, 255
READY, DONE = 1, 2
PLAYING, STOPPED = 2, 1
NORMAL, PROTECTIVE_STOP = 1, 3
FORMATS = {
    "DOUBLE": "d",
    "INT32": "i",
    "UINT32": "I",
    "UINT64": "Q",
    "UINT8": "B",
    "BOOL": "?",
    "VECTOR6D": "6d",
    "VECTOR3D": "3d",
    "VECTOR6INT32": "6i",
    "VECTOR6UINT32": "6I",
}
_addresses = (f"127.1.{os.getpid() % 250 + 2}.{k}" for k in itertools.count(1))


def type_of(name):
    """Of a variable, by the tables of the guide, as far as they are asked for here."""
    for part, kind in (
        ("_int_register_", "INT32"),
        ("_double_register_", "DOUBLE"),
        ("_bit_register", "BOOL"),
        ("digital_output", "UINT8"),
        ("analog_output", "DOUBLE"),
        ("digital_input_bits", "UINT64"),
        ("digital_output_bits", "UINT64"),
        ("_bits", "UINT32"),
        ("_mode", "INT32"),
    ):
        if part in name and name != "joint_mode":
            return kind
    singles = ("timestamp", "speed_scaling", "payload", "voltage", "robot_current", "momentum", "fraction", "execution")
    if any(word in name for word in singles) and name != "actual_joint_voltage" and "cog" not in name:
        return "DOUBLE"
    if name in ("runtime_state", "speed_slider_mask"):
        return "UINT32"
    if name == "joint_mode":
        return "VECTOR6INT32"
    return "VECTOR3D" if name in ("payload_cog", "actual_tool_accelerometer") else "VECTOR6D"


class URController:
    """Use as a context manager; ``host`` is its address.

    Attributes:
        protective_stop: set it to stop the arm.
        commands: numbers of the commands that arrived, without repetitions.
        remote: whether the pendant left control to us.
    """

    def __init__(self, positions):
        self.host = next(_addresses)
        self.protective_stop, self.remote, self.script = False, True, b""
        self.commands = []
        self._q = np.array(positions, dtype=np.float64)
        self._target, self._v, self._at = self._q.copy(), np.zeros(6), time.monotonic()
        self._command, self._start = NO_COMMAND, time.monotonic()
        self._running = False
        self._sockets = []
        self._lock = threading.Lock()

    def __enter__(self):
        for port, serve in ((DASHBOARD, self._dashboard), (SCRIPT, self._program), (RTDE, self._rtde)):
            listening = socket.create_server((self.host, port))
            self._sockets.append(listening)
            threading.Thread(target=self._accept, args=(listening, serve), daemon=True).start()
        return self

    def __exit__(self, *_):
        for opened in self._sockets:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()

    @property
    def positions(self):
        with self._lock:
            self._move()
            return self._q.copy()

    def _accept(self, listening, serve):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets.append(connection)
                threading.Thread(target=self._guard, args=(serve, connection), daemon=True).start()

    @staticmethod
    def _guard(serve, connection):
        with contextlib.suppress(OSError, EOFError):
            serve(connection)
        connection.close()

    # -- the dashboard, the program ------------------------------------------------------------------------------------

    def _dashboard(self, connection):
        connection.sendall(b"Connected: Universal Robots Dashboard Server\n")
        answers = {
            "polyscopeversion": "URSoftware 5.12.4.1101661 (Oct 04 2022)",
            "get serial number": "20225500000",
            "is in remote control": lambda: str(self.remote).lower(),
        }
        with connection.makefile("r") as lines:
            for line in lines:
                answer = answers.get(line.strip().lower(), "ok")
                connection.sendall(f"{answer() if callable(answer) else answer}\n".encode())
                if line.strip() == "stop":
                    self._running = False

    def _program(self, connection):
        while data := connection.recv(65536):
            self.script += data
            self._running = True
        raise EOFError

    # -- RTDE ----------------------------------------------------------------------------------------------------------

    def _rtde(self, connection):
        inputs, outputs, sending = {}, [], threading.Event()
        try:
            while True:
                size, kind = struct.unpack(">HB", _read(connection, 3))
                self._answer(connection, chr(kind), _read(connection, size - 3), inputs, outputs, sending)
        finally:
            sending.clear()

    def _answer(self, connection, kind, body, inputs, outputs, sending):
        def reply(data):
            connection.sendall(struct.pack(">HB", len(data) + 3, ord(kind)) + data)

        if kind == "V":
            reply(struct.pack(">B", struct.unpack(">H", body)[0] == 2))
        elif kind == "v":
            reply(struct.pack(">4I", 5, 12, 4, 1101661))
        elif kind == "O":
            frequency = struct.unpack(">d", body[:8])[0]
            outputs[:] = [frequency, body[8:].decode().strip(",").split(",")]
            reply(b"\x01" + ",".join(map(type_of, outputs[1])).encode())
        elif kind == "I":
            names = body.decode().strip(",").split(",")
            inputs[len(inputs) + 1] = names
            reply(bytes([len(inputs)]) + ",".join(map(type_of, names)).encode())
        elif kind == "S":
            reply(b"\x01")
            sending.set()
            threading.Thread(target=self._guard, args=(self._stream(outputs, sending), connection), daemon=True).start()
        elif kind == "P":
            sending.clear()
            reply(b"\x01")
        elif kind == "U":
            names = inputs[body[0]]
            values = struct.unpack(">" + "".join(FORMATS[type_of(name)] for name in names), body[1:])
            self._take(dict(zip(names, values, strict=True)))

    def _stream(self, outputs, sending):
        def serve(connection):
            frequency, names = outputs
            layout = ">B" + "".join(FORMATS[type_of(name)] for name in names)
            due = time.monotonic()
            while sending.is_set():
                values = [1]
                with self._lock:
                    self._move()
                    for name in names:
                        value = self._value(name)
                        values += list(value) if isinstance(value, list | np.ndarray) else [value]
                data = struct.pack(layout, *values)
                connection.sendall(struct.pack(">HB", len(data) + 3, ord("U")) + data)
                due += 1.0 / frequency
                time.sleep(max(0.0, due - time.monotonic()))

        return serve

    def _take(self, registers):
        command = registers.get("input_int_register_0")
        if command is None:
            return
        with self._lock:
            self._move()
            if not self.commands or self.commands[-1] != command:
                self.commands.append(command)
            self._command = command
            if command == SERVOJ and self._moving_allowed:
                self._target = np.array([registers[f"input_double_register_{j}"] for j in range(6)])
            elif command == SERVO_STOP:
                self._target = self._q.copy()
            elif command == STOP_SCRIPT:
                self._running = False

    def _value(self, name):
        values = {
            "timestamp": time.monotonic() - self._start,
            "actual_q": self._q,
            "actual_qd": self._v,
            "target_q": self._target,
            "robot_mode": 7,
            "safety_mode": PROTECTIVE_STOP if self.protective_stop else NORMAL,
            "safety_status_bits": 0b100 if self.protective_stop else 0b1,
            "runtime_state": PLAYING if self._running else STOPPED,
            "robot_status_bits": 0b11 if self._running else 0b01,
            "output_int_register_0": READY if self._command in (NO_COMMAND, SERVOJ) else DONE,
        }
        kind = FORMATS[type_of(name)]
        zero = [0] * int(kind[:-1]) if len(kind) > 1 else 0
        return values.get(name, zero)

    @property
    def _moving_allowed(self):
        return self._running and not self.protective_stop

    def _move(self):
        now = time.monotonic()
        dt, self._at = now - self._at, now
        if dt <= 0:
            return
        wanted = self._target if self._moving_allowed else self._q
        step = np.clip(wanted - self._q, -SPEED * dt, SPEED * dt)
        self._q, self._v = self._q + step, step / dt


def _read(connection, size):
    data = b""
    while len(data) < size:
        if not (more := connection.recv(size - len(data))):
            raise EOFError
        data += more
    return data


def _serve(pipe, positions):
    with URController(positions) as controller:
        pipe.send(controller.host)
        while (request := pipe.recv()) is not None:
            name, value = request
            if value is not None:
                setattr(controller, name, value)
            pipe.send(getattr(controller, name))


class ControllerProcess:
    """A `URController` in a process of its own: ur_rtde waits for it while it holds the interpreter's lock."""

    def __init__(self, positions):
        self._pipe, other = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_serve, args=(other, positions), daemon=True)
        self._process.start()
        assert self._pipe.poll(60), "the controller did not start"
        self.host = self._pipe.recv()

    def ask(self, name, value=None):
        """An attribute of the controller, set to ``value`` first if that is given."""
        self._pipe.send((name, value))
        return self._pipe.recv()

    def kill(self):
        self._process.kill()
        self._process.join()
