// A process of the same user that does not keep to the rules of shared memory: it speaks to the
// socket by itself, and writes what it likes where it can.
#include <cstring>
#include <gtest/gtest.h>
#include <random>

#include "drivers/shm/shm_socket.h"
#include "rdma/memory_table.h"
#include "tests/drivers/shm/shm_side.h"
#include "tests/support/seeds.h"

namespace penstock::test {
namespace {

uint64_t device_of(const Endpoint& e) {
  uint64_t device = 0;
  std::memcpy(&device, e.address().data() + 8, sizeof device);
  return device;
}

// One that is put to: it answers the door, with a table of its own making.
struct FalseTarget {
  FalseTarget() {
    auto l = shm_listen(device);
    must(l.ok());
    listener = std::move(*l);
    table_file = make("table", sizeof(ShmTable), true);
    ring_file = make("ring", shm_ring_bytes(64), false);
    memory_file = make("memory", 4096, false);
  }
  struct File {
    SealedMemory memory;
    Mapping map;
  };
  static File make(const char* name, uint64_t bytes, bool sealed) {
    File f;
    auto m = SealedMemory::create(name, bytes);
    must(m.ok());
    f.memory = std::move(*m);
    auto map = f.memory.map(Access::kReadWrite);
    must(map.ok());
    f.map = std::move(*map);
    if (sealed) must(f.memory.seal_writes() == Errc::kOk);
    return f;
  }
  ShmTable* table() { return reinterpret_cast<ShmTable*>(table_file.map.data()); }

  void let_in() {
    auto s = shm_accept(listener.get());
    must(s.ok());
    socket = std::move(*s);
  }
  void say(ShmWord word, uint32_t number, uint64_t bytes, int fd) {
    ShmMessage m;
    m.word = word;
    m.number = number;
    m.bytes = bytes;
    m.writable = 1;
    (void)shm_send(socket.get(), m, fd);
  }
  void say_all(uint32_t receives = 64) {
    table()->magic = kShmMagic;
    table()->device = device;
    say(ShmWord::kTable, 0, table_file.memory.bytes(), table_file.memory.fd());
    say(ShmWord::kRing, receives, ring_file.memory.bytes(), ring_file.memory.fd());
    say(ShmWord::kSegment, 0, 4096, memory_file.memory.fd());
  }
  EndpointAddress address() const {
    EndpointAddress a{};
    const uint64_t words[3] = {kShmMagic, device, shm_name(7, 0)};
    std::memcpy(a.data(), words, sizeof words);
    return a;
  }
  // As if endpoint 0 were joined with whoever connected.
  void open_gate(uint64_t peer, uint64_t peer_device) {
    ShmEntry& e = table()->endpoints[0];
    e.peer.set(peer);
    e.peer_device.set(peer_device);
    e.gate.store(static_cast<uint64_t>(ShmGate::kOpen));
    e.name.store(shm_name(7, 0));
  }

