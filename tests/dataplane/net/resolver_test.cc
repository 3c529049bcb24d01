#include "dataplane/net/resolver.h"

#include <array>
#include <gtest/gtest.h>

#include "dataplane/net/arp.h"
#include "dataplane/net/ethernet.h"
#include "dataplane/net/ndp.h"

namespace penstock {
namespace {

const Station kA{{{2, 0, 0, 0, 0, 0xa}}, *parse_ip("10.0.0.1"), *parse_ip("fd00::1")};
const Station kB{{{2, 0, 0, 0, 0, 0xb}}, *parse_ip("10.0.0.2"), *parse_ip("fd00::2")};

using Room = std::array<std::byte, Resolver::kMaxFrame>;

TEST(Resolver, TwoFindEachOther) {
  for (const bool v4 : {true, false}) {
    Resolver a(kA), b(kB);
    const IpAddress& ip_b = v4 ? kB.v4 : kB.v6;
    const IpAddress& ip_a = v4 ? kA.v4 : kA.v6;
    a.neighbours().want(ip_b, 0);
    b.neighbours().want(ip_a, 1000);
    Room question, answer, none;
    const size_t asked = a.poll(0, question);
    ASSERT_GT(asked, 0u);
    EXPECT_EQ(a.poll(0, none), 0u);
    const size_t answered = b.receive(std::span(question).first(asked), 0, answer);
    ASSERT_GT(answered, 0u);
    EXPECT_EQ(*b.neighbours().find(ip_a), kA.mac) << "from the question";
    EXPECT_EQ(MacAddress::load(answer.data()), kA.mac);
    EXPECT_EQ(a.receive(std::span(answer).first(answered), 0, none), 0u);
    EXPECT_EQ(*a.neighbours().find(ip_b), kB.mac);
    EXPECT_EQ(a.changes(), 1u);
  }
}

TEST(Resolver, AnswersOnlyForItself) {
  Resolver b(kB);
  Room room;
  Room answer;
  for (const char* ip : {"10.0.0.3", "0.0.0.0"}) {
    const size_t n = write_arp({Arp::Op::kRequest, kA.mac, kA.v4, {}, *parse_ip(ip)}, room);
    EXPECT_EQ(b.receive(std::span(room).first(n), 0, answer), 0u) << ip;
  }
  size_t n = write_arp({Arp::Op::kReply, kA.mac, kA.v4, kB.mac, kB.v4}, room);
  EXPECT_EQ(b.receive(std::span(room).first(n), 0, answer), 0u) << "an answer";
  n = write_ndp({Ndp::Kind::kSolicitation, false, kA.v6, kB.v6, *parse_ip("fd00::3"), kA.mac},
                kB.mac, room);
  EXPECT_EQ(b.receive(std::span(room).first(n), 0, answer), 0u);
}

TEST(Resolver, AnswersOneThatHasNoAddressYetToEverybody) {
  Resolver b(kB);
  Room room;
  Room answer;
  write_ndp({Ndp::Kind::kSolicitation, false, *parse_ip("::"), solicited_node(kB.v6), kB.v6, {}},
            multicast_mac(solicited_node(kB.v6)), room);
  // One who has no address sends no option: a zero MAC in it reads as none.
  const size_t n = b.receive(std::span(room).first(kNdpFrame), 0, answer);
  ASSERT_EQ(n, kNdpFrame);
  const auto said = parse_ndp(answer);
  ASSERT_TRUE(said);
  EXPECT_EQ(said->to, all_nodes());
  EXPECT_FALSE(said->solicited);
  EXPECT_EQ(said->mac, kB.mac);
}

TEST(Resolver, DoesNotAskWithAnAddressItHasNot) {
  Resolver only_v4({kA.mac, kA.v4, {}});
  Room room;
  only_v4.neighbours().want(kB.v6, 0);
  EXPECT_EQ(only_v4.poll(0, room), 0u);
  only_v4.neighbours().want(kB.v4, 0);
  EXPECT_GT(only_v4.poll(0, room), 0u);
}

TEST(Resolver, SurvivesAnyFrame) {
  Resolver b(kB);
  Room room;
  for (size_t n = 0; n < 20; n++) {
    const std::vector<std::byte> junk(n, std::byte{0x86});
    EXPECT_EQ(b.receive(junk, 0, room), 0u);
  }
}

}  // namespace
}  // namespace penstock
