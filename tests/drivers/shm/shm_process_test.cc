// Traffic over shared memory between two processes, one of which may be killed at any moment.
#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <string>

#include "tests/drivers/shm/shm_side.h"
#include "tests/support/seeds.h"

namespace penstock::test {
namespace {

constexpr uint32_t kCell = 16384;
constexpr uint32_t kCells = 64;

std::byte pattern(uint64_t seed, uint64_t n, uint64_t i) {
  return static_cast<std::byte>((seed * 31 + n) * 0x9e3779b1u + (i * 0x85ebca6bu >> 9));
}

// Bytes of the n-th message of a seed.
uint32_t length(uint64_t seed, uint64_t n) {
  return static_cast<uint32_t>((seed * 7919 + n * 104729) % kCell) + 1;
}

// Puts messages into the peer's cells, each only when the peer has said that the one before it in
// the same cell was looked at: by a word of ours that it puts to.
void send_all(ShmSide& s, const RemoteRegion& there, uint64_t seed, uint64_t messages) {
  const std::byte* word = s.map.data() + kShmSide - 8;
  for (uint64_t n = 0; n < messages; n++) {
    uint64_t looked_at = 0;
    must(s.wait([&] {
      std::memcpy(&looked_at, word, sizeof looked_at);
      return n < looked_at + kCells;
    }));
    FabricRequest r =
        s.request(FabricOp::kPutImmediate, n % kCells * kCell, length(seed, n), there);
    for (uint32_t i = 0; i < r.bytes; i++)
      r.local[i] = pattern(seed, n, i);
    r.immediate = static_cast<uint32_t>(n);
    must(s.wait([&] { return s.post(r); }));
  }
  must(s.wait([&] { return s.done.size() == messages; }));
  for (const FabricCompletion& c : s.done)
    must(c.code == FabricCode::kOk);
}

void receive_all(ShmSide& s, const RemoteRegion& there, uint64_t seed, uint64_t messages) {
  uint64_t looked_at = 0;
  std::vector<bool> seen(messages);
  while (looked_at < messages) {
    must(s.wait([&] { return !s.landed.empty(); }));
    for (const FabricImmediate& l : s.landed) {
      must(l.immediate < messages && !seen[l.immediate]);
      seen[l.immediate] = true;
      must(l.bytes == length(seed, l.immediate));
      for (uint32_t i = 0; i < l.bytes; i++)
        must(s.map.data()[l.immediate % kCells * kCell + i] == pattern(seed, l.immediate, i));
      looked_at++;
    }
    s.landed.clear();
    FabricRequest r = s.request(FabricOp::kPut, kShmSide - 8, 8, there);
    r.inlined = true;
    r.local = reinterpret_cast<std::byte*>(&looked_at);
    must(s.wait([&] { return s.post(r); }));
  }
  must(s.wait([&] { return s.done.size() == s.next_id - 1; }));
}

TEST(ShmProcesses, TwoProcessesPutToEachOtherAndAllOfItArrives) {
  for (uint64_t seed = 0; seed < seeds(4); seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Child child([&](int fd) {
      ShmSide s({.receive_depth = 64});
      const Card peer = meet(s, fd);
      receive_all(s, peer.region, seed, 2000);
      hear<char>(fd);
    });
    ShmSide s({.receive_depth = 64});
    const Card peer = meet(s, child.fd());
    send_all(s, peer.region, seed, 2000);
    tell(child.fd(), 'x');
    EXPECT_EQ(child.wait(), 0);
  }
}

// It ends for good, in time, with the codes of the contract, whenever the other one dies.
TEST(ShmProcesses, APeerThatIsKilledIsATimeout) {
  for (uint64_t seed = 0; seed < seeds(10); seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 dice(seed);
    Child child([](int fd) {
      ShmSide s;
      (void)meet(s, fd);
      for (;;)
        s.turn();
    });
    ShmSide s;
    const Card peer = meet(s, child.fd());
    const uint64_t after = dice() % 3000;
    uint64_t posted = 0;
    bool dead = false;
    while (s.end->state() == Endpoint::State::kReady) {
      const auto bytes = static_cast<uint32_t>(dice() % 100'000);
      posted += s.post(s.request(FabricOp::kPut, 0, bytes, peer.region));
      if (posted >= after && !dead) {
        ASSERT_EQ(child.kill(), SIGKILL);
        dead = true;
      }
      s.turn();
      s.next_id = posted + 1;
      if (!dead) s.done.clear();
    }
    ASSERT_TRUE(s.wait([&] { return !s.done.empty() && s.done.back().id == posted; }));
    size_t i = 0;
    while (i < s.done.size() && s.done[i].code == FabricCode::kOk)
      i++;
    ASSERT_LT(i, s.done.size());
    EXPECT_EQ(s.done[i].code, FabricCode::kTimeout);
    for (i++; i < s.done.size(); i++)
      EXPECT_EQ(s.done[i].code, FabricCode::kCanceled);
    s.end->stop();
    // What is left of it does not disturb the next one.
    Child other([](int fd) {
      ShmSide t;
      const Card back = meet(t, fd);
      send_all(t, back.region, 1, 10);
    });
    s.make_end();
    s.done.clear();
    (void)meet(s, other.fd());
    EXPECT_TRUE(s.wait([&] { return s.landed.size() == 10; }));
    EXPECT_EQ(other.wait(), 0);
  }
}

// A sender that is killed again and again, and a new one that sends what has not landed: each chunk
// counts once and is whole, wherever the one before was when it died.
TEST(ShmProcesses, WhatAKilledSenderDidNotBringTheNextOneDoesAndEachCountsOnce) {
  constexpr uint32_t kChunks = 4000;
  for (uint64_t seed = 0; seed < seeds(3); seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 dice(seed);
    ShmSide s;
    std::vector<uint8_t> landed(kChunks);
    size_t count = 0;
    unsigned lives = 0;
    for (; count < kChunks; lives++) {
      ASSERT_LT(lives, 200u);
      Child child([&](int fd) {  // it knows what has landed, as a copy of the parent
        ShmSide t;
        const Card peer = meet(t, fd);
        uint32_t ahead = 0;  // of what the other one has looked at: places are used again
        for (uint32_t c = 0; c < kChunks; c++) {
          if (landed[c] != 0) continue;
          if (ahead++ == 256) {
            must(t.wait([&] { return t.done.size() == t.next_id - 1; }));
            for (; ahead != 128; ahead--)
              must(hear<char>(fd) == 'x');
          }
          FabricRequest r = t.request(FabricOp::kPutImmediate, c % 1000 * 1024, 1024, peer.region);
          for (uint32_t i = 0; i < r.bytes; i++)
            r.local[i] = pattern(seed, c, i);
          r.immediate = c;
          must(t.wait([&] { return t.post(r); }));
        }
        for (;;)
          t.turn();
      });
      (void)meet(s, child.fd());
      const size_t enough = count + 20 + dice() % 400;
      while (count < enough && count < kChunks) {
        ASSERT_TRUE(s.wait([&] { return !s.landed.empty(); }));
        for (const FabricImmediate& l : s.landed) {
          ASSERT_LT(l.immediate, kChunks);
          EXPECT_EQ(landed[l.immediate]++, 0) << l.immediate;
          for (uint32_t i = 0; i < 1024; i++)
            ASSERT_EQ(s.map.data()[l.immediate % 1000 * 1024 + i], pattern(seed, l.immediate, i));
          count++;
          tell(child.fd(), 'x');
        }
        s.landed.clear();
      }
      for (uint64_t i = dice() % 2000; i != 0; i--)
        sched_yield();
      EXPECT_EQ(child.kill(), SIGKILL);
      s.end->stop();
      size_t before = 0;
      do {
        before = s.landed.size();
        s.turn();
      } while (s.landed.size() != before);
      for (const FabricImmediate& l : s.landed) {
        ASSERT_LT(l.immediate, kChunks);
        EXPECT_EQ(landed[l.immediate]++, 0) << l.immediate;
        count++;
      }
      s.landed.clear();
      s.make_end();
    }
    EXPECT_GE(lives, 6u);
  }
}

}  // namespace
}  // namespace penstock::test
