// PutRelayTest: a node between a source that is played frame by frame, and a peer whose end of the
// connection by RDMA is played put by put.
#pragma once

#include <cstring>
#include <gtest/gtest.h>
#include <memory>

#include "dataplane/fabric_port.h"
#include "dataplane/link/peers.h"
#include "dataplane/rails.h"
#include "dataplane/wire/ack.h"
#include "dataplane/wire/relay.h"
#include "drivers/sim/sim_fabric.h"
#include "tests/support/scripted_peer.h"
#include "tests/support/test_lane.h"

namespace penstock::test {

inline LinkConfig to_node(uint64_t node, uint32_t index) {
  LinkConfig c = ScriptedPeer::config();
  c.peer_id = node;
  c.index = index;
  return c;
}

// The other end, by hand.
struct Hand final : Connection::Sink {
  void arrived(const Connection::Put& /*put*/) override {}
  bool begun(const PutRecord& transfer) override {
    records.push_back(transfer);
    return true;
  }
  void landed(const PutRecord& /*transfer*/, uint64_t /*offset*/, uint64_t bytes) override {
    landed_bytes += bytes;
  }
  bool noted(const PassNote& note) override {
    notes.push_back(note);
    return true;
  }
  std::vector<PutRecord> records;
  std::vector<PassNote> notes;
  uint64_t landed_bytes = 0;
};

// This node, with links to node 2, the source of its mirror, and to node 3, by RDMA as well.
class PutRelayTest : public ::testing::Test {
 protected:
  static constexpr LaneGeometry kLane{.ring_log2 = 3, .arena_log2 = 14, .topics = 2};  // 16 KiB
  static constexpr uint32_t kLen = 4096;
  static constexpr uint32_t kWindow = 64;
  static constexpr uint64_t kMs = 1'000'000;

