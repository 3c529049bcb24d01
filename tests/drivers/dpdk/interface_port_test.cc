// Ports on kernel interfaces: both ends of a wire in a namespace of our own, and a tap.
#include <arpa/inet.h>
#include <cerrno>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include "tests/drivers/dpdk/frames.h"
#include "tests/drivers/dpdk/namespace.h"
#include "tests/drivers/dpdk/peer.h"

namespace penstock {
namespace {

struct Wire {
  const char* kind;
  unsigned mtu;
  bool chains;
};

void PrintTo(const Wire& wire, std::ostream* out) {
  *out << wire.kind << " " << wire.mtu;
}

std::unique_ptr<DpdkDevice> open_port(const std::string& text) {
  auto device = DpdkDevice::open(*parse_port(text));
  EXPECT_TRUE(device.has_value()) << device.error();
  return device ? *std::move(device) : nullptr;
}

bool kernel_has_xdp_sockets() {
  const int fd = socket(AF_XDP, SOCK_RAW, 0);
  close(fd);
  return fd >= 0 || errno != EAFNOSUPPORT;
}

class InterfacePort : public testing::TestWithParam<Wire> {
 protected:
  void SetUp() override {
    if (!ns_.entered()) GTEST_SKIP() << "needs network namespaces, which this user may not make";
    if (GetParam().kind == std::string("af_xdp") && !kernel_has_xdp_sockets()) {
      GTEST_SKIP() << "needs XDP sockets in the kernel";
    }
    ASSERT_TRUE(ns_.wire("va", "vb", GetParam().mtu));
  }
  std::string port(const char* interface) const {
    return std::string(GetParam().kind) + ":" + interface +
           ",mtu=" + std::to_string(GetParam().mtu);
  }

  Namespace ns_;
};

TEST_P(InterfacePort, FramesPassBothWays) {
  auto a = open_port(port("va")), b = open_port(port("vb"));
  ASSERT_TRUE(a && b);
  ASSERT_TRUE(comes_up(*a) && comes_up(*b));
  Port* ports[] = {&a->queue(0), &b->queue(0)};
  EXPECT_NE(ports[0]->info().mac, ports[1]->info().mac);
  EXPECT_EQ(ports[0]->info().chains, GetParam().chains);
  for (const size_t length : {size_t{60}, size_t{1514}, size_t{GetParam().mtu + 14}}) {
    for (unsigned from = 0; from < 2; from++) {
      const Bytes bytes = pattern(length, from + 1);
      Region region;
      region.base = reinterpret_cast<const std::byte*>(bytes.data());
      region.bytes = bytes.size();
      ASSERT_TRUE(send(*ports[from], bytes, 50, &region));
      EXPECT_EQ(receive(*ports[1 - from]), bytes) << length;
      EXPECT_TRUE(region.in_flight.idle());
    }
  }
  EXPECT_EQ(ports[0]->stats().tx_linearized.read(), GetParam().chains ? 0u : 3u);
}

TEST_P(InterfacePort, ManyFramesPass) {
  auto a = open_port(port("va")), b = open_port(port("vb"));
  ASSERT_TRUE(a && b);
  ASSERT_TRUE(comes_up(*a) && comes_up(*b));
  for (uint32_t i = 0; i < 2000; i++) {
    const Bytes bytes = pattern(60 + i % (GetParam().mtu - 60), i);
    ASSERT_TRUE(eventually([&] { return send(a->queue(0), bytes); }));
    ASSERT_EQ(receive(b->queue(0)), bytes) << i;
  }
}

TEST_P(InterfacePort, OfAKilledProcessOpensAgainAtOnce) {
  auto device = open_port(port("va"));
  ASSERT_TRUE(device);
  for (uint32_t life = 0; life < 3; life++) {
    Peer peer(port("vb"));
    ASSERT_TRUE(peer.ready());
    ASSERT_TRUE(comes_up(*device));
    const Bytes bytes = pattern(1000, life);
    ASSERT_TRUE(send(device->queue(0), bytes));
    EXPECT_EQ(receive(device->queue(0)), bytes);
    peer.kill();
  }
}

INSTANTIATE_TEST_SUITE_P(All, InterfacePort,
                         testing::Values(Wire{"af_packet", 1500, true},
                                         Wire{"af_packet", 9000, true}, Wire{"af_xdp", 1500, false},
                                         Wire{"af_xdp", 3442, false}),
                         [](const auto& test) {
                           return test.param.kind + std::to_string(test.param.mtu);
                         });

TEST(Tap, FramesPassToTheKernelAndBack) {
  const Namespace ns;
  if (!ns.entered()) GTEST_SKIP() << "needs network namespaces, which this user may not make";
  auto device = open_port("tap:pk0");
  ASSERT_TRUE(device);
  ASSERT_TRUE(ns.ip("link set pk0 up"));
  const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(0x88b5));
  sockaddr_ll at{};
  at.sll_family = AF_PACKET;
  at.sll_protocol = htons(0x88b5);
  at.sll_ifindex = static_cast<int>(if_nametoindex("pk0"));
  ASSERT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
  for (const size_t length : {60u, 1514u}) {
    const Bytes there = pattern(length, 1), back = pattern(length, 2);
    Region region;
    region.base = reinterpret_cast<const std::byte*>(there.data());
    region.bytes = there.size();
    ASSERT_TRUE(eventually([&] { return send(device->queue(0), there, 50, &region); }));
    Bytes got(10000);
    const ssize_t n = recv(fd, got.data(), got.size(), 0);
    got.resize(static_cast<size_t>(std::max(n, ssize_t{0})));
    EXPECT_EQ(got, there);
    EXPECT_TRUE(region.in_flight.idle());
    ASSERT_EQ(::send(fd, back.data(), back.size(), 0), static_cast<ssize_t>(back.size()));
    EXPECT_EQ(receive(device->queue(0)), back);
  }
  close(fd);
}

std::string refusal(const std::string& text) {
  auto device = DpdkDevice::open(*parse_port(text));
  EXPECT_FALSE(device.has_value());
  return device.has_value() ? "" : device.error();
}

TEST(Interface, ThatIsNotThereIsNamed) {
  EXPECT_EQ(refusal("af_packet:nosuch0"),
            "port af_packet:nosuch0: there is no interface nosuch0 here; \"ip link\" shows those "
            "that are");
  EXPECT_EQ(refusal("af_xdp:nosuch0"),
            "port af_xdp:nosuch0: there is no interface nosuch0 here; \"ip link\" shows those that "
            "are");
}

TEST(Interface, ThatIsTooSmallIsNamedWithTheRemedy) {
  const Namespace ns;
  if (!ns.entered()) GTEST_SKIP() << "needs network namespaces, which this user may not make";
  ASSERT_TRUE(ns.wire("va", "vb", 1500));
  EXPECT_EQ(refusal("af_packet:va,mtu=9000"),
            "port af_packet:va: interface va has mtu 1500 and the port wants 9000; \"ip link set "
            "va mtu 9000\", or lower the port's");
  ASSERT_TRUE(ns.ip("link set va mtu 9000"));
  EXPECT_EQ(refusal("af_xdp:va"),
            "port af_xdp:va: interface va has mtu 9000, and XDP takes at most 3506; lower it with "
            "\"ip link set\"");
}

TEST(Pci, ANicThatIsNotThereIsNamed) {
  EXPECT_EQ(refusal("pci:0000:99:00.0")
                .find("port pci:0000:99:00.0: no such NIC, or no driver of "
                      "DPDK holds it; bind it to vfio-pci"),
            0u);
}

}  // namespace
}  // namespace penstock
