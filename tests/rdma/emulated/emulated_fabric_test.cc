// What the emulated fabric does of its own; what every fabric does is in tests/rdma.
#include "rdma/emulated/emulated_fabric.h"

#include <algorithm>
#include <array>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "rdma/emulated/frame.h"
#include "tests/rdma/emulated/fake_carrier.h"
#include "tests/support/seeds.h"

namespace penstock {
namespace {

constexpr uint64_t kTimeout = 10'000'000;

// Two devices and what lies between them; time goes in steps.
struct Pair {
  struct Side {
    explicit Side(uint64_t seed, uint32_t receives)
        : fabric(carrier, {.receive_depth = receives,
                           .first_rto_ns = 100'000,
                           .least_rto_ns = 50'000,
                           .timeout_ns = kTimeout,
                           .seed = seed}) {
      registration = *fabric.register_memory(memory.data(), memory.size(), kRemotePut | kRemoteGet);
      end = std::move(*fabric.create_endpoint());
    }
    void poll() {
      std::array<FabricCompletion, 64> c;
      std::array<FabricImmediate, 64> i;
      const Fabric::Polled n = fabric.poll(c, i);
      done.insert(done.end(), c.begin(), c.begin() + static_cast<ptrdiff_t>(n.completions));
      landed.insert(landed.end(), i.begin(), i.begin() + static_cast<ptrdiff_t>(n.immediates));
    }
    test::FakeCarrier carrier;
    EmulatedFabric fabric;
    std::vector<std::byte> memory = std::vector<std::byte>(1 << 20);
    Registration registration;
    std::unique_ptr<Endpoint> end;
    std::vector<FabricCompletion> done;
    std::vector<FabricImmediate> landed;
  };

  explicit Pair(uint64_t seed = 1, uint32_t receives = 256)
      : a(2 * seed, receives), b(2 * seed + 1, receives) {
    EXPECT_EQ(a.end->connect(b.end->address()), Errc::kOk);
    EXPECT_EQ(b.end->connect(a.end->address()), Errc::kOk);
  }

  // Carries what `passes` lets through.
  template <class Passes>
  void step(Passes passes, uint64_t ns = 1000) {
    a.carrier.time += ns;
    b.carrier.time += ns;
    for (Side* from : {&a, &b}) {
      Side* to = from == &a ? &b : &a;
      for (; !from->carrier.sent.empty(); from->carrier.sent.pop_front())
        if (passes(from->carrier.sent.front()))
          to->carrier.coming.push_back(from->carrier.sent.front());
    }
    a.poll();
    b.poll();
  }
  void step() {
    step([](const auto&) { return true; });
  }
  bool until(auto so, int steps = 100'000) {
    for (int i = 0; i < steps && !so(); i++)
      step();
    return so();
  }

  FabricRequest request(FabricOp op, uint64_t at, uint32_t bytes) {
    FabricRequest r;
    r.op = op;
    r.signalled = true;
    r.local = a.memory.data() + at;
    r.bytes = bytes;
    r.local_key = a.registration.local_key;
    r.remote_address = b.registration.remote_address + at;
    r.remote_key = b.registration.remote_key;
    r.id = next_id++;
    return r;
  }
  void post(const FabricRequest& r) { ASSERT_EQ(a.end->post({&r, 1}), 1u); }

