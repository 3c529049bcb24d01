#include "dataplane/net/arp.h"

#include <algorithm>
#include <gtest/gtest.h>

#include "dataplane/net/ethernet.h"
#include "tests/dataplane/net/hex.h"

namespace penstock {
namespace {

const MacAddress kUs{{2, 0, 0, 0, 0, 1}};
const MacAddress kThem{{2, 0, 0, 0, 0, 2}};

std::vector<std::byte> request() {
  auto frame =
      hex("ffffffffffff 020000000001 0806 0001 0800 06 04 0001"
          "020000000001 0a000001 000000000000 0a000002");
  frame.resize(kMinFrame);
  return frame;
}

TEST(Arp, WritesARequestToEverybodyAndReadsIt) {
  const Arp a{Arp::Op::kRequest, kUs, *parse_ip("10.0.0.1"), {}, *parse_ip("10.0.0.2")};
  std::vector<std::byte> out(kMinFrame, std::byte{0xee});
  EXPECT_EQ(write_arp(a, out), kMinFrame);
  EXPECT_EQ(out, request());
  EXPECT_EQ(parse_arp(out), a);
  EXPECT_EQ(parse_arp(std::span(out).first(42)), a) << "without padding";
}

TEST(Arp, WritesAReplyToTheOneWhoAsked) {
  const Arp a{Arp::Op::kReply, kUs, *parse_ip("10.0.0.1"), kThem, *parse_ip("10.0.0.2")};
  std::vector<std::byte> out(kMinFrame);
  EXPECT_EQ(write_arp(a, out), kMinFrame);
  EXPECT_EQ(MacAddress::load(out.data()), kThem);
  EXPECT_EQ(parse_arp(out), a);
}

TEST(Arp, WritesNothingIntoTooLittleRoom) {
  std::vector<std::byte> out(kMinFrame - 1);
  EXPECT_EQ(write_arp({}, out), 0u);
}

TEST(Arp, RefusesEveryTruncation) {
  const auto all = request();
  for (size_t n = 0; n < 42; n++)
    EXPECT_FALSE(parse_arp(std::span(all).first(n))) << n;
}

TEST(Arp, RefusesOtherProtocolsAndSendersThatAreNoHost) {
  const struct {
    size_t at;
    uint8_t value;
  } kBad[] = {{12, 0}, {13, 0}, {14, 1}, {15, 2}, {16, 9}, {17, 1},  {18, 5},
              {19, 6}, {20, 1}, {21, 0}, {21, 3}, {22, 3}, {28, 224}};
  for (const auto& bad : kBad) {
    auto frame = request();
    frame[bad.at] = std::byte{bad.value};
    EXPECT_FALSE(parse_arp(frame)) << bad.at;
  }
  auto frame = request();
  std::fill_n(&frame[22], 6, std::byte{0});
  EXPECT_FALSE(parse_arp(frame)) << "no sender";
}

}  // namespace
}  // namespace penstock