  uint64_t device = std::random_device()();
  Fd listener;
  Fd socket;
  File table_file;
  File ring_file;
  File memory_file;
};

uint64_t name_of(const Endpoint& e) {
  uint64_t name = 0;
  std::memcpy(&name, e.address().data() + 16, sizeof name);
  return name;
}

FabricCode put_one(ShmSide& s, const RemoteRegion& there, uint32_t bytes) {
  const size_t before = s.done.size();
  must(s.post(s.request(FabricOp::kPut, 0, bytes, there)));
  must(s.wait([&] { return s.done.size() > before; }));
  return s.done[before].code;
}

uint32_t key_of(uint32_t place, uint32_t life) {
  return MemoryTable::remote_key(place, life);
}

// The table says that a region is larger than the file it lies in, or lies behind its end.
TEST(ShmHostile, ATableThatLiesAboutAFileIsNotBelieved) {
  struct Lie {
    uint64_t offset, bytes;
    uint32_t segment;
  };
  for (const Lie& lie : {Lie{0, 1 << 20, 0}, Lie{4000, 200, 0}, Lie{~uint64_t{0} - 10, 200, 0},
                         Lie{1 << 20, 200, 0}, Lie{0, 4096, kShmSegments}}) {
    FalseTarget target;
    ShmSide s;
    ASSERT_EQ(s.end->connect(target.address()), Errc::kOk);
    target.let_in();
    target.open_gate(name_of(*s.end), device_of(*s.end));
    target.say_all();
    ShmRegion& r = target.table()->regions[3];
    r.offset.set(lie.offset);
    r.bytes.set(lie.bytes);
    r.segment.set(lie.segment);
    r.rights.set(kRemotePut);
    r.life.store(5);
    const uint32_t bytes = lie.bytes > 4096 ? 4097 : 200;
    EXPECT_EQ(put_one(s, {0, bytes, key_of(3, 5)}, bytes), FabricCode::kRemoteAccess);
  }
}

TEST(ShmHostile, WhatIsNoTableOrRingEndsInATimeout) {
  for (int what = 0; what < 6; what++) {
    SCOPED_TRACE(what);
    FalseTarget t;
    ShmSide s({.timeout_ns = 50'000'000});
    ASSERT_EQ(s.end->connect(t.address()), Errc::kOk);
    t.let_in();
    if (what == 0) t.say(ShmWord::kRing, 64, t.ring_file.memory.bytes(), t.ring_file.memory.fd());
    if (what == 1) t.say(ShmWord::kTable, 0, 1, t.table_file.memory.fd());
    if (what == 2) t.say(ShmWord::kTable, 0, t.table_file.memory.bytes(), -1);
    if (what == 3) t.say_all(1 << 20);  // more receives than the file has room for
    if (what == 4) t.say_all(0);
    if (what == 5) {
      t.say_all();
      t.say(ShmWord::kSegmentGone, 9, 0, -1);
    }
    EXPECT_EQ(put_one(s, {0, 64, key_of(0, 1)}, 64), FabricCode::kTimeout);
  }
}

// Whatever its table, ring and messages are, a device that puts to it ends in an error or not at
// all, and writes nowhere but into its file.
TEST(ShmHostile, ATargetOfRandomBytesHarmsNobody) {
  for (uint64_t seed = 0; seed < seeds(40); seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 dice(seed);
    FalseTarget t;
    ShmSide s({.timeout_ns = 2'000'000});
    ASSERT_EQ(s.end->connect(t.address()), Errc::kOk);
    t.let_in();
    t.say_all(1 + static_cast<uint32_t>(dice() % 64));
    t.open_gate(name_of(*s.end), device_of(*s.end));
    for (int i = 0; i < 60 && s.end->state() == Endpoint::State::kReady; i++) {
      for (uint32_t place = 0; place < 8; place++) {
        ShmRegion& r = t.table()->regions[place];
        r.offset.set(dice() >> dice() % 64);
        r.bytes.set(dice() >> dice() % 64);
        r.segment.set(static_cast<uint32_t>(dice() % 3 == 0 ? dice() : 0));
        r.rights.set(static_cast<uint32_t>(dice()));
        r.life.store(1 + dice() % 2);
      }
      auto* ring = reinterpret_cast<SharedWord*>(t.ring_file.map.data());
      ring->store(dice() >> dice() % 64);
      if (dice() % 20 == 0)
        t.say(static_cast<ShmWord>(dice() % 6), static_cast<uint32_t>(dice() % 300), dice() % 9000,
              dice() % 2 == 0 ? t.memory_file.memory.fd() : -1);
      FabricRequest r =
          s.request(static_cast<FabricOp>(dice() % 4), 0, static_cast<uint32_t>(dice() % 5000), {});
      r.remote_address = dice() % 2 == 0 ? dice() % 5000 : dice();
      r.remote_key = key_of(static_cast<uint32_t>(dice() % 8), 1);
      (void)s.post(r);
      s.turn();
    }
    s.end->stop();
    ASSERT_TRUE(s.wait([&] { return !s.done.empty(); }));
  }
}

// One that puts: it connects, and writes what it likes into its ring.
TEST(ShmHostile, ARingOfRandomBytesEndsItsWayAndNoOther) {
  ShmSide a({.receive_depth = 64});
  ShmSide b({.receive_depth = 64});
  ASSERT_EQ(a.end->connect(b.end->address()), Errc::kOk);
  ASSERT_EQ(b.end->connect(a.end->address()), Errc::kOk);
  uint32_t sent = 0;
  for (uint64_t seed = 0; seed < seeds(40); seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 dice(seed);
    auto socket = shm_connect(device_of(*b.end));
    ASSERT_TRUE(socket.ok());
    Mapping ring;
    ASSERT_TRUE(b.wait([&] {
      ShmMessage m;
      Fd fd;
      if (shm_receive(socket->get(), m, fd) != Errc::kOk || m.word != ShmWord::kRing) return false;
      auto map = Mapping::open(fd.get(), m.bytes, Access::kReadWrite);
      must(map.ok());
      ring = std::move(*map);
      return true;
    }));
    auto* words = reinterpret_cast<SharedWord*>(ring.data());
    for (int i = 0; i < 30; i++) {
      for (int k = 0; k < 4; k++)
        words[dice() % (ring.size() / 8)].store(dice());
      words[kPair / 8].store(dice() % 3 == 0 ? dice() : static_cast<uint64_t>(i));
      if (dice() % 10 == 0) (void)send(socket->get(), "x", 1, MSG_NOSIGNAL);
      b.turn();
    }
    EXPECT_TRUE(b.landed.empty()) << "nobody knows the name of b's endpoint";
    // b still listens to a, which still sends.
    for (int i = 0; i < 5; i++) {
      FabricRequest r = a.request(FabricOp::kPutImmediate, 0, 100, remote_region(b.registration));
      r.immediate = sent++;
      ASSERT_TRUE(a.post(r));
      ASSERT_TRUE(b.wait([&] {
        a.turn();
        return !b.landed.empty();
      }));
      EXPECT_EQ(b.landed[0].immediate, r.immediate);
      b.landed.clear();
    }
  }
}

// It says that it is in the middle of a copy and does not come out: the device gives up, in time.
TEST(ShmHostile, AWriterThatNeverComesOutMakesTheDeviceFatal) {
  ShmSide b({.patience_ns = 20'000'000});
  auto socket = shm_connect(device_of(*b.end));
  ASSERT_TRUE(socket.ok());
  Mapping ring;
  ASSERT_TRUE(b.wait([&] {
    ShmMessage m;
    Fd fd;
    if (shm_receive(socket->get(), m, fd) != Errc::kOk || m.word != ShmWord::kRing) return false;
    auto map = Mapping::open(fd.get(), m.bytes, Access::kReadWrite);
    must(map.ok());
    ring = std::move(*map);
    return true;
  }));
  reinterpret_cast<ShmRing*>(ring.data())->visit.enter();
  b.end->stop();
  std::array<FabricEvent, 4> e;
  ASSERT_EQ(b.fabric->events(e), 1u);
  EXPECT_EQ(e[0].kind, FabricEventKind::kDeviceFatal);
  EXPECT_EQ(b.fabric->events(e), 0u);
  EXPECT_FALSE(b.fabric->port_up());
  EXPECT_EQ(b.fabric->create_endpoint().error(), Errc::kClosed);
}

}  // namespace
}  // namespace penstock::test
