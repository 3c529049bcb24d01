// The C face: checks arguments, calls the classes. What the calls do stands in penstock.h.
#include "dataplane/client/penstock.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <vector>

#include "dataplane/client/client.h"
#include "dataplane/client/last_error.h"
#include "dataplane/client/receiver.h"
#include "dataplane/client/sender.h"
#include "dataplane/lane/message.h"

// The handles of the C interface are the classes themselves.
namespace {

using penstock::Drop;
using penstock::Errc;
using penstock::LaneGeometry;
using penstock::client::Client;
using penstock::client::fail;
using penstock::client::Receiver;
using penstock::client::Sender;

static_assert(static_cast<int>(Errc::kSystem) == PENSTOCK_SYSTEM);
static_assert(static_cast<int>(Errc::kEvicted) == PENSTOCK_EVICTED);
static_assert(static_cast<int>(Errc::kClosed) == PENSTOCK_CLOSED);
static_assert(penstock::kDrops <= PENSTOCK_REASONS);

Client* in(const penstock_client* c) {
  return reinterpret_cast<Client*>(const_cast<penstock_client*>(c));
}
Sender* in(penstock_sender* s) {
  return reinterpret_cast<Sender*>(s);
}
Receiver* in(const penstock_receiver* r) {
  return reinterpret_cast<Receiver*>(const_cast<penstock_receiver*>(r));
}

penstock_code out(Errc e) {
  return static_cast<penstock_code>(e);
}

std::span<const std::byte> bytes(const void* data, size_t len) {
  return {static_cast<const std::byte*>(data), len};
}

Errc usable(const Client* c) {
  if (c == nullptr) return Errc::kInvalid;
  if (!c->mine()) return fail(Errc::kInvalid, "the client belongs to the parent of this process");
  return Errc::kOk;
}

// Sizes as the user gave them, rounded up; all 0: the node decides.
Errc geometry_of(uint32_t entries, uint64_t arena, uint32_t topics, const LaneGeometry& fallback,
                 LaneGeometry& g) {
  g = {0, 0, 0};
  if (entries == 0 && arena == 0 && topics == 0) return Errc::kOk;
  const auto log2_up = [](uint64_t n) { return static_cast<uint32_t>(std::bit_width(n - 1)); };
  g.ring_log2 = entries == 0 ? fallback.ring_log2 : std::max(log2_up(entries), 2u);
  g.arena_log2 = arena == 0 ? fallback.arena_log2 : std::max(log2_up(arena), 12u);
  g.topics = topics == 0 ? fallback.topics : topics;
  if (g.valid()) return Errc::kOk;
  return fail(Errc::kInvalid,
              "a lane has at most 16777216 entries, 64 GiB of arena and 65536 topics");
}

template <class T, class Handle>
penstock_code give(const penstock::Result<T*>& made, Handle** handle) {
  if (!made.ok()) return out(made.error());
  *handle = reinterpret_cast<Handle*>(*made);
  return PENSTOCK_OK;
}

penstock_code declare(penstock_client* c, penstock::attach::Kind kind,
                      const penstock_sender_options* o, penstock_sender** s) {
  if (const Errc e = usable(in(c)); e != Errc::kOk) return out(e);
  static const penstock_sender_options kDefaults{};
  if (o == nullptr) o = &kDefaults;
  Sender::Options options;
  options.kind = kind;
  options.name = o->name != nullptr ? o->name : in(c)->name();
  options.timestamps = o->timestamps != 0;
  const Errc e =
      geometry_of(o->ring_entries, o->arena_bytes, o->max_topics, {10, 22, 256}, options.geometry);
  if (e != Errc::kOk) return out(e);
  return give(Sender::declare(*in(c), options), s);
}

}  // namespace

const char* penstock_text(penstock_code code) {
  return penstock::text(static_cast<Errc>(code));
}

const char* penstock_last_error(void) {
  return penstock::client::last_error();
}

const char* penstock_reason_text(uint32_t reason) {
  return penstock::text(static_cast<Drop>(std::min<uint32_t>(reason, 0xff)));
}

penstock_code penstock_attach(const char* socket, const char* name, penstock_client** client) {
  return give(Client::attach(socket, name, nullptr), client);
}

penstock_code penstock_attach_tenant(const char* socket, const char* name, const char* tenant,
                                     penstock_client** client) {
  return give(Client::attach(socket, name, tenant), client);
}

void penstock_close(penstock_client* client) {
  if (client != nullptr && in(client)->mine()) in(client)->close();
}

uint64_t penstock_node_id(const penstock_client* client) {
  return in(client)->node_id();
}

penstock_code penstock_query(penstock_client* client, const char* question, char** answer) {
  if (const Errc e = usable(in(client)); e != Errc::kOk) return out(e);
  return out(in(client)->query(question, answer));
}

void penstock_free(void* memory) {
  std::free(memory);
}

penstock_code penstock_publisher(penstock_client* client, const penstock_sender_options* options,
                                 penstock_sender** sender) {
  return declare(client, penstock::attach::Kind::kPublisher, options, sender);
}

penstock_code penstock_pusher(penstock_client* client, const penstock_sender_options* options,
                              penstock_sender** sender) {
  return declare(client, penstock::attach::Kind::kPusher, options, sender);
}

