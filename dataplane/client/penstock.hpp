// penstock.hpp: penstock.h for C++20, header only. What a call does, its units, codes and threads
// are told there; here things close themselves, and there are no exceptions. The namespace is
// short, and apart from the one that Penstock uses inside.
//
//   auto client = pen::Client::attach("trainer");
//   auto publisher = client->publisher();
//   auto topic = publisher->topic("grad.layer3.w");
//   if (!topic) return std::puts(pen::last_error()), 1;
//   pen::Code code = publisher->send(*topic, gradients);
//
// Set-up calls on what could not be made fail and keep the first error, so one look at the end of
// such a chain is enough. Nothing else may be called on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#if __has_include("dataplane/client/penstock.h")
#include "dataplane/client/penstock.h"
#else
#include <penstock.h>
#endif

namespace pen {

using Code = penstock_code;

inline const char* text(Code code) {
  return penstock_text(code);
}

// What went wrong in the last set-up call of this thread that failed.
inline const char* last_error() {
  return penstock_last_error();
}

// A T, or the code that says why there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Code code) : code_(code) {}             // NOLINT(google-explicit-constructor)

  explicit operator bool() const { return code_ == PENSTOCK_OK; }
  Code code() const { return code_; }
  T& operator*() { return value_; }
  const T& operator*() const { return value_; }
  T* operator->() { return &value_; }
  const T* operator->() const { return &value_; }

 private:
  T value_{};
  Code code_ = PENSTOCK_OK;
};

namespace detail {
struct Close {
  void operator()(penstock_client* c) const { penstock_close(c); }
  void operator()(penstock_sender* s) const { penstock_sender_close(s); }
  void operator()(penstock_receiver* r) const { penstock_receiver_close(r); }
  void operator()(char* text) const { penstock_free(text); }
};
}  // namespace detail

// Any contiguous run of plain values: a vector<float>, a span, an array.
template <class R>
concept Plain = std::ranges::contiguous_range<const R> &&
    std::is_trivially_copyable_v<std::ranges::range_value_t<const R>> &&
    !std::is_convertible_v<const R&, std::string_view>;

template <Plain R>
std::span<const std::byte> bytes_of(const R& run) {
  return std::as_bytes(std::span(std::ranges::data(run), std::ranges::size(run)));
}
inline std::span<const std::byte> bytes_of(std::string_view chars) {
  return std::as_bytes(std::span(chars.data(), chars.size()));
}

struct SenderOptions {
  const char* name = nullptr;
  uint32_t ring_entries = 0;
  uint32_t max_topics = 0;
  uint64_t arena_bytes = 0;
  bool timestamps = false;
};

struct SubscriberOptions {
  penstock_policy policy = PENSTOCK_BLOCK;
  penstock_path path = PENSTOCK_ANY_PATH;
  uint64_t limit_messages = 0;
  uint64_t limit_bytes = 0;
  uint64_t block_ns = 0;
};

struct PullerOptions {
  uint32_t ring_entries = 0;
  uint64_t arena_bytes = 0;
};

using SenderStats = penstock_sender_stats;
using ReceiverStats = penstock_receiver_stats;

// What publishers and pushers have in common.
class Sender {
 public:
  Result<uint32_t> topic(const char* name) {
    uint32_t id = 0;
    const Code code = penstock_topic(c(), name, &id);
    if (code != PENSTOCK_OK) return code;
    return id;
  }
  Result<uint32_t> topic(const std::string& name) { return topic(name.c_str()); }

  [[nodiscard]] Code send(uint32_t topic, std::span<const std::byte> bytes, uint64_t key = 0) {
    return penstock_send_key(c(), topic, key, bytes.data(), bytes.size());
  }
  [[nodiscard]] Code send(uint32_t topic, std::string_view chars, uint64_t key = 0) {
    return send(topic, bytes_of(chars), key);
  }
  template <Plain R>
  [[nodiscard]] Code send(uint32_t topic, const R& run, uint64_t key = 0) {
    return send(topic, bytes_of(run), key);
  }

  // As send, but waits for room; -1: for ever.
  template <class R>
  [[nodiscard]] Code send_wait(uint32_t topic, const R& run, int64_t timeout_ns = -1,
                               uint64_t key = 0) {
    const auto bytes = bytes_of(run);
    return penstock_send_wait(c(), topic, key, bytes.data(), bytes.size(), timeout_ns);
  }

  // Several parts as one message.
  [[nodiscard]] Code sendv(uint32_t topic, std::span<const penstock_bytes> parts,
                           uint64_t key = 0) {
    return penstock_sendv(c(), topic, key, parts.data(), parts.size());
  }

  // Zero copy: write to the span, then commit.
  Result<std::span<std::byte>> loan(size_t len) {
    void* at = nullptr;
    const Code code = penstock_loan(c(), len, &at);
    if (code != PENSTOCK_OK) return code;
    return std::span(static_cast<std::byte*>(at), len);
  }
  [[nodiscard]] Code commit(uint32_t topic, size_t len, uint64_t key = 0) {
    return penstock_commit(c(), topic, key, len);
  }

  SenderStats stats() {
    SenderStats s{};
    penstock_sender_get_stats(c(), &s);
    return s;
  }

  penstock_sender* c() const { return handle_.get(); }

 protected:
  Sender() = default;
  explicit Sender(penstock_sender* handle) : handle_(handle) {}

