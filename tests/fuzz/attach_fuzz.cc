// A node against clients that say anything on their sockets and write anything into the memory they
// share with it: the input is a list of packets, lies and turns of the node and its workers, in any
// order. Afterwards nothing of them is left, and an honest client is served.
#include <array>
#include <cstdint>
#include <string>

#include "control/node/node.h"
#include "tests/fuzz/guest.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/messages.h"

namespace {

using namespace penstock;
using test::Guest;
using test::Input;
using test::must;

constexpr LaneGeometry kLane{.ring_log2 = 3, .arena_log2 = 12, .topics = 4};
constexpr LaneGeometry kNodesChoice{.ring_log2 = 0, .arena_log2 = 0, .topics = 0};
constexpr uint32_t kWorkers = 2;

NodeConfig config() {
  NodeConfig c;
  c.id = 1;
  c.epoch = 1;
  c.name = "fuzzed";
  c.lane = c.mirror = c.inbox = kLane;
  c.max_arena_bytes = 1 << 16;
  c.workers.assign(kWorkers, IdleConfig{});
  return c;
}

class Game {
 public:
  Game() {
    node_ = Node::create(
        config(), [](std::string_view) {}, error_);
  }

  void play(Input& i) {
    const uint8_t what = i.byte();
    Guest& g = guests_[what / 64 % guests_.size()];
    if (!g.attached()) g.attach(*node_, now_);
    switch (what % 16) {
      case 0:
        now_ += uint64_t{1} << (i.byte() % 36);
        break;
      case 1:
        node_->poll(now_);
        break;
      case 2:
        node_->worker(i.byte() % kWorkers).turn(now_);
        break;
      case 3:
        while (g.hear()) {
        }
        break;
      case 4:
        g.leave();
        break;
      case 5:
        g.send(i.bytes(i.byte() + size_t{i.byte()} * 17), i.byte() % 4);
        break;
      case 6:
        enter(g, i);
        break;
      case 7:
        lie(g, i);
        break;
      case 8:
        publish(g, i);
        break;
      case 9:
        settle(2);
        break;
      default:
        ask(g, what % 16, i);
    }
  }

  void finish() {
    for (Guest& g : guests_)
      g.leave();
    settle(300);
    must(node_->idle());
    must(node_->show("clients") == "[]");
    must(node_->show("lanes") == "[]");
    Guest honest;
    honest.attach(*node_, now_);
    honest.say(attach::Hello{});
    settle(1);
    while (honest.hear()) {
    }
    honest.say(attach::Mapped{});
    honest.say(attach::Declare{.geometry = kNodesChoice, .name = {}});
    settle(1);
    while (honest.hear()) {
    }
    must(honest.positions && honest.lanes.size() == 1);
  }

 private:
  void settle(int rounds) {
    for (int r = 0; r < rounds; r++) {
      now_ += Node::kTickNs / 8;
      for (uint32_t turn = 0; turn < 8 * kWorkers; turn++)
        node_->worker(turn % kWorkers).turn(now_);
      node_->poll(now_);
    }
  }

  // The first words of an honest client, or some of them.
  void enter(Guest& g, Input& i) {
    attach::Hello hello;
    const uint8_t how = i.byte();
    hello.version += static_cast<uint32_t>(how / 250);
    if (how % 8 == 5) {
      constexpr const char* kTenants[] = {"default", "acme", "", "a.b"};
      attach::Tenant tenant;
      peer::set_text(tenant.name, kTenants[i.byte() % 4]);
      g.say(tenant, i);
    }
    g.say(hello, i);
    node_->poll(now_);
    while (g.hear()) {
    }
    g.say(attach::Mapped{}, i);
    node_->poll(now_);
  }

  void ask(Guest& g, int what, Input& i) {
    switch (what) {
      case 10: {
        attach::Declare d;
        d.geometry = kNodesChoice;
        d.kind = static_cast<attach::Kind>(i.byte() % 2);
        if (i.byte() % 4 == 0) d.geometry = odd_geometry(i);
        g.say(d, i);
        break;
      }
      case 11:
        g.say(attach::Mapped{.lane_id = lane(g, i)}, i);
        break;
      case 12: {
        attach::AddTopic t;
        t.lane_id = lane(g, i);
        t.topic = i.byte() % 5;
        set_text(t.name, i);
        g.say(t, i);
        break;
      }
      case 13: {
        attach::Subscribe s;
        s.inbox = kNodesChoice;
        const uint8_t how = i.byte();
        s.mode = static_cast<attach::Mode>(how % 2);
        s.overflow.policy = static_cast<attach::Policy>(how / 2 % 2 != 0 ? i.byte() % 6 : 0);
        if (how / 4 % 8 == 0) s.inbox = odd_geometry(i);
        s.path = static_cast<attach::PathPolicy>(how / 32 % 4);
        set_text(s.filter, i);
        g.say(s, i);
        break;
      }
      case 14:
        give_up(g, i);
        break;
      default: {
        constexpr const char* kQuestions[] = {"lanes", "links", "ports",    "clients", "drops",
                                              "node",  "",      "\xff\x01", "lanes",   "topology"};
        const uint8_t question = i.byte();
        if (question >= 0xe0) return anything(g, i);
        attach::Query q;
        peer::set_text(q.text, kQuestions[question % 10]);
        g.say(q, i);
      }
    }
  }

  // Any packet at any time, almost empty.
  static void anything(Guest& g, Input& i) {
    test::ClientMessages::with(i.byte(), [&](auto m) {
      test::scribble(test::contents(m), i);
      g.say(m, i);
    });
  }

  void give_up(Guest& g, Input& i) {
    switch (i.byte() % 3) {
      case 0: {
        const uint64_t known = g.subscriptions.empty() ? 0 : pick(g.subscriptions, i);
        g.say(attach::Unsubscribe{.subscription = known}, i);
        break;
      }
      case 1:
        g.say(attach::CloseLane{.lane_id = lane(g, i)}, i);
        break;
      default: {
        attach::Released r;
        if (!g.joins.empty()) {
          const attach::Join& j = pick(g.joins, i);
          r.lane_id = j.lane_id;
          r.slot = j.slot;
          r.generation = j.generation;
        }
        g.say(r, i);
      }
    }
  }

  // A word of the memory that the client writes and the node reads.
  void lie(Guest& g, Input& i) {
    const uint8_t where = i.byte();
    if (where % 4 == 0 && g.bells) {
      auto* page = reinterpret_cast<BellPage*>(g.bells.data());
      page->worker[where / 4 % kWorkers].bits[i.byte() % 8].set_bits(i.near(9));
    } else if (where % 4 == 1 && !g.lanes.empty()) {
      Guest::Lane& l = pick(g.lanes, i);
      const uint64_t at = i.near(136) * 8;  // the header's head is not far
      if (!l.memory || at >= l.memory.size()) return;
      reinterpret_cast<SharedWord*>(l.memory.data() + at)->store(i.near(8));
    } else if (g.positions && !g.joins.empty()) {
      const attach::Join& j = pick(g.joins, i);
      ReaderSlot& s = reinterpret_cast<PositionTable*>(g.positions.data())->slots[j.slot % 512];
      s.generation.store(j.generation);
      (where % 4 == 2       ? s.position
       : where / 4 % 2 == 0 ? s.overrun
                            : s.malformed)
          .store(i.near(j.start + 8));
    }
  }

  // Messages, numbered as they should be or nearly.
  void publish(Guest& g, Input& i) {
    if (g.lanes.empty()) return;
    Guest::Lane& l = pick(g.lanes, i);
    if (!l.memory || l.geometry.total_bytes() > l.memory.size()) return;
    auto* header = reinterpret_cast<LaneHeader*>(l.memory.data());
    auto* ring = reinterpret_cast<Descriptor*>(l.memory.data() + l.geometry.ring_at());
    for (int n = i.byte() % 12; n > 0; n--) {
      const uint64_t head = header->head.load();
      Descriptor& d = ring[head & (l.geometry.ring_size() - 1)];
      const uint8_t how = i.byte();
      const uint64_t len = how < 200 ? how : i.near(l.geometry.arena_size());
      d.arena_pos.set(how % 8 == 7 ? i.near(0) : 0);
      d.shape.set(pack_shape(len, how % 5, how % 16 == 15 ? i.byte() : 0));
      d.stamp.store(how % 32 == 31 ? i.near(head + 9) : head + 1);
      header->head.store(head + 1);
    }
  }

  template <class T>
  static T& pick(std::vector<T>& all, Input& i) {
    return all[i.byte() % all.size()];
  }
  static uint64_t lane(Guest& g, Input& i) {
    if (g.lanes.empty() || i.byte() % 16 == 0) return i.near((uint64_t{1} << 32) + 8);
    return pick(g.lanes, i).id;
  }
  static LaneGeometry odd_geometry(Input& i) {
    return {.ring_log2 = i.byte() % 32u, .arena_log2 = i.byte() % 40u, .topics = i.byte() % 9u};
  }
  template <size_t N>
  static void set_text(char (&field)[N], Input& i) {
    constexpr const char* kTexts[] = {"a", "b", "a.b", "#", "*", "a.#", "", "a..b"};
    peer::set_text(field, kTexts[i.byte() % 8]);
    if (i.byte() % 32 == 0) std::memset(field, 'x', N);
  }

  std::string error_;
  std::unique_ptr<Node> node_;
  std::array<Guest, 3> guests_;
  uint64_t now_ = 1'000'000'000;
};

// The number that the next descriptor gets: the same before and after, or one was left open.
int next_descriptor() {
  const Fd probe(dup(0));
  return probe.get();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int before = next_descriptor();
  {
    Input input(data, size);
    Game game;
    while (input.more())
      game.play(input);
    game.finish();
  }
  must(next_descriptor() == before);
  return 0;
}
