// The posting discipline over the simulator: by counts, never by time.
#include "rdma/poster.h"

#include <cstring>
#include <deque>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <vector>

#include "drivers/sim/sim_fabric.h"
#include "tests/support/seeds.h"

namespace penstock {
namespace {

// A host: a device, memory, and one poster for each endpoint. The memory begins with a word for
// each endpoint, where the peer puts its grants.
struct Host {
  static constexpr uint64_t kBytes = 1 << 20;
  static constexpr uint32_t kEnds = 8;

  struct End {
    std::unique_ptr<Endpoint> endpoint;
    std::unique_ptr<Poster> poster;
    uint32_t share = 0;
    uint32_t index = 0;  // of its word
    Host* peer = nullptr;
    uint32_t peer_index = 0;
    uint64_t to_grant = 0;
    uint64_t received = 0;
  };

  Host(SimFabricNet& net, const SimFabricConfig& config)
      : device(net.add(config)), memory(kBytes), shares(config.receive_depth, kEnds) {
    registration = *device.register_memory(memory.data(), memory.size(), kRemotePut);
  }

  End& open() {
    End& e = ends.emplace_back();
    e.endpoint = std::move(*device.create_endpoint());
    e.share = *shares.open();
    e.index = static_cast<uint32_t>(ends.size() - 1);
    return e;
  }

  // Puts go to the memory behind the words; each has its own place, so that none is torn.
  bool send(End& e, FabricOp op, uint32_t bytes) {
    FabricRequest r;
    r.op = op;
    r.local = memory.data() + 4096;
    r.local_key = registration.local_key;
    r.bytes = bytes;
    r.remote_key = e.peer->registration.remote_key;
    r.remote_address = e.peer->registration.remote_address + 8192;
    return e.poster->add(r);
  }

  void poll(size_t most, bool grants = true) {
    std::vector<FabricCompletion> c(most);
    std::vector<FabricImmediate> im(most);
    const Fabric::Polled n = device.poll(c, im);
    for (size_t k = 0; k < n.completions; k++)
      for (End& e : ends)
        if (e.endpoint->number() == c[k].endpoint) e.poster->completed(c[k]);
    for (size_t k = 0; k < n.immediates; k++)
      for (End& e : ends)
        if (e.endpoint->number() == im[k].endpoint) {
          e.received++;
          if (const uint64_t total = shares.consumed(e.share, 1)) e.to_grant = total;
        }
    if (!grants) return;
    for (End& e : ends) {
      uint64_t total;
      std::memcpy(&total, memory.data() + e.index * 8, 8);
      EXPECT_TRUE(e.poster->grant(total));
      if (e.to_grant != 0 && tell(e)) e.to_grant = 0;
    }
  }

  bool tell(End& e) {
    FabricRequest r;
    r.inlined = true;
    r.local = reinterpret_cast<std::byte*>(&e.to_grant);
    r.bytes = 8;
    r.remote_key = e.peer->registration.remote_key;
    r.remote_address = e.peer->registration.remote_address + e.peer_index * 8;
    if (!e.poster->add(r)) return false;
    e.poster->flush();
    return true;
  }

  SimFabric& device;
  std::vector<std::byte> memory;
  ReceiveShares shares;
  Registration registration;
  std::deque<End> ends;
};

void join(Host& a, Host& b) {
  Host::End& x = a.open();
  Host::End& y = b.open();
  ASSERT_EQ(x.endpoint->connect(y.endpoint->address()), Errc::kOk);
  ASSERT_EQ(y.endpoint->connect(x.endpoint->address()), Errc::kOk);
  x.poster = std::make_unique<Poster>(*x.endpoint, a.device.limits().send_depth, b.shares.window());
  y.poster = std::make_unique<Poster>(*y.endpoint, b.device.limits().send_depth, a.shares.window());
  x.peer = &b;
  x.peer_index = y.index;
  y.peer = &a;
  y.peer_index = x.index;
}

struct Two {
  explicit Two(uint64_t seed, const SimFabricConfig& config = {})
      : net(seed), a(net, config), b(net, config) {
    join(a, b);
  }
  void turn(uint64_t ns = 1000, size_t most = 64) {
    net.advance(net.now() + ns);
    a.poll(most);
    b.poll(most);
  }
  Poster& poster() { return *a.ends[0].poster; }

