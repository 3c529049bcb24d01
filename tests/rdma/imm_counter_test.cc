#include "rdma/imm_counter.h"

#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>

#include "tests/support/seeds.h"

namespace penstock {
namespace {

using Outcome = ImmCounter::Outcome;

TEST(ImmCounter, IsDoneWithTheLastChunkInWhateverOrder) {
  ImmCounter c(4, 8);
  ASSERT_EQ(c.expect(2, 3), Errc::kOk);
  EXPECT_EQ(c.count(imm_of(2, 2)), Outcome::kCounted);
  EXPECT_EQ(c.count(imm_of(2, 0)), Outcome::kCounted);
  EXPECT_EQ(c.missing(2), 1u);
  EXPECT_EQ(c.landed(2)[0], 0b101u);
  EXPECT_EQ(c.count(imm_of(2, 1)), Outcome::kDone);
  EXPECT_EQ(c.missing(2), 0u);
  EXPECT_EQ(c.count(imm_of(2, 1)), Outcome::kUnknown);
}

TEST(ImmCounter, AChunkThatComesTwiceStandsForNoOther) {
  ImmCounter c(1, 8);
  ASSERT_EQ(c.expect(0, 2), Errc::kOk);
  EXPECT_EQ(c.count(imm_of(0, 0)), Outcome::kCounted);
  EXPECT_EQ(c.count(imm_of(0, 0)), Outcome::kDuplicate);
  EXPECT_EQ(c.missing(0), 1u);
}

TEST(ImmCounter, SaysWhatItCannotExpect) {
  ImmCounter c(kImmSlots, 65);
  EXPECT_EQ(c.expect(kImmSlots, 1), Errc::kInvalid);
  EXPECT_EQ(c.expect(0, 0), Errc::kInvalid);
  EXPECT_EQ(c.expect(0, 66), Errc::kTooBig);
  EXPECT_EQ(c.expect(kImmSlots - 1, 65), Errc::kOk);
  EXPECT_EQ(c.expect(kImmSlots - 1, 1), Errc::kBusy);
  c.forget(kImmSlots - 1);
  EXPECT_EQ(c.expect(kImmSlots - 1, 1), Errc::kOk);
}

// Any immediate that a peer can send, against sets of what is expected.
TEST(ImmCounter, IsAsTheModelSaysWhateverThePeerSends) {
  const uint64_t n = test::seeds(100);
  uint64_t done = 0;
  for (uint64_t seed = 0; seed < n; seed++) {
    std::mt19937_64 dice(seed);
    ImmCounter c(8, 100);
    std::map<uint32_t, std::set<uint32_t>> expected;
    std::map<uint32_t, uint32_t> chunks;
    for (int i = 0; i < 2000; i++) {
      const auto slot = static_cast<uint32_t>(dice() % 9);
      if (dice() % 20 == 0 && slot < 8) {
        const auto want = static_cast<uint32_t>(1 + dice() % (dice() % 4 == 0 ? 100 : 8));
        const bool free = expected[slot].empty();
        ASSERT_EQ(c.expect(slot, want), free ? Errc::kOk : Errc::kBusy);
        if (!free) continue;
        chunks[slot] = want;
        for (uint32_t k = 0; k < want; k++)
          expected[slot].insert(k);
        continue;
      }
      const auto chunk = static_cast<uint32_t>(dice() % (dice() % 2 == 0 ? 110 : 9));
      const uint32_t imm = dice() % 50 == 0 ? static_cast<uint32_t>(dice()) : imm_of(slot, chunk);
      const uint32_t s = imm_slot(imm);
      const uint32_t k = imm_chunk(imm);
      Outcome want = Outcome::kUnknown;
      if (s < 8 && !expected[s].empty() && k < chunks[s]) {
        want = expected[s].erase(k) == 0 ? Outcome::kDuplicate
               : expected[s].empty()     ? Outcome::kDone
                                         : Outcome::kCounted;
      }
      ASSERT_EQ(c.count(imm), want) << "seed " << seed;
      if (want == Outcome::kDone) done++;
      if (s < 8) {
        ASSERT_EQ(c.missing(s), expected[s].size());
      }
    }
  }
  EXPECT_GT(done, n);
}

}  // namespace
}  // namespace penstock
