#include "control/membership/route.h"

#include <gtest/gtest.h>

#include "control/config/address.h"

namespace penstock::test {
namespace {

PortOptions port(const char* name, const char* address, const char* gateway = nullptr) {
  PortOptions p;
  p.name = name;
  p.address = *parse_prefix(address);
  if (gateway != nullptr) p.gateway = *parse_host(gateway);
  return p;
}

Member member(std::initializer_list<const char*> addresses) {
  Member m;
  m.id = 2;
  m.name = "b";
  for (const char* a : addresses)
    m.ports.push_back({*parse_host(a), 9471});
  return m;
}

std::string way(const std::vector<PortOptions>& ours, const Member& m) {
  const auto peer = route(ours, m);
  return peer ? peer->port + " " + format(peer->address) : "none";
}

TEST(Route, IsThePortInWhoseNetworkTheMemberIs) {
  const std::vector<PortOptions> ours = {port("p0", "10.0.0.1/24"), port("p1", "10.1.0.1/24")};
  EXPECT_EQ(way(ours, member({"10.1.0.2"})), "p1 10.1.0.2");
  EXPECT_EQ(way(ours, member({"10.9.0.2", "10.0.0.2", "10.1.0.2"})), "p0 10.0.0.2");
  const auto peer = route(ours, member({"10.1.0.2"}));
  EXPECT_EQ(peer->id, 2u);
  EXPECT_EQ(peer->name, "b");
  EXPECT_EQ(peer->udp_port, 9471);
}

TEST(Route, IsTheGatewayOnlyWhenNoNetworkHasIt) {
  const std::vector<PortOptions> ours = {port("p0", "10.0.0.1/24", "10.0.0.254"),
                                         port("p1", "10.1.0.1/24")};
  EXPECT_EQ(way(ours, member({"10.1.0.2"})), "p1 10.1.0.2");
  EXPECT_EQ(way(ours, member({"10.9.0.2"})), "p0 10.9.0.2");
  EXPECT_EQ(way(ours, member({"fd00::2"})), "none");
}

TEST(Route, IsNoneWhereNothingLeads) {
  EXPECT_EQ(way({port("p0", "10.0.0.1/24")}, member({"10.1.0.2"})), "none");
  EXPECT_EQ(way({port("p0", "10.0.0.1/24")}, member({})), "none");
  EXPECT_EQ(way({}, member({"10.1.0.2"})), "none");
  EXPECT_EQ(way({port("p0", "10.0.0.1/24")}, member({"10.0.0.1"})), "none") << "our own address";
}

}  // namespace
}  // namespace penstock::test
