// ScriptedNode: what a client's control socket is joined to under the fuzzer, instead of a
// kernel's. It answers as a node would, with true memory of the right size, but for what its input
// changes: fields, lengths, and which descriptors come along.
//
//   client ──ControlSocket::send──▶ ScriptedNode::heard ─┐ remembers the question
//   client ◀──ControlSocket::receive── say ◀─────────────┘ input: answer, something unasked,
//   nothing
#pragma once

#include <cstring>
#include <vector>

#include "dataplane/base/event.h"
#include "dataplane/base/sealed_memory.h"
#include "dataplane/client/control_socket.h"
#include "dataplane/lane/node_page.h"
#include "dataplane/lane/writer.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/messages.h"

namespace penstock::test {

class ScriptedNode {
 public:
  static constexpr LaneGeometry kLane{.ring_log2 = 2, .arena_log2 = 12, .topics = 2};

  explicit ScriptedNode(Input& input) : input_(input) { current = this; }
  ScriptedNode(const ScriptedNode&) = delete;
  ScriptedNode& operator=(const ScriptedNode&) = delete;
  ~ScriptedNode() { current = nullptr; }
  // Whom the sockets of this process are joined to.
  inline static ScriptedNode* current = nullptr;

  void heard(std::span<const std::byte> packet) {
    if (packet.size() >= sizeof asked_) std::memcpy(&asked_, packet.data(), sizeof asked_);
  }
  bool more() const { return input_.more(); }

  client::ControlSocket::Got say(client::Packet& packet) {
    packet.len = packet.fd_count = 0;
    for (Fd& fd : packet.fds)
      fd.reset();
    using Got = client::ControlSocket::Got;
    if (!input_.more()) return Got::kGone;
    const uint8_t what = input_.byte();
    if (what % 8 == 0) return Got::kNothing;
    if (what == 255) return Got::kBad;
    if (what % 8 < 5) {
      answer(packet);
    } else {
      unasked(packet, what / 8 % 7);
    }
    const uint8_t how = input_.byte();
    for (int n = how >> 6; n > 0; n--)
      packet.bytes[input_.near(8) % packet.bytes.size()] = std::byte{input_.byte()};
    if (how % 64 == 1) packet.len = 8 + input_.near(packet.len) % (attach::kMaxPacket - 8);
    if (how % 64 == 2 && packet.fd_count != 0) packet.fds[--packet.fd_count].reset();
    if (how % 64 == 3 && packet.fd_count != 0)
      std::swap(packet.fds[0], packet.fds[packet.fd_count - 1]);
    if (how % 64 == 4) give(packet, Fd(*make_event()));
    return Got::kPacket;
  }

  // Another process writes something into what the client reads.
  void scribble() {
    if (lanes_.empty()) return;
    Shared& l = lanes_[input_.byte() % lanes_.size()];
    const uint8_t what = input_.byte();
    if (what % 4 == 0) {
      const uint64_t at = input_.near(8) * 8 % l.map.size();
      reinterpret_cast<SharedWord*>(l.map.data() + (at & ~uint64_t{7}))->store(input_.near(8));
      return;
    }
    auto* header = reinterpret_cast<LaneHeader*>(l.map.data());
    if (l.is_page) {
      auto* page = reinterpret_cast<NodePage*>(l.map.data());
      ReaderMark& mark = page->marks[input_.byte() % 4];
      mark.state.store(pack_mark(static_cast<ReaderState>(what / 4 % 4), input_.byte()));
      if (what > 200) page->closed.store(input_.byte());
      page->generation.store(page->generation.load() + 1);
      return;
    }
    const uint64_t head = header->head.load();
    auto* d = reinterpret_cast<Descriptor*>(l.map.data() + kLane.ring_at()) + head % 4;
    d->arena_pos.set(input_.near(8));
    d->shape.set(pack_shape(input_.near(16), input_.byte() % 3, what > 200 ? input_.byte() : 0));
    d->stamp.store(input_.near(head + 9));
    header->head.store(input_.near(head + 9));
  }

 private:
  struct Shared {
    SealedMemory memory;
    Mapping map;
    bool is_page;
  };

  template <class T>
  void put(client::Packet& packet, T m, uint32_t request) {
    m.header.request = request;
    std::memcpy(packet.bytes.data(), &m, sizeof m);
    packet.len = sizeof m;
  }
  static void give(client::Packet& packet, Fd fd) {
    if (packet.fd_count < packet.fds.size()) packet.fds[packet.fd_count++] = std::move(fd);
  }
  // Memory that the client may write, or may only read while this side writes.
  Fd memory(uint64_t bytes, Access of_client, uint64_t lane_id = 0) {
    auto m = SealedMemory::create("scripted", bytes);
    must(m.ok());
    Shared s{std::move(*m), {}, bytes == sizeof(NodePage)};
    s.map = std::move(*s.memory.map(Access::kReadWrite));
    if (lane_id != 0) LaneWriter::format(s.map.data(), kLane, lane_id, 1);
    if (of_client == Access::kReadWrite) return Fd(dup(s.memory.fd()));
    must(s.memory.seal_writes() == Errc::kOk);
    Fd fd = std::move(*s.memory.read_only_fd());
    lanes_.push_back(std::move(s));
    return fd;
  }

