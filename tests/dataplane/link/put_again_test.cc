// What did not get there by a PutPath: put once more, or sent, and who waits for that.
#include <gtest/gtest.h>

#include "dataplane/link/put_path.h"
#include "tests/support/scripted_peer.h"
#include "tests/support/test_lane.h"

namespace penstock {
namespace {

using test::LaneFeed;
using test::ScriptedPeer;
using test::TestLane;

constexpr LaneGeometry kLane{.ring_log2 = 3, .arena_log2 = 24, .topics = 2};
constexpr uint64_t kMiB = 1 << 20;

class PutAgain : public ::testing::Test {
 protected:
  struct Way final : PutPath {
    struct Part {
      uint64_t offset, len;
      bool operator==(const Part&) const = default;
    };
    Take put(OutLane& /*lane*/, const FragmentHeader& m, const std::byte* /*bytes*/,
             uint64_t len) override {
      if (up) parts.push_back({m.offset, len});
      return up ? Take::kTaken : Take::kLater;
    }
    bool up = true;
    std::vector<Part> parts;
  };

  PutAgain() {
    peer.connect();
    out.set_puts(&way, 1);
    out.hold_for_puts(1);
    EXPECT_EQ(link().add_out(&out), Errc::kOk);
  }
  ~PutAgain() override { (void)link().remove_out(5); }
  Link& link() { return peer.link; }
  void publish(uint64_t len) {
    ASSERT_EQ(lane.writer().send({}, std::vector<std::byte>(len)), Errc::kOk);
  }
  size_t frames() {
    link().wake(&out);
    return peer.take(FrameType::kFragment).size();
  }
  // A message begins to go, and this much of it lands before the way ends.
  void begin(uint64_t len, const std::vector<Way::Part>& landed) {
    publish(len);
    EXPECT_EQ(frames(), 0u);
    ASSERT_EQ(way.parts, (std::vector<Way::Part>{{0, len}}));
    for (const Way::Part& p : landed)
      link().put_landed(out, 0, p.offset, p.len);
    link().put_ended(out, 0, 0, len);
    way.parts.clear();
    way.up = false;
    EXPECT_EQ(frames(), 0u);
    EXPECT_EQ(held(), 1u);
  }
  uint64_t held() const { return out.stats().held.load(); }

  ScriptedPeer peer;
  TestLane lane{kLane};
  LaneFeed feed{lane};
  OutLane out{5, 1, kLane, feed};
  Way way;
};

// And no more at a time than may be looked at in a turn.
TEST_F(PutAgain, WhatDidNotLandAndNothingElse) {
  begin(8 * kMiB, {{kMiB / 2, kMiB / 4}, {2 * kMiB, 2 * kMiB}, {6 * kMiB + 64, 64}});
  way.up = true;
  EXPECT_EQ(frames(), 0u);
  EXPECT_EQ(way.parts, (std::vector<Way::Part>{{0, kMiB / 2},
                                               {kMiB * 3 / 4, kMiB},
                                               {kMiB * 7 / 4, kMiB / 4},
                                               {4 * kMiB, kMiB},
                                               {5 * kMiB, kMiB},
                                               {6 * kMiB, 64},
                                               {6 * kMiB + 128, kMiB},
                                               {7 * kMiB + 128, kMiB - 128}}));
  EXPECT_EQ(held(), 0u);
}

TEST_F(PutAgain, NobodyWaitsWhenItIsGivenUp) {
  begin(kMiB, {});
  out.hold_for_puts(~uint64_t{0});
  EXPECT_EQ(held(), 0u);
  EXPECT_NE(frames(), 0u);
  EXPECT_EQ(held(), 0u);
}

TEST_F(PutAgain, NobodyWaitsForTheNextWhenItIsGivenUp) {
  way.up = false;
  publish(kMiB);
  EXPECT_EQ(frames(), 0u);
  EXPECT_EQ(held(), 1u);
  out.set_puts(nullptr, 0);
  EXPECT_EQ(frames(), 0u);
  EXPECT_EQ(held(), 1u);
  out.hold_for_puts(~uint64_t{0});
  EXPECT_NE(frames(), 0u);
  EXPECT_EQ(held(), 0u);
}

TEST_F(PutAgain, NobodyWaitsForWhatHasLandedAfterAll) {
  begin(kMiB, {});
  link().put_landed(out, 0, 0, kMiB);
  EXPECT_EQ(frames(), 0u);
  EXPECT_EQ(held(), 0u);
}

TEST_F(PutAgain, NobodyWaitsForWhatCannotBeReadAnyMore) {
  begin(kMiB, {});
  feed.break_looks(true);
  link().wake(&out);
  EXPECT_EQ(peer.take(FrameType::kBatch).size(), 1u) << "a gap";
  EXPECT_EQ(held(), 0u);
}

}  // namespace
}  // namespace penstock
