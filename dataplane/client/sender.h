// Sender: a publisher or a pusher, which is a lane that this client writes. Its readers come and go
// through packets from the node; the hot path looks at the socket about every millisecond, when the
// node page says that readers changed, and when there is no room.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <ctime>
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
    const Errc e = try_send(topic, key, bytes);
    if (e != Errc::kOk) [[unlikely]]
      count(e);
    return e;
  }
  Errc sendv(uint32_t topic, uint64_t key, std::span<const std::span<const std::byte>> parts);
  Errc send_wait(uint32_t topic, uint64_t key, std::span<const std::byte> bytes,
                 int64_t timeout_ns);

  Errc loan(uint64_t len, std::byte*& out) {
    const Errc e = room(len, out);
    if (e != Errc::kOk) [[unlikely]]
      count(e);
    else
      loaned_ = len;
    return e;
  }
  Errc commit(uint32_t topic, uint64_t key, uint64_t len) {
    if (loaned_ == kNothing || len > loaned_) return Errc::kInvalid;
    if (!has_topic(topic)) return Errc::kBadTopic;
    publish(topic, 1, key, len);
    return Errc::kOk;
  }

  void read_stats(penstock_sender_stats& out);
  Client& client() const { return client_; }

  // --- what the node says, told by Client ---

  uint64_t lane_id() const { return lane_id_; }
  // False: the packet makes no sense.
  bool reader_came(const attach::Reader& reader, Packet& packet);
  void reader_gone(const attach::ReaderGone& gone);
  void say_goodbye() const;
  // The client's state changed: the next call looks at it.
  void look_next() { seen_generation_ = ~page_->generation.load(); }

 private:
  static constexpr uint64_t kNothing = ~uint64_t{0};

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
  Errc no_room(uint64_t len, std::byte*& out);
  void count(Errc e);

  bool has_topic(uint32_t topic) const {
    return topic < topic_ready_.size() && topic_ready_[topic] != 0;
  }

  Errc room(uint64_t len, std::byte*& out) {
    loaned_ = kNothing;
    const bool changed = page_->generation.load() != seen_generation_;
    if (changed | pacer_.due()) [[unlikely]] {
      if (const Errc e = look_around(); e != Errc::kOk) return e;
    }
    if (pusher_ && !writer_.has_readers()) return Errc::kNoRoute;
    out = writer_.loan(len);
    if (out == nullptr) [[unlikely]]
      return no_room(len, out);
    return Errc::kOk;
  }

  Errc try_send(uint32_t topic, uint64_t key, std::span<const std::byte> bytes) {
    if (!has_topic(topic)) return Errc::kBadTopic;
    std::byte* to = nullptr;
    if (const Errc e = room(bytes.size(), to); e != Errc::kOk) return e;
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
    publish(topic, 1, key, bytes.size());
    return Errc::kOk;
  }

  void publish(uint32_t topic, uint16_t parts, uint64_t key, uint64_t len) {
    Meta meta;
    meta.topic = topic;
    meta.parts = parts;
    meta.key = key;
    if (stamp_) {
      timespec now{};
      clock_gettime(CLOCK_REALTIME, &now);
      meta.time_ns =
          static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
    }
    writer_.commit(meta, len);
    loaned_ = kNothing;
    stats_.sent++;
    stats_.bytes += len;
  }

  Client& client_;
  const NodePage* page_ = nullptr;
  uint64_t seen_generation_ = 0;
  uint64_t loaned_ = kNothing;
  Pacer pacer_;
  const bool pusher_;
  const bool stamp_;
  LaneWriter writer_;
  std::vector<uint8_t> topic_ready_;  // by id: 0 = the node refused it
  penstock_sender_stats stats_{};

  std::unordered_map<std::string, uint32_t> topics_;
  std::array<Known, kMaxReaders> readers_;
  uint64_t lane_id_ = 0;
  uint32_t bell_slot_ = 0;
  Mapping lane_;
  Mapping page_memory_;
};

}  // namespace penstock::client
