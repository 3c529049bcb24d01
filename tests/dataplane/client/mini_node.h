// MiniNode: a node in a few hundred lines, for tests of the client: it speaks the attach protocol
// over a real socket, makes real lanes, joins readers through LaneDesk, and carries pushed messages
// into inboxes as a worker does. One thread of its own; no links, no NIC.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "control/attach/listener.h"
#include "control/attach/session.h"
#include "dataplane/base/fd.h"
#include "dataplane/base/sealed_memory.h"
#include "dataplane/client/attach_protocol.h"
#include "dataplane/lane/node_page.h"
#include "dataplane/lane/reader.h"
#include "dataplane/lane/writer.h"

namespace penstock::test {

class MiniNode {
 public:
  static constexpr uint64_t kNodeId = 0xa11ce;

  MiniNode();
  ~MiniNode();

  const char* socket() const { return path_.c_str(); }

  // Dies without a word: every descriptor is closed.
  void die();
  // From now on publishers are not told of new readers.
  void withhold_readers();
  // Evicts every reader of the lanes that `publisher` writes.
  void evict_readers_of(const std::string& publisher);
  // As the node does with a mirror whose peer is lost.
  void lose_lane_of(const std::string& publisher);
  // What `publisher`'s lanes look like.
  size_t readers_of(const std::string& publisher);
  uint64_t lane_of(const std::string& publisher);
  uint64_t any_subscription();
  size_t subscriptions();
  // Says something to every client, asked or not.
  void each_session(const std::function<void(Session&)>& what);
  template <class T>
  void say(const T& packet, std::initializer_list<int> fds = {}) {
    each_session([&](Session& s) { s.send(packet, fds); });
  }

  // From now on a question of this type is answered by `instead`, once for each. Null: as usual.
  using Instead = std::function<void(Session& session, const Packet& question)>;
  void answer(attach::Type question, Instead instead);

 private:
  struct Memory {
    SealedMemory memory;
    Mapping map;
    explicit Memory(uint64_t bytes);
    Memory() = default;
  };
  struct Client {
    std::unique_ptr<Session> session;
    Memory positions;
    Memory bells;
    uint64_t table = 0;
    std::vector<bool> slots = std::vector<bool>(kPositionSlots);
    bool gone = false;
  };
  struct Subscription {
    uint64_t id = 0;
    Client* client = nullptr;
    attach::Mode mode{};
    bool lossy = false;
    std::string filter;
    Fd event;
    Fd epoll;
    uint64_t inbox = 0;  // lane
  };
  struct LaneReaderOf {
    Subscription* by = nullptr;  // null: the node itself
    uint32_t slot = 0;
    uint32_t generation = 0;
  };
  struct Lane {
    uint64_t id = 0;
    Client* client = nullptr;  // null: the node's, or closed
    bool inbox = false;
    attach::Kind kind{};
    std::string name;
    LaneGeometry geometry;
    Memory memory;
    Memory page;
    LaneDesk desk;
    std::vector<std::string> topics;
    std::map<uint32_t, LaneReaderOf> readers;
    LaneWriter writer;                    // inbox only
    std::map<std::string, uint32_t> ids;  // inbox only
    std::unique_ptr<LaneReader> source;   // pushers only: the node reads it
    bool held = false;                    // `message` waits for room
    Message message;
  };

  void call(const std::function<void()>& what);
  void run();
  bool turn();
  void sleep();
  void serve(Client& c);
  bool handle(Client& c, const Packet& p);
  void hello(Client& c, const Packet& p);
  void declare(Client& c, const Packet& p);
  void add_topic(Client& c, const Packet& p);
  void subscribe(Client& c, const Packet& p);
  void query(Client& c, const Packet& p);
  void released(const attach::Released& r);
  void join(Subscription& s, Lane& lane);
  void join_node(Lane& lane);
  void leave(Lane& lane, uint32_t index);
  void close_lane(Lane& lane, CloseReason why);
  void unsubscribe(Subscription& s);
  void bury();
  bool wants(const Subscription& s, const Lane& lane) const;
  Lane& make_lane(const LaneGeometry& geometry);
  uint32_t dispatch();
  bool put(const Message& m, const std::string& topic);

  std::string dir_;
  std::string path_;
  std::unique_ptr<Listener> listener_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<Subscription>> subscriptions_;
  std::map<uint64_t, std::unique_ptr<Lane>> lanes_;
  Memory worker_page_;
  Memory positions_;  // of the node as a reader
  Fd worker_event_;
  std::map<attach::Type, Instead> instead_;
  uint64_t next_id_ = 1;
  uint32_t next_slot_ = 0;
  size_t next_member_ = 0;
  bool readers_withheld_ = false;

  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable done_;
  std::function<void()> order_;
  bool stop_ = false;
};

}  // namespace penstock::test
