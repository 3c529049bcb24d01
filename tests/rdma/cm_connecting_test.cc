// What is particular to endpoints that rdma_cm connects: who is let in, and what becomes of what
// was posted when nobody comes.
#include <chrono>

#include "tests/rdma/fabric_pair.h"

namespace penstock::test {
namespace {

class CmConnecting : public FabricContract {
 protected:
  std::unique_ptr<Endpoint> endpoint(unsigned side) {
    auto made = rig->fabric(side).create_endpoint();
    EXPECT_TRUE(made.ok()) << text(made.error());
    return made.ok() ? std::move(*made) : nullptr;
  }
  bool lands_by(Endpoint& e, uint32_t immediate) {
    const FabricRequest r = put_imm(0, 64, 0, immediate);
    EXPECT_EQ(e.post({&r, 1}), 1u);
    return wait([&] { return !sides[1]->landed.empty() || failed(r.id); }) && !failed(r.id);
  }
  bool failed(uint64_t id) const {
    for (const FabricCompletion& c : sides[0]->done)
      if (c.id == id && c.code != FabricCode::kOk) return true;
    return false;
  }
};
INSTANTIATE_TEST_SUITE_P(Rigs, CmConnecting, ::testing::ValuesIn(fabric_rigs()),
                         [](const auto& i) { return i.param.name; });

TEST_P(CmConnecting, WithAPeerThatDoesNotConnectWhatWasPostedComesBack) {
  const auto alone = endpoint(0);
  const auto silent = endpoint(1);
  ASSERT_EQ(alone->connect(silent->address()), Errc::kOk);
  std::vector<FabricRequest> burst = {put_imm(0, 8, 0, 1), put(0, 8, 0), put(0, 8, 0)};
  burst[1].signalled = false;
  ASSERT_EQ(alone->post(burst), 3u);
  ASSERT_TRUE(wait_done(3));
  EXPECT_EQ(sides[0]->done[0].code, FabricCode::kTimeout);
  EXPECT_EQ(sides[0]->done[1].code, FabricCode::kCanceled);
  EXPECT_EQ(sides[0]->done[2].code, FabricCode::kCanceled);
  for (size_t i = 0; i < 3; i++) {
    EXPECT_EQ(sides[0]->done[i].id, burst[i].id);
    EXPECT_EQ(sides[0]->done[i].endpoint, alone->number());
  }
  EXPECT_EQ(alone->state(), Endpoint::State::kError);
  EXPECT_EQ(silent->state(), Endpoint::State::kNew);
  EXPECT_EQ(rig->fabric(0).stats().errors.read(), 1u);
  EXPECT_TRUE(sides[1]->landed.empty());
}

TEST_P(CmConnecting, AnEndpointThatIsGoneIsATimeout) {
  const auto alone = endpoint(0);
  EndpointAddress gone;
  {
    const auto peer = endpoint(1);
    gone = peer->address();
  }
  ASSERT_EQ(alone->connect(gone), Errc::kOk);
  const FabricRequest r = put(0, 8, 0);
  ASSERT_EQ(alone->post({&r, 1}), 1u);
  ASSERT_TRUE(wait_done(1));
  EXPECT_EQ(sides[0]->done[0].code, FabricCode::kTimeout);
}

// Each of the two has to name the other, whoever asks.
TEST_P(CmConnecting, WhoWasNotNamedIsNotLetIn) {
  for (int i = 0; i < 4; i++) {  // tokens are random, and decide who asks
    const auto a = endpoint(0);
    const auto stranger = endpoint(0);
    const auto b = endpoint(1);
    ASSERT_EQ(stranger->connect(b->address()), Errc::kOk);
    (void)wait([&, n = 0]() mutable { return ++n > 20; });  // it may have asked by now
    ASSERT_EQ(b->connect(a->address()), Errc::kOk);
    ASSERT_EQ(a->connect(b->address()), Errc::kOk);
    EXPECT_TRUE(lands_by(*a, 7));
    EXPECT_NE(stranger->state(), Endpoint::State::kReady);
    sides[1]->landed.clear();
  }
}

// The kernel keeps who refuses what was accepted for more than a minute.
TEST_P(CmConnecting, StopAndEndAreDoneSoonHoweverFarItHasCome) {
  const auto start = std::chrono::steady_clock::now();
  for (int turns = 0; turns < 40; turns++) {
    const auto a = endpoint(0);
    const auto b = endpoint(1);
    ASSERT_EQ(a->connect(b->address()), Errc::kOk);
    ASSERT_EQ(b->connect(a->address()), Errc::kOk);
    (void)wait([&, n = 0]() mutable { return n++ >= turns; });
    a->stop();
    b->stop();
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(45));
}

TEST_P(CmConnecting, WhatWasPostedBeforeGoesInOrderAndOnce) {
  const auto a = endpoint(0);
  const auto b = endpoint(1);
  ASSERT_EQ(a->connect(b->address()), Errc::kOk);
  ASSERT_EQ(b->connect(a->address()), Errc::kOk);
  const uint32_t depth = rig->fabric(0).limits().send_depth;
  std::vector<FabricRequest> burst;
  for (uint32_t i = 0; i < depth + 3; i++) {
    uint32_t number = i;
    burst.push_back(put_imm(0, sizeof number, i * 4, i));
    burst.back().inlined = true;
    burst.back().local = reinterpret_cast<std::byte*>(&number);
    EXPECT_EQ(a->post({&burst.back(), 1}), i < depth ? 1u : 0u) << i;
  }
  ASSERT_TRUE(wait([&] { return sides[1]->landed.size() >= depth; }));
  ASSERT_TRUE(wait_done(depth));
  for (uint32_t i = 0; i < depth; i++) {
    uint32_t there = 0;
    std::memcpy(&there, sides[1]->at(i * 4), sizeof there);
    EXPECT_EQ(there, i);
    EXPECT_EQ(sides[0]->done[i].id, burst[i].id);
    EXPECT_EQ(sides[1]->landed[i].immediate, i);
  }
}

}  // namespace
}  // namespace penstock::test