  void answer(client::Packet& packet) {
    using attach::Type;
    const uint32_t request = asked_.request;
    switch (asked_.type) {
      case Type::kHello: {
        attach::Welcome w;
        w.workers = input_.byte() % 4;
        put(packet, w, request);
        give(packet, memory(sizeof(PositionTable), Access::kReadWrite));
        give(packet, memory(sizeof(BellPage), Access::kReadWrite));
        give(packet, memory(sizeof(attach::WorkerPage), Access::kRead));
        for (uint32_t i = 0; i < w.workers; i++)
          give(packet, Fd(*make_event()));
        break;
      }
      case Type::kDeclare: {
        attach::Declared d;
        d.lane_id = ++made_;
        d.geometry = kLane;
        d.bell_slot = input_.byte();
        put(packet, d, request);
        give(packet, memory(kLane.total_bytes(), Access::kReadWrite, d.lane_id));
        give(packet, memory(sizeof(NodePage), Access::kRead));
        break;
      }
      case Type::kSubscribe:
        put(packet, attach::Subscribed{.subscription = 1 + input_.byte() % 3u}, request);
        give(packet, Fd(*make_event()));
        break;
      case Type::kQuery: {
        attach::Answer a;
        a.bytes = input_.byte();
        put(packet, a, request);
        give(packet, memory(4096, Access::kRead));
        break;
      }
      default:
        put(packet, attach::Ok{}, request);
    }
  }

  void unasked(client::Packet& packet, int what) {
    switch (what) {
      case 0:
      case 1: {
        attach::Join j;
        j.subscription = 1 + input_.byte() % 3u;
        j.lane_id = 100 + input_.byte() % 4u;
        j.start = input_.byte() % 4;
        j.geometry = kLane;
        j.index = input_.byte() % 4;
        j.generation = input_.byte() % 4 + 1u;
        j.slot = input_.byte() % 8;
        j.lossy = input_.byte() % 2;
        j.inbox = input_.byte() % 2;
        put(packet, j, 0);
        give(packet, memory(kLane.total_bytes(), Access::kRead, j.lane_id));
        give(packet, memory(sizeof(NodePage), Access::kRead));
        break;
      }
      case 2: {
        attach::Reader r;
        r.lane_id = input_.byte() % 3;
        r.index = input_.byte() % 4;
        r.generation = input_.byte() % 4 + 1u;
        r.table = 1 + input_.byte() % 3u;
        r.slot = input_.byte() % 8;
        r.worker = input_.byte() % 4 - 1;
        put(packet, r, 0);
        give(packet, memory(sizeof(PositionTable), Access::kRead));
        if (r.worker < 0) give(packet, Fd(*make_event()));
        break;
      }
      case 3: {
        attach::ReaderGone g;
        g.lane_id = input_.byte() % 3;
        g.index = input_.byte() % 4;
        g.generation = input_.byte() % 4 + 1u;
        g.table = input_.byte() % 4;
        put(packet, g, 0);
        break;
      }
      case 4: {
        attach::Leave l;
        l.subscription = 1 + input_.byte() % 3u;
        l.lane_id = 100 + input_.byte() % 4u;
        l.slot = input_.byte() % 8;
        l.generation = input_.byte() % 4 + 1u;
        put(packet, l, 0);
        break;
      }
      case 5: {
        attach::Error e;
        e.code = input_.byte();
        const uint8_t how = input_.byte();
        put(packet, e, how % 2 == 0 ? asked_.request : 0);
        if (how >= 0xf8) {
          put(packet, attach::Ended{.subscription = 1 + e.code % 3u, .text = "too slow"}, 0);
        } else if (how >= 0xf0) {
          NodeMessages::with(e.code, [&](auto m) {
            test::scribble(contents(m), input_);
            put(packet, m, how % 2 == 0 ? asked_.request : 0);
          });
        }
        break;
      }
      default:
        packet.len = 8 + input_.byte();
        for (size_t i = 0; i < packet.len; i++)
          packet.bytes[i] = std::byte{input_.byte()};
    }
  }

  Input& input_;
  attach::Header asked_{attach::Type::kHello, 0};
  uint64_t made_ = 0;
  std::vector<Shared> lanes_;
};

}  // namespace penstock::test
