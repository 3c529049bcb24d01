#include "control/cli/doctor/doctor.h"

#include <functional>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sstream>

#include "control/cli/cli.h"
#include "control/cli/doctor/look.h"
#include "tests/control/cli/doctor/host_tree.h"

namespace penstock::cli::test {
namespace {

struct Answer {
  Exit exit;
  nlohmann::json rows;
  std::string text;  // what it says
};

Answer ask(const fs::path& root, const fs::path& config) {
  std::istringstream in;
  std::ostringstream out, err;
  const Exit exit = doctor({in, out, err}, {.config = config, .root = root, .json = true});
  Answer answer{exit, nlohmann::json::parse(out.str()).at("checks"), ""};
  for (const auto& row : answer.rows)
    answer.text += row.at("says").get<std::string>() + "\n";
  return answer;
}

Answer ask(const HostTree& tree) {
  return ask(tree.path, tree.path / "node.toml");
}

// What is not ok, "check level" a line.
std::string trouble(const Answer& answer) {
  std::string out;
  for (const auto& row : answer.rows)
    if (row.at("level") != "ok")
      out += row.at("check").get<std::string>() + " " + row.at("level").get<std::string>() + "\n";
  return out;
}

TEST(Doctor, FindsNothingOnAGoodHost) {
  const HostTree tree;
  const Answer answer = ask(tree);
  EXPECT_EQ(trouble(answer), "") << answer.text;
  EXPECT_EQ(answer.exit, Exit::kOk);
  for (const char* said :
       {"Linux 6.1.0", "512 huge pages of 2 MiB, 512 free", "p0: 0000:3e:00.0, driver vfio-pci",
        "p1: interface eth1 is up, mtu 9000", "mlx5_0 port 1: Ethernet, ACTIVE",
        "GID 2 is RoCE v2, 10.0.0.1 of eth1", "packets of 4096 bytes over eth1",
        "GPU 0000:3d:00.0 and mlx5_0, its nearest: behind one PCI switch",
        "mlx5_0: NUMA node 0, CPUs 0-7", "p0: group 7", "nvidia_peermem is loaded"})
    EXPECT_NE(answer.text.find(said), std::string::npos) << said << "\n" << answer.text;
}

TEST(Doctor, LooksAtEveryThingThatItsTableNames) {
  const HostTree tree;
  const Answer answer = ask(tree);
  for (const Check& check : checks()) {
    const bool there = std::ranges::any_of(
        answer.rows, [&](const auto& row) { return row.at("check") == check.name; });
    EXPECT_TRUE(there) << check.name;
  }
}

struct Fault {
  const char* name;
  std::function<void(const HostTree&)> make;
  const char* trouble;  // as above: this and nothing else
  const char* says;
};

const std::string kPort = "sys/class/infiniband/mlx5_0/ports/1/";

const Fault kFaults[] = {
    {"old_kernel", [](const HostTree& t) { t.put("proc/sys/kernel/osrelease", "4.18.0-553.el8"); },
     "kernel error\n", "Linux 4.18.0-553.el8 has neither"},
    {"no_counter", [](const HostTree& t) { t.put("proc/cpuinfo", "flags\t\t: fpu avx2"); },
     "clock warning\n", "no invariant time stamp counter"},
    {"slow_clock",
     [](const HostTree& t) {
       t.put("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet");
     },
     "clock warning\n", "clock source is hpet"},
    {"no_config", [](const HostTree& t) { t.remove("node.toml"); }, "config warning\n",
     "ports, and what they need, were not looked at"},
    {"wrong_config", [](const HostTree& t) { t.config("[lane]\nrnig = 4\n"); }, "config error\n",
     "did you mean lane.ring"},
    {"few_huge_pages",
     [](const HostTree& t) {
       t.put("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "3");
     },
     "huge_pages warning\n", "3 free, and the buffers of ports take 64"},
    {"huge_pages_required",
     [](const HostTree& t) {
       t.put("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "63");
       t.config("[memory]\nhugepages = \"require\"\n");
     },
     "huge_pages error\n", "the node does not start"},
    {"memlock_of_the_unit",
     [](const HostTree& t) {
       t.put("etc/systemd/system/penstockd.service.d/mine.conf", "[Service]\nLimitMEMLOCK=1G");
     },
     "memlock warning\n", "penstockd.service may lock 1.00 GiB"},
    {"memlock_of_the_daemon",
     [](const HostTree& t) {
       t.put("proc/77/comm", "penstockd");
       t.put("proc/77/limits", "Max locked memory         65536    65536    bytes");
       t.put("proc/77/status", "CapEff:\t0000000000002000");
     },
     "memlock error\n", "penstockd, process 77 may lock 64.0 KiB"},
    {"worker_without_cpu", [](const HostTree& t) { t.config("", "cpus = \"7-8\""); },
     "cpus error\nisolation warning\ndistance warning\ndistance warning\n",
     "workers.cpus has CPUs 8, which are not online"},
    {"too_many_workers", [](const HostTree& t) { t.put("sys/devices/system/cpu/online", "6-7"); },
     "cpus error\n", "2 worker(s) on 2 CPU(s)"},
    {"not_isolated", [](const HostTree& t) { t.put("sys/devices/system/cpu/isolated", "7"); },
     "isolation warning\n", "spin on CPUs 6, which the scheduler gives"},
    {"slow_governor",
     [](const HostTree& t) {
       t.put("sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "powersave");
     },
     "governor warning\n", "CPUs 3: powersave"},
    {"no_such_nic", [](const HostTree& t) { t.remove("sys/bus/pci/devices/" + t.kNic); },
     "port error\n", "p0: 0000:3e:00.0 is not there"},
    {"no_nic",
     [](const HostTree& t) { t.put("sys/bus/pci/devices/" + t.kNic + "/class", "0x010802"); },
     "port error\n", "p0: 0000:3e:00.0 is no NIC"},
    {"nic_of_the_kernel",
     [](const HostTree& t) {
       t.link("sys/bus/pci/devices/" + t.kNic + "/driver", "../../drivers/ice");
     },
     "port error\n", "0000:3e:00.0 has driver ice, and DPDK takes it from vfio-pci"},
    {"nic_in_a_bond",
     [](const HostTree& t) {
       t.link("sys/bus/pci/devices/" + t.kNic + "/driver", "../../drivers/ice");
       t.put("sys/bus/pci/devices/" + t.kNic + "/net/test-nic0/master/ifindex", "7");
     },
     "port error\n", "0000:3e:00.0 is test-nic0, which the kernel uses (in a bond or bridge)"},
    {"no_interface", [](const HostTree& t) { t.remove("sys/class/net/eth1"); }, "port error\n",
     "p1: there is no interface eth1"},
    {"small_mtu", [](const HostTree& t) { t.put("sys/class/net/eth1/mtu", "1500"); },
     "port error\n", "eth1 has mtu 1500 and the port wants 9000"},
    {"link_down",
     [](const HostTree& t) { t.put("sys/class/net/eth1/operstate", "lowerlayerdown"); },
     "port warning\n", "interface eth1 is down"},
    {"mtu_too_large_for_xdp",
     [](const HostTree& t) {
       t.config("[[port]]\nname = \"x\"\ndevice = \"af_xdp:eth1\"\naddress = \"10.3.0.1/24\"\n");
     },
     "port error\n", "x: interface eth1 has mtu 9000, and XDP takes at most 3506"},
    {"no_directory_for_a_socket",
     [](const HostTree& t) {
       t.config(
           "[[port]]\nname = \"v\"\ndevice = \"vhost:/nowhere/v.sock\"\n"
           "address = \"10.3.0.1/24\"\n");
     },
     "port error\n", "v: /nowhere/v.sock: there is no directory /nowhere"},
    {"no_tun",
     [](const HostTree& t) {
       t.config("[[port]]\nname = \"t\"\ndevice = \"tap:t0\"\naddress = \"10.3.0.1/24\"\n");
     },
     "port error\n", "t: there is no /dev/net/tun"},
    {"no_iommu",
     [](const HostTree& t) { t.remove("sys/bus/pci/devices/" + t.kNic + "/iommu_group"); },
     "iommu error\n", "p0: no IOMMU stands before 0000:3e:00.0"},
    {"narrow_iommu",
     [](const HostTree& t) { t.put("sys/class/iommu/dmar1/intel-iommu/cap", "9200c40260462"); },
     "iommu warning\n", "addresses of 39 bits"},
    {"port_down", [](const HostTree& t) { t.put(kPort + "state", "1: DOWN"); },
     "rdma_port warning\n", "mlx5_0 port 1: Ethernet, DOWN"},
    {"only_a_link_local_address", [](const HostTree& t) { t.gid(2, "fe80::1", "RoCE v2"); },
     "rdma_address warning\n", "mlx5_0 port 1 has no RoCE v2 address"},
    {"only_roce_v1", [](const HostTree& t) { t.gid(2, "fd00::1", "IB/RoCE v1"); },
     "rdma_address warning\n", "has no RoCE v2 address"},
    {"no_lid",
     [](const HostTree& t) {
       t.put(kPort + "link_layer", "InfiniBand");
       t.put(kPort + "state", "2: INIT");
     },
     "rdma_port warning\nrdma_address warning\n", "mlx5_0 port 1: has no LID yet"},
    {"small_rdma_mtu",
     [](const HostTree& t) {
       t.put("sys/class/net/eth2/mtu", "1000");
       t.put(kPort + "gid_attrs/ndevs/2", "eth2");
     },
     "rdma_mtu warning\n", "packets of 512 bytes over eth2, mtu 1000"},
    {"acs_redirects", [](const HostTree& t) { t.acs(t.kDownGpu, 0x1d); }, "acs warning\n",
     "bridges 0000:3b:02.0"},
    {"registers_are_not_for_us",
     [](const HostTree& t) { t.registers(t.kUp, std::string(64, '\0')); }, "acs warning\n",
     "cannot be read: 0000:3b:00.0"},
    {"no_peer_memory", [](const HostTree& t) { t.remove("sys/module/nvidia_peermem"); },
     "gpu_memory warning\n", "nvidia_peermem is not loaded"},
    {"far_workers",
     [](const HostTree& t) {
       t.put("sys/devices/system/node/node0/cpulist", "0-3");
       t.put("sys/devices/system/node/node1/cpulist", "4-7");
     },
     "distance warning\ndistance warning\n",
     "mlx5_0: NUMA node 0, CPUs 0-3; workers may take CPUs 6-7"},
    {"far_gpu",
     [](const HostTree& t) {
       t.remove("sys/bus/pci/devices/" + t.kGpu);
       t.put("sys/devices/pci0000:80/0000:81:00.0/class", "0x030200");
       t.put("sys/devices/pci0000:80/0000:81:00.0/vendor", "0x10de");
       t.put("sys/devices/pci0000:80/0000:81:00.0/numa_node", "1");
       t.link("sys/bus/pci/devices/0000:81:00.0",
              (t.path / "sys/devices/pci0000:80/0000:81:00.0").string());
     },
     "distance warning\n", "GPU 0000:81:00.0 and mlx5_0, its nearest: on different NUMA nodes"},
};

class Faults : public testing::TestWithParam<Fault> {};

TEST_P(Faults, AreFoundAndHaveAMend) {
  const HostTree tree;
  GetParam().make(tree);
  const Answer answer = ask(tree);
  EXPECT_EQ(trouble(answer), GetParam().trouble) << answer.text;
  EXPECT_NE(answer.text.find(GetParam().says), std::string::npos) << answer.text;
  const bool error = std::string(GetParam().trouble).find("error") != std::string::npos;
  EXPECT_EQ(answer.exit, error ? Exit::kFailed : Exit::kOk);
  for (const auto& row : answer.rows)
    EXPECT_EQ(row.at("level") == "ok", row.at("mend") == "") << row;
}

INSTANTIATE_TEST_SUITE_P(Doctor, Faults, testing::ValuesIn(kFaults),
                         [](const auto& fault) { return std::string(fault.param.name); });

TEST(Doctor, PrintsALineForEachFindingAndItsMendBelow) {
  const HostTree tree;
  tree.put("sys/class/net/eth1/mtu", "1500");
  tree.put("proc/sys/kernel/osrelease", "6.1\x1b[2J");
  std::istringstream in;
  std::ostringstream out, err;
  const DoctorOptions options{.config = tree.path / "node.toml", .root = tree.path};
  EXPECT_EQ(doctor({in, out, err}, options), Exit::kFailed);
  for (const char* said :
       {"ok       kernel        Linux 6.1?[2J\n",
        "error    port          p1: interface eth1 has mtu 1500 and the port wants 9000\n"
        "                       mend: ip link set eth1 mtu 9000, or lower the port's\n",
        " ok, 0 warning(s), 1 error(s)\n"})
    EXPECT_NE(out.str().find(said), std::string::npos) << said << "\n" << out.str();
}

TEST(Doctor, NodeThatRunsHasItsHugePagesAlready) {
  const HostTree tree;
  tree.put("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "0");
  EXPECT_EQ(trouble(ask(tree)), "huge_pages warning\n");
  tree.put("proc/77/comm", "penstockd");
  tree.put("proc/77/limits", "Max locked memory         unlimited    unlimited    bytes");
  EXPECT_EQ(trouble(ask(tree)), "");
}

// What penstockd says of the one port of the good host.
Facts with_verbs(const HostTree& tree, const std::string& said) {
  Facts facts = look_at(tree.path, tree.path / "node.toml");
  facts.verbs = verbs_in(said);
  return facts;
}

TEST(Doctor, BelievesTheDaemonAboutRdma) {
  const HostTree tree;
  tree.remove("sys/module/nvidia_peermem");
  const Facts facts = with_verbs(
      tree,
      "libibverbs: Warning: no driver for uverbs1\n"
      R"({"why":"","ports":[{"device":"mlx5_0","port":1,"fault":"","address":"10.0.0.1",)"
      R"("gid_index":2,"mtu":2048,"dma_buf":true}]})");
  EXPECT_EQ(judge_rdma_devices(facts)[0].says, "mlx5_0 port 1, 0000:3c:00.0; penstockd can use it");
  EXPECT_EQ(judge_rdma_mtu(facts)[0].says,
            "mlx5_0 port 1: packets of 2048 bytes over eth1, mtu 9000");
  EXPECT_EQ(judge_gpu_memory(facts)[0].says, "mlx5_0 port 1 registers dma-bufs");
}

TEST(Doctor, WarnsOfADeviceThatTheDaemonCannotUse) {
  const HostTree tree;
  for (const auto& [said, says] : std::initializer_list<std::pair<const char*, const char*>>{
           {R"({"why":"no RDMA device: libibverbs.so.1 is not installed","ports":[]})",
            "which penstockd does not find: no RDMA device: libibverbs.so.1 is not installed"},
           {R"({"why":"","ports":[{"device":"mlx5_0","port":1,"fault":"registers no memory"}]})",
            "registers no memory"},
           {R"({"why":7})", "of another version"},
           {R"({"ports":[{"device":)", "gives no answer"},
           {"Illegal instruction", "gives no answer"}}) {
    const Finding found = judge_rdma_devices(with_verbs(tree, said))[0];
    EXPECT_EQ(found.level, Level::kWarning) << said;
    EXPECT_NE(found.says.find(says), std::string::npos) << found.says;
    EXPECT_FALSE(found.mend.empty());
  }
}

TEST(Doctor, ComparesWhatGoesThroughWithTheMtuOfThePort) {
  Facts facts;
  EXPECT_EQ(judge_path_mtu(facts)[0].says, "of the peers' side nothing is known");
  facts.ways = Ways{"no node answers", {}};
  EXPECT_EQ(judge_path_mtu(facts)[0].says, "of the peers' side nothing is known: no node answers");
  const auto links = [](const char* local, uint64_t frame, uint64_t up_s) {
    return nlohmann::json{{"links",
                           {{{"peer", "gpu-2"},
                             {"path", 0},
                             {"port", "p0"},
                             {"state", "up"},
                             {"local", local},
                             {"frame", frame},
                             {"up_ns", up_s * 1'000'000'000}},
                            {{"peer", "gpu-3"}, {"port", "p0"}, {"state", "connecting"}}}}};
  };
  const nlohmann::json ports = {{"ports", {{{"name", "p0"}, {"mtu", 9000}}}}};
  const auto judged = [&](const nlohmann::json& answer) {
    facts.ways = ways_in(answer, ports);
    return judge_path_mtu(facts);
  };
  ASSERT_EQ(judged(links("10.1.0.1:9470", 8972, 60)).size(), 1u);
  EXPECT_EQ(judged(links("10.1.0.1:9470", 8972, 60))[0].level, Level::kOk);
  EXPECT_EQ(judged(links("[fd00::1]:9470", 8952, 60))[0].level, Level::kOk);
  EXPECT_EQ(judged(links("10.1.0.1:9470", 1472, 1))[0].level, Level::kOk);  // it still tries
  const Finding narrow = judged(links("10.1.0.1:9470", 1472, 60))[0];
  EXPECT_EQ(narrow.level, Level::kWarning);
  EXPECT_EQ(narrow.says,
            "p0 to gpu-2, path 0: packets of 1500 bytes go through, the port's mtu is 9000");
  EXPECT_EQ(judged({{"links", nlohmann::json::array()}})[0].says, "no link of the node is up");
  EXPECT_NE(judged({{"links", {{{"state", 7}}}}})[0].says.find("of another version"),
            std::string::npos);
}

TEST(Doctor, TakesRegistersAsTheyCome) {
  const HostTree tree;
  std::string circle(4096, '\x01');
  circle[0x102] = 0x01, circle[0x103] = 0x10;  // the next is this one
  tree.registers(tree.kUp, circle);
  tree.registers(tree.kDownNic, std::string(4096, '\xff'));
  EXPECT_EQ(trouble(ask(tree)), "");
}

TEST(Doctor, SaysWhatItDoesNotFindOnAnEmptyHost) {
  const HostTree tree;
  fs::create_directories(tree.path / "none");
  const Answer answer = ask(tree.path / "none", tree.path / "none/node.toml");
  EXPECT_EQ(trouble(answer), "kernel warning\nclock warning\nconfig warning\nmemlock warning\n")
      << answer.text;
  EXPECT_NE(answer.text.find("no RDMA device"), std::string::npos);
}

TEST(Doctor, IsACommandAndLooksAtThisHost) {
  std::istringstream in;
  std::ostringstream out, err;
  const auto nobody =
      [](const ApiTarget& target) -> tl::expected<std::unique_ptr<ApiClient>, ApiError> {
    return tl::unexpected(ApiError{ApiFault::kGone, "no node at " + target.address});
  };
  const int code =
      run({"doctor", "--config", "/nowhere.toml", "--api", "/x.api"}, {in, out, err}, nobody);
  EXPECT_EQ(code, 0) << out.str() << err.str();
  EXPECT_NE(out.str().find("kernel        Linux "), std::string::npos) << out.str();
  EXPECT_NE(out.str().find("there is no /nowhere.toml"), std::string::npos) << out.str();
  EXPECT_NE(out.str().find("nothing is known: no node at /x.api"), std::string::npos) << out.str();
}

TEST(Doctor, ReadmeHasEveryCheck) {
  std::ifstream in(DOCTOR_README);
  const std::string page{std::istreambuf_iterator<char>(in), {}};
  EXPECT_NE(page.find(checks_markdown()), std::string::npos) << checks_markdown();
}

}  // namespace
}  // namespace penstock::cli::test