  SimFabricNet net;
  Host a;
  Host b;
};

TEST(Poster, RingsOnceForSixteenAndAsksOnceForSixtyFour) {
  Two w(1);
  uint64_t sent = 0;
  for (int turns = 0; turns < 10'000 && sent < 64'000; turns++) {
    while (sent < 64'000 && w.a.send(w.a.ends[0], FabricOp::kPutImmediate, 64))
      sent++;
    w.turn();
  }
  for (int i = 0; i < 10; i++)
    w.turn();
  EXPECT_EQ(w.b.ends[0].received, 64'000u);
  EXPECT_EQ(w.poster().done(), 64'000u);
  const FabricStats& s = w.a.device.stats();
  EXPECT_EQ(s.requests.read(), 64'000u);
  EXPECT_EQ(s.doorbells.read(), 4000u);
  EXPECT_EQ(s.completions.read(), 1000u);
  EXPECT_EQ(w.b.device.stats().receiver_not_ready.read(), 0u);
}

TEST(Poster, AShortTurnRingsOnceAndSettlingAsksForTheRest) {
  Two w(1);
  for (int i = 0; i < 5; i++)
    ASSERT_TRUE(w.a.send(w.a.ends[0], FabricOp::kPut, 64));
  EXPECT_EQ(w.a.device.stats().doorbells.read(), 0u);
  w.poster().flush();
  w.poster().flush();
  EXPECT_EQ(w.a.device.stats().doorbells.read(), 1u);
  for (int i = 0; i < 10; i++)
    w.turn();
  EXPECT_EQ(w.poster().done(), 0u);
  EXPECT_FALSE(w.poster().drained());
  ASSERT_TRUE(w.poster().settle());
  for (int i = 0; i < 10; i++)
    w.turn();
  EXPECT_EQ(w.poster().done(), 6u);  // an empty put behind the five
  EXPECT_TRUE(w.poster().drained());
  ASSERT_TRUE(w.poster().settle());
  EXPECT_EQ(w.a.device.stats().requests.read(), 6u);
  // What still waits is asked for by itself.
  ASSERT_TRUE(w.a.send(w.a.ends[0], FabricOp::kPut, 64));
  ASSERT_TRUE(w.poster().settle());
  EXPECT_EQ(w.a.device.stats().requests.read(), 7u);
}

TEST(Poster, AFullSendQueueTakesNoMoreUntilACompletionFreesSome) {
  Two w(1, {.send_depth = 32});
  uint64_t sent = 0;
  while (w.a.send(w.a.ends[0], FabricOp::kPut, 64))
    sent++;
  EXPECT_EQ(sent, 32u);
  EXPECT_EQ(w.poster().waited_for_room(), 1u);
  w.turn(10'000);
  EXPECT_EQ(w.poster().done(), 32u);
  EXPECT_TRUE(w.a.send(w.a.ends[0], FabricOp::kPut, 64));
}

TEST(Poster, WithoutCreditAnImmediateWaitsAndOtherPutsGo) {
  Two w(1, {.receive_depth = 8 * 4});
  for (int i = 0; i < 4; i++)
    ASSERT_TRUE(w.a.send(w.a.ends[0], FabricOp::kPutImmediate, 64));
  EXPECT_FALSE(w.a.send(w.a.ends[0], FabricOp::kPutImmediate, 64));
  EXPECT_EQ(w.poster().waited_for_credit(), 1u);
  EXPECT_TRUE(w.a.send(w.a.ends[0], FabricOp::kPut, 64));
  w.poster().flush();
  for (int i = 0; i < 10; i++)
    w.turn();
  EXPECT_TRUE(w.a.send(w.a.ends[0], FabricOp::kPutImmediate, 64));
}

TEST(Poster, AnErrorFreesAllThatWasUnderWayAndSaysHowFarItIsKnown) {
  Two w(1);
  for (int i = 0; i < 100; i++) {
    if (i == 70) {
      w.turn(5000);
      w.a.device.break_next(FabricCode::kTimeout, false);
    }
    ASSERT_TRUE(w.a.send(w.a.ends[0], FabricOp::kPut, 64));
  }
  w.poster().flush();
  for (int i = 0; i < 10; i++)
    w.turn();
  EXPECT_TRUE(w.poster().failed());
  EXPECT_EQ(w.poster().why(), FabricCode::kTimeout);
  EXPECT_EQ(w.poster().done(), 64u);  // the 65th was waiting still when the turn began
  EXPECT_TRUE(w.poster().drained());
  EXPECT_FALSE(w.a.send(w.a.ends[0], FabricOp::kPut, 64));
}

TEST(Poster, ForeignCompletionsChangeNothing) {
  Two w(1);
  ASSERT_TRUE(w.a.send(w.a.ends[0], FabricOp::kPut, 64));
  w.poster().flush();
  w.poster().completed({.id = 1, .code = FabricCode::kOk});
  w.poster().completed({.id = ~uint64_t{0}, .code = FabricCode::kTimeout});
  EXPECT_EQ(w.poster().done(), 0u);
  EXPECT_FALSE(w.poster().failed());
}

// Several senders to one receiver that polls when it likes: whatever the delays, none ever finds it
// without a receive, all arrive, and nobody waits for ever. Both ways at once.
struct Incast {
  uint64_t not_ready = 0;
  uint64_t sent = 0;
  uint64_t received = 0;
};

Incast incast(uint64_t seed, bool credits) {
  std::mt19937_64 dice(seed);
  const SimFabricConfig config{.send_depth = static_cast<uint32_t>(16 << dice() % 4),
                               .receive_depth = static_cast<uint32_t>(8 << dice() % 5),
                               .faults = {.jitter_ns = dice() % 5000,
                                          .late = static_cast<uint32_t>(dice() % 100'000),
                                          .swapped = static_cast<uint32_t>(dice() % 300'000),
                                          .not_ready_ns = ~uint64_t{0} >> 1}};
  SimFabricNet net(seed);
  Host hub(net, config);
  std::deque<Host> hosts;
  const size_t n = 2 + dice() % (Host::kEnds - 1);
  for (size_t i = 0; i < n; i++)
    join(hosts.emplace_back(net, config), hub);
  if (!credits)
    for (Host& h : hosts)
      h.ends[0].poster = std::make_unique<Poster>(*h.ends[0].endpoint, config.send_depth, 1u << 30);
  Incast out;
  uint64_t back = 0;
  for (int i = 0; i < 3000; i++) {
    net.advance(net.now() + dice() % 3000);
    const bool more = i < 1000;
    for (Host& h : hosts) {
      while (more && dice() % 8 != 0 && h.send(h.ends[0], FabricOp::kPutImmediate, 64))
        out.sent++;
      h.ends[0].poster->flush();
      h.poll(1 + dice() % 64, credits);
    }
    for (Host::End& e : hub.ends) {
      if (more && dice() % 4 == 0 && hub.send(e, FabricOp::kPutImmediate, 8)) back++;
      e.poster->flush();
    }
    if (!more || dice() % 16 == 0) hub.poll(1 + dice() % 64, credits);
  }
  for (const Host::End& e : hub.ends)
    out.received += e.received;
  out.not_ready = hub.device.stats().receiver_not_ready.read();
  uint64_t came_back = 0;
  for (const Host& h : hosts) {
    came_back += h.ends[0].received;
    out.not_ready += h.device.stats().receiver_not_ready.read();
    EXPECT_FALSE(h.ends[0].poster->failed());
  }
  if (credits) {
    EXPECT_EQ(came_back, back);
  }
  return out;
}

TEST(PosterProperty, WithCreditsNoImmediateEverFindsNoReceive) {
  uint64_t sent = 0;
  const uint64_t n = test::seeds(100);
  for (uint64_t seed = 0; seed < n; seed++) {
    const Incast o = incast(seed, true);
    EXPECT_EQ(o.not_ready, 0u) << "seed " << seed;
    EXPECT_EQ(o.received, o.sent) << "seed " << seed;
    if (::testing::Test::HasFailure()) return;
    sent += o.sent;
  }
  EXPECT_GT(sent, n * 100);
}

TEST(PosterProperty, WithoutThemManyWould) {
  uint64_t not_ready = 0;
  for (uint64_t seed = 0; seed < 10; seed++)
    not_ready += incast(seed, false).not_ready;
  EXPECT_GT(not_ready, 100u);
}

}  // namespace
}  // namespace penstock
