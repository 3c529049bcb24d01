"""Debian's stock kernel, fetched by apt and unpacked into a cache, never installed; and the initramfs that takes a
machine from there to the root of this host."""
import fcntl
import hashlib
import lzma
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
# What it takes to see the host's root; guest/session loads everything else from there.
MODULES = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay")
UNWANTED = ("drivers/gpu", "drivers/media", "drivers/net/wireless", "drivers/staging", "sound")  # half of the package
PACKAGE = "linux-image-amd64"
BUSYBOX = pathlib.Path("/bin/busybox")


class Missing(Exception):
    """What this host lacks, as a sentence that begins with 'needs' and ends with the remedy."""


def cache():
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(os.environ.get("PENSTOCK_VM_CACHE") or pathlib.Path(home, "penstock/vm")).absolute()


def tool(name, package):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise Missing(f"needs {name}: apt-get install {package}")
    return path


def kernel(package):
    """(the folder of an unpacked kernel: vmlinux and lib/modules, its initramfs)"""
    cache().mkdir(parents=True, exist_ok=True)
    with open(cache() / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        link = cache() / package
        if not (link / "complete").exists():
            fetch(package, link)
        folder = link.resolve()
        init = (HERE / "guest/init").read_bytes()
        initrd = folder / f"initrd-{hashlib.sha256(init).hexdigest()[:12]}"
        if not initrd.exists():
            make_initrd(folder, initrd)
        return folder, initrd


def fetch(package, link):
    """Downloads what `package` stands for today, and leaves `link` pointing at it."""
    tool("depmod", "kmod")
    tool("apt-get", "apt: the kernel is Debian's")
    deb, fault = download(package)
    if fault and os.geteuid() == 0:  # the package lists may be absent or stale
        subprocess.run(["apt-get", "update", "-q"], stdin=subprocess.DEVNULL, capture_output=True)
        deb, fault = download(package)
    if fault:
        raise Missing(f"needs Debian's {package}, and {fault}: apt-get update, or copy {cache()} from a host that has it")
    folder = deb.parent
    archive = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
    subprocess.run(["tar", "-x", "-C", folder, *(f"--exclude=./lib/modules/*/kernel/{u}" for u in UNWANTED), "./boot",
                    "./lib"], stdin=archive.stdout, check=True)
    if archive.wait() != 0:
        raise RuntimeError(f"{deb.name} is damaged")
    deb.unlink()
    subprocess.run(["depmod", "-b", folder, folder.name], check=True)
    (folder / "vmlinux").write_bytes(uncompressed((folder / f"boot/vmlinuz-{folder.name}").read_bytes()))
    os.chmod(folder, 0o755)
    (folder / "complete").touch()
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name)


def download(package):
    """(the package in a folder of its own, or None; what went wrong, or nothing)"""
    depends = subprocess.run(["apt-cache", "depends", package], capture_output=True, text=True).stdout
    images = [s.split()[-1] for s in depends.splitlines() if "Depends: linux-image-" in s]
    if not images:
        return None, "apt does not know it"
    folder = cache() / images[0].removeprefix("linux-image-")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    os.chmod(folder, 0o777)  # apt downloads as a user of its own
    done = subprocess.run(["apt-get", "-qq", "download", images[0]], cwd=folder, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)
    if done.returncode != 0:
        return None, (done.stderr.strip().splitlines() or ["apt-get download fails"])[-1]
    return next(folder.glob("*.deb")), ""


def uncompressed(image):
    """The kernel proper inside of a bzImage: without it unpacking itself a machine starts 2.5 s earlier. The image as it
    is when it is packed in another way than Debian 12's."""
    setup = (image[0x1F1] or 4) + 1
    offset, length = struct.unpack_from("<II", image, 0x248)
    payload = image[setup * 512 + offset:][:length]
    try:
        return lzma.LZMADecompressor().decompress(payload)
    except lzma.LZMAError:
        return image


def make_initrd(folder, initrd):
    modprobe = tool("modprobe", "kmod")
    with tempfile.TemporaryDirectory(prefix="penstock-initrd-") as name:
        root = pathlib.Path(name)
        (root / "bin").mkdir()
        shutil.copy(BUSYBOX, root / "bin/busybox")
        shutil.copy(HERE / "guest/init", root / "init")
        (root / "init").chmod(0o755)
        order = []
        for module in MODULES:
            shown = subprocess.run([modprobe, "-d", folder, "-S", folder.name, "--show-depends", module],
                                   capture_output=True, text=True, check=True).stdout
            for path in (pathlib.Path(s.split()[1]) for s in shown.splitlines() if s.startswith("insmod")):
                plain = path.name.removesuffix(".xz")
                if plain not in order:
                    order.append(plain)
                    data = path.read_bytes()
                    (root / plain).write_bytes(lzma.decompress(data) if path.suffix == ".xz" else data)
        (root / "modules").write_text("\n".join(order) + "\n")
        files = "\n".join(str(p.relative_to(root)) for p in sorted(root.rglob("*")))
        packed = subprocess.run([BUSYBOX, "cpio", "-o", "-H", "newc"], cwd=root, input=files.encode(), check=True,
                                capture_output=True).stdout
    part = initrd.with_suffix(".part")
    part.write_bytes(packed)
    part.rename(initrd)