  PutRelayTest()
      : two(to_node(2, 9)),
        three(to_node(3, 10)),
        rails(three.link, 2 << 20),
        path(rails, &ours, 1'000'000'000),
        port(ours),
        mirror(kLane),
        reader(mirror.read()),
        in(5, 1, mirror.writer(), 42),
        memory(1 << 16) {
    two.connect();
    three.connect();
    peers.add(&two.link);
    peers.add(&three.link);
    in.set_region(&mirror.region());
    EXPECT_EQ(two.link.add_in(&in), Errc::kOk);
    net.advance(two.now);
    arena = *ours.register_memory(const_cast<std::byte*>(mirror.region().base) + kLane.arena_at(),
                                  kLane.arena_size(), kRemotePut);
    place = *theirs.register_memory(memory.data(), memory.size(), kRemotePut);
    in.let_put({&ours, arena.remote_address, arena.remote_key, arena.local_key});
    open(ours, path_end);
    open(theirs, hand_end);
    (void)path_end.endpoint->connect(hand_end.endpoint->address());
    (void)hand_end.endpoint->connect(path_end.endpoint->address());
    join(path_end, hand_end);
    join(hand_end, path_end);
    path.open(path_end.connection.get(), path_end.endpoint.get(), three.began);
    port.add(&path);
    turn();
  }
  ~PutRelayTest() override {
    (void)two.link.remove_in(5);
    peers.remove(&two.link);
    peers.remove(&three.link);
    path_end.connection.reset();
    hand_end.connection.reset();
    path_end.endpoint.reset();
    hand_end.endpoint.reset();
  }

  struct End {
    SimFabric* fabric = nullptr;
    std::unique_ptr<Landing> landing = std::make_unique<Landing>();
    Registration memory;
    std::unique_ptr<Endpoint> endpoint;
    std::unique_ptr<Connection> connection;
  };
  static void open(SimFabric& fabric, End& end) {
    end.fabric = &fabric;
    end.landing->granted.store(kWindow);
    end.memory = *fabric.register_memory(reinterpret_cast<std::byte*>(end.landing.get()),
                                         sizeof(Landing), kRemotePut);
    end.endpoint = std::move(*fabric.create_endpoint());
  }
  static void join(End& end, const End& other) {
    end.connection = std::make_unique<Connection>(
        *end.endpoint, *end.landing,
        Connection::Config{.send_depth = end.fabric->limits().send_depth,
                           .max_message = end.fabric->limits().max_message,
                           .window = kWindow,
                           .peer_window = kWindow,
                           .peer_landing = remote_region(other.memory)});
  }

  // Both ends, for a while; the hand's only when it is not idle.
  void turn(uint64_t ns = 20'000) {
    for (const uint64_t until = two.now + ns; two.now < until;) {
      two.now = three.now =
          two.now + std::min<uint64_t>(ns, until - two.now < 1000 ? 1000 : ns / 20);
      net.advance(two.now);
      port.poll(two.now);
      if (idle) continue;
      std::array<FabricCompletion, 32> c;
      std::array<FabricImmediate, 32> i;
      const Fabric::Polled n = theirs.poll(c, i);
      for (size_t k = 0; k < n.completions; k++)
        hand_end.connection->on_completion(c[k]);
      for (size_t k = 0; k < n.immediates; k++)
        hand_end.connection->on_immediate(i[k], hand);
      (void)hand_end.connection->poll(hand);
    }
  }

  static FragmentHeader piece(uint64_t offset, uint32_t len, uint64_t position) {
    return {.alias = 5,
            .epoch = 1,
            .position = position,
            .arena_position = position * kLen,
            .message_len = kLen,
            .offset = offset,
            .source = position,
            .piece_len = len};
  }
  Drop give(uint64_t offset, uint32_t len, uint64_t position = 0) {
    return two.give_piece(piece(offset, len, position), std::span(bytes).subspan(offset, len));
  }
  void give_all(uint64_t position) {
    for (uint32_t at = 0; at < kLen; at += 1024)
      (void)give(at, 1024, position);
  }
  Drop announce(uint64_t position = 0, uint64_t relay = 3) {
    Bytes b(kFragmentHeaderSize + 64 + kAnnounceTailSize);
    write_fragment(piece(0, 64, position), b);
    std::memcpy(&b[kFragmentHeaderSize], bytes.data(), 64);
    write_announce_tail(relay, true, &b[kFragmentHeaderSize + 64]);
    return two.give(FrameType::kAnnounce, b);
  }
  Drop pass(uint64_t position = 0, uint64_t to_position = 7) {
    Bytes b(kPassSize);
    write_pass({5, 1, position, position * kLen, kLen, 3, 77, 6, 2, to_position, true}, b);
    return two.give(FrameType::kPass, b);
  }
  void ask(uint64_t to_position = 7, uint64_t source = 2, uint64_t len = kLen) {
    ASSERT_TRUE(hand_end.connection->note({.kind = PassNote::Kind::kGrant,
                                           .connection = 77,
                                           .alias = 6,
                                           .epoch = 2,
                                           .position = to_position,
                                           .message_len = len,
                                           .address = place.remote_address + 128,
                                           .key = place.remote_key,
                                           .source = source}));
    (void)hand_end.connection->poll(hand);
  }
  void grant(uint64_t to_position = 7) {
    ask(to_position);
    turn();
  }
  // The hand puts all of a message that it was asked for.
  void put(const PassNote& asked) {
    std::memcpy(memory.data(), bytes.data(), kLen);
    FragmentHeader h;
    h.alias = asked.alias;
    h.epoch = asked.epoch;
    h.position = asked.position;
    h.message_len = kLen;
    h.parts = 1;
    ASSERT_TRUE(hand_end.connection->put({.from = memory.data(),
                                          .bytes = kLen,
                                          .local_key = place.local_key,
                                          .remote_address = asked.address,
                                          .remote_key = asked.key,
                                          .message = h,
                                          .connection = asked.connection}));
    turn();
  }
  void say_over(PassNote asked) {
    asked.kind = PassNote::Kind::kOver;
    asked.message_len = asked.address = asked.key = 0;
    asked.source = 0;
    ASSERT_TRUE(hand_end.connection->note(asked));
    turn();
  }
  // Of all that comes; each has to have the right bytes.
  size_t read() {
    size_t n = 0;
    Message m;
    for (; reader.next(m) != LaneReader::Next::kEmpty; n++)
      EXPECT_EQ(Bytes(m.data, m.data + m.len), bytes);
    reader.release();
    return n;
  }
  // The last credit that the source gets.
  uint64_t credit() {
    uint64_t at = 0;
    two.now = three.now = two.now + 10 * kMs;
    two.give_ping(kHopAckNow);
    for (const auto& f : two.take(FrameType::kAck)) {
      const auto ack = parse_ack(f.span());
      for (size_t i = 0; i < ack->credits.size(); i++)
        at = ack->credits[i].arena_position;
    }
    return at;
  }

  SimFabricNet net{1};
  SimFabric& ours{net.add()};
  SimFabric& theirs{net.add()};
  ScriptedPeer two, three;
  Peers peers;
  Rails rails;
  RdmaPath path;
  FabricPort port;
  TestLane mirror;
  LaneReader reader;
  InLane in;
  Bytes memory;  // the hand's
  Registration arena, place;
  End path_end, hand_end;
  Hand hand;
  bool idle = false;  // the hand's worker stands still
  const Bytes bytes = [] {
    Bytes b(kLen);
    for (size_t i = 0; i < kLen; i++)
      b[i] = static_cast<std::byte>(i * 7 + i / 256);
    return b;
  }();
};

}  // namespace penstock::test
