#include "dataplane/wire/hop_header.h"

#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <random>

namespace penstock {
namespace {

using Header = std::array<std::byte, kHopHeaderSize>;

Header good() {
  Header out;
  write_hop({FrameType::kBatch, kHopAckNow, 1, 2, 3, 4, 5}, out);
  return out;
}

TEST(HopHeader, RefusesEveryTruncation) {
  const Header all = good();
  ASSERT_TRUE(parse_hop(all));
  for (size_t n = 0; n < all.size(); n++)
    EXPECT_FALSE(parse_hop(std::span(all).first(n))) << n;
}

TEST(HopHeader, RefusesOtherVersionsAndSaysWhichOneItWas) {
  for (unsigned version = 0; version < 8; version++) {
    Header h = good();
    h[0] = static_cast<std::byte>(version << 5 | 3);
    EXPECT_EQ(wire_version(h), version);
    EXPECT_EQ(parse_hop(h).has_value(), version == kWireVersion);
  }
  EXPECT_EQ(wire_version({}), 0u);
}

TEST(HopHeader, RefusesUnknownTypesAndFlags) {
  for (unsigned type = 0; type < 32; type++) {
    Header h = good();
    h[0] = static_cast<std::byte>(kWireVersion << 5 | type);
    EXPECT_EQ(parse_hop(h).has_value(), type >= 1 && type <= 13) << type;
  }
  for (unsigned flags = 0; flags < 256; flags++) {
    Header h = good();
    h[1] = static_cast<std::byte>(flags);
    EXPECT_EQ(parse_hop(h).has_value(), flags <= 1) << flags;
  }
}

TEST(HopHeader, ComesBackAsItWasWritten) {
  for (uint64_t seed = 0; seed < 1000; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937_64 rng(seed);
    const HopHeader h{static_cast<FrameType>(1 + rng() % 8),
                      static_cast<uint8_t>(rng() % 2),
                      static_cast<uint16_t>(rng()),
                      static_cast<uint32_t>(rng()),
                      rng(),
                      static_cast<uint32_t>(rng()),
                      static_cast<uint32_t>(rng())};
    Header bytes;
    write_hop(h, bytes);
    EXPECT_EQ(parse_hop(bytes), h);
  }
}

TEST(ConnectionId, KeepsWorkerAndIndexApart) {
  EXPECT_EQ(connection_id(3, 0xff00beef), 0x0300beefu);
  EXPECT_EQ(connection_worker(connection_id(255, 7)), 255u);
}

}  // namespace
}  // namespace penstock
