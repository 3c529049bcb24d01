#include "rdma/memory_table.h"

#include <gtest/gtest.h>
#include <map>
#include <random>
#include <thread>

#include "dataplane/base/counter.h"
#include "rdma/visit.h"
#include "tests/support/seeds.h"

namespace penstock {
namespace {

TEST(MemoryTable, SaysWhyNot) {
  MemoryTable t(1);
  std::byte b[8];
  EXPECT_EQ(t.add(nullptr, 8, 0).error(), Errc::kInvalid);
  EXPECT_EQ(t.add(b, 0, 0).error(), Errc::kInvalid);
  ASSERT_TRUE(t.add(b, 8, 0).ok());
  EXPECT_EQ(t.add(b, 8, 0).error(), Errc::kNoMemory);
}

TEST(MemoryTable, TheLastByteIsInsideAndTheNextIsNot) {
  MemoryTable t(4);
  std::byte memory[101];
  std::byte* b = memory + 1;
  const auto r = t.add(b, 100, kRemotePut);
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(t.remote(r->remote_key, 99, 1, kRemotePut), b + 99);
  EXPECT_EQ(t.remote(r->remote_key, 100, 0, kRemotePut), b + 100);
  EXPECT_EQ(t.remote(r->remote_key, 100, 1, kRemotePut), nullptr);
  EXPECT_EQ(t.remote(r->remote_key, ~uint64_t{0}, 2, kRemotePut), nullptr);
  EXPECT_EQ(t.remote(r->remote_key, 0, 1, kRemoteGet), nullptr);
  EXPECT_EQ(t.remote(r->local_key, 0, 1, kRemotePut), nullptr);
  FabricRequest q{.local = b + 60, .bytes = 40, .local_key = r->local_key};
  EXPECT_TRUE(t.local(q));
  q.bytes = 41;
  EXPECT_FALSE(t.local(q));
  q.bytes = 1;
  q.local = b - 1;
  EXPECT_FALSE(t.local(q));
  q.local_key = r->remote_key;
  q.local = b;
  EXPECT_FALSE(t.local(q));
}

TEST(MemoryTable, WhatIsReadOnlyIsASourceAndNoPlaceToGetTo) {
  MemoryTable t(1);
  std::byte b[8];
  const auto r = t.add(b, 8, kRemoteGet | kReadOnly);
  ASSERT_TRUE(r.ok());
  FabricRequest q{.local = b, .bytes = 8, .local_key = r->local_key};
  EXPECT_TRUE(t.local(q));
  q.op = FabricOp::kGet;
  EXPECT_FALSE(t.local(q));
}

// Against a model: of all keys that were ever given, exactly those whose memory is there are good.
TEST(MemoryTable, OnlyKeysOfMemoryThatIsThereAreGood) {
  for (uint64_t seed = 0; seed < test::seeds(20); seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 dice(seed);
    MemoryTable t(8);
    std::byte memory[64];
    std::map<uint32_t, Registration> live;  // by remote key
    std::vector<Registration> gone;
    for (int i = 0; i < 2000; i++) {
      if (dice() % 2 == 0) {
        const uint64_t from = dice() % 32;
        const auto r = t.add(memory + from, 1 + dice() % 32, kRemotePut);
        ASSERT_EQ(r.ok(), live.size() < 8);
        if (r.ok()) {
          ASSERT_TRUE(live.emplace(r->remote_key, *r).second);
        }
      } else if (!live.empty()) {
        const auto it = std::next(live.begin(), static_cast<ptrdiff_t>(dice() % live.size()));
        t.remove(it->second);
        gone.push_back(it->second);
        live.erase(it);
      }
      for (const auto& [key, r] : live)
        ASSERT_EQ(t.remote(key, 0, r.bytes, kRemotePut), r.base);
      for (const Registration& r : gone)
        ASSERT_EQ(t.remote(r.remote_key, 0, 1, kRemotePut), nullptr);
    }
  }
}

// The worker writes to what it found; whoever took it away writes after it was seen out.
TEST(Visit, NobodyIsInsideAnyMoreWhenItHasPassed) {
  Visit visit;
  SharedWord there;
  uint64_t thing = 0;  // both write it, never at once: the thread sanitizer looks on
  uint64_t wrong = 0;
  Counter met;  // how often the worker found it
  std::thread worker([&] {
    for (uint64_t last = 0; last != ~uint64_t{0};) {
      visit.enter();
      last = there.load();
      if (last != 0 && last != ~uint64_t{0}) {
        if (thing != last) wrong++;
        thing = last + 1;
        thing = last;
        met.add(1);
      }
      visit.leave();
    }
  });
  for (uint64_t i = 1; met.read() < 5000; i++) {
    thing = i;
    there.store(i);
    if (i % 16 == 0) std::this_thread::yield();
    there.store(0);
    const uint64_t seen = visit.departure();
    while (!visit.passed(seen))
      std::this_thread::yield();
    if (thing != i) wrong++;
    thing = 0;
  }
  there.store(~uint64_t{0});
  worker.join();
  EXPECT_EQ(wrong, 0u);
}

}  // namespace
}  // namespace penstock
