// Sender: a publisher or a pusher, which is a lane that this client writes. Its readers come and go
// through packets from the node; the hot path looks at the socket about every millisecond, when the
// node page says that readers changed, and when there is no room.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dataplane/base/errc.h"
#include "dataplane/base/fd.h"
#include "dataplane/base/sealed_memory.h"
#include "dataplane/client/attach_protocol.h"
#include "dataplane/client/client.h"
#include "dataplane/client/control_socket.h"
#include "dataplane/client/pacer.h"
#include "dataplane/client/penstock.h"
#include "dataplane/lane/writer.h"

namespace penstock::client {

class Sender {
 public:
  struct Options {
    attach::Kind kind = attach::Kind::kPublisher;
    std::string_view name;
    LaneGeometry geometry{0, 0, 0};
    bool timestamps = false;
  };

  static Result<Sender*> declare(Client& client, const Options& options);
  // Closes the lane and ends this object. What was sent is still delivered.
  void close();

  Result<uint32_t> topic(std::string_view name);

  // --- hot path ---

  Errc send(uint32_t topic, uint64_t key, std::span<const std::byte> bytes) {
    if (!has_topic(topic)) return Errc::kBadTopic;
    void* to = nullptr;
    if (const Errc e = loan(bytes.size(), to); e != Errc::kOk) return e;
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
    return commit(topic, key, bytes.size());
  }
  Errc sendv(uint32_t topic, uint64_t key, std::span<const std::span<const std::byte>> parts);
  Errc send_wait(uint32_t topic, uint64_t key, std::span<const std::byte> bytes,
                 int64_t timeout_ns);

  Errc loan(uint64_t len, void*& out) {
    const bool changed = page_->generation.load() != seen_generation_;
    const bool nobody = pusher_ && writer_.reader_count() == 0;
    if (changed | nobody | pacer_.tick()) [[unlikely]]
      return loan_slowly(len, out);
    std::byte* room = writer_.loan(len);
    if (room == nullptr) [[unlikely]]
      return no_room(len, out);
    most_ = len + 1;
    out = room;
    return Errc::kOk;
  }
  Errc commit(uint32_t topic, uint64_t key, uint64_t len) {
    if (len >= most_) [[unlikely]]
      return Errc::kInvalid;
    if (topic != last_topic_) [[unlikely]]
      return commit_slowly(topic, key, len);
    publish(topic, key, len);
    return sent();
  }

  void read_stats(penstock_sender_stats& out);
  Client& client() const { return client_; }

  // --- what the node says, told by Client ---

  uint64_t lane_id() const { return lane_id_; }
  // False: the packet makes no sense.
  bool reader_came(const attach::Reader& reader, Packet& packet);
  void reader_gone(const attach::ReaderGone& gone);
  void taken_away(const char* why);
  void say_goodbye() const;
  // The client's state changed: the next call looks at it.
  void look_next() { seen_generation_ = ~page_->generation.load(); }

 private:
  static constexpr uint64_t kNoTopic = ~uint64_t{0};
  // New readers show in the node page; what waits for so many calls is the node's end.
  static constexpr uint32_t kManyCalls = 64;

  struct Known {
    bool here = false;
    uint32_t generation = 0;
    uint64_t table = 0;
    Fd event;
  };

  Sender(Client& client, const Options& options)
      : client_(client),
        pusher_(options.kind == attach::Kind::kPusher),
        stamp_(options.timestamps) {}
  ~Sender() = default;
  Errc start(const Options& options);
  void drop(uint32_t index);
  Errc look_around();
  Errc loan_slowly(uint64_t len, void*& out);
  Errc no_room(uint64_t len, void*& out);
  Errc commit_slowly(uint32_t topic, uint64_t key, uint64_t len);
  Errc count(Errc e);
  void publish_any(Meta meta, uint64_t len);
  // After what was committed: kClosed when the node ends the lane, and it may have come too late.
  Errc sent() {
    local_fence();  // LaneDesk::close() has the other one
    return page_->generation.load() == seen_generation_ || page_->ending.load() == 0 ? Errc::kOk
                                                                                     : sent_late();
  }
  Errc sent_late();
  Errc over() const;  // kClosed, and why

  bool has_topic(uint32_t topic) const {
    return topic < topic_ready_.size() && topic_ready_[topic] != 0;
  }

  void publish(uint32_t topic, uint64_t key, uint64_t len) {
    most_ = 0;
    bytes_ += len;
    writer_.commit({.topic = topic, .key = key}, len);
  }

  Client& client_;
  const NodePage* page_ = nullptr;
  uint64_t seen_generation_ = 0;
  uint64_t most_ = 0;               // bytes of the loan, and one; 0: nothing is loaned
  uint64_t last_topic_ = kNoTopic;  // what it is was looked up; none for a sender with timestamps
  Pacer pacer_{kManyCalls};
  const bool pusher_;
  const bool stamp_;
  LaneWriter writer_;
  std::vector<uint8_t> topic_ready_;  // by id: 0 = the node refused it
  uint64_t bytes_ = 0;
  penstock_sender_stats stats_{};

  std::unordered_map<std::string, uint32_t> topics_;
  std::unordered_map<std::string, uint32_t> tried_;  // rows of topics that the node refused
  std::array<Known, kMaxReaders> readers_;
  uint64_t lane_id_ = 0;
  uint32_t bell_slot_ = 0;
  Mapping lane_;
  Mapping page_memory_;
  char taken_away_[320] = {};  // why, once it is
};

}  // namespace penstock::client
