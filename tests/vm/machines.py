"""Machines of one run: QEMU processes that share a folder and, when there are several, one Ethernet."""
import ctypes
import os
import pathlib
import platform
import shlex
import signal
import subprocess
import sys
import threading
import time

import kernel

HERE = pathlib.Path(__file__).resolve().parent
BOOT_S = 120  # 4 s on an idle machine, 40 seen on a busy one
COMMAND_TIMED_OUT = 124
MACHINE_FAILED = 125
_libc = ctypes.CDLL(None)


def _die_with_parent():
    PR_SET_PDEATHSIG = 1
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def qemu():
    """The program; raises Missing when this host lacks something that every machine takes."""
    if platform.machine() != "x86_64":
        raise kernel.Missing(f"needs an x86-64 host: this one is {platform.machine()}")
    program = kernel.tool("qemu-system-x86_64", "qemu-system-x86")
    kernel.tool("ip", "iproute2")
    # Its root is not there yet when a machine runs it.
    if not kernel.BUSYBOX.exists() or b"/ld-linux" in kernel.BUSYBOX.read_bytes():
        raise kernel.Missing("needs a static busybox: apt-get install busybox-static")
    return program


class Machines:
    """Files in `folder`, of machine i: setup.i, command.i (for it); began.i, status.i, out.i, console.i (from it)."""

    def __init__(self, options, program, kernel, initrd, folder):
        self.options = options
        self.program = program
        self.kernel, self.initrd = kernel, initrd
        self.folder = pathlib.Path(folder)
        self.running, self.relays = [], []

    def start(self):
        for i in range(self.options.machines):
            self._write_orders(i)
            reader, writer = os.pipe()  # not QEMU's standard input and output: their end would close the port
            self.relays.append(self._relay(reader, i))
            with open(self.folder / f"qemu.{i}", "wb") as log:
                self.running.append(subprocess.Popen(
                    self._command(i, f"/dev/fd/{writer}"), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    pass_fds=[writer], start_new_session=True, preexec_fn=_die_with_parent))
            os.close(writer)
            # The first one listens where the others connect.
            while i == 0 and not all((self.folder / f"net{j}").exists() for j in range(1, self.options.machines)):
                if self.running[0].poll() is not None:
                    return
                time.sleep(0.02)

    def wait(self):
        """The exit status of the run, and why, when the command did not decide it."""
        boot_ends, ends = time.monotonic() + BOOT_S, None
        while any(m.poll() is None for m in self.running):
            now = time.monotonic()
            if ends is None and all(self._began(i) for i in range(self.options.machines)):
                ends = now + self.options.limit
            if ends is None and now > boot_ends:
                break
            if ends is not None and now > ends:
                return COMMAND_TIMED_OUT, f"the command did not end within {self.options.limit} s"
            time.sleep(0.05)
        statuses = [self._status(i) for i in range(self.options.machines)]
        if None in statuses:
            return MACHINE_FAILED, "\n".join(self._last_words(i) for i, s in enumerate(statuses) if s is None)
        return next((s for s in statuses if s != 0), 0), ""

    def stop(self):
        for machine in self.running:
            machine.kill()
            machine.wait()
        for relay in self.relays:
            relay.join(5)

    def _began(self, i):
        return (self.folder / f"began.{i}").exists()

    def _status(self, i):
        file = self.folder / f"status.{i}"
        return int(file.read_text()) if file.exists() else None

    def _last_words(self, i):
        state = self.running[i].poll() if i < len(self.running) else "not started"
        how = f"did not start within {BOOT_S} s" if state is None else f"ended by itself (QEMU: {state})"
        when = "while the command ran" if self._began(i) else "before the command"
        texts = [(self.folder / f"{f}.{i}") for f in ("qemu", "console", "devices")]
        lines = [s for t in texts if t.exists() for s in t.read_text(errors="replace").splitlines()[-15:] if s.strip()]
        return "\n    ".join([f"machine {i} {how}, {when}; its last words:", *(lines or ["none"])])

    def _write_orders(self, i):
        o = self.options
        setup = {"VM_ID": i, "VM_MACHINES": o.machines, "VM_RDMA": o.rdma, "VM_MTU": o.mtu, "VM_BIND": o.bind,
                 "VM_NET": "1" if o.ethernet else ""}
        (self.folder / f"setup.{i}").write_text("".join(f"export {k}={shlex.quote(str(v))}\n" for k, v in setup.items()))
        (self.folder / f"command.{i}").write_text(
            "".join(f"export {shlex.quote(e)}\n" for e in o.env) +
            f"cd {shlex.quote(os.getcwd())}\nexec {shlex.join(o.command)}\n")

    def _nics(self, i):
        """A hub in each machine. The first machine's has a wire to each other one: nothing leaves this host."""
        o, parts = self.options, []
        ports = iter(range(100))

        def plug(netdev=None):
            name = f"hub{next(ports)}"
            parts.extend(["-netdev", f"hubport,id={name},hubid=0" + (f",netdev={netdev}" if netdev else "")])
            return name

        for j in range(1, o.machines):
            if i not in (0, j):
                continue
            server = "on" if i == 0 else "off"
            parts.extend(["-netdev", f"stream,id=wire{j},server={server},addr.type=unix,addr.path={self.folder}/net{j}"])
            plug(f"wire{j}")
        for k, model in enumerate(o.nic or (["virtio-net-pci"] if o.ethernet else [])):
            more = f",host_mtu={o.mtu}" if model.startswith("virtio") else ""
            if o.iommu and model.startswith("virtio"):
                more += ",disable-legacy=on,iommu_platform=on"
            parts.extend(["-device", f"{model},netdev={plug()},romfile=,mac=52:54:00:00:{k:02x}:{i + 1:02x}{more}"])
        return parts

    def _command(self, i, out):
        o = self.options
        words = ["console=ttyS0", "quiet", "panic=-1", "mitigations=off", "no_timer_check", "tsc=reliable",
                 "rcupdate.rcu_expedited=1", f"vm.id={i}", f"vm.kernel={self.kernel}", f"vm.bed={HERE}"]
        words += [f"hugepages={o.huge}"] if o.huge else []
        words += ["intel_iommu=on"] if o.iommu else []
        board = ["q35,kernel-irqchip=split", "-device", f"intel-iommu,intremap=on,aw-bits={o.iommu}"] if o.iommu else ["pc"]
        return [self.program, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                "-machine", *board, "-accel", "tcg", "-cpu", "max", "-smp", str(o.cpus), "-m", str(o.memory),
                "-kernel", str(self.kernel / "vmlinux"), "-initrd", str(self.initrd), "-append", " ".join(words),
                "-serial", f"file:{self.folder}/console.{i}", "-device", "isa-debug-exit,iobase=0x501,iosize=2",
                "-device", "virtio-serial-pci", "-chardev", f"file,id=out,path={out},append=on",
                "-device", "virtserialport,chardev=out", "-device", "virtio-rng-pci",
                "-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
                "-device", "virtio-9p-pci,fsdev=root,mount_tag=root",
                "-fsdev", f"local,id=job,path={self.folder},security_model=none",
                "-device", "virtio-9p-pci,fsdev=job,mount_tag=job", *self._nics(i)]

    def _relay(self, descriptor, i):
        """What the machine says, line by line, to our standard output; a copy to out.i."""
        prefix = f"[{i}] ".encode() if self.options.machines > 1 else b""

        def run():
            with os.fdopen(descriptor, "rb") as source, open(self.folder / f"out.{i}", "wb") as copy:
                for line in source:
                    copy.write(line)
                    copy.flush()
                    sys.stdout.buffer.write(prefix + line)
                    sys.stdout.buffer.flush()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread
