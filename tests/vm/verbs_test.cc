// What the bed carries: real verbs over soft-RoCE, its errors included. What the product does with
// them is tested by the product's own suites, in the same machines. No case here may skip: the bed
// is there to have the devices.
#include <algorithm>
#include <cstdlib>
#include <endian.h>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <thread>

#include "tests/vm/verbs_node.h"

namespace penstock {
namespace {

bool shell(const std::string& command) {
  return system(command.c_str()) == 0;
}

std::vector<uint8_t> pattern(uint32_t bytes, uint32_t seed) {
  std::vector<uint8_t> out(bytes);
  for (uint32_t i = 0; i < bytes; i++)
    out[i] = static_cast<uint8_t>((i * 2654435761u + seed) >> 16);
  return out;
}

void fill(VerbsNode& node, uint32_t seed) {
  const auto bytes = pattern(VerbsNode::kBytes, seed);
  std::copy(bytes.begin(), bytes.end(), node.memory().begin());
}

bool same(VerbsNode& a, VerbsNode& b) {
  return std::equal(a.memory().begin(), a.memory().end(), b.memory().begin());
}

// Two nodes of one machine, on a switch: run with --rdma rxe:2.
class Verbs : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(a_.open() && b_.open()) << "no rxe1 and rxe2: run with --rdma rxe:2";
  }
  bool connect(Patience patience = kPatient) {
    return a_.connect(b_.address(), patience) && b_.connect(a_.address(), patience);
  }

  VerbsNode a_{"rxe1"}, b_{"rxe2"};
};

TEST_F(Verbs, AWriteLandsWhereItWasSentAndNowhereElse) {
  ASSERT_TRUE(connect());
  const uint32_t half = VerbsNode::kBytes / 2;
  fill(a_, 1);
  ASSERT_TRUE(a_.write(b_.address(), half, half));
  EXPECT_EQ(a_.completion().status, IBV_WC_SUCCESS);
  EXPECT_TRUE(std::equal(b_.memory().begin() + half, b_.memory().end(), a_.memory().begin()));
  EXPECT_EQ(std::count(b_.memory().begin(), b_.memory().begin() + half, 0), half);
}

TEST_F(Verbs, AnImmediateTellsThatTheWriteHasLanded) {
  ASSERT_TRUE(connect());
  fill(a_, 2);
  ASSERT_TRUE(b_.post_receive());
  ASSERT_TRUE(a_.write_with_immediate(b_.address(), VerbsNode::kBytes, 42));
  const ibv_wc told = b_.completion();
  EXPECT_EQ(told.status, IBV_WC_SUCCESS);
  EXPECT_EQ(told.opcode, IBV_WC_RECV_RDMA_WITH_IMM);
  EXPECT_EQ(be32toh(told.imm_data), 42u);
  EXPECT_EQ(told.byte_len, VerbsNode::kBytes);
  EXPECT_TRUE(same(a_, b_));
  EXPECT_EQ(a_.completion().status, IBV_WC_SUCCESS);
}

TEST_F(Verbs, AReadFetchesWhatIsThere) {
  ASSERT_TRUE(connect());
  fill(b_, 3);
  ASSERT_TRUE(a_.read(b_.address(), VerbsNode::kBytes));
  EXPECT_EQ(a_.completion().status, IBV_WC_SUCCESS);
  EXPECT_TRUE(same(a_, b_));
}

TEST_F(Verbs, WhoHasNoKeyWritesNothing) {
  ASSERT_TRUE(connect());
  VerbsAddress forged = b_.address();
  forged.key ^= 0xff;
  fill(a_, 4);
  ASSERT_TRUE(a_.write(forged, 4096));
  EXPECT_EQ(a_.completion().status, IBV_WC_REM_ACCESS_ERR);
  EXPECT_EQ(std::count(b_.memory().begin(), b_.memory().end(), 0), VerbsNode::kBytes);
  // The queue pair is broken, and says so of all that follows.
  ASSERT_TRUE(a_.write(b_.address(), 64));
  EXPECT_EQ(a_.completion().status, IBV_WC_WR_FLUSH_ERR);
}

TEST_F(Verbs, WithoutMemoryBehindTheLastByteNothingIsWrittenThere) {
  ASSERT_TRUE(connect());
  ASSERT_TRUE(a_.write(b_.address(), 4096, VerbsNode::kBytes - 4095));
  EXPECT_EQ(a_.completion().status, IBV_WC_REM_ACCESS_ERR);
}

