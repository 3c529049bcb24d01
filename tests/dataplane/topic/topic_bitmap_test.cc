#include "dataplane/topic/topic_bitmap.h"

#include <gtest/gtest.h>
#include <map>
#include <random>

namespace penstock {
namespace {

using Use = TopicBitmap::Use;

TEST(TopicBitmap, KnowsNothingAtFirst) {
  const TopicBitmap b;
  EXPECT_EQ(b.look(0), Use::kUnknown);
  EXPECT_EQ(b.look(UINT32_MAX), Use::kUnknown);
}

TEST(TopicBitmap, RemembersEachTopicApart) {
  std::mt19937_64 rng(1);
  TopicBitmap b;
  std::map<uint32_t, Use> model;
  for (int i = 0; i < 5000; i++) {
    const auto id = static_cast<uint32_t>(rng() % 1000);
    const auto use = static_cast<Use>(rng() % 3);
    b.set(id, use);
    model[id] = use;
  }
  for (uint32_t id = 0; id < 1100; id++) {
    EXPECT_EQ(b.look(id), model.contains(id) ? model[id] : Use::kUnknown) << id;
  }
  b.clear();
  EXPECT_EQ(b.look(5), Use::kUnknown);
}

}  // namespace
}  // namespace penstock
