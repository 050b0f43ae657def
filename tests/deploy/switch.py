"""A network of hosts on one machine: every host is a network namespace with an `eth0`, and the cable of each ends in this
process, which passes frames on, late or not at all. Needs root and /dev/net/tun; no kernel module for delays."""
import fcntl
import heapq
import os
import select
import struct
import subprocess
import threading
import time

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000


def run(*command):
    subprocess.run(command, check=True, capture_output=True, text=True)


class Switch:
    """names: of hosts; "" is the machine itself. Addresses are 10.X.Y.1, .2, ... in that order."""

    def __init__(self, names):
        self.tag = f"ms{os.getpid() % 100000}"
        net = f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
        self.names, self.delay, self.cut_off, self.cables = names, 0.0, set(), {}
        self.address = {name: f"{net}.{i + 1}" for i, name in enumerate(names)}
        self.wake_read, self.wake_write = os.pipe()
        try:
            for name in names:
                self._connect(name)
        except (OSError, subprocess.CalledProcessError):
            self.remove()
            raise
        self.thread = threading.Thread(target=self._pass_on, daemon=True)
        self.thread.start()

    def namespace(self, name):
        return f"{self.tag}{name}"

    def prefix(self, name):
        """What to put before a command to run it there, under the host's own name."""
        return ["ip", "netns", "exec", self.namespace(name), "unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"', name]

    def _connect(self, name):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        device = f"{self.tag}x{self.names.index(name)}"[:15]
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", device.encode(), IFF_TAP | IFF_NO_PI))
        self.cables[name] = fd
        where = []
        if name:
            space = self.namespace(name)
            run("ip", "netns", "add", space)
            run("ip", "link", "set", device, "netns", space)
            run("ip", "-n", space, "link", "set", device, "name", "eth0")
            run("ip", "-n", space, "link", "set", "lo", "up")
            where, device = ["-n", space], "eth0"
        run("ip", *where, "address", "add", f"{self.address[name]}/24", "dev", device)
        run("ip", *where, "link", "set", device, "up")

    def cut(self, name):
        self.cut_off.add(name)

    def mend(self, name):
        self.cut_off.discard(name)

    def _pass_on(self):
        """Frames wait for their time, in order; every cable but its own gets a copy: hosts drop what is not for them."""
        poll, waiting, serial = select.poll(), [], 0
        of_fd = {fd: name for name, fd in self.cables.items()}
        for fd in [*of_fd, self.wake_read]:
            poll.register(fd, select.POLLIN)
        while True:
            timeout = max(0.0, waiting[0][0] - time.monotonic()) * 1000 if waiting else None
            for fd, _ in poll.poll(timeout):
                if fd == self.wake_read:
                    return
                try:
                    frame = os.read(fd, 65536)
                except (BlockingIOError, OSError):
                    continue
                heapq.heappush(waiting, (time.monotonic() + self.delay, serial, of_fd[fd], frame))
                serial += 1
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, source, frame = heapq.heappop(waiting)
                for name, fd in self.cables.items():
                    if name == source or name in self.cut_off or source in self.cut_off:
                        continue
                    try:
                        os.write(fd, frame)
                    except OSError:
                        pass  # a full cable loses frames, as cables do

    def remove(self):
        if getattr(self, "thread", None):
            os.write(self.wake_write, b"x")
            self.thread.join()
        for fd in [*self.cables.values(), self.wake_read, self.wake_write]:
            os.close(fd)
        for name in self.names:
            if name:
                subprocess.run(["ip", "netns", "delete", self.namespace(name)], capture_output=True)
