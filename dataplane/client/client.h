// Client: one attachment to a node: the control socket, the memory that the node gave at attach,
// and the senders and receivers made from it. It has no thread of its own: packets that come
// unasked (readers, lanes to join, lanes that close) wait in the socket until somebody drains it.
//
//   ask()   a question; what comes unasked is handled until its answer comes
//   post()  a statement, no answer
//   drain() what has come unasked
//
// Used by one thread at a time, with everything made from it. It lives until its owner and the last
// of its senders and receivers have let go.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/base/errc.h"
#include "dataplane/base/fd.h"
#include "dataplane/base/sealed_memory.h"
#include "dataplane/client/attach_protocol.h"
#include "dataplane/client/control_socket.h"
#include "dataplane/client/reader_tables.h"
#include "dataplane/lane/layout.h"
#include "dataplane/lane/writer.h"

namespace penstock::client {

class Sender;
class Receiver;

class Client {
 public:
  enum class State : uint8_t {
    kUp,
    kNodeGone,  // what lies in the lanes can still be read
    kClosed,    // by its owner
  };

  // `socket` null: from the environment, or the default. `name` null: the program's. `tenant` null:
  // from the environment, or what the node gives.
  static Result<Client*> attach(const char* socket, const char* name, const char* tenant);
  // The owner lets go.
  void close();

  State state() const { return state_; }
  uint64_t node_id() const { return node_id_; }
  const char* name() const { return name_; }
  // Why it is not up any more.
  const char* gone() const { return gone_; }
  // False in a child of the process that attached: there, nothing may be touched.
  bool mine() const;

  Errc query(const char* question, char** out);

  // --- for senders and receivers ---

  void keep() { users_++; }
  void let_go();
  void add(Sender* s) { senders_.push_back(s); }
  void add(Receiver* r) { receivers_.push_back(r); }
  void remove(Sender* s);
  void remove(Receiver* r);

  // Sends a question and waits for its answer, of type `want` and without descriptors checked.
  template <class Question>
  Errc ask(Question& question, attach::Type want, Packet& answer) {
    question.header.request = ++last_request_ != 0 ? last_request_ : ++last_request_;
    return exchange(std::as_bytes(std::span(&question, 1)), question.header.request, want, answer);
  }
  template <class Statement>
  void post(const Statement& statement) {
    if (state_ == State::kUp) socket_.send(std::as_bytes(std::span(&statement, 1)));
  }
  // Handles what has come. Never waits.
  void drain();
  // The node broke the protocol with a packet named `what`: nothing it says counts any more.
  Errc broken(const char* what);

  PositionTable* positions() const { return reinterpret_cast<PositionTable*>(positions_.data()); }
  ReaderTables& tables() { return tables_; }
  // How a lane with bell bit `bell_slot` wakes worker `worker`; false: there is no such worker.
  bool worker_wake(int32_t worker, uint32_t bell_slot, Wake& wake) const;
  int socket_fd() const { return socket_.fd(); }

 private:
  Client() = default;
  ~Client() = default;
  Errc start(const char* tenant);
  Errc exchange(std::span<const std::byte> question, uint32_t request, attach::Type want,
                Packet& answer);
  Errc refused(const Packet& packet);
  Errc lose(Errc why, const char* text);
  bool handle(Packet& packet);
  bool handle_reader(Packet& packet);
  bool handle_reader_gone(const Packet& packet);
  bool handle_join(Packet& packet);
  bool handle_leave(const Packet& packet);
  bool handle_ended(const Packet& packet);
  bool handle_error(const Packet& packet);

  ControlSocket socket_;
  State state_ = State::kUp;
  int pid_ = 0;
  uint32_t users_ = 1;
  uint32_t last_request_ = 0;
  uint32_t workers_ = 0;
  uint64_t node_id_ = 0;
  Mapping positions_;
  Mapping bells_;
  Mapping worker_page_;
  std::array<Fd, attach::kMaxWorkers> worker_events_;
  ReaderTables tables_;
  std::vector<Sender*> senders_;
  std::vector<Receiver*> receivers_;
  char name_[attach::kNameBytes] = {};
  char gone_[320] = {};      // why the node is gone
  char farewell_[320] = {};  // what it said before it hangs up; empty: nothing
};

}  // namespace penstock::client
