// What every store promises. Run over each back end by the files that name one.
#include <map>
#include <random>
#include <thread>

#include "tests/control/store/backend.h"

namespace penstock::test {
namespace {

using store::Fault;

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Contract);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Writing);

TEST_P(Contract, ARangeIsAllKeysWithThePrefixInOrder) {
  for (const char* key : {"a/2", "b/1", "a/1", "ab/1", "a/10"})
    backend->put(key, R"({"n":1})");
  std::vector<std::string> keys;
  for (const auto& e : range("a/").entries) {
    keys.push_back(e.key);
    EXPECT_EQ(e.value, R"({"n":1})");
  }
  EXPECT_EQ(keys, (std::vector<std::string>{"a/1", "a/10", "a/2"}));
  EXPECT_EQ(range("").entries.size(), 5u);
  EXPECT_EQ(range("c").entries.size(), 0u);
}

TEST_P(Contract, AWatchSaysWhatChangesAfterItsRevision) {
  backend->put("a/1", R"({"n":1})");
  const auto before = range("a/");
  const auto watch = store->watch("a/", before.revision);
  ASSERT_TRUE(watch) << watch.error().text;
  backend->put("a/1", R"({"n":2})");
  backend->put("other/1", R"({"n":2})");
  auto events = next(**watch, 1);
  backend->remove("a/1");
  for (const auto& e : next(**watch, 1))
    events.push_back(e);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].entry.value, R"({"n":2})");
  EXPECT_FALSE(events[0].removed);
  EXPECT_GT(events[0].entry.revision, before.revision);
  EXPECT_EQ(events[1].entry.key, "a/1");
  EXPECT_TRUE(events[1].removed);
  EXPECT_GT(events[1].entry.revision, events[0].entry.revision);
  EXPECT_EQ(range("a/").entries.size(), 0u);
}

TEST_P(Contract, AWatchBeginsInThePast) {
  (void)range("");  // a file that nobody reads has no past
  backend->put("a/1", R"({"n":1})");
  const uint64_t then = range("").revision;
  backend->put("a/2", R"({"n":2})");
  (void)range("");
  backend->put("a/3", R"({"n":3})");
  const auto watch = store->watch("a/", then);
  ASSERT_TRUE(watch) << watch.error().text;
  const auto events = next(**watch, 2);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].entry.key, "a/2");
  EXPECT_EQ(events[1].entry.key, "a/3");
}

TEST_P(Contract, AWatchThatHearsNothingSaysNothing) {
  backend->put("a/1", R"({"n":1})");
  const auto watch = store->watch("a/", range("a/").revision);
  ASSERT_TRUE(watch) << watch.error().text;
  const auto events = (*watch)->next(milliseconds(30));
  ASSERT_TRUE(events) << events.error().text;
  EXPECT_TRUE(events->empty());
}

TEST_P(Contract, WhatAWatchSaidIsWhatARangeShows) {
  std::mt19937 random(7);
  const auto watch = store->watch("a/", range("").revision);
  ASSERT_TRUE(watch) << watch.error().text;
  std::map<std::string, store::Entry> heard;
  size_t there = 0;
  for (int step = 0; step < 60; step++) {
    const std::string key = "a/" + std::to_string(random() % 5);
    if (random() % 3 == 0)
      backend->remove(key);
    else
      backend->put(key, R"({"n":)" + std::to_string(step) + "}");
  }
  const auto shown = range("a/");
  for (const auto until = std::chrono::steady_clock::now() + kSoon;
       std::chrono::steady_clock::now() < until;) {
    const auto events = (*watch)->next(milliseconds(20));
    ASSERT_TRUE(events) << events.error().text;
    for (const auto& e : *events) {
      if (e.removed)
        heard.erase(e.entry.key);
      else
        heard[e.entry.key] = e.entry;
    }
    there = 0;
    for (const auto& e : shown.entries)
      there += heard.contains(e.key) && heard[e.key] == e;
    if (there == shown.entries.size() && there == heard.size()) break;
  }
  EXPECT_EQ(there, shown.entries.size());
  EXPECT_EQ(there, heard.size());
}

