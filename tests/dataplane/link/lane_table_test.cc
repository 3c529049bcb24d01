#include "dataplane/link/lane_table.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <vector>

#include "dataplane/link/block_map.h"
#include "tests/support/ledger.h"

namespace penstock {
namespace {

struct Lane {
  uint32_t alias_;
  uint32_t epoch_ = 1;
  uint32_t alias() const { return alias_; }
  uint32_t epoch() const { return epoch_; }
};

TEST(LaneTable, FindsWhatWasAddedAndRemembersWhatWasRemoved) {
  LaneTable<Lane> t(4);
  Lane a{7};
  EXPECT_EQ(t.find(7), nullptr);
  EXPECT_EQ(t.add(&a), Errc::kOk);
  EXPECT_EQ(t.find(7)->lane, &a);
  EXPECT_EQ(t.add(&a), Errc::kBusy);
  EXPECT_EQ(t.remove(7), &a);
  EXPECT_EQ(t.remove(7), nullptr);
  ASSERT_NE(t.find(7), nullptr);
  EXPECT_EQ(t.find(7)->lane, nullptr);
  EXPECT_EQ(t.add(&a), Errc::kBusy);  // the same epoch
  a.epoch_ = 2;
  EXPECT_EQ(t.add(&a), Errc::kOk);
}

TEST(LaneTable, SaysWhenItIsFull) {
  LaneTable<Lane> t(2);
  Lane a{1}, b{2}, c{3};
  t.add(&a);
  t.add(&b);
  EXPECT_EQ(t.add(&c), Errc::kFull);
  t.remove(1);
  EXPECT_EQ(t.add(&c), Errc::kOk);  // in the room of one that was removed
  EXPECT_EQ(t.find(1), nullptr);
  EXPECT_EQ(t.find(2)->lane, &b);
}

TEST(LaneTable, AgreesWithAMap) {
  test::Random r(1);
  std::vector<Lane> lanes(200, Lane{0});
  LaneTable<Lane> t(64);
  std::map<uint32_t, Lane*> model;
  uint32_t epoch = 1;
  for (int i = 0; i < 20'000; i++) {
    Lane& l = lanes[r.below(lanes.size())];
    const auto alias = static_cast<uint32_t>(&l - lanes.data()) * 65536;
    if (model.contains(alias)) {
      ASSERT_EQ(t.remove(alias), &l);
      model.erase(alias);
    } else {
      l = {alias, ++epoch};
      const bool room = model.size() < 64;
      ASSERT_EQ(t.add(&l), room ? Errc::kOk : Errc::kFull);
      if (room) model[alias] = &l;
    }
    ASSERT_EQ(t.size(), model.size());
    for (const auto& [a, lane] : model)
      ASSERT_EQ(t.find(a)->lane, lane);
  }
}

TEST(BlockMap, ABitStandsForABlock) {
  BlockMap m(4096);
  EXPECT_EQ(m.set(0, 64), 1u);
  EXPECT_EQ(m.set(0, 1), 0u);
  EXPECT_EQ(m.count(64, 64), 0u);
  EXPECT_EQ(m.set(64, 65), 2u);
  EXPECT_TRUE(m.all(4096, 64));  // the same block, a lap later
  m.clear(0, 128);
  EXPECT_FALSE(m.all(0, 64));
  EXPECT_TRUE(m.all(128, 64));
}

TEST(BlockMap, LikeASetOfBlocks) {
  test::Random r(7);
  constexpr uint64_t kBlocks = 256;
  BlockMap m(kBlocks * 64);
  std::vector<bool> model(kBlocks);
  for (int i = 0; i < 20'000; i++) {
    const uint64_t first = r.below(kBlocks);
    const uint64_t n = 1 + r.below(kBlocks - first);
    const uint64_t len = n * 64 - r.below(64);
    const uint64_t arena = (first + kBlocks * r.below(4)) * 64;
    const auto begin = model.begin() + static_cast<std::ptrdiff_t>(first);
    const auto end = begin + static_cast<std::ptrdiff_t>(n);
    const auto had = static_cast<uint64_t>(std::count(begin, end, true));
    ASSERT_EQ(m.count(arena, len), had);
    ASSERT_EQ(m.all(arena, len), had == n);
    ASSERT_EQ(m.run(arena, len), std::find(begin, end, false) - begin);
    ASSERT_EQ(m.gap(arena, len), std::find(begin, end, true) - begin);
    if (r.chance(50)) {
      ASSERT_EQ(m.set(arena, len), n - had);
      std::fill(begin, end, true);
    } else {
      m.clear(arena, len);
      std::fill(begin, end, false);
    }
  }
}

}  // namespace
}  // namespace penstock
