// A connection and a peer who keeps to no rule: what cannot be ends it, and nothing else of the
// peer is believed.
#include "rdma/connection.h"

#include <gtest/gtest.h>
#include <memory>
#include <vector>

#include "drivers/sim/sim_fabric.h"

namespace penstock {
namespace {

constexpr uint32_t kWindow = 16;
constexpr uint64_t kArena = 1 << 22;

struct Seen final : Connection::Sink {
  void arrived(const Connection::Put& put) override { done.push_back(put.message.position); }
  bool begun(const PutRecord& transfer) override {
    known.push_back(transfer.message.position);
    return sane;
  }
  void landed(const PutRecord& transfer, uint64_t offset, uint64_t bytes) override {
    pieces.emplace_back(transfer.message.position, offset);
    landed_bytes += bytes;
  }
  bool noted(const PassNote& note) override {
    notes.push_back(note);
    return sane;
  }

  bool sane = true;
  std::vector<uint64_t> done, known;
  std::vector<PassNote> notes;
  std::vector<std::pair<uint64_t, uint64_t>> pieces;
  uint64_t landed_bytes = 0;
};

// Side 0 has the connection; side 1 is the test's, and posts what it likes.
class OneSide : public ::testing::Test {
 protected:
  OneSide() : arena_(kArena), mine_(kArena) {
    net_.advance(1000);
    landing_->granted.store(kWindow);
    landing_memory_ = *ours_.register_memory(reinterpret_cast<std::byte*>(landing_.get()),
                                             sizeof(Landing), kRemotePut);
    arena_memory_ = *ours_.register_memory(arena_.data(), kArena, kRemotePut);
    peer_memory_ = *theirs_.register_memory(reinterpret_cast<std::byte*>(peer_landing_.get()),
                                            sizeof(Landing), kRemotePut);
    source_ = *theirs_.register_memory(mine_.data(), kArena, kReadOnly);
    ends_[0] = std::move(*ours_.create_endpoint());
    ends_[1] = std::move(*theirs_.create_endpoint());
    (void)ends_[0]->connect(ends_[1]->address());
    (void)ends_[1]->connect(ends_[0]->address());
    connection_ = std::make_unique<Connection>(
        *ends_[0], *landing_,
        Connection::Config{.send_depth = ours_.limits().send_depth,
                           .max_message = ours_.limits().max_message,
                           .window = kWindow,
                           .peer_window = kWindow,
                           .peer_landing = remote_region(peer_memory_)});
  }
  ~OneSide() override { connection_.reset(); }

  void settle() {
    for (int i = 0; i < 20; i++) {
      net_.advance(net_.now() + 1000);
      std::array<FabricCompletion, 32> c;
      std::array<FabricImmediate, 32> in;
      const Fabric::Polled n = ours_.poll(c, in);
      for (size_t k = 0; k < n.completions; k++)
        connection_->on_completion(c[k]);
      for (size_t k = 0; k < n.immediates; k++)
        connection_->on_immediate(in[k], seen_);
      (void)connection_->poll(seen_);
      (void)theirs_.poll(c, in);
    }
  }
  void put(const Registration& to, uint64_t at, const void* bytes, uint32_t len, uint32_t imm) {
    FabricRequest r;
    r.op = FabricOp::kPutImmediate;
    r.inlined = true;
    r.local = static_cast<std::byte*>(const_cast<void*>(bytes));
    r.bytes = len;
    r.immediate = imm;
    r.remote_address = to.remote_address + at;
    r.remote_key = to.remote_key;
    ASSERT_EQ(ends_[1]->post({&r, 1}), 1u);
  }
  void chunk(uint32_t slot, uint32_t number) {
    put(arena_memory_, 0, "x", 1, imm_of(slot, number));
  }
  void record(uint32_t slot, const PutRecord& r) {
    std::array<std::byte, kPutRecordSize> bytes;
    write_put_record(r, bytes);
    put(landing_memory_, offsetof(Landing, records) + slot * 128, bytes.data(), kPutRecordSize,
        imm_of(slot, 0));
  }
  static PutRecord message(uint64_t number, uint64_t len) {
    return {number, len, {.position = 7, .message_len = len}};
  }
  void status(uint64_t granted, uint64_t done) {
    const std::array<uint64_t, 2> words{granted, done};
    FabricRequest r;
    r.inlined = true;
    r.local = reinterpret_cast<std::byte*>(const_cast<uint64_t*>(words.data()));
    r.bytes = sizeof words;
    r.remote_address = landing_memory_.remote_address;
    r.remote_key = landing_memory_.remote_key;
    ASSERT_EQ(ends_[1]->post({&r, 1}), 1u);
  }

