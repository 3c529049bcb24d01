// Two ports of one ring: what the hot path of DpdkPort does, without any peer process.
#include <gtest/gtest.h>
#include <numeric>

#include "tests/drivers/dpdk/frames.h"

namespace penstock {
namespace {

class RingPort : public testing::Test {
 protected:
  void SetUp() override {
    a_ = open("ring:t");
    b_ = open("ring:t");
  }
  void TearDown() override {
    // The leak check: nothing is in flight any more, in no test.
    EXPECT_TRUE(region_.in_flight.idle());
    EXPECT_TRUE(a_->buffers_all_back());
    EXPECT_TRUE(b_->buffers_all_back());
  }

  static std::unique_ptr<DpdkDevice> open(const char* text) {
    auto device = DpdkDevice::open(*parse_port(text));
    EXPECT_TRUE(device.has_value()) << device.error();
    return *std::move(device);
  }

  // A frame of which all but `header` bytes lie in the region.
  Bytes lay_out(size_t length, uint32_t seed) {
    memory_ = pattern(length, seed);
    region_.base = reinterpret_cast<const std::byte*>(memory_.data());
    region_.bytes = memory_.size();
    return memory_;
  }

  Port& a() { return a_->queue(0); }
  Port& b() { return b_->queue(0); }

  Bytes memory_;
  Region region_;
  std::unique_ptr<DpdkDevice> a_, b_;
};

TEST_F(RingPort, SaysWhatItIs) {
  EXPECT_STREQ(a().info().name, "ring:t");
  EXPECT_EQ(a().info().max_frame, 9014u);
  EXPECT_TRUE(a().info().chains);
  EXPECT_TRUE(a().link_up());
  EXPECT_NE(a().info().mac, b().info().mac);
  EXPECT_EQ(a().info().mac[0], 2);
  EXPECT_EQ(a().rx_event_fd(), -1);
  EXPECT_EQ(a_->status(), "up");
}

TEST_F(RingPort, FramesArriveIdenticalBothWays) {
  for (const size_t length : {15u, 60u, 1514u, 9014u}) {
    const Bytes there = pattern(length, 1), back = pattern(length, 2);
    ASSERT_TRUE(send(a(), there));
    ASSERT_TRUE(send(b(), back));
    EXPECT_EQ(receive(b()), there);
    EXPECT_EQ(receive(a()), back);
  }
  EXPECT_EQ(a().stats().tx_frames.read(), 4u);
  EXPECT_EQ(a().stats().rx_bytes.read(), 15u + 60 + 1514 + 9014);
}

TEST_F(RingPort, PayloadGoesByReferenceAndIsGivenBack) {
  const Bytes frame = lay_out(9014, 3);
  ASSERT_TRUE(send(a(), frame, 66, &region_));
  EXPECT_FALSE(region_.in_flight.idle());

  Frame f{};
  ASSERT_EQ(b().rx_burst({&f, 1}), 1u);
  EXPECT_EQ(f.len, 66u);
  EXPECT_EQ(f.payload, region_.base + 66);  // the very bytes
  EXPECT_EQ(bytes_of(f), frame);
  EXPECT_FALSE(region_.in_flight.idle());
  b().release({&f, 1});
  EXPECT_TRUE(region_.in_flight.idle());
  EXPECT_EQ(a().stats().tx_linearized.read(), 0u);
}

TEST_F(RingPort, WhatAFullRingRefusesStaysTheCallers) {
  lay_out(2000, 4);
  std::vector<Frame> frames(400);
  ASSERT_EQ(a().tx_alloc(frames), frames.size());
  for (Frame& f : frames) {
    memcpy(f.data, memory_.data(), 66);
    f.len = 66;
    f.payload = region_.base + 66;
    f.payload_len = static_cast<uint32_t>(memory_.size() - 66);
    f.region = &region_;
  }
  const size_t sent = a().tx_burst(frames);
  EXPECT_EQ(sent, 256u);
  EXPECT_EQ(a().stats().tx_full.read(), 144u);
  // Sent later, they are whole.
  std::vector<Frame> out(400);
  ASSERT_EQ(b().rx_burst(out), 256u);
  b().release({out.data(), 256});
  EXPECT_TRUE(region_.in_flight.idle());
  ASSERT_EQ(a().tx_burst({frames.data() + sent, 44}), 44u);
  ASSERT_EQ(b().rx_burst(out), 44u);
  EXPECT_EQ(bytes_of(out[43]), memory_);
  b().release({out.data(), 44});
  a().release({frames.data() + 300, 100});
}

TEST_F(RingPort, RunsOutOfBuffersAndRecovers) {
  std::vector<Frame> frames(4000);
  const size_t got = a().tx_alloc(frames);
  EXPECT_GT(got, 256u);
  EXPECT_LT(got, frames.size());
  EXPECT_EQ(a().stats().no_buffers.read(), frames.size() - got);
  Frame one{};
  EXPECT_EQ(a().tx_alloc({&one, 1}), 0u);
  a().release({frames.data(), got});
  EXPECT_EQ(a().tx_alloc({&one, 1}), 1u);
  EXPECT_EQ(one.len, 0u);
  EXPECT_EQ(one.region, nullptr);
  EXPECT_GE(one.room, a().info().max_frame);
  a().release({&one, 1});
}

TEST_F(RingPort, AnEmptyTxBurstIsNothing) {
  EXPECT_EQ(a().tx_burst({}), 0u);
  EXPECT_EQ(a().rx_burst({}), 0u);
  EXPECT_EQ(a().stats().tx_full.read(), 0u);
}

TEST_F(RingPort, NothingIsDamagedWhenReferencesRunOut) {
  // Fill the ring by reference and keep what comes: each holds one reference.
  lay_out(1000, 5);
  std::vector<Frame> held;
  const auto send_some = [&] {
    while (send(a(), memory_, 66, &region_)) {
    }
    std::vector<Frame> out(256);
    const size_t n = b().rx_burst(out);
    held.insert(held.end(), out.begin(), out.begin() + static_cast<ptrdiff_t>(n));
    return n;
  };
  while (send_some() != 0) {
  }
  for (const Frame& f : held)
    EXPECT_EQ(bytes_of(f), memory_);
  EXPECT_GT(a().stats().no_buffers.read(), 0u);
  b().release(held);
}

TEST_F(RingPort, AChecksumThatNobodyFillsInCountsAsGood) {
  const Bytes bytes = pattern(100, 6);
  Frame f{};
  ASSERT_EQ(a().tx_alloc({&f, 1}), 1u);
  memcpy(f.data, bytes.data(), bytes.size());
  f.len = 100;
  f.flags = kTxUdpChecksum;
  f.l2_len = 14;
  f.l3_len = 20;
  ASSERT_EQ(a().tx_burst({&f, 1}), 1u);
  ASSERT_TRUE(send(a(), bytes));
  Frame out[2];
  ASSERT_EQ(b().rx_burst(out), 2u);
  EXPECT_EQ(out[0].flags, kRxChecksumGood);
  EXPECT_EQ(out[1].flags, 0u);
  b().release(out);
}

TEST(Ring, AThirdPortIsRefused) {
  auto a = DpdkDevice::open(*parse_port("ring:three"));
  auto b = DpdkDevice::open(*parse_port("ring:three"));
  auto c = DpdkDevice::open(*parse_port("ring:three"));
  ASSERT_FALSE(c.has_value());
  EXPECT_EQ(c.error(), "port ring:three: both sides of this ring are in use");
}

TEST(Ring, SidesMustAgreeOnQueues) {
  auto a = DpdkDevice::open(*parse_port("ring:q,queues=2"));
  auto b = DpdkDevice::open(*parse_port("ring:q"));
  ASSERT_FALSE(b.has_value());
  EXPECT_EQ(b.error(), "port ring:q: the other side has 2 queues, this one 1");
}

TEST(Ring, QueuesAreSeparate) {
  auto a = DpdkDevice::open(*parse_port("ring:mq,queues=2"));
  auto b = DpdkDevice::open(*parse_port("ring:mq,queues=2"));
  ASSERT_TRUE(a.has_value() && b.has_value());
  const Bytes zero = pattern(100, 10), one = pattern(100, 11);
  ASSERT_TRUE(send((*a)->queue(0), zero));
  ASSERT_TRUE(send((*a)->queue(1), one));
  EXPECT_EQ(receive((*b)->queue(1)), one);
  EXPECT_EQ(receive((*b)->queue(0)), zero);
}

TEST(Ring, ASideMayLeaveAndComeAgain) {
  auto a = DpdkDevice::open(*parse_port("ring:again"));
  for (int i = 0; i < 3; i++) {
    auto b = DpdkDevice::open(*parse_port("ring:again"));
    ASSERT_TRUE(b.has_value()) << b.error();
    ASSERT_TRUE(send((*b)->queue(0), pattern(100, 7)));
    EXPECT_EQ(receive((*a)->queue(0)), pattern(100, 7));
    ASSERT_TRUE(send((*b)->queue(0), pattern(100, 8)));
    b->reset();  // what it sent last is still in the ring, in its buffers
    EXPECT_EQ(receive((*a)->queue(0)), pattern(100, 8));
  }
}

}  // namespace
}  // namespace penstock