  Side a;
  Side b;
  uint64_t next_id = 1;
};

TEST(EmulatedFabric, WithoutLossNothingIsSentTwice) {
  Pair p;
  for (int i = 0; i < 20; i++)
    p.post(p.request(FabricOp::kPut, 0, 100'000));
  ASSERT_TRUE(p.until([&] { return p.a.done.size() == 20; }));
  EXPECT_EQ(p.a.fabric.frames().resent.read(), 0u);
  EXPECT_EQ(p.b.fabric.frames().doubled.read(), 0u);
}

TEST(EmulatedFabric, WhatIsLostIsSentAgainAndLittleElse) {
  uint64_t lost = 0;
  uint64_t resent = 0;
  for (uint64_t seed = 0; seed < test::seeds(10); seed++) {
    Pair p(seed + 1);
    std::mt19937_64 dice(seed);
    for (int i = 0; i < 20; i++)
      p.post(p.request(FabricOp::kPut, 0, 100'000));
    for (int i = 0; i < 200'000 && p.a.done.size() < 20; i++)
      p.step([&](const auto& frame) {
        const bool goes = frame.size() < 100 || dice() % 50 != 0;
        lost += !goes;
        return goes;
      });
    ASSERT_EQ(p.a.done.size(), 20u) << "seed " << seed;
    resent += p.a.fabric.frames().resent.read();
  }
  EXPECT_GT(lost, 500u);
  EXPECT_GE(resent, lost);
  EXPECT_LE(resent, lost * 3 / 2);
}

TEST(EmulatedFabric, APutLandsWhileAnEarlierOneIsMissingButItsImmediateWaits) {
  Pair p;
  FabricRequest first = p.request(FabricOp::kPutImmediate, 0, 100);
  FabricRequest second = p.request(FabricOp::kPutImmediate, 1000, 100);
  std::fill_n(first.local, 100, std::byte{1});
  std::fill_n(second.local, 100, std::byte{2});
  second.immediate = 2;
  p.post(first);
  p.post(second);
  bool dropped = false;
  for (int i = 0; i < 20; i++)
    p.step([&](const auto& frame) {
      const auto f = parse_emulated(frame);
      if (f->type != EmulatedType::kPut || f->packet != 1 || dropped) return true;
      dropped = true;
      return false;
    });
  ASSERT_TRUE(dropped);
  EXPECT_EQ(p.b.memory[0], std::byte{0});
  EXPECT_EQ(p.b.memory[1000], std::byte{2});
  EXPECT_TRUE(p.b.landed.empty());
  ASSERT_TRUE(p.until([&] { return p.b.landed.size() == 2; }));
  EXPECT_EQ(p.b.landed[1].immediate, 2u);
  EXPECT_EQ(p.b.memory[0], std::byte{1});
}

TEST(EmulatedFabric, SilenceIsATimeoutNeitherSoonerNorMuchLater) {
  Pair p;
  p.step();
  p.post(p.request(FabricOp::kPut, 0, 100));
  const uint64_t since = p.a.carrier.time;
  while (p.a.done.empty() && p.a.carrier.time < since + 10 * kTimeout)
    p.step([](const auto&) { return false; }, 10'000);
  ASSERT_EQ(p.a.done.size(), 1u);
  EXPECT_EQ(p.a.done[0].code, FabricCode::kTimeout);
  EXPECT_GE(p.a.carrier.time, since + kTimeout);
  EXPECT_LE(p.a.carrier.time, since + kTimeout + kTimeout / 4);
}

TEST(EmulatedFabric, APeerThatAnsweredTheGetButSendsNothingIsATimeout) {
  Pair p;
  p.post(p.request(FabricOp::kGet, 0, 100'000));
  const uint64_t since = p.a.carrier.time;
  while (p.a.done.empty() && p.a.carrier.time < since + 10 * kTimeout)
    p.step([](const auto& frame) { return parse_emulated(frame)->type != EmulatedType::kPiece; },
           10'000);
  ASSERT_EQ(p.a.done.size(), 1u);
  EXPECT_EQ(p.a.done[0].code, FabricCode::kTimeout);
}

TEST(EmulatedFabric, TimeInWhichThisSideDidNotLookIsNotThePeers) {
  Pair p;
  p.step();
  p.post(p.request(FabricOp::kPut, 0, 100));
  p.step([](const auto&) { return false; });
  p.a.carrier.time += 50 * kTimeout;
  p.b.carrier.time += 50 * kTimeout;
  p.step([](const auto&) { return false; });
  EXPECT_TRUE(p.a.done.empty());
  ASSERT_TRUE(p.until([&] { return !p.a.done.empty(); }));
  EXPECT_EQ(p.a.done[0].code, FabricCode::kOk);
}

// The refusal waits until what came before it was answered, so the right request gets the code.
TEST(EmulatedFabric, GetsBeforeARefusedPutAreAnswered) {
  Pair p;
  std::fill_n(p.b.memory.begin(), 50'000, std::byte{9});
  p.post(p.request(FabricOp::kGet, 0, 50'000));
  FabricRequest bad = p.request(FabricOp::kPut, 0, 100);
  bad.remote_key ^= 1;
  p.post(bad);
  p.post(p.request(FabricOp::kPut, 0, 100));
  ASSERT_TRUE(p.until([&] { return p.a.done.size() == 3; }));
  EXPECT_EQ(p.a.done[0].code, FabricCode::kOk);
  EXPECT_EQ(p.a.memory[49'999], std::byte{9});
  EXPECT_EQ(p.a.done[1].code, FabricCode::kRemoteAccess);
  EXPECT_EQ(p.a.done[2].code, FabricCode::kCanceled);
  std::array<FabricEvent, 2> e;
  ASSERT_EQ(p.b.fabric.events(e), 1u);
  EXPECT_EQ(e[0].kind, FabricEventKind::kEndpointError);
  EXPECT_EQ(e[0].endpoint, p.b.end->number());
}

TEST(EmulatedFabric, MemoryThatGoesWhileItIsGotIsRefusedAndNotRead) {
  Pair p;
  p.post(p.request(FabricOp::kGet, 0, 1 << 20));
  for (int i = 0; i < 5; i++)
    p.step();
  p.b.fabric.deregister(p.b.registration);
  ASSERT_TRUE(p.until([&] { return !p.a.done.empty(); }));
  EXPECT_EQ(p.a.done[0].code, FabricCode::kRemoteAccess);
}

TEST(EmulatedFabric, ARefusalThatIsLostIsSaidAgain) {
  Pair p;
  FabricRequest bad = p.request(FabricOp::kPut, 0, 100);
  bad.remote_key ^= 1;
  p.post(bad);
  int lost = 0;
  for (int i = 0; i < 5000 && p.a.done.empty(); i++)
    p.step([&](const auto& frame) {
      return parse_emulated(frame)->type != EmulatedType::kRefused || ++lost > 3;
    });
  ASSERT_EQ(p.a.done.size(), 1u);
  EXPECT_EQ(p.a.done[0].code, FabricCode::kRemoteAccess);
  EXPECT_GT(lost, 3);
}

TEST(EmulatedFabric, FramesOfAnotherLifeOfAnEndpointAreForNobody) {
  Pair p;
  p.post(p.request(FabricOp::kPut, 0, 100));
  p.a.poll();
  const auto old = p.a.carrier.sent;
  ASSERT_FALSE(old.empty());
  p.b.end.reset();
  p.b.end = std::move(*p.b.fabric.create_endpoint());
  Pair q(7);
  ASSERT_EQ(p.b.end->connect(q.a.end->address()), Errc::kOk);
  p.b.carrier.coming = old;
  p.b.poll();
  EXPECT_EQ(p.b.fabric.frames().unknown.read(), old.size());
  EXPECT_TRUE(std::ranges::all_of(p.b.memory, [](std::byte x) { return x == std::byte{0}; }));
}

// Full is a normal answer: with room for one frame at a time all of it arrives as well.
TEST(EmulatedFabric, ACarrierWithLittleRoomIsSlowAndNothingElse) {
  Pair p;
  p.a.carrier.room = 1;
  p.b.carrier.room = 0;
  p.post(p.request(FabricOp::kPut, 0, 50'000));
  for (int i = 0; i < 50; i++)
    p.step();
  EXPECT_TRUE(p.a.done.empty());
  p.b.carrier.room = 1;
  ASSERT_TRUE(p.until([&] { return !p.a.done.empty(); }));
  EXPECT_EQ(p.a.done[0].code, FabricCode::kOk);
}

// The worker of both sides in one thread, b's control in another: what it has deregistered, or
// whose endpoint it has stopped, does not change any more.
TEST(EmulatedFabric, ControlTakesMemoryAwayWhileTheWorkerWrites) {
  Pair p;
  std::vector<std::byte> target(64 * 1024);
  SharedWord key;
  Counter rounds;
  std::thread worker([&] {
    // The key that is refused ends it.
    while (p.a.end->state() == Endpoint::State::kReady) {
      p.step();
      const uint64_t now = key.load();
      if (now == 0 || p.a.done.size() != p.next_id - 1) continue;
      FabricRequest r = p.request(FabricOp::kPut, 0, 64 * 1024);
      std::fill_n(r.local, r.bytes, static_cast<std::byte>(p.next_id));
      r.remote_address = 0;
      r.remote_key = static_cast<uint32_t>(now);
      (void)p.a.end->post({&r, 1});
      rounds.add(1);
    }
  });
  const auto r = p.b.fabric.register_memory(target.data(), target.size(), kRemotePut);
  key.store(r->remote_key);
  for (int i = 0; i < 200; i++) {  // others come and go meanwhile
    std::vector<std::byte> more(4096);
    const auto other = p.b.fabric.register_memory(more.data(), more.size(), kRemotePut);
    auto e = p.b.fabric.create_endpoint();
    ASSERT_TRUE(other.ok() && e.ok());
    (*e)->stop();
    p.b.fabric.deregister(*other);
  }
  while (rounds.read() < 20)
    std::this_thread::yield();
  p.b.fabric.deregister(*r);
  const std::vector<std::byte> then = target;
  for (int i = 0; i < 100; i++)
    std::this_thread::yield();
  EXPECT_EQ(target, then);
  worker.join();
  EXPECT_EQ(p.a.end->state(), Endpoint::State::kError);
}

}  // namespace
}  // namespace penstock
