#include "control/membership/roster.h"

#include <gtest/gtest.h>
#include <set>
#include <vector>

#include "control/config/address.h"

namespace penstock::test {
namespace {

// What was asked of the node, in order: "+2@10.1.0.2", "-2".
struct Calls final : Roster::Caller {
  bool has_peer(uint64_t id) const override { return there.contains(id) || leaving.contains(id); }
  bool add_peer(const PeerOptions& way, uint64_t epoch) override {
    if (full) return false;
    asked.push_back("+" + std::to_string(way.id) + "@" + format(way.address) + "/" +
                    std::to_string(epoch));
    return there.insert(way.id).second;
  }
  void remove_peer(uint64_t id) override {
    asked.push_back("-" + std::to_string(id));
    there.erase(id);
    leaving.insert(id);
  }
  std::vector<std::string> take() { return std::exchange(asked, {}); }

  bool full = false;
  std::set<uint64_t> there, leaving;
  std::vector<std::string> asked;
};

using Asked = std::vector<std::string>;

struct RosterTest : testing::Test {
  static Config config() {
    Config c;
    c.node.id = 1;
    c.ports.push_back({.name = "p",
                       .device = "sim:",
                       .address = {*parse_host("10.1.0.1"), 24},
                       .gateway = {},
                       .udp_port = 9470,
                       .mtu = {},
                       .neighbours = {}});
    c.peers.push_back({9, "nine", "p", *parse_host("10.1.0.9"), 9470, {}});
    return c;
  }
  static Member member(uint64_t id, uint64_t epoch, const char* address) {
    Member m;
    m.id = id;
    m.name = "n" + std::to_string(id);
    m.ports = {{*parse_host(address), 9470}};
    m.epoch = epoch;
    return m;
  }
  Asked take(MemberEvent::Kind kind, const Member& m) {
    const MemberEvent events[] = {{kind, m}};
    roster.take(events);
    roster.call(calls);
    return calls.take();
  }
  Asked call() {
    roster.call(calls);
    return calls.take();
  }

  const Config options = config();
  std::string log;
  Roster roster{options, [this](const std::string& text) { log += text + "\n"; }};
  Calls calls;
};

TEST_F(RosterTest, CallsWhoComesAndLeavesWhoIsGone) {
  EXPECT_EQ(take(MemberEvent::kThere, member(2, 7, "10.1.0.2")), Asked{"+2@10.1.0.2/7"});
  EXPECT_EQ(roster.known().at(2).epoch, 7u);
  EXPECT_EQ(call(), Asked{});
  EXPECT_EQ(take(MemberEvent::kThere, member(2, 8, "10.1.0.2")), Asked{});  // its link says so
  EXPECT_EQ(take(MemberEvent::kGone, member(2, 8, "10.1.0.2")), Asked{"-2"});
  EXPECT_TRUE(roster.known().empty());
}

TEST_F(RosterTest, WhoHasMovedIsCalledWhereItIsOnceItsOldLinksAreGone) {
  take(MemberEvent::kThere, member(2, 7, "10.1.0.2"));
  EXPECT_EQ(take(MemberEvent::kThere, member(2, 7, "10.1.0.3")), Asked{"-2"});
  EXPECT_EQ(call(), Asked{});
  calls.leaving.clear();
  EXPECT_EQ(call(), Asked{"+2@10.1.0.3/7"});
}

TEST_F(RosterTest, OfSeveralNewsTheLastCounts) {
  const MemberEvent events[] = {{MemberEvent::kThere, member(2, 7, "10.1.0.2")},
                                {MemberEvent::kGone, member(2, 7, "10.1.0.2")},
                                {MemberEvent::kThere, member(2, 8, "10.1.0.3")}};
  roster.take(events);
  EXPECT_EQ(call(), Asked{"+2@10.1.0.3/8"});
}

TEST_F(RosterTest, WhoIsInTheConfigIsCalledAsItSaysAndStays) {
  EXPECT_EQ(take(MemberEvent::kThere, member(9, 3, "10.1.0.77")), Asked{});
  EXPECT_EQ(take(MemberEvent::kGone, member(9, 3, "10.1.0.77")), Asked{});
  EXPECT_NE(log.find("still called"), std::string::npos) << log;
  EXPECT_EQ(take(MemberEvent::kRemoved, member(9, 3, "10.1.0.77")), Asked{"-9"});
}

TEST_F(RosterTest, WhoIsRemovedItselfCallsNobody) {
  take(MemberEvent::kThere, member(2, 7, "10.1.0.2"));
  EXPECT_EQ(take(MemberEvent::kRemoved, member(1, 1, "10.1.0.1")), (Asked{"-2", "-9"}));
}

TEST_F(RosterTest, WhoNoPortLeadsToIsNotCalledAndTheLogSaysSo) {
  EXPECT_EQ(take(MemberEvent::kThere, member(2, 7, "192.0.2.2")), Asked{});
  EXPECT_NE(log.find("no port leads"), std::string::npos) << log;
  take(MemberEvent::kThere, member(3, 7, "10.1.0.3"));
  EXPECT_EQ(take(MemberEvent::kThere, member(3, 7, "192.0.2.3")), Asked{});
  EXPECT_NE(log.find("called where it was"), std::string::npos) << log;
}

TEST_F(RosterTest, NoRoomForALinkIsSaidOnceAndTriedAgain) {
  calls.full = true;
  take(MemberEvent::kThere, member(2, 7, "10.1.0.2"));
  const std::string once = log;
  EXPECT_NE(once.find("as many links as it can"), std::string::npos) << once;
  call();
  EXPECT_EQ(log, once);
  calls.full = false;
  EXPECT_EQ(call(), Asked{"+2@10.1.0.2/7"});
}

}  // namespace
}  // namespace penstock::test
