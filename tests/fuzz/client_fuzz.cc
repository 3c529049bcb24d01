// The client library against a node that says anything: the input is a list of calls of the library
// and of what the node says meanwhile. Whatever comes, a call returns, and what it hands out lies
// inside the memory that was mapped.
#include <array>
#include <cstdint>

#include "dataplane/client/penstock.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/scripted_node.h"

namespace {

using penstock::test::Input;
using penstock::test::must;
using penstock::test::ScriptedNode;

class Game {
 public:
  explicit Game(Input& i) : i_(i), node_(i) {
    if (penstock_attach("scripted", "fuzzed", &client_) != PENSTOCK_OK) client_ = nullptr;
  }
  Game(const Game&) = delete;
  Game& operator=(const Game&) = delete;
  // Any order of closing is allowed; the input's last words choose it.
  ~Game() {
    const bool client_first = i_.byte() % 2 != 0;
    if (client_first) penstock_close(client_);
    for (penstock_sender* s : senders_)
      penstock_sender_close(s);
    for (penstock_receiver* r : receivers_)
      penstock_receiver_close(r);
    if (!client_first) penstock_close(client_);
  }

  bool attached() const { return client_ != nullptr; }
  void play() {
    const uint8_t what = i_.byte();
    penstock_sender*& s = senders_[what / 16 % 2];
    penstock_receiver*& r = receivers_[what / 16 % 2];
    switch (what % 16) {
      case 0:
        if (s == nullptr) (void)penstock_publisher(client_, nullptr, &s);
        break;
      case 1:
        if (s == nullptr) (void)penstock_pusher(client_, nullptr, &s);
        break;
      case 2:
        subscribe(r);
        break;
      case 3:
        if (r == nullptr) (void)penstock_puller(client_, "#", nullptr, &r);
        break;
      case 4:
        node_.scribble();
        break;
      case 5:
        query();
        break;
      case 6:
        penstock_sender_close(s);
        s = nullptr;
        break;
      case 7:
        penstock_receiver_close(r);
        r = nullptr;
        break;
      case 8:
      case 9:
        if (s != nullptr) (void)penstock_topic(s, i_.byte() % 2 == 0 ? "a" : "b.c", &topic_);
        break;
      case 10:
      case 11:
        send(s);
        break;
      default:
        receive(r);
    }
  }

 private:
  void subscribe(penstock_receiver*& r) {
    if (r != nullptr) return;
    penstock_subscriber_options o{};
    o.policy = i_.byte() % 6;
    o.limit_messages = o.policy % 2 == 0 ? 0 : i_.byte() % 4;
    o.path = i_.byte() % 4;
    (void)penstock_subscriber(client_, i_.byte() % 2 == 0 ? "#" : "a", &o, &r);
  }
  void query() {
    char* text = nullptr;
    if (penstock_query(client_, "lanes", &text) != PENSTOCK_OK) return;
    must(std::strlen(text) <= 255 + 1);
    penstock_free(text);
  }
  void send(penstock_sender* s) {
    if (s == nullptr) return;
    constexpr std::array<char, 300> kBytes{};
    for (int n = i_.byte() % 8; n >= 0; n--)
      (void)penstock_send_key(s, topic_, i_.byte() % 3, kBytes.data(), i_.byte());
  }
  // Every byte of a message is read, and of each of its parts.
  void receive(penstock_receiver* r) {
    if (r == nullptr) return;
    for (int n = i_.byte() % 8; n >= 0; n--) {
      penstock_message m{};
      if (penstock_recv(r, &m, 0) != PENSTOCK_OK) return;
      must(m.len <= ScriptedNode::kLane.arena_size());
      read({static_cast<const uint8_t*>(m.data), m.len});
      for (uint32_t k = 0; k < m.parts && k < 4; k++) {
        penstock_bytes part{};
        if (penstock_part(&m, k, &part) == PENSTOCK_OK)
          read({static_cast<const uint8_t*>(part.data), part.len});
      }
    }
  }
  void read(std::span<const uint8_t> bytes) {
    for (const uint8_t b : bytes)
      sum_ += b;
    must(sum_ != ~uint64_t{0});
  }

  Input& i_;
  ScriptedNode node_;
  penstock_client* client_ = nullptr;
  std::array<penstock_sender*, 2> senders_{};
  std::array<penstock_receiver*, 2> receivers_{};
  uint32_t topic_ = 0;
  uint64_t sum_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  Game game(input);
  while (game.attached() && input.more())
    game.play();
  return 0;
}
