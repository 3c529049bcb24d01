// A host as a tree of files, as `penstock doctor` sees it: one on which all is well, for tests that
// then break one thing.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>

namespace penstock::cli::test {

namespace fs = std::filesystem;

// One NUMA node with CPUs 0-7, 6 and 7 isolated. Behind its host bridge 0000:3a stand a switch with
// an RDMA NIC (mlx5_0, 0000:3c:00.0) and a GPU (0000:3d:00.0), and alone a NIC for DPDK.
class HostTree {
 public:
  HostTree() {
    fs::remove_all(path);
    put("proc/sys/kernel/osrelease", "6.1.0-56-amd64");
    put("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu constant_tsc nonstop_tsc avx2");
    put("proc/self/limits", "Max locked memory         8388608    8388608    bytes");
    put("proc/self/status", "CapEff:\t0000000000000000");
    put("lib/systemd/system/penstockd.service", "[Service]\nLimitMEMLOCK=infinity");
    put("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc");
    put("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "512");
    put("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "512");
    put("sys/devices/system/cpu/online", "0-7");
    put("sys/devices/system/cpu/isolated", "6-7");
    put("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance");
    put("sys/devices/system/node/online", "0-1");
    put("sys/devices/system/node/node0/cpulist", "0-7");
    put("sys/devices/system/node/node1/cpulist", "");
    put("sys/class/iommu/dmar0/intel-iommu/cap", "d2f0462");  // 48 bits
    bridge(kRoot, "");
    bridge(kUp, kRoot);
    bridge(kDownNic, kRoot + "/" + kUp);
    bridge(kDownGpu, kRoot + "/" + kUp);
    device(kRdmaNic, kRoot + "/" + kUp + "/" + kDownNic, "0x020000", "0x15b3", "mlx5_core");
    device(kGpu, kRoot + "/" + kUp + "/" + kDownGpu, "0x030200", "0x10de", "nvidia");
    device(kNic, "", "0x020000", "0x8086", "vfio-pci");
    put("sys/class/net/eth1/mtu", "9000");
    put("sys/class/net/eth1/operstate", "up");
    put("sys/module/nvidia_peermem/refcnt", "0");
    put("sys/class/infiniband/mlx5_0/ports/1/state", "4: ACTIVE");
    put("sys/class/infiniband/mlx5_0/ports/1/link_layer", "Ethernet");
    put("sys/class/infiniband/mlx5_0/ports/1/lid", "0x0");
    gid(0, "fe80:0000:0000:0000:0a00:27ff:fe4e:66a1", "RoCE v2");
    gid(1, "0000:0000:0000:0000:0000:ffff:0a00:0001", "IB/RoCE v1");
    gid(2, "0000:0000:0000:0000:0000:ffff:0a00:0001", "RoCE v2");
    gid(3, "0000:0000:0000:0000:0000:0000:0000:0000", "");
    link("sys/class/infiniband/mlx5_0/device", "../../../bus/pci/devices/" + kRdmaNic);
    config("");
  }
  ~HostTree() { fs::remove_all(path); }
  HostTree(const HostTree&) = delete;
  HostTree& operator=(const HostTree&) = delete;

  void put(const std::string& file, const std::string& text) const {
    fs::create_directories((path / file).parent_path());
    std::ofstream(path / file, std::ios::binary) << text << "\n";
  }
  void link(const std::string& file, const std::string& to) const {
    fs::create_directories((path / file).parent_path());
    fs::remove(path / file);
    fs::create_symlink(to, path / file);
  }
  void remove(const std::string& file) const { fs::remove_all(path / file); }

  void gid(int index, const std::string& address, const std::string& type) const {
    const std::string port = "sys/class/infiniband/mlx5_0/ports/1/";
    put(port + "gids/" + std::to_string(index), address);
    put(port + "gid_attrs/types/" + std::to_string(index), type);
    put(port + "gid_attrs/ndevs/" + std::to_string(index), "eth1");
  }

  // `above`: the bridges down to it, "A/B"; its folder is where the kernel would have it.
  void device(const std::string& address, const std::string& above, const std::string& kind,
              const std::string& vendor, const std::string& driver) const {
    const std::string place = "devices/pci0000:3a/" + above + (above.empty() ? "" : "/") + address;
    put("sys/" + place + "/class", kind);
    put("sys/" + place + "/vendor", vendor);
    put("sys/" + place + "/numa_node", "0");
    put("sys/kernel/iommu_groups/7/type", "identity");
    link("sys/" + place + "/iommu_group", (path / "sys/kernel/iommu_groups/7").string());
    link("sys/" + place + "/driver", "../../drivers/" + driver);
    link("sys/bus/pci/devices/" + address, (path / "sys" / place).string());
  }

  void bridge(const std::string& address, const std::string& above) const {
    device(address, above, "0x060400", "0x8086", "pcieport");
    acs(address, 0);
  }
  // Registers with an empty capability in front of that of ACS.
  void acs(const std::string& address, char control) const {
    std::string bytes(4096, '\0');
    bytes[0x100] = 1;  // of error reporting; the next is at 0x148
    bytes[0x103] = 0x14;
    bytes[0x102] = static_cast<char>(0x81);
    bytes[0x148] = 0x0d;
    bytes[0x14e] = control;
    registers(address, bytes);
  }
  void registers(const std::string& address, const std::string& bytes) const {
    std::ofstream(path / "sys/bus/pci/devices" / address / "config", std::ios::binary) << bytes;
  }

  // The good config with other options in place of, or beside, its own.
  void config(const std::string& more, const std::string& workers = "cpus = \"6-7\"") const {
    put("node.toml",
        "[node]\nid = 1\n[workers]\ncount = 2\nidle = \"spin\"\n" + workers +
            "\n[[port]]\nname = \"p0\"\ndevice = \"pci:" + kNic +
            "\"\naddress = \"10.1.0.1/24\"\n[[port]]\nname = \"p1\"\ndevice = \"af_packet:eth1\"\n"
            "address = \"10.2.0.1/24\"\nmtu = 9000\n" +
            more);
  }

  const fs::path path = fs::temp_directory_path() / ("penstock-doctor." + std::to_string(getpid()));
  const std::string kRoot = "0000:3a:00.0", kUp = "0000:3b:00.0", kDownNic = "0000:3b:01.0",
                    kDownGpu = "0000:3b:02.0", kRdmaNic = "0000:3c:00.0", kGpu = "0000:3d:00.0",
                    kNic = "0000:3e:00.0";
};

}  // namespace penstock::cli::test
