#include <gtest/gtest.h>

#include "drivers/dpdk/eal.h"

namespace penstock {
namespace {

using Arguments = std::vector<std::string>;

Plan small_plan() {
  Plan plan;
  plan.lcores = "0@(0-1)";
  return plan;
}

PortSpec port(const char* text) {
  return *parse_port(text);
}

TEST(EalArguments, WithoutPciPortsNoPciDeviceIsTouched) {
  const PortSpec ports[] = {port("ring:a")};
  EXPECT_EQ(eal_arguments(small_plan(), {.ports = ports}, true, "p"),
            (Arguments{"penstock", "--lcores=0@(0-1)", "--iova-mode=va", "--no-telemetry",
                       "--file-prefix=p", "--log-level=warning", "--single-file-segments",
                       "--no-pci", "--in-memory"}));
}

TEST(EalArguments, WithPciPortsExactlyTheseAreAllowed) {
  const PortSpec ports[] = {port("pci:0000:3b:00.0"), port("ring:a"), port("pci:81:00.1")};
  EXPECT_EQ(eal_arguments(small_plan(), {.ports = ports}, true, "p"),
            (Arguments{"penstock", "--lcores=0@(0-1)", "--iova-mode=va", "--no-telemetry",
                       "--file-prefix=p", "--log-level=warning", "--single-file-segments",
                       "--allow=0000:3b:00.0", "--allow=0000:81:00.1", "--in-memory"}));
}

TEST(EalArguments, NormalPagesGetAFixedSize) {
  EXPECT_EQ(eal_arguments(small_plan(), {.buffers_bytes = (uint64_t{200} << 20) + 1}, false, "p"),
            (Arguments{"penstock", "--lcores=0@(0-1)", "--iova-mode=va", "--no-telemetry",
                       "--file-prefix=p", "--log-level=warning", "--single-file-segments",
                       "--no-pci", "--no-huge", "--no-shconf", "-m", "201"}));
}

TEST(EalArguments, TooSmallASizeGrowsToWhatThePortsNeed) {
  const PortSpec ports[] = {port("vhost:/a,queues=4,mtu=9000")};
  const auto arguments =
      eal_arguments(small_plan(), {.ports = ports, .buffers_bytes = 1}, false, "p");
  EXPECT_GE(std::stoul(arguments.back()) << 20, buffers_needed(ports));
  EXPECT_GT(buffers_needed(ports), uint64_t{4} * 2 * 256 * 9000);
}

// Refused before DPDK is started, so nothing is opened.
TEST(Eal, ANicAndVirtioUserAreRefusedTogetherWithTheRemedy) {
  const PortSpec ports[] = {port("ring:a"), port("virtio-user:/run/v.sock"), port("pci:3b:00.0")};
  const auto eal = Eal::start(small_plan(), {.ports = ports});
  ASSERT_FALSE(eal.has_value());
  EXPECT_EQ(eal.error(),
            "ports pci:0000:3b:00.0 and virtio-user:/run/v.sock cannot be in one node: the NIC "
            "needs memory that virtio-user cannot show to its peer; use vhost (with virtio-user "
            "at the other end) or memif instead of virtio-user, or run a second node for one of "
            "the two");
}

TEST(Eal, EachOfTheTwoGoesWithAllTheOthers) {
  for (const char* one : {"pci:3b:00.0", "virtio-user:/run/v.sock"}) {
    const PortSpec ports[] = {port(one), port("ring:a"), port("vhost:/a"), port("memif-client:/b"),
                              port("tap:t")};
    EXPECT_EQ(cannot_share(ports), std::nullopt) << one;
  }
}

}  // namespace
}  // namespace penstock