TEST_F(Verbs, APulledCableEndsTheRetriesAndIsReported) {
  ASSERT_TRUE(connect(kImpatient));
  ASSERT_TRUE(shell("ip link set p2 down"));
  ASSERT_TRUE(a_.write(b_.address(), 64));
  EXPECT_EQ(a_.completion().status, IBV_WC_RETRY_EXC_ERR);
  EXPECT_EQ(b_.event(), IBV_EVENT_PORT_ERR);
  ASSERT_TRUE(shell("ip link set p2 up"));
  EXPECT_EQ(b_.event(), IBV_EVENT_PORT_ACTIVE);
}

TEST_F(Verbs, WhatTheSwitchLosesIsSentAgain) {
  ASSERT_TRUE(connect({14, 7}));
  ASSERT_TRUE(shell("tc qdisc add dev p2 root netem loss 3%"));
  constexpr uint32_t kBytes = 65536;  // 320 packets in all: none lost once in 17,000 runs
  for (uint32_t i = 0; i < 20; i++) {
    fill(a_, i);
    ASSERT_TRUE(b_.post_receive());
    ASSERT_TRUE(a_.write_with_immediate(b_.address(), kBytes, i));
    ASSERT_EQ(a_.completion().status, IBV_WC_SUCCESS) << i;
    ASSERT_EQ(be32toh(b_.completion().imm_data), i);
    ASSERT_TRUE(std::equal(a_.memory().begin(), a_.memory().begin() + kBytes, b_.memory().begin()));
  }
  EXPECT_TRUE(shell("tc -s qdisc show dev p2 | grep -q 'dropped [1-9]'")) << "nothing was lost";
  ASSERT_TRUE(shell("tc qdisc del dev p2 root"));
}

// One node in each of two machines: run with --machines 2 --rdma rxe.
class TwoMachines : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(node_.open()) << "no rxe1: run with --machines 2 --rdma rxe";
    ASSERT_TRUE(id_ == 0 || id_ == 1);
  }
  static bool together(const std::string& where) { return shell("vm-barrier " + where); }

  // By the folder that all machines of a run share.
  VerbsAddress exchange() {
    const auto file = [](int id) { return "/run/vm/address." + std::to_string(id); };
    VerbsAddress mine = node_.address(), theirs{};
    std::ofstream(file(id_), std::ios::binary).write(reinterpret_cast<char*>(&mine), sizeof mine);
    EXPECT_TRUE(together("exchange"));
    std::ifstream in(file(1 - id_), std::ios::binary);
    EXPECT_TRUE(in.read(reinterpret_cast<char*>(&theirs), sizeof theirs));
    return theirs;
  }

  const int id_ = atoi(getenv("VM_ID") != nullptr ? getenv("VM_ID") : "-1");
  VerbsNode node_{"rxe1"};
};

TEST_F(TwoMachines, WriteAndReadAcross) {
  const VerbsAddress peer = exchange();
  ASSERT_TRUE(node_.connect(peer));
  ASSERT_TRUE(node_.post_receive());
  fill(node_, static_cast<uint32_t>(id_));
  ASSERT_TRUE(together("connected"));
  constexpr uint32_t kBytes = 65536;
  if (id_ == 0) {
    ASSERT_TRUE(node_.write_with_immediate(peer, kBytes, 7));
    EXPECT_EQ(node_.completion().status, IBV_WC_SUCCESS);
  } else {
    EXPECT_EQ(be32toh(node_.completion().imm_data), 7u);
    const auto sent = pattern(VerbsNode::kBytes, 0);
    EXPECT_TRUE(std::equal(sent.begin(), sent.begin() + kBytes, node_.memory().begin()));
  }
  ASSERT_TRUE(together("written"));
  if (id_ == 0) {
    ASSERT_TRUE(node_.read(peer, kBytes, kBytes));
    EXPECT_EQ(node_.completion().status, IBV_WC_SUCCESS);
    const auto there = pattern(VerbsNode::kBytes, 1);
    EXPECT_TRUE(
        std::equal(there.begin() + kBytes, there.begin() + 2 * kBytes, node_.memory().begin()));
  }
  ASSERT_TRUE(together("read"));
}

}  // namespace
}  // namespace penstock
