// What holds on every fabric when something goes wrong.
#include <algorithm>
#include <set>

#include "tests/rdma/fabric_pair.h"

namespace penstock::test {
namespace {

class FabricErrors : public FabricContract {};
INSTANTIATE_TEST_SUITE_P(Rigs, FabricErrors, ::testing::ValuesIn(fabric_rigs()),
                         [](const auto& i) { return i.param.name; });

TEST_P(FabricErrors, AKeyThatIsNotTheirsIsRefused) {
  FabricRequest r = put(0, 64, 0);
  r.remote_key ^= 0x10001;
  EXPECT_EQ(outcome(r), FabricCode::kRemoteAccess);
  EXPECT_TRUE(sides[1]->is_zero(0, 64));
  EXPECT_EQ(ends[0]->state(), Endpoint::State::kError);
}

TEST_P(FabricErrors, BytesOutsideTheRegionAreRefused) {
  sides[0]->fill(0, 64, 1);
  EXPECT_EQ(outcome(put(0, 64, kSideBytes - 63)), FabricCode::kRemoteAccess);
  ends = join();
  sides[0]->done.clear();
  EXPECT_EQ(outcome(put(0, 64, uint64_t{0} - 1)), FabricCode::kRemoteAccess);
  ends = join();
  sides[0]->done.clear();
  EXPECT_EQ(outcome(request(FabricOp::kGet, 4096, 64, kSideBytes - 63)), FabricCode::kRemoteAccess);
  EXPECT_TRUE(sides[1]->is_zero(0, kSideBytes));
  EXPECT_TRUE(sides[0]->is_zero(4096, 64));
}

// The device may well reach what lies beside it, in the same pages.
TEST_P(FabricErrors, WhatLiesBesideARegionIsNotOfIt) {
  std::byte* more = rig->memory(1, 8192);
  const auto part = rig->fabric(1).register_memory(more + 1000, 4000, kRemotePut | kRemoteGet);
  ASSERT_TRUE(part.ok());
  sides[0]->fill(0, 4001, 1);
  for (const int64_t from : {int64_t{-1}, int64_t{0}, int64_t{3999}, int64_t{4000}}) {
    FabricRequest r = put(0, from == 0 ? 4001 : from == 3999 ? 2 : 1, 0);
    r.remote_key = part->remote_key;
    r.remote_address = part->remote_address + static_cast<uint64_t>(from);
    EXPECT_EQ(outcome(r), FabricCode::kRemoteAccess) << from;
    ends = join();
    sides[0]->done.clear();
  }
  EXPECT_EQ(std::vector(more, more + 8192), std::vector<std::byte>(8192));
  rig->fabric(1).deregister(*part);
}

TEST_P(FabricErrors, ARightThatWasNotGivenIsRefused) {
  std::byte* more = rig->memory(1, 8192);
  const auto only_get = rig->fabric(1).register_memory(more, 4096, kRemoteGet);
  const auto only_put = rig->fabric(1).register_memory(more + 4096, 4096, kRemotePut);
  ASSERT_TRUE(only_get.ok() && only_put.ok());
  sides[0]->fill(0, 64, 1);
  FabricRequest r = put(0, 64, 0);
  r.remote_key = only_get->remote_key;
  r.remote_address = only_get->remote_address;
  EXPECT_EQ(outcome(r), FabricCode::kRemoteAccess);
  ends = join();
  r = request(FabricOp::kGet, 0, 64, 0);
  r.remote_key = only_put->remote_key;
  r.remote_address = only_put->remote_address;
  EXPECT_EQ(outcome(r), FabricCode::kRemoteAccess);
  EXPECT_EQ(std::vector(more, more + 8192), std::vector<std::byte>(8192));
  rig->fabric(1).deregister(*only_get);
  rig->fabric(1).deregister(*only_put);
}

TEST_P(FabricErrors, AStaleKeyIsRefusedAlsoWhenTheMemoryIsRegisteredAnew) {
  std::byte* more = rig->memory(1, 4096);
  auto first = rig->fabric(1).register_memory(more, 4096, kRemotePut);
  ASSERT_TRUE(first.ok());
  rig->fabric(1).deregister(*first);
  auto second = rig->fabric(1).register_memory(more, 4096, kRemotePut);
  ASSERT_TRUE(second.ok());
  EXPECT_NE(first->remote_key, second->remote_key);
  sides[0]->fill(0, 64, 1);
  FabricRequest r = put(0, 64, 0);
  r.remote_key = first->remote_key;
  r.remote_address = first->remote_address;
  EXPECT_EQ(outcome(r), FabricCode::kRemoteAccess);
  EXPECT_EQ(std::vector(more, more + 4096), std::vector<std::byte>(4096));
  rig->fabric(1).deregister(*second);
}

TEST_P(FabricErrors, AWrongLocalKeyIsThisSidesOwnError) {
  FabricRequest r = put(0, 64, 0);
  r.local_key ^= 0x10001;
  EXPECT_EQ(outcome(r), FabricCode::kLocalAccess);
  EXPECT_TRUE(sides[1]->is_zero(0, 64));
}

TEST_P(FabricErrors, AllBehindAnErrorComeBackSignalledOrNot) {
  std::vector<FabricRequest> burst;
  for (uint32_t i = 0; i < 12; i++) {
    burst.push_back(put(0, 8, 0));
    burst.back().signalled = false;
  }
  burst[5].local_key ^= 0x10001;
  ASSERT_EQ(ends[0]->post(burst), burst.size());
  ASSERT_TRUE(wait_done(7)) << sides[0]->done.size();
  // In error, and told so: taken and canceled.
  const FabricRequest late = put(0, 8, 0);
  ASSERT_EQ(post(late), 1u);
  ASSERT_TRUE(wait([&] { return sides[0]->done.back().id == late.id; }));
  // What swaps puts on the way may break before the fifth has arrived; nothing is lost of the rest.
  const auto& done = sides[0]->done;
  ASSERT_GE(done.size(), 8u);
  EXPECT_EQ(done[0].code, FabricCode::kLocalAccess) << text(done[0].code);
  EXPECT_LE(done[0].id, burst[5].id);
  for (size_t i = 1; i < done.size(); i++) {
    EXPECT_EQ(done[i].code, FabricCode::kCanceled);
    if (i + 1 < done.size()) {
      EXPECT_EQ(done[i].id, done[i - 1].id + 1);
    }
  }
  EXPECT_EQ(done[done.size() - 2].id, burst.back().id);
  EXPECT_EQ(rig->fabric(0).stats().errors.read(), 1u);
}

TEST_P(FabricErrors, AnErrorOfOneEndpointDoesNotTouchAnother) {
  Endpoints other = join();
  FabricRequest bad = put(0, 64, 0);
  bad.remote_key ^= 0x10001;
  ASSERT_EQ(outcome(bad), FabricCode::kRemoteAccess);
  sides[0]->fill(0, 1000, 3);
  const FabricRequest good = put_imm(0, 1000, 0, 1);
  ASSERT_EQ(other[0]->post({&good, 1}), 1u);
  ASSERT_TRUE(wait([&] { return !sides[1]->landed.empty(); }));
  EXPECT_TRUE(sides[1]->holds(0, 1000, 3));
}

TEST_P(FabricErrors, AfterStopNothingLandsAndThePeerIsToldInTime) {
  sides[0]->fill(0, 64, 1);
  ends[1]->stop();
  EXPECT_EQ(ends[1]->state(), Endpoint::State::kError);
  EXPECT_EQ(outcome(put_imm(0, 64, 0, 1)), FabricCode::kTimeout);
  EXPECT_TRUE(sides[1]->is_zero(0, 64));
  EXPECT_TRUE(sides[1]->landed.empty());
}

TEST_P(FabricErrors, StopBringsBackWhatIsUnderWay) {
  std::vector<FabricRequest> burst;
  for (uint32_t i = 0; i < 10; i++) {
    burst.push_back(put(0, 1 << 20, 0));
    burst.back().signalled = i == 9;
  }
  ASSERT_EQ(ends[0]->post(burst), 10u);
  ends[0]->stop();
  ASSERT_TRUE(
      wait([&] { return !sides[0]->done.empty() && sides[0]->done.back().id == burst.back().id; }));
  for (const FabricCompletion& c : sides[0]->done)
    EXPECT_EQ(c.code, FabricCode::kCanceled);
}

TEST_P(FabricErrors, AReceiverThatDoesNotPollRunsOutOfReceivesAndItIsCounted) {
  polls[1] = false;
  const uint32_t depth = rig->fabric(1).limits().receive_depth;
  // As many as were promised always go.
  for (uint32_t i = 0; i < depth; i++) {
    const FabricRequest r = put_imm(0, 0, 0, i);
    ASSERT_TRUE(wait([&] { return post(r) == 1; }));
  }
  ASSERT_TRUE(wait_done(depth));
  EXPECT_EQ(rig->fabric(1).stats().receiver_not_ready.read(), 0u);
  for (uint32_t i = 0; i < depth + 64; i++) {
    const FabricRequest r = put_imm(0, 0, 0, i);
    ASSERT_TRUE(wait([&] { return post(r) == 1; }));
  }
  ASSERT_TRUE(wait_done(2 * depth + 64));
  const auto bad = std::ranges::find_if(
      sides[0]->done, [](const FabricCompletion& c) { return c.code != FabricCode::kOk; });
  ASSERT_NE(bad, sides[0]->done.end());
  EXPECT_EQ(bad->code, FabricCode::kReceiverNotReady) << text(bad->code);
  EXPECT_NE(rig->fabric(0).stats().receiver_not_ready.read() +
                rig->fabric(1).stats().receiver_not_ready.read(),
            0u);
}

TEST_P(FabricErrors, APortThatIsLostIsAnEventAndATimeoutAndComesBack) {
  if (!rig->set_port(1, false)) return;
  std::array<FabricEvent, 4> e;
  ASSERT_TRUE(wait([&] { return rig->fabric(1).events(e) != 0; }));
  EXPECT_EQ(e[0].kind, FabricEventKind::kPortDown);
  EXPECT_FALSE(rig->fabric(1).port_up());
  EXPECT_EQ(outcome(put_imm(0, 64, 0, 1)), FabricCode::kTimeout);
  EXPECT_TRUE(sides[1]->landed.empty());
  ASSERT_TRUE(rig->set_port(1, true));
  ASSERT_TRUE(wait([&] { return rig->fabric(1).events(e) != 0; }));
  EXPECT_EQ(e[0].kind, FabricEventKind::kPortUp);
  ends = join();
  sides[0]->done.clear();
  EXPECT_EQ(outcome(put_imm(0, 64, 0, 2)), FabricCode::kOk);
}

// The way out of any error: the receiver stops its side and says what has landed, the sender sends
// the rest by a new pair. Whatever became of the bytes that broke, each counts once.
TEST_P(FabricErrors, WhatDidNotLandIsSentAgainByAFreshPairAndEachCountsOnce) {
  constexpr uint32_t kChunks = 24;
  for (const bool arrives : {false, true}) {
    begin(arrives ? 2 : 3);
    sides[0]->fill(0, kChunks * 1000, 9);
    std::set<uint32_t> landed;
    unsigned broke = 0;
    for (unsigned round = 0; landed.size() < kChunks; round++) {
      ASSERT_LT(round, 30u);
      std::vector<FabricRequest> burst;
      for (uint32_t i = 0; i < kChunks && burst.size() < 16; i++)
        if (!landed.contains(i)) burst.push_back(put_imm(i * 1000, 1000, i * 1000, i));
      const bool broken = round % 2 == 0;
      const bool by_rig = broken && rig->break_next(0, FabricCode::kTimeout, arrives);
      ASSERT_EQ(ends[0]->post(burst), burst.size());
      if (broken && !by_rig) ends[0]->stop();
      const FabricRequest last = put(0, 0, 0);
      ASSERT_EQ(post(last), 1u);
      ASSERT_TRUE(
          wait([&] { return !sides[0]->done.empty() && sides[0]->done.back().id == last.id; }));
      if (sides[0]->done.back().code != FabricCode::kOk) broke++;
      ends[1]->stop();
      sides[1]->poll();
      for (const FabricImmediate& l : sides[1]->landed)
        EXPECT_TRUE(landed.insert(l.immediate).second) << l.immediate;
      sides[1]->landed.clear();
      ends = join();
    }
    EXPECT_GT(broke, 0u);
    EXPECT_TRUE(sides[1]->holds(0, kChunks * 1000, 9));
  }
}

}  // namespace
}  // namespace penstock::test
