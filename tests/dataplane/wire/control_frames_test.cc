#include <gtest/gtest.h>
#include <vector>

#include "dataplane/wire/close.h"
#include "dataplane/wire/ping.h"

namespace penstock {
namespace {

TEST(Ping, HasOneSize) {
  const std::vector<std::byte> zeros(20);
  for (size_t n = 0; n <= zeros.size(); n++) {
    EXPECT_EQ(parse_pong(std::span(zeros).first(n)).has_value(), n == kPingSize) << n;
    EXPECT_EQ(parse_ping(std::span(zeros).first(n)).has_value(), n >= kPingSize) << n;
    EXPECT_EQ(parse_close(std::span(zeros).first(n)).has_value(), n == kCloseSize) << n;
  }
}

TEST(Close, EveryReasonHasAText) {
  EXPECT_STREQ(text(LinkClose::kStopped), "node stopped");
  EXPECT_STREQ(text(LinkClose::kMisbehaved), "peer broke the protocol");
  for (const uint32_t unknown : {0u, 7u, ~0u}) {
    EXPECT_STREQ(text(static_cast<LinkClose>(unknown)), "unknown reason");
  }
}

}  // namespace
}  // namespace penstock
