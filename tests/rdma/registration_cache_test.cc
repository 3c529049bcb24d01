#include "rdma/registration_cache.h"

#include <deque>
#include <gtest/gtest.h>
#include <random>
#include <sys/wait.h>

#include "tests/support/seeds.h"

namespace penstock {
namespace {

std::byte* address(uint64_t n) {
  return reinterpret_cast<std::byte*>(n);  // never looked at
}

// Knows what is registered, and which life of the memory it was.
class BookFabric final : public Fabric {
 public:
  struct Entry {
    std::byte* base;
    uint64_t bytes;
    uint64_t made_at;
    bool live;
  };

  const char* name() const override { return "book"; }
  const FabricLimits& limits() const override { return limits_; }
  const FabricStats& stats() const override { return stats_; }
  bool port_up() const override { return true; }
  Result<Registration> register_memory(std::byte* base, uint64_t bytes, uint32_t) override {
    calls++;
    EXPECT_LE(bytes, limits_.max_registration);
    if (bytes > room) return Errc::kNoMemory;
    room -= bytes;
    live++;
    entries_.push_back({base, bytes, clock, true});
    return Registration{base, bytes,           0, static_cast<uint32_t>(entries_.size()),
                        0,    &entries_.back()};
  }
  void deregister(const Registration& r) override {
    calls++;
    auto* e = static_cast<Entry*>(r.handle);
    EXPECT_TRUE(e->live) << "deregistered twice";
    e->live = false;
    room += e->bytes;
    live--;
  }
  Result<std::unique_ptr<Endpoint>> create_endpoint() override { return Errc::kNoDevice; }
  Polled poll(std::span<FabricCompletion>, std::span<FabricImmediate>) override { return {}; }
  size_t events(std::span<FabricEvent>) override { return 0; }

  static const Entry& entry(const Registration& r) { return *static_cast<const Entry*>(r.handle); }

  FabricLimits limits_{.max_registration = ~uint64_t{0}};
  FabricStats stats_;
  uint64_t room = ~uint64_t{0};
  uint64_t clock = 0;
  uint64_t calls = 0;
  size_t live = 0;