TEST_P(Writing, AWriteHappensOnlyIfNobodyWasFaster) {
  const auto made = store->txn(put_if("k", 0, "first"));
  ASSERT_TRUE(made) << made.error().text;
  EXPECT_TRUE(made->applied);
  const auto again = store->txn(put_if("k", 0, "second"));
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->applied);
  const auto changed = store->txn(put_if("k", made->revision, "third"));
  ASSERT_TRUE(changed);
  EXPECT_TRUE(changed->applied);
  EXPECT_GT(changed->revision, made->revision);
  EXPECT_FALSE(store->txn(put_if("k", made->revision, "fourth"))->applied);
  const auto all = range("k");
  ASSERT_EQ(all.entries.size(), 1u);
  EXPECT_EQ(all.entries[0], (store::Entry{"k", "third", changed->revision, 0}));
  EXPECT_FALSE(store->txn(put_if("k", changed->revision + 1, "fifth"))->applied);
  ASSERT_TRUE(store->txn({{}, {{"k", "", 0, true}}})->applied);
  EXPECT_FALSE(store->txn(put_if("k", changed->revision, "sixth"))->applied);
  EXPECT_TRUE(store->txn(put_if("k", 0, "seventh"))->applied);
}

TEST_P(Writing, ATransactionIsOneChangeOrNone) {
  const auto two = store->txn({{}, {{"k/1", "a"}, {"k/2", "b"}}});
  ASSERT_TRUE(two) << two.error().text;
  const auto watch = store->watch("k/", two->revision - 1);
  ASSERT_TRUE(watch);
  const auto events = (*watch)->next(kSoon);
  ASSERT_TRUE(events) << events.error().text;
  ASSERT_EQ(events->size(), 2u);
  EXPECT_EQ((*events)[0].entry.revision, two->revision);
  EXPECT_EQ((*events)[1].entry.revision, two->revision);

  const auto none =
      store->txn({{{"k/1", two->revision}, {"k/2", 0}}, {{"k/1", "c"}, {"k/2", "", 0, true}}});
  ASSERT_TRUE(none);
  EXPECT_FALSE(none->applied);
  EXPECT_EQ(none->revision, two->revision);
  EXPECT_EQ(range("k/").entries[0].value, "a");
}

TEST_P(Writing, RemovingWhatIsNotThereIsNoChange) {
  const uint64_t before = store->txn(put("k", "a"))->revision;
  const auto removed = store->txn({{}, {{"other", "", 0, true}}});
  ASSERT_TRUE(removed) << removed.error().text;
  EXPECT_TRUE(removed->applied);
  EXPECT_EQ(removed->revision, before);
}

TEST_P(Writing, CountingTogetherLosesNoCount) {
  constexpr int kEach = 25;
  const auto count = [this] {
    const auto mine = backend->open();
    for (int done = 0; done < kEach;) {
      const auto now = mine->range("n");
      if (!now) continue;
      const uint64_t revision = now->entries.empty() ? 0 : now->entries[0].revision;
      const int n = now->entries.empty() ? 0 : std::stoi(now->entries[0].value);
      const auto written = mine->txn(put_if("n", revision, std::to_string(n + 1)));
      done += written && written->applied;
    }
  };
  std::thread a(count);
  std::thread b(count);
  a.join();
  b.join();
  EXPECT_EQ(range("n").entries.at(0).value, std::to_string(2 * kEach));
}

TEST_P(Writing, WhatOneWritesAnotherHears) {
  const auto other = backend->open();
  const auto watch = other->watch("k", range("").revision);
  ASSERT_TRUE(watch) << watch.error().text;
  ASSERT_TRUE(store->txn(put("k", "news")));
  const auto events = next(**watch, 1);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].entry.value, "news");
}

TEST_P(Writing, AKeyGoesWithItsLease) {
  const auto lease = store->grant(milliseconds(2000));
  ASSERT_TRUE(lease) << lease.error().text;
  const auto written = store->txn(put("k", "here", lease->id));
  ASSERT_TRUE(written) << written.error().text;
  EXPECT_EQ(range("k").entries.at(0).lease, lease->id);
  const auto other = backend->open();
  const auto heard = other->watch("k", written->revision);
  ASSERT_TRUE(heard);
  backend->age(lease->ttl + milliseconds(1));
  const auto events = next(**heard, 1);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_TRUE(events[0].removed);
  EXPECT_EQ(range("k").entries.size(), 0u);
  const auto over = store->keep_alive(lease->id);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().fault, Fault::kNoLease);
}

