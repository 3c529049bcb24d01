// Two sides of a fabric with memory, and the fixture of the contract suite around them.
#pragma once

#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <span>
#include <vector>

#include "tests/rdma/fabric_rig.h"

namespace penstock::test {

inline constexpr uint64_t kSideBytes = 4 << 20;

// One device with memory that peers may put to and get from. What it polls is kept.
struct Side {
  Side(FabricRig& rig, unsigned side)
      : fabric(rig.fabric(side)), memory(rig.memory(side, kSideBytes), kSideBytes) {
    Fabric& f = fabric;
    auto r = f.register_memory(memory.data(), memory.size(), kRemotePut | kRemoteGet);
    EXPECT_TRUE(r.ok()) << text(r.error());
    if (r.ok()) registration = *r;
  }
  ~Side() {
    if (registration.handle != nullptr) fabric.deregister(registration);
  }

  std::byte* at(uint64_t offset) { return memory.data() + offset; }
  void fill(uint64_t from, uint64_t bytes, unsigned seed) {
    for (uint64_t i = 0; i < bytes; i++)
      memory[from + i] = pattern(seed, i);
  }
  static std::byte pattern(unsigned seed, uint64_t i) {
    return static_cast<std::byte>((seed + 1) * 0x9e3779b1u + (i * 0x85ebca6bu >> 7));
  }
  bool holds(uint64_t from, uint64_t bytes, unsigned seed) const {
    for (uint64_t i = 0; i < bytes; i++)
      if (memory[from + i] != pattern(seed, i)) return false;
    return true;
  }
  bool is_zero(uint64_t from, uint64_t bytes) const {
    for (uint64_t i = 0; i < bytes; i++)
      if (memory[from + i] != std::byte{0}) return false;
    return true;
  }

  void poll() {
    std::array<FabricCompletion, 32> c;
    std::array<FabricImmediate, 32> i;
    const Fabric::Polled n = fabric.poll(c, i);
    done.insert(done.end(), c.begin(), c.begin() + static_cast<ptrdiff_t>(n.completions));
    landed.insert(landed.end(), i.begin(), i.begin() + static_cast<ptrdiff_t>(n.immediates));
  }

  Fabric& fabric;
  std::span<std::byte> memory;
  Registration registration;
  std::vector<FabricCompletion> done;
  std::vector<FabricImmediate> landed;
};

using Endpoints = std::array<std::unique_ptr<Endpoint>, 2>;

class FabricContract : public ::testing::TestWithParam<FabricRigMaker> {
 protected:
  void SetUp() override {
    if (!GetParam().needs.empty()) GTEST_SKIP() << "needs " << GetParam().needs;
    begin(1);
  }
  void TearDown() override {
    ends = {};
    sides[0].reset();
    sides[1].reset();
  }

  void begin(uint64_t seed) {
    ends = {};
    sides[0].reset();
    sides[1].reset();
    rig = GetParam().make(seed);
    for (unsigned s = 0; s < 2; s++)
      sides[s] = std::make_unique<Side>(*rig, s);
    ends = join();
  }

  // A new pair of endpoints that have met.
  Endpoints join() {
    Endpoints e;
    for (unsigned s = 0; s < 2; s++) {
      auto made = rig->fabric(s).create_endpoint();
      EXPECT_TRUE(made.ok()) << text(made.error());
      if (made.ok()) e[s] = std::move(*made);
    }
    if (e[0] == nullptr || e[1] == nullptr) return e;
    EXPECT_EQ(e[0]->connect(e[1]->address()), Errc::kOk);
    EXPECT_EQ(e[1]->connect(e[0]->address()), Errc::kOk);
    return e;
  }

  // Polls both sides until it is so.
  template <class Until>
  [[nodiscard]] bool wait(Until until) {
    rig->rest();
    while (!until()) {
      if (!rig->turn()) return false;
      if (polls[0]) sides[0]->poll();
      if (polls[1]) sides[1]->poll();
    }
    return true;
  }
  // Until side 0 has so many completions.
  [[nodiscard]] bool wait_done(size_t n) {
    return wait([&] { return sides[0]->done.size() >= n; });
  }

  // From side 0 to side 1, at the same offset or at `to`.
  FabricRequest request(FabricOp op, uint64_t from, uint32_t bytes, uint64_t to) {
    FabricRequest r;
    r.op = op;
    r.signalled = true;
    r.local = sides[0]->at(from);
    r.bytes = bytes;
    r.local_key = sides[0]->registration.local_key;
    r.remote_address = remote_region(sides[1]->registration).address + to;
    r.remote_key = remote_region(sides[1]->registration).key;
    r.id = next_id++;
    return r;
  }
  FabricRequest put(uint64_t from, uint32_t bytes, uint64_t to) {
    return request(FabricOp::kPut, from, bytes, to);
  }
  FabricRequest put_imm(uint64_t from, uint32_t bytes, uint64_t to, uint32_t imm) {
    FabricRequest r = request(FabricOp::kPutImmediate, from, bytes, to);
    r.immediate = imm;
    return r;
  }
  size_t post(const FabricRequest& r) { return ends[0]->post({&r, 1}); }

  // Posts one request that is to fail, and says how it ended.
  FabricCode outcome(const FabricRequest& r) {
    const size_t before = sides[0]->done.size();
    EXPECT_EQ(post(r), 1u);
    EXPECT_TRUE(wait_done(before + 1));
    return sides[0]->done.size() > before ? sides[0]->done[before].code : FabricCode::kOk;
  }

  std::unique_ptr<FabricRig> rig;
  std::array<std::unique_ptr<Side>, 2> sides;
  Endpoints ends;
  std::array<bool, 2> polls = {true, true};
  uint64_t next_id = 1;
};

}  // namespace penstock::test
