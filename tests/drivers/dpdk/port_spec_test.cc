#include "drivers/dpdk/port_spec.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(PortSpec, ReadsEveryKind) {
  const struct {
    const char* text;
    PortKind kind;
    const char* target;
    uint32_t mtu;
  } kGood[] = {
      {"ring:a", PortKind::kRing, "a", 9000},
      {"vhost:/run/v.sock", PortKind::kVhost, "/run/v.sock", 9000},
      {"virtio-user:/run/v.sock", PortKind::kVirtioUser, "/run/v.sock", 9000},
      {"memif-server:/run/m", PortKind::kMemifServer, "/run/m", 1500},
      {"memif-client:/run/m", PortKind::kMemifClient, "/run/m", 1500},
      {"af_packet:eth0", PortKind::kAfPacket, "eth0", 1500},
      {"af_xdp:eth0.7", PortKind::kAfXdp, "eth0.7", 1500},
      {"tap:t0", PortKind::kTap, "t0", 1500},
      {"pci:0000:3b:00.0", PortKind::kPci, "0000:3b:00.0", 1500},
  };
  for (const auto& good : kGood) {
    const auto spec = parse_port(good.text);
    ASSERT_TRUE(spec.has_value()) << spec.error();
    EXPECT_EQ(spec->kind, good.kind);
    EXPECT_EQ(spec->target, good.target);
    EXPECT_EQ(spec->mtu, good.mtu);
    EXPECT_EQ(spec->queues, 1);
    EXPECT_EQ(text(*spec), good.text);
  }
}

TEST(PortSpec, OptionsWinOverTheArguments) {
  const auto spec = parse_port("ring:a,queues=4,mtu=2000", 1500, 2);
  ASSERT_TRUE(spec.has_value()) << spec.error();
  EXPECT_EQ(spec->mtu, 2000u);
  EXPECT_EQ(spec->queues, 4);
  EXPECT_EQ(spec->max_frame(), 2014u);
}

TEST(PortSpec, ArgumentsWinOverTheKindsDefault) {
  const auto spec = parse_port("vhost:/a", 1500, 2);
  ASSERT_TRUE(spec.has_value()) << spec.error();
  EXPECT_EQ(spec->mtu, 1500u);
  EXPECT_EQ(spec->queues, 2);
}

TEST(PortSpec, CompletesAShortPciAddress) {
  const auto spec = parse_port("pci:3B:00.1");
  ASSERT_TRUE(spec.has_value()) << spec.error();
  EXPECT_EQ(spec->target, "0000:3b:00.1");
}

TEST(PortSpec, NamesTheWrongWordAndWhatIsPossible) {
  const struct {
    std::string text;
    const char* says;
  } kBad[] = {
      {"", "unknown kind \"\"; possible: ring:NAME, vhost:/PATH"},
      {"vhots:/x", "unknown kind \"vhots\"; possible: ring:NAME"},
      {"vhost", "nothing after the kind; it looks like vhost:/PATH"},
      {"vhost,mtu=9", "nothing after the kind"},
      {"vhost:", "a socket's path begins with '/'"},
      {"vhost:run/x", "\"run/x\": a socket's path begins with '/'"},
      {"vhost:/" + std::string(107, 'x'), "at most 107 bytes"},
      {"vhost:/a b", "is made of letters"},
      {"vhost:/a\nb", "\"/a?b\""},
      {"vhost:/a[b]", "is made of letters"},
      {"af_packet:", "an interface's name"},
      {"af_packet:sixteencharsxxxx", "an interface's name is 1 to 15"},
      {"tap:../x", "an interface's name"},
      {"tap:..", "an interface's name"},
      {"ring:a/b", "a ring's name"},
      {"ring:" + std::string(17, 'a'), "a ring's name is 1 to 16"},
      {"pci:3b:00", "a PCI address looks like 0000:3b:00.0"},
      {"pci:0000:3b:00.8", "a PCI address looks like"},
      {"ring:a,mut=9", "unknown option \"mut\"; possible: mtu=BYTES, queues=N"},
      {"ring:a,", "unknown option \"\""},
      {"ring:a,mtu", "a number must follow mtu="},
      {"ring:a,mtu=", "a number must follow mtu="},
      {"ring:a,mtu=12x", "a number must follow mtu="},
      {"ring:a,mtu=-1", "a number must follow mtu="},
      {"ring:a,mtu=99999999999", "a number must follow mtu="},
      {"ring:a,mtu=100", "mtu 100 is not possible; ring takes 576 to 9600"},
      {"af_xdp:v,mtu=9000", "mtu 9000 is not possible; af_xdp takes 576 to 3442"},
      {"ring:a,queues=0", "queues 0 is not possible; ring takes 1 to 16"},
      {"vhost:/a,queues=9", "vhost takes 1 to 8"},
      {"pci:3b:00.0,queues=65537", "queues 65535 is not possible; pci takes 1 to 32"},
      {std::string("ring:a\0b", 8), "a ring's name"},
  };
  for (const auto& bad : kBad) {
    const auto spec = parse_port(bad.text);
    ASSERT_FALSE(spec.has_value()) << bad.text;
    EXPECT_NE(spec.error().find(bad.says), std::string::npos) << spec.error();
  }
}

TEST(PortSpec, AHugeTextMakesAShortMessage) {
  const auto spec = parse_port(std::string(1 << 20, 'x'));
  ASSERT_FALSE(spec.has_value());
  EXPECT_LT(spec.error().size(), 1000u);
}

TEST(PortSpec, MakesTheArgumentsOfVirtualDevices) {
  const auto name = [](const char* text) { return device_name(*parse_port(text), 3); };
  const auto arguments = [](const char* text) {
    return device_arguments(*parse_port(text), "02:00:00:00:00:01");
  };
  EXPECT_EQ(name("vhost:/v"), "net_vhost3");
  EXPECT_EQ(name("pci:0000:3b:00.0"), "0000:3b:00.0");
  EXPECT_EQ(arguments("vhost:/v,queues=2"), "iface=/v,queues=2,client=1");
  EXPECT_EQ(arguments("virtio-user:/v"),
            "path=/v,queues=1,queue_size=256,server=1,mac=02:00:00:00:00:01");
  EXPECT_EQ(arguments("memif-client:/m,mtu=9000"),
            "role=client,socket=/m,socket-abstract=no,rsize=8,bsize=9024,mac=02:00:00:00:00:01");
  EXPECT_EQ(arguments("memif-server:/m"),
            "role=server,socket=/m,socket-abstract=no,rsize=8,bsize=2048,mac=02:00:00:00:00:01");
  EXPECT_EQ(arguments("af_packet:v"), "iface=v,qpairs=1,blocksz=4096,framesz=2048,framecnt=512");
  EXPECT_EQ(arguments("af_packet:v,mtu=9000"),
            "iface=v,qpairs=1,blocksz=16384,framesz=16384,framecnt=512");
  EXPECT_EQ(arguments("af_xdp:v"), "iface=v,start_queue=0,queue_count=1");
  EXPECT_EQ(arguments("tap:t0"), "iface=t0");
}

}  // namespace
}  // namespace penstock
