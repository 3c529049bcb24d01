// What holds with and without RDMA devices; with one: tests/vm/doctor_test.py.
#include "drivers/verbs/verbs_ports.h"

#include <algorithm>
#include <gtest/gtest.h>

#include "drivers/verbs/verbs_fabric.h"

namespace penstock {
namespace {

TEST(VerbsPorts, AreThoseOfTheDevicesOrThereIsAReason) {
  const VerbsPorts found = verbs_ports();
  EXPECT_EQ(found.ports.empty(), found.why.starts_with("no RDMA device")) << found.why;
  for (const std::string& name : verbs_devices())
    EXPECT_NE(std::ranges::find(found.ports, name, &VerbsPort::device), found.ports.end()) << name;
}

TEST(VerbsPorts, AddressesAndMtusAreAsPeopleWriteThem) {
  ibv_gid gid{};
  gid.raw[10] = gid.raw[11] = 0xff;
  gid.raw[12] = 10;
  gid.raw[15] = 1;
  EXPECT_EQ(text(gid), "10.0.0.1");
  gid = {};
  gid.raw[0] = 0xfd;
  gid.raw[15] = 1;
  EXPECT_EQ(text(gid), "fd00::1");
  EXPECT_EQ(bytes(IBV_MTU_256), 256u);
  EXPECT_EQ(bytes(IBV_MTU_4096), 4096u);
}

}  // namespace
}  // namespace penstock