 private:
  std::deque<Entry> entries_;
};

class BookAllocations final : public Allocations {
 public:
  Result<Allocation> find(const std::byte* at, uint64_t) const override {
    for (const Allocation& a : all)
      if (at >= a.base && at < a.base + a.bytes) return a;
    return Errc::kNotFound;
  }
  std::vector<Allocation> all;
};

struct RegistrationCacheTest : public ::testing::Test {
  RegistrationCache::Config config;
  BookFabric fabric;
  BookAllocations allocations;
};

TEST_F(RegistrationCacheTest, TenThousandViewsOfAnAllocationAreOneRegistration) {
  allocations.all = {{address(0x10000), 10'000 * 64, 1}};
  RegistrationCache cache(fabric, allocations, config);
  std::vector<const Registered*> views;
  for (uint64_t i = 0; i < 10'000; i++) {
    const auto r = cache.acquire(address(0x10000 + i * 64), 64);
    ASSERT_TRUE(r.ok());
    views.push_back(*r);
  }
  EXPECT_EQ(fabric.calls, 1u);
  EXPECT_EQ(cache.stats().hits, 9'999u);
  EXPECT_EQ(cache.stats().steps, 0u);
  for (const Registered* v : views)
    cache.release(v);
  EXPECT_EQ(fabric.calls, 1u);
  EXPECT_TRUE(cache.acquire(address(0x10000), 1).ok());
  EXPECT_EQ(fabric.calls, 1u);
  cache.release(views[0]);
}

TEST_F(RegistrationCacheTest, TenThousandCyclesCostTheSameAtTheEndAsAtTheBeginning) {
  config.max_allocations = 16;
  RegistrationCache cache(fabric, allocations, config);
  std::vector<uint64_t> calls;
  std::vector<uint64_t> steps;
  for (uint64_t i = 0; i < 10'000; i++) {
    if (i % 1000 == 0) {
      calls.push_back(fabric.calls);
      steps.push_back(cache.stats().steps);
    }
    allocations.all = {{address((i % 100 + 1) << 20), 4096, i}};  // each is new memory
    const auto r = cache.acquire(allocations.all[0].base, 4096);
    ASSERT_TRUE(r.ok());
    cache.release(*r);
    ASSERT_LE(cache.allocations(), 16u);
    ASSERT_LE(fabric.live, 16u);
  }
  for (size_t i = 2; i < calls.size(); i++) {
    EXPECT_EQ(calls[i] - calls[i - 1], 2000u);
    EXPECT_LE(steps[i] - steps[i - 1], 3000u);
  }
}

TEST_F(RegistrationCacheTest, MemoryThatWasAllocatedAnewIsRegisteredAnew) {
  allocations.all = {{address(0x10000), 4096, 1}};
  RegistrationCache cache(fabric, allocations, config);
  const Registered* first = *cache.acquire(address(0x10000), 64);
  allocations.all = {{address(0x10000), 4096, 2}};
  const Registered* second = *cache.acquire(address(0x10000), 64);
  EXPECT_NE(first, second);
  EXPECT_EQ(cache.stats().stale, 1u);
  EXPECT_EQ(fabric.live, 2u);  // the first still has a user
  cache.release(first);
  EXPECT_EQ(fabric.live, 1u);
  cache.release(second);
  EXPECT_EQ(fabric.live, 1u);
}

TEST_F(RegistrationCacheTest, WhatIsLargerThanTheDeviceTakesIsInPieces) {
  fabric.limits_.max_registration = 10'000;  // pieces of 8192: whole pages
  allocations.all = {{address(0x10000), 20'000, 1}};
  RegistrationCache cache(fabric, allocations, config);
  const Registered* r = *cache.acquire(address(0x10000 + 5000), 12'000);
  ASSERT_EQ(r->pieces().size(), 3u);
  EXPECT_EQ(r->piece(address(0x10000 + 8191)).base, address(0x10000));
  EXPECT_EQ(r->piece(address(0x10000 + 8192)).base, address(0x10000 + 8192));
  EXPECT_EQ(r->piece(address(0x10000 + 19'999)).bytes, 20'000u - 2 * 8192);
  cache.release(r);
  EXPECT_EQ(cache.invalidate(address(0x10000), 1), 1u);
  EXPECT_EQ(fabric.live, 0u);
}

TEST_F(RegistrationCacheTest, IdleOnesGoInTheirOrderWhenThereIsNoRoomAndOthersNever) {
  for (uint64_t i = 0; i < 4; i++)
    allocations.all.push_back({address((i + 1) << 20), 1000, i});
  config.max_bytes = 3000;
  RegistrationCache cache(fabric, allocations, config);
  std::array<const Registered*, 3> r{};
  for (size_t i = 0; i < 3; i++)
    r[i] = *cache.acquire(allocations.all[i].base, 1);
  EXPECT_EQ(cache.acquire(allocations.all[3].base, 1).error(), Errc::kFull);
  cache.release(r[1]);
  cache.release(r[0]);
  const Registered* fourth = *cache.acquire(allocations.all[3].base, 1);
  EXPECT_EQ(*cache.acquire(allocations.all[0].base, 1), r[0]);  // still there: released later
  EXPECT_EQ(fabric.calls, 5u);
  for (const Registered* one : {r[0], r[2], fourth})
    cache.release(one);
}

TEST_F(RegistrationCacheTest, AFullDeviceIsAskedAgainWhenIdleOnesHaveGone) {
  allocations.all = {
      {address(1 << 20), 1000, 1}, {address(2 << 20), 1000, 2}, {address(3 << 20), 5000, 3}};
  fabric.room = 2500;
  RegistrationCache cache(fabric, allocations, config);
  cache.release(*cache.acquire(allocations.all[0].base, 1));
  cache.release(*cache.acquire(allocations.all[1].base, 1));
  EXPECT_EQ(cache.acquire(allocations.all[2].base, 1).error(), Errc::kNoMemory);
  EXPECT_EQ(fabric.live, 0u);
  EXPECT_EQ(cache.bytes(), 0u);
}

TEST_F(RegistrationCacheTest, ASourceThatKnowsPartOfAViewOnlyKnowsNone) {
  allocations.all = {{address(0x10000), 4096, 1}};
  RegistrationCache cache(fabric, allocations, config);
  EXPECT_EQ(cache.acquire(address(0x10000 + 4000), 97).error(), Errc::kNotFound);
  EXPECT_EQ(cache.acquire(address(0x20000), 1).error(), Errc::kNotFound);
  EXPECT_EQ(fabric.calls, 0u);
}

TEST_F(RegistrationCacheTest, AForkedChildGetsNothingAndDeregistersNothing) {
  allocations.all = {{address(0x10000), 4096, 1}};
  auto cache = std::make_unique<RegistrationCache>(fabric, allocations, config);
  cache->release(*cache->acquire(address(0x10000), 64));
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const bool refused = cache->acquire(address(0x10000), 64).error() == Errc::kClosed;
    const bool kept = cache->invalidate(address(0x10000), 64) == 0;
    cache.reset();
    _exit(refused && kept && fabric.live == 1 && fabric.calls == 1 ? 0 : 1);
  }
  int status = 1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(cache->invalidate(address(0x10000), 64), 1u);  // of the parent it is, as ever
  EXPECT_EQ(fabric.live, 0u);
}

// Allocations come and go, with and without a word, over the same addresses; views are taken and
// let go. A view always stands on live memory that was registered in this life of it.
class Game {
 public:
  explicit Game(uint64_t seed) : dice_(seed) {
    if (below(2) == 0) fabric_.limits_.max_registration = 4096 * (1 + below(3));
    config_.max_allocations = 1 + below(8);
    config_.max_bytes = below(2) == 0 ? ~uint64_t{0} : 4096 * (1 + below(30));
    if (below(3) == 0) fabric_.room = 4096 * (4 + below(30));
    cache_ = std::make_unique<RegistrationCache>(fabric_, allocations_, config_);
  }

  void operation() {
    fabric_.clock++;
    const uint64_t what = below(100);
    if (what < 20) {
      allocate();
    } else if (what < 30) {
      free(below(2) == 0);
    } else if (what < 70) {
      acquire();
    } else if (what < 97) {
      release();
    } else {
      cache_->invalidate(address(4096 * below(64)), 1 + below(8 * 4096));
    }
    check();
  }

  void finish() {
    while (!views_.empty())
      release();
    cache_->invalidate(address(0), ~uint64_t{0});
    EXPECT_EQ(fabric_.live, 0u);
    EXPECT_EQ(cache_->bytes(), 0u);
    EXPECT_EQ(cache_->allocations(), 0u);
    EXPECT_EQ(cache_->stats().registrations, cache_->stats().deregistrations);
  }
  uint64_t hits() const { return cache_->stats().hits; }
  uint64_t stale() const { return cache_->stats().stale; }

 private:
  struct View {
    std::byte* at;
    uint64_t bytes;
    const Registered* registered;
    uint64_t taken;
  };

  uint64_t below(uint64_t n) { return dice_() % n; }

  void allocate() {
    const uint64_t bytes = 4096 * (1 + below(8)) - below(2) * below(4096);
    std::byte* base = address(4096 * (1 + below(60)));
    for (const Allocation& a : allocations_.all)
      if (base < a.base + a.bytes && a.base < base + bytes) return;
    allocations_.all.push_back({base, bytes, fabric_.clock});
  }
  void free(bool with_a_word) {
    if (allocations_.all.empty()) return;
    const size_t i = below(allocations_.all.size());
    const Allocation a = allocations_.all[i];
    allocations_.all.erase(allocations_.all.begin() + static_cast<ptrdiff_t>(i));
    if (with_a_word) cache_->invalidate(a.base, a.bytes);
  }
  void acquire() {
    if (allocations_.all.empty()) return;
    const Allocation a = allocations_.all[below(allocations_.all.size())];
    const uint64_t from = below(a.bytes);
    const uint64_t bytes = 1 + below(a.bytes - from);
    const auto r = cache_->acquire(a.base + from, bytes);
    if (!r.ok()) {
      EXPECT_TRUE(r.error() == Errc::kFull || r.error() == Errc::kNoMemory);
      return;
    }
    EXPECT_EQ((*r)->allocation(), a);
    views_.push_back({a.base + from, bytes, *r, fabric_.clock});
    for (const Registration& p : (*r)->pieces())
      EXPECT_GE(BookFabric::entry(p).made_at, a.id) << "registered in an earlier life";
  }
  void release() {
    if (views_.empty()) return;
    const size_t i = below(views_.size());
    cache_->release(views_[i].registered);
    views_[i] = views_.back();
    views_.pop_back();
  }

  void check() {
    for (const View& v : views_) {
      for (std::byte* at = v.at; at < v.at + v.bytes;) {
        const Registration& p = v.registered->piece(at);
        ASSERT_TRUE(BookFabric::entry(p).live);
        ASSERT_TRUE(at >= p.base && at < p.base + p.bytes);
        at = p.base + p.bytes;
      }
    }
    ASSERT_LE(cache_->bytes(), config_.max_bytes);
    ASSERT_LE(cache_->allocations(), config_.max_allocations);
  }

  std::mt19937_64 dice_;
  BookFabric fabric_;
  BookAllocations allocations_;
  RegistrationCache::Config config_;
  std::unique_ptr<RegistrationCache> cache_;
  std::vector<View> views_;
};

TEST(RegistrationCacheProperty, AViewAlwaysStandsOnLiveMemoryOfThisLife) {
  uint64_t hits = 0;
  uint64_t stale = 0;
  const uint64_t n = test::seeds(300);
  for (uint64_t seed = 0; seed < n; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Game game(seed);
    for (int i = 0; i < 500; i++)
      game.operation();
    game.finish();
    if (::testing::Test::HasFailure()) return;
    hits += game.hits();
    stale += game.stale();
  }
  EXPECT_GT(hits, n * 10);
  EXPECT_GT(stale, n);
}

}  // namespace
}  // namespace penstock
