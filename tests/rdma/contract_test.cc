// What holds on every fabric when nothing goes wrong. The rigs say which fabric it is.
#include "tests/rdma/fabric_pair.h"

namespace penstock::test {
namespace {

INSTANTIATE_TEST_SUITE_P(Rigs, FabricContract, ::testing::ValuesIn(fabric_rigs()),
                         [](const auto& i) { return i.param.name; });

TEST_P(FabricContract, SaysWhatItCanDo) {
  const FabricLimits& l = rig->fabric(0).limits();
  EXPECT_GE(l.send_depth, 16u);
  EXPECT_GE(l.receive_depth, 16u);
  EXPECT_GE(l.max_message, 1u << 20);
  EXPECT_GE(l.max_registration, kSideBytes);
  EXPECT_GE(l.max_endpoints, 2u);
  EXPECT_STRNE(rig->fabric(0).name(), "");
  EXPECT_TRUE(rig->fabric(0).port_up());
}

TEST_P(FabricContract, PutBringsTheBytesToTheirPlaceAndNowhereElse) {
  uint64_t at = 4096;
  for (const uint32_t bytes : {1u, 63u, 64u, 1000u, 4096u, 65537u, 1u << 20}) {
    sides[0]->fill(0, bytes, bytes);
    ASSERT_EQ(post(put(0, bytes, at)), 1u);
    const FabricRequest flush = request(FabricOp::kFlush, 0, 0, at);
    ASSERT_EQ(post(flush), 1u);
    ASSERT_TRUE(
        wait([&] { return !sides[0]->done.empty() && sides[0]->done.back().id == flush.id; }));
    for (const FabricCompletion& c : sides[0]->done)
      ASSERT_EQ(c.code, FabricCode::kOk) << text(c.code);
    EXPECT_TRUE(sides[1]->is_zero(at - 64, 64)) << bytes;
    EXPECT_TRUE(sides[1]->holds(at, bytes, bytes)) << bytes;
    EXPECT_TRUE(sides[1]->is_zero(at + bytes, 64)) << bytes;
    at += bytes + 1000;
  }
  EXPECT_TRUE(sides[1]->landed.empty());
}

TEST_P(FabricContract, AnImmediateComesAfterItsBytes) {
  sides[0]->fill(100, 300'000, 7);
  ASSERT_EQ(post(put_imm(100, 300'000, 5000, imm_of(3, 9))), 1u);
  ASSERT_TRUE(wait([&] { return !sides[1]->landed.empty(); }));
  EXPECT_TRUE(sides[1]->holds(5000, 300'000, 7));
  EXPECT_EQ(sides[1]->landed[0].endpoint, ends[1]->number());
  EXPECT_EQ(sides[1]->landed[0].bytes, 300'000u);
  EXPECT_EQ(imm_slot(sides[1]->landed[0].immediate), 3u);
  EXPECT_EQ(imm_chunk(sides[1]->landed[0].immediate), 9u);
  ASSERT_TRUE(wait_done(1));
  EXPECT_EQ(sides[1]->landed.size(), 1u);
}

TEST_P(FabricContract, AnImmediateNeedsNoBytes) {
  FabricRequest r = put_imm(0, 0, 0, 0xffff'fffe);
  r.local = nullptr;
  ASSERT_EQ(post(r), 1u);
  ASSERT_TRUE(wait([&] { return !sides[1]->landed.empty(); }));
  EXPECT_EQ(sides[1]->landed[0].immediate, 0xffff'fffe);
  EXPECT_EQ(sides[1]->landed[0].bytes, 0u);
}

TEST_P(FabricContract, GetBringsThePeersBytes) {
  sides[1]->fill(3000, 200'000, 5);
  ASSERT_EQ(post(request(FabricOp::kGet, 64, 200'000, 3000)), 1u);
  ASSERT_TRUE(wait_done(1));
  EXPECT_EQ(sides[0]->done[0].code, FabricCode::kOk);
  EXPECT_TRUE(sides[0]->is_zero(0, 64));
  EXPECT_TRUE(sides[0]->holds(64, 200'000, 5));
  EXPECT_TRUE(sides[0]->is_zero(64 + 200'000, 64));
}

TEST_P(FabricContract, AnInlinedSourceIsFreeAtOnce) {
  const uint32_t most = rig->fabric(0).limits().max_inline;
  if (most == 0) return;
  sides[0]->fill(0, most, 1);
  FabricRequest r = put_imm(0, most, 0, 0);
  r.inlined = true;
  r.local_key = 0;
  ASSERT_EQ(post(r), 1u);
  sides[0]->fill(0, most, 2);
  ASSERT_TRUE(wait([&] { return !sides[1]->landed.empty(); }));
  EXPECT_TRUE(sides[1]->holds(0, most, 1));
}

TEST_P(FabricContract, OnlySignalledRequestsCompleteAndInOrder) {
  std::vector<FabricRequest> burst;
  std::vector<uint64_t> signalled;
  for (uint32_t i = 0; i < 16; i++) {
    burst.push_back(put(i * 64, 64, i * 64));
    burst.back().signalled = i % 5 == 4 || i == 15;
    if (burst.back().signalled) signalled.push_back(burst.back().id);
  }
  ASSERT_EQ(ends[0]->post(burst), burst.size());
  ASSERT_TRUE(wait_done(signalled.size()));
  ASSERT_EQ(post(put(0, 1, 0)), 1u);  // whatever else there was came before this one's
  ASSERT_TRUE(wait_done(signalled.size() + 1));
  ASSERT_EQ(sides[0]->done.size(), signalled.size() + 1);
  for (size_t i = 0; i < signalled.size(); i++) {
    EXPECT_EQ(sides[0]->done[i].id, signalled[i]);
    EXPECT_EQ(sides[0]->done[i].endpoint, ends[0]->number());
  }
  EXPECT_TRUE(sides[1]->landed.empty());
}

TEST_P(FabricContract, TheSendQueueHoldsWhatItSaidAndAgainOnceItWasPolled) {
  const uint32_t depth = rig->fabric(0).limits().send_depth;
  std::vector<FabricRequest> burst;
  for (uint32_t i = 0; i < depth; i++) {
    burst.push_back(put(0, 8, 0));
    burst.back().signalled = i == depth / 2 || i == depth - 1;
  }
  for (size_t round = 1; round <= 5; round++) {
    ASSERT_EQ(ends[0]->post(burst), depth);
    ASSERT_TRUE(wait_done(2 * round));
  }
}

TEST_P(FabricContract, NothingIsTakenBeforeItIsConnected) {
  auto made = rig->fabric(0).create_endpoint();
  ASSERT_TRUE(made.ok());
  const FabricRequest r = put(0, 8, 0);
  EXPECT_EQ((*made)->state(), Endpoint::State::kNew);
  EXPECT_EQ((*made)->post({&r, 1}), 0u);
}

TEST_P(FabricContract, ConnectRefusesWhatIsNoAddress) {
  auto made = rig->fabric(0).create_endpoint();
  ASSERT_TRUE(made.ok());
  EndpointAddress garbage{};
  EXPECT_EQ((*made)->connect(garbage), Errc::kInvalid);
  garbage.fill(std::byte{0xff});
  EXPECT_EQ((*made)->connect(garbage), Errc::kInvalid);
  EXPECT_EQ((*made)->state(), Endpoint::State::kNew);
  EXPECT_EQ(ends[0]->connect(ends[1]->address()), Errc::kBusy);
}

TEST_P(FabricContract, EndpointsAreManyAndTheirNumbersDiffer) {
  std::vector<Endpoints> more;
  for (int i = 0; i < 5; i++)
    more.push_back(join());
  for (uint32_t i = 0; i < more.size(); i++) {
    EXPECT_NE(more[i][0]->number(), ends[0]->number());
    const FabricRequest r = put_imm(i * 100, 100, i * 100, i);
    sides[0]->fill(i * 100, 100, i);
    ASSERT_EQ(more[i][0]->post({&r, 1}), 1u);
  }
  ASSERT_TRUE(wait([&] { return sides[1]->landed.size() == more.size(); }));
  for (const FabricImmediate& l : sides[1]->landed) {
    ASSERT_LT(l.immediate, more.size());
    EXPECT_EQ(l.endpoint, more[l.immediate][1]->number());
    EXPECT_TRUE(sides[1]->holds(l.immediate * 100, 100, l.immediate));
  }
}

TEST_P(FabricContract, RoomInPollIsRespected) {
  for (uint32_t i = 0; i < 10; i++)
    ASSERT_EQ(post(put_imm(0, 8, 0, i)), 1u);
  polls[1] = false;
  ASSERT_TRUE(wait_done(10));
  std::array<FabricCompletion, 4> c;
  std::array<FabricImmediate, 3> i;
  uint32_t next = 0;
  std::vector<uint32_t> seen;
  rig->rest();
  while (next < 10 && rig->turn()) {
    const Fabric::Polled n = rig->fabric(1).poll(c, i);
    ASSERT_LE(n.immediates, i.size());
    for (size_t k = 0; k < n.immediates; k++, next++)
      seen.push_back(i[k].immediate);
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, (std::vector<uint32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST_P(FabricContract, CountsDoorbellsRequestsAndWhatWasPolled) {
  std::vector<FabricRequest> burst;
  for (uint32_t i = 0; i < 8; i++) {
    burst.push_back(put_imm(0, 8, 0, i));
    burst.back().signalled = i == 7;
  }
  ASSERT_EQ(ends[0]->post(burst), 8u);
  ASSERT_EQ(ends[0]->post({}), 0u);
  ASSERT_EQ(ends[0]->post(burst), 8u);
  ASSERT_TRUE(wait([&] { return sides[0]->done.size() == 2 && sides[1]->landed.size() == 16; }));
  const FabricStats& s = rig->fabric(0).stats();
  EXPECT_EQ(s.doorbells.read(), 2u);
  EXPECT_EQ(s.requests.read(), 16u);
  EXPECT_EQ(s.completions.read(), 2u);
  EXPECT_EQ(s.errors.read(), 0u);
  EXPECT_EQ(rig->fabric(1).stats().immediates.read(), 16u);
  EXPECT_EQ(rig->fabric(1).stats().receiver_not_ready.read(), 0u);
}

TEST_P(FabricContract, AFileThatIsNoMemoryOfADeviceIsRefused) {
  Fabric& f = rig->fabric(0);
  EXPECT_EQ(f.register_dma_buf(-1, 0, sides[0]->at(0), 4096, 0).error(), Errc::kInvalid);
  EXPECT_EQ(f.register_dma_buf(0, 0, nullptr, 4096, 0).error(), Errc::kInvalid);
  EXPECT_EQ(f.register_dma_buf(0, 0, sides[0]->at(0), 0, 0).error(), Errc::kInvalid);
}

TEST_P(FabricContract, RegisteringSaysWhyNot) {
  Fabric& f = rig->fabric(0);
  EXPECT_EQ(f.register_memory(nullptr, 4096, 0).error(), Errc::kInvalid);
  EXPECT_EQ(f.register_memory(sides[0]->at(0), 0, 0).error(), Errc::kInvalid);
  const uint64_t most = f.limits().max_registration;
  if (most != ~uint64_t{0}) {
    EXPECT_EQ(f.register_memory(sides[0]->at(0), most + 1, 0).error(), Errc::kTooBig);
  }
}

}  // namespace
}  // namespace penstock::test