TEST_P(Writing, ALeaseThatIsKeptAliveLasts) {
  const auto lease = store->grant(milliseconds(2000));
  ASSERT_TRUE(lease) << lease.error().text;
  ASSERT_TRUE(store->txn(put("k", "here", lease->id)));
  for (int i = 0; i < 6; i++) {
    backend->age(lease->ttl / 3);
    const auto kept = store->keep_alive(lease->id);
    ASSERT_TRUE(kept) << kept.error().text;
  }
  EXPECT_EQ(range("k").entries.size(), 1u);
}

TEST_P(Writing, ALeaseThatIsRevokedEndsAtOnce) {
  const auto lease = store->grant(milliseconds(60000));
  ASSERT_TRUE(lease) << lease.error().text;
  ASSERT_TRUE(store->txn(put("k/1", "goes", lease->id)));
  ASSERT_TRUE(store->txn(put("k/2", "goes", lease->id)));
  ASSERT_TRUE(store->txn(put("k/2", "stays")));  // nobody's any more
  const auto revoked = store->revoke(lease->id);
  ASSERT_TRUE(revoked) << revoked.error().text;
  const auto left = range("k/");
  ASSERT_EQ(left.entries.size(), 1u);
  EXPECT_EQ(left.entries[0].key, "k/2");
  for (const auto& late : {store->txn(put("k/1", "late", lease->id)).map([](auto&&) {}),
                           store->keep_alive(lease->id), store->revoke(lease->id)}) {
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().fault, Fault::kNoLease) << late.error().text;
  }
  EXPECT_EQ(range("k/").entries.size(), 1u);
}

TEST_P(Writing, NonsenseIsRefused) {
  const std::string long_key(store::kMaxKeyBytes + 1, 'k');
  const std::string long_value(store::kMaxValueBytes + 1, 'v');
  for (const store::Txn& bad :
       {store::Txn{}, put("", "v"), put("a b", "v"), put("\xff", "v"), put(long_key, "v"),
        put("k", long_value), put_if("", 0, "v"), store::Txn{{}, {{"k", "1"}, {"k", "2"}}}}) {
    const auto done = store->txn(bad);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().fault, Fault::kInvalid) << done.error().text;
  }
  EXPECT_EQ(range("").entries.size(), 0u);
  EXPECT_TRUE(store->txn(put(long_key.substr(1), long_value.substr(1))));
  EXPECT_TRUE(store->txn(put("binary", std::string("\0\xff\n", 3))));
  EXPECT_EQ(range("binary").entries.at(0).value, std::string("\0\xff\n", 3));
}

TEST_P(Writing, WhatIsForgottenIsSaidToBe) {
  const uint64_t then = store->txn(put("k", "1"))->revision;
  for (int i = 0; i < 5; i++)
    ASSERT_TRUE(store->txn(put("k", "2")));
  backend->compact();
  const auto watch = store->watch("k", then);
  const auto events = watch ? (*watch)->next(kSoon) : tl::unexpected(watch.error());
  ASSERT_FALSE(events);
  EXPECT_EQ(events.error().fault, Fault::kCompacted) << events.error().text;
  EXPECT_EQ(range("k").entries.at(0).value, "2");
}

TEST_P(Writing, AWipedStoreIsSeenToBe) {
  const auto lease = store->grant(milliseconds(60000));
  ASSERT_TRUE(lease);
  for (int i = 0; i < 10; i++)
    ASSERT_TRUE(store->txn(put("k", "old", lease->id)));
  const auto before = range("k");
  backend->wipe();
  const auto until = std::chrono::steady_clock::now() + kSoon;
  auto after = store->range("k");
  for (; !after && std::chrono::steady_clock::now() < until; after = store->range("k"))
    EXPECT_EQ(after.error().fault, Fault::kUnavailable) << after.error().text;
  ASSERT_TRUE(after) << after.error().text;
  EXPECT_TRUE(after->entries.empty());
  EXPECT_LT(after->revision, before.revision);
  const auto other = store->grant(milliseconds(60000));
  ASSERT_TRUE(other) << other.error().text;
  const auto kept = store->keep_alive(lease->id);  // not somebody else's by the same number
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().fault, Fault::kNoLease) << kept.error().text;
}

}  // namespace
}  // namespace penstock::test