  SimFabricNet net_{1};
  SimFabric& ours_{net_.add()};
  SimFabric& theirs_{net_.add()};
  std::unique_ptr<Landing> landing_ = std::make_unique<Landing>();
  std::unique_ptr<Landing> peer_landing_ = std::make_unique<Landing>();
  std::vector<std::byte> arena_, mine_;
  Registration landing_memory_, arena_memory_, peer_memory_, source_;
  std::array<std::unique_ptr<Endpoint>, 2> ends_;
  Seen seen_;
  std::unique_ptr<Connection> connection_;
};

TEST_F(OneSide, TakesChunksBeforeTheirRecordAndTellsEachOnce) {
  chunk(1, 2);
  chunk(1, 1);
  settle();
  EXPECT_TRUE(seen_.pieces.empty());
  record(1, message(1, (1 << 20) + 5));
  settle();
  EXPECT_FALSE(connection_->failed());
  EXPECT_EQ(seen_.pieces, (std::vector<std::pair<uint64_t, uint64_t>>{{7, 0}, {7, 1 << 20}}));
  EXPECT_EQ(seen_.landed_bytes, (1u << 20) + 5);
  EXPECT_EQ(connection_->taken(), 1u);
  EXPECT_EQ(peer_landing_->done.load(), 1u);
}

// One that is whole and waits for one before it is told of as all landed.
TEST_F(OneSide, SaysWhatHasLandedOfWhatIsNotDone) {
  record(1, message(1, 3 << 20));
  chunk(1, 2);
  record(2, message(2, 64));
  chunk(2, 1);
  chunk(3, 1);  // nobody knows of what
  settle();
  EXPECT_EQ(connection_->taken(), 0u);
  std::array<UnfinishedTransfer, kTransferSlots> u;
  ASSERT_EQ(connection_->unfinished(u), 2u);
  EXPECT_EQ(u[0].number, 1u);
  EXPECT_EQ(u[0].chunks[0], 0b010u);
  EXPECT_EQ(u[1].number, 2u);
  EXPECT_EQ(u[1].chunks[0] & 1, 1u);
}

class Nonsense : public OneSide, public ::testing::WithParamInterface<int> {};

TEST_P(Nonsense, EndsItAndIsNotBelieved) {
  switch (GetParam()) {
    case 0:
      chunk(kTransferSlots, 1);
      break;
    case 1:
      chunk(1, kTransferChunks + 1);
      break;
    case 2:
      chunk(1, 1);
      chunk(1, 1);
      break;
    case 3:
      record(1, message(2, 64));  // another's slot
      break;
    case 4:
      record(1, message(1 + kTransferSlots, 64));  // not yet
      break;
    case 5:
      record(1, message(1, 64));
      record(1, message(1, 64));
      break;
    case 6:
      chunk(1, 2);
      record(1, message(1, 64));  // of one chunk
      break;
    case 7:
      record(1, message(1, 64));
      chunk(1, 2);
      break;
    case 8: {
      PutRecord r = message(1, 64);
      r.bytes = 65;  // more than the message
      record(1, r);
      break;
    }
    case 9:
      seen_.sane = false;
      record(1, message(1, 64));
      break;
    case 12:
      for (uint32_t c = 0; c <= kWindow; c++)  // each could be, together they take others' receives
        chunk(1, 1 + c);
      break;
    case 13: {
      PutRecord r = message(1, 64);
      r.message.message_len = (uint64_t{1} << 63) + 1;
      record(1, r);
      break;
    }
    case 10:
      status(kWindow + 1, 0);  // more than it has
      break;
    default:
      status(kWindow, 1);  // what was never sent
  }
  settle();
  EXPECT_TRUE(connection_->failed());
  const size_t pieces = seen_.pieces.size();
  chunk(5, 1);
  record(5, message(5, 64));
  settle();
  if (GetParam() < 10) {
    EXPECT_EQ(seen_.pieces.size(), pieces);
  }
  EXPECT_FALSE(connection_->put({.bytes = 64, .message = {.message_len = 64}}));
  EXPECT_TRUE(seen_.done.empty());
}

INSTANTIATE_TEST_SUITE_P(Of, Nonsense, ::testing::Range(0, 14));

// A status that comes late or twice changes nothing.
TEST_F(OneSide, StatusOnlyGrows) {
  Connection::Put p{.owner = this,
                    .from = arena_.data(),
                    .bytes = 64,
                    .local_key = arena_memory_.local_key,
                    .remote_address = peer_memory_.remote_address,
                    .remote_key = peer_memory_.remote_key,
                    .message = {.position = 3, .message_len = 64}};
  ASSERT_TRUE(connection_->put(p));
  settle();
  status(kWindow + 1, 1);
  settle();
  EXPECT_EQ(seen_.done, std::vector<uint64_t>{3});
  status(kWindow, 0);
  status(kWindow + 1, 1);
  settle();
  EXPECT_FALSE(connection_->failed());
  EXPECT_EQ(seen_.done.size(), 1u);
  EXPECT_FALSE(connection_->has(this));
  const uint64_t until = connection_->settle();
  settle();
  EXPECT_GE(connection_->poster().done(), until);
}

// Its peer may not be joined yet, and what was put there by then would be tried for too long.
TEST_F(OneSide, WhoDoesNotBeginWaitsForTheFirstWord) {
  landing_->granted.store(0);
  Connection waits(*ends_[0], *landing_,
                   {.send_depth = ours_.limits().send_depth,
                    .max_message = ours_.limits().max_message,
                    .window = kWindow,
                    .peer_window = kWindow,
                    .peer_landing = remote_region(peer_memory_),
                    .begins = false});
  (void)waits.poll(seen_);
  EXPECT_EQ(waits.poster().added(), 0u);
  status(kWindow, 0);
  net_.advance(net_.now() + 10'000);
  (void)waits.poll(seen_);
  EXPECT_EQ(waits.poster().added(), 1u);
  EXPECT_FALSE(waits.proven());
  net_.advance(net_.now() + 10'000);
  std::array<FabricCompletion, 32> c;
  std::array<FabricImmediate, 32> in;
  const size_t n = ours_.poll(c, in).completions;
  for (size_t i = 0; i < n; i++)
    waits.on_completion(c[i]);
  EXPECT_TRUE(waits.proven());
}

TEST_F(OneSide, TakesNoMoreThanItsSlotsAndAgainWhenSomeAreDone) {
  Connection::Put p{.from = arena_.data(),
                    .bytes = 64,
                    .local_key = arena_memory_.local_key,
                    .remote_address = peer_memory_.remote_address,
                    .remote_key = peer_memory_.remote_key,
                    .message = {.message_len = 64}};
  for (uint32_t i = 0; i < kTransferSlots; i++)
    ASSERT_TRUE(connection_->put(p));
  EXPECT_FALSE(connection_->put(p));
  settle();
  EXPECT_EQ(connection_->poster().credits().room(), 0u) << "two immediates each";
  status(kWindow, kWindow / 2);
  settle();
  EXPECT_EQ(seen_.done.size(), kWindow / 2);
  EXPECT_TRUE(connection_->put(p));
}

}  // namespace
}  // namespace penstock
