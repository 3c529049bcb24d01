// A message whose parts come by several rails, as the receiver's link sees it: in any order, twice,
// or as no honest sender would say it.
#include <gtest/gtest.h>

#include "tests/support/ledger.h"
#include "tests/support/link_rig.h"

namespace penstock {
namespace {

using test::Flow;
using test::LinkRig;

constexpr uint64_t kArena = 1 << 15;

class Parts : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(rig_.connect());
    flow_ = &rig_.add_flow(0, {});
    flow_->in.let_put({});
    rig_.step();
  }
  static FragmentHeader message(uint64_t position, uint64_t arena, uint64_t len) {
    return {.alias = 1,
            .epoch = 1,
            .position = position,
            .arena_position = arena,
            .message_len = len,
            .source = position};
  }
  Link& link() { return rig_.link(1); }
  Drop begin(const FragmentHeader& m) { return link().on_put(m, rig_.now()); }
  void land(const FragmentHeader& m, uint64_t offset, uint64_t bytes) {
    link().on_put_landed(m, offset, bytes, rig_.now());
  }
  uint64_t published() const { return flow_->in.stats().delivered.read(); }

  LinkRig rig_{{}};
  Flow* flow_ = nullptr;
};

TEST_F(Parts, ComeInAnyOrderAndAreOneMessage) {
  const FragmentHeader m = message(0, 0, 10'000);
  FragmentHeader second = m;
  second.offset = 4096;
  EXPECT_EQ(begin(second), Drop::kNone);
  land(m, 4096, 5904);
  EXPECT_EQ(begin(m), Drop::kNone);
  EXPECT_EQ(published(), 0u);
  land(m, 0, 4096);
  EXPECT_EQ(published(), 1u);
  EXPECT_EQ(begin(second), Drop::kDuplicate) << "nobody wants it any more";
  land(m, 4096, 5904);
  EXPECT_EQ(published(), 1u);
}

// What two parts claim counts once: nothing is published before all of it was put.
TEST_F(Parts, ThatOverlapMakeNothingWholeThatIsNot) {
  const FragmentHeader m = message(0, 0, 8192);
  EXPECT_EQ(begin(m), Drop::kNone);
  land(m, 0, 4096);
  land(m, 0, 4096);
  land(m, 2048, 4096);
  EXPECT_EQ(published(), 0u);
  land(m, 6144, 2048);
  EXPECT_EQ(published(), 1u);
}

TEST_F(Parts, OutsideTheirMessageAreNotLookedAt) {
  const FragmentHeader m = message(0, 0, 8192);
  EXPECT_EQ(begin(m), Drop::kNone);
  land(m, 4096, 8192);
  land(m, 8192, 64);
  land(m, ~uint64_t{63}, 128);
  land(message(1, 8192, 64), 0, 64);  // which nobody began
  EXPECT_EQ(published(), 0u);
  land(m, 0, 8192);
  EXPECT_EQ(published(), 1u);
}

// All parts say the same of the message; whoever does not makes no sense.
TEST_F(Parts, OfDifferentMessagesInOnePlaceAreRefused) {
  EXPECT_EQ(begin(message(0, 0, 8192)), Drop::kNone);
  EXPECT_EQ(begin(message(0, 0, 8256)), Drop::kBadFrame);
  EXPECT_EQ(begin(message(0, 64, 8192)), Drop::kBadFrame);
  EXPECT_EQ(begin(message(1, kArena, 64)), Drop::kNoCredit);
  EXPECT_EQ(published(), 0u);
}

// Any cuts, overlaps, orders and repeats: published when every block has landed, and not before.
TEST_F(Parts, AreWholeExactlyWhenEachBlockHasLanded) {
  uint64_t position = 0;
  uint64_t arena = 0;
  for (uint64_t seed = 0; seed < 2000; seed++, position++) {
    test::Random r(seed);
    const uint64_t len = 1 + r.below(4000);
    arena = arena_place(arena, len, kArena);
    const FragmentHeader m = message(position, arena, len);
    const uint64_t blocks = (len + 63) / 64;
    std::vector<bool> landed(blocks);
    while (std::ranges::count(landed, false) != 0) {
      ASSERT_EQ(published(), position) << "seed " << seed;
      const uint64_t from = r.below(blocks);
      const uint64_t n = 1 + r.below(blocks - from);
      FragmentHeader part = m;
      part.offset = from * 64;
      if (r.chance(50)) {
        ASSERT_EQ(begin(part), Drop::kNone) << "seed " << seed;
      } else {
        ASSERT_EQ(begin(m), Drop::kNone) << "seed " << seed;
      }
      land(m, from * 64, std::min(n * 64, len - from * 64));
      std::fill_n(landed.begin() + static_cast<ptrdiff_t>(from), n, true);
    }
    ASSERT_EQ(published(), position + 1) << "seed " << seed;
    arena = arena_next(arena, len);
    Message got;
    ASSERT_EQ(flow_->reader.next(got), LaneReader::Next::kMessage);
    EXPECT_EQ(got.len, len);
    flow_->reader.release();
    for (int i = 0; i < 3; i++)
      rig_.step();  // the credit is granted with an acknowledgement
    (void)begin(message(position, arena, len));
  }
}

}  // namespace
}  // namespace penstock