 private:
  std::unique_ptr<penstock_sender, detail::Close> handle_;
};

class Publisher : public Sender {
 public:
  Publisher() = default;
  explicit Publisher(penstock_sender* handle) : Sender(handle) {}
};

class Pusher : public Sender {
 public:
  Pusher() = default;
  explicit Pusher(penstock_sender* handle) : Sender(handle) {}
};

// A view: valid until the next recv, poll or release of its receiver.
struct Message : penstock_message {
  bool is_gap() const { return gap_count != 0; }  // PENSTOCK_GAP_UNKNOWN: of how many, if any
  std::string_view topic_name() const { return {topic, topic_len}; }
  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(data), len}; }
  std::string_view chars() const { return {static_cast<const char*>(data), len}; }
  std::span<const std::byte> part(uint32_t index) const {
    penstock_bytes p{};
    if (penstock_part(this, index, &p) != PENSTOCK_OK) return {};
    return {static_cast<const std::byte*>(p.data), p.len};
  }
  const char* gap_reason_text() const { return penstock_reason_text(gap_reason); }
};
// Nothing but functions is added, so that a penstock_message can be looked at as a Message.
static_assert(sizeof(Message) == sizeof(penstock_message) && std::is_standard_layout_v<Message>);

// What subscribers and pullers have in common.
class Receiver {
 public:
  [[nodiscard]] Code recv(Message& m, int64_t timeout_ns = -1) {
    return penstock_recv(c(), &m, timeout_ns);
  }

  // Calls handler(const Message&) up to `limit` times; returns how often, or minus a code.
  template <class Handler>
  int64_t poll(Handler&& handler, size_t limit = 64) {
    using H = std::remove_reference_t<Handler>;
    return penstock_poll(
        c(),
        [](void* h, const penstock_message* m) {
          (*static_cast<H*>(h))(*static_cast<const Message*>(m));
        },
        const_cast<void*>(static_cast<const void*>(&handler)), limit);
  }

  void release() { penstock_release(c()); }
  int event_fd() { return penstock_event_fd(c()); }

  ReceiverStats stats() const {
    ReceiverStats s{};
    penstock_receiver_get_stats(c(), &s);
    return s;
  }

  penstock_receiver* c() const { return handle_.get(); }

 protected:
  Receiver() = default;
  explicit Receiver(penstock_receiver* handle) : handle_(handle) {}

 private:
  std::unique_ptr<penstock_receiver, detail::Close> handle_;
};

class Subscriber : public Receiver {
 public:
  Subscriber() = default;
  explicit Subscriber(penstock_receiver* handle) : Receiver(handle) {}
};

class Puller : public Receiver {
 public:
  Puller() = default;
  explicit Puller(penstock_receiver* handle) : Receiver(handle) {}
};

class Client {
 public:
  Client() = default;

  // `socket` null: $PENSTOCK_SOCKET, or the default.
  static Result<Client> attach(const char* name = nullptr, const char* socket = nullptr,
                               const char* tenant = nullptr) {
    penstock_client* c = nullptr;
    const Code code = penstock_attach_tenant(socket, name, tenant, &c);
    if (code != PENSTOCK_OK) return code;
    return Client(c);
  }

  Result<Publisher> publisher(const SenderOptions& options = {}) {
    return make<Publisher>(penstock_publisher, options);
  }
  Result<Pusher> pusher(const SenderOptions& options = {}) {
    return make<Pusher>(penstock_pusher, options);
  }

  Result<Subscriber> subscriber(const char* filter, const SubscriberOptions& options = {}) {
    penstock_subscriber_options o{};
    o.policy = options.policy;
    o.path = options.path;
    o.limit_messages = options.limit_messages;
    o.limit_bytes = options.limit_bytes;
    o.block_ns = options.block_ns;
    penstock_receiver* r = nullptr;
    const Code code = penstock_subscriber(c(), filter, &o, &r);
    if (code != PENSTOCK_OK) return code;
    return Subscriber(r);
  }
  Result<Puller> puller(const char* filter, const PullerOptions& options = {}) {
    penstock_puller_options o{};
    o.ring_entries = options.ring_entries;
    o.arena_bytes = options.arena_bytes;
    penstock_receiver* r = nullptr;
    const Code code = penstock_puller(c(), filter, &o, &r);
    if (code != PENSTOCK_OK) return code;
    return Puller(r);
  }

  // JSON text.
  Result<std::string> query(const char* question) {
    char* answer = nullptr;
    const Code code = penstock_query(c(), question, &answer);
    if (code != PENSTOCK_OK) return code;
    const std::unique_ptr<char, detail::Close> owned(answer);
    return std::string(answer);
  }

  uint64_t node_id() const { return penstock_node_id(c()); }
  penstock_client* c() const { return handle_.get(); }

 private:
  explicit Client(penstock_client* handle) : handle_(handle) {}

  template <class T, class Open>
  Result<T> make(Open open, const SenderOptions& options) {
    penstock_sender_options o{};
    o.name = options.name;
    o.ring_entries = options.ring_entries;
    o.max_topics = options.max_topics;
    o.arena_bytes = options.arena_bytes;
    o.timestamps = options.timestamps ? 1 : 0;
    penstock_sender* s = nullptr;
    const Code code = open(c(), &o, &s);
    if (code != PENSTOCK_OK) return code;
    return T(s);
  }

  std::unique_ptr<penstock_client, detail::Close> handle_;
};

}  // namespace pen
