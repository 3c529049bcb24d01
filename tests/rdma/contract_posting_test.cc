// The posting discipline on every fabric: transfers in chunks, each counted by its immediate, under
// credits that come back by put.
#include "rdma/imm_counter.h"
#include "rdma/poster.h"
#include "tests/rdma/fabric_pair.h"

namespace penstock::test {
namespace {

class FabricPosting : public FabricContract {};
INSTANTIATE_TEST_SUITE_P(Rigs, FabricPosting, ::testing::ValuesIn(fabric_rigs()),
                         [](const auto& i) { return i.param.name; });

constexpr uint32_t kSlots = 4;
constexpr uint32_t kChunks = 100;
constexpr uint32_t kChunk = 2048;
constexpr uint64_t kWord = kSideBytes - 64;  // in the sender's memory: what the receiver grants

TEST_P(FabricPosting, TransfersArriveWholeAndNoImmediateFindsNoReceive) {
  const auto transfers = static_cast<uint32_t>(GetParam().seeds * 10);
  const FabricLimits& l = rig->fabric(1).limits();
  ReceiveShares shares(l.receive_depth, 2);
  const uint32_t share = *shares.open();
  Poster out(*ends[0], rig->fabric(0).limits().send_depth, shares.window());
  Poster grants(*ends[1], l.send_depth, 0);
  ImmCounter counter(kSlots, kChunks);
  for (uint32_t s = 0; s < kSlots; s++)
    ASSERT_EQ(counter.expect(s, kChunks), Errc::kOk);
  uint64_t sent = 0;
  uint32_t done = 0;
  uint64_t owed = 0;
  // A transfer's pattern and place follow from its number; its slot is free when it is done.
  const auto send = [&] {
    while (sent < uint64_t{transfers} * kChunks && sent / kChunks < done + kSlots) {
      const auto number = static_cast<uint32_t>(sent / kChunks);
      const auto chunk = static_cast<uint32_t>(sent % kChunks);
      const uint64_t at = (uint64_t{number % kSlots} * kChunks + chunk) * kChunk;
      if (chunk == 0 && number >= kSlots && out.done() < out.added()) {  // sources are in use
        (void)out.settle();
        return;
      }
      if (chunk == 0) sides[0]->fill(at, kChunks * kChunk, number);
      FabricRequest r = put_imm(at, kChunk, at, imm_of(number % kSlots, chunk));
      r.signalled = false;
      if (!out.add(r)) return;
      sent++;
    }
  };
  const auto receive = [&] {
    for (const FabricImmediate& i : sides[1]->landed) {
      const uint32_t slot = imm_slot(i.immediate);
      const ImmCounter::Outcome o = counter.count(i.immediate);
      ASSERT_TRUE(o == ImmCounter::Outcome::kCounted || o == ImmCounter::Outcome::kDone);
      if (o != ImmCounter::Outcome::kDone) continue;
      // The transfers of a slot follow each other; those of several may be done in any order.
      const uint64_t at = uint64_t{slot} * kChunks * kChunk;
      uint32_t number = slot;
      while (number < transfers && !sides[1]->holds(at, kChunks * kChunk, number))
        number += kSlots;
      EXPECT_LT(number, transfers) << "no transfer's bytes";
      ASSERT_EQ(counter.expect(slot, kChunks), Errc::kOk);
      done++;
      rig->rest();
    }
    if (const uint64_t total = shares.consumed(share, sides[1]->landed.size())) owed = total;
    sides[1]->landed.clear();
    if (owed == 0) return;
    FabricRequest r;
    r.inlined = true;
    r.local = reinterpret_cast<std::byte*>(&owed);
    r.bytes = sizeof owed;
    r.remote_address = sides[0]->registration.remote_address + kWord;
    r.remote_key = sides[0]->registration.remote_key;
    if (!grants.add(r)) return;
    grants.flush();
    owed = 0;
  };
  ASSERT_GE(l.max_inline, sizeof owed);
  const bool all = wait([&] {
    for (const FabricCompletion& c : sides[0]->done)
      out.completed(c);
    for (const FabricCompletion& c : sides[1]->done)
      grants.completed(c);
    sides[0]->done.clear();
    sides[1]->done.clear();
    uint64_t total;
    std::memcpy(&total, sides[0]->at(kWord), sizeof total);
    EXPECT_TRUE(out.grant(total));
    receive();
    send();
    out.flush();
    if (sent == uint64_t{transfers} * kChunks) (void)out.settle();
    return HasFailure() || out.failed() || (done == transfers && out.done() == out.added());
  });
  ASSERT_TRUE(all) << done << " of " << transfers << " transfers, " << sent << " chunks sent";
  EXPECT_FALSE(out.failed()) << text(out.why());
  EXPECT_EQ(done, transfers);
  for (unsigned s = 0; s < 2; s++)
    EXPECT_EQ(rig->fabric(s).stats().receiver_not_ready.read(), 0u);
  EXPECT_LE(rig->fabric(0).stats().doorbells.read() * 4, sent);
}

}  // namespace
}  // namespace penstock::test
