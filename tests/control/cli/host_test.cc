#include "control/cli/host.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

#include "control/cli/init.h"
#include "control/config/load.h"

namespace penstock::cli {
namespace {

namespace fs = std::filesystem;

// A tree as /sys while it lives: huge pages of 2 MiB and a NIC that the kernel leaves alone, one of
// virtio's that is in a bond, and a disk.
class Sys {
 public:
  Sys() {
    put("kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "512");
    put("kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "500");
    put("bus/pci/devices/0000:03:00.0/class", "0x020000");
    put("bus/pci/devices/0000:03:00.0/numa_node", "1");
    fs::create_symlink("../../drivers/vfio-pci", path / "bus/pci/devices/0000:03:00.0/driver");
    put("bus/pci/devices/0000:04:00.0/class", "0x020000");
    put("bus/pci/devices/0000:04:00.0/virtio2/net/test-nic0/master/ifindex", "7");
    put("bus/pci/devices/0000:05:00.0/class", "0x010802");
  }
  ~Sys() { fs::remove_all(path); }
  Sys(const Sys&) = delete;
  Sys& operator=(const Sys&) = delete;

  void put(const std::string& file, const std::string& text) const {
    fs::create_directories((path / file).parent_path());
    std::ofstream(path / file) << text << "\n";
  }

  const fs::path path = fs::temp_directory_path() / ("penstock-sys." + std::to_string(getpid()));
};

TEST(Host, HasItsHugePagesAndNics) {
  const Sys sys;
  const Host host = look_at_host(sys.path);
  ASSERT_EQ(host.huge_pages.size(), 1u);
  EXPECT_EQ(host.huge_pages[0].kib, 2048u);
  EXPECT_EQ(host.huge_pages[0].total, 512u);
  EXPECT_EQ(host.huge_pages[0].free, 500u);
  ASSERT_EQ(host.nics.size(), 2u);
  EXPECT_EQ(host.nics[0].pci, "0000:03:00.0");
  EXPECT_EQ(host.nics[0].driver, "vfio-pci");
  EXPECT_EQ(host.nics[0].numa_node, 1);
  EXPECT_FALSE(host.nics[0].in_use());
  EXPECT_EQ(host.nics[1].interface, "test-nic0");
  EXPECT_TRUE(host.nics[1].in_use());
  EXPECT_GT(host.cores, 0u);
}

TEST(Init, MakesAConfigThatIsAllowed) {
  const Sys sys;
  Host host = look_at_host(sys.path);
  host.name = "gpu-7.rack \"2\"";
  host.cores = 32;
  const Loaded config = parse(
      config_for(host, {.socket = "/run/x/p.sock", .state_dir = "/var/lib/x", .id = 7}), "c.toml");
  ASSERT_TRUE(config) << text(config.error().front());
  EXPECT_EQ(config->node.id, 7u);
  EXPECT_EQ(config->node.name, "gpu-7");
  EXPECT_EQ(config->node.socket, "/run/x/p.sock");
  EXPECT_EQ(config->node.state_dir, "/var/lib/x");
  EXPECT_EQ(config->workers.count, 4u);
  EXPECT_TRUE(config->ports.empty());
}

TEST(Init, OffersAPortForEachNicThatTheKernelDoesNotUse) {
  const Sys sys;
  std::string config = config_for(look_at_host(sys.path), {.socket = "", .state_dir = "", .id = 1});
  EXPECT_NE(config.find("# 0000:04:00.0, test-nic0: the kernel uses it (in a bond or bridge)"),
            std::string::npos);
  // As somebody would who follows it.
  const size_t offered =
      config.find("# [[port]]\n# name = \"p0\"\n# device = \"pci:0000:03:00.0\"");
  ASSERT_NE(offered, std::string::npos);
  for (size_t at = offered;
       (at = config.find("# ", at)) != std::string::npos && at < config.find("\n\n", offered);)
    config.erase(at, 2);
  const Loaded loaded = parse(config, "c.toml");
  ASSERT_TRUE(loaded) << text(loaded.error().front());
  ASSERT_EQ(loaded->ports.size(), 1u);
  EXPECT_EQ(loaded->ports[0].device, "pci:0000:03:00.0");
}

}  // namespace
}  // namespace penstock::cli