void penstock_sender_close(penstock_sender* sender) {
  if (sender != nullptr && in(sender)->client().mine()) in(sender)->close();
}

penstock_code penstock_topic(penstock_sender* sender, const char* name, uint32_t* id) {
  if (sender == nullptr) return PENSTOCK_INVALID;
  if (const Errc e = usable(&in(sender)->client()); e != Errc::kOk) return out(e);
  const auto made = in(sender)->topic(name);
  if (!made.ok()) return out(made.error());
  *id = *made;
  return PENSTOCK_OK;
}

penstock_code penstock_send(penstock_sender* sender, uint32_t topic, const void* data, size_t len) {
  return out(in(sender)->send(topic, 0, bytes(data, len)));
}

penstock_code penstock_send_key(penstock_sender* sender, uint32_t topic, uint64_t key,
                                const void* data, size_t len) {
  return out(in(sender)->send(topic, key, bytes(data, len)));
}

penstock_code penstock_sendv(penstock_sender* sender, uint32_t topic, uint64_t key,
                             const penstock_bytes* parts, size_t count) {
  static_assert(sizeof(penstock_bytes) == sizeof(std::span<const std::byte>));
  constexpr size_t kFew = 16;
  std::array<std::span<const std::byte>, kFew> few;
  std::vector<std::span<const std::byte>> many;
  if (count > UINT16_MAX) return PENSTOCK_INVALID;
  if (count > kFew) many.resize(count);
  const std::span all =
      count > kFew ? std::span<std::span<const std::byte>>(many) : std::span(few).first(count);
  for (size_t i = 0; i < count; i++)
    all[i] = bytes(parts[i].data, parts[i].len);
  return out(in(sender)->sendv(topic, key, all));
}

penstock_code penstock_send_wait(penstock_sender* sender, uint32_t topic, uint64_t key,
                                 const void* data, size_t len, int64_t timeout_ns) {
  return out(in(sender)->send_wait(topic, key, bytes(data, len), timeout_ns));
}

penstock_code penstock_loan(penstock_sender* sender, size_t len, void** room) {
  return out(in(sender)->loan(len, *room));
}

penstock_code penstock_commit(penstock_sender* sender, uint32_t topic, uint64_t key, size_t len) {
  return out(in(sender)->commit(topic, key, len));
}

void penstock_sender_get_stats(penstock_sender* sender, penstock_sender_stats* stats) {
  in(sender)->read_stats(*stats);
}

penstock_code penstock_subscriber(penstock_client* client, const char* filter,
                                  const penstock_subscriber_options* options,
                                  penstock_receiver** receiver) {
  if (const Errc e = usable(in(client)); e != Errc::kOk) return out(e);
  Receiver::Options o;
  if (options != nullptr) {
    o.overflow = {.policy = static_cast<penstock::attach::Policy>(options->policy),
                  .limit_messages = options->limit_messages,
                  .limit_bytes = options->limit_bytes,
                  .block_ns = options->block_ns};
    o.path = static_cast<penstock::attach::PathPolicy>(options->path);
  }
  return give(Receiver::subscribe(*in(client), filter, o), receiver);
}

penstock_code penstock_puller(penstock_client* client, const char* filter,
                              const penstock_puller_options* options,
                              penstock_receiver** receiver) {
  if (const Errc e = usable(in(client)); e != Errc::kOk) return out(e);
  Receiver::Options o;
  o.mode = penstock::attach::Mode::kGroup;
  if (options != nullptr) {
    const Errc e =
        geometry_of(options->ring_entries, options->arena_bytes, 0, {10, 22, 1024}, o.inbox);
    if (e != Errc::kOk) return out(e);
  }
  return give(Receiver::subscribe(*in(client), filter, o), receiver);
}

void penstock_receiver_close(penstock_receiver* receiver) {
  if (receiver != nullptr && in(receiver)->client().mine()) in(receiver)->close();
}

penstock_code penstock_part(const penstock_message* message, uint32_t index, penstock_bytes* part) {
  if (index == 0 && message->parts == 1) {
    *part = {message->data, message->len};
    return PENSTOCK_OK;
  }
  penstock::Message m;
  m.data = static_cast<const std::byte*>(message->whole);
  m.len = message->whole_len;
  m.parts = static_cast<uint16_t>(message->parts);
  const auto found = penstock::part(m, index);
  if (found.data() == nullptr) return PENSTOCK_NOT_FOUND;
  *part = {found.data(), found.size()};
  return PENSTOCK_OK;
}

penstock_code penstock_recv(penstock_receiver* receiver, penstock_message* message,
                            int64_t timeout_ns) {
  return out(in(receiver)->recv(*message, timeout_ns));
}

int64_t penstock_poll(penstock_receiver* receiver, penstock_handler handler, void* context,
                      size_t limit) {
  return in(receiver)->poll(handler, context, limit);
}

void penstock_release(penstock_receiver* receiver) {
  in(receiver)->release();
}

int penstock_event_fd(penstock_receiver* receiver) {
  return in(receiver)->event_fd();
}

void penstock_receiver_get_stats(const penstock_receiver* receiver,
                                 penstock_receiver_stats* stats) {
  in(receiver)->read_stats(*stats);
}
