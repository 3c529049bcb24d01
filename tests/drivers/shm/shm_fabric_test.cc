// What shared memory does of its own; what every fabric does is in tests/rdma.
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <thread>

#include "dataplane/base/stop_flag.h"
#include "tests/drivers/shm/shm_side.h"

namespace penstock::test {
namespace {

TEST(ShmFabric, APeerThatDoesNotAnswerIsATimeoutAndOneThatHasGoneIsRefused) {
  ShmSide a({.timeout_ns = 20'000'000});
  ShmSide b;
  const EndpointAddress there = b.end->address();
  const RemoteRegion region = remote_region(b.registration);
  ASSERT_EQ(a.end->connect(there), Errc::kOk);
  ASSERT_TRUE(a.post(a.request(FabricOp::kPut, 0, 8, region)));
  ASSERT_TRUE(a.wait([&] { return !a.done.empty(); }));  // b does not look at its events
  EXPECT_EQ(a.done[0].code, FabricCode::kTimeout);
  a.make_end();
  ASSERT_EQ(a.end->connect(there), Errc::kOk);
  for (int i = 0; i < 3; i++) {
    a.turn();
    b.turn();
  }
  ASSERT_TRUE(a.post(a.request(FabricOp::kPut, 0, 8, region)));
  ASSERT_TRUE(a.wait([&] { return a.done.size() == 2; }));  // b has not connected
  EXPECT_EQ(a.done[1].code, FabricCode::kTimeout);
  b.end.reset();
  b.fabric.reset();
  a.make_end();
  a.turn();
  EXPECT_EQ(a.end->connect(there), Errc::kClosed);
}

// The peer goes on for ever, in threads or processes of its own; when stop(), or deregister(), has
// returned, not a byte changes.
void nothing_changes(ShmSide& s, const std::vector<std::byte>& then) {
  for (int i = 0; i < 200; i++)
    sched_yield();
  EXPECT_EQ(std::memcmp(s.map.data(), then.data(), then.size()), 0);
}

void put_for_ever(ShmSide& s, const RemoteRegion& there, const StopFlag& end) {
  for (uint8_t n = 0; s.end->state() == Endpoint::State::kReady && !end.is_set(); n++) {
    std::memset(s.map.data(), n, 1 << 20);
    (void)s.post(s.request(FabricOp::kPut, 0, 1 << 20, there));
    (void)s.wait([&] { return s.done.size() == s.next_id - 1; });
  }
}

TEST(ShmFabric, NothingOfAnotherProcessLandsWhenStopHasReturned) {
  for (int round = 0; round < 30; round++) {
    Child child([](int fd) {
      ShmSide s;
      const Card peer = meet(s, fd);
      put_for_ever(s, peer.region, {});
      hear<char>(fd);
    });
    ShmSide s;
    (void)meet(s, child.fd());
    ASSERT_TRUE(s.wait([&] { return s.map.data()[0] > std::byte{2}; }));
    s.end->stop();
    nothing_changes(s, {s.map.data(), s.map.data() + (1 << 20)});
    tell(child.fd(), 'x');
    EXPECT_EQ(child.wait(), 0);
  }
}

TEST(ShmFabric, NothingOfAnotherThreadLandsWhenItWasDeregistered) {
  for (int round = 0; round < 30; round++) {
    ShmSide a;
    ShmSide b;
    ASSERT_EQ(a.end->connect(b.end->address()), Errc::kOk);
    ASSERT_EQ(b.end->connect(a.end->address()), Errc::kOk);
    for (int i = 0; i < 3; i++) {  // until files and sockets are where they belong
      a.turn();
      b.turn();
    }
    const RemoteRegion there = remote_region(b.registration);
    StopFlag end;
    std::thread peer([&] { put_for_ever(a, there, end); });
    std::this_thread::sleep_for(std::chrono::milliseconds(1 + round % 5));
    b.fabric->deregister(b.registration);
    nothing_changes(b, {b.map.data(), b.map.data() + (1 << 20)});
    // It finds out by itself: a put of its own has ended in an error, or the next one does.
    peer.join();
    EXPECT_EQ(a.done.back().code, FabricCode::kRemoteAccess);
  }
}

TEST(ShmFabric, OnlyMemoryFilesCanBeRegisteredForPeers) {
  ShmSide s;
  std::vector<std::byte> heap(4096);
  EXPECT_EQ(s.fabric->register_memory(heap.data(), 4096, kRemoteGet).error(), Errc::kDenied);
  EXPECT_EQ(s.fabric->register_memory(s.map.data() + 1, kShmSide, kRemoteGet).error(),
            Errc::kDenied);
  for (const uint32_t own : {0u, uint32_t{kReadOnly}}) {
    const auto r = s.fabric->register_memory(heap.data(), 4096, own);
    ASSERT_TRUE(r.ok());
    s.fabric->deregister(*r);
  }
}

TEST(ShmFabric, WhatIsSealedAgainstWritingCanBeGotAndNotPutTo) {
  ShmSide a;
  ShmSide b;
  auto file = SealedMemory::create("penstock-test-sealed", 8192);
  ASSERT_TRUE(file.ok());
  auto map = file->map(Access::kReadWrite);
  ASSERT_TRUE(map.ok());
  ASSERT_EQ(file->seal_writes(), Errc::kOk);
  ASSERT_EQ(b.fabric->add_memory(file->fd(), map->data(), 8192, Access::kRead), Errc::kOk);
  EXPECT_EQ(b.fabric->register_memory(map->data(), 8192, kRemotePut).error(), Errc::kDenied);
  const auto r = b.fabric->register_memory(map->data(), 8192, kRemoteGet);
  ASSERT_TRUE(r.ok());
  std::memset(map->data(), 0x5a, 8192);
  ASSERT_EQ(a.end->connect(b.end->address()), Errc::kOk);
  ASSERT_EQ(b.end->connect(a.end->address()), Errc::kOk);
  ASSERT_TRUE(a.post(a.request(FabricOp::kGet, 0, 8192, remote_region(*r))));
  ASSERT_TRUE(a.wait([&] {
    b.turn();
    return !a.done.empty();
  }));
  EXPECT_EQ(a.done[0].code, FabricCode::kOk);
  EXPECT_EQ(std::memcmp(a.map.data(), map->data(), 8192), 0);
}

// Places in the table come back; keys do not.
TEST(ShmFabric, AKeyIsStaleAlsoWhenItsPlaceIsTakenAnew) {
  ShmSide a;
  ShmSide b;
  ASSERT_EQ(a.end->connect(b.end->address()), Errc::kOk);
  ASSERT_EQ(b.end->connect(a.end->address()), Errc::kOk);
  std::byte* at = b.map.data();
  const auto first = b.fabric->register_memory(at, 64, kRemotePut);
  ASSERT_TRUE(first.ok());
  b.fabric->deregister(*first);
  uint32_t again = 0;
  for (uint32_t i = 0; i < kShmRegions; i++) {
    const auto r = b.fabric->register_memory(at, 64, kRemotePut);
    ASSERT_TRUE(r.ok());
    EXPECT_NE(r->remote_key, first->remote_key);
    if (r->handle == first->handle) {
      again++;
      ASSERT_TRUE(a.post(a.request(FabricOp::kPut, 0, 64, remote_region(*first))));
      ASSERT_TRUE(a.wait([&] {
        b.turn();
        return !a.done.empty();
      }));
      EXPECT_EQ(a.done[0].code, FabricCode::kRemoteAccess);
    }
    b.fabric->deregister(*r);
  }
  EXPECT_EQ(again, 1u);
}

int mappings_of(const std::string& name) {
  std::ifstream maps("/proc/self/maps");
  int n = 0;
  for (std::string line; std::getline(maps, line);)
    n += line.find(name) != std::string::npos;
  return n;
}

// Files come and go for as long as a daemon runs: neither places nor mappings may run out.
TEST(ShmFabric, WhatIsForgottenHereIsNotMappedThereAnyMore) {
  ShmSide a;
  ShmSide b;
  ASSERT_EQ(a.end->connect(b.end->address()), Errc::kOk);
  ASSERT_EQ(b.end->connect(a.end->address()), Errc::kOk);
  for (int i = 0; i < 600; i++) {
    auto file = SealedMemory::create("penstock-comes-and-goes", 4096);
    ASSERT_TRUE(file.ok());
    auto map = file->map(Access::kReadWrite);
    ASSERT_TRUE(map.ok());
    ASSERT_EQ(b.fabric->add_memory(file->fd(), map->data(), 4096, Access::kReadWrite), Errc::kOk);
    const auto r = b.fabric->register_memory(map->data(), 4096, kRemotePut);
    ASSERT_TRUE(r.ok());
    std::memset(a.map.data(), i, 4096);
    ASSERT_TRUE(a.post(a.request(FabricOp::kPut, 0, 4096, remote_region(*r))));
    ASSERT_TRUE(a.wait([&] {
      b.turn();
      return a.done.size() == static_cast<size_t>(i) + 1;
    }));
    ASSERT_EQ(a.done.back().code, FabricCode::kOk);
    ASSERT_EQ(std::memcmp(a.map.data(), map->data(), 4096), 0);
    EXPECT_EQ(mappings_of("penstock-comes-and-goes"), 2);
    b.fabric->deregister(*r);
    b.fabric->forget_memory(map->data());
    a.turn();
    EXPECT_EQ(mappings_of("penstock-comes-and-goes"), 1);
  }
}

}  // namespace
}  // namespace penstock::test
