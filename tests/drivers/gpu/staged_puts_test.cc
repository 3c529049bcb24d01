// Puts from memory of a GPU by way of the host, over the fake libcuda and the simulated fabric.
// Both go by bytes: what overlaps is counted in steps of them, and no clock is asked.
#include "drivers/gpu/staged_puts.h"

#include <cstring>
#include <gtest/gtest.h>
#include <optional>
#include <random>
#include <vector>

#include "drivers/sim/sim_fabric.h"
#include "rdma/imm_counter.h"
#include "tests/drivers/gpu/fake_cuda.h"
#include "tests/support/seeds.h"

namespace penstock {
namespace {

constexpr uint32_t kBuffer = 64 << 10;
constexpr uint64_t kMost = 4 << 20;
constexpr uint64_t kStep = 8 << 10;  // bytes that GPU and wire each move in a step

class StagedPutsTest : public testing::Test {
 protected:
  void SetUp() override {
    fake_cuda_reset();
    static const OrSentence<CudaLibrary> library = CudaLibrary::open(FAKE_CUDA);
    ASSERT_TRUE(library) << library.error();
    cuda_ = &*library;
  }
  void begin(uint32_t buffers, uint64_t seed = 1, SimFabricFaults faults = {.delay_ns = 100}) {
    end();
    net_.emplace(seed);
    a_ = &net_->add({.gbps = 8, .faults = faults});  // a byte a nanosecond
    b_ = &net_->add({.gbps = 8, .faults = faults});
    ends_[0] = std::move(*a_->create_endpoint());
    ends_[1] = std::move(*b_->create_endpoint());
    ASSERT_EQ(ends_[0]->connect(ends_[1]->address()), Errc::kOk);
    ASSERT_EQ(ends_[1]->connect(ends_[0]->address()), Errc::kOk);
    there_.assign(kMost, std::byte{0});
    target_ = *b_->register_memory(there_.data(), there_.size(), kRemotePut);
    poster_.emplace(*ends_[0], a_->limits().send_depth, b_->limits().receive_depth);
    auto staged = StagedPuts::open(*cuda_, *a_, {.buffers = buffers, .buffer_bytes = kBuffer});
    ASSERT_TRUE(staged) << staged.error();
    staged_ = std::move(*staged);
    memory_ = reinterpret_cast<std::byte*>(fake_cuda_alloc(kMost, 0));
    ASSERT_NE(memory_, nullptr);
    std::mt19937_64 random(seed);
    for (uint64_t i = 0; i < kMost; i += 8) {
      const uint64_t word = random();
      std::memcpy(memory_ + i, &word, 8);
    }
  }
  void end() {
    if (ends_[0]) ends_[0]->stop();
    staged_.reset();
    poster_.reset();
    ends_[0].reset();
    ends_[1].reset();
    net_.reset();
    if (memory_ != nullptr) fake_cuda_free(reinterpret_cast<uint64_t>(memory_));
    memory_ = nullptr;
    landed_ = 0;
    counter_.forget(5);
  }
  void TearDown() override {
    end();
    EXPECT_EQ(fake_cuda_held(), 0);
  }
  StagedPuts::Transfer transfer(uint64_t from, uint64_t bytes, uint64_t to) const {
    return {memory_ + from, bytes, target_.remote_address + to, target_.remote_key, 5};
  }
  // One step of both: GPU and wire go on by as many bytes, then the worker looks.
  void step() {
    fake_cuda_run(kStep);
    net_->advance(net_->now() + kStep);
    FabricCompletion c[64];
    FabricImmediate i[64];
    const Fabric::Polled n = a_->poll(c, i);
    for (size_t k = 0; k < n.completions; k++)
      poster_->completed(c[k]);
    const Fabric::Polled m = b_->poll(c, i);
    for (size_t k = 0; k < m.immediates; k++) {
      const ImmCounter::Outcome o = counter_.count(i[k].immediate);
      landed_ += o == ImmCounter::Outcome::kCounted || o == ImmCounter::Outcome::kDone ? 1 : 0;
    }
    staged_->poll(*poster_);
  }
  // How many steps a transfer took.
  unsigned run(const StagedPuts::Transfer& t) {
    EXPECT_EQ(counter_.expect(5, static_cast<uint32_t>((t.bytes - 1) / kBuffer + 1)), Errc::kOk);
    EXPECT_TRUE(staged_->begin(t));
    unsigned steps = 0;
    while (!staged_->idle() && !staged_->failed() && steps < 100'000) {
      step();
      steps++;
    }
    return steps;
  }

