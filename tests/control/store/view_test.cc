#include "control/store/view.h"

#include <gtest/gtest.h>

namespace penstock::test {
namespace {

using store::Event;
using store::View;

Event put(const char* key, uint64_t revision) {
  return {{key, "v" + std::to_string(revision), revision, 0}, false};
}
Event gone(const char* key, uint64_t revision) {
  return {{key, "", revision, 0}, true};
}

struct ViewTest : testing::Test {
  View view;
  std::vector<Event> take(const std::vector<Event>& events) {
    std::vector<Event> changes;
    view.take(events, changes);
    return changes;
  }
  std::pair<View::Taken, std::vector<Event>> take(uint64_t revision,
                                                  const std::vector<store::Entry>& entries) {
    std::vector<Event> changes;
    const auto how = view.take(store::Contents{revision, entries}, changes);
    return {how, changes};
  }
};

TEST_F(ViewTest, TakesAnEventOnceAndNoneThatIsOlder) {
  EXPECT_EQ(take({put("a", 2), put("a", 3)}).size(), 2u);
  EXPECT_EQ(take({put("a", 3), put("a", 2)}).size(), 0u);
  EXPECT_EQ(view.entries().at("a").value, "v3");
}

TEST_F(ViewTest, WhatWasRemovedDoesNotComeBackByAnOlderEvent) {
  EXPECT_EQ(take({put("a", 2), gone("a", 4), put("a", 3)}).size(), 2u);
  EXPECT_TRUE(view.entries().empty());
  EXPECT_EQ(take({put("a", 5)}).size(), 1u);
}

TEST_F(ViewTest, ARemovalThatComesBeforeWhatItRemovesHoldsToo) {
  EXPECT_EQ(take({gone("a", 4), put("a", 3)}).size(), 0u);
  EXPECT_TRUE(view.entries().empty());
}

TEST_F(ViewTest, KeysDoNotWaitForEachOther) {
  EXPECT_EQ(take({put("b", 9), put("a", 3)}).size(), 2u);
}

TEST_F(ViewTest, ContentsBringWhatEventsLeftOut) {
  take({put("a", 2), put("b", 3)});
  const auto [how, changes] = take(10, {{"a", "v2", 2, 0}, {"c", "v7", 7, 0}});
  EXPECT_EQ(how, View::Taken::kYes);
  EXPECT_EQ(changes, (std::vector<Event>{put("c", 7), gone("b", 10)}));
  EXPECT_EQ(take({put("b", 3), put("d", 10)}).size(), 0u);
  EXPECT_EQ(take({put("d", 11)}).size(), 1u);
}

TEST_F(ViewTest, OlderContentsAreTakenOnlyWhenTheyAreSaidAgain) {
  take(10, {{"a", "v9", 9, 0}});
  EXPECT_EQ(take(8, {}).first, View::Taken::kOlder);
  EXPECT_EQ(take(12, {{"a", "v9", 9, 0}}).first, View::Taken::kYes);
  EXPECT_EQ(take(3, {}).first, View::Taken::kOlder);
  EXPECT_EQ(view.entries().size(), 1u);
  const auto [how, changes] = take(4, {{"b", "v4", 4, 0}});
  EXPECT_EQ(how, View::Taken::kRewound);
  EXPECT_EQ(changes, (std::vector<Event>{put("b", 4), gone("a", 4)}));
  EXPECT_EQ(take({put("b", 5)}).size(), 1u);
}

TEST_F(ViewTest, ContentsOlderThanAnEventAreOlder) {
  take(10, {});
  take({put("a", 20)});
  EXPECT_EQ(take(19, {}).first, View::Taken::kOlder);
}

}  // namespace
}  // namespace penstock::test
