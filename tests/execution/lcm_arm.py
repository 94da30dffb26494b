"""An arm without dynamics behind Drake's protocol, as a process: ``python lcm_arm.py URL PROTOCOL``.

Does what ``edmp sim serve`` does at a fraction of its load.
"""

import signal
import sys
import threading

import torch

from edmp.execution.drivers.lcm_server import ArmServer, ServeSettings
from edmp.execution.kinematic import KinematicArm
from edmp.robots import load_robot


def main(url, protocol):
    torch.set_num_threads(1)
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    robot = load_robot("panda")
    with KinematicArm(robot, robot.home, period=1e-3) as arm:
        server = ArmServer(arm, settings=ServeSettings(protocol=protocol, url=url))
        done = server.serve(ending, ready=lambda: print("READY", flush=True))
    print(done, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