  const CudaLibrary* cuda_ = nullptr;
  std::optional<SimFabricNet> net_;
  SimFabric* a_ = nullptr;
  SimFabric* b_ = nullptr;
  std::unique_ptr<Endpoint> ends_[2];
  std::vector<std::byte> there_;
  Registration target_;
  std::optional<Poster> poster_;
  std::unique_ptr<StagedPuts> staged_;
  ImmCounter counter_{16, 256};
  std::byte* memory_ = nullptr;
  uint64_t landed_ = 0;
};

TEST_F(StagedPutsTest, TheWireDoesNotWaitForTheCopies) {
  constexpr uint64_t kChunks = 32;
  begin(1);
  const unsigned one = run(transfer(0, kChunks * kBuffer, 0));
  EXPECT_EQ(staged_->stats().overlapped, 0u);
  EXPECT_EQ(std::memcmp(there_.data(), memory_, kChunks * kBuffer), 0);
  begin(3);
  const unsigned three = run(transfer(0, kChunks * kBuffer, 0));
  // But for the first ones, which had nothing to overlap with.
  EXPECT_GE(staged_->stats().overlapped, kChunks - 3);
  EXPECT_EQ(staged_->stats().copies, kChunks);
  EXPECT_EQ(staged_->stats().puts, kChunks);
  EXPECT_EQ(staged_->stats().bytes, kChunks * kBuffer);
  EXPECT_EQ(std::memcmp(there_.data(), memory_, kChunks * kBuffer), 0);
  // One after the other a chunk takes twice its bytes; side by side once.
  constexpr unsigned kBytes = kChunks * kBuffer / kStep;
  EXPECT_GE(one, 2 * kBytes);
  EXPECT_LE(three, kBytes + kBytes / 4);
}

TEST_F(StagedPutsTest, NoBufferIsPutBeforeItsCopyWasDone) {
  begin(2);
  ASSERT_TRUE(staged_->begin(transfer(0, 4 * kBuffer, 0)));
  EXPECT_NE(staged_->poll(*poster_), 0u);
  EXPECT_EQ(fake_cuda_waiting(), 2 * kBuffer);  // as many as there are buffers
  EXPECT_EQ(staged_->poll(*poster_), 0u);
  fake_cuda_run(kBuffer - 1);
  EXPECT_EQ(staged_->poll(*poster_), 0u);
  EXPECT_EQ(poster_->added(), 0u);
  fake_cuda_run(1);
  EXPECT_EQ(staged_->poll(*poster_), 1u);
  EXPECT_EQ(poster_->added(), 1u);
  // Nor is it written to while it is on the wire.
  EXPECT_EQ(staged_->stats().copies, 2u);
}

TEST_F(StagedPutsTest, RandomTransfersArriveWhole) {
  const uint64_t seeds = test::seeds(20);
  for (uint64_t seed = 1; seed <= seeds; seed++) {
    std::mt19937_64 random(seed);
    begin(1 + random() % 4, seed,
          {.delay_ns = 500, .jitter_ns = 90'000, .late = 50'000, .late_ns = 200'000});
    for (int i = 0; i < 5; i++) {
      const uint64_t bytes = 1 + random() % (1 << (10 + random() % 11));
      const uint64_t from = random() % (kMost - bytes);
      const uint64_t to = random() % (kMost - bytes);
      std::vector<std::byte> expected = there_;
      std::memcpy(expected.data() + to, memory_ + from, bytes);
      run(transfer(from, bytes, to));
      ASSERT_TRUE(staged_->idle()) << "seed " << seed;
      ASSERT_EQ(there_ == expected, true) << "seed " << seed;
    }
    ASSERT_EQ(landed_, staged_->stats().puts) << "seed " << seed;
  }
}

TEST_F(StagedPutsTest, OneAtATimeAndNoneThatHasTooManyChunks) {
  begin(2);
  EXPECT_FALSE(staged_->begin(transfer(0, 0, 0)));
  EXPECT_FALSE(staged_->begin(transfer(0, uint64_t{kImmChunks} * kBuffer + 1, 0)));
  StagedPuts::Transfer t = transfer(0, 10, 0);
  t.slot = kImmSlots;
  EXPECT_FALSE(staged_->begin(t));
  EXPECT_TRUE(staged_->begin(transfer(0, 10, 0)));
  EXPECT_FALSE(staged_->begin(transfer(0, 10, 0)));
}

TEST_F(StagedPutsTest, AFailureOfTheEndpointOrOfTheGpuEndsIt) {
  begin(3);
  a_->break_next(FabricCode::kTimeout, false);
  run(transfer(0, 8 * kBuffer, 0));
  EXPECT_TRUE(staged_->failed());
  EXPECT_FALSE(staged_->begin(transfer(0, 10, 0)));
  begin(3);
  fake_cuda_refuse_copy(4);
  EXPECT_EQ(counter_.expect(6, 1), Errc::kOk);
  EXPECT_TRUE(staged_->begin(transfer(0, 8 * kBuffer, 0)));
  for (int i = 0; i < 1000; i++)
    step();
  EXPECT_TRUE(staged_->failed());
  EXPECT_EQ(staged_->stats().copies, 4u);
}

TEST_F(StagedPutsTest, OpenSaysWhyNotAndLeavesNothing) {
  begin(1);
  const int held = fake_cuda_held();
  EXPECT_FALSE(StagedPuts::open(*cuda_, *a_, {.buffers = 5}));
  EXPECT_FALSE(StagedPuts::open(*cuda_, *a_, {.device = 7}));
  const auto room = StagedPuts::open(*cuda_, *a_, {.buffers = 4, .buffer_bytes = 20 << 20});
  ASSERT_FALSE(room);
  EXPECT_EQ(room.error(), "staging: GPU 0 or the RDMA device has no room for locked buffers");
  EXPECT_EQ(fake_cuda_held(), held);
}

}  // namespace
}  // namespace penstock
